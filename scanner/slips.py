"""Slips for a parcel, on the 100 x 150 mm that couriers' printers hold: one for its outside, one for its inside.

The waybill's slip goes outside. It has the number as couriers' scanners want it, and the chain key as a QR code, since
a number of digits does not tell whose it is. The purchase token's slip goes inside: whoever reads it is the buyer, and
that must not be the courier. So the two are never drawn on one piece of paper.
"""

from __future__ import annotations

from typing import Final

from ledger.barcode import read_barcode
from ledger.errors import BadInput, Reason
from scanner.artwork import Artwork, Box
from scanner.labels import Label, Room, require_title
from scanner.print_size import millimetres, whole_dots
from scanner.symbol import Symbology
from scanner.typeface import Typeface

PAPER: Final = (100.0, 150.0)
"""Millimetres, width and height."""

_EDGE: Final = 4.0
"""Millimetres that stay white at the edges."""
_HEADING: Final = 4.5
"""Millimetres of an em."""
_PLAIN: Final = 3.2
"""Millimetres of an em."""

_CHINESE: Final = (
    "购买凭证",
    "扫码可确认收货、评价和投诉。",
    "谁持有本凭证，谁就是买家：请勿外传。",
    "放入包裹内，不要贴在外面。",
)
_ENGLISH: Final = (
    "Purchase token",
    "Scan it to receive, review and complain.",
    "Whoever holds it is the buyer: keep it secret.",
    "Goes inside the parcel, never on it.",
)


def waybill_slip(text: str, *, title: str = "", resolution: int = 300) -> Label:
    """The slip for the outside of a parcel.

    Args:
        text: what names the parcel: a waybill number that tells its carrier, or with it as in `zto:75312345678901`;
            an SSCC as `(00)…`; or the chain key.
        title: what is to stand above, such as the carrier's name. No person's name or address: it will be seen.
        resolution: of the printer, in dots to the inch.

    Raises:
        BadInput: as `LabelContent.parse` and `ledger.barcode.read_barcode`; and `Reason.INVALID_REQUEST`: not a
            parcel, or no room.
    """
    require_title(title)
    chain = read_barcode(text).chain
    if not chain.is_parcel:
        raise BadInput(
            Reason.INVALID_REQUEST, "slip for a parcel", given=chain, expected="a waybill or an SSCC"
        )
    room = _room(resolution)
    # People compare it across a counter.
    number = Label.compose(chain, resolution=resolution, room=room, text_sizes=(_HEADING,))
    key = Label.compose(chain, Symbology.QR_CODE, resolution=resolution, room=room)
    blocks = [
        _text(title, _HEADING, resolution),
        number.artwork,
        key.artwork,
    ]
    return Label((*number.contents, *key.contents), _stacked(blocks, resolution))


def token_slip(token: str, typeface: Typeface, *, title: str = "", resolution: int = 300) -> Label:
    """The slip for the inside of a parcel.

    Args:
        token: a purchase token's text, which is a secret.
        typeface: the letters; without Chinese ones the slip speaks English only.
        title: what was bought.
        resolution: of the printer, in dots to the inch.

    Raises:
        BadInput: `Reason.INVALID_REQUEST`: no text for a label, another resolution, or no room.
    """
    require_title(title)
    code = Label.compose(token, Symbology.QR_CODE, resolution=resolution, room=_room(resolution))
    spoken = [_ENGLISH] if typeface.wide is None else [_CHINESE, _ENGLISH]
    blocks = [
        _text("\n".join(words[0] for words in spoken), _HEADING, resolution),
        _text(title, _PLAIN, resolution),
        code.artwork,
        *(_text("\n".join(words[1:]), _PLAIN, resolution) for words in spoken),
    ]
    return Label(code.contents, _stacked(blocks, resolution))


def _room(resolution: int) -> Room:
    return Room(whole_dots(PAPER[0] - 2 * _EDGE, resolution), whole_dots(PAPER[1] - 2 * _EDGE, resolution))


def _text(text: str, size: float, resolution: int) -> Artwork:
    """A block of text as wide as the paper."""
    nothing: list[Box] = []
    width = _room(resolution).width
    return Artwork.compose(
        nothing, width=width, height=0, caption=text, resolution=resolution, text_size=size, room=width
    )


def _stacked(blocks: list[Artwork], resolution: int) -> Artwork:
    """The blocks on the paper, one below the other, what is left over shared out between them."""
    room = _room(resolution)
    blocks = [block for block in blocks if block.boxes or block.lines]
    left_over = room.height - sum(block.height for block in blocks)
    if left_over < 0:
        needed = millimetres(room.height - left_over, resolution)
        expected = f"{needed:.1f} mm, a shorter title, or a shorter text"
        given = f"{PAPER[1] - 2 * _EDGE:.1f} mm of height"
        raise BadInput(Reason.INVALID_REQUEST, "room on a slip", given=given, expected=expected)
    edge = whole_dots(_EDGE, resolution)
    parts: list[tuple[Artwork, int, int]] = []
    top = edge
    for block in blocks:
        parts.append((block, edge + (room.width - block.width) // 2, top))
        top += block.height + left_over // max(len(blocks) - 1, 1)
    width, height = (whole_dots(length, resolution) for length in PAPER)
    return Artwork.page(parts, width=width, height=height, resolution=resolution)
