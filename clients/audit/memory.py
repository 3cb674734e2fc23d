"""What an auditor remembers of a log: how far it came, what it found, and the state there.

One SQLite file for each log, in the user's state folder. What belongs together is written in one transaction, so
whatever ends an audit, it goes on from the last moment that was saved. Signatures are checked by other processes and
come later than the entries: those that were not yet checked at that moment are saved with it, and are checked first
when the audit goes on.

What was found once stays found. A log that was caught is not innocent because it shows something else today; only who
starts from scratch forgets.
"""

from __future__ import annotations

import contextlib
import json
import re
import sqlite3
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

from clients.audit.records import NEAR, StoredState
from clients.audit.signatures import Batch
from clients.new_file import ensure_private
from ledger.audit import Standing
from ledger.errors import BadInput, LedgerError, Reason, ServiceFault
from ledger.findings import AuditReport, Finding
from ledger.frontier import Frontier, RightEdge
from ledger.merkle import HASH_SIZE
from ledger.rules import LATEST_RULES

_FORMAT: Final = f"suyuan-audit/2, rules {LATEST_RULES}"
"""What wrote the file: an auditor that knows more would judge anew what this one could not."""

_CACHE_KIB: Final = 32 * 1_024
"""What SQLite may keep of the file in memory."""

_WAIT_S: Final = 1.0
"""How long to wait for another process that has the file open."""

_NOT_IN_NAMES: Final = re.compile(r"[^A-Za-z0-9.-]")

_SCHEMA: Final = (
    "CREATE TABLE IF NOT EXISTS audit (name TEXT PRIMARY KEY, value BLOB) WITHOUT ROWID",
    "CREATE TABLE IF NOT EXISTS findings (number INTEGER PRIMARY KEY, place INTEGER, reason TEXT, message TEXT)",
    "CREATE TABLE IF NOT EXISTS owed (number INTEGER PRIMARY KEY, place INTEGER, spki, signature, payload)",
)

_COUNTS: Final = ("chains", "parties", "signatures", "flagged", "unknown_kinds", "unjudged", "more_findings")


@dataclass(slots=True)
class Moment:
    """Where an audit stands, beside its state."""

    report: AuditReport
    standing: Standing = field(default_factory=Standing.beginning)
    edge: RightEdge | None = field(default_factory=RightEdge)
    """The last tiles of each level, as the tiles of level 0 make them; None if the log did not tell all of those."""
    seen: bytes | None = None
    """The newest checkpoint that was seen: a signed note."""
    owed: Batch = field(default_factory=list)
    """Signatures that are still to be checked."""
    fork: tuple[bytes, bytes] | None = None
    """Two signed checkpoints of which neither continues the other: the one that was seen first, and the other."""


class AuditMemory:
    """Remembers one audit in a file, which it holds alone. For one thread."""

    def __init__(self, path: Path, origin: str, *, near: int = NEAR) -> None:
        """Open the memory of a log, or make an empty one.

        Args:
            path: the file.
            origin: the log.
            near: as in `StoredState`.

        Raises:
            BadInput: `INVALID_REQUEST` if the file is another one, damaged, or cannot be written.
            ServiceFault: `STORE_UNAVAILABLE` if another audit has it open.
        """
        self.path = path
        self._origin = origin
        with self._readable():
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            ensure_private(path)
            self._connection = sqlite3.connect(path, timeout=_WAIT_S, isolation_level=None)
            try:
                self._prepare()
                self.state = StoredState(self._connection, near=near)
            except BaseException:
                self._connection.close()
                raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the file; what was not saved is forgotten."""
        with self._readable():
            self._connection.close()

    def recall(self) -> Moment:
        """Where the audit stood when it was last saved.

        Raises:
            BadInput: `INVALID_REQUEST` if the file is damaged.
        """
        with self._readable():
            told = dict(self._connection.execute("SELECT name, value FROM audit"))
            findings = self._connection.execute(
                "SELECT place, reason, message FROM findings ORDER BY number"
            ).fetchall()
            owed = self._connection.execute(
                "SELECT place, spki, signature, payload FROM owed ORDER BY number"
            ).fetchall()
        report = AuditReport(self._origin)
        fork = (told["forked"], told["fork"]) if told.get("fork") and told.get("forked") else None
        if "counts" not in told:
            return Moment(report, seen=told.get("seen"), fork=fork)
        try:
            counts = json.loads(told["counts"])
            for name in _COUNTS:
                setattr(report, name, counts[name])
            report.kinds = Counter(counts["kinds"])
            report.findings = [Finding(place, Reason(reason), text) for place, reason, text in findings]
            computed = _frontier(counts["size"], told["computed"])
            tree = None if told["tree"] is None else _frontier(counts["size"], told["tree"])
            edge = None if told["edge"] is None else _edge(counts["size"], told["edge"])
        except (LedgerError, ValueError, KeyError, TypeError) as error:
            raise self._unusable("a damaged file") from error
        return Moment(
            report,
            Standing(computed, tree, counts["recorded_at_us"]),
            edge,
            told.get("seen"),
            owed,
            fork,
        )

    def save(self, moment: Moment) -> None:
        """Remember where the audit stands, with its state, in one step.

        Events that were recorded before show here, where their ids come to the others; they become findings.

        Raises:
            BadInput: `INVALID_REQUEST` if the file cannot be written.
        """
        with self._readable(), self._transaction():
            for record in self.state.save():
                moment.report.find_duplicate(record.index, record.event_id)
            self._connection.executemany("INSERT OR REPLACE INTO audit VALUES (?, ?)", _told(moment).items())
            self._connection.execute("DELETE FROM owed")
            self._connection.executemany(
                "INSERT INTO owed (place, spki, signature, payload) VALUES (?, ?, ?, ?)", moment.owed
            )
            self._connection.execute("DELETE FROM findings")
            self._connection.executemany(
                "INSERT INTO findings (place, reason, message) VALUES (?, ?, ?)",
                [(one.index, str(one.reason), one.message) for one in moment.report.findings],
            )

    def _prepare(self) -> None:
        connection = self._connection
        connection.execute(f"PRAGMA cache_size = -{_CACHE_KIB}")
        # Nobody else may write or read it while it is open: two audits would count everything twice.
        connection.execute("PRAGMA locking_mode = EXCLUSIVE")
        connection.execute("PRAGMA journal_mode = WAL")
        # Of a machine that lost its power the last moments may be gone; what is there belongs together.
        connection.execute("PRAGMA synchronous = NORMAL")
        with self._transaction():
            for statement in _SCHEMA:
                connection.execute(statement)
            kept = dict(
                connection.execute("SELECT name, value FROM audit WHERE name IN ('format', 'origin')")
            )
            expected = {"format": _FORMAT, "origin": self._origin}
            if kept and kept != expected:
                raise self._unusable(f"that of {kept.get('origin')}, {kept.get('format')}")
            connection.executemany("INSERT OR REPLACE INTO audit VALUES (?, ?)", expected.items())

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[None]:
        self._connection.execute("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            self._connection.execute("ROLLBACK")
            raise
        self._connection.execute("COMMIT")

    @contextlib.contextmanager
    def _readable(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            if _is_busy(error):
                raise _in_use(self.path) from error
            raise self._unusable(str(error)) from error
        except OSError as error:
            raise self._unusable(error.strerror or str(error)) from error

    def _unusable(self, given: str) -> BadInput:
        return BadInput(
            Reason.INVALID_REQUEST,
            f"memory of the audit {self.path}",
            given=given,
            expected=f"that of {self._origin} by this version; --from-scratch makes a new one",
        )


def _told(moment: Moment) -> dict[str, Any]:
    """What is kept of a moment by name."""
    report, standing, edge = moment.report, moment.standing, moment.edge
    counts: dict[str, Any] = {name: getattr(report, name) for name in _COUNTS}
    counts |= {
        "kinds": dict(report.kinds),
        "size": standing.computed.size,
        "recorded_at_us": standing.recorded_at_us,
    }
    return {
        "counts": json.dumps(counts),
        "computed": b"".join(standing.computed.nodes),
        "tree": None if standing.tree is None else b"".join(standing.tree.nodes),
        "edge": None if edge is None else b"".join(edge.tiles),
        "seen": moment.seen,
        "forked": moment.fork[0] if moment.fork else None,
        "fork": moment.fork[1] if moment.fork else None,
    }


def path_of(folder: Path, origin: str) -> Path:
    """The file for a log; named after it as far as file systems allow, and after a hash to be unique."""
    shown = _NOT_IN_NAMES.sub("_", origin)[:60]
    return folder / f"{shown}-{sha256(origin.encode()).hexdigest()[:16]}.audit"


def forget(path: Path) -> None:
    """Start from scratch: remove the file and what SQLite keeps beside it.

    Raises:
        ServiceFault: `STORE_UNAVAILABLE` if another audit has it open, which would go on writing to what is gone.
    """
    if path.exists():
        with contextlib.closing(sqlite3.connect(path, timeout=_WAIT_S, isolation_level=None)) as connection:
            try:
                connection.execute("BEGIN IMMEDIATE")
                connection.execute("ROLLBACK")
            except sqlite3.Error as error:
                # What is no memory at all is removed like any.
                if _is_busy(error):
                    raise _in_use(path) from error
    for file in (path, *(path.with_name(path.name + suffix) for suffix in ("-wal", "-shm", "-journal"))):
        file.unlink(missing_ok=True)


def _is_busy(error: sqlite3.Error) -> bool:
    """Whether somebody else has the file; the low byte tells, above it SQLite says more."""
    return bool(getattr(error, "sqlite_errorcode", 0) & 0xFF == sqlite3.SQLITE_BUSY)


def _in_use(path: Path) -> ServiceFault:
    return ServiceFault(
        Reason.STORE_UNAVAILABLE,
        f"memory of the audit {path}",
        given="in use by another audit",
        expected="one audit of a log at a time",
    )


def _frontier(size: int, nodes: bytes) -> Frontier:
    return Frontier(size, tuple(_split(nodes, [HASH_SIZE] * size.bit_count())))


def _edge(size: int, tiles: bytes) -> RightEdge:
    widths = []
    rest = size
    while rest:
        widths.append(rest % 256 * HASH_SIZE)
        rest //= 256
    return RightEdge(size, tuple(_split(tiles, widths)))


def _split(joined: bytes, lengths: list[int]) -> Iterator[bytes]:
    if len(joined) != sum(lengths):
        raise ValueError("hashes of another number of entries")
    place = 0
    for length in lengths:
        yield joined[place : place + length]
        place += length
