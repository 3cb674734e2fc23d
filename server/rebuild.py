"""Making the views anew from the log, and finding what in a database is damaged.

The log is `entries.data` and the signed checkpoint. `rebuild` empties every view, replays the log and writes the views
again, in one transaction: at its end the tables are what they were, or what they should have been. `check` audits the
log, replays it into a scratch database, and compares every row.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from heapq import merge
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Table, delete, insert, select

from ledger.audit import Auditor, AuditReport
from ledger.checkpoint import Checkpoint, open_checkpoint
from ledger.errors import LedgerError, Reason, ServiceFault
from ledger.frontier import Frontier, RightEdge
from ledger.merkle import Subtree
from ledger.note import VerifierKey
from ledger.replay import replay
from ledger.sequence import Sequenced
from ledger.state import State
from ledger.tiles import TileNodes
from server.store import queries
from server.store.commit import entry_row, write_tiles
from server.store.queries import StoredEntry, StoredHead
from server.store.reader import RecordCache, StoredState
from server.store.records import save
from server.store.store import Store
from server.store.tables import PROJECTIONS, SHARD, entries

Progress = Callable[[int, int], None]
"""Is told how many entries are done, and how many there are."""

_CHUNK = 1_000


def no_progress(done: int, total: int) -> None:
    """Nobody is watching."""


def rebuild(store: Store, progress: Progress = no_progress) -> int:
    """Write all views anew from the log; returns the number of entries.

    Raises:
        ServiceFault: `STORE_DAMAGED` if the log itself is damaged; the database is then as it was.
    """
    with store.transaction() as connection:
        head = _head(connection)
        for table in PROJECTIONS:
            connection.execute(delete(table).where(table.c.shard == SHARD))
        wrong: list[dict[str, object]] = []
        root = Frontier().root()
        for chunk, frontier in _replayed(connection, connection, head, progress):
            root = frontier.root()
            wrong += _take_out_wrong(connection, [entry_row(entry) for entry in chunk])
        # Only now: until all are out, a wrong row may hold the place that a right one needs.
        if wrong:
            connection.execute(insert(entries), wrong)
        if root != head.root:
            raise ServiceFault(
                Reason.STORE_DAMAGED,
                f"root of {head.size} entries",
                given=root.hex(),
                expected=f"{head.root.hex()}, as signed",
            )
        return head.size


@dataclass(slots=True)
class Damage:
    """What `check` found."""

    audit: AuditReport
    rows: list[str] = field(default_factory=list)
    """Rows of views that are not as the log makes them, one line each."""

    @property
    def none(self) -> bool:
        """Whether all is well."""
        return self.audit.verified and not self.rows


def check(store: Store, vkey: VerifierKey, progress: Progress = no_progress) -> Damage:
    """Audit the log in a database, and compare its views with a replay.

    Raises:
        BrokenProof: the checkpoint in the database is not signed by the log's key.
    """
    with store.snapshot() as connection:
        head = _head(connection)
        checkpoint = open_checkpoint(head.checkpoint, vkey.name, [vkey])
        damage = Damage(_audit(connection, checkpoint, progress))
        if damage.audit.verified:
            with tempfile.TemporaryDirectory(prefix="suyuan-check-") as folder:
                scratch = Store.create(str(Path(folder) / "scratch.db"))
                try:
                    damage.rows += _compare(connection, scratch, head)
                finally:
                    scratch.close()
        return damage


def _audit(connection: Connection, checkpoint: Checkpoint, progress: Progress) -> AuditReport:
    auditor = Auditor(checkpoint.origin)
    nodes = TileNodes(queries.tile_reader(connection))
    while auditor.size < checkpoint.size:
        found = queries.entries_from(connection, auditor.size, min(auditor.size + _CHUNK, checkpoint.size))
        for entry in found:
            auditor.read(entry.data, _leaf_hash(nodes, entry.index, auditor))
        if not found:
            auditor.find(auditor.size, Reason.STORE_DAMAGED, "given no such entry, expected one")
            break
        progress(auditor.size, checkpoint.size)
    return auditor.conclude(checkpoint)


def _leaf_hash(nodes: TileNodes, index: int, auditor: Auditor) -> bytes | None:
    try:
        return nodes(0, index)
    except LedgerError as error:
        auditor.find(index, error.reason, str(error))
        return None


def _compare(connection: Connection, scratch: Store, head: StoredHead) -> Iterator[str]:
    with scratch.transaction() as replica:
        for chunk, _ in _replayed(connection, replica, head, no_progress):
            replica.execute(insert(entries), [entry_row(entry) for entry in chunk])
        for table in (entries, *PROJECTIONS):
            yield from _compare_table(table, connection, replica)


def _compare_table(table: Table, given: Connection, expected: Connection) -> Iterator[str]:
    """The rows in which a table differs; both sides are read in the order of their keys, which come first in a row."""
    names = [column.name for column in table.primary_key]
    query = select(table).where(table.c.shard == SHARD).order_by(*table.primary_key)
    # heapq.merge keeps what both sides have for one key together.
    ours = ((tuple(row[: len(names)]), 0, tuple(row)) for row in given.execute(query))
    theirs = ((tuple(row[: len(names)]), 1, tuple(row)) for row in expected.execute(query))
    by_key = groupby(merge(ours, theirs, key=itemgetter(0)), key=itemgetter(0))
    for key, group in by_key:
        rows = {side: row for _, side, row in group}
        where = f"{table.name} {_key(names, key)}"
        if 1 not in rows:
            yield f"{where}: given a row, expected none"
        elif 0 not in rows:
            yield f"{where}: given none, expected a row"
        elif rows[0] != rows[1]:
            differing = [c.name for c, a, b in zip(table.c, rows[0], rows[1], strict=True) if a != b]
            yield f"{where}: given other values of {', '.join(differing)}"


def _key(names: list[str], values: tuple[Any, ...]) -> str:
    """A row's key without the shard, for people."""
    shown = (value.hex() if isinstance(value, bytes) else str(value) for value in values[1:])
    return " ".join(f"{name} {value}" for name, value in zip(names[1:], shown, strict=True)) or "row"


def _replayed(
    source: Connection, target: Connection, head: StoredHead, progress: Progress
) -> Iterator[tuple[list[Sequenced], Frontier]]:
    """Replay the log of one database, writing records and tiles into another, or the same; a chunk at a time."""
    frontier, edge, cache = Frontier(), RightEdge(), RecordCache()
    while frontier.size < head.size:
        found = queries.entries_from(source, frontier.size, min(frontier.size + _CHUNK, head.size))
        if not found:
            raise ServiceFault(
                Reason.STORE_DAMAGED, f"entry {frontier.size}", given="none", expected="an entry"
            )
        state = State(StoredState(target, cache))
        chunk = [_replay(entry, state) for entry in found]
        completed: dict[Subtree, bytes] = {}
        frontier = frontier.extend([entry.hash for entry in chunk], completed)
        edge, changed = edge.extend(completed)
        write_tiles(target, changed)
        save(target, state.changes())
        for record in state.changes():
            cache.put(record)
        yield chunk, frontier
        progress(frontier.size, head.size)


def _replay(entry: StoredEntry, state: State) -> Sequenced:
    try:
        return replay(entry.index, entry.data, state)
    except LedgerError as error:
        raise ServiceFault(
            Reason.STORE_DAMAGED,
            f"entry {entry.index}",
            given=str(error),
            expected="an entry that follows from those before it",
        ) from error


def _take_out_wrong(connection: Connection, rows: list[dict[str, object]]) -> list[dict[str, object]]:
    """Delete the rows of `entries` that are not as they should be; returns those that belong there."""
    first, last = rows[0]["idx"], rows[-1]["idx"]
    there = connection.execute(
        select(entries)
        .where(entries.c.shard == SHARD, entries.c.idx.between(first, last))
        .order_by(entries.c.idx)
    )
    wrong = [row for row, found in zip(rows, there, strict=True) if tuple(row.values()) != tuple(found)]
    for row in wrong:
        connection.execute(delete(entries).where(entries.c.shard == SHARD, entries.c.idx == row["idx"]))
    return wrong


def _head(connection: Connection) -> StoredHead:
    head = queries.head(connection)
    if head is None:
        raise ServiceFault(Reason.STORE_DAMAGED, "log", given="no genesis", expected="a log")
    return head
