"""The state that the rules read, from the database, through a cache of bounded size.

A record that is damaged ends the judgement of the event that asks for it, and of no other.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Any, TypeAlias

import structlog
from sqlalchemy import Connection

from ledger.errors import ServiceFault
from ledger.rules.reads import Wants, first_reads, second_reads
from ledger.sequence import Submission
from ledger.state import ChainHead, Charter, Key, Listed, Party, PartyKey, R, Record
from server.store.heads import find_heads
from server.store.records import find

_CACHED: frozenset[type[Record]] = frozenset({ChainHead, Charter, Party, PartyKey, Listed})
"""Records that many batches ask for again, or that are dear to read; the others are mostly asked for once."""

_UNKNOWN: Any = object()
"""Nobody has looked yet whether there is such a record."""

_ByType: TypeAlias = "dict[type[Any], dict[Key, Any]]"
"""By type and key: a record, how it is damaged, or that there is none."""

log = structlog.get_logger(__name__)


class RecordCache:
    """The records used last, as the newest committed batch left them. For one thread.

    There are two generations of each type: what is used again moves to the young one, and when that is full, the old
    one is forgotten.
    """

    def __init__(self, limit: int = 25_000) -> None:
        """Args: records of one type in a generation."""
        self._limit = limit
        self._young: dict[type[Record], dict[Key, Record]] = {kept: {} for kept in _CACHED}
        self._old: dict[type[Record], dict[Key, Record]] = {kept: {} for kept in _CACHED}

    def take(self, record_type: type[Record], keys: Iterable[Key], found: dict[Key, Any]) -> set[Key]:
        """Put into `found` the records that are at hand; returns the keys of the others."""
        young, old = self._young[record_type], self._old[record_type]
        missing: set[Key] = set()
        for key in keys:
            record = young.get(key)
            if record is None:
                record = old.get(key)
                if record is None:
                    missing.add(key)
                    continue
                young[key] = record
            found[key] = record
        return missing

    def put(self, record: Record) -> None:
        """Keep a record, if it is of a type that is kept; only what is committed."""
        record_type = type(record)
        young = self._young.get(record_type)
        if young is None:
            return
        young[record.key] = record
        if len(young) > self._limit:
            self._old[record_type] = young
            self._young[record_type] = {}

    def clear(self) -> None:
        """Forget everything: the database was written by somebody else, or nobody knows."""
        for kept in _CACHED:
            self._young[kept] = {}
            self._old[kept] = {}


class _Found:
    """Only what was found: never asks the database."""

    def __init__(self, found: _ByType) -> None:
        self._found = found

    def get(self, record_type: type[R], key: Key) -> R | None:
        record = self._found[record_type].get(key)
        return None if isinstance(record, ServiceFault) else record


class StoredState:
    """A `ledger.state.Reader` over one transaction."""

    def __init__(self, connection: Connection, cache: RecordCache, *, replaying: bool = False) -> None:
        """Args: a replay believes the heads of chains, for it has just written them itself."""
        self._connection = connection
        self._cache = cache
        self._replaying = replaying
        self._found: _ByType = defaultdict(dict)

    def get(self, record_type: type[R], key: Key) -> R | None:
        """The record of this type with this key, or None.

        Raises:
            ServiceFault: `STORE_DAMAGED` if it is not as the service wrote it.
        """
        found = self._found[record_type]
        record = found.get(key, _UNKNOWN)
        if record is _UNKNOWN:
            self._load({record_type: {key}})
            record = found[key]
        if isinstance(record, ServiceFault):
            log.error("damaged_record", error=str(record))
            raise record
        return record  # type: ignore[no-any-return]

    def prefetch(self, submissions: Iterable[Submission]) -> None:
        """Load at once what judging these submissions will ask for."""
        asked = [(submission.event, submission.envelope.key_id) for submission in submissions]
        self._load(first_reads(asked))
        self._load(second_reads(asked, _Found(self._found)))

    def _load(self, wants: Wants) -> None:
        for record_type, keys in wants.items():
            found = self._found[record_type]
            missing = keys - found.keys()
            cached = record_type in _CACHED
            if cached:
                missing = self._cache.take(record_type, missing, found)
            if not missing:
                continue
            records = self._read(record_type, missing)
            for key in missing:
                found[key] = record = records.get(key)
                if cached and record is not None and not isinstance(record, ServiceFault):
                    self._cache.put(record)

    def _read(self, record_type: type[Any], keys: set[Key]) -> Mapping[Any, Record | ServiceFault]:
        if record_type is ChainHead and not self._replaying:
            return find_heads(self._connection, keys)  # type: ignore[arg-type]  # the type says what the keys are
        return find(self._connection, record_type, keys)
