"""The published checkpoint: the newest head that a quorum of the log's witnesses has cosigned.

There is one row of it at most, and only while the service has witnesses. Until a first quorum is there it holds the
head of the moment when the log began to ask for one: newer heads must not be shown meanwhile, for the first quorum may
come under an older one, and whoever had seen the newer would take that for a rollback.

It is no view: cosignatures come from outside. But the checkpoint below them has to be one of this log's own, and that
the tree can tell.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, delete, select

from ledger.checkpoint import Checkpoint, open_checkpoint
from ledger.errors import BrokenProof, Reason, ServiceFault
from ledger.frontier import Frontier
from ledger.note import SignedNote, VerifierKey
from ledger.tiles import TileNodes
from server.store import queries
from server.store.dialect import insert_into
from server.store.tables import SHARD, published


@dataclass(frozen=True, slots=True)
class Published:
    """A checkpoint with its cosignatures, as the database has it."""

    note: SignedNote
    checkpoint: Checkpoint
    has_quorum: bool = True
    """Whether the cosignatures are a quorum of the policy that the service had when it wrote this."""

    @classmethod
    def parse(cls, raw: bytes, *, has_quorum: bool = True) -> Published:
        """What a row says, of which nothing is verified.

        Raises:
            BrokenProof: it is no checkpoint (`BAD_NOTE`, `BAD_CHECKPOINT`).
        """
        note = SignedNote.parse(raw)
        return cls(note, Checkpoint.parse(note.text), has_quorum)


def read_published(connection: Connection) -> Published | None:
    """The published checkpoint as the row says it; None where there is none.

    Raises:
        BrokenProof: as `Published.parse` says.
    """
    row = connection.execute(
        select(published.c.checkpoint, published.c.has_quorum).where(published.c.shard == SHARD)
    ).first()
    if row is None:
        return None
    return Published.parse(queries.as_bytes(row.checkpoint), has_quorum=row.has_quorum is True)


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
    statement = insert_into(connection, published).values(
        shard=SHARD,
        size=made.checkpoint.size,
        checkpoint=made.note.encode(),
        has_quorum=made.has_quorum,
    )
    columns = ("size", "checkpoint", "has_quorum")
    connection.execute(
        statement.on_conflict_do_update(
            index_elements=[published.c.shard], set_={name: statement.excluded[name] for name in columns}
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
