"""An entry of the log as a client holds it: proven to be in the tree, and opened.

What a service sends is bytes, a place and an inclusion proof. `VerifiedEntry.prove` believes none of it: the leaf hash
is computed from the bytes, and the proof has to lead to the root of a checkpoint whose signature the caller has
verified. Only then are the bytes read. Who signed the event inside is the next question (`clients.keyring`).
"""

from __future__ import annotations

from dataclasses import dataclass, field

from ledger.checkpoint import Checkpoint
from ledger.entry import MAX_ENTRY_BYTES, Entry
from ledger.envelope import Envelope
from ledger.errors import BrokenProof, LedgerError, Reason
from ledger.event import Event
from ledger.keys import PublicKey
from ledger.merkle import leaf_hash, verify_inclusion
from suyuan.v1 import ledger_service_pb2 as pb


@dataclass(frozen=True, slots=True)
class VerifiedEntry:
    """One recorded event that is proven to be in the log."""

    index: int
    """Place in the log: 0, 1, 2, …"""
    data: bytes = field(repr=False)
    """The entry's bytes: the leaf."""
    hash: bytes
    """Leaf hash, computed from `data`; 32 bytes."""
    entry: Entry = field(repr=False)
    envelope: Envelope = field(repr=False)
    event: Event
    flags: tuple[int, ...]
    """Values of `suyuan.v1.EventFlag`. The service's word: they follow from the whole log before the entry, so only an
    audit can tell whether they are right and all there."""
    signer: str = ""
    """Chain key of the party that signed; empty for the buyer of a sale, and as long as the signature is not verified."""
    public_key: PublicKey | None = field(default=None, compare=False, repr=False)
    """The key under which the signature was verified."""
    signature_verified: bool = False
    """Whether the signature holds under a key whose introduction is itself proven to be in the log, and the key that
    signed that, and so on up to the genesis."""

    @classmethod
    def prove(cls, proven: pb.ProvenEntry, checkpoint: Checkpoint) -> VerifiedEntry:
        """The entry, after its proof has been verified; its signature has not.

        Args:
            proven: what was sent.
            checkpoint: opened, so its signature holds.

        Raises:
            BrokenProof: `BAD_INCLUSION_PROOF` if it is not at this place in the checkpoint's tree; `BAD_ENTRY` if it
                is, but no entry can look like this.
        """
        hash_ = leaf_hash(proven.entry)
        verify_inclusion(hash_, proven.index, checkpoint.size, proven.inclusion_proof, checkpoint.root)
        return cls.open(proven.index, proven.entry, tuple(proven.flags), hash_)

    @classmethod
    def open(cls, index: int, data: bytes, flags: tuple[int, ...], hash_: bytes) -> VerifiedEntry:
        """The entry that these bytes are, which the caller has proven to be at `index`.

        Raises:
            BrokenProof: `BAD_ENTRY`.
        """
        if len(data) > MAX_ENTRY_BYTES:
            raise mismatch(f"entry {index}", f"{len(data)} bytes", f"at most {MAX_ENTRY_BYTES} bytes")
        try:
            entry = Entry.parse(data)
            envelope = Envelope.parse(entry.envelope)
            event = Event.parse(envelope.payload)
        except LedgerError as error:
            raise within(f"entry {index}", error) from error
        return cls(index, data, hash_, entry, envelope, event, flags)


def mismatch(subject: str, given: object, expected: object) -> BrokenProof:
    """A `BAD_ENTRY`, to be raised: what an answer says is not what was asked, or not what its own proofs show."""
    return BrokenProof(Reason.BAD_ENTRY, subject, given=given, expected=expected)


def within(where: str, error: LedgerError) -> BrokenProof:
    """A `BAD_ENTRY`, to be raised: this is wrong with something that the service has recorded."""
    return BrokenProof(
        Reason.BAD_ENTRY, f"{where}: {error.subject}", given=error.given, expected=error.expected
    )
