"""Making the views anew from the log, and finding what in a database is damaged.

The log is `entries.data` and the signed checkpoint. `rebuild` empties every view, replays the log and writes the views
again, in one transaction: at its end the tables are what they were, or what they should have been. It takes nothing
away from the log. `check` audits the log, replays it into a scratch database, and compares every row.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Container, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from heapq import merge
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from typing import Any

from sqlalchemy import (
    BigInteger,
    Column,
    Connection,
    LargeBinary,
    MetaData,
    SmallInteger,
    Table,
    delete,
    func,
    insert,
    inspect,
    select,
    update,
)

from ledger.audit import Auditor
from ledger.checkpoint import Checkpoint, open_checkpoint
from ledger.entry import Entry
from ledger.errors import LedgerError, Reason, ServiceFault
from ledger.findings import AuditReport
from ledger.frontier import Frontier
from ledger.note import VerifierKey
from ledger.sequence import Sequenced
from ledger.tiles import TileNodes
from server.published import open_published
from server.replaying import Replaying
from server.store import queries
from server.store.commit import write_entries
from server.store.damage import shown_value
from server.store.queries import StoredEntry, StoredHead
from server.store.store import Store
from server.store.tables import PROJECTIONS, SHARD, entries, log_head, metadata, published, tiles

Progress = Callable[[int, int], None]
"""Is told how many entries are done, and how many there are."""

_CHUNK = 1_000

_ROWS = 200
"""Rows of a table that are in memory at once while it is compared; an entry may have 64 KiB."""

_log = Table(
    "log_being_replayed",
    MetaData(),
    Column("shard", SmallInteger, primary_key=True, autoincrement=False),
    Column("idx", BigInteger, primary_key=True, autoincrement=False),
    Column("data", LargeBinary),
)
"""The bare log, while a rebuild writes `entries` anew; it is there only within that transaction."""


def no_progress(done: int, total: int) -> None:
    """Nobody is watching."""


def rebuild(store: Store, vkeys: Sequence[VerifierKey], progress: Progress = no_progress) -> int:
    """Write all views anew from the log; returns the number of entries.

    Signatures are not checked again: that is for `check` and the auditor.

    Args:
        store: the database.
        vkeys: the log's verifier keys: only what a checkpoint signed by one of them covers is believed.
        progress: is told how far it is.

    Raises:
        ServiceFault: `STORE_DAMAGED` if the log itself is damaged, or has entries that its checkpoint does not cover;
            the database is then as it was.
        BrokenProof: the checkpoint in the database is not signed by any of the log's keys.
    """
    with store.transaction(unhurried=True) as connection:
        metadata.create_all(connection)  # a table that somebody has dropped
        head = _signed_head(connection, vkeys)
        _require_nothing_beyond(connection, head)
        # What stands in the other columns of `entries` is a view too, and must not be seen by the replay.
        _log.drop(connection, checkfirst=True)
        _log.create(connection)
        raw = select(entries.c.shard, entries.c.idx, entries.c.data)
        connection.execute(insert(_log).from_select(["shard", "idx", "data"], raw))
        for table in (entries, *PROJECTIONS):
            connection.execute(delete(table).where(table.c.shard == SHARD))
        root, recorded_at_us = Frontier().root(), 0
        for chunk, frontier in _replayed(connection, connection, head, progress, _log):
            write_entries(connection, chunk)
            root, recorded_at_us = frontier.root(), chunk[-1].entry.recorded_at_us
        if root != head.root:
            raise ServiceFault(
                Reason.STORE_DAMAGED,
                f"root of {head.size} entries",
                given=root.hex(),
                expected=f"{head.root.hex()}, as signed",
            )
        after = StoredHead(head.size, root, recorded_at_us, head.checkpoint)
        connection.execute(update(log_head).where(log_head.c.shard == SHARD).values(asdict(after)))
        _log.drop(connection)
        return head.size


@dataclass(slots=True)
class Damage:
    """What `check` found."""

    audit: AuditReport | None = None
    """None where there is nothing to audit, which `rows` then tell of."""
    rows: list[str] = field(default_factory=list)
    """Tables, and rows of views, that are not as the log makes them, one line each."""

    @property
    def none(self) -> bool:
        """Whether all is well."""
        return self.audit is not None and self.audit.verified and not self.rows


def check(store: Store, vkeys: Sequence[VerifierKey], progress: Progress = no_progress) -> Damage:
    """Audit the log in a database, and compare its views with a replay."""
    with store.snapshot(unhurried=True) as connection:
        there = set(inspect(connection).get_table_names())
        missing = [table.name for table in metadata.sorted_tables if table.name not in there]
        damage = Damage(rows=[f"{name}: given no table, expected one" for name in missing])
        if {entries.name, log_head.name, tiles.name} & set(missing):
            return damage
        damage.rows += _of_other_shards(connection, there)
        try:
            head = _signed_head(connection, vkeys)
        except LedgerError as error:
            damage.rows.append(f"log_head row: {error}")
            return damage
        damage.rows += _compare_head(connection, head)
        if published.name in there:
            damage.rows += _check_published(connection, vkeys)
        damage.audit = _audit(connection, Checkpoint(vkeys[0].name, head.size, head.root), progress)
        if damage.audit.verified:
            with tempfile.TemporaryDirectory(prefix="suyuan-check-") as folder:
                scratch = Store.create(str(Path(folder) / "scratch.db"))
                try:
                    damage.rows += _compare(connection, scratch, head, there)
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


def _of_other_shards(connection: Connection, there: Container[str]) -> Iterator[str]:
    """Rows that nobody reads, for there is one shard."""
    for table in (log_head, entries, *PROJECTIONS):
        if table.name in there:
            count = select(func.count()).select_from(table).where(table.c.shard.is_distinct_from(SHARD))
            rows = connection.execute(count).scalar()
            if rows:
                yield f"{table.name}: given {rows} rows of another shard than {SHARD}, expected none"


def _compare(
    connection: Connection, scratch: Store, head: StoredHead, there: Container[str]
) -> Iterator[str]:
    with scratch.transaction() as replica:
        for chunk, _ in _replayed(connection, replica, head, no_progress):
            write_entries(replica, chunk)
        for table in (entries, *PROJECTIONS):
            if table.name in there:
                yield from _compare_table(table, connection, replica)


def _compare_table(table: Table, given: Connection, expected: Connection) -> Iterator[str]:
    """The rows in which a table differs; both sides are read in the order of their keys, which come first in a row."""
    names = [column.name for column in table.primary_key]
    query = select(table).where(table.c.shard == SHARD).order_by(*table.primary_key)
    # Without it PostgreSQL's driver would load whole tables.
    some = {"yield_per": _ROWS}
    # heapq.merge keeps what both sides have for one key together.
    ours = (
        (_comparable(row[: len(names)]), 0, tuple(row))
        for row in given.execute(query, execution_options=some)
    )
    theirs = (
        (_comparable(row[: len(names)]), 1, tuple(row))
        for row in expected.execute(query, execution_options=some)
    )
    by_key = groupby(merge(ours, theirs, key=itemgetter(0)), key=itemgetter(0))
    for _, group in by_key:
        rows = {side: row for _, side, row in group}
        where = f"{table.name} {_key(names, next(iter(rows.values()))[: len(names)])}"
        if 1 not in rows:
            yield f"{where}: given a row, expected none"
        elif 0 not in rows:
            yield f"{where}: given none, expected a row"
        elif rows[0] != rows[1]:
            differing = [c.name for c, a, b in zip(table.c, rows[0], rows[1], strict=True) if a != b]
            yield f"{where}: given other values of {', '.join(differing)}"


def _comparable(key: Sequence[Any]) -> list[tuple[int, Any]]:
    """A key in SQLite's order, in which numbers come before texts and texts before bytes: a key can be of any type."""
    return [
        (1, value.encode("utf-8", "surrogateescape"))
        if isinstance(value, str)
        else (2, value)
        if isinstance(value, bytes)
        else (0, value or 0)
        for value in key
    ]


def _key(names: list[str], values: tuple[Any, ...]) -> str:
    """A row's key without the shard, for people."""
    shown = map(shown_value, values[1:])
    return " ".join(f"{name} {value}" for name, value in zip(names[1:], shown, strict=True)) or "row"


def _replayed(
    source: Connection, target: Connection, head: StoredHead, progress: Progress, log: Table = entries
) -> Iterator[tuple[list[Sequenced], Frontier]]:
    """Replay the log of one database, writing records and tiles into another, or the same; a chunk at a time."""
    replaying = Replaying()
    while replaying.size < head.size:
        stop = min(replaying.size + _CHUNK, head.size)
        found = _raw_entries(source, log, replaying.size, stop)
        if not found:
            raise ServiceFault(
                Reason.STORE_DAMAGED, f"entry {replaying.size}", given="none", expected="an entry"
            )
        chunk = replaying.take(target, [entry.data for entry in found])
        yield chunk, replaying.frontier
        progress(replaying.size, head.size)


def _raw_entries(connection: Connection, log: Table, start: int, stop: int) -> list[StoredEntry]:
    """Entries start, start + 1, … up to and without stop, by their bytes alone; ends early where one is missing."""
    rows = connection.execute(
        select(log.c.idx, log.c.data)
        .where(log.c.shard == SHARD, log.c.idx >= start, log.c.idx < stop)
        .order_by(log.c.idx)
    )
    found: list[StoredEntry] = []
    for row in rows:
        if row.idx != start + len(found):
            break
        found.append(StoredEntry(row.idx, queries.as_bytes(row.data), ()))
    return found


def _head(connection: Connection) -> StoredHead:
    head = queries.head_row(connection)
    if head is None:
        raise ServiceFault(Reason.STORE_DAMAGED, "log_head", given="no row", expected="the head of a log")
    return head


def _require_nothing_beyond(connection: Connection, head: StoredHead) -> None:
    """Refuse to remove entries that no checkpoint covers: rubbish, or what a head that was set back has lost."""
    beyond = select(func.count()).where(entries.c.shard == SHARD, entries.c.idx >= head.size)
    count = connection.execute(beyond).scalar()
    if count:
        raise ServiceFault(
            Reason.STORE_DAMAGED,
            f"entries beyond the {head.size} that the checkpoint covers",
            given=count,
            expected="none",
        )


def _signed_head(connection: Connection, vkeys: Sequence[VerifierKey]) -> StoredHead:
    """The head as its checkpoint says, whatever the row's other columns hold; its time is the last entry's."""
    note = queries.as_bytes(_head(connection).checkpoint)
    checkpoint = open_checkpoint(note, vkeys[0].name, vkeys)
    last = queries.entries_from(connection, checkpoint.size - 1, checkpoint.size)
    try:
        recorded_at_us = Entry.parse(last[0].data).recorded_at_us if last else 0
    except LedgerError:
        # The audit says what is wrong with it.
        recorded_at_us = 0
    return StoredHead(checkpoint.size, checkpoint.root, recorded_at_us, note)


def _check_published(connection: Connection, vkeys: Sequence[VerifierKey]) -> list[str]:
    """What is wrong with the checkpoint that is shown with cosignatures; a replay does not tell, they came from outside."""
    try:
        open_published(connection, vkeys)
    except LedgerError as error:
        return [f"published row: {error}"]
    return []


def _compare_head(connection: Connection, signed: StoredHead) -> list[str]:
    """The columns of the head's row that are not as its checkpoint and the last entry say."""
    given = asdict(_head(connection))
    differing = [name for name, value in asdict(signed).items() if given[name] != value]
    return [f"log_head row: given other values of {', '.join(differing)}"] if differing else []
