"""Writing a batch: all of it or nothing, and only where the log has not moved."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from sqlalchemy import Connection

from ledger.sequence import Sequenced
from ledger.state import Record
from ledger.tiles import TileKey
from server.store.bulk import Row, insert_rows, upsert_rows
from server.store.database import Backend
from server.store.dialect import insert_into
from server.store.driver import run_one
from server.store.queries import StoredHead
from server.store.records import flags_to_bits, save
from server.store.tables import SHARD, entries, log_head, tiles


class LogMovedError(Exception):
    """The log is not where this writer left it: somebody else wrote. Nothing of this batch was written."""


def write_batch(
    connection: Connection,
    before: StoredHead | None,
    after: StoredHead,
    *,
    new: Iterable[Sequenced],
    changes: Iterable[Record],
    changed_tiles: Mapping[TileKey, bytes],
) -> None:
    """Write a batch into an open transaction.

    The compare-and-swap of the head comes first: it takes the row, so a second writer waits here, then finds that the
    head is no longer its own, and rolls back with nothing written. A crash before the commit leaves the log as it
    was; a crash after it leaves the batch whole, signed head included, though its senders were not answered: they
    send again and get their first receipts.

    Raises:
        LogMovedError: the head in the database is not `before`.
    """
    swap_head(connection, before, after)
    write_entries(connection, new)
    write_tiles(connection, changed_tiles)
    save(connection, changes)


_SWAP = f"UPDATE log_head SET size = {{0}}, root = {{0}}, recorded_at_us = {{0}}, checkpoint = {{0}} WHERE shard = {SHARD} AND size = {{0}} AND root = {{0}}"  # noqa: S608  # names of our own
_SWAP_SQLITE, _SWAP_POSTGRESQL = _SWAP.format("?"), _SWAP.format("%b")


def swap_head(connection: Connection, before: StoredHead | None, after: StoredHead) -> None:
    """Move the head, if it is where it is thought to be."""
    values = (after.size, after.root, after.recorded_at_us, after.checkpoint)
    if before is None:
        moved = connection.execute(
            insert_into(connection, log_head).values((SHARD, *values)).on_conflict_do_nothing(),
            execution_options={"preserve_rowcount": True},
        ).rowcount
    elif connection.dialect.name == Backend.POSTGRESQL:
        moved = connection.exec_driver_sql(_SWAP_POSTGRESQL, (*values, before.size, before.root)).rowcount
    else:
        moved = run_one(connection, _SWAP_SQLITE, (*values, before.size, before.root))
    if moved != 1:
        raise LogMovedError


def write_entries(connection: Connection, new: Iterable[Sequenced]) -> None:
    """Add entries with what is derived from their bytes."""
    insert_rows(connection, entries, [_entry_row(entry) for entry in new])


def write_tiles(connection: Connection, changed: Mapping[TileKey, bytes]) -> None:
    """Write tiles that are new or wider."""
    rows = [(SHARD, level, index, data) for (level, index), data in changed.items()]
    upsert_rows(connection, tiles, rows)


def _entry_row(entry: Sequenced) -> Row:
    """An entry's row, in the order of the table's columns."""
    recorded = entry.recorded
    return (
        SHARD,
        recorded.index,
        entry.data,
        recorded.event_id,
        recorded.chain,
        recorded.chain_seq,
        recorded.sale or None,
        flags_to_bits(recorded.flags),
    )
