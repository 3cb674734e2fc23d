"""The table of application identifiers, beside two others that other people keep: biip's and python-stdnum's."""

from __future__ import annotations

import doctest
import re
from importlib.resources import files

import pytest
from biip.gs1_application_identifiers import _GS1_APPLICATION_IDENTIFIERS as OF_BIIP
from hypothesis import given
from hypothesis import strategies as st
from identifier_strategies import SET_82

import ledger.gs1_ai
from ledger.gs1_ai import ai_at_start, ai_named, contradiction, is_complete
from ledger.gs1_checks import CHECKS
from ledger.gs1_table import ROWS

ALL = [ai for ai in (f"{n:0{digits}}" for digits in (2, 3, 4) for n in range(10**digits)) if ai_named(ai)]


def of_stdnum():
    """AI to its format and whether FNC1 ends it."""
    table = {}
    for line in files("stdnum").joinpath("gs1_ai.dat").read_text().splitlines():
        if line and not line.startswith("#"):
            ais, rest = line.split(" ", 1)
            first, _, last = ais.partition("-")
            facts = dict(re.findall(r'(\w+)="([^"]*)"', rest))
            for number in range(int(first), int(last or first) + 1):
                table[f"{number:0{len(first)}}"] = (facts["format"], "fnc1" in facts)
    return table


def lengths(format_):
    """The least and the greatest length of a value, and whether it is digits alone."""
    least = most = 0
    for optional, upto, length in re.findall(r"(\[\+?)?\+?[NXYZ](\.\.)?([0-9]+)", format_):
        least += 0 if optional else 1 if upto else int(length)
        most += int(length)
    return least, most, not set("XYZ") & set(format_)


def test_the_examples_in_the_docstrings_hold():
    assert doctest.testmod(ledger.gs1_ai).failed == 0


def test_the_identifiers_are_those_of_two_other_tables():
    assert set(ALL) == set(OF_BIIP) == of_stdnum().keys()
    assert len(ALL) == 541


@pytest.mark.parametrize("table", ["biip", "stdnum"])
def test_where_fnc1_ends_a_value_is_as_two_other_tables_have_it(table):
    others = (
        {ai: one.separator_required for ai, one in OF_BIIP.items()}
        if table == "biip"
        else {ai: fnc1 for ai, (_, fnc1) in of_stdnum().items()}
    )
    assert {ai: ai_named(ai).ends_with_fnc1 for ai in ALL} == others


def test_lengths_are_those_of_another_table():
    # Which writes these otherwise: a sign that is a character, and the lengths from one to two.
    otherwise = {"4330", "4331", "4332", "4333", "8043"}
    ours = {ai: lengths(ai_named(ai).format) for ai in ALL if ai not in otherwise}
    theirs = {ai: lengths(format_) for ai, (format_, _) in of_stdnum().items() if ai not in otherwise}
    # The first of up to five countries must be there; of a time without minutes there are no seconds either.
    for ai in ("423", "425"):
        assert (ours.pop(ai), theirs.pop(ai)) == ((3, 15, True), (4, 15, True))
    assert ours == theirs


@given(st.sampled_from(ALL), st.data())
def test_what_fits_in_our_table_and_holds_fits_in_biips(ai, data):
    one = ai_named(ai)
    value = data.draw(st.from_regex(one.pattern, fullmatch=True))
    assert one.fits(value)
    if one.fault(value, 2026) is None:
        assert re.fullmatch(OF_BIIP[ai].pattern, ai + value)


@given(st.sampled_from(ALL), st.text(SET_82, max_size=100) | st.text("0123456789", max_size=40))
def test_what_biips_table_refuses_is_refused(ai, value):
    if not re.fullmatch(OF_BIIP[ai].pattern, ai + value, re.ASCII):
        assert ai_named(ai).fault(value, 2026)


@given(st.sampled_from(ALL), st.text(SET_82 + "\x1d ~é٣", max_size=100))
def test_no_value_raises(ai, value):
    one = ai_named(ai)
    assert one.fits(value) or one.fault(value, 2026) == f"{one.title}, format {one.format}"


@given(st.text("0123456789", max_size=6))
def test_no_identifier_is_the_beginning_of_another(digits):
    beginnings = [ai for ai in ALL if digits.startswith(ai)]
    found = ai_at_start(digits)
    assert [found.ai] == beginnings if found else beginnings == []


@pytest.mark.parametrize("text", ["", "0", "1", "XX", "891234", "23XX", "234567", "8", "80", "800", "０１12"])
def test_what_begins_with_no_identifier(text):
    assert ai_at_start(text) is None


@pytest.mark.parametrize("text", ["", "2", "23", "234", "2345", "371", "011", "01 ", "80", "399"])
def test_what_is_no_identifier(text):
    assert ai_named(text) is None


@pytest.mark.parametrize(
    ("ais", "forbidden"),
    [
        (["01", "37"], ("01", "37")),
        (["37", "01"], ("01", "37")),
        (["02", "37", "01"], ("02", "01")),
        (["3102", "3103"], ("3102", "3103")),
        (["3940", "8111"], ("3940", "8111")),
        (["3950", "3925"], ("3950", "3925")),
        (["8017", "8018"], ("8017", "8018")),
        (["420", "421"], ("420", "421")),
        (["01", "10", "3102", "3112"], None),
        # A range excludes the others of its own, not itself.
        (["3103"], None),
        (["00", "02", "37"], None),
    ],
)
def test_what_must_not_stand_together(ais, forbidden):
    assert contradiction(ais) == forbidden


@pytest.mark.parametrize(
    ("ais", "complete"),
    [
        ("01", True),
        ("10", False),
        ("01 10", True),
        ("02 10", False),
        ("02 10 37", False),
        ("00 02 10 37", True),
        ("01 250", False),
        ("01 21 250", True),
        ("01 3922", False),
        ("01 3103 3922", True),
        ("01 30 3922", True),
        ("8018 7258", False),
        ("8018 7258 7259", True),
        ("01 8030", False),
        ("01 21 8030", True),
        ("00 3302", True),
        ("", True),
    ],
)
def test_what_an_identifier_asks_for_beside_it(ais, complete):
    assert is_complete(set(ais.split())) is complete


def test_every_check_of_the_table_is_one_and_every_identifier_of_an_association_is_known():
    checks = {check for found in re.findall(r":([a-z0-9,]+)", ROWS) for check in found.split(",")}
    assert checks == CHECKS.keys()
    associations = " ".join(row.split("|")[2] for row in ROWS.strip().splitlines())
    for pattern in re.findall(r"[0-9n]+", associations):
        assert any(re.fullmatch(pattern.replace("n", "[0-9]"), ai) for ai in ALL), pattern
