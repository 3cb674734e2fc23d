"""What was measured, and how it is printed and drawn."""

from __future__ import annotations

import dataclasses
import json
import math
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

EVENT_RATES = ("events/s", "entries/s")
"""Units of rates that have a ceiling: each event needs a signature check."""


@dataclass(frozen=True)
class Figure:
    """What one benchmark measured. What does not apply is None."""

    name: str
    value: float
    unit: str
    in_flight: int | None = None
    """Messages that wait for their answers at once."""
    p50_ms: float | None = None
    """From sending a message, or from when it was due, to its answer: of one half of all."""
    p99_ms: float | None = None
    server_rss_mb: float | None = None
    """Resident memory of the server afterwards, MiB."""
    lost: bool = False
    """Whether anything that was acknowledged is not there."""


@dataclass(frozen=True)
class Line:
    """A figure, and what it was measured on. The fields are those that are printed, in this order."""

    name: str
    backend: str | None
    """Where the log is kept: sqlite or postgresql."""
    entries: int
    """Entries that the log was grown to beforehand."""
    in_flight: int | None
    value: float
    unit: str
    p50_ms: float | None
    p99_ms: float | None
    ceiling: float | None
    """Ed25519 verifications a second in the same run."""
    ratio: float | None
    """Value to ceiling."""
    server_rss_mb: float | None

    @classmethod
    def of(cls, figure: Figure, *, backend: str | None, entries: int, ceiling: float) -> Line:
        """A figure beside the ceiling, if it is a rate of events."""
        of_events = figure.unit in EVENT_RATES
        measured = dataclasses.asdict(figure)
        del measured["lost"]
        return cls(
            **measured,
            backend=backend,
            entries=entries,
            ceiling=round(ceiling, 1) if of_events else None,
            ratio=round(figure.value / ceiling, 4) if of_events else None,
        )


_HEADINGS = [field.name for field in dataclasses.fields(Line)]
_WIDTHS = (15, 10, 9, 9, 11, 10, 8, 8, 8, 6, 13)


def percentile(sorted_values: Sequence[float], percent: float) -> float:
    """The least value that so many percent of all are not above (nearest rank).

    Args:
        sorted_values: at least one, in ascending order.
        percent: over 0, at most 100.
    """
    return sorted_values[max(math.ceil(len(sorted_values) * percent / 100), 1) - 1]


def half_and_most_ms(latencies_s: Sequence[float]) -> tuple[float, float]:
    """The 50th and the 99th percentile, in milliseconds."""
    ordered = sorted(latencies_s)
    return round(percentile(ordered, 50) * 1_000, 3), round(percentile(ordered, 99) * 1_000, 3)


def print_heading() -> None:
    """What the columns of the table are."""
    print(_row(_HEADINGS), flush=True)


def print_line(line: Line, *, as_json: bool) -> None:
    """Print a figure as soon as it is there."""
    values = dataclasses.asdict(line)
    print(json.dumps(values) if as_json else _row([_text(value) for value in values.values()]), flush=True)


def say(text: str) -> None:
    """Say something that is no figure."""
    print(text, end="", file=sys.stderr, flush=True)


def plot(lines: Sequence[Line], file: Path) -> None:
    """Draw rate against log size, a curve for each benchmark."""
    import matplotlib as mpl  # noqa: PLC0415 - it takes a second to load, and most runs draw nothing

    mpl.use("svg")
    from matplotlib import pyplot as plt  # noqa: PLC0415 - as above

    curves: dict[str, list[tuple[int, float]]] = {}
    for line in lines:
        if line.unit.endswith("/s"):
            busy = f", {line.in_flight} in flight" if line.in_flight is not None else ""
            curves.setdefault(f"{line.name}{busy}, {line.unit}", []).append((line.entries, line.value))
    figure, axes = plt.subplots(figsize=(9, 6), layout="constrained")
    for label, points in curves.items():
        sizes, rates = zip(*sorted(points), strict=True)
        axes.plot(sizes, rates, marker="o", label=label)
    axes.set(xscale="log", xlabel="entries in the log", ylabel="rate, a second", ylim=(0, None))
    axes.grid(visible=True, alpha=0.3)
    if curves:
        axes.legend(fontsize="small")
    figure.savefig(file, format="svg")
    plt.close(figure)


def _text(value: object) -> str:
    if isinstance(value, float):
        return f"{value:.4g}" if abs(value) < 100 else f"{value:.0f}"
    return "-" if value is None else str(value)


def _row(cells: Sequence[str]) -> str:
    return " ".join(
        cell.ljust(width) if column in {0, 1, 5} else cell.rjust(width)
        for column, (cell, width) in enumerate(zip(cells, _WIDTHS, strict=True))
    )
