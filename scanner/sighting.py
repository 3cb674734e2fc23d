"""Frame after frame to codes: which of what a camera sees counts, and when.

A frame is a poor picture, and there are many of them: a misreading that one in a thousand brings comes every minute.
So a code counts when it was read alike in two frames that lie close together, and then once: as long as it stays in
sight nothing more is told of it, though single frames miss it. Whether it counts anew when it comes back after a while
is for the user to say: a conveyor belt brings the same goods again, a hand that shakes does not.

Time comes with the frames, in seconds from any beginning; nothing here looks at a clock.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, TypeAlias

from scanner.symbol import Confidence, Symbol, Symbology

MAX_CODES: Final = 100_000
"""Codes that are remembered; the one that was longest out of sight is forgotten first, and would count anew."""


@dataclass(frozen=True, slots=True)
class Agreement:
    """What has to be seen before a code counts."""

    frames: int = 2
    """In how many frames it has to be read alike."""
    within_s: float = 1.0
    """How far apart two such frames may lie; a longer break begins anew."""
    again_after_s: float | None = None
    """After how long out of sight a code counts again; None: never."""


@dataclass(slots=True)
class _Code:
    """What was seen of one code."""

    last_s: float
    frames: int = 0
    """In a row, as `Agreement.within_s` has it."""
    told: bool = False


_Key: TypeAlias = "tuple[Symbology, str]"


class Sightings:
    """What was seen so far."""

    def __init__(self, agreement: Agreement) -> None:
        self._agreement = agreement
        self._codes: dict[_Key, _Code] = {}

    def see(self, symbols: Iterable[Symbol], at_s: float) -> list[Symbol]:
        """The symbols of one frame that begin to count with it, as this frame shows them.

        Args:
            symbols: what was read on the frame; one text in several places counts as one, and a disputed one as none.
            at_s: when it was taken, not before the frames that were shown earlier.
        """
        counting: list[Symbol] = []
        read = [symbol for symbol in symbols if symbol.confidence is not Confidence.DISPUTED]
        seen = {_key(symbol): symbol for symbol in reversed(read)}
        for key, symbol in reversed(seen.items()):
            if self._counts(key, at_s):
                counting.append(symbol)
        while len(self._codes) > MAX_CODES:
            del self._codes[next(iter(self._codes))]
        return counting

    def _counts(self, key: _Key, at_s: float) -> bool:
        """Note that a code is on the frame; whether it counts with it."""
        rules = self._agreement
        code = self._codes.pop(key, None) or _Code(at_s)
        self._codes[key] = code  # as the one seen last
        away_s, code.last_s = at_s - code.last_s, at_s
        if away_s > rules.within_s:
            code.frames = 0
        if rules.again_after_s is not None and away_s > rules.again_after_s:
            code.frames, code.told = 0, False
        code.frames += 1
        if code.told or code.frames < rules.frames:
            return False
        code.told = True
        return True


def _key(symbol: Symbol) -> _Key:
    """What two readings of one code have in common: readers may name one symbol differently within a family."""
    return symbol.symbology.family, symbol.text
