"""A picture to the symbols printed on it.

Both readers look at every picture, and what they agree on is told once, with both names beside it. A check digit that
holds does not prove a correct read, and neither do two readers: before anything is signed, show what was read.
"""

from __future__ import annotations

import os
from dataclasses import replace

from PIL import Image

from ledger.errors import BadInput, Reason
from scanner.picture import load_picture, to_grey
from scanner.readers import read_with_zbar, read_with_zxing
from scanner.symbol import Symbol


def decode_image(path: str | os.PathLike[str]) -> list[Symbol]:
    """The symbols on the picture file at `path`; an empty list where there are none.

    Positions are those on the picture as it is shown, turned by its EXIF orientation. Of a file of several pages or
    frames the first is read.

    Raises:
        BadInput: `Reason.INVALID_REQUEST`: not a picture that can be read; see `scanner.picture.load_picture`.
    """
    return _read(load_picture(path))


def decode_pixels(image: Image.Image) -> list[Symbol]:
    """The symbols on `image`, of any mode; an empty list where there are none.

    One text printed twice is one symbol, at the place where it was seen first.

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
    return _read(to_grey(image))


def _read(grey: Image.Image) -> list[Symbol]:
    symbols: list[Symbol] = []
    for seen in read_with_zxing(grey) + read_with_zbar(grey):
        for place, known in enumerate(symbols):
            if _is_same(known, seen):
                # zxing-cpp came first and its word stands: it tells the mark, and knows more character sets.
                symbols[place] = replace(known, readers=tuple(dict.fromkeys(known.readers + seen.readers)))
                break
        else:
            symbols.append(seen)
    return symbols


def _is_same(known: Symbol, seen: Symbol) -> bool:
    """Whether two readings are of one printed symbol.

    Two codes with error correction in one place are the same bytes, whatever character set a reader guessed.
    Bars in one place that say different things are left for the user to see: one of them is a misreading.
    """
    if known.symbology.family is not seen.symbology.family:
        return False
    return known.text == seen.text or (seen.symbology.corrects_errors and _surrounds(known, seen))


def _surrounds(known: Symbol, seen: Symbol) -> bool:
    """Whether the middle of `seen` lies within the upright box around `known`."""
    middle_x = sum(corner.x for corner in seen.position) / 4
    middle_y = sum(corner.y for corner in seen.position) / 4
    xs = [corner.x for corner in known.position]
    ys = [corner.y for corner in known.position]
    return min(xs) <= middle_x <= max(xs) and min(ys) <= middle_y <= max(ys)
