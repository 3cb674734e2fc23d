"""What `LedgerClient` returns: answers that were verified."""

from __future__ import annotations

from dataclasses import dataclass

from clients.verify import VerifiedEntry
from ledger.chain_key import ChainKey
from ledger.checkpoint import Checkpoint
from ledger.state import Party, PartyKey


@dataclass(frozen=True, slots=True)
class Appended:
    """That an event is recorded: proven by its entry's hash and place in the checkpoint's tree."""

    index: int
    """Place in the log."""
    chain_seq: int
    """Place in its chain."""
    recorded_at_us: int
    """Microseconds since 1970-01-01T00:00:00Z."""
    entry_hash: bytes
    """Leaf hash; 32 bytes."""
    event_id: bytes
    """SHA-256 of the event; 32 bytes."""
    flags: tuple[int, ...]
    """Values of `suyuan.v1.EventFlag`; the service's word."""
    already_recorded: bool
    """Whether it was recorded before it was sent this time; the service's word."""
    checkpoint: Checkpoint


@dataclass(frozen=True, slots=True)
class History:
    """The entries of one chain from its first: proven to be in the log, signed, and without a gap.

    That there are no further ones is the service's word; less than this client has seen before is refused.
    """

    entries: tuple[VerifiedEntry, ...]
    chain: ChainKey
    checkpoint: Checkpoint


@dataclass(frozen=True, slots=True)
class Trace:
    """The story of a sale, a parcel, a lot, a serial or a drug unit, in the order of the log.

    Every entry is proven to be in the log, signed, and part of this story, and chains that belong to it as a whole
    are without a gap. That nothing was left out is the service's word.
    """

    entries: tuple[VerifiedEntry, ...]
    checkpoint: Checkpoint


@dataclass(frozen=True, slots=True)
class VerifiedParty:
    """A party as its own chain shows it, up to the checkpoint.

    Every key, revocation and change of status rests on an entry that is proven and signed by who may say it. That the
    chain has no later entries is the service's word.
    """

    party: Party
    keys: tuple[PartyKey, ...]
    """In the order in which they were added."""
    registration: VerifiedEntry
    """The entry that registered it; the genesis for the root regulator."""
    checkpoint: Checkpoint


@dataclass(frozen=True, slots=True)
class VerifiedKey:
    """A party's key as the party's own chain shows it, up to the checkpoint; see `VerifiedParty`."""

    key: PartyKey
    registration: VerifiedEntry
    """The entry that introduced it."""
    checkpoint: Checkpoint


@dataclass(frozen=True, slots=True)
class VerifiedSale:
    """A sale and what became of it, as its own trace shows it, up to the checkpoint.

    What is named here rests on entries that are proven and signed. That nothing else became of it is the service's
    word.
    """

    event_id: bytes
    index: int
    chain: str
    merchant: str
    """Chain key of the company."""
    buyer_key_id: bytes
    """SHA-256 of the purchase key's SubjectPublicKeyInfo."""
    quantity: int
    parcels: tuple[str, ...]
    """Chain keys of the parcels that it was dispatched in, in the order of the log."""
    receipt: bytes
    """Event id; empty if there is none yet, as those of the reviews."""
    buyer_review: bytes
    merchant_review: bytes
    complaints: tuple[bytes, ...]
    """Event ids, in the order of the log."""
    entry: VerifiedEntry
    """The entry that recorded the sale."""
    checkpoint: Checkpoint
