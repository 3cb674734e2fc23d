"""Asking a busy service again: after how long, and when to give up.

The service says when to come back (google.rpc.RetryInfo), and that is the least; what it says is a stranger's word, so
nobody waits longer for it than `MAX_WAIT_S`. Each further wait is twice as long, and a little longer by chance, so that
those who were turned away together do not come back together.
"""

from __future__ import annotations

import random
import time

MAX_WAIT_S = 30.0
"""Longest single wait. A service that asks for more is taken at its refusal."""

LEAST_S = 0.05
"""Shortest wait, whatever the service says."""

_TRIES = 4
"""Waits in a row that may bring nothing."""


class Patience:
    """The patience of one request."""

    def __init__(self, timeout_s: float = float("inf")) -> None:
        """Args: seconds in which all has to be over."""
        self._until = time.monotonic() + timeout_s
        self._waits = 0

    @property
    def left_s(self) -> float:
        """Seconds that are left."""
        return max(0.0, self._until - time.monotonic())

    def renew(self) -> None:
        """The last wait brought something: the next is short again."""
        self._waits = 0

    def wait(self, told_s: float) -> bool:
        """Wait; returns whether to ask again. It is not waited where the time would be over before.

        Args:
            told_s: seconds after which the service said to come back.
        """
        delay_s = max(told_s, LEAST_S) * 2**self._waits * random.uniform(1.0, 1.2)  # noqa: S311 - spreads callers, hides nothing
        if self._waits >= _TRIES or told_s > MAX_WAIT_S or delay_s >= self.left_s:
            return False
        self._waits += 1
        time.sleep(min(delay_s, MAX_WAIT_S))
        return True
