"""Short for every day, long by hand: `SUYUAN_SOAK=1` makes what repeats itself repeat itself much longer."""

from __future__ import annotations

import os
import sys

SOAK = os.environ.get("SUYUAN_SOAK") == "1"


def times(every_day: int, soak: int) -> int:
    """How often."""
    return soak if SOAK else every_day


def tell(figures: str) -> None:
    """What was measured, for whoever runs it by hand (`pytest -s`)."""
    sys.stderr.write(f"{figures}\n")
