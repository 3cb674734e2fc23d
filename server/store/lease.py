"""Whose turn it is to write: the one row of the table `lease`.

A lease lasts for a few seconds by the database's clock, and whoever holds it renews it. Each change of hands has a new
number, its term. A row that the log's safety does not hang on: what it guards, the head's compare-and-swap guards too.
"""

from __future__ import annotations

import time
from dataclasses import dataclass

from sqlalchemy import Connection, select, text, update

from server.store.database import Backend
from server.store.dialect import insert_into
from server.store.tables import SHARD, lease

LONGEST_S = 60
"""The longest that a lease may last without being renewed, seconds."""

_POSTGRESQL_CLOCK = text("SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint")

_COLUMNS = {
    lease.c.term: int,
    lease.c.holder: bytes,
    lease.c.address: str,
    lease.c.process: str,
    lease.c.renewed_us: int,
    lease.c.lasts_us: int,
}


@dataclass(frozen=True, slots=True)
class Holder:
    """A process that writes, or waits to."""

    id: bytes
    """16 random bytes."""
    address: str
    """Where its clients find it."""
    process: str
    """As `server.process_identity` has it."""


@dataclass(frozen=True, slots=True)
class Lease:
    """What the row says."""

    term: int
    """How often the turn has changed hands."""
    holder: Holder
    renewed_us: int
    """By the database's clock."""
    lasts_us: int
    """From then on; 0 once it is given back."""

    def is_free(self, now_us: int) -> bool:
        """Whether it has run out, by the database's clock."""
        return self.renewed_us + self.lasts_us <= now_us

    def is_turn_of(self, other: Lease) -> bool:
        """Whether both speak of the same turn."""
        return (self.term, self.holder.id) == (other.term, other.holder.id)


def clock_us(connection: Connection) -> int:
    """The database's clock, microseconds since 1970: of PostgreSQL's server, or of the machine that SQLite runs on."""
    if connection.dialect.name == Backend.POSTGRESQL:
        return int(connection.execute(_POSTGRESQL_CLOCK).scalar_one())
    return time.time_ns() // 1_000


def read_lease(connection: Connection) -> Lease | None:
    """The row; None if there is none, or somebody has put into it what cannot be one."""
    row = connection.execute(select(*_COLUMNS).where(lease.c.shard == SHARD)).first()
    if row is None or any(
        type(value) is not kind for value, kind in zip(row, _COLUMNS.values(), strict=True)
    ):
        return None
    holder = Holder(row.holder, row.address, row.process)
    return Lease(row.term, holder, row.renewed_us, min(max(row.lasts_us, 0), LONGEST_S * 1_000_000))


def take_lease(connection: Connection, before: Lease | None, holder: Holder, lasts_us: int) -> Lease:
    """Begin a turn, in a transaction that writes and has seen `before`."""
    taken = Lease(before.term + 1 if before else 1, holder, clock_us(connection), lasts_us)
    values = {
        "term": taken.term,
        "holder": holder.id,
        "address": holder.address,
        "process": holder.process,
        "renewed_us": taken.renewed_us,
        "lasts_us": lasts_us,
    }
    statement = insert_into(connection, lease).values(shard=SHARD, **values)
    connection.execute(statement.on_conflict_do_update(index_elements=[lease.c.shard], set_=values))
    return taken


def renew_lease(connection: Connection, mine: Lease) -> int:
    """Have a turn last longer, in a transaction that writes and has seen that it is still that; returns when it was."""
    now_us = clock_us(connection)
    connection.execute(
        update(lease).where(lease.c.shard == SHARD).values(renewed_us=now_us, lasts_us=mine.lasts_us)
    )
    return now_us


def release_lease(connection: Connection, mine: Lease) -> None:
    """Give a turn back, if it is still that, so that the next one need not wait for its end."""
    connection.execute(
        update(lease)
        .where(lease.c.shard == SHARD, lease.c.term == mine.term, lease.c.holder == mine.holder.id)
        .values(lasts_us=0)
    )
