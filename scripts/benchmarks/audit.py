"""How fast a whole log is verified at a distance, from its files, and then what is new in it."""

from __future__ import annotations

import asyncio
import gzip
import json
import multiprocessing
import os
import resource
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path

from benchmarks.ceiling import Ceiling
from benchmarks.report import Figure, say
from benchmarks.serving import SUYUAN, memory_kib
from benchmarks.town import ORIGIN, Town, entries, secret_of
from ledger.checkpoint import Checkpoint, sign_checkpoint
from ledger.frontier import Frontier, RightEdge
from ledger.merkle import HASH_SIZE, Subtree, leaf_hash
from ledger.note import NoteSigner
from ledger.tiles import TILE_HEIGHT, TILE_SIZE, TILE_WIDTH, BundleId, TileId, encode_bundle

GROWTH = 100
"""One in so many entries is new to the incremental audit."""

SIGNER = NoteSigner(ORIGIN, secret_of("log"))


@dataclass(frozen=True)
class Run:
    """One audit."""

    seconds: float
    cpu_s: float
    """Processor time of the process and its children."""
    report: dict[str, object]
    peak_kib: dict[str, int]
    """The most memory that the process and its children held: resident, KiB."""


def write_log(folder: Path, count: int, jobs: int) -> None:
    """Write the log as tiles, for a checkpoint of `count` entries and one of a hundredth more."""
    sizes = [count, count + max(count // GROWTH, 1)]
    frontier, edge = Frontier(), RightEdge()
    waiting: list[bytes] = []
    written = 0
    started = time.monotonic()
    for part in entries(Town(), sizes[-1], jobs):
        waiting += part
        while waiting and (len(waiting) >= TILE_WIDTH or written + len(waiting) == sizes[-1]):
            # A bundle ends where it is full, and a tree where a checkpoint is.
            stops = [size - written for size in sizes if size > written]
            taken = waiting[: min(TILE_WIDTH - written % TILE_WIDTH, *stops, len(waiting))]
            del waiting[: len(taken)]
            written += len(taken)
            completed: dict[Subtree, bytes] = {}
            frontier = frontier.extend(map(leaf_hash, taken), completed)
            edge, tiles = edge.extend(completed)
            _write_bundle(folder, written, taken)
            for (level, index), tile in tiles.items():
                if len(tile) == TILE_SIZE:
                    _write(folder / TileId(level, index).path(), tile)
            if written in sizes:
                for level, tile in enumerate(edge.tiles):
                    if tile:
                        index = written >> TILE_HEIGHT * (level + 1)
                        _write(folder / TileId(level, index, len(tile) // HASH_SIZE).path(), tile)
                note = sign_checkpoint(Checkpoint(ORIGIN, written, frontier.root()), SIGNER)
                _write(folder / f"checkpoint.{written}", note)
        say(f"\rwriting the log: {written} of {sizes[-1]} entries, {time.monotonic() - started:.0f} s ")
    say("\n")


_partial: list[bytes] = []


def _write_bundle(folder: Path, written: int, taken: list[bytes]) -> None:
    """Write a bundle, of which a part may have been written before."""
    _partial.extend(taken)
    index, width = (written - 1) // TILE_WIDTH, (written - 1) % TILE_WIDTH + 1
    assert len(_partial) == width, (len(_partial), width)  # noqa: S101 - the log would be wrong, and nobody would know why
    _write(folder / BundleId(index, width).path(), gzip.compress(encode_bundle(_partial), 6))
    if width == TILE_WIDTH:
        _partial.clear()


def _write(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)


class _Files(asyncio.Protocol):
    """Answers GET with files, as fast as Python can; a benchmark is not of the server."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._received = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._received += data
        while (end := self._received.find(b"\r\n\r\n")) >= 0:
            path = self._received.split(b" ", 2)[1].decode().lstrip("/")
            self._received = self._received[end + 4 :]
            try:
                body, status = (self._folder / path).read_bytes(), b"200 OK"
            except OSError:
                body, status = b"", b"404 Not Found"
            packed = b"Content-Encoding: gzip\r\n" if path.startswith("tile/entries/") and body else b""
            head = b"HTTP/1.1 %b\r\n%bContent-Length: %d\r\n\r\n" % (status, packed, len(body))
            self._transport.write(head + body)  # type: ignore[attr-defined]  # of a TCP connection


def _serve(folder: Path, ready: Connection) -> None:
    async def serve() -> None:
        loop = asyncio.get_running_loop()
        server = await loop.create_server(lambda: _Files(folder), "127.0.0.1", 0)
        ready.send(server.sockets[0].getsockname()[1])
        await server.serve_forever()

    asyncio.run(serve())


@contextmanager
def serving(folder: Path) -> Iterator[str]:
    """A server process for the files; the URL."""
    context = multiprocessing.get_context("spawn")
    hears, tells = context.Pipe(duplex=False)
    process = context.Process(target=_serve, args=(folder, tells), daemon=True)
    process.start()
    try:
        yield f"http://127.0.0.1:{hears.recv()}"
    finally:
        process.terminate()
        process.join()


def run_audit(url: str, state: Path, jobs: int) -> Run:
    """Run the command as a person would, and look at its memory while it runs."""
    command = [
        SUYUAN, "regulator", "audit", url, "--format", "json",
        "--jobs", str(jobs), "--timeout", "60",
    ]  # fmt: skip
    environment = os.environ | {"SUYUAN_STATE": str(state), "SUYUAN_VKEY": str(SIGNER.vkey)}
    peak: dict[str, int] = {}
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    started = time.monotonic()
    with subprocess.Popen(command, stdout=subprocess.PIPE, env=environment) as process:
        while process.poll() is None:
            for pid in (process.pid, *_children(process.pid)):
                peak[str(pid)] = max(peak.get(str(pid), 0), memory_kib(pid, "VmHWM") or 0)
            # The kernel keeps the highest; to look more often would take from what is measured.
            time.sleep(0.25)
        seconds = time.monotonic() - started
        assert process.stdout is not None  # noqa: S101 - it is a pipe
        report = json.loads(process.stdout.read())
    if not report["verified"]:
        raise SystemExit(f"the log does not verify: {report['findings'][:3]}")
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu_s = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return Run(seconds, cpu_s, report, peak)


def _children(pid: int) -> list[int]:
    try:
        return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except OSError:
        return []


def measure(count: int, cache: Path, jobs: int, ceiling: Ceiling) -> Figure:
    """Measure an audit from scratch; what more there is to tell, and an audit of what is new, go to standard error.

    Args:
        count: entries of the log; `TILE_WIDTH` or more.
        cache: where logs are kept.
        jobs: processes that verify.
        ceiling: what one verification costs.
    """
    folder = cache / f"log-{count}"
    if not (folder / "done").exists():
        shutil.rmtree(folder, ignore_errors=True)
        write_log(folder, count, jobs)
        _write(folder / "done", b"")
    grown = count + max(count // GROWTH, 1)
    with tempfile.TemporaryDirectory() as scratch, serving(folder) as url:
        _publish(folder, count)
        whole = run_audit(url, Path(scratch), jobs)
        _publish(folder, grown)
        more = run_audit(url, Path(scratch), jobs)
        again = run_audit(url, Path(scratch), jobs)
        remembered = sum(file.stat().st_size for file in Path(scratch, "audits").iterdir())
    memory = ", ".join(f"{kib / 1_024:.0f}" for kib in whole.peak_kib.values())
    rows = [
        ("audit from scratch", f"{whole.seconds:.1f} s", f"{count:,} entries"),
        ("audit to ceiling", f"{ceiling.used_s * count / whole.cpu_s:.2f}", f"by processor time: {1e6 * whole.cpu_s / count:.1f} µs an entry, a verification {1e6 * ceiling.used_s:.1f}"),
        ("peak memory", f"{sum(whole.peak_kib.values()) / 1_024:.0f} MiB", f"each process: {memory}"),
        ("memory file", f"{remembered / 1_048_576:.0f} MiB", f"{remembered / grown:.0f} bytes an entry"),
        ("audit of 1 % more", f"{more.seconds:.2f} s", f"{more.report['new_entries']} entries, {100 * more.seconds / whole.seconds:.2f} % of the time"),
        ("audit of nothing new", f"{again.seconds:.2f} s", "what a start and a look cost"),
    ]  # fmt: skip
    for name, figure, more_about in rows:
        say(f"    {name:<21} {figure:>12}  {more_about}\n")
    return Figure("audit", value=round(count / whole.seconds, 1), unit="entries/s")


def _publish(folder: Path, size: int) -> None:
    draft = folder / "checkpoint.new"
    shutil.copyfile(folder / f"checkpoint.{size}", draft)
    draft.replace(folder / "checkpoint")
