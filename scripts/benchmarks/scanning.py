"""How much of public pictures the scanner reads, how much each reader alone, and how long it takes.

Times are of the processor, of the best of several rounds, in which the readers take turns: so that what else the
machine does weighs on all alike. Pictures are decoded from their files before. `rate` is of whole files, in processes.
"""

from __future__ import annotations

import dataclasses
import json
import math
import statistics
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np

from benchmarks.report import percentile, say
from clients.pictures import read_files
from scanner.decode import decode_grey
from scanner.picture import load_picture
from scanner.profile import Grey
from scanner.readers import read_with_zbar, read_with_zxing
from scanner.symbol import Confidence, Symbol

PICTURES: Final = Path(__file__).resolve().parents[3] / "shared" / "data" / "barcodes"

READERS: Final[dict[str, Callable[[Grey], list[Symbol]]]] = {
    "suyuan": decode_grey,
    "zxing-cpp": read_with_zxing,
    "zbar": read_with_zbar,
}

_NO_CODE: Final = "no code"
_OUTCOMES: Final = ("right", "disputed", "wrong", "nothing")
_COLOURS: Final = ("tab:green", "tab:olive", "tab:red", "lightgrey")


@dataclass(frozen=True)
class Picture:
    """A picture, and what is on it."""

    path: Path
    symbology: str
    """As the manifest names it, or `no code`."""
    expected: str | None
    """Its text; None if it has no code, or several."""
    grey: Grey


@dataclass(frozen=True)
class Seen:
    """What one reader makes of one picture."""

    outcome: str
    """right: the text and nothing else; disputed: other texts beside it; wrong; or nothing."""
    agreed_wrong: bool
    """Whether a wrong text was agreed on."""
    ms: float


@dataclass(frozen=True)
class Line:
    """What one reader makes of all pictures of one symbology. The fields are those that are printed, in this order."""

    symbology: str
    reader: str
    pictures: int
    right: int
    disputed: int
    wrong: int
    nothing: int
    agreed_wrong: int
    p50_ms: float
    p95_ms: float
    ratio: float | None
    """Median of the times of zxing-cpp that its own take, on the pictures that zxing-cpp reads at once."""


@dataclass(frozen=True)
class Rate:
    """How fast files are read. The fields are those that are printed, in this order."""

    jobs: int
    files: int
    files_per_s: float


def load(folder: Path) -> list[Picture]:
    """The pictures that the manifest in a folder lists.

    Raises:
        SystemExit: there is none.
    """
    try:
        manifest = json.loads((folder / "MANIFEST.json").read_text())
    except OSError as error:
        raise SystemExit(f"pictures {folder}: given {error.strerror}, expected a MANIFEST.json") from None
    return [_picture(folder, entry) for entry in manifest["images"]]


def _picture(folder: Path, entry: dict[str, str]) -> Picture:
    path = folder / entry["file"]
    symbology = _NO_CODE if entry["symbology"].startswith("none") else entry["symbology"]
    expected_file = entry.get("expected_file") or ""
    expected: str | None
    if symbology in {_NO_CODE, "multiple"}:
        expected = None
    elif expected_file.endswith(".bin"):
        expected = path.with_name(expected_file).read_bytes().decode("iso-8859-1")
    else:
        # The product is in the 13 digits before an add-on.
        expected = entry["expected"][:13] if "add-on" in symbology else entry["expected"]
    return Picture(path, symbology, expected, np.ascontiguousarray(load_picture(path)))


def measure(pictures: Sequence[Picture], rounds: int) -> Iterator[Line]:
    """What each reader makes of the pictures, symbology by symbology, and of all together."""
    READERS["suyuan"](pictures[0].grey)
    by_symbology: dict[str, list[dict[str, Seen]]] = {}
    for number, picture in enumerate(pictures, start=1):
        by_symbology.setdefault(picture.symbology, []).append(_look(picture, rounds))
        say(f"\r{number} of {len(pictures)} pictures")
    say("\r\x1b[K")
    for symbology, seen in sorted(by_symbology.items()):
        yield from _lines(symbology, seen)
    coded = [one for symbology, seen in by_symbology.items() if symbology != _NO_CODE for one in seen]
    yield from _lines("all with a code", coded)


def _look(picture: Picture, rounds: int) -> dict[str, Seen]:
    found: dict[str, list[Symbol]] = {}
    best_ms = dict.fromkeys(READERS, math.inf)
    for _ in range(rounds):
        for name, read in READERS.items():
            begun = time.thread_time()
            found[name] = read(picture.grey)
            best_ms[name] = min(best_ms[name], (time.thread_time() - begun) * 1_000)
    return {name: _judged(picture, found[name], best_ms[name]) for name in READERS}


def _judged(picture: Picture, symbols: list[Symbol], ms: float) -> Seen:
    wrong = [symbol for symbol in symbols if symbol.text != picture.expected]
    if picture.symbology == "multiple":
        wrong = [symbol for symbol in symbols if symbol.confidence is Confidence.DISPUTED]
    agreed_wrong = any(symbol.confidence is Confidence.AGREED for symbol in wrong)
    if not symbols:
        outcome = "nothing"
    elif not wrong:
        outcome = "right"
    elif any(symbol.confidence is not Confidence.DISPUTED for symbol in wrong):
        outcome = "wrong"
    else:
        outcome = "disputed"
    return Seen(outcome, agreed_wrong, ms)


def _lines(symbology: str, seen: list[dict[str, Seen]]) -> Iterator[Line]:
    at_once = [one for one in seen if one["zxing-cpp"].outcome == "right"]
    for name in READERS:
        outcomes = Counter(one[name].outcome for one in seen)
        times = sorted(one[name].ms for one in seen)
        ratios = [one[name].ms / one["zxing-cpp"].ms for one in at_once]
        yield Line(
            symbology,
            name,
            len(seen),
            *(outcomes[outcome] for outcome in _OUTCOMES),
            agreed_wrong=sum(one[name].agreed_wrong for one in seen),
            p50_ms=round(percentile(times, 50), 2),
            p95_ms=round(percentile(times, 95), 2),
            ratio=round(statistics.median(ratios), 2) if ratios else None,
        )


def rate(pictures: Sequence[Picture], files: int, jobs: int) -> Rate:
    """How fast so many files, the pictures over and over, are read in so many processes."""
    paths = [str(pictures[number % len(pictures)].path) for number in range(files)]
    with closing(read_files(paths, jobs)) as read:
        # The processes are there once the first file is.
        next(read)
        begun = time.perf_counter()
        count = sum(1 for _ in read)
    return Rate(jobs, files, round(count / (time.perf_counter() - begun), 1))


def run(folder: Path, *, rounds: int, files: int, jobs: int, as_json: bool, plot: Path | None) -> int:
    """Measure, print, and draw if asked to; 1 if anything was made up."""
    pictures = load(folder)
    lines = list(measure(pictures, rounds))
    _print(lines, as_json=as_json)
    _print([rate(pictures, files, count) for count in sorted({1, jobs})], as_json=as_json)
    if plot is not None:
        _plot(lines, plot)
    ours = [line for line in lines if line.reader == "suyuan"]
    made_up = sum(line.pictures - line.nothing for line in ours if line.symbology == _NO_CODE)
    return int(made_up + sum(line.agreed_wrong for line in ours) > 0)


def _print(lines: Sequence[Line] | Sequence[Rate], *, as_json: bool) -> None:
    if as_json:
        for line in lines:
            print(json.dumps(dataclasses.asdict(line)))
        return
    headings = [field.name for field in dataclasses.fields(lines[0])]
    rows = [headings, *([_text(value) for value in dataclasses.astuple(line)] for line in lines)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(headings))]
    for row in rows:
        print("  ".join(
            cell.rjust(width) if column > 1 else cell.ljust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        ))  # fmt: skip
    print(flush=True)


def _text(value: object) -> str:
    return "-" if value is None else str(value)


def _plot(lines: Sequence[Line], file: Path) -> None:
    """Draw the outcomes: a bar for each symbology and reader."""
    import matplotlib as mpl  # noqa: PLC0415 - it takes a second to load, and most runs draw nothing

    mpl.use("svg")
    from matplotlib import pyplot as plt  # noqa: PLC0415 - as above

    figure, axes = plt.subplots(figsize=(9, 1 + 0.25 * len(lines)), layout="constrained")
    labels = [f"{line.symbology}, {line.reader}" for line in lines]
    left = np.zeros(len(lines))
    for outcome, colour in zip(_OUTCOMES, _COLOURS, strict=True):
        share = np.array([getattr(line, outcome) / line.pictures for line in lines]) * 100
        axes.barh(labels, share, left=left, color=colour, label=outcome)
        left += share
    axes.invert_yaxis()
    axes.set(xlabel="% of the pictures", xlim=(0, 100))
    axes.legend(ncols=len(_OUTCOMES), loc="lower center", bbox_to_anchor=(0.5, 1), fontsize="small")
    figure.savefig(file, format="svg")
    plt.close(figure)
