"""Logs of entries that say nothing, made in seconds: for tests of the tree, the tiles and who serves them."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path

from sqlalchemy import insert
from world import ORIGIN, START_US, signing_key

from ledger.checkpoint import Checkpoint, sign_checkpoint
from ledger.frontier import Frontier, RightEdge
from ledger.merkle import leaf_hash
from ledger.note import NoteSigner
from server.store import queries
from server.store.commit import swap_head, write_tiles
from server.store.queries import StoredHead
from server.store.store import Store
from server.store.tables import SHARD, entries

_BATCH = 10_000


def raw_entry(index: int) -> bytes:
    """Entry `index` of every raw log: 1 to 300 bytes, no two alike."""
    return f"entry {index} ".encode() + b"x" * (index * 37 % 290)


@dataclass
class RawLog:
    """A database of raw entries, with tiles for all of them, whose head says what the test wants it to say."""

    database: Path
    size: int
    """Entries that there are; the head may be at fewer."""
    signer: NoteSigner = field(default_factory=lambda: NoteSigner(ORIGIN, signing_key("log")._key))
    frontiers: dict[int, Frontier] = field(default_factory=dict, repr=False)

    @classmethod
    def make(cls, database: Path, size: int, sizes: tuple[int, ...] = ()) -> RawLog:
        """A log of `size` entries, whose head can later be set to these sizes at no cost."""
        log = cls(database, size)
        store = Store.create(str(database))
        frontier, edge = Frontier(), RightEdge()
        try:
            stops = sorted({*sizes, *range(_BATCH, size, _BATCH), size})
            with store.transaction() as connection:
                for start, stop in zip([0, *stops], stops, strict=False):
                    batch = [raw_entry(index) for index in range(start, stop)]
                    completed: dict[tuple[int, int], bytes] = {}
                    frontier = frontier.extend(map(leaf_hash, batch), completed)
                    edge, tiles = edge.extend(completed)
                    write_tiles(connection, tiles)
                    connection.execute(
                        insert(entries), [_row(start + n, data) for n, data in enumerate(batch)]
                    )
                    log.frontiers[stop] = frontier
                swap_head(connection, None, log.head(size))
        finally:
            store.close()
        return log

    def frontier(self, size: int) -> Frontier:
        """The tree's right edge at this size."""
        if size not in self.frontiers:
            self.frontiers[size] = Frontier().extend(leaf_hash(raw_entry(index)) for index in range(size))
        return self.frontiers[size]

    def head(self, size: int) -> StoredHead:
        """The head at this size."""
        root = self.frontier(size).root()
        note = sign_checkpoint(Checkpoint(ORIGIN, size, root), self.signer)
        return StoredHead(size, root, START_US + size, note)

    def set_size(self, size: int) -> None:
        """Move the head, forward or back."""
        store = Store.open(str(self.database))
        try:
            with store.transaction() as connection:
                swap_head(connection, queries.head(connection), self.head(size))
        finally:
            store.close()

    def execute(self, statement: str, *values: object) -> None:
        """Change the database behind everybody's back."""
        with closing(sqlite3.connect(self.database)) as connection, connection:
            assert connection.execute(statement, values).rowcount == 1


def _row(index: int, data: bytes) -> dict[str, object]:
    return {
        "shard": SHARD,
        "idx": index,
        "data": data,
        "event_id": sha256(data).digest(),
        "chain": "raw",
        "chain_seq": index,
        "sale": None,
        "flags": 0,
    }
