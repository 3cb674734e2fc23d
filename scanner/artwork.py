"""What is printed: black boxes and lines of text on white, to the dot, as pixels or as SVG; `scanner.pdf` makes PDF.

Everything is measured in dots of the printer, and every box begins and ends on a dot, so that no bar is a fraction wider
than its neighbour. An artwork is a label, a slip, or a whole sheet: what is laid out on a page is moved there whole.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from html import escape
from typing import Final, NamedTuple

from PIL import Image, ImageDraw

from scanner.print_size import MM_PER_INCH, millimetres
from scanner.typeface import NARROW, Typeface, broken, ems

TEXT_SIZES: Final = (2.54, 2.03)
"""Millimetres of an em, the usual and, where a label is small, the least that is legible at arm's length."""

_MARGIN: Final = 1.016
"""Millimetres of white above the symbol, below the caption and between them."""
_LINE_HEIGHT: Final = 1.2
"""Ems from line to line."""
_BASELINE: Final = 14 / 15
"""Ems from the top of a line to the foot of its letters."""
_COLUMNS: Final = 24
"""A text widens a narrow label up to so many letters, and is broken there."""


class Box(NamedTuple):
    """A black rectangle, in dots from the upper left corner."""

    x: int
    y: int
    width: int
    height: int


class Line(NamedTuple):
    """A line of text, in dots from the upper left corner."""

    text: str
    middle: int
    """What it is centred on."""
    baseline: int
    size: int
    """Of an em."""

    @property
    def left(self) -> int:
        """Where its first letter begins."""
        return round(self.middle - ems(self.text) * self.size / 2)


@dataclass(frozen=True, slots=True)
class Artwork:
    """Something ready to be printed."""

    width: int
    """In dots."""
    height: int
    """In dots."""
    boxes: tuple[Box, ...]
    lines: tuple[Line, ...] = ()
    resolution: int = 300
    """Dots to the inch."""

    @classmethod
    def compose(
        cls,
        boxes: list[Box],
        *,
        width: int,
        height: int,
        caption: str,
        title: str = "",
        resolution: int = 300,
        text_size: float = TEXT_SIZES[0],
        room: int | None = None,
    ) -> Artwork:
        """The label of a symbol, with what it is above it and what it says beneath it.

        Args:
            boxes: the symbol.
            width: of the symbol with its quiet zones, in dots.
            height: the same.
            caption: line ends in it are kept; longer lines are broken to the label's width.
            title: the same.
            resolution: dots to the inch.
            text_size: millimetres of an em.
            room: dots that the label may be wide; by default as wide as its symbol, or 24 letters of text.
        """
        size = _dots(text_size, resolution)
        margin = _dots(_MARGIN, resolution)
        if room is None:
            longest = max((ems(line) for line in (title + "\n" + caption).splitlines()), default=0)
            text_width = _ceil(min(longest, _COLUMNS * NARROW) * size)
            room = max(width, text_width + 2 * margin)
        total_width = max(width, room)
        columns = (total_width - 2 * margin) / size
        above, below = broken(title, columns), broken(caption, columns)
        line_height = round(_LINE_HEIGHT * size)
        top = len(above) * line_height + margin if above else 0
        bottom = len(below) * line_height + margin if below else 0
        total_height = top + height + 2 * margin + bottom
        lines = [
            Line(text, total_width // 2, first + number * line_height + round(_BASELINE * size), size)
            for texts, first in ((above, margin), (below, total_height - bottom))
            for number, text in enumerate(texts)
        ]
        shift = (total_width - width) // 2
        moved = tuple(Box(box.x + shift, box.y + top + margin, box.width, box.height) for box in boxes)
        return cls(total_width, total_height, moved, tuple(lines), resolution)

    @classmethod
    def page(
        cls, parts: Iterable[tuple[Artwork, int, int]], *, width: int, height: int, resolution: int
    ) -> Artwork:
        """A page with other artworks on it, each with the dot where its upper left corner goes."""
        boxes: list[Box] = []
        lines: list[Line] = []
        for part, x, y in parts:
            boxes += (Box(box.x + x, box.y + y, box.width, box.height) for box in part.boxes)
            lines += (Line(line.text, line.middle + x, line.baseline + y, line.size) for line in part.lines)
        return cls(width, height, tuple(boxes), tuple(lines), resolution)

    def to_pixels(self, typeface: Typeface | None = None) -> Image.Image:
        """A picture of mode `L` that knows its resolution, a pixel for each dot.

        Raises:
            BadInput: `Reason.INVALID_REQUEST`: no font has one of the characters.
        """
        typeface = typeface or Typeface()
        image = Image.new("L", (self.width, self.height), 255)
        draw = ImageDraw.Draw(image)
        for x, y, width, height in self.boxes:
            draw.rectangle((x, y, x + width - 1, y + height - 1), fill=0)
        for line in self.lines:
            typeface.require(line.text)
            typeface.draw(image, line.text, line.left, line.baseline, line.size)
        image.info["dpi"] = (self.resolution, self.resolution)
        return image

    def to_svg(self) -> str:
        """SVG 1.1, in millimetres; the text is left to a monospaced font of whoever shows it."""
        bars = "".join(f"M{x} {y}h{width}v{height}h-{width}z" for x, y, width, height in self.boxes)
        texts = "".join(
            f'<text x="{line.middle}" y="{line.baseline}" font-size="{line.size}">{escape(line.text)}</text>\n'
            for line in self.lines
        )
        return (
            '<?xml version="1.0" encoding="UTF-8"?>\n'
            f'<svg xmlns="http://www.w3.org/2000/svg" version="1.1" width="{self._length(self.width)}" '
            f'height="{self._length(self.height)}" viewBox="0 0 {self.width} {self.height}">\n'
            f'<rect width="{self.width}" height="{self.height}" fill="#fff"/>\n'
            f'<path shape-rendering="crispEdges" d="{bars}"/>\n'
            '<g font-family="DejaVu Sans Mono, Noto Sans CJK SC, PingFang SC, Microsoft YaHei, monospace" '
            f'text-anchor="middle" xml:space="preserve">\n{texts}</g>\n'
            "</svg>\n"
        )

    def _length(self, dots: int) -> str:
        return f"{millimetres(dots, self.resolution):.3f}mm"


def _dots(length: float, resolution: int) -> int:
    return round(length * resolution / MM_PER_INCH)


def _ceil(dots: float) -> int:
    return -int(-dots // 1)
