"""Which pictures of a watched folder were read, so that a second run goes on where the first one ended.

One file of the user's state for each folder, a line of JSON for each picture. A line is written when all that was read
from a picture has been printed: whoever is interrupted in between is told of that picture twice, and of none never.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path
from typing import IO

from clients.new_file import file_refusal
from ledger.errors import BadInput, Reason
from scanner.dropped import Drops, Sight, pictures_in

if sys.platform == "win32":
    import msvcrt
else:
    import fcntl


class PicturesRead:
    """The memory of one folder, held by one process at a time."""

    def __init__(self, file: IO[str], known: list[Sight]) -> None:
        self._file = file
        self.known = known
        """What was read before."""

    @classmethod
    @contextmanager
    def of(cls, state: Path, folder: Path, *, from_scratch: bool = False) -> Iterator[PicturesRead]:
        """The memory of a folder, for as long as the block runs.

        Args:
            state: the user's state folder.
            folder: that is watched.
            from_scratch: forget what was read.

        Raises:
            BadInput: `INVALID_REQUEST` if the folder cannot be read, another process watches it, or the memory cannot be
                read or written.
        """
        present = pictures_in(folder)
        name = sha256(os.fsencode(folder.resolve())).hexdigest()[:32]
        path = state / "watched" / f"{name}.jsonl"
        with _told(path):
            path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            lock = os.open(path.with_suffix(".lock"), os.O_RDWR | os.O_CREAT, 0o600)
        try:
            _be_alone(lock, folder)
            with _told(path):
                known = [] if from_scratch else _still_there(_read(path), present)
                _write_whole(path, known)
                file = path.open("a", encoding="ascii")
            with file:
                yield cls(file, known)
        finally:
            os.close(lock)

    def add(self, sight: Sight) -> None:
        """A picture was read, and all that it says was told."""
        self._file.write(_line(sight))
        self._file.flush()


def _still_there(known: list[Sight], present: list[Sight]) -> list[Sight]:
    """What needs to be remembered; all of it where nothing is there, for that may be a share that is not."""
    here = Drops(present)
    return [sight for sight in known if here.knows(sight)] if present else known


def _write_whole(path: Path, known: Iterable[Sight]) -> None:
    """Put the file in the place of the old one in one step: after a crash there is one of the two.

    A line that an earlier crash has torn is gone with it.
    """
    draft = path.with_suffix(".new")
    draft.write_text("".join(map(_line, known)), encoding="ascii")
    draft.replace(path)


def _line(sight: Sight) -> str:
    return f"{json.dumps(sight)}\n"


def _read(path: Path) -> list[Sight]:
    """What the file tells; a line that is none, as a crash leaves behind, tells nothing."""
    try:
        lines = path.read_text(encoding="ascii", errors="replace").splitlines()
    except FileNotFoundError:
        return []
    sights: list[Sight] = []
    for line in lines:
        try:
            told = json.loads(line)
        except ValueError:
            continue
        if isinstance(told, list) and list(map(type, told)) == [str, int, int, int]:
            sights.append(Sight(*told))
    return sights


@contextmanager
def _told(path: Path) -> Iterator[None]:
    """Say which file could not be had."""
    try:
        yield
    except OSError as error:
        raise file_refusal(path, error.strerror, "a file that can be read and written") from error


def _be_alone(lock: int, folder: Path) -> None:
    """Be the only process that watches a folder; the system takes the lock back from a process however it ends."""
    try:
        if sys.platform == "win32":
            msvcrt.locking(lock, msvcrt.LK_NBLCK, 1)
        else:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except (BlockingIOError, PermissionError):
        raise BadInput(
            Reason.INVALID_REQUEST,
            f"folder {os.fspath(folder)!r}",
            given="one that another process of yours watches",
            expected="one process for each; stop the other first",
        ) from None
