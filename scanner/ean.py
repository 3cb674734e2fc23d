"""EAN and UPC symbols as modules, and the number that a measured symbol most probably is.

ISO/IEC 15420: a digit is seven modules, two bars and two spaces. The left half of an EAN-13 chooses for each digit one
of two number sets, and that choice is the first digit; the last digit checks the others.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Final, NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt

from ledger.identifiers import gs1_check_digit

Floats: TypeAlias = npt.NDArray[np.floating]

_SET_A: Final = (
    "0001101", "0011001", "0010011", "0111101", "0100011", "0110001", "0101111", "0111011", "0110111", "0001011",
)  # fmt: skip
_SET_C: Final = tuple(code.translate(str.maketrans("01", "10")) for code in _SET_A)
_SET_B: Final = tuple(code[::-1] for code in _SET_C)

LEFT_CODES: Final = (*_SET_A, *_SET_B)
"""Modules of the digits 0 to 9 in number set A, and again in set B; 1 is dark."""
RIGHT_CODES: Final = _SET_C
"""Modules of the digits 0 to 9 in the right half."""

_CHOICES: Final = (
    "AAAAAA", "AABABB", "AABBAB", "AABBBA", "ABAABB", "ABBAAB", "ABBBAA", "ABABAB", "ABABBA", "ABBABA",
)  # fmt: skip

_GUARD: Final = 3
_MIDDLE: Final = 5
_DIGIT: Final = 7


@dataclass(frozen=True, slots=True)
class Layout:
    """Where the parts of a symbol begin, in modules from its first bar."""

    left: int
    """Digits on the left, and on the right."""

    @property
    def modules(self) -> int:
        """The width of the symbol."""
        return 2 * (_GUARD + _DIGIT * self.left) + _MIDDLE

    @property
    def middle(self) -> int:
        """Where the guard in the middle begins."""
        return _GUARD + _DIGIT * self.left

    @property
    def digits(self) -> tuple[int, ...]:
        """Where each digit begins, the left half first."""
        lefts = [_GUARD + _DIGIT * place for place in range(self.left)]
        return (*lefts, *(self.middle + _MIDDLE - _GUARD + start for start in lefts))


EAN_13: Final = Layout(6)
EAN_8: Final = Layout(4)


class Number(NamedTuple):
    """A number, and how far the measured digits are from it."""

    distance: float
    text: str


def nearest(layout: Layout, left: Floats, right: Floats) -> Number:
    """The number whose digits are nearest to what was measured, among all whose check digit holds.

    Args:
        layout: `EAN_13` or `EAN_8`.
        left: distance of each digit on the left from each of `LEFT_CODES`, digits × 20.
        right: distance of each digit on the right from each of `RIGHT_CODES`, digits × 10.
    """
    number = _nearest_digits(layout, left, right)
    return _nearest_number(layout, left, right) if number is None else number


def _nearest_digits(layout: Layout, left: Floats, right: Floats) -> Number | None:
    """The number that the nearest code of each place makes, if it is one: then none can be nearer."""
    lefts, rights = left.argmin(axis=1).tolist(), right.argmin(axis=1).tolist()
    sets = "".join("AB"[code // 10] for code in lefts)
    digits = "".join(str(code % 10) for code in (*lefts, *rights))
    if layout is EAN_13:
        if sets not in _CHOICES:
            return None
        digits = f"{_CHOICES.index(sets)}{digits}"
    elif "B" in sets:
        return None
    if gs1_check_digit(digits[:-1]) != digits[-1]:
        return None
    return Number(float(left.min(axis=1).sum() + right.min(axis=1).sum()), digits)


def _nearest_number(layout: Layout, left: Floats, right: Floats) -> Number:
    choices = _choices(layout)
    heads = np.arange(len(choices))
    sets = np.stack([left[:, :10], left[:, 10:]])
    # reached[head, rest]: the least distance of digits so far that sum up to that rest, weighted, modulo 10.
    reached = np.full((len(choices), 10), np.inf, dtype=np.float32)
    reached[heads, heads if layout is EAN_13 else 0] = 0
    steps = []
    for place in range(2 * layout.left):
        if place < layout.left:
            distances = sets[choices[:, place], place]
        else:
            distances = np.broadcast_to(right[place - layout.left], (len(choices), 10))
        # The last digit weighs 1, the one before it 3, and so on.
        before = _before(3 if (2 * layout.left - place) % 2 == 0 else 1)
        ways = reached[:, before] + distances[:, None, :]
        steps.append((ways.argmin(axis=2), before))
        reached = ways.min(axis=2)
    head = int(reached[:, 0].argmin())
    digits = []
    rest = 0
    for best, before in reversed(steps):
        digit = int(best[head, rest])
        digits.append(digit)
        rest = int(before[rest, digit])
    text = "".join(map(str, reversed(digits)))
    return Number(float(reached[head, 0]), f"{head}{text}" if layout is EAN_13 else text)


@cache
def _choices(layout: Layout) -> npt.NDArray[np.intp]:
    """For each first digit, or for the only one that an EAN-8 has, the number set of each digit on the left."""
    chosen = _CHOICES if layout is EAN_13 else ("A" * layout.left,)
    return np.array([["AB".index(letter) for letter in letters] for letters in chosen], dtype=np.intp)


@cache
def _before(weight: int) -> npt.NDArray[np.intp]:
    """From which rest a digit leads to another: [rest after it, digit]."""
    rests, digits = np.indices((10, 10))
    before: npt.NDArray[np.intp] = (rests - weight * digits) % 10
    return before
