"""Making a database from a backup: the whole of it is verified, and all views are made anew by a replay.

It takes many transactions, so that a log of any length needs little memory and little space beside it. Until the last
one there is no head, so that nobody takes the database for a log, and a table says who is at work. A crash leaves that
table and some entries; the next try finds them, knows them for what they are, and begins again.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import suppress
from secrets import token_hex

from sqlalchemy import Column, Connection, MetaData, String, Table, delete, insert, inspect, select

from ledger.checkpoint import Checkpoint, open_checkpoint
from ledger.errors import BadInput, BrokenProof, Conflict, LedgerError, Reason
from ledger.frontier import Frontier
from ledger.merkle import leaf_hash
from ledger.note import VerifierKey
from server.backup.format import BackupReader
from server.published import Published, write_published
from server.rebuild import Progress, no_progress
from server.replaying import Replaying
from server.store import queries
from server.store.commit import LogMovedError, swap_head, write_entries
from server.store.queries import StoredHead
from server.store.store import Store
from server.store.tables import PROJECTIONS, entries, log_head, published

_CHUNK = 1_000

_marker = Table("log_being_restored", MetaData(), Column("token", String(32), primary_key=True))
"""Is there while a restore is going on, and after one that was cut off."""


def verify(
    backup: BackupReader,
    vkeys: Sequence[VerifierKey],
    known: Iterable[Checkpoint] = (),
    progress: Progress = no_progress,
) -> Checkpoint:
    """Read a backup from its beginning to its end; nothing is written.

    Args:
        backup: to be read.
        vkeys: the log's keys, one of which has to have signed it.
        known: verified checkpoints of this log, which it has to continue; larger ones are passed over.
        progress: is told how far it is.

    Returns:
        The checkpoint that all of its entries were compared with.

    Raises:
        BadInput: `INVALID_REQUEST`: the file is damaged.
        BrokenProof: none of the keys has signed it (`BAD_NOTE`, `BAD_CHECKPOINT`), the entries are not those that were
            signed (`BAD_CHECKPOINT`), or a checkpoint shows another history (`FORK`).
    """
    checkpoint = open_checkpoint(backup.header.note.encode(), vkeys[0].name, vkeys)
    shown = _published(backup, vkeys)
    compared = [*known, *([] if shown is None else [shown.checkpoint])]
    stops = sorted({one.size for one in compared if one.size <= checkpoint.size})
    roots: dict[int, bytes] = {}
    frontier = Frontier()
    for chunk in backup.chunks(_CHUNK):
        hashes = [leaf_hash(data) for data in chunk]
        begin = frontier.size
        for stop in (size for size in stops if begin < size <= begin + len(hashes)):
            frontier = frontier.extend(hashes[frontier.size - begin : stop - begin])
            roots[stop] = frontier.root()
        frontier = frontier.extend(hashes[frontier.size - begin :])
        progress(frontier.size, checkpoint.size)
    _require_root(checkpoint, frontier.root())
    for one in compared:
        if one.size in roots and roots[one.size] != one.root:
            raise BrokenProof(
                Reason.FORK,
                f"root of the first {one.size} entries in the backup",
                given=roots[one.size].hex(),
                expected=f"{one.root.hex()}, which the log has signed too",
            )
    return checkpoint


def restore(
    backup: BackupReader, store: Store, vkeys: Sequence[VerifierKey], progress: Progress = no_progress
) -> Checkpoint:
    """Make the log and all its views from a verified backup, in a database that holds none.

    Args:
        backup: as `verify` has found it good; what is read is compared once more.
        store: made by `Store.create`.
        vkeys: the log's keys.
        progress: is told how far it is.

    Raises:
        BadInput: `INVALID_REQUEST`: the database holds a log already.
        BrokenProof, ServiceFault: as `verify`, and `STORE_DAMAGED` if an entry breaks the log's rules.
        Conflict: `INVALID_REQUEST`: somebody else restores into this database.
    """
    checkpoint = open_checkpoint(backup.header.note.encode(), vkeys[0].name, vkeys)
    shown = _published(backup, vkeys)
    token = _begin(store)
    try:
        replaying, recorded_at_us = Replaying(), 0
        for chunk in backup.chunks(_CHUNK):
            with store.transaction() as connection:
                _require_ours(connection, token)
                replayed = replaying.take(connection, chunk)
                write_entries(connection, replayed)
            recorded_at_us = replayed[-1].entry.recorded_at_us
            progress(replaying.size, checkpoint.size)
        _require_root(checkpoint, replaying.frontier.root())
        head = StoredHead(checkpoint.size, checkpoint.root, recorded_at_us, backup.header.note.encode())
        _end(store, token, head, shown)
    except BaseException:
        # What this leaves undone the next try does.
        with suppress(LedgerError), store.transaction(unhurried=True) as connection:
            _require_ours(connection, token)
            _empty(connection)
            _marker.drop(connection)
        raise
    return checkpoint


def _require_root(checkpoint: Checkpoint, root: bytes) -> None:
    if root != checkpoint.root:
        raise BrokenProof(
            Reason.BAD_CHECKPOINT,
            f"root of the {checkpoint.size} entries in the backup",
            given=root.hex(),
            expected=f"{checkpoint.root.hex()}, as signed",
        )


def _begin(store: Store) -> str:
    """Take a database that is empty, or that a restore has left behind."""
    token = token_hex(16)
    with store.transaction(unhurried=True) as connection:
        if queries.head_row(connection) is not None:
            raise _not_empty("a log")
        if inspect(connection).has_table(_marker.name):
            _empty(connection)
            connection.execute(delete(_marker))
        else:
            for table in (entries, published, *PROJECTIONS):
                if connection.execute(select(table).limit(1)).first() is not None:
                    raise _not_empty(f"rows in {table.name}")
            _marker.create(connection)
        connection.execute(insert(_marker).values(token=token))
    return token


def _end(store: Store, token: str, head: StoredHead, shown: Published | None) -> None:
    """From this transaction on the database holds a log."""
    with store.transaction() as connection:
        _require_ours(connection, token)
        try:
            swap_head(connection, None, head)
        except LogMovedError as error:
            raise _not_empty("a log") from error
        if shown is not None:
            write_published(connection, shown)
        _marker.drop(connection)


def _require_ours(connection: Connection, token: str) -> None:
    """Refuse to go on where another restore has begun meanwhile; it cannot begin while this transaction lasts."""
    there: object = None
    if inspect(connection).has_table(_marker.name):
        there = connection.execute(select(_marker.c.token).with_for_update()).scalar()
    if there != token:
        raise Conflict(
            Reason.INVALID_REQUEST,
            "database",
            given="another restore at work",
            expected="one that nobody else restores into",
        )


def _empty(connection: Connection) -> None:
    for table in (log_head, published, entries, *PROJECTIONS):
        connection.execute(delete(table))


def _published(backup: BackupReader, vkeys: Sequence[VerifierKey]) -> Published | None:
    """What a quorum had cosigned when the backup was taken. The cosignatures are for the service's policy to judge."""
    if backup.header.published is None:
        return None
    found = Published.parse(backup.header.published)
    size = open_checkpoint(backup.header.published, vkeys[0].name, vkeys).size
    if size > backup.header.checkpoint.size:
        raise BrokenProof(
            Reason.BAD_CHECKPOINT,
            "size of the published checkpoint in the backup",
            given=size,
            expected=f"at most {backup.header.checkpoint.size}",
        )
    return found


def _not_empty(given: str) -> BadInput:
    return BadInput(
        Reason.INVALID_REQUEST, "database", given=given, expected="a new one, or one without a log"
    )
