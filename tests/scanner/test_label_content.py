"""What a label must say, for every kind of text, and what no label can say."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger.chain_key import ChainKey
from ledger.errors import BadInput, Reason
from scanner.encode import DRAWABLE
from scanner.label_content import LabelContent
from scanner.symbol import Symbology

COMPANY = "91350100M000100Y43"


@pytest.mark.parametrize(
    ("text", "symbology", "content", "caption"),
    [
        ("6901234567892", Symbology.EAN_13, "6901234567892", "6901234567892"),
        ("96385074", Symbology.EAN_8, "96385074", "96385074"),
        ("012345678905", Symbology.UPC_A, "012345678905", "012345678905"),
        ("SF1234567890123", Symbology.CODE_128, "SF1234567890123", "SF1234567890123"),
        ("hello world", Symbology.CODE_128, "hello world", "hello world"),
        ("1234567890", Symbology.CODE_128, "1234567890", "1234567890"),
        (
            "(01)06901234567892(10)A7(21)S2",
            Symbology.GS1_128,
            "010690123456789210A7\x1d21S2",
            "(01)06901234567892(10)A7(21)S2",
        ),
        (
            r"(01)06901234567892(10)A\(7)",
            Symbology.GS1_128,
            "010690123456789210A(7)",
            "(01)06901234567892(10)A(7)",
        ),
        ("(17)271231", Symbology.GS1_128, "17271231", "(17)271231"),
        ("https://example.com/a", Symbology.QR_CODE, "https://example.com/a", "https://example.com/a"),
        ("HTTP://EXAMPLE.COM/", Symbology.QR_CODE, "HTTP://EXAMPLE.COM/", "HTTP://EXAMPLE.COM/"),
        ("a" * 49, Symbology.QR_CODE, "a" * 49, "a" * 49),
        ("溯源", Symbology.QR_CODE, "溯源", ""),
    ],
)
def test_the_text_chooses_the_symbology(text, symbology, content, caption):
    assert LabelContent.parse(text) == LabelContent(symbology, content, caption)


@pytest.mark.parametrize(
    ("chain", "symbology", "content", "caption"),
    [
        ("01/06901234567892", Symbology.EAN_13, "6901234567892", "6901234567892"),
        ("01/00012345678905", Symbology.UPC_A, "012345678905", "012345678905"),
        ("01/00000096385074", Symbology.EAN_8, "96385074", "96385074"),
        ("01/16901234567899", Symbology.ITF_14, "16901234567899", "16901234567899"),
        (
            "01/06901234567892/10/A%2F7",
            Symbology.QR_CODE,
            "https://id.gs1.org/01/06901234567892/10/A%2F7",
            "(01)06901234567892\n(10)A/7",
        ),
        (
            "01/06901234567892/21/S-1",
            Symbology.QR_CODE,
            "https://id.gs1.org/01/06901234567892/21/S-1",
            "(01)06901234567892\n(21)S-1",
        ),
        ("00/106141412345678908", Symbology.GS1_128, "00106141412345678908", "(00)106141412345678908"),
        ("waybill/sf/SF1234567890123", Symbology.CODE_128, "SF1234567890123", "SF1234567890123"),
        ("drug/81234567890123456789", Symbology.CODE_128, "81234567890123456789", "81234567890123456789"),
        (f"party/{COMPANY}", Symbology.QR_CODE, f"party/{COMPANY}", f"party/{COMPANY}"),
        (f"party/{COMPANY}/c7", Symbology.QR_CODE, f"party/{COMPANY}/c7", f"party/{COMPANY}/c7"),
        ("ledger", Symbology.QR_CODE, "ledger", "ledger"),
    ],
)
def test_a_chain_key_has_a_natural_label(chain, symbology, content, caption):
    assert LabelContent.parse(chain) == LabelContent(symbology, content, caption, ChainKey.parse(chain))


@pytest.mark.parametrize(
    ("chain", "symbology", "content"),
    [
        ("01/06901234567892", Symbology.ITF_14, "06901234567892"),
        ("01/06901234567892", Symbology.GS1_128, "0106901234567892"),
        ("01/06901234567892", Symbology.QR_CODE, "https://id.gs1.org/01/06901234567892"),
        ("01/00000096385074", Symbology.EAN_13, "0000096385074"),
        ("01/06901234567892/10/A%2F7", Symbology.GS1_128, "010690123456789210A/7"),
        ("01/06901234567892/21/S%281%29", Symbology.GS1_128, "010690123456789221S(1)"),
        ("00/106141412345678908", Symbology.QR_CODE, "https://id.gs1.org/00/106141412345678908"),
        ("01/06901234567892", Symbology.GS1_DATA_MATRIX, "0106901234567892"),
        ("01/06901234567892/21/S%281%29", Symbology.GS1_DATA_MATRIX, "010690123456789221S(1)"),
        ("waybill/zto/75312345678901", Symbology.QR_CODE, "waybill/zto/75312345678901"),
    ],
)
def test_a_chain_key_in_another_symbology(chain, symbology, content):
    said = LabelContent.parse(chain, symbology)
    assert (said.symbology, said.text, said.chain) == (symbology, content, chain)


@pytest.mark.parametrize(
    ("text", "chain"),
    [
        ("16901234567899", "01/16901234567899"),
        ("06901234567892", "01/06901234567892"),
        ("81234567890123456789", "drug/81234567890123456789"),
        ("zto:75312345678901", "waybill/zto/75312345678901"),
    ],
)
def test_digits_that_can_be_one_thing_only_are_that(text, chain):
    assert LabelContent.parse(text) == LabelContent.parse(chain)


@pytest.mark.parametrize(
    "chain",
    [
        "01/00000096385074",
        "01/16901234567899",
        "01/06901234567892/10/A%2F7",
        "01/06901234567892/21/S-1",
        "00/106141412345678908",
        "waybill/sf/SF1234567890123",
        "drug/81234567890123456789",
        f"party/{COMPANY}",
        "ledger",
    ],
)
def test_a_chain_has_the_symbologies_that_it_is_told_of_and_no_other(chain):
    told = LabelContent.symbologies(ChainKey.parse(chain))
    assert LabelContent.parse(chain).symbology is told[0]
    for symbology in DRAWABLE:
        if symbology in told:
            assert LabelContent.parse(chain, symbology).chain == chain
        else:
            with pytest.raises(BadInput, match=f"one that holds it: {', '.join(told)}$"):
                LabelContent.parse(chain, symbology)


def test_digits_that_can_be_several_things_are_not_guessed():
    with pytest.raises(BadInput) as caught:
        LabelContent.parse("75312345678900")
    assert caught.value.reason is Reason.AMBIGUOUS_CODE
    assert LabelContent.parse("75312345678900", Symbology.CODE_128).text == "75312345678900"
    assert LabelContent.parse("75312345678900", Symbology.ITF_14).text == "75312345678900"


FULL_WIDTH = "６９０１２３４５６７８９２"
PRINTABLE = "expected printable characters"
HOLDS = "expected one that holds it:"


@pytest.mark.parametrize(
    ("text", "symbology", "reason", "message"),
    [
        ("", None, Reason.INVALID_REQUEST, f"text of a label: given an empty text, {PRINTABLE}"),
        ("a\nb", None, Reason.INVALID_REQUEST, rf"text of a label: given a\nb, {PRINTABLE}"),
        ("\ud800", None, Reason.INVALID_REQUEST, rf"text of a label: given \ud800, {PRINTABLE}"),
        (
            "6901234567890",
            None,
            Reason.BAD_IDENTIFIER,
            "GTIN 6901234567890 check digit: given 0, expected 2",
        ),
        (
            "6901234567892",
            Symbology.UPC_A,
            Reason.INVALID_REQUEST,
            "text of UPC_A: given 6901234567892, expected 12 digits",
        ),
        (
            FULL_WIDTH,
            Symbology.EAN_13,
            Reason.BAD_IDENTIFIER,
            f"GTIN: given {FULL_WIDTH.encode('unicode_escape').decode()}, expected 8, 12, 13 or 14 digits",
        ),
        (
            "6901234567892",
            Symbology.DATA_MATRIX,
            Reason.INVALID_REQUEST,
            f"symbology of a label: given DATA_MATRIX, expected one of {', '.join(DRAWABLE)}",
        ),
        (
            "溯源",
            Symbology.CODE_128,
            Reason.INVALID_REQUEST,
            r"text of a Code 128: given \u6eaf\u6e90, expected printable ASCII characters",
        ),
        (
            "a" * 49,
            Symbology.CODE_128,
            Reason.INVALID_REQUEST,
            "text of a Code 128: given 49 characters, expected at most 48",
        ),
        (
            "溯" * 513,
            None,
            Reason.INVALID_REQUEST,
            "text of a QR code: given 513 characters, expected at most 512",
        ),
        (
            "(01)06901234567892(10)12345678901234567890(21)12345678901234567890",
            None,
            Reason.INVALID_REQUEST,
            "element strings of a GS1-128: given 61 characters, expected at most 48",
        ),
        (
            "(01)06901234567890",
            None,
            Reason.BAD_IDENTIFIER,
            "GTIN 06901234567890 check digit: given 0, expected 2",
        ),
        (
            "(02)06901234567890(37)5",
            None,
            Reason.BAD_IDENTIFIER,
            "check digit of AI (02) 06901234567890: given 0, expected 2",
        ),
        (
            "(410)6901234567891",
            Symbology.GS1_DATA_MATRIX,
            Reason.BAD_IDENTIFIER,
            "check digit of AI (410) 6901234567891: given 1, expected 2",
        ),
        (
            "(8003)06901234567891A7",
            None,
            Reason.BAD_IDENTIFIER,
            "check digit of AI (8003) 06901234567891: given 1, expected 2",
        ),
        (
            "(17)270230",
            None,
            Reason.BAD_IDENTIFIER,
            "value of AI (17): given 270230, expected a date YYMMDD",
        ),
        (
            "(01)06901234567892(10)" + "A" * 20 + "(21)" + "B" * 20 + "(240)" + "C" * 30 + "(241)" + "D" * 30,
            Symbology.GS1_DATA_MATRIX,
            Reason.INVALID_REQUEST,
            "element strings of a GS1 DataMatrix: given 129 characters, expected at most 128",
        ),
        (
            "0106901234567892",
            Symbology.GS1_128,
            Reason.BAD_IDENTIFIER,
            r"bracketed message: given 0106901234567892, expected (AI)value, an inner '(' written '\('",
        ),
        (
            "01/06901234567890",
            None,
            Reason.BAD_CHAIN_KEY,
            "GTIN 06901234567890 check digit in chain key: given 0, expected 2",
        ),
        (
            "01/16901234567899",
            Symbology.EAN_13,
            Reason.INVALID_REQUEST,
            f"symbology of a label of 01/16901234567899: given EAN_13, {HOLDS} ITF_14, GS1_128, GS1_DATA_MATRIX, QR_CODE",
        ),
        (
            "01/06901234567892/10/A7",
            Symbology.EAN_13,
            Reason.INVALID_REQUEST,
            f"symbology of a label of 01/06901234567892/10/A7: given EAN_13, {HOLDS} QR_CODE, GS1_128, GS1_DATA_MATRIX",
        ),
        (
            "01/06901234567892",
            Symbology.CODE_128,
            Reason.INVALID_REQUEST,
            f"symbology of a label of 01/06901234567892: given CODE_128, {HOLDS} EAN_13, ITF_14, GS1_128, GS1_DATA_MATRIX, QR_CODE",
        ),
        (
            "waybill/sf/SF1234567890123",
            Symbology.GS1_128,
            Reason.INVALID_REQUEST,
            f"symbology of a label of waybill/sf/SF1234567890123: given GS1_128, {HOLDS} CODE_128, QR_CODE",
        ),
    ],
)
def test_refusals(text, symbology, reason, message):
    with pytest.raises(BadInput) as caught:
        LabelContent.parse(text, symbology)
    assert (caught.value.reason, str(caught.value)) == (reason, message)


@given(text=st.text(max_size=60), symbology=st.none() | st.sampled_from(Symbology))
def test_any_text_is_content_or_a_refusal(text, symbology):
    try:
        content = LabelContent.parse(text, symbology)
    except BadInput:
        return
    assert symbology in {None, content.symbology}
