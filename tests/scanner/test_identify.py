"""From what was read to the chain it names, and why it names none."""

from __future__ import annotations

from datetime import date

import pytest

from ledger.chain_key import ChainKey
from ledger.errors import Reason
from scanner.identify import Finding, identify
from scanner.symbol import Point, Reader, Symbol, Symbology


def symbol(symbology: Symbology, text: str, mark: str | None) -> Symbol:
    corners = (Point(0, 0), Point(9, 0), Point(9, 9), Point(0, 9))
    return Symbol(symbology, text, mark, (Reader.ZXING,), corners)


LOT = "010690123456789210A7"


@pytest.mark.parametrize(
    ("symbology", "text", "mark", "chain"),
    [
        (Symbology.EAN_13, "6901234567892", "]E0", "01/06901234567892"),
        (Symbology.UPC_A, "0012345678905", "]E0", "01/00012345678905"),
        (Symbology.UPC_E, "0012345000065", "]E0", "01/00012345000065"),
        (Symbology.EAN_13, "978073520044951299", "]E3", "01/09780735200449"),
        (Symbology.EAN_13, "9780735200449 51299", "]E3", "01/09780735200449"),
        (Symbology.EAN_8, "96385074", "]E4", "01/00000096385074"),
        (Symbology.ITF_14, "16901234567899", "]I1", "01/16901234567899"),
        (Symbology.ITF_14, "16901234567899", None, "01/16901234567899"),
        (Symbology.GS1_128, LOT, "]C1", "01/06901234567892/10/A7"),
        (Symbology.GS1_128, "00106141412345678908", "]C1", "00/106141412345678908"),
        (Symbology.GS1_DATA_MATRIX, LOT, "]d2", "01/06901234567892/10/A7"),
        (Symbology.GS1_DATA_MATRIX, LOT, "]d5", "01/06901234567892/10/A7"),
        (Symbology.GS1_QR, LOT, "]Q3", "01/06901234567892/10/A7"),
        (Symbology.GS1_QR, LOT, "]Q4", "01/06901234567892/10/A7"),
        (Symbology.DATABAR, "0106901234567892", "]e0", "01/06901234567892"),
        (Symbology.CODE_128, "SF1234567890123", "]C0", "waybill/sf/SF1234567890123"),
        (Symbology.CODE_128, "SF1234567890123", None, "waybill/sf/SF1234567890123"),
        (Symbology.CODE_128, "81234567890123456789", "]C0", "drug/81234567890123456789"),
        (Symbology.CODE_39, "RA123456785CN", "]A0", "waybill/upu/RA123456785CN"),
        (Symbology.QR_CODE, "https://id.gs1.org/01/06901234567892/21/S-1", "]Q1", "01/06901234567892/21/S-1"),
        (Symbology.QR_CODE, "https://id.gs1.org/01/06901234567892", None, "01/06901234567892"),
        (Symbology.QR_CODE, "party/91350100M000100Y43", "]Q1", "party/91350100M000100Y43"),
    ],
)
def test_known_identifiers(symbology, text, mark, chain):
    read = symbol(symbology, text, mark)
    finding = identify(read)
    assert finding.symbol == read
    assert finding.refusal is None
    assert finding.chain == ChainKey.parse(chain)


@pytest.mark.parametrize(
    ("symbology", "text", "mark"),
    [
        (Symbology.QR_CODE, "hello", "]Q1"),
        (Symbology.QR_CODE, "溯源", "]Q1"),
        (Symbology.QR_CODE, "https://example.com/", "]Q1"),
        (Symbology.DATA_MATRIX, "\x00\xff", "]d1"),
        (Symbology.PDF417, "", "]L2"),
        (Symbology.CODABAR, "A1234B", "]F0"),
        (Symbology.EAN_13, "6901234567890", "]E0"),
        (Symbology.QR_CODE, "]C1" + LOT, "]Q1"),
    ],
)
def test_what_is_no_identifier_has_no_chain_and_says_why(symbology, text, mark):
    finding = identify(symbol(symbology, text, mark))
    assert (finding.chain, finding.reading) == (None, None)
    assert finding.refusal is not None
    assert finding.refusal.reason in {Reason.BAD_IDENTIFIER, Reason.BAD_CHAIN_KEY}


def test_the_mark_decides_between_element_strings_and_a_number():
    digits = "0106901234567892"
    assert identify(symbol(Symbology.GS1_128, digits, "]C1")).chain == "01/06901234567892"
    assert identify(symbol(Symbology.CODE_128, digits, "]C0")).chain is None


def test_an_ambiguous_code_names_its_candidates():
    refusal = identify(symbol(Symbology.CODE_128, "75312345678900", None)).refusal
    assert refusal is not None
    assert refusal.reason is Reason.AMBIGUOUS_CODE
    assert "waybill/zto/75312345678900" in str(refusal)


def test_a_known_carrier_settles_whose_waybill_it_is():
    finding = identify(symbol(Symbology.CODE_128, "75312345678900", "]C0"), carrier="zto")
    assert finding.chain == "waybill/zto/75312345678900"


def test_the_year_of_the_scan_tells_the_century():
    read = symbol(Symbology.GS1_128, "010690123456789217710101", "]C1")

    def expiry(finding: Finding) -> date | None:
        assert finding.reading is not None
        return finding.reading.attributes.expiry_date

    assert expiry(identify(read, year=2026)) == date(2071, 1, 1)
    assert expiry(identify(read, year=2015)) == date(1971, 1, 1)
    near = f"{date.today().year % 100:02}"  # noqa: DTZ011 - a day more or less is the same century
    this_year = expiry(identify(symbol(Symbology.GS1_128, f"010690123456789217{near}0101", "]C1")))
    assert this_year is not None
    assert abs(this_year.year - date.today().year) <= 1  # noqa: DTZ011 - likewise
