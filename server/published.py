"""The published checkpoint: the newest head that a quorum of the log's witnesses has cosigned.

There is one row of it at most, and only while the service has witnesses. It is no view: cosignatures come from
outside. But the checkpoint below them has to be one of this log's own, and that the tree can tell.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, delete, select
from sqlalchemy.dialects.sqlite import insert as sqlite_insert

from ledger.checkpoint import Checkpoint, open_checkpoint
from ledger.errors import BrokenProof, Reason, ServiceFault
from ledger.frontier import Frontier
from ledger.note import SignedNote, VerifierKey
from ledger.tiles import TileNodes
from server.store import queries
from server.store.tables import SHARD, published


@dataclass(frozen=True, slots=True)
class Published:
    """A checkpoint with its cosignatures, as the database has it."""

    note: SignedNote
    checkpoint: Checkpoint

    @classmethod
    def parse(cls, raw: bytes) -> Published:
        """What a row says, of which nothing is verified.

        Raises:
            BrokenProof: it is no checkpoint (`BAD_NOTE`, `BAD_CHECKPOINT`).
        """
        note = SignedNote.parse(raw)
        return cls(note, Checkpoint.parse(note.text))


def read_published(connection: Connection) -> Published | None:
    """The published checkpoint as the row says it; None where there is none.

    Raises:
        BrokenProof: as `Published.parse` says.
    """
    raw = queries.published_checkpoint(connection)
    return None if raw is None else Published.parse(queries.as_bytes(raw))


def open_published(connection: Connection, vkeys: Sequence[VerifierKey]) -> Published | None:
    """The published checkpoint, after the log's signature and its own tree have been asked; None where there is none.

    The cosignatures are for a policy to judge.

    Args:
        connection: an open transaction.
        vkeys: the log's keys, one of which has to have signed it.

    Raises:
        BrokenProof: the row is no checkpoint of this log, or none of the keys signed it (`BAD_NOTE`, `BAD_CHECKPOINT`).
        ServiceFault: `STORE_DAMAGED`: it is one, and the log's tree at its size is another: a fork.
    """
    found = read_published(connection)
    if found is None:
        return None
    checkpoint = open_checkpoint(found.note.encode(), vkeys[0].name, vkeys)
    head = queries.head(connection)
    if head is None or checkpoint.size > head.size:
        raise ServiceFault(
            Reason.STORE_DAMAGED,
            "size of the published checkpoint",
            given=checkpoint.size,
            expected=f"at most {head.size if head else 0}, the size of the log",
        )
    size = connection.execute(select(published.c.size).where(published.c.shard == SHARD)).scalar()
    if size != checkpoint.size:
        raise BrokenProof(
            Reason.BAD_CHECKPOINT, "size by the published row", given=size, expected=checkpoint.size
        )
    root = _root(connection, checkpoint.size)
    if root != checkpoint.root:
        raise ServiceFault(
            Reason.STORE_DAMAGED,
            f"root of the published checkpoint of size {checkpoint.size}",
            given=checkpoint.root.hex(),
            expected=f"{root.hex()}, by the log's tiles",
        )
    return found


def write_published(connection: Connection, made: Published) -> None:
    """Put this in place of whatever is published."""
    statement = sqlite_insert(published).values(
        shard=SHARD, size=made.checkpoint.size, checkpoint=made.note.encode()
    )
    connection.execute(
        statement.on_conflict_do_update(
            index_elements=[published.c.shard],
            set_={"size": statement.excluded.size, "checkpoint": statement.excluded.checkpoint},
        )
    )


def drop_published(connection: Connection) -> None:
    """From now on nothing is published: the log is shown under its own signature alone."""
    connection.execute(delete(published).where(published.c.shard == SHARD))


def _root(connection: Connection, size: int) -> bytes:
    try:
        return Frontier.read(size, TileNodes(queries.tile_reader(connection))).root()
    except BrokenProof as error:
        raise ServiceFault(
            Reason.STORE_DAMAGED,
            f"tiles of {size} entries",
            given=str(error),
            expected="tiles that hold together",
        ) from error
