"""Which way lines run."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from scanner.labels import draw_label
from scanner.slant import crosses_at, slant
from scanner.symbol import Point, Reader, Symbol, Symbology


def label(degrees: float) -> np.ndarray:
    """Bars, turned clockwise."""
    upright = draw_label("SF1234567890123")
    return np.asarray(upright.rotate(-degrees, Image.Resampling.BICUBIC, expand=True, fillcolor=255))


def line(grey: np.ndarray, degrees: float) -> Symbol:
    """A reading along a line through the middle."""
    height, width = grey.shape
    across = np.array([np.cos(np.radians(degrees)), np.sin(np.radians(degrees))]) * 60
    begin, end = (np.array([width / 2, height / 2]) + side * across for side in (-1, 1))
    first, second = Point(*map(int, begin)), Point(*map(int, end))
    return Symbol(Symbology.ITF, "1234", None, (Reader.ZXING,), (first, second, second, first))


@pytest.mark.parametrize("degrees", [-80, -40, -12, 0, 15, 33, 60, 85])
def test_the_slant_of_bars(degrees):
    off = (slant(label(degrees)) - degrees) % 180
    assert min(off, 180 - off) <= 3


@pytest.mark.parametrize("bars", [0, 20, 45])
@pytest.mark.parametrize("read", [0, 20, 45, 90])
def test_a_line_that_crosses_bars_slantwise(bars, read):
    grey = label(bars)
    assert crosses_at(grey, line(grey, read)) == pytest.approx(abs(read - bars), abs=6)


def test_nothing_has_a_slant_of_some_kind():
    assert -90 <= slant(np.full((40, 30), 255, dtype=np.uint8)) <= 90
    assert -90 <= slant(np.zeros((1, 1), dtype=np.uint8)) <= 90


def test_a_line_outside_the_picture_tells_nothing():
    far = Point(900, 900)
    symbol = Symbol(Symbology.ITF, "1234", None, (Reader.ZXING,), (far, far, far, far))
    assert crosses_at(label(0), symbol) == 0
