from __future__ import annotations

from datetime import date
from decimal import Decimal

import pytest
from biip.gs1_element_strings import GS1ElementString
from hypothesis import given
from hypothesis import strategies as st

from ledger.chain_key import ChainKey
from ledger.errors import BadInput, Reason
from ledger.reading import AIS_READ, Attributes, Reading, ambiguity, parse_date

GTIN = "06901234567892"
SSCC = "106141412345678908"


def refusal(elements, reason=Reason.BAD_IDENTIFIER):
    with pytest.raises(BadInput) as caught:
        Reading.of_message(elements, 2026)
    assert caught.value.reason is reason
    return str(caught.value)


@pytest.mark.parametrize(
    ("elements", "chain"),
    [
        ({"01": GTIN}, ChainKey.product(GTIN)),
        ({"01": GTIN, "10": "A"}, ChainKey.lot(GTIN, "A")),
        ({"01": GTIN, "21": "S"}, ChainKey.serial(GTIN, "S")),
        ({"21": "S", "10": "A", "01": GTIN}, ChainKey.serial(GTIN, "S")),
        ({"01": GTIN, "17": "271231", "99": "x"}, ChainKey.product(GTIN)),
        ({"00": SSCC}, ChainKey.logistic_unit(SSCC)),
        ({"00": SSCC, "02": GTIN, "10": "A", "37": "12"}, ChainKey.logistic_unit(SSCC)),
    ],
)
def test_what_a_message_identifies(elements, chain):
    assert Reading.of_message(elements, 2026).chain == chain


def test_everything_else_that_is_read():
    elements = {
        "01": GTIN,
        "10": "A/7",
        "11": "260131",
        "13": "260201",
        "15": "270600",
        "17": "280200",
        "21": "S 1",
        "22": "2A",
        "3103": "001950",
        "422": "156",
    }
    with pytest.raises(BadInput, match="serial number: given S 1"):
        Reading.of_message(elements, 2026)
    assert Attributes.of_message(elements, 2026) == Attributes(
        lot="A/7",
        serial="S 1",
        variant="2A",
        production_date=date(2026, 1, 31),
        packaging_date=date(2026, 2, 1),
        best_before_date=date(2027, 6, 30),
        expiry_date=date(2028, 2, 29),
        net_weight=Decimal("1.950"),
    )
    assert elements.keys() - AIS_READ == {"422"}


def test_a_silent_message_has_no_attributes():
    assert Reading.of_message({"01": GTIN}, 2026) == Reading(ChainKey.product(GTIN), Attributes())


@pytest.mark.parametrize(
    ("elements", "message"),
    [
        (
            {"10": "A(1"},
            "GS1 message: given (10)A\\(1, expected a GTIN in AI (01) or an SSCC in AI (00)",
        ),
        ({"01": "06901234567891"}, "GTIN 06901234567891 check digit: given 1, expected 2"),
        ({"00": "106141412345678900"}, "SSCC 106141412345678900 check digit: given 0, expected 8"),
        ({"01": GTIN, "17": "261301"}, "value of AI (17): given 261301, expected a date YYMMDD"),
        ({"01": GTIN, "11": "000000"}, "value of AI (11): given 000000, expected a date YYMMDD"),
        ({"01": GTIN, "15": "270229"}, "value of AI (15): given 270229, expected a date YYMMDD"),
        (
            {"01": GTIN, "3102": "000195", "3103": "001950"},
            "net weight: given (3102)000195(3103)001950, expected only one AI (310n)",
        ),
    ],
)
def test_a_message_that_says_something_wrong_or_nothing_is_refused(elements, message):
    assert refusal(elements) == message


def test_a_message_that_identifies_two_things_is_ambiguous():
    assert refusal({"01": GTIN, "10": "A", "00": SSCC}, Reason.AMBIGUOUS_CODE) == (
        f"ambiguous code: given (01){GTIN}(10)A(00){SSCC}, "
        f"expected one of these, spelled out: 01/{GTIN}/10/A, 00/{SSCC}"
    )


@pytest.mark.parametrize(
    ("value", "year", "day"),
    [
        ("760101", 2026, date(2076, 1, 1)),
        ("770101", 2026, date(1977, 1, 1)),
        ("260101", 2026, date(2026, 1, 1)),
        ("990101", 2026, date(1999, 1, 1)),
        ("000101", 2026, date(2000, 1, 1)),
        ("000229", 2026, date(2000, 2, 29)),
        ("500101", 2000, date(2050, 1, 1)),
        ("510101", 2000, date(1951, 1, 1)),
        ("490101", 2099, date(2149, 1, 1)),
        ("500101", 2099, date(2050, 1, 1)),
        ("010101", 2051, date(2101, 1, 1)),
        ("020101", 2051, date(2002, 1, 1)),
        ("270200", 2026, date(2027, 2, 28)),
        ("281200", 2026, date(2028, 12, 31)),
    ],
)
def test_a_date_is_of_the_century_that_brings_it_nearest(value, year, day):
    assert parse_date(value, year) == day


@given(st.integers(1900, 2200), st.integers(0, 99))
def test_a_date_is_at_most_49_years_past_or_50_ahead(year, short_year):
    read = parse_date(f"{short_year:02}0615", year)
    assert -49 <= read.year - year <= 50
    assert read.year % 100 == short_year


@given(st.dates(date(1990, 1, 1), date(2060, 1, 1)))
def test_dates_are_those_of_biip(day):
    # biip asks the clock for the century; these dates it reads alike for as long as it will matter.
    value = day.strftime("%y%m%d")
    assert parse_date(value, 2026) == GS1ElementString.parse("17" + value).date == day


@pytest.mark.parametrize(
    "value", ["", "26010", "2601011", "260001", "260132", "260431", "26０101", "-60101", "26-1-1", "26 101"]
)
def test_what_is_no_day_is_refused(value):
    with pytest.raises(BadInput, match="expected a date YYMMDD"):
        parse_date(value, 2026)


@pytest.mark.parametrize("year", [-200, 10_000])
def test_a_year_beyond_the_calendar_is_refused(year):
    with pytest.raises(BadInput, match="expected a date YYMMDD"):
        parse_date("260100", year)


@pytest.mark.parametrize(("ai", "kilograms"), [(f"310{n}", Decimal(12345).scaleb(-n)) for n in range(6)])
def test_a_net_weight_has_as_many_decimals_as_its_ai_says(ai, kilograms):
    weight = Attributes.of_message({ai: "012345"}, 2026).net_weight
    assert weight == kilograms == GS1ElementString.parse(ai + "012345").decimal
    assert -weight.as_tuple().exponent == int(ai[3])


def test_an_ambiguity_names_what_the_text_can_mean():
    error = ambiguity("1", ["a", "b"])
    assert error.reason is Reason.AMBIGUOUS_CODE
    assert str(error) == "ambiguous code: given 1, expected one of these, spelled out: a, b"
