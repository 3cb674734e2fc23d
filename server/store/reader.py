"""The state that the rules read, from the database, through a cache of bounded size.

A record that is damaged ends the judgement of the event that asks for it, and of no other.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import structlog
from sqlalchemy import Connection

from ledger.errors import ServiceFault
from ledger.rules.reads import Wanted, first_reads, second_reads
from ledger.sequence import Submission
from ledger.state import ChainHead, Charter, Key, Listed, Party, PartyKey, R, Record
from server.store.heads import find_heads
from server.store.records import find

_CACHED: frozenset[type[Record]] = frozenset({ChainHead, Charter, Party, PartyKey, Listed})
"""Records that many batches ask for again, or that are dear to read; the others are mostly asked for once."""

log = structlog.get_logger(__name__)


class RecordCache:
    """The records used last, as the newest committed batch left them. For one thread."""

    def __init__(self, limit: int = 50_000) -> None:
        self._limit = limit
        self._records: dict[Wanted, Record] = {}

    def get(self, record_type: type[R], key: Key) -> R | None:
        """The record if it is at hand."""
        record = self._records.pop((record_type, key), None)
        if record is not None:
            self._records[record_type, key] = record  # to the end: the first is the one unused for longest
        return record  # type: ignore[return-value]  # the key holds the type

    def put(self, record: Record) -> None:
        """Keep a record; only what is committed."""
        if type(record) in _CACHED:
            self._records.pop((type(record), record.key), None)
            self._records[type(record), record.key] = record
            if len(self._records) > self._limit:
                del self._records[next(iter(self._records))]

    def clear(self) -> None:
        """Forget everything: the database was written by somebody else, or nobody knows."""
        self._records.clear()


class _Found:
    """Only what was found: never asks the database."""

    def __init__(self, found: dict[Wanted, Record | ServiceFault | None]) -> None:
        self._found = found

    def get(self, record_type: type[R], key: Key) -> R | None:
        record = self._found.get((record_type, key))
        return None if isinstance(record, ServiceFault) else record  # type: ignore[return-value]  # as above


class StoredState:
    """A `ledger.state.Reader` over one transaction."""

    def __init__(self, connection: Connection, cache: RecordCache, *, replaying: bool = False) -> None:
        """Args: a replay believes the heads of chains, for it has just written them itself."""
        self._connection = connection
        self._cache = cache
        self._replaying = replaying
        self._found: dict[Wanted, Record | ServiceFault | None] = {}

    def get(self, record_type: type[R], key: Key) -> R | None:
        """The record of this type with this key, or None.

        Raises:
            ServiceFault: `STORE_DAMAGED` if it is not as the service wrote it.
        """
        wanted = (record_type, key)
        if wanted not in self._found:
            self._load([wanted])
        record = self._found[wanted]
        if isinstance(record, ServiceFault):
            log.error("damaged_record", error=str(record))
            raise record
        return record  # type: ignore[return-value]  # the key holds the type

    def prefetch(self, submissions: Iterable[Submission]) -> None:
        """Load at once what judging these submissions will ask for."""
        asked = [(submission.event, submission.envelope.key_id) for submission in submissions]
        self._load(wanted for event, key_id in asked for wanted in first_reads(event, key_id))
        found = _Found(self._found)
        self._load(wanted for event, key_id in asked for wanted in second_reads(event, key_id, found))

    def _load(self, wanted: Iterable[Wanted]) -> None:
        for record_type, keys in self._missing(wanted):
            records = self._read(record_type, keys)
            for key in keys:
                record = records.get(key)
                self._found[record_type, key] = record
                if record is not None and not isinstance(record, ServiceFault):
                    self._cache.put(record)

    def _read(self, record_type: type[Any], keys: set[Key]) -> Mapping[Any, Record | ServiceFault]:
        if record_type is ChainHead and not self._replaying:
            return find_heads(self._connection, keys)  # type: ignore[arg-type]  # the type says what the keys are
        return find(self._connection, record_type, keys)

    def _missing(self, wanted: Iterable[Wanted]) -> Iterator[tuple[type[Any], set[Key]]]:
        missing: dict[type[Any], set[Key]] = {}
        for record_type, key in wanted:
            if (record_type, key) in self._found:
                continue
            cached = self._cache.get(record_type, key) if record_type in _CACHED else None
            if cached is None:
                missing.setdefault(record_type, set()).add(key)
            else:
                self._found[record_type, key] = cached
        yield from missing.items()
