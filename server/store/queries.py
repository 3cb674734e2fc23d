"""What the service reads from a log's tables, each as one function of a connection."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, func, select

from ledger.errors import Reason, ServiceFault
from ledger.tiles import TileReader
from server.store.records import bits_to_flags, chunks
from server.store.tables import SHARD, entries, log_head, tiles


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


def head(connection: Connection) -> StoredHead | None:
    """The log's newest state; None before the genesis."""
    columns = (log_head.c.size, log_head.c.root, log_head.c.recorded_at_us, log_head.c.checkpoint)
    row = connection.execute(select(*columns).where(log_head.c.shard == SHARD)).first()
    return None if row is None else StoredHead(*row)


def tile_reader(connection: Connection) -> TileReader:
    """Reads tiles, each as wide as it is by now."""

    def read(level: int, index: int) -> bytes:
        data = connection.execute(
            select(tiles.c.data).where(tiles.c.shard == SHARD, tiles.c.level == level, tiles.c.idx == index)
        ).scalar()
        if data is None:
            raise ServiceFault(Reason.STORE_DAMAGED, f"tile {level}/{index}", given="none", expected="a tile")
        return as_bytes(data)

    return read


def entries_from(connection: Connection, start: int, stop: int) -> list[StoredEntry]:
    """Entries start, start + 1, … up to and without stop; ends early where one is missing."""
    rows = connection.execute(
        select(entries.c.idx, entries.c.data, entries.c.flags)
        .where(entries.c.shard == SHARD, entries.c.idx >= start, entries.c.idx < stop)
        .order_by(entries.c.idx)
    )
    found: list[StoredEntry] = []
    for row in rows:
        if row.idx != start + len(found):
            break
        found.append(_entry(row))
    return found


def entries_at(connection: Connection, indexes: Iterable[int]) -> list[StoredEntry]:
    """These entries, in the order of the log.

    Raises:
        ServiceFault: `STORE_DAMAGED` if one is missing.
    """
    wanted = sorted(set(indexes))
    found: list[StoredEntry] = []
    for chunk in chunks(wanted, 500):
        rows = connection.execute(
            select(entries.c.idx, entries.c.data, entries.c.flags)
            .where(entries.c.shard == SHARD, entries.c.idx.in_(chunk))
            .order_by(entries.c.idx)
        )
        found += [_entry(row) for row in rows]
    if len(found) != len(wanted):
        missing = min(set(wanted) - {entry.index for entry in found})
        raise ServiceFault(Reason.STORE_DAMAGED, f"entry {missing}", given="none", expected="an entry")
    return found


def index_of_event(connection: Connection, event_id: bytes) -> int | None:
    """Where an event is recorded."""
    return connection.execute(
        select(entries.c.idx).where(entries.c.shard == SHARD, entries.c.event_id == event_id)
    ).scalar()


def chain_entries(
    connection: Connection, chain: str, *, size: int, start_seq: int = 0, limit: int | None = None
) -> list[StoredEntry]:
    """Entries of one chain, in its order, among the log's first `size`."""
    rows = connection.execute(
        select(entries.c.idx, entries.c.data, entries.c.flags)
        .where(entries.c.shard == SHARD, entries.c.chain == chain, entries.c.chain_seq >= start_seq)
        .order_by(entries.c.chain_seq)
        .limit(limit)
    )
    return [_entry(row) for row in rows if row.idx < size]


def chain_length(connection: Connection, chain: str, *, size: int) -> int:
    """Entries that a chain has among the log's first `size`."""
    last = connection.execute(
        select(func.max(entries.c.chain_seq)).where(
            entries.c.shard == SHARD, entries.c.chain == chain, entries.c.idx < size
        )
    ).scalar()
    return 0 if last is None else last + 1


def indexes_of_chain(connection: Connection, chain: str, *, size: int, limit: int) -> list[int]:
    """Where a chain's entries are, in its order."""
    rows = connection.execute(
        select(entries.c.idx)
        .where(entries.c.shard == SHARD, entries.c.chain == chain, entries.c.idx < size)
        .order_by(entries.c.chain_seq)
        .limit(limit)
    )
    return list(rows.scalars())


def indexes_of_sales(connection: Connection, sales: Sequence[bytes], *, size: int, limit: int) -> list[int]:
    """Where the entries that are part of these sales are."""
    found: list[int] = []
    for chunk in chunks(sales, 500):
        rows = connection.execute(
            select(entries.c.idx)
            .where(entries.c.shard == SHARD, entries.c.sale.in_(chunk), entries.c.idx < size)
            .limit(limit)
        )
        found += rows.scalars()
    return sorted(found)


def as_bytes(value: bytes | str) -> bytes:
    """A column of bytes, also where somebody has put text into it: its bytes are then what the text's are."""
    return value.encode("utf-8", "surrogateescape") if isinstance(value, str) else bytes(value)


def _entry(row: Any) -> StoredEntry:
    return StoredEntry(row.idx, as_bytes(row.data), bits_to_flags(row.flags))
