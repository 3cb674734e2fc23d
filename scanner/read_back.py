"""Proof of a label: the scanner reads it, and finds what was asked for, all of it and nothing else."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from PIL import Image

from ledger.chain_key import ChainKind
from ledger.errors import BadInput, Reason
from ledger.identifiers import printable
from scanner.decode import decode_pixels
from scanner.identify import identify
from scanner.label_content import LabelContent
from scanner.symbol import Symbol, Symbology

# The mark that makes a message of element strings of their text; without it the same bars say something else.
_MARKED = frozenset({Symbology.GS1_128, Symbology.GS1_DATA_MATRIX})


def require_reads_as(contents: Sequence[LabelContent], image: Image.Image) -> None:
    """Refuse a picture on which the scanner finds anything but the symbols of `contents`.

    Raises:
        BadInput: `Reason.INVALID_REQUEST`: nothing was found, something else, or something more; or a symbol does not
            name the chain that it was drawn for.
    """
    require_symbols(contents, decode_pixels(image))


def require_symbols(contents: Sequence[LabelContent], found: Sequence[Symbol]) -> None:
    """The same of symbols that were read.

    Raises:
        BadInput: as `require_reads_as`.
    """
    wanted = Counter(map(_asked_for, contents))
    if Counter((_as_told(symbol.symbology), symbol.text) for symbol in found) != wanted:
        given = " and ".join(f"{symbol.symbology} {printable(symbol.text)}" for symbol in found)
        expected = " and ".join(
            f"{content.symbology} {printable(_asked_for(content)[1])}" for content in contents
        )
        raise _refusal(given or "nothing", expected)
    for content in contents:
        if content.chain is None:
            continue
        symbol = next(s for s in found if (_as_told(s.symbology), s.text) == _asked_for(content))
        # The number of a waybill does not tell its carrier; a QR code holds the whole key.
        is_number = content.symbology is Symbology.CODE_128 and content.chain.kind is ChainKind.WAYBILL
        chain = identify(symbol, carrier=content.chain.carrier if is_number else None).chain
        if chain != content.chain:
            raise _refusal(chain or "no chain", content.chain)


def _asked_for(content: LabelContent) -> tuple[Symbology, str]:
    # Readers tell a UPC-A in the 13 digits of the EAN-13 that it also is.
    text = f"0{content.text}" if content.symbology is Symbology.UPC_A else content.text
    return _as_told(content.symbology), text


def _as_told(symbology: Symbology) -> Symbology:
    return symbology if symbology in _MARKED else symbology.family


def _refusal(given: str, expected: str) -> BadInput:
    return BadInput(Reason.INVALID_REQUEST, "label as the scanner reads it", given=given, expected=expected)
