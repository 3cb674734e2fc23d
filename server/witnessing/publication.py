"""What a quorum has cosigned, in the database: taking it up at the start, and replacing it by something newer."""

from __future__ import annotations

from collections.abc import Sequence

import structlog
from sqlalchemy import Connection

from ledger.cosignature import Cosignature
from ledger.errors import BrokenProof, LedgerError
from ledger.note import NoteSigner, SignedNote
from ledger.policy import Policy
from server.published import (
    Published,
    drop_published,
    open_published,
    read_published,
    write_published,
)
from server.store import queries
from server.store.store import Store
from server.witnessing.round import Round

log = structlog.get_logger(__name__)


def take_up(store: Store, signers: Sequence[NoteSigner], policy: Policy | None) -> Published | None:
    """What is published when a service starts.

    Without a policy nothing is: the log is shown under its own signature alone. With one, what is in the database
    stays, also if its cosignatures are no quorum of this policy; and if nothing is there that any of the log's keys has
    signed, the head is put there, to be shown until a first quorum comes. What is kept is signed by all of the log's
    keys, as its head is, and has cosignatures by the policy's witnesses only.

    Raises:
        ServiceFault: `STORE_DAMAGED`: what is published is not this log's tree. It is kept, as evidence.
    """
    with store.transaction() as connection:
        found = _found(connection, signers)
        if policy is None:
            if found is not None:
                drop_published(connection)
                log.warning("published_dropped", size=found.checkpoint.size, why="no witness policy")
            return None
        if found is None:
            head = queries.head(connection)
            if head is None:
                return None
            found = Published.parse(head.checkpoint)
        try:
            cosignatures = policy.cosignatures(found.note)
        except BrokenProof as error:
            # Somebody has written into it: the witnesses can be asked again.
            log.warning("cosignatures_dropped", size=found.checkpoint.size, why=str(error))
            cosignatures = ()
        kept = Round(policy, SignedNote.sign(found.note.text, *signers), cosignatures).result()
        if not kept.has_quorum:
            log.warning("no_quorum_yet", size=kept.checkpoint.size, quorum=policy.wanted)
        write_published(connection, kept)
        return kept


def _found(connection: Connection, signers: Sequence[NoteSigner]) -> Published | None:
    """What is in the database, if the log has signed it; what it has not is dropped."""
    try:
        return open_published(connection, [signer.vkey for signer in signers])
    except BrokenProof as error:
        drop_published(connection)
        log.warning("published_dropped", why=str(error))
        return None


def publish(store: Store, policy: Policy, note: SignedNote, cosignatures: tuple[Cosignature, ...]) -> bool:
    """Put a checkpoint with its cosignatures in place of what is published, if that says more; returns whether it does.

    More is a larger size; or, for the same checkpoint, a cosignature that is not there yet, or one newer than that
    which is there. What is there besides is kept. A crash leaves the old or the new one.

    Args:
        store: the database.
        policy: names the witnesses.
        note: the checkpoint, signed by the log and nobody else.
        cosignatures: a quorum, verified.

    Raises:
        ServiceFault: the database does not answer.
    """
    made = Round(policy, note, cosignatures)
    with store.transaction() as connection:
        try:
            there = read_published(connection)
            if there is not None and there.note.text == note.text:
                made.add(policy.cosignatures(there.note))
        except LedgerError as error:
            # Somebody has written into it. It can be had again from the witnesses, and this is what they said.
            log.warning("published_damaged", error=str(error))
            there = None
        if there is not None:
            if there.checkpoint.size > made.checkpoint.size:
                return False
            if there.checkpoint.size == made.checkpoint.size and there.note.text != note.text:
                log.error(
                    "published_contradicts",
                    given=there.checkpoint.root.hex(),
                    size=there.checkpoint.size,
                    expected=made.checkpoint.root.hex(),
                )
                return False
            if there.note == made.result().note:
                return False
        write_published(connection, made.result())
        return True
