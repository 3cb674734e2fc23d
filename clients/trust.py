"""What a client remembers of a log: the newest checkpoint that it has verified.

It is all that stands between a client and a service that shows it a rewritten history: whoever remembers a checkpoint
can demand proof that each later one continues it (`clients.follower` does). So what is remembered never goes back, and
it is replaced only by whoever has proven the step from the very checkpoint that stands there: `replace` compares and
swaps, for threads and for processes that share it.

A remembered checkpoint is kept as the signed note that came, which is evidence in itself.
"""

from __future__ import annotations

import os
import re
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from hashlib import sha256
from pathlib import Path
from typing import Protocol

from ledger.checkpoint import Checkpoint
from ledger.contradiction import Contradiction
from ledger.errors import BadInput, BrokenProof, Reason
from ledger.note import MAX_NOTE_SIZE, SignedNote

if sys.platform == "win32":
    import msvcrt
else:
    import fcntl

_NOT_IN_NAMES = re.compile(r"[^A-Za-z0-9.-]")


class TrustStore(Protocol):
    """Remembers one checkpoint for each log."""

    def newest(self, origin: str) -> bytes | None:
        """The signed note of the newest checkpoint of a log; None if none was ever seen."""

    def replace(self, origin: str, old: bytes | None, new: bytes) -> bool:
        """Remember `new` if what is remembered is still `old`; whether it was.

        Whoever calls has verified the signature under `new`, and that its tree continues that of `old`.

        Raises:
            BrokenProof: `ROLLBACK` if the new checkpoint is not larger, nor the same with other signatures.
        """

    @property
    def witnessed(self) -> TrustStore:
        """The same for checkpoints that a quorum of witnesses has cosigned: they are remembered apart."""

    def keep(self, found: Contradiction) -> str | None:
        """Keep evidence against a log; returns where it is, if others can find it there."""


class MemoryTrust:
    """Remembers as long as the process lives."""

    def __init__(self, evidence: TrustStore | None = None) -> None:
        """Remember nothing yet; evidence against a log goes to another store, if one is given."""
        self._evidence = evidence
        self._notes: dict[str, bytes] = {}
        self._lock = threading.Lock()
        self._witnessed: MemoryTrust | None = None

    @property
    def witnessed(self) -> MemoryTrust:
        """As `TrustStore.witnessed`."""
        with self._lock:
            if self._witnessed is None:
                self._witnessed = MemoryTrust(self._evidence)
            return self._witnessed

    def keep(self, found: Contradiction) -> str | None:
        """As `TrustStore.keep`."""
        return None if self._evidence is None else self._evidence.keep(found)

    def newest(self, origin: str) -> bytes | None:
        """As `TrustStore.newest`."""
        with self._lock:
            return self._notes.get(origin)

    def replace(self, origin: str, old: bytes | None, new: bytes) -> bool:
        """As `TrustStore.replace`."""
        with self._lock:
            if self._notes.get(origin) != old:
                return False
            _require_larger(old, new)
            self._notes[origin] = new
            return True


class FileTrust:
    """Remembers in a folder: one note for each log, readable by any program that reads checkpoints.

    A note is replaced as a whole or not at all, whatever crashes when. Processes that share the folder wait for each
    other only while one of them writes.
    """

    def __init__(self, folder: Path | str) -> None:
        """Remember in this folder, which is made when it is first written to.

        Args:
            folder: for instance `~/.local/state/suyuan/trust`.
        """
        self._folder = Path(folder)

    @property
    def witnessed(self) -> FileTrust:
        """As `TrustStore.witnessed`: a folder within this one."""
        return FileTrust(self._folder / "witnessed")

    def keep(self, found: Contradiction) -> str:
        """As `TrustStore.keep`: a file for each pair of checkpoints, in a folder `evidence` within this one.

        Raises:
            BadInput: `INVALID_REQUEST` if it cannot be written.
        """
        folder = self._folder / "evidence"
        pair = sha256(b"\0".join(found.checkpoints)).hexdigest()[:16]
        path = folder / f"{self.path(found.origin).stem}-{found.reason.lower()}-{pair}.json"
        with self._readable():
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            # The same pair again is no news: what was found first stays.
            if not path.exists():
                _write_whole(path, found.encode())
        return str(path)

    def path(self, origin: str) -> Path:
        """The file for a log; named after it as far as file systems allow, and after a hash to be unique."""
        shown = _NOT_IN_NAMES.sub("_", origin)[:60]
        return self._folder / f"{shown}-{sha256(origin.encode()).hexdigest()[:16]}.checkpoint"

    def newest(self, origin: str) -> bytes | None:
        """As `TrustStore.newest`.

        Raises:
            BrokenProof: `BAD_NOTE` if the file holds something else: what was remembered is lost, and to go on as if
                nothing had been is for people to decide.
            BadInput: `INVALID_REQUEST` if the file cannot be read.
        """
        path = self.path(origin)
        with self._readable():
            try:
                with path.open("rb") as file:
                    note = file.read(MAX_NOTE_SIZE + 1)
            except FileNotFoundError:
                return None
        try:
            remembered = _tree(note)
        except BrokenProof as error:
            subject = f"remembered checkpoint in {path}: {error.subject}"
            raise BrokenProof(error.reason, subject, given=error.given, expected=error.expected) from error
        if remembered.origin != origin:
            subject = f"remembered checkpoint in {path}: origin"
            raise BrokenProof(Reason.BAD_NOTE, subject, given=repr(remembered.origin), expected=repr(origin))
        return note

    def replace(self, origin: str, old: bytes | None, new: bytes) -> bool:
        """As `TrustStore.replace`.

        Raises:
            BrokenProof: as `newest`; `ROLLBACK` if the new checkpoint is not larger.
            BadInput: `INVALID_REQUEST` if the folder cannot be written to.
        """
        path = self.path(origin)
        with self._readable():
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            with _locked(path.with_suffix(".lock")):
                if self.newest(origin) != old:
                    return False
                _require_larger(old, new)
                _write_whole(path, new)
                return True

    @contextmanager
    def _readable(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise BadInput(
                Reason.INVALID_REQUEST,
                f"folder of remembered checkpoints {self._folder}",
                given=error.strerror or str(error),
                expected="a folder that this user may read and write",
            ) from error


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Hold a lock that other threads and processes wait for; the system lets go of it when a process dies."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        if sys.platform == "win32":
            msvcrt.locking(descriptor, msvcrt.LK_LOCK, 1)
        else:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _write_whole(path: Path, content: bytes) -> None:
    """Put a file in the place of another in one step.

    Its bytes are on the disk before it gets its name: after a crash there is the old file or the new one.
    """
    descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=path.name)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        Path(temporary).replace(path)
    except BaseException:
        with suppress(FileNotFoundError):
            Path(temporary).unlink()
        raise


def _tree(note: bytes) -> Checkpoint:
    return Checkpoint.parse(SignedNote.parse(note).text)


def _require_larger(old: bytes | None, new: bytes) -> None:
    """Refuse to go back, or to stand still; the same tree may get other signatures."""
    if old is None:
        return
    before, after = _tree(old), _tree(new)
    resigned = new != old and (after.size, after.root) == (before.size, before.root)
    if after.size <= before.size and not resigned:
        raise BrokenProof(
            Reason.ROLLBACK,
            f"checkpoint to remember of {after.origin}",
            given=f"{after.size} entries",
            expected=f"more than the {before.size} of the one remembered",
        )
