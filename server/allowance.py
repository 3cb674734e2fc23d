"""How much each key may have recorded: a token bucket a key.

A key's bucket holds `burst` events at most and fills with `rate` events a second. Only events whose signature holds
are counted, so nobody can use up what is another's. A bucket that has been left alone until it is full again says no
more than none at all, and is dropped: there are only as many as keys that were lately used.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from ledger.errors import BadInput, Reason, ServiceFault

MAX_KEYS = 100_000
"""Buckets that are kept. Where more keys are in use than that, the one unused for longest gets its allowance anew."""


@dataclass(frozen=True, slots=True)
class KeyAllowance:
    """What each key may do."""

    rate: float
    """Events a second."""
    burst: int
    """Events at once."""

    def __post_init__(self) -> None:
        if not (0 < self.rate <= 1_000_000 and 1 <= self.burst <= 1_000_000):
            raise BadInput(
                Reason.INVALID_REQUEST,
                "allowance of a key",
                given=f"{self.rate:g} events a second, {self.burst} at once",
                expected="more than 0 and 1 to 1000000",
            )


class Allowances:
    """The buckets. For one thread."""

    def __init__(
        self,
        allowance: KeyAllowance,
        *,
        clock: Callable[[], float] = time.monotonic,
        max_keys: int = MAX_KEYS,
    ) -> None:
        self._allowance = allowance
        self._clock = clock
        self._max_keys = max_keys
        # The one used last comes last; each as what was left in it, and when.
        self._buckets: dict[bytes, tuple[float, float]] = {}

    def __len__(self) -> int:
        return len(self._buckets)

    def take(self, key_id: bytes, events: int) -> int:
        """Take events out of a key's bucket; returns how many it had, up to those that were asked for."""
        now = self._clock()
        self._drop(now)
        left, then = self._buckets.pop(key_id, (float(self._allowance.burst), now))
        left = min(self._allowance.burst, left + (now - then) * self._allowance.rate)
        granted = min(events, int(left))
        self._buckets[key_id] = (left - granted, now)
        return granted

    def refusal(self, key_id: bytes, events: int) -> ServiceFault:
        """What to tell a key that asked for more events than it had; to be raised or returned.

        Args:
            key_id: the key, which `take` has just been asked about.
            events: those that it did not get.
        """
        left, _ = self._buckets[key_id]
        missing = min(events, self._allowance.burst) - left
        refusal = ServiceFault(
            Reason.RATE_LIMITED,
            f"events of key {key_id.hex()}",
            given=f"more than {self._allowance.burst} at once",
            expected=f"at most {self._allowance.rate:g} a second, and {self._allowance.burst} at once",
        )
        # When there is room for what was refused, or for as much of it as there can be.
        refusal.retry_after_s = max(0.0, missing) / self._allowance.rate
        return refusal

    def _drop(self, now: float) -> None:
        """Drop the buckets that are full again, and whichever are too many."""
        full_after = self._allowance.burst / self._allowance.rate
        while self._buckets:
            key_id = next(iter(self._buckets))
            if len(self._buckets) < self._max_keys and now - self._buckets[key_id][1] < full_after:
                return
            del self._buckets[key_id]
