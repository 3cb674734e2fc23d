"""Many picture files, read on all processors: each file by itself, so that one that is broken stops no other.

Files come from strangers, and decoders are large programs. Where there are several processes, a file that ends the one
which reads it, or keeps it for minutes with one page, is told as such a file; a new process takes its place.
"""

from __future__ import annotations

import os
import time
from collections.abc import Generator, Sequence
from contextlib import closing
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from typing import TYPE_CHECKING, Final, TypeAlias

from clients.processes import Helper
from ledger.errors import BadInput, Reason

if TYPE_CHECKING:
    from scanner.symbol import Symbol

WORTH_STARTING: Final = 48
"""Files from which on starting processes takes less time than it saves."""

PATIENCE_S: Final = 120.0
"""For one page, before the process that reads it is ended."""

_AHEAD: Final = 32
"""Files to each process that may have been read while an earlier one is still being read."""

Page: TypeAlias = "list[Symbol]"

_Told: TypeAlias = "Page | tuple[str, str | None, str | None] | None"
"""A page; the subject, given and expected of a refusal; or None where a file has ended."""


@dataclass(frozen=True, slots=True)
class Read:
    """What was read of a file."""

    path: str
    pages: tuple[Page, ...]
    """The symbols on each page, as far as it could be read."""
    refusal: BadInput | None = None
    """Why it could not be read, or not to its end."""


def read_file(path: str) -> Read:
    """Read a file in this process."""
    from scanner.decode import decode_pages  # noqa: PLC0415 - what only hands out files needs no readers

    pages: list[Page] = []
    try:
        with closing(decode_pages(path)) as read:
            pages.extend(read)
    except BadInput as refusal:
        return Read(path, tuple(pages), refusal)
    return Read(path, tuple(pages))


def read_files(paths: Sequence[str], jobs: int, *, patience_s: float = PATIENCE_S) -> Generator[Read]:
    """Read files in so many processes, if they are worth it; what was read comes in the order of the files.

    Closing the generator ends the processes.
    """
    if jobs < 2 or len(paths) < WORTH_STARTING:
        yield from map(read_file, paths)
        return
    with closing(_Pool(paths, jobs, patience_s)) as pool:
        while pool.told < len(paths):
            yield pool.next()


@dataclass(slots=True)
class _Task:
    """A file that a process reads."""

    place: int
    pages: list[Page]
    until: float
    """When the page that is being read must have come, as `time.monotonic` tells it."""


class _Pool:
    """The processes, what each is reading, and what was read out of turn."""

    def __init__(self, paths: Sequence[str], jobs: int, patience_s: float) -> None:
        self._paths = paths
        self._patience_s = patience_s
        self._tasks: dict[Connection, tuple[Helper, _Task]] = {}
        self._idle: list[Helper] = []
        self._handed_out = 0
        self._read: dict[int, Read] = {}
        self._most_ahead = _AHEAD * jobs
        self.told = 0
        """Files that have been told."""
        try:
            for _ in range(min(jobs, len(paths))):
                self._idle.append(Helper.start(_work))
        except BaseException:
            self.close()
            raise

    def next(self) -> Read:
        """The next file in order."""
        while self.told not in self._read:
            self._hand_out()
            until = min(task.until for _, task in self._tasks.values())
            ready = wait(list(self._tasks), timeout=max(until - time.monotonic(), 0))
            for pipe in ready:
                if isinstance(pipe, Connection):
                    self._hear(pipe)
            if not ready:
                self._end_the_slow()
        read = self._read.pop(self.told)
        self.told += 1
        return read

    def close(self) -> None:
        """End the processes."""
        for helper in [*self._idle, *(helper for helper, _ in self._tasks.values())]:
            helper.stop()
        self._idle.clear()
        self._tasks.clear()

    def _hand_out(self) -> None:
        while (
            self._idle
            and self._handed_out < len(self._paths)
            and self._handed_out < self.told + self._most_ahead
        ):
            helper = self._idle.pop()
            task = _Task(self._handed_out, [], time.monotonic() + self._patience_s)
            self._handed_out += 1
            self._tasks[helper.pipe] = helper, task
            try:
                helper.pipe.send(self._paths[task.place])
            except OSError:
                self._replace(helper, task, "a file before which the process ended that should read it")

    def _hear(self, pipe: Connection) -> None:
        """Take what a process says of its file."""
        helper, task = self._tasks[pipe]
        try:
            told: _Told = pipe.recv()
        except (EOFError, OSError):
            self._replace(helper, task, "a file that ended the process which read it")
            return
        if isinstance(told, list):
            task.pages.append(told)
            task.until = time.monotonic() + self._patience_s
            return
        refusal = None
        if told is not None:
            subject, given, expected = told
            refusal = BadInput(Reason.INVALID_REQUEST, subject, given=given, expected=expected)
        self._finish(task, refusal)
        del self._tasks[pipe]
        self._idle.append(helper)

    def _end_the_slow(self) -> None:
        now = time.monotonic()
        for helper, task in list(self._tasks.values()):
            if task.until <= now:
                self._replace(helper, task, f"a page that is not read within {self._patience_s:.0f} s")

    def _replace(self, helper: Helper, task: _Task, given: str) -> None:
        """Give up a file, and start another process for those that follow."""
        subject = f"picture {self._paths[task.place]!r}"
        self._finish(task, BadInput(Reason.INVALID_REQUEST, subject, given=given, expected="a sound picture"))
        del self._tasks[helper.pipe]
        helper.stop()
        self._idle.append(Helper.start(_work))

    def _finish(self, task: _Task, refusal: BadInput | None) -> None:
        self._read[task.place] = Read(self._paths[task.place], tuple(task.pages), refusal)


def _work(pipe: Connection) -> None:
    """Read the files that are named until the other end of the pipe is gone."""
    # As many processes as processors, each with one thread: told before the library is loaded that looks for it.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    import cv2  # noqa: PLC0415 - only here

    from scanner.decode import decode_pages  # noqa: PLC0415 - loads the readers, which the parent needs not

    cv2.setNumThreads(1)
    while True:
        path: str = pipe.recv()
        told: _Told = None
        try:
            with closing(decode_pages(path)) as pages:
                for page in pages:
                    pipe.send(page)
        except BadInput as refusal:
            told = refusal.subject, refusal.given, refusal.expected
        pipe.send(told)
