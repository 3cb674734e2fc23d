"""Further looks at a picture on which nothing was found: with more contrast, larger, turned, sharper, softer, inverted.

A look costs time, and what it finds may be an accident of what was done to the picture. So looks are taken one by one,
the cheapest that help most first, and `scanner.decode` believes bars only if two of them say the same.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Final, TypeAlias

import cv2
import numpy as np
import numpy.typing as npt

from scanner.profile import Grey
from scanner.readers import read_with_zbar, read_with_zxing
from scanner.symbol import Point, Reader, Symbol

Placed: TypeAlias = "npt.NDArray[np.float64] | None"
"""How places on a changed picture become places on the picture itself: an affine map, 2 × 3; None changes nothing."""


@dataclass(frozen=True, slots=True)
class Look:
    """One way to look at a picture."""

    reader: Reader
    prepare: Callable[[Grey], tuple[Grey, Placed]]
    size: float = 1
    """Pixels that are looked at, to each of the picture."""
    global_threshold: bool = False

    def read(self, grey: Grey) -> list[Symbol]:
        """What is seen, at its place on `grey`."""
        changed, placed = self.prepare(grey)
        if self.reader is Reader.ZBAR:
            found = read_with_zbar(changed)
        else:
            found = read_with_zxing(changed, global_threshold=self.global_threshold)
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
    """White bars on black; zxing-cpp looks for these by itself."""
    return 255 - grey, None


def _upright(grey: Grey) -> tuple[Grey, Placed]:
    """The picture turned so that its lines stand upright, for readers look along rows and columns."""
    height, width = grey.shape
    turned = cv2.getRotationMatrix2D((width / 2, height / 2), _slant(grey), 1)
    cosine, sine = abs(turned[0, 0]), abs(turned[0, 1])
    new_width, new_height = round(width * cosine + height * sine), round(width * sine + height * cosine)
    turned[:, 2] += (new_width - width) / 2, (new_height - height) / 2
    upright = cv2.warpAffine(
        grey, turned, (new_width, new_height), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
    )
    back = np.asarray(cv2.invertAffineTransform(turned), dtype=np.float64)
    return upright.astype(np.uint8, copy=False), back


def _slant(grey: Grey) -> float:
    """By how many degrees, -90 to 90, the lines that are most of the picture are turned clockwise from upright.

    The direction of the structure tensor, of places where almost all change is in one direction.
    """
    smaller = (
        cv2.resize(grey, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA) if grey.size > 500_000 else grey
    )
    x = cv2.Sobel(smaller, cv2.CV_32F, 1, 0)
    y = cv2.Sobel(smaller, cv2.CV_32F, 0, 1)
    side = 15
    xx, yy, xy = (cv2.boxFilter(part, -1, (side, side)) for part in (x * x, y * y, x * y))
    difference, strength = xx - yy, xx + yy
    oneness = np.sqrt(difference * difference + 4 * xy * xy) / (strength + 1)
    weight = np.where(oneness > 0.8, np.sqrt(strength), 0)
    angles = np.degrees(np.arctan2(2 * xy, difference)) / 2
    votes, _ = np.histogram(angles, bins=60, range=(-90, 90), weights=weight)
    around = votes + np.roll(votes, 1) + np.roll(votes, -1)
    return float(int(around.argmax()) * 3 - 88.5)


AS_IT_IS: Final = Look(Reader.ZXING, plain)

FURTHER: Final = (
    Look(Reader.ZBAR, plain),
    Look(Reader.ZXING, _contrast),
    Look(Reader.ZBAR, _contrast),
    Look(Reader.ZXING, partial(_twice_with, _contrast), size=4),
    Look(Reader.ZXING, _upright, size=1.5),
    Look(Reader.ZXING, _twice, size=4),
    Look(Reader.ZBAR, _upright, size=1.5),
    Look(Reader.ZXING, _twice, size=4, global_threshold=True),
    Look(Reader.ZXING, _softer),
    Look(Reader.ZXING, partial(_twice_with, _sharper), size=4),
    Look(Reader.ZBAR, _inverted),
    Look(Reader.ZBAR, _softer),
)
"""Looks in the order in which they are taken."""


def _moved(symbol: Symbol, placed: npt.NDArray[np.float64]) -> Symbol:
    corners = np.array(symbol.position) @ placed[:, :2].T + placed[:, 2]
    first, second, third, fourth = (Point(round(x), round(y)) for x, y in corners.tolist())
    return replace(symbol, position=(first, second, third, fourth))
