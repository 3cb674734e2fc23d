"""The ceiling: what all processors together could verify if they did nothing else.

One signature check an event is what nobody can save, so it is what every rate is compared with.
"""

from __future__ import annotations

import multiprocessing
import os
import time
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


def measure(jobs: int = os.cpu_count() or 1) -> Ceiling:
    """Verify with so many processes for some seconds."""
    with multiprocessing.get_context("spawn").Pool(jobs) as pool:
        pool.map(_verify, [0.01] * jobs, chunksize=1)
        each = pool.map(_verify, [SECONDS] * jobs, chunksize=1)
    return Ceiling(sum(rate for rate, _ in each), sum(used_s for _, used_s in each) / jobs)


def _verify(seconds: float) -> tuple[float, float]:
    """Verifications a second of one process, and the processor time of each."""
    message = bytes(MESSAGE_BYTES)
    keys = [secret_of(f"ceiling {number}") for number in range(100)]
    signed = [(key.public_key(), key.sign(message)) for key in keys]
    done = 0
    started, used = time.monotonic(), time.process_time()
    while (elapsed := time.monotonic() - started) < seconds:
        for key, signature in signed:
            key.verify(signature, message)
        done += len(signed)
    return done / elapsed, (time.process_time() - used) / done
