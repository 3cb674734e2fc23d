"""The state of an audit on the auditor's own disk: records in SQLite, those in use in memory.

What the rules know of the past (`ledger.state`) grows with the log; an auditor's memory must not. So records that were
put wait in memory until they are saved, and beside them are kept those that were read or written last, in two
generations: what is asked for again moves to the young one, and when that is full, the old one is forgotten. That a
record is not there is remembered in the same way, since the rules often ask whether something is new.

Nothing here commits: whoever calls `save` does, together with what else belongs to that moment.
"""

from __future__ import annotations

import itertools
import json
import sqlite3
import struct
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, fields
from operator import attrgetter
from typing import Any, Final, get_args

from ledger.event import Event
from ledger.rules.reads import Wanted, body_reads
from ledger.state import ChainHead, Key, R, Record, Recorded, Reviewed, State

NEAR: Final = 40_000
"""Records of a generation; those that wait to be saved come on top."""

_TOGETHER: Final = 256
"""Keys that are looked up in one statement."""

_PACKED: Final = 256
"""Records of what was recorded that are kept in one row."""

_UNKNOWN: Final[Any] = object()
"""Nobody has looked yet whether there is such a record."""


class StoredState(State):
    """The state of an audit, of which memory holds a part. For one thread."""

    __slots__ = ("_connection", "_far", "_near", "_near_limit", "_recorded")

    def __init__(self, connection: sqlite3.Connection, *, near: int = NEAR) -> None:
        """The state in a database, which may be new.

        Args:
            connection: writes only where `save` is called, and never commits.
            near: records of a generation.
        """
        super().__init__()
        self._connection = connection
        self._near_limit = near
        self._near: dict[Wanted, Record | None] = {}
        self._far: dict[Wanted, Record | None] = {}
        # Of these the rules ask for each entry whether there is one, and then hardly ever again.
        self._recorded: dict[Key, Recorded | None] = {}
        for statement in _SCHEMA:
            connection.execute(statement)

    @property
    def held(self) -> int:
        """Records in memory, and absences."""
        return len(self._put) + len(self._near) + len(self._far) + len(self._recorded)

    def get(self, record_type: type[R], key: Key) -> R | None:
        """The record of this type with this key, or None."""
        if record_type is Recorded:
            return self._get_recorded(key)  # type: ignore[return-value]  # it is of the type that was asked for
        wanted = (record_type, key)
        record: Any = self._near.get(wanted, _UNKNOWN)
        if record is _UNKNOWN:
            record = self._far.get(wanted, _UNKNOWN)
            if record is _UNKNOWN:
                record = self._load(record_type, [key]).get(key)
            self._near[wanted] = record
        found: R | None = record
        return found

    def put(self, record: Record) -> None:
        """Remember a record, in place of an older one with its key."""
        if type(record) is Recorded:
            self._recorded[record.event_id] = record
        else:
            wanted = (type(record), record.key)
            self._near[wanted] = self._put[wanted] = record

    def prefetch(self, asked: Iterable[tuple[Event, bytes]]) -> None:
        """Look up at once what judging these events will ask for, each with the id of the key that signed it.

        Where something is new, as events, chains, keys and parcels are, that has to be seen on the disk. Who signs is
        mostly near, and looked up where it is not.
        """
        missing: dict[type[Any], list[Key]] = {}
        event_ids: list[Key] = []
        near, far = self._near, self._far
        for event, _ in asked:
            event_ids.append(event.id)
            reads: tuple[Wanted, ...] = ((ChainHead, event.chain), *body_reads(event))
            for wanted in reads:
                if wanted not in near and wanted not in far:
                    missing.setdefault(wanted[0], []).append(wanted[1])
        found = self._load_recorded(event_ids)
        for event_id in event_ids:
            # An absence holds for the events at hand only, and those are put now.
            self._recorded.setdefault(event_id, found.get(event_id))
        for record_type, keys in missing.items():
            if record_type is not Recorded:
                records = self._load(record_type, keys)
                near.update(((record_type, key), records.get(key)) for key in keys)

    def save(self) -> None:
        """Write what was put since the last time, and forget what has not been asked for in a while."""
        by_type: dict[type[Any], list[Record]] = {}
        for record in self._put.values():
            by_type.setdefault(type(record), []).append(record)
        for record_type, records in by_type.items():
            table = _TABLES[record_type]
            # In the order of their keys, which come first: neighbours are written together.
            self._connection.executemany(table.insert, sorted(map(table.values, records)))
        self._save_recorded()
        self._put.clear()
        if len(self._near) > self._near_limit:
            self._near, self._far = {}, self._near

    def changes(self) -> Iterator[Record]:
        """What was put since it was last saved."""
        yield from self._put.values()
        yield from (record for record in self._recorded.values() if record is not None)

    def _get_recorded(self, event_id: Key) -> Recorded | None:
        record: Recorded | None = self._recorded.get(event_id, _UNKNOWN)
        if record is _UNKNOWN:
            record = self._load_recorded([event_id]).get(event_id)
        return record

    def _load(self, record_type: type[Any], keys: Iterable[Key]) -> dict[Key, Any]:
        table = _TABLES[record_type]
        found: dict[Key, Any] = {}
        for some in _chunks(keys, _TOGETHER):
            for row in self._connection.execute(*table.query(some)):
                record = table.restore(*row)
                found[record.key] = record
        return found

    def _load_recorded(self, event_ids: Sequence[Any]) -> dict[Key, Recorded]:
        found: dict[Key, Recorded] = {}
        for some in _chunks(event_ids, _TOGETHER):
            query = f"SELECT place FROM tags WHERE tag IN ({_marks(some)})"  # noqa: S608 - marks
            for (place,) in sorted(set(self._connection.execute(query, _tags(some)))):
                row = self._connection.execute("SELECT facts, hashes FROM recorded WHERE place = ?", (place,))
                # Of an event that was recorded twice the later one counts.
                found.update(
                    (one.event_id, one) for one in _unpacked(*row.fetchone()) if one.event_id in some
                )
        return found

    def _save_recorded(self) -> None:
        records = [record for record in self._recorded.values() if record is not None]
        records.sort(key=attrgetter("index"))
        rows = []
        tags: list[tuple[int, int]] = []
        for some in _chunks(records, _PACKED):
            place = some[0].index
            rows.append((place, *_packed(some)))
            tags += zip(_tags([record.event_id for record in some]), itertools.repeat(place), strict=False)
        self._connection.executemany("INSERT INTO recorded VALUES (?, ?, ?)", rows)
        self._connection.executemany("INSERT OR IGNORE INTO tags VALUES (?, ?)", sorted(tags))
        self._recorded.clear()


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
            return f'{self.select} WHERE "{self.keys[0]}" IN ({_marks(keys)})', keys
        # SQLite would go through the whole table for `(a, b) IN (VALUES …)`; of a CROSS JOIN it keeps the order.
        row = f"({_marks(self.keys)})"
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
            f"INSERT OR REPLACE INTO {table} VALUES ({_marks(names)})",  # noqa: S608 - our own names
            f"SELECT {_quoted(names)} FROM {table}",  # noqa: S608 - likewise
            keys,
            attrgetter(*names),
            _reviewed if record_type is Reviewed else record_type,
        )


def _quoted(names: Iterable[str]) -> str:
    return ", ".join(f'"{name}"' for name in names)


def _marks(values: Sequence[object]) -> str:
    return ", ".join("?" * len(values))


def _reviewed(event_id: bytes, sale: bytes, by_buyer: int) -> Reviewed:
    return Reviewed(event_id, sale, bool(by_buyer))


_TABLES: Final = {
    record_type: _Table.of(record_type) for record_type in get_args(Record) if record_type is not Recorded
}

# There is a `Recorded` for each entry, and hardly any is read again. So they are packed, many to a row, in the order of
# the log, which is the order of writing; the row is found by the first eight bytes of an event's id.
_SCHEMA: Final = (
    *(table.create for table in _TABLES.values()),
    "CREATE TABLE IF NOT EXISTS recorded (place INTEGER PRIMARY KEY, facts TEXT, hashes BLOB)",
    "CREATE TABLE IF NOT EXISTS tags (tag INTEGER, place INTEGER, PRIMARY KEY (tag, place)) WITHOUT ROWID",
)


def _packed(records: list[Recorded]) -> tuple[str, bytes]:
    """What many records say, and the hashes in them."""
    hashes = [*itertools.chain.from_iterable(map(_HASHES, records))]
    facts = [*map(_FACTS, records)], [*map(len, hashes)]
    return json.dumps(facts, ensure_ascii=False, separators=(",", ":")), b"".join(hashes)


def _unpacked(facts: str, hashes: bytes) -> Iterator[Recorded]:
    told, lengths = json.loads(facts)
    ends = itertools.accumulate(lengths, initial=0)
    parts = (hashes[begin:end] for begin, end in itertools.pairwise(ends))
    for (index, chain, chain_seq, kind, signer, recorded_at_us, flags), event_id, key_id, sale in zip(
        told, parts, parts, parts, strict=True
    ):
        yield Recorded(
            event_id, index, chain, chain_seq, kind, signer, key_id, sale, recorded_at_us, tuple(flags)
        )


_FACTS: Final = attrgetter("index", "chain", "chain_seq", "kind", "signer", "recorded_at_us", "flags")
_HASHES: Final = attrgetter("event_id", "key_id", "sale")


def _tags(event_ids: list[bytes]) -> list[int]:
    """The first eight bytes of each id, as SQLite's integers are."""
    return [tag for (tag,) in struct.iter_unpack(">q24x", b"".join(event_ids))]


def _chunks(items: Iterable[Any], size: int) -> Iterator[list[Any]]:
    remaining = iter(items)
    while some := list(itertools.islice(remaining, size)):
        yield some
