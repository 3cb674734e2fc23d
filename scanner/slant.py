"""Which way the lines on a picture run: where almost all change is in one direction, bars stand across it."""

from __future__ import annotations

import math
from typing import Final

import cv2
import numpy as np

from scanner.profile import Grey
from scanner.symbol import Symbol

_LARGE: Final = 500_000
"""Pixels from which on a picture is halved first."""
_SIDE: Final = 15
"""Pixels of the squares within which directions are compared."""
_ONE_DIRECTION: Final = 0.8
"""How much of the change in a square is in one direction, from 0 to 1, where it holds lines."""
_STEP: Final = 3
"""Degrees to which the direction is told."""
_AROUND: Final = 6


def slant(grey: Grey) -> float:
    """By how many degrees, -90 to 90, the lines that are most of the picture are turned clockwise from upright."""
    if grey.size > _LARGE:
        grey = cv2.resize(grey, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA).astype(
            np.uint8, copy=False
        )
    x, y = _changes(grey)
    xx, yy, xy = (cv2.boxFilter(part, -1, (_SIDE, _SIDE)) for part in (x * x, y * y, x * y))
    difference, strength = xx - yy, xx + yy
    oneness = np.sqrt(difference * difference + 4 * xy * xy) / (strength + 1)
    weight = np.where(oneness > _ONE_DIRECTION, np.sqrt(strength), 0)
    angles = np.degrees(np.arctan2(2 * xy, difference)) / 2
    votes, edges = np.histogram(angles, bins=180 // _STEP, range=(-90, 90), weights=weight)
    around = votes + np.roll(votes, 1) + np.roll(votes, -1)
    return float(edges[around.argmax()] + _STEP / 2)


def crosses_at(grey: Grey, symbol: Symbol) -> float:
    """By how many degrees, 0 to 90, the line along which bars were read is off the right angle to them."""
    xs = [corner.x for corner in symbol.position]
    ys = [corner.y for corner in symbol.position]
    top, left = max(min(ys) - _AROUND, 0), max(min(xs) - _AROUND, 0)
    there = grey[top : max(ys) + _AROUND, left : max(xs) + _AROUND]
    if not there.size:
        return 0
    x, y = _changes(np.ascontiguousarray(there))
    across = math.degrees(math.atan2(2 * float((x * y).sum()), float((x * x - y * y).sum()))) / 2
    off = (across - symbol.orientation) % 180
    return min(off, 180 - off)


def _changes(grey: Grey) -> tuple[np.ndarray, np.ndarray]:
    """How grey changes from left to right, and from top to bottom."""
    return cv2.Sobel(grey, cv2.CV_32F, 1, 0), cv2.Sobel(grey, cv2.CV_32F, 0, 1)
