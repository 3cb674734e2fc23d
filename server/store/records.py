"""Records of the rules' state as rows: loading many at once, writing what changed.

What a row holds is looked at before anybody acts on it; `server.store.damage` says how far.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice
from operator import attrgetter, itemgetter
from typing import Any, TypeVar, get_type_hints

from sqlalchemy import Column, ColumnElement, Connection, Row, Table, select

from ledger.entry import Entry
from ledger.envelope import Envelope
from ledger.errors import LedgerError, ServiceFault
from ledger.event import Event
from ledger.state import Key, PartyKey, R, Record, Recorded
from server.store.bulk import upsert_rows
from server.store.damage import damage_of, damaged, of_another_type, shown_value, what_is_wrong
from server.store.lookup import rows_at
from server.store.tables import RECORDS, SHARD, entries

_CHUNK = 500
"""Keys that are looked up in one statement."""

K = TypeVar("K", bound=Key)
T = TypeVar("T")


def load(connection: Connection, record_type: type[R], keys: Iterable[Key]) -> dict[Key, R]:
    """The records of one type that exist under these keys.

    Raises:
        ServiceFault: `STORE_DAMAGED` if one of them is not as the service wrote it.
    """
    found: dict[Key, R] = {}
    for key, record in find(connection, record_type, keys).items():
        if isinstance(record, ServiceFault):
            raise record
        found[key] = record
    return found


def find(connection: Connection, record_type: type[R], keys: Iterable[K]) -> dict[K, R | ServiceFault]:
    """The records of one type that exist under these keys; a damaged one is told, and hides no other."""
    if record_type is Recorded:
        return _load_recorded(connection, keys)
    return _load(connection, record_type, keys)


def save(connection: Connection, records: Iterable[Record]) -> None:
    """Write records, each in place of an older one with its key. `Recorded` is part of `entries` and passed over."""
    by_type: dict[type[Any], list[Record]] = {}
    for record in records:
        by_type.setdefault(type(record), []).append(record)
    by_type.pop(Recorded, None)
    for record_type, same in by_type.items():
        shape = _SHAPES[record_type]
        upsert_rows(connection, shape.table, [(SHARD, *shape.values(record)) for record in same])


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


def _load(connection: Connection, record_type: type[Any], keys: Iterable[Any]) -> dict[Any, Any]:
    shape = _SHAPES[record_type]
    rows = rows_at(connection, shape.columns, shape.keys, keys)
    return {shape.key(row): _or_damage(shape.record, row) for row in rows}


def _load_recorded(connection: Connection, event_ids: Iterable[Key]) -> dict[Any, Any]:
    ids = (entries.c.event_id,)
    recorded = [event_id for (event_id,) in rows_at(connection, ids, ids, event_ids)]
    rows = [row for chunk in chunks(recorded, _CHUNK) for row in _entries_of(connection, chunk)]
    found: dict[Any, Any] = {row.event_id: _or_damage(_opened, row) for row in rows}
    envelopes = [opened[1] for opened in found.values() if not isinstance(opened, ServiceFault)]
    keys = find(connection, PartyKey, {envelope.key_id for envelope in envelopes})
    for row in rows:
        opened = found[row.event_id]
        if not isinstance(opened, ServiceFault):
            key = keys.get(opened[1].key_id)
            entry, envelope, event = opened
            found[row.event_id] = (
                key if isinstance(key, ServiceFault) else _recorded(row, entry, envelope, event, key)
            )
    return found


def _entries_of(connection: Connection, event_ids: Sequence[bytes]) -> Sequence[Row[Any]]:
    matches = entries.c.event_id.in_(event_ids)
    return connection.execute(select(entries).where(entries.c.shard == SHARD, matches)).all()


def _or_damage(read: Callable[[Row[Any]], T], row: Row[Any]) -> T | ServiceFault:
    try:
        return read(row)
    except ServiceFault as damage:
        return damage


def _opened(row: Row[Any]) -> tuple[Entry, Envelope, Event]:
    """What an entry's row holds, if its columns say of the entry what it says itself."""
    where = f"entry {row.idx}"
    try:
        entry = Entry.parse(row.data if isinstance(row.data, bytes) else b"")
        envelope = Envelope.parse(entry.envelope)
        event = Event.parse(envelope.payload)
    except LedgerError as error:
        raise damage_of(where, error) from error
    if (row.event_id, row.chain, row.chain_seq) != (event.id, event.chain, entry.chain_seq):
        raise damaged(where, "an event, chain or place that is another", "those of the entry")
    if not isinstance(row.flags, int) or not isinstance(row.sale or b"", bytes):
        raise damaged(where, f"flags {row.flags!r}, sale {row.sale!r}", "a number and an event id")
    return entry, envelope, event


def _recorded(
    row: Row[Any], entry: Entry, envelope: Envelope, event: Event, key: PartyKey | None
) -> Recorded:
    return Recorded(
        event_id=event.id,
        index=row.idx,
        chain=str(event.chain),
        chain_seq=entry.chain_seq,
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
    keys: tuple[Column[Any], ...]
    columns: tuple[Column[Any], ...]
    """In the order of the record's fields, so that a row makes a record."""
    types: tuple[type, ...]
    """Of the columns' values, likewise."""
    key: Callable[[Row[Any]], Key]
    """The record's key in a row."""
    names: tuple[str, ...]
    """Of the fields."""
    values: Callable[[Record], tuple[Any, ...]]
    """What a record's row holds besides the shard, in the order of the table's columns."""

    @classmethod
    def of(cls, record_type: type[Any]) -> _Shape:
        table = RECORDS[record_type]
        fields = [field.name for field in dataclasses.fields(record_type)]
        hints = get_type_hints(record_type)
        return cls(
            table=table,
            record_type=record_type,
            keys=tuple(table.c[name] for name in record_type.key_fields),
            columns=tuple(table.c[name] for name in fields),
            types=tuple(hints[name] for name in fields),
            key=itemgetter(*(fields.index(name) for name in record_type.key_fields)),
            names=tuple(fields),
            values=attrgetter(*(column.key for column in table.columns if column.key != "shard")),
        )

    def record(self, row: Row[Any]) -> Any:
        """The record that a row holds, if it can be one.

        Raises:
            ServiceFault: `STORE_DAMAGED`.
        """
        # SQLite keeps in a column whatever was put there.
        if tuple(map(type, row)) != self.types:
            raise self._damaged(row, *of_another_type(self.names, self.types, row))
        record = self.record_type(*row)
        wrong = what_is_wrong(record)
        if wrong is not None:
            raise self._damaged(row, *wrong)
        return record

    def _damaged(self, row: Row[Any], given: str, expected: str) -> ServiceFault:
        key = self.key(row)
        shown = " ".join(shown_value(part) for part in (key if isinstance(key, tuple) else (key,)))
        return damaged(f"{self.table.name} {shown}", given, expected)


_SHAPES: dict[type[Any], _Shape] = {record_type: _Shape.of(record_type) for record_type in RECORDS}
