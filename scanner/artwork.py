"""What is printed: black boxes on white and a caption beneath, to the dot, as pixels or as SVG.

Everything is measured in dots of a 300 dpi printer, and every box begins and ends on a dot, so that no bar is a
fraction wider than its neighbour. The caption is set in DejaVu Sans Mono, which comes with python-barcode: a machine
without any fonts draws the same pixels.
"""

from __future__ import annotations

import io
from dataclasses import dataclass
from functools import cache
from html import escape
from importlib.resources import files
from typing import Final, NamedTuple

from PIL import Image, ImageDraw, ImageFont

DOTS_PER_INCH: Final = 300

_MARGIN: Final = 12
"""Dots of white above the symbol, below the caption and between them."""
_FONT_SIZE: Final = 30
_CHARACTER_WIDTH: Final = 18
_LINE_HEIGHT: Final = 36
_BASELINE: Final = 28
"""Dots from the top of a line to the foot of its letters."""
_CAPTION_COLUMNS: Final = 24
"""A caption widens a narrow label up to so many characters, and is broken there."""


class Box(NamedTuple):
    """A black rectangle, in dots from the upper left corner."""

    x: int
    y: int
    width: int
    height: int


@dataclass(frozen=True, slots=True)
class Artwork:
    """A label ready to be printed."""

    width: int
    """In dots."""
    height: int
    """In dots."""
    boxes: tuple[Box, ...]
    caption: tuple[str, ...]
    """Lines of text, centred, the last at the foot of the label."""

    @classmethod
    def compose(cls, boxes: list[Box], *, width: int, height: int, caption: str) -> Artwork:
        """The label of a symbol that with its quiet zones is `width` x `height` dots, and of a caption beneath it.

        Line ends in `caption` are kept; longer lines are broken to the label's width.
        """
        lines = caption.splitlines()
        columns = min(max(map(len, lines), default=0), _CAPTION_COLUMNS)
        total_width = max(width, columns * _CHARACTER_WIDTH + 2 * _MARGIN)
        columns = (total_width - 2 * _MARGIN) // _CHARACTER_WIDTH
        broken = tuple(
            line[start : start + columns] for line in lines for start in range(0, len(line), columns)
        )
        shift = (total_width - width) // 2
        moved = tuple(Box(box.x + shift, box.y + _MARGIN, box.width, box.height) for box in boxes)
        caption_height = len(broken) * _LINE_HEIGHT + _MARGIN if broken else 0
        return cls(total_width, height + 2 * _MARGIN + caption_height, moved, broken)

    def to_pixels(self) -> Image.Image:
        """The label as a picture of mode `L` that knows its resolution."""
        image = Image.new("L", (self.width, self.height), 255)
        draw = ImageDraw.Draw(image)
        for x, y, width, height in self.boxes:
            draw.rectangle((x, y, x + width - 1, y + height - 1), fill=0)
        for line, top in self._lines():
            draw.text((self.width // 2, top + _BASELINE), line, fill=0, font=_font(), anchor="ms")
        image.info["dpi"] = (DOTS_PER_INCH, DOTS_PER_INCH)
        return image

    def to_svg(self) -> str:
        """The label as SVG 1.1, in millimetres; the caption is left to a monospaced font of whoever shows it."""
        bars = "".join(f"M{x} {y}h{width}v{height}h-{width}z" for x, y, width, height in self.boxes)
        texts = "".join(
            f'<text x="{self.width // 2}" y="{top + _BASELINE}">{escape(line)}</text>\n'
            for line, top in self._lines()
        )
        return (
            '<?xml version="1.0" encoding="UTF-8"?>\n'
            f'<svg xmlns="http://www.w3.org/2000/svg" version="1.1" width="{_millimetres(self.width)}mm" '
            f'height="{_millimetres(self.height)}mm" viewBox="0 0 {self.width} {self.height}">\n'
            f'<rect width="{self.width}" height="{self.height}" fill="#fff"/>\n'
            f'<path shape-rendering="crispEdges" d="{bars}"/>\n'
            f'<g font-family="DejaVu Sans Mono, monospace" font-size="{_FONT_SIZE}" text-anchor="middle" '
            f'xml:space="preserve">\n{texts}</g>\n'
            "</svg>\n"
        )

    def _lines(self) -> list[tuple[str, int]]:
        """Each line of the caption and the dot where it begins."""
        first = self.height - _MARGIN - len(self.caption) * _LINE_HEIGHT
        return [(line, first + number * _LINE_HEIGHT) for number, line in enumerate(self.caption)]


def _millimetres(dots: int) -> str:
    return f"{dots * 25.4 / DOTS_PER_INCH:.3f}"


@cache
def _font() -> ImageFont.FreeTypeFont:
    font = files("barcode") / "fonts" / "DejaVuSansMono.ttf"
    # The basic layout is the same wherever Pillow was built.
    return ImageFont.truetype(io.BytesIO(font.read_bytes()), _FONT_SIZE, layout_engine=ImageFont.Layout.BASIC)
