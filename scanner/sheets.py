"""Labels on sheets: each in the middle of its place, and all read from the finished pages before anybody prints them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from ledger.errors import BadInput, Reason
from scanner.artwork import Artwork, Box
from scanner.label_table import BadRow, Row
from scanner.labels import PROOF_DPI, Label, Page, Room, proved_pdf
from scanner.read_back import require_reads_as
from scanner.sheet_format import SheetFormat
from scanner.typeface import Typeface

SHEET_DPI: Final = 600
"""Of office printers, which sheets are for."""


@dataclass(frozen=True, slots=True)
class Sheets:
    """Labels that are ready to be put on sheets, and the rows that made none."""

    format: SheetFormat
    labels: tuple[tuple[Label, int], ...]
    """Each with the number of its copies."""
    bad_rows: tuple[BadRow, ...]

    @classmethod
    def compose(
        cls,
        rows: Sequence[Row | BadRow],
        sheet: SheetFormat,
        typeface: Typeface,
        progress: Callable[[int], object] = lambda done: None,  # noqa: ARG005 - nobody is watching
    ) -> Sheets:
        """The labels of a table, each as large as the sheet has room for, and each read back once.

        Args:
            rows: the table.
            sheet: what they go on.
            typeface: the letters.
            progress: is told how many rows are done.
        """
        # The places at the edge of a page may have less room, and each label may come to stand in any.
        places = list(sheet.places(SHEET_DPI))
        room = Room(min(place.width for place in places), min(place.height for place in places))
        labels: list[tuple[Label, int]] = []
        bad_rows: list[BadRow] = []
        for done, row in enumerate(rows, 1):
            if isinstance(row, BadRow):
                bad_rows.append(row)
            else:
                try:
                    label = Label.compose(
                        row.text, row.symbology, title=row.title, resolution=SHEET_DPI, room=room
                    )
                    # As coarse as the finished page will be read.
                    pixels = label.artwork.to_pixels(typeface).reduce(SHEET_DPI // PROOF_DPI)
                    require_reads_as(label.contents, pixels)
                    labels.append((label, row.copies))
                except BadInput as refusal:
                    bad_rows.append(BadRow(row.line, refusal))
            progress(done)
        return cls(sheet, tuple(labels), tuple(bad_rows))

    @property
    def count(self) -> int:
        """How many labels there are, copies counted."""
        return sum(copies for _, copies in self.labels)

    def pages(self, first: int = 1) -> list[Page]:
        """The pages to print.

        Args:
            first: the place of the first label on the first page, from 1; those before it were used up earlier.

        Raises:
            BadInput: `Reason.INVALID_REQUEST`: there is no such place on a page.
        """
        self.format.require_place(first)
        places = list(self.format.places(SHEET_DPI))
        waiting = [label for label, copies in self.labels for _ in range(copies)]
        pages: list[Page] = []
        start = first - 1
        while waiting:
            on_this = list(zip(places[start:], waiting, strict=False))
            waiting = waiting[len(on_this) :]
            pages.append(self._page(on_this))
            start = 0
        return pages

    def to_pdf(
        self,
        typeface: Typeface,
        first: int = 1,
        progress: Callable[[int], object] = lambda done: None,  # noqa: ARG005 - as above
    ) -> bytes:
        """The sheets as a PDF, of which the scanner has read every label.

        Raises:
            BadInput: as `pages`; and `Reason.INVALID_REQUEST`: there are no labels, or one does not read back.
        """
        if not self.labels:
            raise BadInput(
                Reason.INVALID_REQUEST, "labels for a sheet", given="none", expected="one at least"
            )
        return proved_pdf(self.pages(first), typeface, title=f"Labels {self.format.name}", progress=progress)

    def _page(self, labels: Sequence[tuple[Box, Label]]) -> Page:
        width, height = self.format.page_in_dots(SHEET_DPI)
        artwork = Artwork.page(
            (
                (
                    label.artwork,
                    place.x + (place.width - label.artwork.width) // 2,
                    place.y + (place.height - label.artwork.height) // 2,
                )
                for place, label in labels
            ),
            width=width,
            height=height,
            resolution=SHEET_DPI,
        )
        return Page(artwork, tuple((place, label.contents) for place, label in labels))
