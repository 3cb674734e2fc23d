"""Records of the rules' state as rows: loading many at once, writing what changed."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice
from operator import attrgetter
from typing import Any, TypeVar

from sqlalchemy import ColumnElement, Connection, Row, Table, select, tuple_
from sqlalchemy.dialects.sqlite import insert as sqlite_insert
from sqlalchemy.sql.dml import Insert

from ledger.entry import Entry
from ledger.envelope import Envelope
from ledger.event import Event
from ledger.state import Key, PartyKey, R, Record, Recorded
from server.store.tables import RECORDS, SHARD, entries

_CHUNK = 500
"""Keys that are looked up in one statement."""

T = TypeVar("T")


def load(connection: Connection, record_type: type[R], keys: Iterable[Key]) -> dict[Key, R]:
    """The records of one type that exist under these keys."""
    find = _load_recorded if record_type is Recorded else _load
    found: dict[Key, Any] = {}
    for chunk in chunks(keys, _CHUNK):
        found.update((record.key, record) for record in find(connection, record_type, chunk))
    return found


def save(connection: Connection, records: Iterable[Record]) -> None:
    """Write records, each in place of an older one with its key. `Recorded` is part of `entries` and passed over."""
    by_type: dict[type[Any], list[Record]] = {}
    for record in records:
        by_type.setdefault(type(record), []).append(record)
    by_type.pop(Recorded, None)
    for record_type, same in by_type.items():
        shape = _SHAPES[record_type]
        rows = [dict(zip(shape.names, (SHARD, *shape.values(record)), strict=True)) for record in same]
        connection.execute(shape.upsert, rows)


def records_of(
    connection: Connection, record_type: type[R], *where: ColumnElement[bool], limit: int | None = None
) -> list[R]:
    """The records of one type that meet a condition, in the order of their keys."""
    shape = _SHAPES[record_type]
    query = select(*shape.columns).where(shape.table.c.shard == SHARD, *where)
    rows = connection.execute(query.order_by(*shape.table.primary_key).limit(limit))
    return [shape.record(row) for row in rows]


def chunks(items: Iterable[T], size: int) -> Iterator[list[T]]:
    """The items in lists of at most this many."""
    iterator = iter(items)
    while chunk := list(islice(iterator, size)):
        yield chunk


def flags_to_bits(flags: Iterable[int]) -> int:
    """Flags as a number in which bit n is set for flag n."""
    return sum(1 << flag for flag in flags)


def bits_to_flags(bits: int) -> tuple[int, ...]:
    """The flags, ascending, of such a number."""
    return tuple(flag for flag in range(bits.bit_length()) if bits >> flag & 1)


def _load(connection: Connection, record_type: type[Any], keys: Sequence[Key]) -> list[Any]:
    shape = _SHAPES[record_type]
    matches = shape.keys[0].in_(keys) if len(shape.keys) == 1 else tuple_(*shape.keys).in_(keys)
    rows = connection.execute(select(*shape.columns).where(shape.table.c.shard == SHARD, matches))
    return [shape.record(row) for row in rows]


def _load_recorded(connection: Connection, _: type[Any], event_ids: Sequence[Key]) -> list[Any]:
    matches = entries.c.event_id.in_(event_ids)
    rows = connection.execute(select(entries).where(entries.c.shard == SHARD, matches)).all()
    opened = [(row, Entry.parse(row.data)) for row in rows]
    envelopes = [Envelope.parse(entry.envelope) for _, entry in opened]
    keys = load(connection, PartyKey, {envelope.key_id for envelope in envelopes})
    return [
        _recorded(row, entry, envelope, keys.get(envelope.key_id))
        for (row, entry), envelope in zip(opened, envelopes, strict=True)
    ]


def _recorded(row: Row[Any], entry: Entry, envelope: Envelope, key: PartyKey | None) -> Recorded:
    event = Event.parse(envelope.payload)
    return Recorded(
        event_id=row.event_id,
        index=row.idx,
        chain=row.chain,
        chain_seq=row.chain_seq,
        kind=event.kind.value if event.kind else "",
        signer=key.party if key else "",
        key_id=envelope.key_id,
        sale=row.sale or b"",
        recorded_at_us=entry.recorded_at_us,
        flags=bits_to_flags(row.flags),
    )


@dataclasses.dataclass(frozen=True, slots=True)
class _Shape:
    """How a type of record is stored."""

    table: Table
    record_type: type[Any]
    keys: list[ColumnElement[Any]]
    columns: list[ColumnElement[Any]]
    """In the order of the record's fields, so that a row makes a record."""
    names: tuple[str, ...]
    """`shard` and the fields."""
    values: Callable[[Record], tuple[Any, ...]]
    upsert: Insert

    @classmethod
    def of(cls, record_type: type[Any]) -> _Shape:
        table = RECORDS[record_type]
        fields = [field.name for field in dataclasses.fields(record_type)]
        return cls(
            table=table,
            record_type=record_type,
            keys=[table.c[name] for name in record_type.key_fields],
            columns=[table.c[name] for name in fields],
            names=("shard", *fields),
            values=attrgetter(*fields),
            upsert=_upsert(table),
        )

    def record(self, row: Row[Any]) -> Any:
        return self.record_type(*row)


def _upsert(table: Table) -> Insert:
    statement = sqlite_insert(table)
    keys = {column.key for column in table.primary_key}
    changed = {column.key: statement.excluded[column.key] for column in table.c if column.key not in keys}
    if not changed:
        return statement.on_conflict_do_nothing()
    return statement.on_conflict_do_update(index_elements=list(table.primary_key), set_=changed)


_SHAPES: dict[type[Any], _Shape] = {record_type: _Shape.of(record_type) for record_type in RECORDS}
