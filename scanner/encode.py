"""A symbol's content to its bars: python-barcode for lines, segno for QR codes, zxing-cpp for GS1 DataMatrix.

They give the pattern of modules; how large it is printed is said in `scanner.print_size`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import groupby
from typing import Final

import numpy as np
import segno
import zxingcpp
from barcode.codex import Code128, Gs1_128
from barcode.ean import EAN8, EAN13
from barcode.itf import ITF
from barcode.upc import UPCA

from ledger.errors import BadInput, Reason
from ledger.gs1_message import GROUP_SEPARATOR, parse_element_strings
from scanner.artwork import Box
from scanner.print_size import PRINT_SIZES, WIDEST, PrintSize, whole_dots
from scanner.symbol import Symbology


@dataclass(frozen=True, slots=True)
class Bars:
    """A symbol within its quiet zones."""

    boxes: list[Box]
    width: int
    """In dots, with both quiet zones."""
    height: int
    """In dots, with quiet zones above and below where the symbology has them."""


_ITF_NARROW: Final = 2
_ITF_WIDE: Final = 5
_BEARER_BAR: Final = 2
"""Times the narrow bar. Without it a slanting scan line may leave the bars early and read a shorter number."""

_UNITS: Final = {Symbology.ITF_14: _ITF_NARROW}
"""Units of the pattern to the narrowest bar; 1 where nothing is said."""

DRAWABLE: Final = tuple(PRINT_SIZES)
"""The symbologies that `encode` knows."""

Matrix = list[list[bool]]
"""Rows of modules, true where dark; a single row of lines."""


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


def encode(symbology: Symbology, content: str, resolution: int = 300) -> Bars:
    r"""The bars of `content` in their usual size, or the largest that is no wider than 165.10 mm.

    `content` must suit the symbology, one of `DRAWABLE`: EAN, UPC and ITF take all their digits; GS1-128 and GS1
    DataMatrix take element strings, `\x1d` for FNC1 between them.

    Raises:
        BadInput: `Reason.INVALID_REQUEST`: the printer of `resolution` dots to the inch has no room for it.
    """
    return next(encode_sizes(symbology, content, resolution))


def encode_sizes(symbology: Symbology, content: str, resolution: int) -> Iterator[Bars]:
    """The bars of `content` in every size that it may have, the usual first; each a dot a module finer.

    Raises:
        BadInput: `Reason.INVALID_REQUEST`: none is narrow enough; or another resolution than those of printers.
    """
    matrix = _matrix(symbology, content)
    size = PRINT_SIZES[symbology]
    widest = whole_dots(WIDEST, resolution)
    modules = size.modules_of(resolution)
    width = len(matrix[0]) // _UNITS.get(symbology, 1) + sum(size.quiet)
    fitting = [module for module in modules if width * module <= widest]
    if not fitting:
        raise BadInput(
            Reason.INVALID_REQUEST,
            f"width of a label of {symbology}",
            given=f"{width} modules of {modules[-1]} dots at {resolution} dpi",
            expected=f"at most {WIDEST:.2f} mm: a finer printer, or a symbology that is square",
        )
    for module in fitting:
        yield (
            _square(matrix, size, module)
            if size.height == 0
            else _lines(matrix[0], symbology, module, resolution)
        )


def _matrix(symbology: Symbology, content: str) -> Matrix:
    if symbology is Symbology.QR_CODE:
        return _qr_code(content)
    if symbology is Symbology.GS1_DATA_MATRIX:
        return _data_matrix(content)
    return [[module == "1" for module in _pattern(symbology, content)]]


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


def _qr_code(content: str) -> Matrix:
    # Beyond ASCII readers would have to guess the character set, so there it is declared (ECI).
    declared = None if content.isascii() else "utf-8"
    # Left to choose, segno takes some UTF-8 for the kanji of Shift JIS.
    mode = None if content.isascii() else "byte"
    code = segno.make_qr(content, error="m", mode=mode, encoding=declared, eci=declared is not None)
    return [[bool(module) for module in row] for row in code.matrix]


def _data_matrix(content: str) -> Matrix:
    # Square brackets are in no value, round ones may be.
    elements = "".join(f"[{ai}]{value}" for ai, value in parse_element_strings(content).items())
    try:
        code = zxingcpp.create_barcode(
            elements, zxingcpp.BarcodeFormat.DataMatrix, gs1=True, force_square=True
        )
    except ValueError as error:
        # The writer looks closer at some values than we do, as at a date that there is not.
        raise BadInput(
            Reason.INVALID_REQUEST,
            "text of a GS1 DataMatrix",
            given=str(error).partition(" (retval")[0],
            expected="element strings as the GS1 syntax dictionary has them",
        ) from None
    pixels = np.asarray(code.to_image(scale=1, add_quiet_zones=False))
    return [[bool(module) for module in row] for row in pixels == 0]


def _lines(pattern: list[bool], symbology: Symbology, module: int, resolution: int) -> Bars:
    size = PRINT_SIZES[symbology]
    height = size.height_of(module, resolution)
    unit = module // _UNITS.get(symbology, 1)
    before, after = size.quiet[0] * module, size.quiet[1] * module
    length = len(pattern) * unit
    boxes = _runs(pattern, before, 0, unit, height)
    if symbology is Symbology.ITF_14:
        bearer = _BEARER_BAR * module
        boxes.append(Box(before, 0, length, bearer))
        boxes.append(Box(before, height - bearer, length, bearer))
    return Bars(boxes, before + length + after, height)


def _square(matrix: Matrix, size: PrintSize, module: int) -> Bars:
    quiet = size.quiet[0] * module
    boxes: list[Box] = []
    for number, row in enumerate(matrix):
        boxes += _runs(row, quiet, quiet + number * module, module, module)
    side = len(matrix) * module + 2 * quiet
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
