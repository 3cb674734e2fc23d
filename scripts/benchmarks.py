"""How fast it is: `scripts/bench audit` measures an audit at a distance against what the processors could do at best.

Figures are of this machine at this moment, other programs included; so what they are compared with is measured in the
same run.
"""

from __future__ import annotations

import argparse
import asyncio
import gzip
import json
import multiprocessing
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path

from benchlog import ORIGIN, entries, secret_of

from ledger.checkpoint import Checkpoint, sign_checkpoint
from ledger.frontier import Frontier, RightEdge
from ledger.merkle import HASH_SIZE, Subtree, leaf_hash
from ledger.note import NoteSigner
from ledger.tiles import TILE_HEIGHT, TILE_SIZE, TILE_WIDTH, BundleId, TileId, encode_bundle

CEILING_S = 4.0
"""How long each measurement of the ceiling takes."""

GROWTH = 100
"""One in so many entries is new to the incremental audit."""

MESSAGE_BYTES = 200
"""About what the signed part of an event has."""

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
    for part in entries(sizes[-1], jobs):
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


def ceiling(jobs: int) -> tuple[float, float]:
    """Ed25519 verifications a second of all processors together, and of nothing else; the processor time of each."""
    with multiprocessing.get_context("spawn").Pool(jobs) as pool:
        pool.map(_verify, [0.1] * jobs)
        each = pool.map(_verify, [CEILING_S] * jobs, chunksize=1)
    return sum(rate for rate, _ in each), sum(used_s for _, used_s in each) / jobs


def run_audit(url: str, state: Path, jobs: int) -> Run:
    """Run the command as a person would, and look at its memory while it runs."""
    command = [
        str(Path(sys.executable).with_name("suyuan")), "regulator", "audit", url, "--format", "json",
        "--jobs", str(jobs), "--timeout", "60",
    ]  # fmt: skip
    environment = os.environ | {"SUYUAN_STATE": str(state), "SUYUAN_VKEY": str(SIGNER.vkey)}
    peak: dict[str, int] = {}
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    started = time.monotonic()
    with subprocess.Popen(command, stdout=subprocess.PIPE, env=environment) as process:
        while process.poll() is None:
            for pid in (process.pid, *_children(process.pid)):
                peak[str(pid)] = max(peak.get(str(pid), 0), _peak_kib(pid))
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


def _peak_kib(pid: int) -> int:
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return 0
    return next((int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM:")), 0)


def bench_audit(count: int, cache: Path, jobs: int) -> None:
    """Measure an audit from scratch, and one of what is new."""
    folder = cache / f"log-{count}"
    if not (folder / "done").exists():
        shutil.rmtree(folder, ignore_errors=True)
        write_log(folder, count, jobs)
        _write(folder / "done", b"")
    grown = count + max(count // GROWTH, 1)
    with tempfile.TemporaryDirectory() as scratch, serving(folder) as url:
        _publish(folder, count)
        before, used_before_s = ceiling(jobs)
        whole = run_audit(url, Path(scratch), jobs)
        after, used_after_s = ceiling(jobs)
        _publish(folder, grown)
        more = run_audit(url, Path(scratch), jobs)
        again = run_audit(url, Path(scratch), jobs)
        remembered = sum(file.stat().st_size for file in Path(scratch, "audits").iterdir())
    best = (before + after) / 2
    rate = count / whole.seconds
    used_s = (used_before_s + used_after_s) / 2
    memory = ", ".join(f"{kib / 1_024:.0f}" for kib in whole.peak_kib.values())
    rows = [
        ("Ed25519 ceiling", f"{best:,.0f}/s", f"{jobs} processes; {before:,.0f} before, {after:,.0f} after"),
        ("audit from scratch", f"{rate:,.0f}/s", f"{count:,} entries in {whole.seconds:.1f} s"),
        ("audit to ceiling", f"{rate / best:.2f}", "by the clock; the bar is 0.65"),
        ("the same", f"{used_s * count / whole.cpu_s:.2f}", f"by processor time: {1e6 * whole.cpu_s / count:.1f} µs an entry, a verification {1e6 * used_s:.1f}"),
        ("peak memory", f"{sum(whole.peak_kib.values()) / 1_024:.0f} MiB", f"each process: {memory}"),
        ("memory file", f"{remembered / 1_048_576:.0f} MiB", f"{remembered / grown:.0f} bytes an entry"),
        ("audit of 1 % more", f"{more.seconds:.2f} s", f"{more.report['new_entries']} entries, {100 * more.seconds / whole.seconds:.2f} % of the time"),
        ("audit of nothing new", f"{again.seconds:.2f} s", "what a start and a look cost"),
    ]  # fmt: skip
    for name, figure, more_about in rows:
        print(f"{name:<21} {figure:>12}  {more_about}")


def _publish(folder: Path, size: int) -> None:
    draft = folder / "checkpoint.new"
    shutil.copyfile(folder / f"checkpoint.{size}", draft)
    draft.replace(folder / "checkpoint")


def say(text: str) -> None:
    """Say something that is no figure."""
    print(text, end="", file=sys.stderr, flush=True)


def main() -> int:
    """The command line of `scripts/bench`."""
    parser = argparse.ArgumentParser(
        prog="scripts/bench", description="Measure; figures are of this machine."
    )
    commands = parser.add_subparsers(dest="command", required=True)
    audit = commands.add_parser("audit", help="an audit at a distance, against the Ed25519 ceiling")
    audit.add_argument("--entries", type=int, default=100_000, metavar="N", help="entries; by default 100000")
    audit.add_argument("--jobs", type=int, default=os.cpu_count() or 1, metavar="N", help="processes")
    audit.add_argument("--cache", type=Path, metavar="FOLDER",
                       help="where logs are kept for the next time; by default nowhere")  # fmt: skip
    options = parser.parse_args()
    if options.entries < TILE_WIDTH:
        parser.error(f"--entries: given {options.entries}, expected {TILE_WIDTH} or more")
    if options.cache is not None:
        bench_audit(options.entries, options.cache, options.jobs)
    else:
        with tempfile.TemporaryDirectory() as folder:
            bench_audit(options.entries, Path(folder), options.jobs)
    return 0


if __name__ == "__main__":
    sys.exit(main())
