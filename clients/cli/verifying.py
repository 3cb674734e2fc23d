"""`suyuan regulator verify`: whether what the ledger holds of a thing can be believed, and what of it is noteworthy."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from clients.cli.forms import checkpoint_record, flag_words
from clients.cli.history import Record, fetch_chain, fetch_sale, what_was_verified
from clients.cli.output import error_record, local_text, shown
from clients.cli.session import Session
from clients.cli.status import Status, verdict_of
from clients.cli.telling import tell_event
from ledger.chain_key import ChainKey
from ledger.errors import BrokenProof, LedgerError, Reason
from ledger.event import Kind

_SHOWN = 10
"""Entries that are named of each flag."""

_NOTHING = frozenset({Reason.NOT_FOUND, Reason.SALE_UNKNOWN})


def verify_chain(session: Session, chain: ChainKey) -> Status:
    """Verify what the ledger holds of a chain, and print the verdict; the exit status that tells it."""
    return _verify(session, str(chain), lambda: fetch_chain(session, chain))


def verify_sale(session: Session, event_id: bytes) -> Status:
    """Verify the story of a sale, and print the verdict; the exit status that tells it."""
    return _verify(session, f"sale {event_id.hex()}", lambda: fetch_sale(session, event_id))


def _verify(session: Session, subject: str, fetch: Callable[[], Record]) -> Status:
    try:
        record = fetch()
    except LedgerError as error:
        if not isinstance(error, BrokenProof) and error.reason not in (*_NOTHING, Reason.STORE_DAMAGED):
            raise
        nothing = error.reason in _NOTHING
        told: dict[str, Any] = {
            "verified": False,
            "subject": subject,
            "entries": 0,
            "checked": [],
            "notes": [],
        }
        why = "nothing is recorded" if nothing else f"{shown(str(error))} [{error.reason}]"
        kept = error.evidence if isinstance(error, BrokenProof) else None
        session.out.result(
            {**told, "error": error_record(error)},
            [
                f"NOT VERIFIED  {subject}",
                f"  {why}",
                *([f"  Evidence against the log was kept: {kept}"] if kept else []),
            ],
        )
        return verdict_of([error.reason])
    holds = all(entry.signature_verified for entry in record.entries)
    checked, notes = what_was_verified(record), _notes(record)
    session.out.result(
        {
            "verified": holds,
            "subject": subject,
            "entries": len(record.entries),
            "checked": checked,
            "notes": notes,
            "checkpoint": checkpoint_record(record.checkpoint),
        },
        [
            f"{'VERIFIED' if holds else 'NOT VERIFIED'}  {subject}",
            *(f"  {line}" for line in checked),
            *(f"  Note: {line}" for line in notes),
        ],
    )
    return Status.OK if holds else Status.NEGATIVE


def _notes(record: Record) -> list[str]:
    """What somebody who trusts the record should know of it."""
    notes: list[str] = []
    for entry in record.entries:
        event, where = entry.event, f"entry {entry.index}"
        if event.kind is None:
            notes.append(f"{where} says something that this version does not know")
        elif event.kind in (Kind.RECALL, Kind.CORRECTION, Kind.COMPLAINT):
            notes.append(f"{where}, {local_text(event.occurred_us)}: {tell_event(event).headline}")
    flagged: dict[str, list[int]] = {}
    for entry in record.entries:
        for flag in flag_words(entry.flags):
            flagged.setdefault(flag, []).append(entry.index)
    for flag, indexes in flagged.items():
        first = ", ".join(map(str, indexes[:_SHOWN]))
        more = f" and {len(indexes) - _SHOWN} more" if len(indexes) > _SHOWN else ""
        notes.append(f"flagged {flag}: entry {first}{more}")
    return notes
