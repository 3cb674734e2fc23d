"""What a witness remembers, in an SQLite file: for each log the latest checkpoint that it cosigned.

This file is what the witness's word rests on. An older copy of it has forgotten checkpoints that were cosigned, and
with it a witness would cosign a fork in good faith; so it is never restored from a backup under the same key.

Any number of processes may have it open. What is read and written in one `writing` block is one transaction, which
holds the database's only write lock from its first line on; when the block ends, it is on the disk.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from clients.new_file import ensure_private
from ledger.checkpoint import Checkpoint
from ledger.errors import BadInput, LedgerError, Reason, ServiceFault
from ledger.note import SignedNote, VerifierKey

MAX_EVIDENCE = 64
"""Refused checkpoints that are kept of each log: so many that prove misbehaviour, and so many that may not."""

BUSY_S = 10.0
"""How long to wait for another process that is writing."""

_APPLICATION = 0x53595757  # "SYWW": tells this file from any other SQLite database
_VERSION = 1

_TABLES = (
    """
    CREATE TABLE identity (
        vkey TEXT PRIMARY KEY,          -- a key that this witness has cosigned with
        since_s INTEGER NOT NULL
    )
    """,
    """
    CREATE TABLE latest (
        origin_hash TEXT PRIMARY KEY,   -- SHA-256 of the origin, hexadecimal
        size INTEGER NOT NULL,
        root BLOB NOT NULL,
        time_s INTEGER NOT NULL,        -- that of the cosignatures
        note BLOB NOT NULL              -- the checkpoint, with the log's signatures and ours
    )
    """,
    """
    CREATE TABLE evidence (
        id INTEGER PRIMARY KEY,
        origin_hash TEXT NOT NULL,
        size INTEGER NOT NULL,
        root BLOB NOT NULL,
        conclusive INTEGER NOT NULL,    -- 1: proof that the log misbehaved; 0: perhaps a client's mistake
        seen_s INTEGER NOT NULL,
        reason TEXT NOT NULL,
        refused BLOB NOT NULL,          -- the checkpoint that was not cosigned, signed by the log
        cosigned BLOB,                  -- the latest one at that time
        UNIQUE (origin_hash, size, root)
    )
    """,
    # What the code never does, the file does not allow: a log that is witnessed neither shrinks nor changes.
    """
    CREATE TRIGGER latest_only_grows BEFORE UPDATE ON latest
    WHEN NEW.size < OLD.size OR (NEW.size = OLD.size AND NEW.root <> OLD.root) OR NEW.time_s < OLD.time_s
        OR NEW.origin_hash <> OLD.origin_hash
    BEGIN SELECT RAISE(ABORT, 'a witnessed log only grows'); END
    """,
    """
    CREATE TRIGGER latest_stays BEFORE DELETE ON latest
    BEGIN SELECT RAISE(ABORT, 'a witnessed log is never forgotten'); END
    """,
)


@dataclass(frozen=True, slots=True)
class Cosigned:
    """The latest checkpoint that was cosigned of a log."""

    checkpoint: Checkpoint
    time_s: int
    note: SignedNote


@dataclass(frozen=True, slots=True)
class Evidence:
    """A checkpoint that its log has signed and the witness refused."""

    id: int
    conclusive: bool
    seen_s: int
    reason: str
    refused: bytes
    cosigned: bytes | None


def origin_hash(origin: str) -> str:
    """What a log is called in paths: the SHA-256 of its origin, hexadecimal, in lowercase."""
    return sha256(origin.encode()).hexdigest()


class Memory:
    """The file, opened; for one thread at a time."""

    def __init__(self, path: Path, busy_s: float = BUSY_S) -> None:
        """Open the file, and make it if there is none.

        Args:
            path: the file; its folder must be there.
            busy_s: how long to wait for another process that is writing.

        Raises:
            BadInput: `INVALID_REQUEST` if it cannot be opened, or is no witness's.
        """
        self._path = path
        try:
            ensure_private(path)
            self._connection = sqlite3.connect(
                path, timeout=busy_s, isolation_level=None, check_same_thread=False
            )
        except (OSError, sqlite3.Error) as error:
            raise self._unusable(getattr(error, "strerror", None) or str(error)) from error
        try:
            self._prepare()
        except BaseException as error:
            self._connection.close()
            if isinstance(error, sqlite3.Error):
                raise self._unusable(str(error)) from error
            raise

    def close(self) -> None:
        """Let go of the file."""
        self._connection.close()

    @contextmanager
    def writing(self) -> Iterator[None]:
        """A transaction that nobody else's can come between; durable when the block has ended, undone if it raises.

        A crash before that leaves nothing behind. If only the answer to the commit was lost, the next transaction
        reads what was written.

        Raises:
            ServiceFault: the database cannot be written, or another process does not let go of it
                (`STORE_UNAVAILABLE`).
        """
        with self._reachable():
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield
                self._connection.execute("COMMIT")
            except BaseException:
                if self._connection.in_transaction:
                    self._connection.execute("ROLLBACK")
                raise

    def latest(self, hashed: str) -> Cosigned | None:
        """The latest checkpoint cosigned of a log, by the hash of its origin; None if there never was one.

        Raises:
            ServiceFault: what stands there is none (`STORE_DAMAGED`), or the file cannot be read
                (`STORE_UNAVAILABLE`).
        """
        with self._reachable():
            row = self._connection.execute(
                "SELECT size, root, time_s, note FROM latest WHERE origin_hash = ?", (hashed,)
            ).fetchone()
        if row is None:
            return None
        size, root, time_s, raw = row
        if not isinstance(raw, bytes) or not isinstance(time_s, int):
            raise self._damaged(hashed, "values of other types")
        try:
            note = SignedNote.parse(raw)
            checkpoint = Checkpoint.parse(note.text)
        except LedgerError as error:
            raise self._damaged(hashed, str(error)) from error
        if (checkpoint.size, checkpoint.root, origin_hash(checkpoint.origin)) != (size, root, hashed):
            raise self._damaged(hashed, "a note that says something else than its row")
        return Cosigned(checkpoint, time_s, note)

    def record(self, cosigned: Cosigned) -> None:
        """Put a checkpoint in the place of its log's latest; within `writing`."""
        checkpoint = cosigned.checkpoint
        self._connection.execute(
            "INSERT INTO latest (origin_hash, size, root, time_s, note) VALUES (?, ?, ?, ?, ?)"
            " ON CONFLICT (origin_hash) DO UPDATE"
            " SET size = excluded.size, root = excluded.root, time_s = excluded.time_s, note = excluded.note",
            (
                origin_hash(checkpoint.origin),
                checkpoint.size,
                checkpoint.root,
                cosigned.time_s,
                cosigned.note.encode(),
            ),
        )

    def keep(
        self, refused: SignedNote, latest: Cosigned | None, *, conclusive: bool, reason: str, now_s: int
    ) -> int | None:
        """Keep a refused checkpoint; within `writing`.

        Returns:
            its id; None if it, or enough of its log, was kept before.
        """
        checkpoint = Checkpoint.parse(refused.text)
        key = (origin_hash(checkpoint.origin), checkpoint.size, checkpoint.root)
        before = self._connection.execute(
            "SELECT id, conclusive FROM evidence WHERE origin_hash = ? AND size = ? AND root = ?", key
        ).fetchone()
        if before is not None and before[1] >= conclusive:
            return None
        (kept,) = self._connection.execute(
            "SELECT count(*) FROM evidence WHERE origin_hash = ? AND conclusive = ?", (key[0], conclusive)
        ).fetchone()
        if kept >= MAX_EVIDENCE:
            return None
        # What looked like a client's mistake may have turned out to be proof: then it takes the old one's place.
        made = self._connection.execute(
            "INSERT OR REPLACE INTO evidence"
            " (id, origin_hash, size, root, conclusive, seen_s, reason, refused, cosigned)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (
                None if before is None else before[0],
                *key,
                int(conclusive),
                now_s,
                reason,
                refused.encode(),
                None if latest is None else latest.note.encode(),
            ),
        )
        return made.lastrowid

    def evidence(self) -> list[Evidence]:
        """Everything that was kept, the oldest first.

        Raises:
            ServiceFault: the file cannot be read (`STORE_UNAVAILABLE`).
        """
        with self._reachable():
            rows = self._connection.execute(
                "SELECT id, conclusive, seen_s, reason, refused, cosigned FROM evidence ORDER BY id"
            ).fetchall()
        return [Evidence(row[0], bool(row[1]), *row[2:]) for row in rows]

    def identify(self, keys: Iterable[VerifierKey], now_s: int) -> tuple[str, ...]:
        """Remember what the witness signs with from now on.

        Returns:
            if one of them is new: the vkeys that it signed with before and has no more.
        """
        vkeys = [str(key) for key in keys]
        with self.writing():
            before = [
                row[0] for row in self._connection.execute("SELECT vkey FROM identity ORDER BY since_s, vkey")
            ]
            self._connection.executemany(
                "INSERT INTO identity (vkey, since_s) VALUES (?, ?) ON CONFLICT DO NOTHING",
                [(vkey, now_s) for vkey in vkeys],
            )
        if before and any(vkey not in before for vkey in vkeys):
            return tuple(vkey for vkey in before if vkey not in vkeys)
        return ()

    def _prepare(self) -> None:
        self._connection.execute("PRAGMA synchronous=FULL")  # a commit is durable when it returns
        if self._is_ours():
            return
        self._connection.execute("PRAGMA journal_mode=WAL")
        with self.writing():
            if not self._is_ours():  # another process may have been first
                for statement in _TABLES:
                    self._connection.execute(statement)
                self._connection.execute(f"PRAGMA application_id={_APPLICATION}")
                self._connection.execute(f"PRAGMA user_version={_VERSION}")

    def _is_ours(self) -> bool:
        """Whether it is a witness's file; False for an empty one."""
        ((application,),) = self._connection.execute("PRAGMA application_id").fetchall()
        ((version,),) = self._connection.execute("PRAGMA user_version").fetchall()
        ((tables,),) = self._connection.execute("SELECT count(*) FROM sqlite_master").fetchall()
        if (application, version) == (_APPLICATION, _VERSION):
            return True
        if application or version or tables:
            raise self._unusable(f"a database of another kind, or of version {version}")
        return False

    @contextmanager
    def _reachable(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            subject, expected = f"database {self._path}", "a database that answers"
            raise ServiceFault(
                Reason.STORE_UNAVAILABLE, subject, given=str(error), expected=expected
            ) from error

    def _unusable(self, given: str) -> BadInput:
        expected = "the database of a witness, or a new file"
        return BadInput(Reason.INVALID_REQUEST, f"database {self._path}", given=given, expected=expected)

    def _damaged(self, hashed: str, given: str) -> ServiceFault:
        subject = f"latest checkpoint of {hashed} in {self._path}"
        return ServiceFault(
            Reason.STORE_DAMAGED, subject, given=given, expected="a checkpoint that was cosigned"
        )
