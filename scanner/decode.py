"""A picture to the symbols printed on it.

zxing-cpp looks first. What it finds, zbar looks at too, in the place where it was found, and of an EAN or UPC the
widths of the modules are measured. Only where nothing was found at all zbar searches the whole picture, and then both
look at it changed, until something was found or the time that it may take is over.

A check digit that holds does not prove a correct read, and neither do two readers: before anything is signed, show
what was read.
"""

from __future__ import annotations

import os
import time
from collections.abc import Generator, Iterable
from dataclasses import dataclass, field, replace
from typing import Final

import numpy as np
from PIL import Image

from ledger.errors import BadInput, Reason
from scanner.looks import AS_IT_IS, further_looks
from scanner.opinions import combined, is_same
from scanner.picture import load_pages, load_picture, to_grey
from scanner.profile import Grey, measure
from scanner.readers import ZBAR_FAMILIES, read_with_zbar
from scanner.symbol import Point, Reader, Symbol, Symbology

PATIENCE_S: Final = 0.15
"""Processor time for a picture of a megapixel or less; a larger one may take as much more as it is larger."""

_MOST_PATIENCE: Final = 20
"""Megapixels beyond which no more time is given."""
_BAND: Final = 12
"""Pixels along upright bars that zbar looks at."""
_QUIET: Final = 0.15
"""How much around a symbol, of its size, is looked at with it."""
_MEASURABLE: Final = frozenset({Symbology.EAN_13, Symbology.UPC_A, Symbology.EAN_8})


def decode_image(path: str | os.PathLike[str], *, patience_s: float = PATIENCE_S) -> list[Symbol]:
    """The symbols on the picture file at `path`; an empty list where there are none.

    Positions are those on the picture as it is shown, turned by its EXIF orientation. Of a file of several pages or
    frames the first is read.

    Args:
        path: of the file.
        patience_s: as `decode_grey`.

    Raises:
        BadInput: `Reason.INVALID_REQUEST`: not a picture that can be read; see `scanner.picture.load_picture`.
    """
    return decode_grey(np.asarray(load_picture(path)), patience_s=patience_s)


def decode_pages(path: str | os.PathLike[str], *, patience_s: float = PATIENCE_S) -> Generator[list[Symbol]]:
    """The symbols on each page of the picture file at `path`, a TIFF or a PDF; of another picture, on the one it is.

    Raises:
        BadInput: as `decode_image`, also of a later page.
    """
    for page in load_pages(path):
        yield decode_grey(np.asarray(page), patience_s=patience_s)


def decode_pixels(image: Image.Image, *, patience_s: float = PATIENCE_S) -> list[Symbol]:
    """The symbols on `image`, of any mode; an empty list where there are none; otherwise as `decode_grey`.

    Raises:
        BadInput: `Reason.INVALID_REQUEST`: the image has no pixels.
    """
    width, height = image.size
    if not (width and height):
        raise BadInput(
            Reason.INVALID_REQUEST,
            "picture",
            given=f"{width} x {height} pixels",
            expected="at least one pixel",
        )
    return decode_grey(np.asarray(to_grey(image)), patience_s=patience_s)


def decode_grey(grey: Grey, *, patience_s: float = PATIENCE_S) -> list[Symbol]:
    """The symbols on grey pixels, [row, column], of which there is at least one.

    One text printed twice is one symbol, at the place where it was seen first.

    Args:
        grey: the picture; black is 0.
        patience_s: seconds of processor time after which no further look is taken where nothing was found, to each
            megapixel; `math.inf` takes them all, so that the answer does not depend on the machine.
    """
    begun = time.thread_time()
    found = AS_IT_IS.read(grey)
    if found:
        return combined(_with_second_opinions(grey, found))
    megapixels = grey.size / 1_000_000
    allowed = patience_s * min(max(megapixels, 1), _MOST_PATIENCE)
    return _searched(grey, begun, allowed)


def _with_second_opinions(grey: Grey, found: list[Symbol]) -> list[Symbol]:
    """What zxing-cpp found, and what zbar and the widths of the modules say in the same places."""
    said = list(found)
    for symbol in found:
        if symbol.symbology.family in ZBAR_FAMILIES:
            said += _asked_there(grey, symbol)
    return said + _measured(grey, said)


def _asked_there(grey: Grey, symbol: Symbol) -> list[Symbol]:
    """What zbar reads where `symbol` lies."""
    xs = [corner.x for corner in symbol.position]
    ys = [corner.y for corner in symbol.position]
    around = round(_QUIET * max(max(xs) - min(xs), max(ys) - min(ys))) + 2
    left, right = max(min(xs) - around, 0), min(max(xs) + around, grey.shape[1])
    top, bottom = max(min(ys) - around, 0), min(max(ys) + around, grey.shape[0])
    if not symbol.symbology.corrects_errors:
        # Bars are everywhere the same: a band across their middle is enough.
        turned = symbol.orientation % 180
        if min(turned, 180 - turned) < 10:
            middle = (min(ys) + max(ys)) // 2
            top, bottom = max(top, middle - _BAND // 2), min(bottom, middle + _BAND // 2)
        elif abs(turned - 90) < 10:
            middle = (min(xs) + max(xs)) // 2
            left, right = max(left, middle - _BAND // 2), min(right, middle + _BAND // 2)
    if left >= right or top >= bottom:
        return []
    moved = []
    for seen in read_with_zbar(grey[top:bottom, left:right], like=symbol.symbology):
        first, second, third, fourth = (Point(corner.x + left, corner.y + top) for corner in seen.position)
        moved.append(replace(seen, position=(first, second, third, fourth)))
    return moved


def _measured(grey: Grey, said: Iterable[Symbol]) -> list[Symbol]:
    """What the widths of the modules say of the EANs that others read: one reading for each that could be measured."""
    measured: list[Symbol] = []
    done: list[Symbol] = []
    for symbol in said:
        if symbol.symbology not in _MEASURABLE or any(is_same(other, symbol) for other in done):
            continue
        done.append(symbol)
        widths = measure(grey, symbol.position, len(symbol.text))
        if widths.is_good:
            measured.append(
                replace(symbol, symbology=_ean(widths.text), text=widths.text, readers=(Reader.PROFILE,))
            )
    return measured


def _ean(text: str) -> Symbology:
    if len(text) == 8:
        return Symbology.EAN_8
    return Symbology.UPC_A if text.startswith("0") else Symbology.EAN_13


@dataclass
class _Sightings:
    """What was seen in further looks, and how often."""

    seen: list[Symbol] = field(default_factory=list)
    often: list[int] = field(default_factory=list)

    def add(self, symbol: Symbol) -> None:
        """Count what one look saw."""
        for place, known in enumerate(self.seen):
            if is_same(known, symbol):
                self.often[place] += 1
                (self.seen[place],) = combined([known, symbol])
                return
        self.seen.append(symbol)
        self.often.append(1)

    def believed(self) -> list[Symbol]:
        """What is no accident: bars that were seen twice, and codes that correct errors."""
        return [
            symbol
            for symbol, often in zip(self.seen, self.often, strict=True)
            if often > 1 or symbol.symbology.corrects_errors
        ]


def _searched(grey: Grey, begun: float, allowed: float) -> list[Symbol]:
    """What further looks find, the first of them that find anything that can be believed.

    Args:
        grey: the picture.
        begun: when the first look began, in seconds of processor time.
        allowed: how long after that the last look may end.
    """
    # What a pixel costs, from the look that was taken.
    cost = (time.thread_time() - begun) / grey.size
    sightings = _Sightings()
    for look in further_looks(grey):
        before = time.thread_time()
        if before - begun + cost * look.size * grey.size > allowed:
            continue
        found = look.read(grey)
        cost = max(cost, (time.thread_time() - before) / (look.size * grey.size))
        for symbol in found + _measured(255 - grey if look.inverted else grey, found):
            sightings.add(symbol)
        believed = sightings.believed()
        if believed:
            return [_on_picture(symbol, grey) for symbol in combined(believed)]
    return []


def _on_picture(symbol: Symbol, grey: Grey) -> Symbol:
    """The same symbol, its corners moved onto the picture: where it was turned, the edges were drawn out."""
    height, width = grey.shape
    first, second, third, fourth = (
        Point(min(max(corner.x, 0), width - 1), min(max(corner.y, 0), height - 1))
        for corner in symbol.position
    )
    return replace(symbol, position=(first, second, third, fourth))
