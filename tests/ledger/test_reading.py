from __future__ import annotations

from datetime import date
from decimal import Decimal

import pytest
from biip.gs1_element_strings import GS1ElementString
from hypothesis import given
from hypothesis import strategies as st

from ledger.chain_key import ChainKey
from ledger.errors import BadInput, Reason
from ledger.gs1_checks import parse_date
from ledger.reading import AIS_READ, Attributes, Reading, ambiguity, missing_fnc1

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
        "3302": "000230",
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
        gross_weight=Decimal("2.30"),
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
            "AI (3103) beside AI (3102): given (3102)000195(3103)001950, expected not both in one message",
        ),
        # In a GTIN's company are the check digits, dates and ranges of every other AI.
        (
            {"00": SSCC, "02": "06901234567891", "37": "5"},
            "value of AI (02): given 06901234567891, expected check digit 2",
        ),
        (
            {"01": GTIN, "412": "5412150000151"},
            "value of AI (412): given 5412150000151, expected check digit 4",
        ),
        (
            {"01": GTIN, "7003": "2601012460"},
            "value of AI (7003): given 2601012460, expected an hour and minute",
        ),
        ({"01": GTIN, "99": "~"}, "value of AI (99): given ~, expected INTERNAL, format X..90"),
        # Of trade items in a box, not beside a trade item.
        (
            {"01": GTIN, "37": "5"},
            f"AI (37) beside AI (01): given (01){GTIN}(37)5, expected not both in one message",
        ),
        (
            {"01": GTIN, "02": GTIN, "37": "5"},
            f"AI (37) beside AI (01): given (01){GTIN}(37)5, expected not both in one message",
        ),
        (
            {"01": GTIN, "21": "S", "235": "T"},
            "AI (235) beside AI (21): given (21)S(235)T, expected not both in one message",
        ),
        (
            {"8003": "02112345678900ABC"},
            "GS1 message: given (8003)02112345678900ABC, expected a GTIN in AI (01) or an SSCC in AI (00)",
        ),
    ],
)
def test_a_message_that_says_something_wrong_or_nothing_is_refused(elements, message):
    assert refusal(elements) == message


@pytest.mark.parametrize("kind", ["310", "330"])
def test_two_weights_of_a_kind_are_no_weight(kind):
    name = {"310": "net", "330": "gross"}[kind]
    with pytest.raises(BadInput) as caught:
        Attributes.of_message({f"{kind}2": "000195", f"{kind}3": "001950"}, 2026)
    assert str(caught.value) == (
        f"{name} weight: given ({kind}2)000195({kind}3)001950, expected only one AI ({kind}n)"
    )


def test_refusals_carry_their_candidates():
    assert ambiguity("1", ["a", "b"]).candidates == ("a", "b")
    refusal = missing_fnc1("1", ["(01)1", "(01)2"])
    assert refusal.candidates == ("(01)1", "(01)2")
    assert str(refusal) == (
        "missing FNC1: given 1, expected FNC1 where it belongs, as in one of these: (01)1, (01)2"
    )
    assert BadInput(Reason.BAD_KEY, "key").candidates == ()


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


@pytest.mark.parametrize("kind", ["310", "330"])
@pytest.mark.parametrize("n", range(6))
def test_a_weight_has_as_many_decimals_as_its_ai_says(kind, n):
    ai = f"{kind}{n}"
    read = Attributes.of_message({ai: "012345"}, 2026)
    weight = read.net_weight if kind == "310" else read.gross_weight
    assert weight == Decimal(12345).scaleb(-n) == GS1ElementString.parse(ai + "012345").decimal
    assert -weight.as_tuple().exponent == int(ai[3])


def test_an_ambiguity_names_what_the_text_can_mean():
    error = ambiguity("1", ["a", "b"])
    assert error.reason is Reason.AMBIGUOUS_CODE
    assert str(error) == "ambiguous code: given 1, expected one of these, spelled out: a, b"
