"""Sheets of labels: those that Avery punches, and the whole of an A4 page in equal parts.

Labels stand in the middle of the page, as on all sheets here; so a sheet is its page, the number and size of its labels
and the gaps between them. Avery's are known by their numbers, and other makers name those beside their own.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from ledger.errors import BadInput, Reason
from ledger.identifiers import printable
from scanner.artwork import Box
from scanner.print_size import MM_PER_INCH, dots

A4: Final = (210.0, 297.0)
LETTER: Final = (8.5 * MM_PER_INCH, 11 * MM_PER_INCH)

_INSET: Final = 1.5
"""Millimetres within each label that stay white: printers and punches are not quite in line."""
_UNPRINTABLE: Final = 4.5
"""Millimetres along the edges of a page that office printers leave white."""
_GRID: Final = re.compile(r"a4-([1-9]|10)x([1-9]|1[0-9]|20)")


@dataclass(frozen=True, slots=True)
class SheetFormat:
    """How the labels stand on a page; lengths in millimetres."""

    name: str
    page: tuple[float, float]
    """Width and height."""
    columns: int
    rows: int
    label: tuple[float, float]
    """Width and height."""
    gaps: tuple[float, float] = (0, 0)
    """Between columns and between rows."""

    @classmethod
    def parse(cls, name: str) -> SheetFormat:
        """One of `SHEETS`, or `a4-<columns>x<rows>` for an A4 page to be cut.

        Raises:
            BadInput: `Reason.INVALID_REQUEST`.
        """
        if name in SHEETS:
            return SHEETS[name]
        grid = _GRID.fullmatch(name)
        if grid is None:
            expected = f"{', '.join(SHEETS)}; or an A4 page in columns and rows, as a4-3x8, at most a4-10x20"
            raise BadInput(Reason.INVALID_REQUEST, "sheet", given=printable(name), expected=expected)
        columns, rows = int(grid[1]), int(grid[2])
        return cls(name, A4, columns, rows, (A4[0] / columns, A4[1] / rows))

    @property
    def count(self) -> int:
        """Labels on a page."""
        return self.columns * self.rows

    def require_place(self, number: int) -> None:
        """Refuse a place that is not on a page.

        Raises:
            BadInput: `Reason.INVALID_REQUEST`: not 1 to `count`.
        """
        if not 1 <= number <= self.count:
            raise BadInput(
                Reason.INVALID_REQUEST,
                f"first place on a sheet {self.name}",
                given=number,
                expected=f"1 to {self.count}",
            )

    def pages_for(self, labels: int, first: int) -> int:
        """How many pages so many labels take, the first of them at the place `first`, from 1."""
        return -(-(first - 1 + labels) // self.count)

    def page_in_dots(self, resolution: int) -> tuple[int, int]:
        """Width and height of the page."""
        return round(dots(self.page[0], resolution)), round(dots(self.page[1], resolution))

    def places(self, resolution: int) -> Iterator[Box]:
        """What may be printed of each label, in dots, row by row from the upper left corner."""
        left = (self.page[0] - self.columns * self.label[0] - (self.columns - 1) * self.gaps[0]) / 2
        top = (self.page[1] - self.rows * self.label[1] - (self.rows - 1) * self.gaps[1]) / 2
        for row in range(self.rows):
            for column in range(self.columns):
                x, width = _printable(
                    left + column * (self.label[0] + self.gaps[0]), self.label[0], self.page[0]
                )
                y, height = _printable(
                    top + row * (self.label[1] + self.gaps[1]), self.label[1], self.page[1]
                )
                yield Box(*(round(dots(length, resolution)) for length in (x, y, width, height)))


def _printable(start: float, length: float, page: float) -> tuple[float, float]:
    """Where what may be printed of a label begins, along one side of the page, and how long it is."""
    first = max(start + _INSET, _UNPRINTABLE)
    last = min(start + length - _INSET, page - _UNPRINTABLE)
    return first, last - first


def _inches(*lengths: float) -> tuple[float, float]:
    width, height = lengths
    return width * MM_PER_INCH, height * MM_PER_INCH


SHEETS: Final = {
    sheet.name: sheet
    for sheet in (
        SheetFormat("avery-l7651", A4, 5, 13, (38.1, 21.2), (2.54, 0)),
        SheetFormat("avery-l7159", A4, 3, 8, (63.5, 33.9), (2.54, 0)),
        SheetFormat("avery-l7160", A4, 3, 7, (63.5, 38.1), (2.54, 0)),
        SheetFormat("avery-l7161", A4, 3, 6, (63.5, 46.6), (2.54, 0)),
        SheetFormat("avery-l7162", A4, 2, 8, (99.1, 33.9), (2.54, 0)),
        SheetFormat("avery-l7163", A4, 2, 7, (99.1, 38.1), (2.54, 0)),
        SheetFormat("avery-l7165", A4, 2, 4, (99.1, 67.7), (2.54, 0)),
        SheetFormat("avery-l7173", A4, 2, 5, (99.1, 57.0), (2.54, 0)),
        SheetFormat("avery-3422", A4, 3, 8, (70.0, 35.0)),
        SheetFormat("avery-3474", A4, 3, 8, (70.0, 37.0)),
        SheetFormat("avery-5160", LETTER, 3, 10, _inches(2.625, 1), _inches(0.125, 0)),
        SheetFormat("avery-5163", LETTER, 2, 5, _inches(4, 2), _inches(0.1875, 0)),
    )
}
"""By their names."""
