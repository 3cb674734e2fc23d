"""A symbol's content to its bars: python-barcode for lines, segno for QR codes.

Both give the pattern of modules; its size in print is set here. Module widths, heights and quiet zones are those of
the GS1 General Specifications §5.2 to §5.4 and §5.12, and of ISO/IEC 15417 and 18004, in dots of 300 to the inch.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import groupby
from typing import Final

import segno
from barcode.codex import Code128, Gs1_128
from barcode.ean import EAN8, EAN13
from barcode.itf import ITF
from barcode.upc import UPCA

from ledger.gs1_message import GROUP_SEPARATOR
from scanner.artwork import Box
from scanner.symbol import Symbology


@dataclass(frozen=True, slots=True)
class Bars:
    """A symbol within its quiet zones."""

    boxes: list[Box]
    width: int
    """In dots, with both quiet zones."""
    height: int
    """In dots, with quiet zones above and below where the symbology has them."""


@dataclass(frozen=True, slots=True)
class _Print:
    """How a linear symbol is printed."""

    dots: int
    """To a unit of the pattern; fewer where the label would be wider than `_WIDEST`."""
    quiet: tuple[int, int]
    """Units of white before and after the bars."""
    height: int
    """Of the bars, in dots."""


_PRINTS: Final = {
    Symbology.EAN_13: _Print(dots=4, quiet=(11, 7), height=270),
    Symbology.EAN_8: _Print(dots=4, quiet=(7, 7), height=216),
    Symbology.UPC_A: _Print(dots=4, quiet=(9, 9), height=270),
    Symbology.ITF_14: _Print(dots=3, quiet=(20, 20), height=375),
    Symbology.CODE_128: _Print(dots=4, quiet=(10, 10), height=180),
    Symbology.GS1_128: _Print(dots=6, quiet=(10, 10), height=375),
}
_WIDEST: Final = 1950
"""Dots; a GS1-128 may be 165.10 mm wide (GS1 General Specifications §5.4), and wider is hard to scan."""
_FEWEST_DOTS: Final = 3
"""To a unit of a long symbol: 0.254 mm, the least that is printed for general distribution."""
_QR_DOTS: Final = 8
_QR_QUIET: Final = 4
_ITF_NARROW: Final = 2
_ITF_WIDE: Final = 5
_BEARER_BAR: Final = 12
"""Dots; twice the narrow bar. Without it a slanting scan line may leave the bars early and read a shorter number."""

DRAWABLE: Final = (*_PRINTS, Symbology.QR_CODE)
"""The symbologies that `encode` knows."""


class _Code128(Code128):  # type: ignore[misc]  # python-barcode has no types
    """Code 128, also of what begins with 99.

    python-barcode always starts in code set C, and where a change of code set follows at once, starts in that one.
    It knows the change by its value, which for code set C is that of the digits 99 as well: it loses them.
    """

    def _try_to_optimize(self, encoded: list[int]) -> list[int]:
        if self.code.startswith("99"):
            return encoded
        optimized: list[int] = super()._try_to_optimize(encoded)
        return optimized


def encode(symbology: Symbology, content: str) -> Bars:
    r"""The bars of `content`, which must suit the symbology, one of `DRAWABLE`.

    EAN, UPC and ITF take all their digits; GS1-128 takes element strings, `\x1d` for FNC1 between them.
    """
    if symbology is Symbology.QR_CODE:
        return _qr_code(content)
    return _linear(_pattern(symbology, content), _PRINTS[symbology], bearer=symbology is Symbology.ITF_14)


def _pattern(symbology: Symbology, content: str) -> str:
    match symbology:
        case Symbology.EAN_13:
            symbol = EAN13(content)
        case Symbology.EAN_8:
            symbol = EAN8(content)
        case Symbology.UPC_A:
            symbol = UPCA(content)
        case Symbology.ITF_14:
            symbol = ITF(content, narrow=_ITF_NARROW, wide=_ITF_WIDE)
        case Symbology.GS1_128:
            symbol = Gs1_128(content.replace(GROUP_SEPARATOR, Gs1_128.FNC1_CHAR))
        case _:
            symbol = _Code128(content)
    pattern: str = symbol.build()[0]
    return pattern


def _linear(pattern: str, print_: _Print, *, bearer: bool) -> Bars:
    dots = print_.dots
    while dots > _FEWEST_DOTS and (sum(print_.quiet) + len(pattern)) * dots > _WIDEST:
        dots -= 1
    left = print_.quiet[0] * dots
    right = print_.quiet[1] * dots
    length = len(pattern) * dots
    bars = _runs((module == "1" for module in pattern), left, 0, dots, print_.height)
    if bearer:
        bars.append(Box(left, 0, length, _BEARER_BAR))
        bars.append(Box(left, print_.height - _BEARER_BAR, length, _BEARER_BAR))
    return Bars(bars, left + length + right, print_.height)


def _qr_code(content: str) -> Bars:
    # Beyond ASCII readers would have to guess the character set, so there it is declared (ECI).
    declared = None if content.isascii() else "utf-8"
    # Left to choose, segno takes some UTF-8 for the kanji of Shift JIS.
    mode = None if content.isascii() else "byte"
    code = segno.make_qr(content, error="m", mode=mode, encoding=declared, eci=declared is not None)
    quiet = _QR_QUIET * _QR_DOTS
    boxes: list[Box] = []
    for number, row in enumerate(code.matrix):
        boxes += _runs(map(bool, row), quiet, quiet + number * _QR_DOTS, _QR_DOTS, _QR_DOTS)
    side = len(code.matrix) * _QR_DOTS + 2 * quiet
    return Bars(boxes, side, side)


def _runs(modules: Iterable[bool], x: int, y: int, dots: int, height: int) -> list[Box]:
    """One box for each unbroken run of dark modules along a row that begins at `x`."""
    boxes: list[Box] = []
    for is_dark, run in groupby(modules):
        width = sum(dots for _ in run)
        if is_dark:
            boxes.append(Box(x, y, width, height))
        x += width
    return boxes
