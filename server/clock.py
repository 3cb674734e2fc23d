"""The machine's clock, watched: an operator is told once when it has gone back.

Times never decrease along a log, whatever the clock does (`ledger.sequence` lets the last entry's time stand, and the
writer refuses to go on far behind it). But entries are then recorded under a time that is not theirs, and licences
judged by it, until the clock has caught up. Small steps are what time servers do, and nobody needs to hear of them.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import structlog

from ledger.event import moment

TOLD_US = 1_000_000
"""A clock that goes back by more than this is told of: one second."""

log = structlog.get_logger(__name__)


def wall_clock_us() -> int:
    """Microseconds since 1970-01-01T00:00:00Z, by the machine's clock."""
    return time.time_ns() // 1_000


class WatchedClock:
    """A clock that tells when it has gone back. For one thread; its figures may be read from any."""

    def __init__(self, clock: Callable[[], int] = wall_clock_us) -> None:
        self._clock = clock
        self._last_us = 0
        self._told_us = 0
        self.jumps = 0
        """How often it has gone back by more than a second."""
        self.behind_us = 0
        """How far it was behind the log at the last reading; 0 where it was not."""

    def now_us(self, recorded_at_us: int) -> int:
        """Read it.

        Args:
            recorded_at_us: when the log's last entry was recorded; the clock may have gone back while nobody read it.
        """
        now_us = self._clock()
        self.behind_us = max(0, recorded_at_us - now_us)
        back_us = max(self._last_us, recorded_at_us - self._told_us) - now_us
        if back_us > TOLD_US:
            self.jumps += 1
            self._told_us = self.behind_us
            log.warning(
                "clock_went_back",
                seconds=round(back_us / 1_000_000, 1),
                now=moment(now_us).isoformat(),
                last_entry=moment(recorded_at_us).isoformat(),
            )
        elif not self.behind_us:
            self._told_us = 0
        self._last_us = now_us
        return now_us
