"""How large a symbol is printed: X-dimension, quiet zones and height.

The X-dimension is the width of the narrowest bar, or the side of a module. GS1 gives the least, the usual and the most
for each symbology and use (GS1 General Specifications §5.12.3): here symbol specification table 1, of what passes a
till, for EAN, UPC, GS1 DataMatrix and QR codes, and table 2, of what is scanned in general distribution, for ITF-14 and
GS1-128. Quiet zones are those of §5.2 (EAN, UPC), §5.3 (ITF-14), §5.4 (GS1-128), §5.6 (GS1 DataMatrix) and §5.7 (QR
code). Plain Code 128 is ISO/IEC 15417's, which leaves sizes to the application.

A printer has dots and no fractions of them: the width taken is the first whole number of dots that is no less than
the usual, and where a label has no room for that, any smaller one that is no less than the least.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil, floor
from typing import Final

from ledger.errors import BadInput, Reason
from scanner.symbol import Symbology

MM_PER_INCH: Final = 25.4
RESOLUTIONS: Final = (203, 300, 600)
"""Dots to the inch that printers have: thermal ones 203 or 300, office ones 600."""

_SLACK: Final = 0.001
"""Of a dot: 203 stands for 203.2, 8 dots to the millimetre, and what is exactly the least must count as it."""


@dataclass(frozen=True, slots=True)
class PrintSize:
    """How a symbology is printed; lengths in millimetres, quiet zones in X-dimensions."""

    least: float
    """X-dimension."""
    usual: float
    """X-dimension."""
    quiet: tuple[int, int]
    """White before and after the symbol; of a square one on all four sides."""
    height: float = 0
    """Of the bars at the usual X-dimension; of a square symbol it follows from the modules."""
    scales: bool = False
    """Whether the height goes with the X-dimension, so that a symbol keeps its proportions."""

    def modules_of(self, resolution: int) -> range:
        """The widths of a module to try, in dots, the usual first and the least last.

        Raises:
            BadInput: `Reason.INVALID_REQUEST`: not one of `RESOLUTIONS`.
        """
        if resolution not in RESOLUTIONS:
            raise BadInput(
                Reason.INVALID_REQUEST,
                "resolution of a label",
                given=resolution,
                expected=f"one of {', '.join(map(str, RESOLUTIONS))} dots to the inch",
            )
        usual = ceil(dots(self.usual, resolution) - _SLACK)
        least = ceil(dots(self.least, resolution) - _SLACK)
        return range(max(usual, least), least - 1, -1)

    def height_of(self, module: int, resolution: int) -> int:
        """The height of the bars in dots, where the narrowest is `module` dots wide."""
        height = self.height
        if self.scales:
            height *= module / dots(self.usual, resolution)
        return ceil(dots(height, resolution) - _SLACK)


PRINT_SIZES: Final = {
    Symbology.EAN_13: PrintSize(0.264, 0.330, quiet=(11, 7), height=22.85, scales=True),
    Symbology.EAN_8: PrintSize(0.264, 0.330, quiet=(7, 7), height=18.23, scales=True),
    Symbology.UPC_A: PrintSize(0.264, 0.330, quiet=(9, 9), height=22.85, scales=True),
    Symbology.ITF_14: PrintSize(0.495, 0.495, quiet=(10, 10), height=31.75),
    # Long element strings get finer bars than the 0.495 of table 2, which imagers still read, rather than more than
    # the 165.10 mm of §5.4.4.3, which no scanner sees at once.
    Symbology.GS1_128: PrintSize(0.250, 0.495, quiet=(10, 10), height=31.75),
    Symbology.CODE_128: PrintSize(0.250, 0.330, quiet=(10, 10), height=15.24),
    Symbology.GS1_DATA_MATRIX: PrintSize(0.396, 0.495, quiet=(1, 1)),
    # More than the usual 0.495 and less than the most, 0.990: phones focus on it at arm's length.
    Symbology.QR_CODE: PrintSize(0.396, 0.660, quiet=(4, 4)),
}

WIDEST: Final = 165.10
"""Millimetres of a GS1-128 with its quiet zones (GS1 General Specifications §5.4.4.3); wider is hard to scan."""


def dots(millimetres: float, resolution: int) -> float:
    """A length in dots of the printer, which may be a fraction."""
    return millimetres / MM_PER_INCH * resolution


def whole_dots(millimetres: float, resolution: int) -> int:
    """The whole dots that a length has room for."""
    return floor(dots(millimetres, resolution) + _SLACK)


def millimetres(count: float, resolution: int) -> float:
    """A length of so many dots."""
    return count / resolution * MM_PER_INCH
