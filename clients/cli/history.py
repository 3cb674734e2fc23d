"""Fetching what the ledger holds of a barcode, and drawing it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from clients.cli.forms import checkpoint_record, entry_record
from clients.cli.parties import PartyNames
from clients.cli.session import Session
from clients.verify import VerifiedEntry
from ledger.chain_key import ChainKey, ChainKind
from ledger.checkpoint import Checkpoint

if TYPE_CHECKING:
    from rich.console import RenderableType

_STORIES = frozenset(
    {ChainKind.LOT, ChainKind.SERIAL, ChainKind.DRUG, ChainKind.WAYBILL, ChainKind.LOGISTIC_UNIT}
)
"""Chains of one thing, of which other chains tell too."""

_DRAWN_AT_ONCE = 100
"""Entries, so that a long history shows its beginning at once."""


@dataclass(frozen=True, slots=True)
class Record:
    """What the ledger holds of a chain or a sale, all of it verified."""

    subject: str
    """Chain key, or `sale <event id>`."""
    chain: str
    """Chain key, or empty."""
    entries: Sequence[VerifiedEntry]
    """In the order of the log."""
    checkpoint: Checkpoint
    whole: str
    """Which chains are proven to be without a gap, in words."""


def fetch_chain(session: Session, chain: ChainKey) -> Record:
    """What the ledger holds of a chain: with the chains that tell of the same thing, where it is one thing.

    Raises:
        BrokenProof: what came does not verify.
        Conflict: `NOT_FOUND` if there is nothing.
    """
    if chain.kind in _STORIES:
        trace = session.client.trace(chain=chain)
        whole = "the chain that was asked for has no gap"
        if not chain.is_parcel:
            whole += ", nor have those of its parcels"
        return Record(str(chain), str(chain), trace.entries, trace.checkpoint, whole)
    with session.out.progress("Verifying") as progress:
        history = session.client.history(chain, progress)
    whole = "the chain has no gap"
    return Record(str(chain), str(chain), history.entries, history.checkpoint, whole)


def fetch_sale(session: Session, event_id: bytes) -> Record:
    """The story of a sale.

    Raises:
        BrokenProof: what came does not verify.
        Conflict: `SALE_UNKNOWN` if there is none.
    """
    trace = session.client.trace(sale=event_id)
    whole = "the chains of its parcels have no gap"
    return Record(f"sale {event_id.hex()}", "", trace.entries, trace.checkpoint, whole)


def show_history(session: Session, record: Record) -> None:
    """Print a timeline, or the record for programs."""
    names = PartyNames(session)
    session.out.drawing(lambda: history_record(record, names), lambda: _drawing(record, names))


def history_record(record: Record, names: PartyNames) -> dict[str, Any]:
    """A history for programs."""
    return {
        "subject": record.subject,
        "checkpoint": checkpoint_record(record.checkpoint),
        "entries": [
            {**entry_record(entry), "signer_name": names.of(entry.signer) or None} for entry in record.entries
        ],
    }


def what_was_verified(record: Record) -> list[str]:
    """What is proven of a record, a line each."""
    count, signed = len(record.entries), sum(entry.signature_verified for entry in record.entries)
    checkpoint = record.checkpoint
    return [
        f"checkpoint of {checkpoint.origin}: {checkpoint.size} entries, signed by the log's key",
        f"{count} of {count} entries are in its tree, and {record.whole}",
        f"{signed} of {count} signatures hold, under keys that lead back to the genesis",
    ]


def _drawing(record: Record, names: PartyNames) -> Iterator[RenderableType]:
    from rich.text import Text  # noqa: PLC0415 - takes long to load, and programs need none of it

    from clients.cli.timeline import Timeline  # noqa: PLC0415 - as above

    yield Text(record.subject, "bold")
    before: VerifiedEntry | None = None
    for start in range(0, len(record.entries), _DRAWN_AT_ONCE):
        entries = record.entries[start : start + _DRAWN_AT_ONCE]
        yield Timeline(entries, record.chain, names.of, before)
        before = entries[-1]
    yield Text("\nVerified", "bold green")
    for line in what_was_verified(record):
        yield Text(f"  {line}")
    yield Text("  That nothing was left out, and the flags, are the service's word.", "dim")
