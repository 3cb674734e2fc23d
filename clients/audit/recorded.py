"""What was recorded, on the auditor's own disk: one record for each entry of the log, and hardly any is read again.

So they are packed, many to a row, in the order of the log, which is the order of writing; the row is found by the first
eight bytes of an event's id, its tag. Whether an event was recorded before shows when its tag is written, and costs
nothing beside that. Where two events share a tag, as one pair in 2**64 does by chance and others by somebody's
patience, all but the first have a further tag.
"""

from __future__ import annotations

import itertools
import sqlite3
import struct
from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from operator import attrgetter
from typing import Any, Final

from ledger.state import Recorded

TOGETHER: Final = 256
"""Keys that are looked up in one statement."""

_PACKED: Final = 256
"""Records in a row."""

_SCHEMA: Final = (
    "CREATE TABLE IF NOT EXISTS recorded (place INTEGER PRIMARY KEY, numbers BLOB, texts TEXT, hashes BLOB)",
    "CREATE TABLE IF NOT EXISTS tags (tag INTEGER PRIMARY KEY, place INTEGER)",
    "CREATE TABLE IF NOT EXISTS further_tags (tag INTEGER, place INTEGER, PRIMARY KEY (tag, place)) WITHOUT ROWID",
)


class RecordedEvents:
    """What was recorded: what is saved in a database, and what waits to be."""

    __slots__ = ("_connection", "_first", "waiting")

    def __init__(self, connection: sqlite3.Connection) -> None:
        """Those in a database, which may be new; it is written only where `save` is called."""
        self._connection = connection
        self.waiting: dict[Any, Any] = {}
        """Records by the event's id; of an event that was recorded twice the later one."""
        self._first: dict[bytes, Recorded] = {}
        """Of the events that were recorded twice since the last save, the first record."""
        for statement in _SCHEMA:
            connection.execute(statement)

    def is_again(self, event_id: bytes) -> bool:
        """Whether an event that is to be recorded now waits already; `save` tells of those before."""
        waiting = self.waiting.get(event_id)
        if waiting is not None:
            self._first.setdefault(event_id, waiting)
        return waiting is not None

    def saved(self, event_ids: Sequence[bytes]) -> dict[Any, Any]:
        """What is saved of these events; of one that was recorded twice, the later record."""
        return {record.event_id: record for record in self._versions(event_ids)}

    def save(self) -> list[Recorded]:
        """Write what waits.

        Returns:
            What of it says that an event is recorded which was saved as recorded already, in the order of the log.
        """
        rows: list[tuple[int, bytes, str, bytes]] = []
        tags: list[tuple[int, int]] = []
        for some in chunks(sorted(self.waiting.values(), key=_INDEX), _PACKED):
            place = some[0].index
            rows.append((place, *_packed(some)))
            tags += zip(_tags([record.event_id for record in some]), itertools.repeat(place), strict=False)
        self._connection.executemany("INSERT INTO recorded VALUES (?, ?, ?, ?)", rows)
        # In their order: neighbours are written together.
        tags.sort()
        new = self._connection.executemany("INSERT OR IGNORE INTO tags VALUES (?, ?)", tags).rowcount
        again = self._save_further(tags) if new < len(tags) else []
        self.waiting.clear()
        self._first.clear()
        return again

    def _save_further(self, tags: list[tuple[int, int]]) -> list[Recorded]:
        """Write the places whose tags are taken, by the same event or by another one; returns what `save` does."""
        holders: dict[int, int] = {}
        for some in chunks((tag for tag, _ in tags), TOGETHER):
            query = f"SELECT tag, place FROM tags WHERE tag IN ({marks(some)})"  # noqa: S608 - marks
            holders.update(self._connection.execute(query, some))
        further = [(tag, place) for tag, place in tags if holders[tag] != place]
        self._connection.executemany("INSERT OR IGNORE INTO further_tags VALUES (?, ?)", further)
        taken = {tag for tag, _ in further}
        suspects = [event_id for event_id in self.waiting if _tags([event_id])[0] in taken]
        earliest: dict[bytes, int] = {}
        for record in self._versions(suspects):
            earliest.setdefault(record.event_id, record.index)
        again = [
            self.waiting[event_id]
            for event_id in suspects
            if earliest[event_id] < self.waiting[event_id].index
        ]
        # The later ones of this time were found when they came.
        return sorted((self._first.get(record.event_id, record) for record in again), key=_INDEX)

    def _versions(self, event_ids: Sequence[bytes]) -> Iterator[Recorded]:
        """All that is saved of these events, in the order of the log."""
        wanted = set(event_ids)
        places: set[tuple[int]] = set()
        for some in chunks(_tags(event_ids), TOGETHER):
            for table in ("tags", "further_tags"):
                query = f"SELECT place FROM {table} WHERE tag IN ({marks(some)})"  # noqa: S608 - our own names, marks
                places.update(self._connection.execute(query, some))
        query = "SELECT numbers, texts, hashes FROM recorded WHERE place = ?"
        for place in sorted(places):
            for row in self._connection.execute(query, place):
                yield from (record for record in _unpacked(*row) if record.event_id in wanted)


def _packed(records: list[Recorded]) -> tuple[bytes, str, bytes]:
    """What many records say: three numbers of each; three texts of each, then their flags; three hashes of each.

    Hashes may be empty, so before them all stand their lengths.
    """
    numbers = [*itertools.chain.from_iterable(map(_NUMBERS, records))]
    texts = [
        *itertools.chain.from_iterable(map(_TEXTS, records)),
        *(_flags(record.flags) for record in records),
    ]
    hashes = [*itertools.chain.from_iterable(map(_HASHES, records))]
    return (
        struct.pack(f"<{len(numbers)}Q", *numbers),
        _BETWEEN.join(texts),
        bytes(map(len, hashes)) + b"".join(hashes),
    )


def _unpacked(numbers: bytes, texts: str, hashes: bytes) -> Iterator[Recorded]:
    told = [*struct.iter_unpack("<QQQ", numbers)]
    begin = 3 * len(told)
    words = texts.split(_BETWEEN)
    ends = itertools.accumulate(hashes[:begin], initial=begin)
    parts = [hashes[left:right] for left, right in itertools.pairwise(ends)]
    for number, (index, chain_seq, recorded_at_us) in enumerate(told):
        chain, kind, signer = words[3 * number : 3 * number + 3]
        event_id, key_id, sale = parts[3 * number : 3 * number + 3]
        flags = tuple(map(int, words[begin + number].split()))
        yield Recorded(event_id, index, chain, chain_seq, kind, signer, key_id, sale, recorded_at_us, flags)


_INDEX: Final = attrgetter("index")
_NUMBERS: Final = attrgetter("index", "chain_seq", "recorded_at_us")
_TEXTS: Final = attrgetter("chain", "kind", "signer")
_HASHES: Final = attrgetter("event_id", "key_id", "sale")
_BETWEEN: Final = "\n"
"""Stands in no chain key and in no name of a kind."""


@lru_cache(maxsize=1_024)
def _flags(flags: tuple[int, ...]) -> str:
    return " ".join(map(str, flags))


def _tags(event_ids: Sequence[bytes]) -> list[int]:
    """The first eight bytes of each id, as SQLite's integers are."""
    return [tag for (tag,) in struct.iter_unpack(">q24x", b"".join(event_ids))]


def marks(values: Sequence[object]) -> str:
    """As many question marks as there are values."""
    return ", ".join("?" * len(values))


def chunks(items: Iterable[Any], size: int) -> Iterator[list[Any]]:
    """So many at a time."""
    remaining = iter(items)
    while some := list(itertools.islice(remaining, size)):
        yield some
