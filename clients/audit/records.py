"""The state of an audit on the auditor's own disk: records in SQLite, those in use in memory.

What the rules know of the past (`ledger.state`) grows with the log; an auditor's memory must not. So records that were
put wait in memory until they are saved, and beside them are kept those that were read or written last, in two
generations: what is asked for again moves to the young one, and when that is full, the old one is forgotten. That a
record is not there is remembered in the same way, since the rules often ask whether something is new.

Nothing here commits: whoever calls `save` does, together with what else belongs to that moment.
"""

from __future__ import annotations

import itertools
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, fields
from operator import attrgetter
from typing import Any, Final, TypeAlias, get_args

from clients.audit.recorded import TOGETHER, RecordedEvents, chunks, marks
from ledger.event import Event
from ledger.rules.reads import body_reads
from ledger.state import ChainHead, Key, R, Record, Recorded, Reviewed, State

NEAR: Final = 40_000
"""Records of a generation; those that wait to be saved come on top."""

_UNKNOWN: Final[Any] = object()
"""Nobody has looked yet whether there is such a record."""


_Records: TypeAlias = dict[type[Any], dict[Any, Any]]
"""By type and key."""


class StoredState(State):
    """The state of an audit, of which memory holds a part. For one thread."""

    __slots__ = ("_connection", "_far", "_near", "_near_limit", "_recorded", "_waiting")

    def __init__(self, connection: sqlite3.Connection, *, near: int = NEAR) -> None:
        """The state in a database, which may be new.

        Args:
            connection: writes only where `save` is called, and never commits.
            near: records of a generation.
        """
        super().__init__()
        self._connection = connection
        self._near_limit = near
        self._near = _none()
        self._far = _none()
        self._waiting = _none()
        for table in _TABLES.values():
            connection.execute(table.create)
        # Of these there is one for each entry, and hardly any is read again: none is kept once it is saved.
        self._recorded = RecordedEvents(connection)
        self._near[Recorded] = self._waiting[Recorded] = self._recorded.waiting

    @property
    def held(self) -> int:
        """Records in memory, and absences."""
        return _size(self._near) + _size(self._far) + _size(self._waiting)

    def get(self, record_type: type[R], key: Key) -> R | None:
        """The record of this type with this key, or None."""
        near = self._near[record_type]
        record: Any = near.get(key, _UNKNOWN)
        if record is _UNKNOWN:
            record = self._far[record_type].get(key, _UNKNOWN)
            if record is _UNKNOWN:
                record = self._load(record_type, [key]).get(key)
            if record_type is not Recorded:
                near[key] = record
        found: R | None = record
        return found

    def put(self, record: Record) -> None:
        """Remember a record, in place of an older one with its key."""
        record_type = type(record)
        key = _KEYS[record_type](record)
        self._near[record_type][key] = self._waiting[record_type][key] = record

    def is_recorded_again(self, event_id: bytes) -> bool:
        """Whether an event that is to be recorded now was recorded since this was saved; `save` tells of those before."""
        return self._recorded.is_again(event_id)

    def prefetch(self, asked: Iterable[tuple[Event, bytes]]) -> None:
        """Look up at once what judging these events will ask for, each with the id of the key that signed it.

        Where something is new, as chains, keys and parcels are, that has to be seen on the disk. Who signs is mostly
        near, and looked up where it is not.
        """
        near, far = self._near, self._far
        near_heads, far_heads = near[ChainHead], far[ChainHead]
        missing: dict[type[Any], list[Key]] = {}
        for event, _ in asked:
            chain = event.chain
            if chain not in near_heads and chain not in far_heads:
                missing.setdefault(ChainHead, []).append(chain)
            for record_type, key in body_reads(event):
                if key not in near[record_type] and key not in far[record_type]:
                    missing.setdefault(record_type, []).append(key)
        missing.pop(Recorded, None)
        for record_type, keys in missing.items():
            records = self._load(record_type, keys)
            near[record_type].update((key, records.get(key)) for key in keys)

    def save(self) -> list[Recorded]:
        """Write what was put since the last time, and forget what has not been asked for in a while.

        Returns:
            What of it says that an event is recorded which was saved as recorded already, in the order of the log.
        """
        for record_type, table in _TABLES.items():
            records = self._waiting[record_type]
            if records:
                # In the order of their keys, which come first: neighbours are written together.
                self._connection.executemany(table.insert, sorted(map(table.values, records.values())))
                records.clear()
        again = self._recorded.save()
        if _size(self._near) > self._near_limit:
            self._far, self._near = self._near, _none()
            self._near[Recorded], self._far[Recorded] = self._recorded.waiting, {}
        return again

    def changes(self) -> Iterator[Record]:
        """What was put since it was last saved."""
        for records in self._waiting.values():
            yield from records.values()

    def _load(self, record_type: type[Any], keys: Sequence[Any]) -> dict[Key, Any]:
        if record_type is Recorded:
            return self._recorded.saved(keys)
        table = _TABLES[record_type]
        found: dict[Key, Any] = {}
        for some in chunks(keys, TOGETHER):
            for row in self._connection.execute(*table.query(some)):
                record = table.restore(*row)
                found[record.key] = record
        return found


@dataclass(frozen=True, slots=True)
class _Table:
    """How the records of one type are stored."""

    create: str
    insert: str
    select: str
    keys: tuple[str, ...]
    values: Callable[[Any], tuple[Any, ...]]
    """A record's values, in the order of its fields."""
    restore: Callable[..., Any]
    """The record of such values."""

    def query(self, keys: list[Any]) -> tuple[str, list[Any]]:
        """The statement that finds these keys, and the values that stand in it."""
        if len(self.keys) == 1:
            return f'{self.select} WHERE "{self.keys[0]}" IN ({marks(keys)})', keys
        # SQLite would go through the whole table for `(a, b) IN (VALUES …)`; of a CROSS JOIN it keeps the order.
        row = f"({marks(self.keys)})"
        names = [f"key{number}" for number in range(len(self.keys))]
        matches = " AND ".join(f'"{key}" = {name}' for key, name in zip(self.keys, names, strict=True))
        wanted = f"WITH wanted ({', '.join(names)}) AS (VALUES {', '.join([row] * len(keys))})"
        table = self.select.replace(" FROM ", " FROM wanted CROSS JOIN ")
        return f"{wanted} {table} WHERE {matches}", [*itertools.chain.from_iterable(keys)]

    @classmethod
    def of(cls, record_type: type[Any]) -> _Table:
        table = record_type.__name__.lower()
        names = [field.name for field in fields(record_type)]
        keys: tuple[str, ...] = record_type.key_fields
        primary = _quoted(keys)
        return cls(
            f"CREATE TABLE IF NOT EXISTS {table} ({_quoted(names)}, PRIMARY KEY ({primary})) WITHOUT ROWID",
            f"INSERT OR REPLACE INTO {table} VALUES ({marks(names)})",  # noqa: S608 - our own names
            f"SELECT {_quoted(names)} FROM {table}",  # noqa: S608 - likewise
            keys,
            _head_values if record_type is ChainHead else attrgetter(*names),
            _RESTORED.get(record_type, record_type),
        )


def _quoted(names: Iterable[str]) -> str:
    return ", ".join(f'"{name}"' for name in names)


def _head_values(head: ChainHead) -> tuple[Any, ...]:
    # An entry may say that it is the last of 2**64; what is larger than SQLite's integers are goes in as text.
    length = head.length if head.length < 2**63 else str(head.length)
    return head.chain, length, head.head, head.latest_occurred_us


def _head(chain: str, length: int | str, head: bytes, latest_occurred_us: int) -> ChainHead:
    return ChainHead(chain, int(length), head, latest_occurred_us)


def _reviewed(event_id: bytes, sale: bytes, by_buyer: int) -> Reviewed:
    return Reviewed(event_id, sale, bool(by_buyer))


_RESTORED: Final[dict[type[Any], Callable[..., Any]]] = {ChainHead: _head, Reviewed: _reviewed}

_TABLES: Final = {
    record_type: _Table.of(record_type) for record_type in get_args(Record) if record_type is not Recorded
}

_KEYS: Final[dict[type[Any], Callable[[Any], Key]]] = {
    record_type: attrgetter(*record_type.key_fields) for record_type in get_args(Record)
}


def _none() -> _Records:
    return {record_type: {} for record_type in get_args(Record)}


def _size(records: _Records) -> int:
    return sum(map(len, records.values()))
