"""A third opinion on EAN and UPC: the widths of the modules, measured on the grey profile across the bars.

zxing-cpp and zbar cut the picture into black and white and compare the widths of single bars. Where ink has run, or
light has eaten the bars away, all bars are wider or narrower by one amount, and both take a 1 for a 7 or a 2 for an 8,
whose edges lie alike: the check digit may hold by chance, and they agree. Here nothing is cut. Guards and digits are
drawn with several gains of ink and blurs of the lens, and that drawing counts which the whole profile is most like.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from itertools import product
from typing import Any, Final, NamedTuple, TypeAlias

import cv2
import numpy as np
import numpy.typing as npt

from scanner.ean import EAN_8, EAN_13, LEFT_CODES, RIGHT_CODES, Floats, Layout, nearest
from scanner.symbol import Point

Grey: TypeAlias = npt.NDArray[np.uint8]
Corners: TypeAlias = tuple[Point, Point, Point, Point]

_GOOD: Final = 0.19
"""Mean distance a digit. Worse is the profile of a blur, or of what lies beside the symbol, and tells nothing."""

_SAMPLES: Final = 6
"""To a module."""
_AROUND: Final = 12
"""Modules that are sampled before and behind the symbol."""
_NEAR: Final = 2
_FAR: Final = 6
"""Modules by which a guard may lie beside its place."""
_COUNTED: Final = 3
"""Lines that count, of more that are looked at."""
_GAINS: Final = (-0.45, -0.3, -0.15, 0.0, 0.15, 0.3)
"""Modules by which bars are wider than they should be."""
_BLURS: Final = (0.3, 0.65)
"""Standard deviations of the blur, in modules."""
_BULGES: Final = (-9.0, 0.0, 9.0)
_FINE: Final = 48
"""Steps a module in which is drawn; a multiple of `_SAMPLES`."""

_START: Final = ("00000000101000", 3, 12)
"""A guard with modules around it, and from which to which module it is compared."""
_MIDDLE: Final = ("1010101", 0, 7)
_END: Final = ("000101000000000", 2, 11)
_LEAD: Final = 5
"""Modules before the guard in `_START`."""


@dataclass(frozen=True, slots=True)
class Measured:
    """What a profile says."""

    text: str
    """The nearest number whose check digit holds."""
    distance: float
    """How far from it the profile is: 0 is alike, 1 unlike; the mean of its digits."""

    @property
    def is_good(self) -> bool:
        """Whether the profile fits well enough to say anything."""
        return self.distance <= _GOOD


def measure(grey: Grey, corners: Corners, digits: int) -> Measured:
    """What the profile of an EAN says.

    Args:
        grey: the picture.
        corners: of the symbol, as `scanner.symbol.Symbol.position` has them, give or take some modules.
        digits: how many it has: 13 or 8.
    """
    layout = EAN_13 if digits == 13 else EAN_8
    box = np.array(corners, dtype=np.float32)
    at_once = _measure(_sampled(grey, box, layout, 3), layout, _NEAR, (0,))
    if at_once.is_good:
        return at_once
    return _measure(_sampled(grey, _heightened(box), layout, 6), layout, _FAR, _BULGES)


def _measure(profiles: Floats, layout: Layout, search: int, bulges: Iterable[float]) -> Measured:
    """What the profiles say, those of them that are most like a symbol.

    Args:
        profiles: as `_sampled` gives them.
        layout: of the symbol.
        search: modules by which a guard may lie beside its place.
        bulges: how much the surface may be bent.
    """
    drawn = _drawn()
    lines = len(profiles)
    start, start_like = _find(profiles, drawn.start, np.full(lines, _AROUND - _LEAD), search)
    end, end_like = _find(profiles, drawn.end, np.full(lines, _AROUND + layout.modules - 4), search)
    first, behind = start + _LEAD, end + 4
    width = (behind - first) / layout.modules
    middle, middle_like = _find(profiles, drawn.middle, first + (layout.middle - 1) * width, _NEAR)
    bend = middle + 3.5 - (first + behind) / 2
    guards_like = start_like + middle_like + end_like
    return min(
        (_compared(profiles, layout, _Lie(first, behind, bend, bulge), guards_like) for bulge in bulges),
        key=lambda measured: measured.distance,
    )


def _compared(profiles: Floats, layout: Layout, lie: _Lie, guards_like: Floats) -> Measured:
    """What the profiles say of a symbol that lies so, and whose guards are so like what is drawn: [line, drawing]."""
    drawn = _drawn()
    half = layout.left
    windows = _windows(profiles, layout, lie)
    left = _likeness(windows[:, :half], drawn.left)
    right = _likeness(windows[:, half:], drawn.right)
    like = left.max(axis=3).sum(axis=1) + right.max(axis=3).sum(axis=1) + 2 * guards_like
    if len(profiles) > _COUNTED:
        counted = np.argsort(-like.max(axis=1))[:_COUNTED]
        left, right, like = left[counted], right[counted], like[counted]
    best = int(like.sum(axis=0).argmax())
    number = nearest(layout, 1 - left[:, :, best].mean(axis=0), 1 - right[:, :, best].mean(axis=0))
    return Measured(number.text, number.distance / (2 * half))


def _heightened(box: Floats) -> Floats:
    """The box made a seventh as high as it is wide, if it is lower: readers tell the lines that they read."""
    upper_left, upper_right, lower_right, lower_left = box
    across = (upper_right - upper_left + lower_right - lower_left) / 2
    down = (lower_left - upper_left + lower_right - upper_right) / 2
    lacking = float(np.linalg.norm(across)) / 7 - float(np.linalg.norm(down))
    if lacking <= 0:
        return box
    length = max(float(np.linalg.norm(across)), 1)
    more = np.array([-across[1], across[0]], dtype=np.float32) / length * lacking / 2
    return np.stack([upper_left - more, upper_right - more, lower_right + more, lower_left + more])


@dataclass(frozen=True, slots=True)
class _Drawn:
    """Parts of a symbol as they look, by gain and blur: [drawing, sample], or [drawing, digit, sample]."""

    start: Floats
    middle: Floats
    end: Floats
    left: Floats
    right: Floats


@cache
def _drawn() -> _Drawn:
    ways = tuple(product(_GAINS, _BLURS))
    return _Drawn(
        *(_levelled(np.stack([_draw(*part, *way) for way in ways])) for part in (_START, _MIDDLE, _END)),
        # A digit on the left ends dark and stands between a light module and another; on the right it is the reverse.
        *(
            _levelled(
                np.stack([[_draw(f"{before}{code}{behind}", 1, 10, *way) for code in codes] for way in ways])
            )
            for codes, before, behind in ((LEFT_CODES, "01", "01"), (RIGHT_CODES, "10", "10"))
        ),
    )


def _draw(modules: str, first: int, behind: int, gain: float, blur: float) -> Floats:
    """Darkness of modules `first` to `behind`, sample by sample."""
    dark: Any = np.repeat(np.array([module == "1" for module in modules], dtype=np.float32), _FINE)
    spread = np.ones((1, 2 * round(abs(gain) * _FINE / 2) + 1), dtype=np.uint8)
    change = cv2.dilate if gain > 0 else cv2.erode
    dark = change(dark[None], spread, borderType=cv2.BORDER_REPLICATE)
    dark = cv2.GaussianBlur(dark, (0, 0), blur * _FINE, borderType=cv2.BORDER_REPLICATE)
    samples: Floats = dark.reshape(-1, _FINE // _SAMPLES).mean(axis=1)
    return samples[first * _SAMPLES : behind * _SAMPLES]


def _levelled(samples: Floats) -> Floats:
    """The samples of each window without their mean, scaled to length 1: light and contrast don't matter."""
    levelled: Floats = samples - samples.mean(axis=-1, keepdims=True)
    length = np.sqrt(np.einsum("...s,...s->...", levelled, levelled))[..., None]
    levelled /= np.maximum(length, 1e-3)
    return levelled


def _sampled(grey: Grey, box: Floats, layout: Layout, lines: int) -> Floats:
    """Darkness along lines across the bars: [line, sample]."""
    upper_left, upper_right, lower_right, lower_left = box
    down = ((np.arange(lines, dtype=np.float32) + 0.5) / lines)[:, None]
    begin = upper_left + (lower_left - upper_left) * down
    end = upper_right + (lower_right - upper_right) * down
    count = (layout.modules + 2 * _AROUND) * _SAMPLES
    along = ((np.arange(count, dtype=np.float32) + 0.5) / _SAMPLES - _AROUND) / layout.modules
    x = begin[:, :1] + (end - begin)[:, :1] * along
    y = begin[:, 1:] + (end - begin)[:, 1:] * along
    return 255 - cv2.remap(grey, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE).astype(np.float32)


def _find(profiles: Floats, part: Floats, places: Floats, search: int) -> tuple[Floats, Floats]:
    """Where each line is most like a part near a place, in modules, and how like it is there: [line, drawing]."""
    size = part.shape[-1]
    every = np.arange(len(profiles))
    reach = np.arange(-search * _SAMPLES, search * _SAMPLES + 1)
    begins = (places * _SAMPLES).round().astype(np.intp)[:, None] + reach
    begins = np.clip(begins, 0, profiles.shape[1] - size)
    windows = profiles[every[:, None, None], begins[:, :, None] + np.arange(size)]
    likeness = _levelled(windows) @ part.T
    best = likeness.max(axis=2).argmax(axis=1)
    return begins[every, best] / _SAMPLES, likeness[every, best]


class _Lie(NamedTuple):
    """How a symbol lies along each line, in modules from where sampling begins."""

    first: Floats
    """Where its first bar begins."""
    behind: Floats
    """Where its last bar ends."""
    bend: Floats
    """By how much its middle is off the middle."""
    bulge: float
    """By how much its halves are swollen, one this way, the other that."""

    def places(self, share: Floats) -> Floats:
        """Where the parts of it are that come after such shares of its width: the lines come first."""
        begin = self.first[:, None, None]
        width = self.behind[:, None, None] - begin
        off_middle = 4 * self.bend[:, None, None] + self.bulge * (1 - 2 * share)
        places: Floats = begin + width * share + off_middle * share * (1 - share)
        return places


def _windows(profiles: Floats, layout: Layout, lie: _Lie) -> Floats:
    """The samples of each digit with a module before and behind it: [line, digit, sample]."""
    modules = np.array(layout.digits)[:, None] - 1 + (np.arange(9 * _SAMPLES) + 0.5) / _SAMPLES
    places = np.clip(lie.places(modules / layout.modules) * _SAMPLES - 0.5, 0, profiles.shape[1] - 2)
    lower = places.astype(np.intp)
    rest = (places - lower).astype(np.float32)
    line = np.arange(len(profiles))[:, None, None]
    return _levelled(profiles[line, lower] * (1 - rest) + profiles[line, lower + 1] * rest)


def _likeness(windows: Floats, codes: Floats) -> Floats:
    """How like each window is to each code: [line, digit, drawing, code]."""
    like = windows.reshape(-1, windows.shape[-1]) @ codes.reshape(-1, codes.shape[-1]).T
    return like.reshape(*windows.shape[:2], *codes.shape[:2])
