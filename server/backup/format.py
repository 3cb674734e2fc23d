"""The file that a backup is (docs/backup.md): the log's checkpoint and its entries, compressed.

    suyuan-backup/1
    {"checkpoint": "…", "published": "…"}       signed notes
    <length, 2 bytes><entry> …                  as in a tlog-tiles entry bundle, one for each that the checkpoint counts
    <SHA-256 of all of this>

Nothing in it is believed for being there. The digest tells a damaged file early and from a forged one; what the log is,
the signed checkpoint tells.
"""

from __future__ import annotations

import gzip
import json
import zlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from ledger.checkpoint import Checkpoint
from ledger.errors import BadInput, BrokenProof, Reason
from ledger.note import SignedNote
from ledger.strict_json import read_json, read_object, read_text, wrong
from server.backup.new_file import NewFile

MAGIC = b"suyuan-backup/1\n"

MAX_HEADER_BYTES = 1024 * 1024
"""Of the second line: two notes, each with the cosignatures of all of a log's witnesses."""

_LENGTH_BYTES = 2
_DIGEST_BYTES = 32
_LEVEL = 6


@dataclass(frozen=True, slots=True)
class Header:
    """What a backup says of itself; not verified."""

    note: SignedNote
    """The log's head when it was taken, signed by the log."""
    checkpoint: Checkpoint
    """What that note says."""
    published: bytes | None = None
    """The published checkpoint of then, with a quorum's cosignatures; None if there was none."""

    @classmethod
    def of(cls, note: bytes, published: bytes | None = None) -> Header:
        """From the notes.

        Raises:
            BrokenProof: the first is no checkpoint (`BAD_NOTE`, `BAD_CHECKPOINT`).
        """
        signed = SignedNote.parse(note)
        checkpoint = Checkpoint.parse(signed.text)
        if not checkpoint.size:
            raise BrokenProof(
                Reason.BAD_CHECKPOINT, "size of a log", given=0, expected="1, its genesis, or more"
            )
        return cls(signed, checkpoint, published)

    def encode(self) -> bytes:
        """The first two lines."""
        published = "" if self.published is None else self.published.decode()
        told = {"checkpoint": self.note.encode().decode(), "published": published}
        return MAGIC + json.dumps(told, ensure_ascii=False).encode() + b"\n"

    @classmethod
    def parse(cls, subject: str, line: bytes) -> Header:
        """From the second line.

        Raises:
            BadInput: `INVALID_REQUEST` if it is something else.
        """
        told = read_object(subject, read_json(subject, line, MAX_HEADER_BYTES), ("checkpoint", "published"))
        note = read_text(subject, told["checkpoint"], MAX_HEADER_BYTES).encode()
        published = read_text(subject, told["published"], MAX_HEADER_BYTES).encode()
        try:
            return cls.of(note, published or None)
        except BrokenProof as error:
            raise wrong(subject, str(error), "the checkpoint of a log") from error


class BackupWriter:
    """Writes one, front to back."""

    def __init__(self, file: NewFile, header: Header) -> None:
        self._digest = sha256()
        # No time and no name in it: the same log gives the same file.
        self._packed = gzip.GzipFile(filename="", mode="wb", compresslevel=_LEVEL, fileobj=file, mtime=0)  # type: ignore[call-overload]  # it writes, and that is all that is asked of it
        self._put(header.encode())

    def add(self, entries: Iterable[bytes]) -> None:
        """Write the next entries, each of at most 65,535 bytes."""
        self._put(b"".join(len(entry).to_bytes(_LENGTH_BYTES, "big") + entry for entry in entries))

    def end(self) -> None:
        """Write what tells that all is there."""
        self._packed.write(self._digest.digest())
        self._packed.close()

    def _put(self, data: bytes) -> None:
        self._digest.update(data)
        self._packed.write(data)


class BackupReader:
    """Reads one, front to back; as often as it is asked to."""

    def __init__(self, path: Path) -> None:
        """Read what it says of itself.

        Raises:
            BadInput: `INVALID_REQUEST` if it is no backup, or of another version.
        """
        self._path = path
        with self._open() as source:
            self.header = self._header(source)

    def chunks(self, most: int) -> Iterator[list[bytes]]:
        """The entries, in lists of at most so many.

        Raises:
            BadInput: `INVALID_REQUEST`: the file is cut off or damaged, or goes on behind its end.
        """
        with self._open() as source:
            self._header(source)
            left = self.header.checkpoint.size
            while left:
                chunk = []
                for _ in range(min(most, left)):
                    length = int.from_bytes(source.take(_LENGTH_BYTES), "big")
                    chunk.append(source.take(length))
                left -= len(chunk)
                yield chunk
            expected = source.digest.digest()
            if source.take(_DIGEST_BYTES) != expected or source.more():
                raise self._damaged("other bytes than were written", "those that its digest stands for")

    def _header(self, source: _Source) -> Header:
        magic = source.line(len(MAGIC))
        if magic != MAGIC:
            raise self._damaged(ascii(magic)[2:-1], f"{MAGIC.decode().strip()} in its first line")
        return Header.parse(f"header of the backup {self._path}", source.line(MAX_HEADER_BYTES))

    @contextmanager
    def _open(self) -> Iterator[_Source]:
        try:
            with gzip.open(self._path, "rb") as packed:
                yield _Source(packed)
        except (EOFError, zlib.error, gzip.BadGzipFile) as error:
            raise self._damaged(str(error), "a file as `operator backup` writes it") from error
        except OSError as error:
            raise self._damaged(error.strerror or "an error", "a file that can be read") from error

    def _damaged(self, given: str, expected: str) -> BadInput:
        return BadInput(Reason.INVALID_REQUEST, f"backup {self._path}", given=given, expected=expected)


class _Source:
    """What is unpacked, and the digest of what has been taken of it."""

    def __init__(self, packed: gzip.GzipFile) -> None:
        self._packed = packed
        self.digest = sha256()

    def take(self, length: int) -> bytes:
        """So many bytes.

        Raises:
            EOFError: it ends before.
        """
        data = self._packed.read(length)
        if len(data) != length:
            raise EOFError("an end before its end")
        self.digest.update(data)
        return data

    def line(self, most: int) -> bytes:
        """A line with its end, or `most` bytes of one that is longer."""
        data = self._packed.readline(most)
        self.digest.update(data)
        return data

    def more(self) -> bool:
        """Whether there is more."""
        return bool(self._packed.read(1))
