from __future__ import annotations

import doctest
import re
from contextlib import suppress

import biip
import pytest
from biip.gln import Gln
from biip.gtin import Gtin
from biip.sscc import Sscc
from biip.upc import Upc
from hypothesis import assume, example, given
from hypothesis import strategies as st
from identifier_strategies import digits, drug_codes, glns, printed_gtins, s10_numbers, ssccs, usccs
from stdnum import ean
from stdnum.cn import uscc as stdnum_uscc

import ledger.identifiers
from ledger.errors import BadInput, Reason
from ledger.identifiers import (
    USCC_ALPHABET,
    expand_upce,
    gs1_check_digit,
    is_s10,
    parse_drug_code,
    parse_gln,
    parse_gtin,
    parse_region,
    parse_s10,
    parse_sscc,
    parse_uscc,
    printable,
    s10_check_digit,
    uscc_check_character,
)

PARSERS = [
    parse_gtin,
    expand_upce,
    parse_sscc,
    parse_gln,
    parse_uscc,
    parse_s10,
    parse_drug_code,
    parse_region,
]

S10_SHAPE = "two capital letters, nine digits, two capital letters"

# 31 divides the weighted sum of these 17 characters.
REMAINDER_0 = "91350100M00000000"


def refusal(parse, text):
    with pytest.raises(BadInput) as caught:
        parse(text)
    assert caught.value.reason is Reason.BAD_IDENTIFIER
    return str(caught.value)


def test_the_examples_in_the_docstrings_hold():
    assert doctest.testmod(ledger.identifiers).failed == 0


@pytest.mark.parametrize(
    ("printed", "stored"),
    [
        ("96385074", "00000096385074"),
        ("036000291452", "00036000291452"),
        ("6901234567892", "06901234567892"),
        ("4006381333931", "04006381333931"),
        ("10614141000415", "10614141000415"),
    ],
)
def test_a_gtin_of_each_length_is_stored_with_14_digits(printed, stored):
    assert parse_gtin(printed) == stored
    assert parse_gtin(stored) == stored


@pytest.mark.parametrize(
    ("parse", "text"),
    [
        (parse_sscc, "106141412345678908"),
        (parse_gln, "1234567890128"),
        (parse_uscc, "91110000600037341L"),
        (parse_s10, "RA123456785CN"),
        (parse_drug_code, "81234567890123456789"),
        (parse_region, "350102"),
        (parse_region, "NO"),
    ],
)
def test_a_right_identifier_is_stored_as_it_is(parse, text):
    assert parse(text) == text


@pytest.mark.parametrize(
    ("parse", "text", "message"),
    [
        (parse_gtin, "6901234567891", "GTIN 6901234567891 check digit: given 1, expected 2"),
        (parse_gtin, "96385075", "GTIN 96385075 check digit: given 5, expected 4"),
        (parse_sscc, "106141412345678900", "SSCC 106141412345678900 check digit: given 0, expected 8"),
        (parse_gln, "1234567890121", "GLN 1234567890121 check digit: given 1, expected 8"),
        (parse_uscc, "91110000600037341M", "USCC 91110000600037341M check character: given M, expected L"),
        (parse_s10, "RA123456786CN", "S10 number RA123456786CN check digit: given 6, expected 5"),
        (expand_upce, "04252615", "UPC-E 04252615 check digit: given 5, expected 4"),
    ],
)
def test_a_wrong_check_digit_is_told_with_the_right_one(parse, text, message):
    assert refusal(parse, text) == message


@pytest.mark.parametrize(
    ("defect", "text"),
    [
        ("empty", ""),
        ("eleven digits", "69012345678"),
        ("fifteen digits", "069012345678920"),
        ("blank behind", "6901234567892 "),
        ("blank before", " 6901234567892"),
        ("line end", "6901234567892\n"),
        ("plus sign", "+901234567892"),
        ("minus sign", "-901234567892"),
        ("hyphens", "6-901234-567892"),
        ("underscore as in a Python number", "690123_567892"),
        ("full-width digits", "６９０１２３４５６７８９２"),
        ("one full-width digit", "690123456789２"),
        ("Arabic-Indic digits", "٦٩٠١٢٣٤٥٦٧٨٩٢"),
        ("superscript", "690123456789²"),
        ("letter O for zero", "69O1234567892"),
        ("NUL within", "690123\x00567892"),
    ],
)
def test_a_gtin_of_the_wrong_shape_is_refused(defect, text):
    given = {"": "an empty text"}.get(text, printable(text))
    assert refusal(parse_gtin, text) == f"GTIN: given {given}, expected 8, 12, 13 or 14 digits"


@pytest.mark.parametrize(
    ("parse", "text", "message"),
    [
        (parse_sscc, "10614141234567890", "SSCC: given 10614141234567890, expected 18 digits"),
        (parse_gln, "123456789012", "GLN: given 123456789012, expected 13 digits"),
        (
            parse_drug_code,
            "71234567890123456789",
            "drug trace code: given 71234567890123456789, expected 20 digits beginning with 8",
        ),
        (
            parse_drug_code,
            "8123456789012345678",
            "drug trace code: given 8123456789012345678, expected 20 digits beginning with 8",
        ),
        (
            parse_s10,
            "ra123456785cn",
            "S10 number: given ra123456785cn, expected two capital letters, nine digits, two capital letters",
        ),
        (
            parse_s10,
            "RA12345678５CN",
            f"S10 number: given RA12345678\\uff15CN, expected {S10_SHAPE}",
        ),
        (expand_upce, "24252614", "UPC-E: given 24252614, expected 8 digits beginning with 0 or 1"),
        (
            uscc_check_character,
            "9111000060003734",
            "USCC without its check character: given 9111000060003734, expected 17 characters of "
            + USCC_ALPHABET,
        ),
        (s10_check_digit, "1234567", "S10 serial number: given 1234567, expected 8 digits"),
        (s10_check_digit, "1234567８", "S10 serial number: given 1234567\\uff18, expected 8 digits"),
        (gs1_check_digit, "", "digits before a check digit: given an empty text, expected ASCII digits"),
        (gs1_check_digit, "12x", "digits before a check digit: given 12x, expected ASCII digits"),
    ],
)
def test_a_wrong_shape_is_told_with_the_right_one(parse, text, message):
    assert refusal(parse, text) == message


@pytest.mark.parametrize(
    "text", ["", "CHN", "cn", "C", "35010", "3501022", "050102", "３５０１０２", "CN\n", "35 102"]
)
def test_a_region_of_neither_shape_is_refused(text):
    expected = "six digits (GB/T 2260) or two capital letters (ISO 3166-1)"
    assert refusal(parse_region, text) == f"region: given {printable(text)}, expected {expected}"


def test_a_uscc_whose_remainder_is_0_ends_in_0():
    values = [USCC_ALPHABET.index(character) for character in REMAINDER_0]
    assert sum(value * 3**place for place, value in enumerate(values)) % 31 == 0
    assert uscc_check_character(REMAINDER_0) == "0"
    assert parse_uscc(REMAINDER_0 + "0") == REMAINDER_0 + "0"
    assert stdnum_uscc.is_valid(REMAINDER_0 + "0")


@pytest.mark.parametrize("letter", "IOSVZ")
@pytest.mark.parametrize("place", [0, 9, 17])
def test_a_letter_that_gb_32100_leaves_out_is_refused(letter, place):
    text = "91110000600037341L"
    refusal(parse_uscc, text[:place] + letter + text[place + 1 :])


@pytest.mark.parametrize("text", ["91110000600037341l", "9111000060003734 1L", "9111A000600037341L"])
def test_a_uscc_in_small_letters_with_a_blank_or_a_letter_in_the_region_is_refused(text):
    expected = "18 characters of 0123456789ABCDEFGHJKLMNPQRTUWXY, the third to the eighth digits"
    assert refusal(parse_uscc, text) == f"USCC: given {text}, expected {expected}"


@pytest.mark.parametrize("authority", ["N2", "Y1", "A1", "93"])
def test_a_uscc_may_begin_with_letters(authority):
    body = authority + "350100MF1234567"
    assert parse_uscc(body + uscc_check_character(body))


@pytest.mark.parametrize(
    ("serial", "check"),
    [("12345678", "5"), ("00000000", "5"), ("70000000", "0"), ("00000001", "4"), ("47312482", "9")],
)
def test_the_s10_check_digit_of_known_serials(serial, check):
    # UPU S10: 11 less the remainder, where 10 is written 0 and 11 is written 5.
    assert s10_check_digit(serial) == check
    assert is_s10(f"RA{serial}{check}CN")


@pytest.mark.parametrize(
    ("short", "long"),
    [
        ("04252614", "042100005264"),
        ("01234505", "012000003455"),
        ("01234514", "012100003454"),
        ("01234531", "012300000451"),
        ("01234543", "012340000053"),
        ("01234558", "012345000058"),
        ("01234596", "012345000096"),
    ],
)
def test_upc_e_expands_by_its_last_digit(short, long):
    assert expand_upce(short) == long


@given(digits(6), st.sampled_from("01"))
def test_upc_e_expands_as_biip_expands_it(symbol, system):
    long = Upc.parse(system + symbol).as_upc_a()
    assert expand_upce(system + symbol + long[-1]) == long


@given(printed_gtins)
@example("00000000")
def test_gtins_are_those_of_stdnum(text):
    assert parse_gtin(text) == text.zfill(14)
    assert ean.is_valid(text)


@given(printed_gtins.filter(lambda text: len(text.lstrip("0")) > 8))
def test_gtins_are_those_of_biip(text):
    assert Gtin.parse(text).as_gtin_14() == parse_gtin(text)


@given(ssccs, glns)
def test_ssccs_and_glns_are_those_of_biip(sscc, gln):
    assert parse_sscc(sscc) == sscc == Sscc.parse(sscc).value
    assert parse_gln(gln) == gln == Gln.parse(gln).value


@given(st.from_regex(r"[0-9]{13}|[0-9]{18}", fullmatch=True))
def test_any_digits_are_judged_as_biip_judges_them(text):
    ours, theirs = (parse_sscc, Sscc.parse) if len(text) == 18 else (parse_gln, Gln.parse)
    assert holds(ours, text) == holds(theirs, text)


@given(usccs.filter(lambda text: text[:2].isdigit()))
def test_usccs_are_those_of_stdnum(text):
    assert parse_uscc(text) == text == stdnum_uscc.validate(text)


@given(st.from_regex(r"[0-9]{8}[0-9A-HJ-NPQRTUWXY]{10}", fullmatch=True))
def test_any_uscc_is_judged_as_stdnum_judges_it(text):
    assert holds(parse_uscc, text) == stdnum_uscc.is_valid(text)


@given(drug_codes)
def test_drug_codes_are_stored_as_they_are(text):
    assert parse_drug_code(text) == text


GUARDED = [
    (parse_gtin, printed_gtins, "0123456789"),
    (parse_sscc, ssccs, "0123456789"),
    (parse_gln, glns, "0123456789"),
    (parse_uscc, usccs, USCC_ALPHABET),
]


@pytest.mark.parametrize(("parse", "identifiers", "alphabet"), GUARDED)
@given(st.data())
def test_one_wrong_character_never_passes(parse, identifiers, alphabet, data):
    text = data.draw(identifiers)
    place = data.draw(st.integers(0, len(text) - 1))
    wrong = data.draw(st.sampled_from(alphabet))
    assume(wrong != text[place])
    refusal(parse, text[:place] + wrong + text[place + 1 :])


@given(s10_numbers, st.sampled_from("0123456789"))
def test_a_wrong_s10_check_digit_never_passes(text, wrong):
    assume(wrong != text[10])
    assert is_s10(text)
    assert not is_s10(text[:10] + wrong + text[11:])
    assert re.fullmatch(
        rf"S10 number \w+ check digit: given {wrong}, expected {text[10]}",
        refusal(parse_s10, text[:10] + wrong + text[11:]),
    )


@pytest.mark.parametrize("parse", [*PARSERS, gs1_check_digit, uscc_check_character, s10_check_digit, is_s10])
@given(st.one_of(st.text(), st.from_regex(r"[0-9A-Z]{6,20}"), st.from_regex(r"\d{8,20}")))
def test_no_text_raises_anything_but_a_refusal(parse, text):
    with suppress(BadInput):
        parse(text)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("", "an empty text"),
        ("A(7", "A(7"),
        ("\x1b[31m\n", "\\x1b[31m\\n"),
        ("６", "\\uff16"),
        ("\ud800", "\\ud800"),
        ("x" * 10_000, "x" * 128 + "… (10000 characters)"),
    ],
)
def test_hostile_text_is_shown_escaped_and_cut(text, shown):
    assert printable(text) == shown


def holds(parse, text):
    try:
        parse(text)
    except (BadInput, biip.ParseError):
        return False
    return True
