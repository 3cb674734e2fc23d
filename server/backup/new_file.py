"""A large new file that is written bit by bit: it has its name only when all of it is there."""

from __future__ import annotations

import fcntl
import os
from hashlib import sha256
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Self

from ledger.errors import BadInput, Reason


class NewFile:
    """Writes a draft beside the file, of mode 0600; leaving the block without an error gives it the name.

    A crash leaves the draft, `.NAME.draft`, which the next try for the same name writes over: there is never more than
    one, and never a part of a file under the name itself. A file that has the name already is left alone.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._draft = path.with_name(f".{path.name}.draft")
        self._file: BinaryIO | None = None
        self._digest = sha256()
        self.bytes = 0
        """Written so far."""

    def __enter__(self) -> Self:
        """Begin.

        Raises:
            BadInput: `INVALID_REQUEST` if the name is taken, the draft cannot be written, or somebody else writes it.
        """
        if self._path.exists() or self._path.is_symlink():
            raise self._refusal("a file that exists", "a new file")
        try:
            descriptor = os.open(self._draft, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
            self._file = os.fdopen(descriptor, "wb")
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                os.fchmod(descriptor, 0o600)
                self._file.truncate(0)
            except BaseException:
                self._file.close()
                raise
        except BlockingIOError as error:
            raise self._refusal("one that is being written", "a new file") from error
        except OSError as error:
            raise self._refusal(error.strerror or "an error", "a file that can be written") from error
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._file is None:
            return
        try:
            if kind is None:
                self._keep(self._file)
        finally:
            # While the lock is still held, so that it is our own draft that goes.
            self._draft.unlink(missing_ok=True)
            self._file.close()

    def write(self, data: bytes) -> int:
        """Write more.

        Raises:
            BadInput: `INVALID_REQUEST` if it cannot be written: the disk is full.
        """
        if self._file is None:
            raise self._refusal("no open draft", "one")
        try:
            self._file.write(data)
        except OSError as error:
            raise self._refusal(error.strerror or "an error", "a file that can be written") from error
        self._digest.update(data)
        self.bytes += len(data)
        return len(data)

    @property
    def sha256(self) -> str:
        """Of what has been written, as hexadecimal digits."""
        return self._digest.hexdigest()

    def _keep(self, file: BinaryIO) -> None:
        try:
            file.flush()
            os.fsync(file.fileno())
            # A rename would replace what has come there meanwhile.
            os.link(self._draft, self._path)
            folder = os.open(self._path.parent, os.O_RDONLY)
            try:
                os.fsync(folder)
            finally:
                os.close(folder)
        except FileExistsError:
            raise self._refusal("a file that exists", "a new file") from None
        except OSError as error:
            raise self._refusal(error.strerror or "an error", "a file that can be written") from error

    def _refusal(self, given: str, expected: str) -> BadInput:
        return BadInput(Reason.INVALID_REQUEST, f"file {self._path}", given=given, expected=expected)
