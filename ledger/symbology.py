"""How a code was printed, as scanners tell it: symbology identifiers (ISO/IEC 15424, "AIM").

An identifier is `]`, a letter for the symbology and a digit or letter for what the scanner made of it. The same
digits mean different things after different ones: after `]C1` they are GS1 element strings, after `]C0` they
are whatever their printer wanted.
"""

from __future__ import annotations

import re
from enum import StrEnum
from typing import Final

from ledger.errors import BadInput, Reason
from ledger.identifiers import printable


class Symbology(StrEnum):
    """How a code was printed: its AIM symbology identifier (ISO/IEC 15424)."""

    EAN_13 = "]E0"
    """EAN-13, UPC-A or UPC-E."""
    EAN_13_ADD_ON = "]E3"
    """EAN-13, UPC-A or UPC-E, and after it the 2 or 5 digits of an add-on."""
    EAN_8 = "]E4"
    ITF = "]I0"
    ITF_14 = "]I1"
    """Interleaved 2 of 5 whose check digit the scanner has checked."""
    CODE_128 = "]C0"
    GS1_128 = "]C1"
    GS1_DATABAR = "]e0"
    DATA_MATRIX = "]d1"
    GS1_DATA_MATRIX = "]d2"
    QR_CODE = "]Q1"
    GS1_QR_CODE = "]Q3"
    GS1_DOTCODE = "]J1"
    OTHER = "]X0"
    """Any other, which carries plain text."""

    @classmethod
    def parse(cls, identifier: str) -> Symbology:
        """The symbology of an identifier such as `]C1`; `OTHER` for one that is none of ours.

        Identifiers that only tell more of how the same content was encoded are one symbology: `]d5` is `]d2`.

        Raises:
            BadInput: `Reason.BAD_IDENTIFIER`: not `]`, a letter and a digit or letter.
        """
        if not _IDENTIFIER.fullmatch(identifier):
            expected = "']', a letter, and a digit or letter"
            raise BadInput(
                Reason.BAD_IDENTIFIER,
                "symbology identifier",
                given=printable(identifier),
                expected=expected,
            )
        return _BY_IDENTIFIER.get(identifier, cls.OTHER)


_BY_IDENTIFIER: Final = {str(symbology): symbology for symbology in Symbology} | {
    "]I3": Symbology.ITF,  # without its check digit, so it is no ITF-14
    "]d4": Symbology.DATA_MATRIX,  # from here on: with ECI, which tells the character set
    "]d5": Symbology.GS1_DATA_MATRIX,
    "]Q2": Symbology.QR_CODE,
    "]Q4": Symbology.GS1_QR_CODE,
    "]J4": Symbology.GS1_DOTCODE,
    "]Q0": Symbology.QR_CODE,  # model 1
    "]e1": Symbology.GS1_DATABAR,  # of a composite symbol: what stands above the bars
    "]e2": Symbology.GS1_DATABAR,
}
_IDENTIFIER: Final = re.compile(r"\][A-Za-z][0-9A-Za-z]")

GS1_SYMBOLOGIES: Final = frozenset(
    {
        Symbology.GS1_128,
        Symbology.GS1_DATABAR,
        Symbology.GS1_DATA_MATRIX,
        Symbology.GS1_QR_CODE,
        Symbology.GS1_DOTCODE,
    }
)
"""Those in which FNC1 stands first, or that hold nothing else: their content is element strings."""
