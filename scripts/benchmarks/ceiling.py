"""The ceiling: what all processors together could verify if they did nothing else.

One signature check an event is what nobody can save, so it is what every rate is compared with.
"""

from __future__ import annotations

import multiprocessing
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from benchmarks.town import secret_of

SECONDS = 3.0
"""How long each measurement takes."""

MESSAGE_BYTES = 200
"""About what the signed part of an event has."""


@dataclass(frozen=True)
class Ceiling:
    """Ed25519 verifications."""

    rate: float
    """A second, of all processes together."""
    used_s: float
    """Processor time of each."""

    def mean(self, other: Ceiling) -> Ceiling:
        """What lies between two measurements: a machine's speed drifts."""
        return Ceiling((self.rate + other.rate) / 2, (self.used_s + other.used_s) / 2)


@contextmanager
def measuring(jobs: int) -> Iterator[Callable[[], Ceiling]]:
    """So many processes that verify for some seconds whenever they are asked to, and sleep otherwise."""
    with multiprocessing.get_context("spawn").Pool(jobs) as pool:

        def measure() -> Ceiling:
            each = pool.map(_verify, [SECONDS] * jobs, chunksize=1)
            return Ceiling(sum(rate for rate, _ in each), sum(used_s for _, used_s in each) / jobs)

        pool.map(_verify, [0.01] * jobs, chunksize=1)
        yield measure


def _verify(seconds: float) -> tuple[float, float]:
    """Verifications a second of one process, and the processor time of each."""
    message = bytes(MESSAGE_BYTES)
    keys = [secret_of(f"ceiling {number}") for number in range(100)]
    signed = [(key.public_key(), key.sign(message)) for key in keys]
    done = 0
    started, used = time.monotonic(), time.process_time()
    elapsed = 0.0
    while elapsed < seconds:
        for key, signature in signed:
            key.verify(signature, message)
        done += len(signed)
        elapsed = time.monotonic() - started
    return done / elapsed, (time.process_time() - used) / done
