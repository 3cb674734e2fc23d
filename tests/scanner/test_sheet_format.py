"""Sheets: on the page, in line, and those that people can buy."""

from __future__ import annotations

from itertools import pairwise

import pytest

from ledger.errors import BadInput, Reason
from scanner.print_size import millimetres
from scanner.sheet_format import SHEETS, SheetFormat

EVERY = [*SHEETS, "a4-1x1", "a4-3x8", "a4-10x20"]


def refusal(call, *arguments):
    with pytest.raises(BadInput) as caught:
        call(*arguments)
    assert caught.value.reason is Reason.INVALID_REQUEST
    return str(caught.value)


@pytest.mark.parametrize("name", EVERY)
def test_places_are_on_the_page_and_apart(name):
    sheet = SheetFormat.parse(name)
    width, height = sheet.page_in_dots(600)
    places = list(sheet.places(600))
    assert len(places) == sheet.count
    for place in places:
        # 4.5 mm that office printers leave white, to the dot.
        assert min(place.x, place.y) >= 106
        assert place.x + place.width <= width - 105
        assert place.y + place.height <= height - 105
        assert min(place.width, place.height) > 0
    for left, right in pairwise(places):
        assert left.x + left.width < right.x or left.y + left.height < right.y


@pytest.mark.parametrize(
    ("name", "first_x", "first_y", "pitch_x", "pitch_y"),
    [
        # As Avery publishes them: the upper left label's corner, and from label to label, in millimetres.
        ("avery-l7160", 7.2, 15.15, 66.04, 38.1),
        ("avery-l7163", 4.65, 15.15, 101.64, 38.1),
        ("avery-l7651", 4.67, 10.7, 40.64, 21.2),
        ("avery-5160", 4.76, 12.7, 69.85, 25.4),
        ("avery-5163", 3.97, 12.7, 106.36, 50.8),
        ("a4-3x8", 0, 0, 70, 37.125),
    ],
)
def test_labels_are_where_they_are_punched(name, first_x, first_y, pitch_x, pitch_y):
    sheet = SheetFormat.parse(name)
    places = [[millimetres(length, 600) for length in place] for place in sheet.places(600)]
    # 1.5 mm within a label stay white, and 4.5 mm at the edges of the page.
    assert places[0][:2] == pytest.approx([max(first_x + 1.5, 4.5), max(first_y + 1.5, 4.5)], abs=0.06)
    last = places[-1]
    right = first_x + (sheet.columns - 1) * pitch_x
    below = first_y + (sheet.rows - 1) * pitch_y
    assert last[0] == pytest.approx(max(right + 1.5, 4.5), abs=0.06)
    assert last[1] == pytest.approx(max(below + 1.5, 4.5), abs=0.06)


@pytest.mark.parametrize(
    "name", ["", "A4-3x8", "a4-03x8", "a4-0x8", "a4-11x8", "a4-3x21", "a4-3x8 ", "avery-1"]
)
def test_other_names(name):
    assert refusal(SheetFormat.parse, name).startswith("sheet: given ")


def test_places_are_counted_from_1():
    sheet = SheetFormat.parse("a4-3x8")
    sheet.require_place(1)
    sheet.require_place(24)
    assert refusal(sheet.require_place, 0) == "first place on a sheet a4-3x8: given 0, expected 1 to 24"
    assert refusal(sheet.require_place, 25) == "first place on a sheet a4-3x8: given 25, expected 1 to 24"


@pytest.mark.parametrize(
    ("labels", "first", "pages"), [(1, 1, 1), (24, 1, 1), (25, 1, 2), (24, 2, 2), (1, 24, 1), (2, 24, 2)]
)
def test_pages_that_labels_take(labels, first, pages):
    assert SheetFormat.parse("a4-3x8").pages_for(labels, first) == pages
