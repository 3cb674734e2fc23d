"""A symbol to the chain that it names.

What the symbol itself tells, its symbology identifier, goes along to `ledger.barcode.read_barcode`, so that a GS1-128
is read as element strings and a Code 128 as a waybill number. Where nobody told, the text alone must be plain enough.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from ledger import barcode
from ledger.barcode import Reading, read_barcode
from ledger.chain_key import ChainKey
from ledger.errors import BadInput
from scanner.symbol import Symbol, Symbology

_PRINTED_AS: Final = {
    Symbology.EAN_13: barcode.Symbology.EAN_13,
    Symbology.UPC_A: barcode.Symbology.EAN_13,
    Symbology.UPC_E: barcode.Symbology.EAN_13,
    Symbology.EAN_8: barcode.Symbology.EAN_8,
    Symbology.ITF: barcode.Symbology.ITF,
    Symbology.ITF_14: barcode.Symbology.ITF_14,
    Symbology.CODE_128: barcode.Symbology.CODE_128,
    Symbology.GS1_128: barcode.Symbology.GS1_128,
    Symbology.DATABAR: barcode.Symbology.GS1_DATABAR,
    Symbology.DATA_MATRIX: barcode.Symbology.DATA_MATRIX,
    Symbology.GS1_DATA_MATRIX: barcode.Symbology.GS1_DATA_MATRIX,
    Symbology.QR_CODE: barcode.Symbology.QR_CODE,
    Symbology.GS1_QR: barcode.Symbology.GS1_QR_CODE,
}

# Of these the text alone doesn't tell whether FNC1 stood before it.
_LEFT_OPEN: Final = frozenset({Symbology.CODE_128, Symbology.QR_CODE})


@dataclass(frozen=True, slots=True)
class Finding:
    """A symbol, and what it means or why it means nothing here."""

    symbol: Symbol
    reading: Reading | None
    """The chain and what else the symbol says; None where it holds no identifier that we know."""
    refusal: BadInput | None
    """Why there is no reading; of an ambiguous code it names the candidates."""

    @property
    def chain(self) -> ChainKey | None:
        """The chain that the symbol names, if it names one."""
        return None if self.reading is None else self.reading.chain


def identify(symbol: Symbol, *, carrier: str | None = None, year: int | None = None) -> Finding:
    """What `symbol` identifies.

    Args:
        symbol: what a reader saw.
        carrier: the courier, such as `zto`, where the symbol is known to be the number of a waybill of theirs.
        year: the year of the scan, which tells the century of dates of two-digit year; by default this year.
    """
    if year is None:
        year = datetime.now(UTC).year
    try:
        reading = read_barcode(symbol.text, _printed_as(symbol), carrier=carrier, year=year)
    except BadInput as refusal:
        return Finding(symbol, None, refusal)
    return Finding(symbol, reading, None)


def _printed_as(symbol: Symbol) -> barcode.Symbology | None:
    if symbol.symbology_identifier == barcode.Symbology.EAN_13_ADD_ON:
        return barcode.Symbology.EAN_13_ADD_ON
    if symbol.symbology_identifier is None and symbol.symbology in _LEFT_OPEN:
        return None
    return _PRINTED_AS.get(symbol.symbology, barcode.Symbology.OTHER)
