"""A symbol: one barcode as a reader saw it, before anyone asks what it identifies.

Symbologies and their marks, the symbology identifiers such as `]C1`, are those of ISO/IEC 15424 and of the GS1
General Specifications §5.1. A mark tells apart what text alone cannot: the same digits are an identifier with
application identifiers after `]C1`, and somebody's waybill number after `]C0`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, NamedTuple


class Reader(StrEnum):
    """Who turns pixels into symbols."""

    ZXING = "zxing-cpp"
    ZBAR = "zbar"
    PROFILE = "profile"
    """The widths of an EAN's modules, measured by `scanner.profile` where another reader saw one."""


class Confidence(StrEnum):
    """How sure it is that a symbol says what was read."""

    AGREED = "agreed"
    """Two readers or more say so, and none says otherwise."""
    SINGLE = "single"
    """One reader says so, and none says otherwise."""
    DISPUTED = "disputed"
    """Of one symbol, readers say different things. Each is told as a symbol of its own, and none is chosen."""


class Symbology(StrEnum):
    """The kind of a printed barcode."""

    EAN_13 = "EAN_13"
    EAN_8 = "EAN_8"
    UPC_A = "UPC_A"
    """Bar for bar an EAN-13 that begins with 0."""
    UPC_E = "UPC_E"
    """Told in the 13 digits it stands for, as the standard has readers transmit it."""
    ITF = "ITF"
    ITF_14 = "ITF_14"
    """An ITF of 14 digits whose check digit holds."""
    CODE_128 = "CODE_128"
    GS1_128 = "GS1_128"
    CODE_39 = "CODE_39"
    CODE_93 = "CODE_93"
    CODABAR = "CODABAR"
    DATABAR = "DATABAR"
    """Any GS1 DataBar; the text is GS1 element strings."""
    DATA_MATRIX = "DATA_MATRIX"
    GS1_DATA_MATRIX = "GS1_DATA_MATRIX"
    QR_CODE = "QR_CODE"
    """Micro and rectangular QR codes too."""
    GS1_QR = "GS1_QR"
    PDF417 = "PDF417"
    AZTEC = "AZTEC"

    @property
    def family(self) -> Symbology:
        """The symbology whose bars this one shares; two readers may name one symbol differently within a family."""
        return _FAMILIES.get(self, self)

    @property
    def corrects_errors(self) -> bool:
        """Whether the symbol repairs what was misread, so that two readers never see different bytes in it."""
        return self.family in _ERROR_CORRECTING


_FAMILIES: Final = {
    Symbology.UPC_A: Symbology.EAN_13,
    Symbology.UPC_E: Symbology.EAN_13,
    Symbology.ITF_14: Symbology.ITF,
    Symbology.GS1_128: Symbology.CODE_128,
    Symbology.GS1_DATA_MATRIX: Symbology.DATA_MATRIX,
    Symbology.GS1_QR: Symbology.QR_CODE,
}
_ERROR_CORRECTING: Final = frozenset(
    {Symbology.QR_CODE, Symbology.DATA_MATRIX, Symbology.AZTEC, Symbology.PDF417}
)


class Point(NamedTuple):
    """A place on a picture, in pixels from its upper left corner."""

    x: int
    y: int


@dataclass(frozen=True, slots=True)
class Symbol:
    """One printed barcode: its kind, what it says, who read it and where it lies."""

    symbology: Symbology
    text: str
    """The content, without the symbology identifier; FNC1 between GS1 element strings stands as `\\x1d`.

    Bytes in no character set that the symbol declares or a reader recognises stand as ISO 8859-1, a character each.
    """
    symbology_identifier: str | None
    """`]E0`, `]C1`, …; None where the reader does not tell it and the bars leave it open."""
    readers: tuple[Reader, ...]
    """Who reads this same text, in the order of `Reader`; at least one."""
    position: tuple[Point, Point, Point, Point]
    """Upper left, upper right, lower right and lower left corner, as one sees them who holds the symbol upright."""
    confidence: Confidence = Confidence.SINGLE
    add_on: str | None = None
    """The 2 or 5 digits beside an EAN or UPC, an issue or a price, which identify nothing."""

    @property
    def orientation(self) -> int:
        """By how many degrees the symbol is turned clockwise, 0 to 359."""
        upper_left, upper_right, _, _ = self.position
        return (
            round(math.degrees(math.atan2(upper_right.y - upper_left.y, upper_right.x - upper_left.x))) % 360
        )
