"""How fast checkpoints are offered to witnesses."""

from __future__ import annotations

import random
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Pace:
    """Seconds, all of them."""

    interval_s: float = 2.0
    """Between two looks at the log's head, and so between two rounds at least."""
    connect_s: float = 5.0
    """How long connecting to one address may take."""
    exchange_s: float = 15.0
    """How long a request with its answer may take."""
    first_pause_s: float = 1.0
    """How long a witness is left alone after a failure; after each further one twice as long."""
    longest_pause_s: float = 60.0
    refresh_s: float = 3_600.0
    """After that time a checkpoint is offered again though the log has not grown, so that cosignatures stay young."""

    def pause_s(self, failures: int) -> float:
        """How long to leave a witness alone after so many failures in a row; never the same for all of them."""
        longest = min(self.longest_pause_s, self.first_pause_s * 2.0 ** min(failures - 1, 32))
        return longest * random.uniform(0.5, 1.0)  # noqa: S311 - nobody gains by guessing it
