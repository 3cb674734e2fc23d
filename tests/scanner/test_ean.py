"""EAN symbols as modules: the number that measured digits are nearest to."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger.identifiers import gs1_check_digit
from scanner.ean import EAN_8, EAN_13, LEFT_CODES, RIGHT_CODES, Layout, Number, _nearest_number, nearest
from scanner.encode import _pattern
from scanner.symbol import Symbology

numbers = st.one_of(
    st.from_regex(r"[0-9]{12}", fullmatch=True), st.from_regex(r"[0-9]{7}", fullmatch=True)
).map(lambda digits: digits + gs1_check_digit(digits))


def layout_of(text: str) -> Layout:
    return EAN_13 if len(text) == 13 else EAN_8


def modules_of(text: str) -> str:
    """As python-barcode draws it."""
    return _pattern(Symbology.EAN_13 if len(text) == 13 else Symbology.EAN_8, text).replace("G", "1")


def measured(text: str, off: float = 1.0):
    """Distances of the digits of a symbol: 0 from what is printed, `off` from all else."""
    modules = modules_of(text)
    layout = layout_of(text)
    places = [modules[start : start + 7] for start in layout.digits]
    left = [[0.0 if code == place else off for code in LEFT_CODES] for place in places[: layout.left]]
    right = [[0.0 if code == place else off for code in RIGHT_CODES] for place in places[layout.left :]]
    return np.array(left, dtype=np.float32), np.array(right, dtype=np.float32)


@given(numbers)
def test_what_is_printed_is_nearest(text):
    assert len(modules_of(text)) == layout_of(text).modules
    assert nearest(layout_of(text), *measured(text)) == Number(0, text)


@given(numbers, st.data())
def test_what_cannot_be_is_mended_by_the_check_digit_and_the_number_sets(text, data):
    """One digit cannot be made out at all: the others tell it."""
    layout = layout_of(text)
    left, right = measured(text)
    place = data.draw(st.integers(0, 2 * layout.left - 1))
    (left if place < layout.left else right)[place % layout.left] = 0.3
    assert nearest(layout, left, right).text == text


@given(st.sampled_from([EAN_13, EAN_8]), st.integers(0, 2**32 - 1))
def test_the_short_way_finds_what_the_long_way_finds(layout, seed):
    generator = np.random.default_rng(seed)
    left = generator.random((layout.left, 20), dtype=np.float32)
    right = generator.random((layout.left, 10), dtype=np.float32)
    short, long = nearest(layout, left, right), _nearest_number(layout, left, right)
    assert short.text == long.text
    assert short.distance == pytest.approx(long.distance, abs=1e-4)
    assert short.text[-1] == gs1_check_digit(short.text[:-1])


@given(numbers)
def test_no_number_of_another_check_digit_is_ever_given(text):
    left, right = measured(text)
    wrong = (int(text[-1]) + 1) % 10
    right[-1] = 1
    right[-1, wrong] = 0
    found = nearest(layout_of(text), left, right)
    assert found.text[-1] == gs1_check_digit(found.text[:-1])
    assert found.distance > 0.5
