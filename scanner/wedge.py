"""Keystrokes to scans: what a scanner sends that poses as a keyboard, or sits at a serial line.

A keyboard wedge types the code that it has read, faster than anybody can, and ends it with a key, mostly Enter. So what
came slowly was typed and is no scan: codes that people type have not been read at all. Scanners can be set up to send
characters before and after each code; a prefix finds a code even behind what was typed.

Nothing is ever cut at a pause while an end is still to come: where a radio link falters in the middle of a code, its
second half alone would be another code. Time comes with the bytes, in seconds from any beginning.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final, NamedTuple

MAX_BYTES: Final = 3 * 4_296
"""Of one scan: what the largest QR Code holds, in the longest encoding that a scanner sends. A longer one is left out."""

FASTEST_TYPING_S: Final = 0.035
"""From key to key, on average over a code: scanners take 1 to 20 ms, the fastest fingers 60."""

_FEWEST: Final = 4
"""Characters of a scan, unless all came at once; a few keys anybody may type as fast."""
_FORGOTTEN_S: Final = 2.0
"""After so long a silence nobody expects the end any more of what was begun."""
_ENTER_OR_TAB: Final = (b"\r", b"\n", b"\t")
# GS parts element strings; RS and EOT frame messages of ISO/IEC 15434. Others no code has.
_CONTROLS: Final = frozenset("\x1d\x1e\x04")


@dataclass(frozen=True, slots=True)
class Setup:
    """How a scanner is set up."""

    prefix: str = ""
    """What it sends before each code."""
    suffix: str | None = None
    """What it sends after each code; None: Enter or Tab; empty: nothing, so that a pause is all that ends a code."""
    pause_s: float = 0.3
    """The pause that ends a code where there is no suffix."""
    fastest_typing_s: float | None = FASTEST_TYPING_S
    """From one character to the next, on average: what is slower was typed. None: whatever comes is scanned."""


class Kind(StrEnum):
    """What a burst of characters was."""

    SCANNED = "scanned"
    TYPED = "typed"
    UNMARKED = "unmarked"
    """As fast as a scan, but without the prefix that the scanner is set up to send."""
    UNREADABLE = "unreadable"
    """Bytes that are no text, or with characters that no code has."""
    TOO_LONG = "too long"


class Burst(NamedTuple):
    """Characters that came together."""

    kind: Kind
    text: str
    """The code, without prefix and suffix; empty if it is not a scan: what was typed may be anything, a password too."""


class Keystrokes:
    """What has come so far of bytes with their times."""

    def __init__(self, setup: Setup) -> None:
        self._setup = setup
        self._prefix = setup.prefix.encode()
        self._suffixes = _ENTER_OR_TAB if setup.suffix is None else (setup.suffix.encode(),)
        self._silence_s = setup.pause_s if setup.suffix == "" else _FORGOTTEN_S
        self._held = bytearray()
        self._times: list[float] = []
        self._overflowed = False

    @property
    def waits_until_s(self) -> float | None:
        """When silence has lasted so long that `idle` has something to say; None while nothing is held."""
        return self._times[-1] + self._silence_s if self._times else None

    def feed(self, chunk: bytes, at_s: float) -> list[Burst]:
        """What bytes that arrived together complete.

        Args:
            chunk: one byte or more.
            at_s: when they arrived.
        """
        bursts = self.idle(at_s)
        for byte in chunk:
            self._held.append(byte)
            self._times.append(at_s)
            ending = next((one for one in self._suffixes if one and self._held.endswith(one)), None)
            if ending is not None:
                bursts += self._complete(len(ending))
            elif len(self._held) > MAX_BYTES:
                # Only so much is kept as an ending may still be found in.
                self._overflowed = True
                del self._held[: -max(map(len, self._suffixes)) or None]
                del self._times[: len(self._times) - max(len(self._held), 1)]
        return bursts

    def idle(self, at_s: float) -> list[Burst]:
        """What is complete, or given up, because nothing has come until now."""
        deadline = self.waits_until_s
        if deadline is None or at_s < deadline:
            return []
        if self._setup.suffix == "":
            return self._complete(0)
        self._forget()
        return [Burst(Kind.TYPED, "")]

    def end(self) -> list[Burst]:
        """What is complete because nothing will come any more: a last line needs no end."""
        return self._complete(0)

    def _complete(self, ending: int) -> list[Burst]:
        """The burst that is held, the last `ending` bytes of which only end it; none if there is nothing else."""
        content, times, overflowed = (
            bytes(self._held[: len(self._held) - ending]),
            self._times,
            self._overflowed,
        )
        self._forget()
        if overflowed:
            return [Burst(Kind.TOO_LONG, "")]
        if not content:
            return []
        begins = 0
        if self._prefix:
            found = content.rfind(self._prefix)
            if found < 0:
                return [Burst(Kind.TYPED if self._is_slow(times) else Kind.UNMARKED, "")]
            begins = found + len(self._prefix)
            times = times[found:]
        if self._is_slow(times):
            return [Burst(Kind.TYPED, "")]
        text = _text(content[begins:])
        return [Burst(Kind.UNREADABLE, "") if text is None else Burst(Kind.SCANNED, text)]

    def _is_slow(self, times: list[float]) -> bool:
        """Whether somebody may have typed this.

        The average counts, not the longest gap: a busy machine hands out late what came in time, and a whole code in the
        time of its slowest key nobody types.
        """
        fastest_s = self._setup.fastest_typing_s
        if fastest_s is None:
            return False
        took_s = times[-1] - times[0]
        if not took_s:
            return len(times) == 1
        return len(times) < _FEWEST or took_s > fastest_s * (len(times) - 1)

    def _forget(self) -> None:
        self._held, self._times, self._overflowed = bytearray(), [], False


def _text(content: bytes) -> str | None:
    """What these bytes say; None if they are no text that a code can hold."""
    try:
        text = content.decode()
    except UnicodeDecodeError:
        return None
    return text if all(one.isprintable() or one in _CONTROLS for one in text) else None
