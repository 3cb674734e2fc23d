"""What the service reads from a log's tables, each as one function of a connection."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Integer, Select, bindparam, func, select

from ledger.entry import Entry
from ledger.envelope import Envelope
from ledger.errors import BadInput, BrokenProof, LedgerError, Reason, ServiceFault
from ledger.tiles import TileReader
from server.store.damage import damage_of
from server.store.lookup import only_row
from server.store.records import bits_to_flags, chunks
from server.store.tables import SHARD, entries, log_head, published, tiles

_ROWS = 100
"""Entries that are fetched at a time, at 64 KiB each at most, where only the first ones may be wanted."""

# Statements that every history or trace executes. To put one together costs as much as to execute it.

_ENTRY = select(entries.c.idx, entries.c.data, entries.c.flags).where(entries.c.shard == SHARD)

_ENTRIES = _ENTRY.where(entries.c.idx.in_(bindparam("indexes", expanding=True))).order_by(entries.c.idx)

_OF_CHAIN = _ENTRY.where(
    entries.c.chain == bindparam("chain"),
    entries.c.chain_seq >= bindparam("start_seq"),
    entries.c.idx < bindparam("size"),
).order_by(entries.c.chain_seq)

_FIRST_OF_CHAIN = _OF_CHAIN.limit(bindparam("most", type_=Integer))

_LAST_OF_CHAIN = select(func.max(entries.c.chain_seq)).where(
    entries.c.shard == SHARD, entries.c.chain == bindparam("chain"), entries.c.idx < bindparam("size")
)

_OF_CHAINS, _OF_SALES = (
    select(entries.c.idx)
    .where(
        entries.c.shard == SHARD,
        column.in_(bindparam("values", expanding=True)),
        entries.c.idx < bindparam("size"),
    )
    .limit(bindparam("most", type_=Integer))
    for column in (entries.c.chain, entries.c.sale)
)

_TILES = select(tiles.c.idx, tiles.c.data).where(
    tiles.c.shard == SHARD,
    tiles.c.level == bindparam("level"),
    tiles.c.idx.in_(bindparam("indexes", expanding=True)),
)


@dataclass(frozen=True, slots=True)
class StoredHead:
    """The log's newest state as the database has it."""

    size: int
    root: bytes
    recorded_at_us: int
    checkpoint: bytes
    """Signed note."""


@dataclass(frozen=True, slots=True)
class StoredEntry:
    """An entry as the database has it."""

    index: int
    data: bytes
    flags: tuple[int, ...]

    def envelope(self) -> Envelope:
        """The signed envelope in it.

        Raises:
            ServiceFault: `STORE_DAMAGED` if these are not the bytes of an entry.
        """
        try:
            return Envelope.parse(Entry.parse(self.data).envelope)
        except (BadInput, BrokenProof) as error:
            raise damaged_entry(self.index, error) from error


_HEAD = (log_head.c.size, log_head.c.root, log_head.c.recorded_at_us, log_head.c.checkpoint)


def head(connection: Connection) -> StoredHead | None:
    """The log's newest state; None before the genesis.

    Raises:
        ServiceFault: `STORE_DAMAGED` if somebody has put something else into the row.
    """
    row = head_row(connection)
    if row is None:
        return None
    for name, expected in zip(StoredHead.__slots__, (int, bytes, int, bytes), strict=True):
        value = getattr(row, name)
        if type(value) is not expected:
            raise ServiceFault(
                Reason.STORE_DAMAGED,
                f"{name} of log_head",
                given=f"a value of type {type(value).__name__}",
                expected=expected.__name__,
            )
    return row


def head_row(connection: Connection) -> StoredHead | None:
    """The log's newest state, whatever the row holds in place of it; None if there is no row."""
    row = only_row(connection, _HEAD)
    return None if row is None else StoredHead(*row)


def published_checkpoint(connection: Connection) -> bytes | None:
    """The checkpoint under which the log is shown while it has witnesses, with their cosignatures; None while it has none.

    It only ever grows, and waits for a quorum of them.
    """
    return connection.execute(select(published.c.checkpoint).where(published.c.shard == SHARD)).scalar()


def tile_reader(connection: Connection) -> TileReader:
    """Reads tiles, each as wide as it is by now."""

    def read(level: int, index: int) -> bytes:
        data = connection.execute(
            select(tiles.c.data).where(tiles.c.shard == SHARD, tiles.c.level == level, tiles.c.idx == index)
        ).scalar()
        if data is None:
            raise _no_tile(level, index)
        return as_bytes(data)

    return read


def tiles_at(connection: Connection, level: int, indexes: Iterable[int]) -> dict[int, bytes]:
    """Tiles of one level by their indexes, each as wide as it is by now.

    Raises:
        ServiceFault: `STORE_DAMAGED` if one is missing.
    """
    wanted = sorted(indexes)
    found: dict[int, bytes] = {}
    for chunk in chunks(wanted, 500):
        rows = connection.execute(_TILES, {"level": level, "indexes": chunk})
        found |= {index: as_bytes(data) for index, data in rows}
    for index in wanted:
        if index not in found:
            raise _no_tile(level, index)
    return found


def _no_tile(level: int, index: int) -> ServiceFault:
    return ServiceFault(Reason.STORE_DAMAGED, f"tile {level}/{index}", given="none", expected="a tile")


def entries_from(
    connection: Connection, start: int, stop: int, *, most_bytes: int | None = None
) -> list[StoredEntry]:
    """Entries start, start + 1, … up to and without stop.

    Ends early where one is missing, and before it passes `most_bytes`, though not before it has one.
    """
    rows = connection.execute(
        select(entries.c.idx, entries.c.data, entries.c.flags)
        .where(entries.c.shard == SHARD, entries.c.idx >= start, entries.c.idx < stop)
        .order_by(entries.c.idx),
        execution_options=_a_few_at_a_time(stop - start, most_bytes),
    )
    found: list[StoredEntry] = []
    for entry in _fitting(rows, most_bytes):
        if entry.index != start + len(found):
            break
        found.append(entry)
    rows.close()
    return found


def entries_among(
    connection: Connection,
    chains: Iterable[str] | None,
    start: int,
    stop: int,
    *,
    limit: int,
    most_bytes: int,
) -> tuple[list[StoredEntry], int]:
    """Entries of these chains, or of all, from `start` up to and without `stop`, in the order of the log.

    The rows are read in the order of the log, never chain by chain: what it costs depends on `stop - start` alone.

    Returns:
        at most `limit` entries, ending before they pass `most_bytes`, though not before there is one; and the index
        before which there is no other.

    Raises:
        ServiceFault: `STORE_DAMAGED` if all were asked for and one is missing.
    """
    where = [entries.c.shard == SHARD, entries.c.idx >= start, entries.c.idx < stop]
    if chains is not None:
        # As an expression, for which there is no index: a chain may be as long as the log.
        where.append(entries.c.chain.concat("").in_(sorted(chains)))
    rows = connection.execute(
        select(entries.c.idx, entries.c.data, entries.c.flags)
        .where(*where)
        .order_by(entries.c.idx)
        .limit(limit + 1)
    )
    found: list[StoredEntry] = []
    total = 0
    for row in rows:
        entry = _entry(row)
        if chains is None and entry.index != start + len(found):
            break
        if len(found) == limit or (found and total + len(entry.data) > most_bytes):
            rows.close()
            return found, entry.index
        total += len(entry.data)
        found.append(entry)
    rows.close()
    if chains is None and start + len(found) != stop:
        missing = start + len(found)
        raise ServiceFault(Reason.STORE_DAMAGED, f"entry {missing}", given="none", expected="an entry")
    return found, stop


def next_of_chains(connection: Connection, chains: Iterable[str], start: int) -> int | None:
    """Index of the first entry from `start` on that is of one of these chains; None if there is none.

    A few rows are looked at for each chain, however long it is: along a chain, indexes only ever grow.
    """
    found = (_next_of_chain(connection, chain, start) for chain in chains)
    return min((index for index in found if index is not None), default=None)


def _next_of_chain(connection: Connection, chain: str, start: int) -> int | None:
    of_chain = (entries.c.shard == SHARD, entries.c.chain == chain)
    newest = select(entries.c.chain_seq, entries.c.idx).where(*of_chain)
    last = connection.execute(newest.order_by(entries.c.chain_seq.desc()).limit(1)).first()
    if last is None or last.idx < start:
        return None
    first, behind, index = 0, last.chain_seq, last.idx
    while first < behind:
        middle = (first + behind) // 2
        at: int | None = connection.execute(
            select(entries.c.idx).where(*of_chain, entries.c.chain_seq == middle)
        ).scalar()
        if at is None:
            raise ServiceFault(
                Reason.STORE_DAMAGED, f"chain_seq {middle} of {chain}", given="none", expected="an entry"
            )
        if at < start:
            first = middle + 1
        else:
            behind, index = middle, at
    return int(index)


def entries_at(connection: Connection, indexes: Iterable[int]) -> list[StoredEntry]:
    """These entries, in the order of the log.

    Raises:
        ServiceFault: `STORE_DAMAGED` if one is missing.
    """
    wanted = sorted(set(indexes))
    found: list[StoredEntry] = []
    for chunk in chunks(wanted, 500):
        found += [_entry(row) for row in connection.execute(_ENTRIES, {"indexes": chunk})]
    if len(found) != len(wanted):
        missing = min(set(wanted) - {entry.index for entry in found})
        raise missing_entry(missing)
    return found


def bytes_of_entries(connection: Connection, indexes: Iterable[int]) -> int:
    """How long these entries are together, without loading them."""
    total = 0
    for chunk in chunks(sorted(set(indexes)), 500):
        length = func.sum(func.length(entries.c.data))
        where = (entries.c.shard == SHARD, entries.c.idx.in_(chunk))
        total += connection.execute(select(length).where(*where)).scalar() or 0
    return total


def index_of_event(connection: Connection, event_id: bytes) -> int | None:
    """Where an event is recorded."""
    return connection.execute(
        select(entries.c.idx).where(entries.c.shard == SHARD, entries.c.event_id == event_id)
    ).scalar()


def chain_entries(
    connection: Connection,
    chain: str,
    *,
    size: int,
    start_seq: int = 0,
    limit: int | None = None,
    most_bytes: int | None = None,
) -> list[StoredEntry]:
    """Entries of one chain, in its order, among the log's first `size`.

    Ends before it passes `most_bytes`, though not before it has one.
    """
    rows = connection.execute(
        _OF_CHAIN if limit is None else _FIRST_OF_CHAIN,
        {"chain": chain, "start_seq": start_seq, "size": size, "most": limit},
        execution_options=_a_few_at_a_time(limit, most_bytes),
    )
    found = list(_fitting(rows, most_bytes))
    rows.close()
    return found


def chain_length(connection: Connection, chain: str, *, size: int) -> int:
    """Entries that a chain has among the log's first `size`."""
    last = connection.execute(_LAST_OF_CHAIN, {"chain": chain, "size": size}).scalar()
    return 0 if last is None else last + 1


def indexes_of_chains(connection: Connection, chains: Iterable[str], *, size: int, limit: int) -> list[int]:
    """Where the entries of these chains are, in the order of the log; if there are more than `limit`, some of them."""
    return _indexes_among(connection, _OF_CHAINS, chains, size, limit)


def indexes_of_sales(connection: Connection, sales: Iterable[bytes], *, size: int, limit: int) -> list[int]:
    """Where the entries that are part of these sales are, in the order of the log; at most `limit`, as above."""
    return _indexes_among(connection, _OF_SALES, sales, size, limit)


def damaged_entry(index: int, error: LedgerError) -> ServiceFault:
    """What to raise for a stored entry that cannot be read: that is no fault of the caller's."""
    return damage_of(f"entry {index}", error)


def missing_entry(index: int) -> ServiceFault:
    """What to raise for an entry that should be stored and is not."""
    return ServiceFault(Reason.STORE_DAMAGED, f"entry {index}", given="none", expected="an entry")


def as_bytes(value: object) -> bytes:
    """A column of bytes, also where somebody has put something else into it: then what that is written as."""
    return value if isinstance(value, bytes) else str(value).encode("utf-8", "surrogateescape")


def _indexes_among(
    connection: Connection, query: Select[Any], values: Iterable[str | bytes], size: int, limit: int
) -> list[int]:
    found: list[int] = []
    for chunk in chunks(sorted(set(values)), 500):
        if len(found) >= limit:
            break
        most = limit - len(found)
        found += connection.execute(query, {"values": chunk, "size": size, "most": most}).scalars()
    return sorted(found)


def _a_few_at_a_time(rows: int | None, most_bytes: int | None) -> dict[str, int]:
    """How to execute a query of which perhaps only the first rows are wanted: PostgreSQL's driver loads all, unless told."""
    return {"yield_per": _ROWS} if most_bytes is not None and (rows is None or rows > _ROWS) else {}


def _fitting(rows: Iterable[Any], most_bytes: int | None) -> Iterator[StoredEntry]:
    """The first rows' entries: one, and as many more as do not pass `most_bytes`."""
    total = 0
    for row in rows:
        entry = _entry(row)
        if most_bytes is not None and total and total + len(entry.data) > most_bytes:
            return
        total += len(entry.data)
        yield entry


def _entry(row: Any) -> StoredEntry:
    return StoredEntry(
        row.idx, as_bytes(row.data), bits_to_flags(row.flags if isinstance(row.flags, int) else 0)
    )
