from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scanner import sighting
from scanner.sighting import Agreement, Sightings
from scanner.symbol import Confidence, Point, Reader, Symbol, Symbology


def symbol(text="6901234567892", symbology=Symbology.EAN_13, left=0):
    corners = (Point(left, 0), Point(left + 9, 0), Point(left + 9, 9), Point(left, 9))
    return Symbol(symbology, text, None, (Reader.ZXING,), corners)


def told(sightings, *frames):
    """What is told of frames, each a time and the texts on it."""
    return [
        (at_s, one.text)
        for at_s, *texts in frames
        for one in sightings.see([symbol(text) for text in texts], at_s)
    ]


def test_a_code_counts_with_the_second_frame_and_once():
    frames = [(number / 10, "a") for number in range(50)]
    assert told(Sightings(Agreement()), *frames) == [(0.1, "a")]


def test_a_code_in_one_frame_never_counts():
    assert told(Sightings(Agreement()), (0.0, "a"), (0.1, "b"), (0.2, "c")) == []


def test_frames_that_lie_too_far_apart_do_not_agree():
    assert told(Sightings(Agreement(within_s=1.0)), (0.0, "a"), (1.01, "a"), (2.02, "a")) == []
    assert told(Sightings(Agreement(within_s=1.0)), (0.0, "a"), (1.0, "a")) == [(1.0, "a")]


def test_a_frame_that_misses_it_changes_nothing():
    assert told(Sightings(Agreement()), (0.0, "a"), (0.1,), (0.2, "b"), (0.3, "a"), (0.4, "b")) == [
        (0.3, "a"),
        (0.4, "b"),
    ]


def test_a_code_that_comes_back_counts_again_only_if_that_is_wanted():
    frames = [(0.0, "a"), (0.1, "a"), (0.2, "a"), (9.0, "a"), (9.1, "a"), (9.2, "a")]
    assert told(Sightings(Agreement()), *frames) == [(0.1, "a")]
    assert told(Sightings(Agreement(again_after_s=5.0)), *frames) == [(0.1, "a"), (9.1, "a")]
    assert told(Sightings(Agreement(again_after_s=8.9)), *frames) == [(0.1, "a")]


def test_a_code_that_flickers_does_not_come_back():
    frames = [(float(second), "a") for second in range(20)]
    assert told(Sightings(Agreement(again_after_s=2.0)), *frames) == [(1.0, "a")]


def test_a_wait_shorter_than_the_agreement_still_asks_for_two_frames():
    rules = Agreement(within_s=1.0, again_after_s=0.5)
    frames = [(0.0, "a"), (0.1, "a"), (0.8, "a"), (0.9, "a")]
    assert told(Sightings(rules), *frames) == [(0.1, "a"), (0.9, "a")]


def test_more_frames_may_be_asked_for():
    frames = [(number / 10, "a") for number in range(5)]
    assert told(Sightings(Agreement(frames=1)), *frames) == [(0.0, "a")]
    assert told(Sightings(Agreement(frames=4)), *frames) == [(0.3, "a")]


def test_one_text_in_two_places_is_seen_in_one_frame():
    sightings = Sightings(Agreement())
    assert sightings.see([symbol(left=0), symbol(left=50)], 0.0) == []
    assert sightings.see([symbol(left=1), symbol(left=51)], 0.1) == [symbol(left=1)]


def test_a_disputed_reading_counts_in_no_frame():
    sightings = Sightings(Agreement())
    disputed = replace(symbol(), confidence=Confidence.DISPUTED)
    assert [sightings.see([disputed], number / 10) for number in range(5)] == [[]] * 5
    assert sightings.see([symbol()], 0.5) == []
    assert sightings.see([symbol()], 0.6) == [symbol()]


def test_codes_of_one_frame_are_told_in_its_order():
    assert told(Sightings(Agreement()), (0.0, "b", "a", "c"), (0.1, "c", "b", "a")) == [
        (0.1, "c"),
        (0.1, "b"),
        (0.1, "a"),
    ]


def test_names_within_a_family_are_one_and_others_are_not():
    sightings = Sightings(Agreement())
    assert sightings.see([symbol("0012345678905", Symbology.EAN_13)], 0.0) == []
    upc = symbol("0012345678905", Symbology.UPC_A)
    assert sightings.see([upc], 0.1) == [upc]
    assert sightings.see([symbol("0012345678905", Symbology.CODE_128)], 0.2) == []


def test_what_is_remembered_is_bounded(monkeypatch):
    monkeypatch.setattr(sighting, "MAX_CODES", 3)
    sightings = Sightings(Agreement(frames=1))
    frames = [(number / 10, text) for number, text in enumerate("abcadea")]
    assert told(sightings, *frames) == [
        (0.0, "a"),
        (0.1, "b"),
        (0.2, "c"),
        (0.4, "d"),
        (0.5, "e"),
    ]
    assert told(sightings, (0.7, "b")) == [(0.7, "b")]


@given(st.lists(st.tuples(st.integers(0, 30), st.sets(st.sampled_from("abc")))), st.sampled_from([1, 2, 3]))
def test_without_a_wish_for_more_each_code_is_told_once_at_most(steps, frames):
    at, shown = 0, []
    for step, texts in steps:
        at += step
        shown.append((at / 10, *sorted(texts)))
    found = [text for _, text in told(Sightings(Agreement(frames=frames)), *shown)]
    assert len(found) == len(set(found))
    for text in found:
        assert sum(text in texts for _, *texts in shown) >= frames


@pytest.mark.parametrize("frames", [1, 2])
def test_a_frame_without_anything_is_no_news(frames):
    assert Sightings(Agreement(frames=frames)).see([], 0.0) == []
