"""Labels: drawn, read back, and only then handed out.

What a label says is in `scanner.label_content`, how it is printed in `scanner.encode` and `scanner.artwork`. Here
each label is given to the scanner first, and what the scanner reads must be what was asked for.
"""

from __future__ import annotations

import os
import secrets
from contextlib import suppress
from io import BytesIO
from pathlib import Path
from typing import Final

from PIL import Image

from ledger.chain_key import ChainKind
from ledger.errors import BadInput, Reason
from ledger.identifiers import printable
from scanner.artwork import DOTS_PER_INCH, Artwork
from scanner.decode import decode_pixels
from scanner.encode import encode
from scanner.identify import identify
from scanner.label_content import LabelContent
from scanner.symbol import Symbol, Symbology

_SUFFIXES: Final = (".png", ".svg")


def draw_label(text: str, symbology: Symbology | None = None) -> Image.Image:
    """The label of `text`, a picture of mode `L` for a printer of 300 dpi.

    Args:
        text: a chain key; a GTIN of 8, 12, 13 or 14 digits; GS1 element strings in brackets, as in `(01)…(10)…`; a
            web address; a waybill number, also with its carrier as in `zto:75312345678901`; or anything else.
        symbology: EAN_13, EAN_8, UPC_A, ITF_14, CODE_128, GS1_128 or QR_CODE. When not told the text decides, as it
            does in `scanner.label_content`; what looks like no identifier goes into a Code 128 if it is ASCII and
            short, and else into a QR code.

    The text stands beneath the symbol, unless it has characters beyond ASCII, which the font may lack.

    Raises:
        BadInput: `Reason.INVALID_REQUEST`: no text for a label, not for this symbology, or it does not read back;
            `Reason.BAD_IDENTIFIER`, `Reason.BAD_CHAIN_KEY`: it has the looks of an identifier and is a wrong one;
            `Reason.AMBIGUOUS_CODE`: digits that can be several things.
    """
    return _proved(LabelContent.parse(text, symbology))[1]


def write_label(path: str | os.PathLike[str], text: str, symbology: Symbology | None = None) -> None:
    """Draw the label of `text` into the file at `path`, whose suffix is `.png` or `.svg`; see `draw_label`.

    The file is there as a whole or not at all, and replaces one that was there before. The same text gives the same
    bytes. An SVG is proved by the pixels that the same artwork gives.

    Raises:
        BadInput: as `draw_label`; and `Reason.INVALID_REQUEST`: another suffix, or a place that can't be written to.
    """
    target = Path(path)
    suffix = target.suffix.lower()
    if suffix not in _SUFFIXES:
        raise _file_refusal(target, f"suffix {suffix}" if suffix else "no suffix", " or ".join(_SUFFIXES))
    artwork, image = _proved(LabelContent.parse(text, symbology))
    if suffix == ".svg":
        _write_whole(target, artwork.to_svg().encode())
    else:
        stream = BytesIO()
        image.save(stream, format="PNG", dpi=(DOTS_PER_INCH, DOTS_PER_INCH))
        _write_whole(target, stream.getvalue())


def _proved(content: LabelContent) -> tuple[Artwork, Image.Image]:
    """The label of `content` as it is printed and as pixels, which the scanner has read."""
    bars = encode(content.symbology, content.text)
    artwork = Artwork.compose(bars.boxes, width=bars.width, height=bars.height, caption=content.caption)
    image = artwork.to_pixels()
    _require_reads_as(content, decode_pixels(image))
    return artwork, image


def _require_reads_as(content: LabelContent, found: list[Symbol]) -> None:
    """Refuse a label on which `found` is anything but the one symbol that was asked for.

    Raises:
        BadInput: `Reason.INVALID_REQUEST`: nothing was found, something else, or something more; or the symbol does
            not name the chain that it was drawn for.
    """
    # Readers tell a UPC-A in the 13 digits of the EAN-13 that it also is.
    text = f"0{content.text}" if content.symbology is Symbology.UPC_A else content.text
    wanted = (content.symbology.family, text)
    if [(symbol.symbology.family, symbol.text) for symbol in found] != [wanted]:
        given = " and ".join(f"{symbol.symbology} {printable(symbol.text)}" for symbol in found)
        raise _read_back_refusal(given or "nothing", f"{content.symbology} {printable(text)}")
    if content.chain is not None:
        # The number of a waybill does not tell its carrier; a QR code holds the whole key.
        is_number = content.symbology is Symbology.CODE_128 and content.chain.kind is ChainKind.WAYBILL
        chain = identify(found[0], carrier=content.chain.carrier if is_number else None).chain
        if chain != content.chain:
            raise _read_back_refusal(chain or "no chain", content.chain)


def _write_whole(target: Path, content: bytes) -> None:
    """Write beside the target and rename: a crash leaves the file as it was, and at worst a `.part` beside it."""
    draft = target.with_name(f".{secrets.token_hex(8)}.part")
    try:
        with draft.open("xb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        draft.replace(target)
    except OSError as error:
        raise _file_refusal(target, error.strerror, "a place that can be written to") from error
    except ValueError:
        raise _file_refusal(target, "a name that no file can have", "a file name") from None
    finally:
        with suppress(OSError, ValueError):
            draft.unlink()


def _read_back_refusal(given: str, expected: str) -> BadInput:
    return BadInput(Reason.INVALID_REQUEST, "label as the scanner reads it", given=given, expected=expected)


def _file_refusal(target: Path, given: str | None, expected: str) -> BadInput:
    return BadInput(Reason.INVALID_REQUEST, f"label file {str(target)!r}", given=given, expected=expected)
