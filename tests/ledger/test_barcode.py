from __future__ import annotations

import doctest
import json
from contextlib import suppress
from datetime import date
from decimal import Decimal
from urllib.parse import quote

import pytest
from biip.gs1_digital_link_uris import GS1DigitalLinkURI
from hypothesis import assume, given
from hypothesis import strategies as st
from identifier_strategies import (
    carriers,
    digits,
    drug_codes,
    gtins,
    lots,
    members,
    printed_gtins,
    s10_numbers,
    serials,
    ssccs,
    usccs,
    waybill_numbers,
    with_gs1_check_digit,
)

import ledger.barcode
from ledger.barcode import ACCEPTED, MAX_CHARACTERS, Attributes, Reading, Symbology, read_barcode
from ledger.chain_key import ChainKey
from ledger.errors import BadInput, Reason
from ledger.identifiers import gs1_check_digit

GTIN = "06901234567892"
SSCC = "106141412345678908"
USCC = "91110000600037341L"
DRUG = "81234567890123456789"

GS1_SYMBOLOGIES = [
    Symbology.GS1_128,
    Symbology.GS1_DATABAR,
    Symbology.GS1_DATA_MATRIX,
    Symbology.GS1_QR_CODE,
    Symbology.GS1_DOTCODE,
]
RETAIL_SYMBOLOGIES = [Symbology.EAN_13, Symbology.EAN_13_ADD_ON, Symbology.EAN_8]
PLAIN_SYMBOLOGIES = sorted(set(Symbology) - {*GS1_SYMBOLOGIES, *RETAIL_SYMBOLOGIES})


def refusal(text, *arguments, reason=Reason.BAD_IDENTIFIER, **keywords):
    with pytest.raises(BadInput) as caught:
        read_barcode(text, *arguments, **keywords)
    assert caught.value.reason is reason
    return str(caught.value)


def candidates(text, *arguments):
    message = refusal(text, *arguments, reason=Reason.AMBIGUOUS_CODE)
    told, _, spelled = message.partition(", expected one of these, spelled out: ")
    assert told == f"ambiguous code: given {text}"
    return spelled.split(", ")


def test_the_examples_in_the_docstrings_hold():
    assert doctest.testmod(ledger.barcode).failed == 0


@pytest.mark.parametrize(
    ("text", "chain"),
    [
        ("96385074", "01/00000096385074"),
        ("036000291452", "01/00036000291452"),
        ("6901234567892", "01/06901234567892"),
        ("06901234567892", "01/06901234567892"),
        ("26901234567896", "01/26901234567896"),
        ("306141412345678902", "00/306141412345678902"),
        (DRUG, f"drug/{DRUG}"),
        (USCC, f"party/{USCC}"),
        (USCC.lower(), f"party/{USCC}"),
        ("RA123456785CN", "waybill/upu/RA123456785CN"),
        ("ra123456785cn", "waybill/upu/RA123456785CN"),
        ("SF1234567890123", "waybill/sf/SF1234567890123"),
        ("YT1234567890123", "waybill/yto/YT1234567890123"),
        ("JDVA00123456789-1-2-", "waybill/jd/JDVA00123456789"),
        ("zto:75312345678901", "waybill/zto/75312345678901"),
        (f"01{GTIN}", f"01/{GTIN}"),
        (f"00{SSCC}", f"00/{SSCC}"),
        (f"01{GTIN}10A7", f"01/{GTIN}/10/A7"),
        (f"01{GTIN}10A7\x1d21S1", f"01/{GTIN}/21/S1"),
        (f"]C101{GTIN}10A7\x1d21S1", f"01/{GTIN}/21/S1"),
        (f"]d201{GTIN}21S1", f"01/{GTIN}/21/S1"),
        (f"]Q3https://example.com/01/{GTIN}/21/S1", f"01/{GTIN}/21/S1"),
        (f"]Q1https://example.com/01/{GTIN}/21/S1", f"01/{GTIN}/21/S1"),
        (f"]Q1(01){GTIN}(21)S1", f"01/{GTIN}/21/S1"),
        (f"]C1(01){GTIN}(21)S1", f"01/{GTIN}/21/S1"),
        (f"(00){SSCC}", f"00/{SSCC}"),
        ("]E06901234567892", "01/06901234567892"),
        ("]E0036000291452", "01/00036000291452"),
        ("]E0042100005264", "01/00042100005264"),
        ("]E004252614", "01/00042100005264"),
        ("04252614", "01/00042100005264"),
        ("]E496385074", "01/00000096385074"),
        ("]E3978073520044951299", "01/09780735200449"),
        ("]E3978073520044912", "01/09780735200449"),
        ("]E39780735200449 51299", "01/09780735200449"),
        ("]I110614141000415", "01/10614141000415"),
        ("]C0106141412345678908", f"00/{SSCC}"),
        (f"]A0{DRUG}", f"drug/{DRUG}"),
        ("]C0SF1234567890123", "waybill/sf/SF1234567890123"),
        ("ledger", "ledger"),
        (f"01/{GTIN}/10/A%2F7", f"01/{GTIN}/10/A%2F7"),
        ("waybill/ems/1234567890123", "waybill/ems/1234567890123"),
        (f"party/{USCC}/courier-7", f"party/{USCC}/courier-7"),
        ("\t 6901234567892 \r\n", "01/06901234567892"),
    ],
)
def test_what_a_text_identifies(text, chain):
    assert read_barcode(text).chain == chain


@given(printed_gtins, ssccs, drug_codes, usccs, s10_numbers)
def test_every_identifier_is_read_where_its_symbology_leaves_no_doubt(gtin, sscc, drug, uscc, s10):
    retail = Symbology.ITF_14 if len(gtin) == 14 else Symbology.EAN_8 if len(gtin) == 8 else Symbology.EAN_13
    assert read_barcode(gtin, retail).chain == ChainKey.product(gtin)
    assert read_barcode(f"00{sscc}", Symbology.GS1_128).chain == ChainKey.logistic_unit(sscc)
    assert read_barcode(drug, Symbology.CODE_128).chain == ChainKey.drug(drug)
    assert read_barcode(s10, Symbology.CODE_128).chain == ChainKey.waybill("upu", s10)
    assume(not uscc.isdigit())
    assert read_barcode(uscc, Symbology.QR_CODE).chain == ChainKey.party(uscc)


@given(st.sampled_from([12, 13]).flatmap(with_gs1_check_digit))
def test_twelve_or_thirteen_digits_are_the_gtin_of_the_tills(gtin):
    assert read_barcode(gtin) == Reading(ChainKey.product(gtin))


def escaped_needlessly(value):
    return "".join(f"%{ord(character):02x}" for character in value)


@st.composite
def spellings(draw):
    """One thing, and a way to spell it: its GTIN, lot and serial number, and a text that says so."""
    gtin, lot, serial = draw(gtins), draw(st.none() | lots), draw(st.none() | serials)
    values = {"01": gtin, "10": lot, "21": serial, "17": "271231", "3103": "001950"}
    parts = draw(st.permutations([(ai, value) for ai, value in values.items() if value is not None]))
    ended = "".join(ai + value + ("\x1d" if ai in {"10", "21"} else "") for ai, value in parts)
    brackets = "".join(f"({ai})" + value.replace("(", "\\(") for ai, value in parts)
    escape = draw(st.sampled_from([lambda value: quote(value, safe=""), escaped_needlessly]))
    host = draw(st.sampled_from(["https://id.gs1.org", "http://xn--fsq.example", "HTTPS://A.CN/b/c"]))
    linked = [(ai, escape(value)) for ai, value in parts]
    in_path = {"01", "10", "21"}
    path = "".join(f"/{ai}/{value}" for ai, value in linked if ai in in_path)
    query = "&".join(f"{ai}={value}" for ai, value in linked if ai not in in_path)
    all_in_query = "&".join(f"{ai}={value}" for ai, value in linked if ai != "01")
    gs1 = draw(st.sampled_from(GS1_SYMBOLOGIES))
    text, symbology = draw(
        st.sampled_from(
            [
                (gs1 + ended, None),
                (gs1 + ended.removesuffix("\x1d"), None),
                (ended, gs1),
                ("\x1d" + ended, None),
                (brackets, None),
                (brackets, gs1),
                (f"{host}{path}?{query}", None),
                (f"{host}/01/{escape(gtin)}?{all_in_query}&from=box", Symbology.QR_CODE),
            ]
        )
    )
    return gtin, lot, serial, text, symbology


@given(spellings())
def test_every_spelling_of_a_thing_gives_its_one_key(spelled):
    gtin, lot, serial, text, symbology = spelled
    if serial is not None:
        chain = ChainKey.serial(gtin, serial)
    else:
        chain = ChainKey.product(gtin) if lot is None else ChainKey.lot(gtin, lot)
    attributes = Attributes(
        lot=lot, serial=serial, expiry_date=date(2027, 12, 31), net_weight=Decimal("1.950")
    )
    assert read_barcode(text, symbology, year=2026) == Reading(chain, attributes)


IN_A_LINK = ["https://id.gs1.org/", "http://a.cn/shop/", "HTTPS://A.CN:8443/01/x/"]
SPELLINGS = {
    f"01/{GTIN}": [
        *[
            "6901234567892",
            GTIN,
            f"]E0{GTIN[1:]}",
            f"]E3{GTIN[1:]}12",
            f"]I1{GTIN}",
            f"01{GTIN}",
            f"(01){GTIN}",
        ],
        *[f"{mark}01{GTIN}" for mark in ("]C1", "]d2", "]d5", "]Q3", "]Q4", "]e0", "]J1", "\x1d")],
        *[f"{host}01/{gtin}" for host in IN_A_LINK for gtin in (GTIN, GTIN[1:])],
        *[f"https://a.cn/01/{GTIN}?{query}" for query in ("17=271231", "x=1&99=A", "linkType=all#10=A")],
    ],
    "01/00036000291452": ["036000291452", "0036000291452", "]E0036000291452", "(01)00036000291452"],
    "01/00000096385074": ["96385074", "]E496385074", "]C10100000096385074", "https://a.cn/01/96385074"],
    "01/00042100005264": ["04252614", "]E004252614", "042100005264", "]E00042100005264"],
    f"01/{GTIN}/10/A%2F7": [
        *[f"01{GTIN}10A/7", f"]C101{GTIN}10A/7", f"]C110A/7\x1d01{GTIN}", f"(10)A/7(01){GTIN}"],
        *[f"(01) {GTIN} (10) A/7", f"(01){GTIN}(10)A/7(17)271231", f"01/{GTIN}/10/A%2F7"],
        *[f"{host}01/{GTIN}/10/{lot}" for host in IN_A_LINK for lot in ("A%2F7", "A%2f7", "%41%2F%37")],
        *[
            f"https://a.cn/10/A%2F7/01/{GTIN}",
            f"https://a.cn/01/{GTIN}?10=A/7",
            f"https://a.cn/01/{GTIN}?10=A%2F7",
        ],
    ],
    f"00/{SSCC}": [
        *[f"00{SSCC}", f"]C100{SSCC}", f"(00){SSCC}", f"]C0{SSCC}", f"00/{SSCC}"],
        *[f"{host}00/{SSCC}" for host in IN_A_LINK],
        f"]C100{SSCC}02{GTIN}375\x1d10A7",
    ],
    f"drug/{DRUG}": [DRUG, f"]C0{DRUG}", f"]Q1{DRUG}", f"drug/{DRUG}", f" {DRUG}\r\n"],
    f"party/{USCC}": [USCC, USCC.lower(), f"]Q1{USCC}", f"party/{USCC}"],
    "waybill/upu/RA123456785CN": [
        *["RA123456785CN", "ra123456785cn", "]C0RA123456785CN", "upu:RA123456785CN", "EMS:ra123456785CN"],
        "sf:RA123456785CN",
    ],
    "waybill/jd/JDVA00123456789": ["JDVA00123456789", "JDVA00123456789-1-2-", "jd:jdva00123456789-2-2-7"],
    "waybill/zto/75312345678901": ["zto:75312345678901", "ZTO:75312345678901", "waybill/zto/75312345678901"],
}


@pytest.mark.parametrize(("key", "spelled"), SPELLINGS.items())
def test_all_spellings_of_one_thing_give_one_key(key, spelled):
    assert {text: read_barcode(text).chain for text in spelled} == dict.fromkeys(spelled, key)


@given(gtins, st.none() | lots, st.none() | serials)
def test_a_product_key_is_the_path_of_the_canonical_digital_link(gtin, lot, serial):
    assume(lot is None or serial is None)
    parts = {"01": gtin, "10": lot, "21": serial}
    message = "".join(f"/{ai}/{quote(value, safe='')}" for ai, value in parts.items() if value is not None)
    canonical = GS1DigitalLinkURI.parse("https://example.com" + message).as_canonical_uri()
    assert canonical == f"https://id.gs1.org/{read_barcode(canonical).chain}"


@given(
    st.one_of(
        st.builds(ChainKey.lot, gtins, lots),
        st.builds(ChainKey.logistic_unit, ssccs),
        st.builds(ChainKey.waybill, carriers, waybill_numbers),
        st.builds(ChainKey.drug, drug_codes),
        st.builds(ChainKey.member, usccs, members),
    )
)
def test_a_chain_key_reads_as_itself(key):
    assert read_barcode(str(key)) == Reading(key)


@given(carriers, waybill_numbers)
def test_a_waybill_of_a_told_carrier_has_one_key(carrier, number):
    assume(carrier != "jd")
    key = ChainKey.waybill(carrier, number)
    assert read_barcode(number, carrier=carrier).chain == key
    assert read_barcode(number.lower(), Symbology.CODE_128, carrier=carrier).chain == key
    assert read_barcode(f"]C0{number}", carrier=carrier).chain == key


def test_the_year_of_reading_tells_the_century():
    text = f"]C101{GTIN}17770101"
    assert read_barcode(text).attributes.expiry_date == date(1977, 1, 1)
    assert read_barcode(text, year=2027).attributes.expiry_date == date(2077, 1, 1)


@pytest.mark.parametrize(
    ("defect", "text", "spelled"),
    [
        ("ITF-14 or a lot number", "10614141000415", ["01/10614141000415", "(10)614141000415"]),
        ("SSCC or a lot number", SSCC, [f"00/{SSCC}", "(10)6141412345678908"]),
        ("SSCC or USCC", "913501286487442664", ["00/913501286487442664", "party/913501286487442664"]),
        ("EAN-8 or UPC-E", "10000007", ["01/00000010000007", "01/00100000000007"]),
        ("EAN-8, or a UPC-E read wrongly", "10000014", ["01/00000010000014"]),
        ("UPC-E, or an EAN-8 read wrongly", "10000016", ["01/00100100000006"]),
        ("USCC, or an SSCC read wrongly", "913501286487442651", ["party/913501286487442651"]),
        ("SSCC, or a USCC read wrongly", "913501286487442602", ["00/913501286487442602"]),
        (
            "ITF-14 or a waybill",
            "75312345678900",
            ["01/75312345678900", "waybill/zto/75312345678900", "waybill/sto/75312345678900"],
        ),
        (
            "anybody's waybill",
            "75312345678901",
            ["waybill/zto/75312345678901", "waybill/sto/75312345678901"],
        ),
        ("anybody's waybill, though one shape fits", "431234567890123", ["waybill/yunda/431234567890123"]),
        ("trade item and logistic unit", f"(01){GTIN}(10)A(00){SSCC}", [f"01/{GTIN}/10/A", f"00/{SSCC}"]),
    ],
)
def test_what_can_mean_several_things_names_them(defect, text, spelled):
    assert candidates(text) == spelled


def test_a_symbology_settles_what_digits_alone_leave_open():
    assert read_barcode("10614141000415", Symbology.ITF_14).chain == "01/10614141000415"
    assert read_barcode(SSCC, Symbology.CODE_128).chain == f"00/{SSCC}"
    assert read_barcode("75312345678900", Symbology.ITF_14).chain == "01/75312345678900"
    assert candidates("75312345678900", Symbology.CODE_128)[0] == "01/75312345678900"
    assert read_barcode("75312345678900", carrier="zto").chain == "waybill/zto/75312345678900"


def guarded(start, length):
    return digits(length - len(start) - 1).map(lambda rest: start + rest + gs1_check_digit(start + rest))


@given(
    st.one_of(
        guarded("10", 14),
        guarded("10", 18),
        guarded("1726123121", 18),
        guarded("7", 14),
        digits(13).map(lambda rest: "7" + rest),
        digits(14).map(lambda rest: "7" + rest),
        digits(14).map(lambda rest: "4" + rest),
    )
)
def test_every_candidate_can_be_given_back(text):
    for spelled in candidates(text):
        if spelled.startswith("("):
            assert refusal(spelled).startswith(f"GS1 message: given {spelled}, expected a GTIN")
        else:
            assert read_barcode(spelled).chain == spelled


def lacking_fnc1(text, reason):
    with pytest.raises(BadInput) as caught:
        read_barcode(text)
    assert caught.value.reason is reason
    subject = {Reason.AMBIGUOUS_CODE: "code that may lack FNC1", Reason.BAD_IDENTIFIER: "missing FNC1"}[
        reason
    ]
    assert caught.value.subject == subject
    assert all(candidate in str(caught.value) for candidate in caught.value.candidates)
    return list(caught.value.candidates)


@pytest.mark.parametrize(
    ("text", "spelled"),
    [
        (f"01{GTIN}10A717271231", [f"01/{GTIN}/10/A717271231", f"(01){GTIN}(10)A7(17)271231"]),
        (f"01{GTIN}10A721S5", [f"01/{GTIN}/10/A721S5", f"(01){GTIN}(10)A7(21)S5"]),
        (f"01{GTIN}1727123121S510A7", [f"01/{GTIN}/21/S510A7", f"(01){GTIN}(17)271231(21)S5(10)A7"]),
        # The chain is the same and the expiry date is not.
        (f"01{GTIN}240B17271231", [f"01/{GTIN}", f"(01){GTIN}(240)B(17)271231"]),
        (f"00{SSCC}400A3303000120", [f"00/{SSCC}", f"(00){SSCC}(400)A(3303)000120"]),
    ],
)
def test_a_separator_that_may_be_missing_is_not_guessed_away(text, spelled):
    assert lacking_fnc1(text, Reason.AMBIGUOUS_CODE) == spelled
    as_it_stands, *others = [read_barcode(candidate) for candidate in spelled]
    # A symbology identifier tells that the scanner sends what GS1 asks of it, and so does a separator.
    assert read_barcode(f"]C1{text}").chain == as_it_stands.chain
    assert read_barcode(f"\x1d{text}").chain == as_it_stands.chain
    assert read_barcode(text, Symbology.GS1_DATA_MATRIX).chain == as_it_stands.chain
    assert as_it_stands not in others


@pytest.mark.parametrize("mark", ["", "]C1", "]d2"])
def test_what_is_too_long_for_its_identifier_lacks_fnc1(mark):
    text = f"01{GTIN}10{'A' * 18}17271231"
    spelled = [f"(01){GTIN}(10){'A' * 18}(17)271231"]
    assert lacking_fnc1(mark + text, Reason.BAD_IDENTIFIER) == spelled
    assert lacking_fnc1(f"{mark}{text}\x1d21S5", Reason.BAD_IDENTIFIER) == [f"{spelled[0]}(21)S5"]


@pytest.mark.parametrize("mark", ["]C1", "\x1d"])
def test_what_is_too_long_and_can_be_cut_nowhere_is_only_too_long(mark):
    message = refusal(f"{mark}01{GTIN}10{'A' * 21}")
    assert message == f"value of AI (10): given {'A' * 21}, expected BATCH/LOT, format X..20"


def test_what_may_say_too_many_things_without_fnc1_is_not_read():
    measures = "".join(f"{kind}3000001" for kind in range(310, 317)) + "".join(
        f"{kind}3000001" for kind in range(330, 337)
    )
    dates = "".join(f"{ai}260101" for ai in (11, 13, 15, 17))
    text = f"01{GTIN}{dates}{measures}240{'B' * 30}"
    assert len(text) < 256
    assert read_barcode(text).attributes.lot is None
    longer = f"01{GTIN}{dates}{measures}3203000001" + "3213000001" * 3 + f"99{'B' * 30}"
    assert len(longer) > 256
    assert refusal(longer).startswith(f"element strings without FNC1: given 01{GTIN}11260101")
    assert read_barcode(f"]C1{longer}").chain == f"01/{GTIN}"
    assert read_barcode(f"{longer}\x1d").chain == f"01/{GTIN}"


def test_no_more_candidates_are_named_than_people_can_choose_between():
    text = f"01{GTIN}10" + "A21A10A22A13260101A"
    assert 2 < len(lacking_fnc1(text, Reason.AMBIGUOUS_CODE)) <= 7


@given(gtins, lots, serials, st.sampled_from(["10", "21"]))
def test_swallowed_separators_never_give_another_key(gtin, lot, serial, first):
    values = {"10": lot, "21": serial} if first == "10" else {"21": serial, "10": lot}
    parts = [ai + value for ai, value in values.items()]
    assert read_barcode(f"01{gtin}{parts[0]}\x1d{parts[1]}").chain == ChainKey.serial(gtin, serial)
    with pytest.raises(BadInput) as caught:
        read_barcode(f"01{gtin}{''.join(parts)}")
    assert len(caught.value.candidates) >= 1


CARRIER = "one that carries plain text"
S10_SHAPE = "two capital letters, nine digits, two capital letters"
NUMBER = "4 to 32 of A-Z, 0-9 and inner '-'"


@pytest.mark.parametrize(
    ("defect", "text", "message"),
    [
        ("nothing", "", f"code: given an empty text, expected {ACCEPTED}"),
        ("blanks", " \r\n", f"code: given  \\r\\n, expected {ACCEPTED}"),
        ("a word", "hello", f"code: given hello, expected {ACCEPTED}"),
        ("seven digits", "1234567", f"code: given 1234567, expected {ACCEPTED}"),
        ("blank within", "6901234 567892", f"code: given 6901234 567892, expected {ACCEPTED}"),
        ("control character", "69012345\x1b67892", f"code: given 69012345\\x1b67892, expected {ACCEPTED}"),
        (
            "full-width digits",
            "６901234567892",
            f"code: given \\uff16901234567892, expected ASCII characters only: {ACCEPTED}",
        ),
        (
            "no-break space behind",
            "6901234567892\xa0",
            f"code: given 6901234567892\\xa0, expected ASCII characters only: {ACCEPTED}",
        ),
        ("another scheme", "tel:13800138000", f"code: given tel:13800138000, expected {ACCEPTED}"),
        ("wrong check digit", "6901234567891", "GTIN 6901234567891 check digit: given 1, expected 2"),
        ("wrong check digit, EAN", "]E06901234567891", "GTIN 6901234567891 check digit: given 1, expected 2"),
        (
            "wrong check digit, GS1",
            "]C10106901234567891",
            "GTIN 06901234567891 check digit: given 1, expected 2",
        ),
        (
            "wrong check digit, bare element strings",
            "010690123456789110A7",
            "GTIN 06901234567891 check digit: given 1, expected 2",
        ),
        (
            "wrong check digit, Digital Link",
            "https://example.com/01/6901234567891",
            "GTIN 06901234567891 check digit: given 1, expected 2",
        ),
        (
            "wrong check digit, S10",
            "RA123456786CN",
            "S10 number RA123456786CN check digit: given 6, expected 5",
        ),
        (
            "wrong check digit, UPC-E or EAN-8",
            "14252615",
            (
                "code: given 14252615, expected one of these to hold: "
                "GTIN 14252615 check digit: given 5, expected 7; "
                "UPC-E 14252615 check digit: given 5, expected 1"
            ),
        ),
        (
            "a shop's own number, which is no UPC-E",
            "04252610",
            "UPC-E 04252610 check digit: given 0, expected 4",
        ),
        (
            "wrong check digit, SSCC",
            "906141412345678900",
            "SSCC 906141412345678900 check digit: given 0, expected 4",
        ),
        (
            "wrong check digit, SSCC or USCC",
            "916141412345678900",
            (
                "code: given 916141412345678900, expected one of these to hold: "
                "SSCC 916141412345678900 check digit: given 0, expected 3; "
                "USCC 916141412345678900 check character: given 0, expected D"
            ),
        ),
        (
            "wrong check character",
            "91110000600037341M",
            "USCC 91110000600037341M check character: given M, expected L",
        ),
        (
            "letter that no USCC has",
            "9111000060003734IL",
            (
                "USCC: given 9111000060003734IL, "
                "expected 18 characters of 0123456789ABCDEFGHJKLMNPQRTUWXY, the third to the eighth digits"
            ),
        ),
        (
            "element strings that identify nothing",
            "]C110A7",
            "GS1 message: given (10)A7, expected a GTIN in AI (01) or an SSCC in AI (00)",
        ),
        (
            "the same without symbology identifier",
            "10A7\x1d17271231",
            "GS1 message: given (10)A7(17)271231, expected a GTIN in AI (01) or an SSCC in AI (00)",
        ),
        (
            "the same in one element",
            "10ABCDEFGHIJKLMNOP",
            "GS1 message: given (10)ABCDEFGHIJKLMNOP, expected a GTIN in AI (01) or an SSCC in AI (00)",
        ),
        (
            "element strings in a symbology that has none",
            f"]C001{GTIN}10A7",
            f"code: given 01{GTIN}10A7, expected {ACCEPTED}",
        ),
        (
            "symbology identifier alone",
            "]C1",
            "GS1 message: given an empty text, expected an application identifier and its value",
        ),
        ("plain symbology identifier alone", "]C0", f"code: given an empty text, expected {ACCEPTED}"),
        (
            "symbology cut short",
            "]",
            "symbology identifier: given ], expected ']', a letter, and a digit or letter",
        ),
        (
            "symbology beyond ISO 15424",
            "]!1",
            "symbology identifier: given ]!1, expected ']', a letter, and a digit or letter",
        ),
        (
            "letters in an EAN-13",
            "]E069O1234567892",
            "symbol ]E0: given 69O1234567892, expected 12 or 13 digits, or the 8 of a UPC-E",
        ),
        (
            "add-on missing",
            "]E36901234567892",
            "symbol ]E3: given 6901234567892, expected 13 digits, and 2 or 5 more",
        ),
        ("13 digits in an EAN-8", "]E46901234567892", "symbol ]E4: given 6901234567892, expected 8 digits"),
        ("waybill of a named carrier", "sf:1", f"waybill number: given 1, expected {NUMBER}"),
    ],
)
def test_what_means_nothing_or_says_it_wrong_is_refused(defect, text, message):
    assert refusal(text) == message


def test_what_begins_as_a_chain_key_must_be_one():
    message = refusal("01/6901234567892", reason=Reason.BAD_CHAIN_KEY)
    assert message.startswith(
        "chain key: given 01/6901234567892, expected the canonical spelling of one of ledger,"
    )


def test_a_reader_and_a_text_that_tell_different_symbologies_are_refused():
    assert (
        refusal("]E06901234567892", Symbology.CODE_128)
        == "symbology identifier: given ]E0, expected ]C0, as the reader says"
    )
    assert read_barcode("]E06901234567892", Symbology.EAN_13).chain == f"01/{GTIN}"


@pytest.mark.parametrize("symbology", [*RETAIL_SYMBOLOGIES, *GS1_SYMBOLOGIES])
def test_a_carrier_is_not_told_of_what_only_carries_products(symbology):
    message = refusal("75312345678901", symbology, carrier="zto")
    assert message == f"symbology of a waybill: given {symbology}, expected {CARRIER}"


@pytest.mark.parametrize("symbology", PLAIN_SYMBOLOGIES)
def test_plain_symbologies_carry_what_stands_alone(symbology):
    assert read_barcode("SF1234567890123", symbology).chain == "waybill/sf/SF1234567890123"
    assert read_barcode(f"{symbology}SF1234567890123").chain == "waybill/sf/SF1234567890123"
    assert read_barcode("75312345678901", symbology, carrier="zto").chain == "waybill/zto/75312345678901"


@pytest.mark.parametrize(
    ("text", "carrier", "message"),
    [
        (
            "75312345678901",
            "ZTO",
            "carrier: given ZTO, expected 1 to 16 of a-z, 0-9 and '-', not beginning with '-'",
        ),
        (f"(01){GTIN}", "zto", f"waybill number: given (01){GTIN}, expected {NUMBER}"),
        ("", "zto", f"code: given an empty text, expected {ACCEPTED}"),
        (
            "75312345678901",
            "upu",
            f"S10 number: given 75312345678901, expected {S10_SHAPE}",
        ),
    ],
)
def test_with_a_carrier_only_a_waybill_number_will_do(text, carrier, message):
    assert refusal(text, carrier=carrier) == message


@pytest.mark.parametrize("start", ["", "]C1", "]d2", "(01)", "https://a/01/", "01/", "sf:", "\x1d"])
@pytest.mark.parametrize("rest", ["6", "%41", "(", "30\x1d", "/99/a", "\ud800", "溯", "\x00", "99=&"])
def test_ten_kilobytes_of_anything_are_refused(start, rest):
    text = (start + rest * 10_000)[:10_000]
    message = refusal(text)
    assert message.endswith(f"… (10000 characters), expected at most {MAX_CHARACTERS} characters")
    assert len(message) < 1_000
    longest = text[:MAX_CHARACTERS]
    with pytest.raises(BadInput) as caught:
        read_barcode(longest)
    assert len(str(caught.value)) < 2_000


FRAGMENTS = (
    "]C1 ]d2 ]E0 ]Q3 01 00 10 17 21 ( ) (01) / % : https://a.cn/ ? & = "
    "sf SF 271231 waybill/ party/ ledger \\ - A"
)
fragments = st.sampled_from([GTIN, SSCC, USCC, DRUG, " ", "\x1d", *FRAGMENTS.split()])


@given(
    st.one_of(
        st.text(),
        st.lists(fragments).map("".join),
        st.from_regex(r"\d{6,22}"),
        st.from_regex(r"[0-9A-Z]{10,20}"),
    ),
    st.none() | st.sampled_from(Symbology),
    st.none() | carriers | st.text(),
    st.integers(1970, 2100),
)
def test_no_text_raises_anything_but_a_refusal_or_gives_anything_but_a_key(text, symbology, carrier, year):
    with suppress(BadInput):
        chain = read_barcode(text, symbology, carrier=carrier, year=year).chain
        assert ChainKey.parse(str(chain)) == chain


@given(gtins, st.data())
def test_a_wrong_digit_never_passes_in_any_spelling(gtin, data):
    place, digit = data.draw(st.integers(0, 13)), data.draw(st.sampled_from("0123456789"))
    assume(digit != gtin[place])
    wrong = gtin[:place] + digit + gtin[place + 1 :]
    for text in (f"]C101{wrong}", f"(01){wrong}", f"https://a.cn/01/{wrong}", f"]I1{wrong}", f"]e001{wrong}"):
        refusal(text)


def test_the_symbols_of_real_products_read_as_their_gtin(shared):
    images = json.loads((shared / "barcodes" / "MANIFEST.json").read_text())["images"]
    printed_as = {
        "EAN-13": Symbology.EAN_13,
        "UPC-A": Symbology.EAN_13,
        "EAN-8": Symbology.EAN_8,
        "EAN-13+add-on": Symbology.EAN_13_ADD_ON,
        "GS1 DataBar": Symbology.GS1_DATABAR,
    }
    read = 0
    for image in images:
        if image["symbology"] in printed_as:
            text, symbology = image["expected"], printed_as[image["symbology"]]
            gtin = text[2:] if symbology is Symbology.GS1_DATABAR else text[:13]
            assert read_barcode(text, symbology).chain == ChainKey.product(gtin)
            read += 1
    assert read == 55


def test_no_text_of_a_real_symbol_raises_anything_but_a_refusal(shared):
    images = json.loads((shared / "barcodes" / "MANIFEST.json").read_text())["images"]
    for text in filter(None, (image["expected"] for image in images)):
        for symbology in (None, *Symbology):
            with suppress(BadInput):
                read_barcode(text, symbology)
