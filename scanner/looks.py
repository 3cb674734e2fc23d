"""Further looks at a picture on which nothing was found: with more contrast, larger, turned, sharper, softer, inverted.

A look costs time, and what it finds may be an accident of what was done to the picture. So looks are taken one by one,
the cheapest that help most first, and `scanner.decode` believes bars only if two of them say the same.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from typing import Final, TypeAlias

import cv2
import numpy as np
import numpy.typing as npt

from scanner.profile import Grey
from scanner.readers import read_with_zbar, read_with_zxing
from scanner.slant import crosses_at, slant
from scanner.symbol import Point, Reader, Symbol, Symbology

Placed: TypeAlias = "npt.NDArray[np.float64] | None"
"""How places on a changed picture become places on the picture itself: an affine map, 2 × 3; None changes nothing."""


_MOST_SLANT: Final = 10
"""Degrees; a symbol that is a sixth as high as it is wide is crossed from side to side by a line so slanting."""


_LEAST_SLANT: Final = 8
"""Degrees up to which bars are read as well as upright ones."""
_TURNED_SIZE: Final = 1.5
"""A picture that was turned is larger than it was, by its corners: at most twice."""


@dataclass(frozen=True, slots=True)
class Look:
    """One way to look at a picture."""

    reader: Reader
    prepare: Callable[[Grey], tuple[Grey, Placed]]
    size: float = 1
    """Pixels that are looked at, to each of the picture."""
    global_threshold: bool = False
    inverted: bool = False
    """Whether what is seen is light on dark."""

    def read(self, grey: Grey) -> list[Symbol]:
        """What is seen, at its place on `grey`."""
        changed, placed = self.prepare(grey)
        if self.reader is Reader.ZBAR:
            found = read_with_zbar(changed)
        else:
            found = read_with_zxing(changed, global_threshold=self.global_threshold)
        found = [symbol for symbol in found if _is_whole(changed, symbol)]
        return found if placed is None else [_moved(symbol, placed) for symbol in found]


def plain(grey: Grey) -> tuple[Grey, Placed]:
    """The picture as it is."""
    return grey, None


def _contrast(grey: Grey) -> tuple[Grey, Placed]:
    """Each part of the picture stretched over the whole range: shadows, glare, pale print."""
    return cv2.createCLAHE(3, (8, 8)).apply(grey).astype(np.uint8, copy=False), None


def _twice(grey: Grey) -> tuple[Grey, Placed]:
    """Twice as large: bars of one pixel or two get edges between pixels."""
    larger = cv2.resize(grey, None, fx=2, fy=2, interpolation=cv2.INTER_CUBIC)
    # The middle of a pixel is its place.
    return larger.astype(np.uint8, copy=False), np.array([[0.5, 0, -0.25], [0, 0.5, -0.25]])


def _twice_with(change: Callable[[Grey], tuple[Grey, Placed]], grey: Grey) -> tuple[Grey, Placed]:
    larger, placed = _twice(grey)
    return change(larger)[0], placed


def _sharper(grey: Grey) -> tuple[Grey, Placed]:
    """Edges steepened: out of focus."""
    softer = cv2.GaussianBlur(grey, (0, 0), 2)
    return cv2.addWeighted(grey, 2.5, softer, -1.5, 0).astype(np.uint8, copy=False), None


def _softer(grey: Grey) -> tuple[Grey, Placed]:
    """Details smoothed away: print with a pattern in it, noise."""
    return cv2.GaussianBlur(grey, (0, 0), 2).astype(np.uint8, copy=False), None


def _inverted(grey: Grey) -> tuple[Grey, Placed]:
    """Light bars on dark; light codes of other kinds zxing-cpp finds by itself."""
    return 255 - grey, None


def _turned(degrees: float, grey: Grey) -> tuple[Grey, Placed]:
    """The picture turned back by so many degrees clockwise, for readers look along rows and columns."""
    height, width = grey.shape
    turned = cv2.getRotationMatrix2D((width / 2, height / 2), degrees, 1)
    cosine, sine = abs(turned[0, 0]), abs(turned[0, 1])
    new_width, new_height = round(width * cosine + height * sine), round(width * sine + height * cosine)
    turned[:, 2] += (new_width - width) / 2, (new_height - height) / 2
    upright = cv2.warpAffine(
        grey, turned, (new_width, new_height), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
    )
    back = np.asarray(cv2.invertAffineTransform(turned), dtype=np.float64)
    return upright.astype(np.uint8, copy=False), back


AS_IT_IS: Final = Look(Reader.ZXING, plain)

_FURTHER: Final = (
    Look(Reader.ZBAR, plain),
    Look(Reader.ZXING, _contrast),
    Look(Reader.ZBAR, _contrast),
    Look(Reader.ZXING, partial(_twice_with, _contrast), size=4),
    Look(Reader.ZXING, _twice, size=4),
    Look(Reader.ZXING, _twice, size=4, global_threshold=True),
    Look(Reader.ZXING, _softer),
    Look(Reader.ZXING, partial(_twice_with, _sharper), size=4),
    Look(Reader.ZXING, _inverted, inverted=True),
    Look(Reader.ZBAR, _inverted, inverted=True),
    Look(Reader.ZBAR, _softer),
)


def further_looks(grey: Grey) -> Iterator[Look]:
    """Looks at a picture in the order in which they are taken; turned only if its lines are neither upright nor level."""
    degrees = (slant(grey) + 45) % 90 - 45
    if abs(degrees) > _LEAST_SLANT:
        upright = partial(_turned, degrees)
        yield from (Look(reader, upright, size=_TURNED_SIZE) for reader in (Reader.ZXING, Reader.ZBAR))
    yield from _FURTHER


def _is_whole(grey: Grey, symbol: Symbol) -> bool:
    """Whether bars were read from their first to their last.

    A part of an ITF is an ITF of fewer digits: a line that crosses the bars slantwise may leave them at their heads.
    """
    return symbol.symbology.family is not Symbology.ITF or crosses_at(grey, symbol) <= _MOST_SLANT


def _moved(symbol: Symbol, placed: npt.NDArray[np.float64]) -> Symbol:
    corners = np.array(symbol.position) @ placed[:, :2].T + placed[:, 2]
    first, second, third, fourth = (Point(round(x), round(y)) for x, y in corners.tolist())
    return replace(symbol, position=(first, second, third, fourth))
