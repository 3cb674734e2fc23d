"""What commands need to know of a log before they touch it: which one it is, and whose keys are its own."""

from __future__ import annotations

from pathlib import Path

from ledger.checkpoint import Checkpoint, open_checkpoint
from ledger.entry import Entry
from ledger.envelope import Envelope
from ledger.errors import BadInput, LedgerError, Reason, ServiceFault
from ledger.event import Event
from ledger.note import SignedNote, VerifierKey
from server.config import read_log_keys
from server.store import queries
from server.store.damage import damage_of
from server.store.database import Database
from server.store.store import Store


def origin_of(store: Store, database: Database) -> str:
    """The log's identity, from its genesis: views may be damaged."""
    with store.snapshot() as connection:
        first = queries.entries_from(connection, 0, 1)
        empty = queries.head_row(connection) is None
    if not first and not empty:
        raise ServiceFault(Reason.STORE_DAMAGED, f"entry 0 in {database}", given="none", expected="a genesis")
    if not first:
        raise no_log(database)
    try:
        event = Event.parse(Envelope.parse(Entry.parse(first[0].data).envelope).payload)
    except LedgerError as error:
        raise damage_of(f"entry 0 in {database}", error) from error
    return event.message.genesis.origin


def require_key_of_log(store: Store, vkeys: list[VerifierKey]) -> None:
    """Refuse keys none of which has signed the newest checkpoint, before anybody takes that for damage.

    Raises:
        BadInput: `BAD_KEY`.
    """
    with store.snapshot() as connection:
        row = queries.head_row(connection)
    try:
        note = SignedNote.parse(queries.as_bytes(row.checkpoint if row else b""))
    except LedgerError:
        return  # this is damage indeed, and others tell of it
    if not any(note.signatures_of(vkey) for vkey in vkeys):
        signed = ", ".join(f"{one.name}+{one.key_id.hex()}" for one in note.signatures)
        raise BadInput(
            Reason.BAD_KEY,
            "log key",
            given=", ".join(vkey.label for vkey in vkeys),
            expected=f"a key that has signed the newest checkpoint, {signed}",
        )


def vkeys_of(store: Store, database: Database, log_keys: list[Path]) -> list[VerifierKey]:
    """The public halves of the log's keys."""
    return [signer.vkey for signer in read_log_keys(log_keys, origin_of(store, database))]


def require_signed_by(store: Store, database: Database, keys: list[VerifierKey]) -> None:
    """Refuse a database without a log, and keys with which readers could not verify it."""
    with store.snapshot() as connection:
        head = queries.head(connection)
    if head is None:
        raise no_log(database)
    if keys:
        note = SignedNote.parse(queries.as_bytes(head.checkpoint))
        open_checkpoint(note.encode(), Checkpoint.parse(note.text).origin, keys)


def no_log(database: Database) -> BadInput:
    """A `NOT_FOUND`, to be raised."""
    return BadInput(
        Reason.NOT_FOUND, f"log in {database}", given="none", expected="a database made by operator init"
    )
