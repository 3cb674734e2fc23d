"""The command line of `scripts/bench`."""

from __future__ import annotations

import argparse
import os
import signal
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from benchmarks import appending, audit, ceiling, reading, scanning, soak, watching
from benchmarks.ceiling import Ceiling
from benchmarks.ground import BACKENDS, Ground, Wanted, prepared
from benchmarks.growing import LEAST_ENTRIES
from benchmarks.report import Figure, Line, plot, print_heading, print_line, say
from benchmarks.serving import Serving, serving

JOBS = os.cpu_count() or 1

NAMES = {
    "append_batched": f"messages of {appending.BATCH} events, {appending.BATCHES_IN_FLIGHT} in flight",
    "append_single": "single events; 1, 64 and 256 in flight",
    "append_stream": f"one stream, messages of {appending.STREAMED} events",
    "history": "chains of 20 events, with proofs",
    "trace": "sales with their parcels, with proofs",
    "watch_lag": "from sending an event to its delivery to who watches",
    "audit": "a whole log from its files, in processes of its own",
    "soak": "small batches and streams at a fixed rate for minutes; nothing may be lost",
    "scan": "public pictures of barcodes: outcomes and times by symbology, beside each reader alone; no log",
}

ASKED_FOR = {"soak", "scan"}
"""What is measured only if it is named."""


@dataclass(frozen=True)
class Asked:
    """What the command line asks for."""

    names: Sequence[str]
    backend: str
    sizes: Sequence[int]
    events: int
    jobs: int
    cache: Path | None
    rate: int
    seconds: int
    pictures: Path
    rounds: int
    as_json: bool
    plot: Path | None


Task = Callable[[Ceiling], Figure]
"""Measures one figure; is told what was possible just before."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure what is asked for; 1 if the soak lost anything, or the scanner made anything up."""
    asked = _parse(arguments)
    if "scan" in asked.names:
        return scanning.run(
            asked.pictures,
            rounds=asked.rounds,
            files=min(asked.events, 1_000),
            jobs=asked.jobs,
            as_json=asked.as_json,
            plot=asked.plot,
        )
    if not asked.as_json:
        print_heading()
    lines: list[Line] = []
    status = 0
    with ceiling.measuring(JOBS) as best:
        for size in asked.sizes:
            for line, lost in _measure(asked, size, best):
                print_line(line, as_json=asked.as_json)
                lines.append(line)
                status |= lost
    if asked.plot is not None:
        plot(lines, asked.plot)
    return status


def _measure(asked: Asked, size: int, best: Callable[[], Ceiling]) -> Iterator[tuple[Line, bool]]:
    """All that is asked for on a log of one size, each with whether anything was lost."""
    for backend, prepare in ((asked.backend, _on_a_service), (asked.backend, _soak), (None, _audit)):
        with ExitStack() as stack:
            before: Ceiling | None = None
            for measure in prepare(asked, size, stack):
                before = before or best()
                figure = measure(before)
                # What the machine can do just after is what it can do just before the next.
                after = best()
                rate = before.mean(after).rate
                yield Line.of(figure, backend=backend, entries=size, ceiling=rate), figure.lost
                before = after


def _on_a_service(asked: Asked, size: int, stack: ExitStack) -> Iterator[Task]:
    """The benchmarks that share a service."""
    names = [name for name in NAMES if name in asked.names and name not in {"audit", *ASKED_FOR}]
    if not names:
        return
    few, some = max(asked.events // 50, 2), max(asked.events // 5, 2)
    events = {
        "append_batched": asked.events,
        "append_single": few + some * (len(appending.SINGLES_IN_FLIGHT) - 1),
        "append_stream": asked.events,
        "watch_lag": few,
    }
    further = sum(events.get(name, 0) for name in names)
    ground, service, upcoming = _service(asked, Wanted(asked.backend, size, further), stack)
    for name in names:
        match name:
            case "append_batched":
                yield lambda _: appending.batched(service, upcoming, asked.events)
            case "append_single":
                for in_flight in appending.SINGLES_IN_FLIGHT:
                    count = few if in_flight == 1 else some
                    yield partial(_single, service, upcoming, count, in_flight)
            case "append_stream":
                yield lambda _: appending.streamed(service, upcoming, asked.events)
            case "history":
                yield lambda _: reading.history(service, reading.long_chains(ground.database), few)
            case "trace":
                yield lambda _: reading.trace(service, reading.sales(ground.database, size), few)
            case "watch_lag":
                yield lambda _: watching.lag(service, upcoming, few)


def _single(service: Serving, upcoming: Iterator[bytes], count: int, in_flight: int, _: Ceiling) -> Figure:
    return appending.single(service, upcoming, count, in_flight)


def _soak(asked: Asked, size: int, stack: ExitStack) -> Iterator[Task]:
    if "soak" in asked.names:
        wanted = Wanted(asked.backend, size, asked.rate * asked.seconds)
        _, service, upcoming = _service(asked, wanted, stack)
        yield lambda _: soak.measure(
            service, upcoming, rate=asked.rate, events=wanted.further, jobs=asked.jobs
        )


def _audit(asked: Asked, size: int, stack: ExitStack) -> Iterator[Task]:
    if "audit" in asked.names:
        cache = asked.cache or _folder(stack)
        yield lambda best: audit.measure(size, cache, asked.jobs, best)


def _service(asked: Asked, wanted: Wanted, stack: ExitStack) -> tuple[Ground, Serving, Iterator[bytes]]:
    """A service on a log that was grown, and the events that come next, until the stack ends."""
    folder = _folder(stack)
    ground = stack.enter_context(prepared(wanted, folder, asked.cache, asked.jobs))
    service = stack.enter_context(serving(ground.database, ground.log_key, folder))
    return ground, service, ground.upcoming.envelopes()


def _folder(stack: ExitStack) -> Path:
    return Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="suyuan-bench-")))


def _parse(arguments: Sequence[str] | None) -> Asked:
    parser = argparse.ArgumentParser(
        prog="scripts/bench",
        description="Measure, beside the Ed25519 ceiling of the same run. Figures are of this machine.",
        epilog="NAMEs: " + "; ".join(f"{name} ({what})" for name, what in NAMES.items()) + ". "
        "Example: scripts/bench append_batched --entries 10000,100000 --plot rate.svg",
    )  # fmt: skip
    parser.add_argument(
        "names", nargs="*", metavar="NAME", help="one of those below; none: all but soak and scan"
    )
    parser.add_argument(
        "--backend", choices=BACKENDS, default="sqlite", help="where the log is kept; sqlite by default"
    )
    parser.add_argument("--entries", type=_sizes, default=[10_000], metavar="N[,N…]",
                        help="grow the log to so many entries first; 10000 by default")  # fmt: skip
    parser.add_argument("--events", type=_at_least(100), default=50_000, metavar="N",
                        help="events that a benchmark of appends sends, and fifty times what the slow ones do; of the scan, "
                        "files of a folder, up to 1000; 50000")  # fmt: skip
    parser.add_argument(
        "--rate", type=_at_least(1), default=2_500, metavar="N", help="events a second of the soak; 2500"
    )
    parser.add_argument(
        "--seconds", type=_at_least(1), default=600, metavar="N", help="how long the soak takes; 600"
    )
    parser.add_argument(
        "--jobs", type=_at_least(1), default=JOBS, metavar="N", help="processes that sign and audit"
    )
    parser.add_argument(
        "--cache",
        type=Path,
        metavar="FOLDER",
        help="where grown logs are kept for the next time; nowhere by default",
    )
    parser.add_argument("--pictures", type=Path, default=scanning.PICTURES, metavar="FOLDER",
                        help="of the scan: a folder with a MANIFEST.json; by default that of the public test data")  # fmt: skip
    parser.add_argument(
        "--rounds", type=_at_least(1), default=5, metavar="N", help="of the scan, the best of which counts; 5"
    )
    parser.add_argument("--format", choices=("table", "json"), default="table", help="json: an object a line")
    parser.add_argument(
        "--plot", type=Path, metavar="FILE.svg", help="draw rate against log size; of the scan, outcomes"
    )
    given = parser.parse_args(arguments)
    for name in given.names:
        if name not in NAMES:
            parser.error(f"given {name}, expected one of {', '.join(NAMES)}")
    if "scan" in given.names and given.names != ["scan"]:
        parser.error("scan: given further NAMEs, expected it alone")
    if given.plot is not None and (given.plot.suffix != ".svg" or not given.plot.parent.is_dir()):
        parser.error(f"--plot: given {given.plot}, expected a file .svg in a folder that exists")
    return Asked(
        names=given.names or [name for name in NAMES if name not in ASKED_FOR],
        backend=given.backend,
        sizes=given.entries,
        events=given.events,
        jobs=given.jobs,
        cache=given.cache,
        rate=given.rate,
        seconds=given.seconds,
        pictures=given.pictures,
        rounds=given.rounds,
        as_json=given.format == "json",
        plot=given.plot,
    )


def _at_least(least: int) -> Callable[[str], int]:
    def parse(text: str) -> int:
        if not (text.isascii() and text.isdigit()) or int(text) < least:
            raise argparse.ArgumentTypeError(f"given {text}, expected a number from {least} on")
        return int(text)

    return parse


def _sizes(text: str) -> list[int]:
    return [_at_least(LEAST_ENTRIES)(size) for size in text.split(",")]


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        say("\nStopped.\n")
        sys.exit(130)
