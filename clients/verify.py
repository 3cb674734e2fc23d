"""Offline verification: from bytes that somebody handed over to what they prove.

Nothing here talks to anybody. Everything takes messages, as a service sends them or a file keeps them, and a
checkpoint that `ledger.checkpoint.open_checkpoint` has opened, so that the log's signature under it holds. It returns
what is proven, or raises `BrokenProof`; nothing is returned unverified.

    checkpoint = open_checkpoint(answer.checkpoint.note, vkey.name, [vkey])
    verify_growth(remembered, checkpoint, answer.checkpoint.consistency_proof)
    ring = verify_introductions(answer.registrations, checkpoint)
    entries = verify_entries(answer.entries, checkpoint, ring)
    verify_chain(entries, "waybill/sf/SF1234567890123")

What mathematics cannot show is whose word it is: the flags of an entry, and that a chain has no further entries.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from clients.keyring import KeyRing, Need, company_of, introduced_key, named_sale, registered_party
from clients.verified import VerifiedEntry, mismatch, within
from ledger.checkpoint import Checkpoint
from ledger.entry import Entry
from ledger.envelope import Envelope
from ledger.errors import BrokenProof, Reason
from ledger.merkle import EMPTY_ROOT, leaf_hash, verify_consistency, verify_inclusion
from suyuan.v1 import ledger_service_pb2 as pb

__all__ = [
    "KeyRing",
    "Need",
    "VerifiedEntry",
    "broken_chain",
    "company_of",
    "introduced_key",
    "mismatch",
    "named_sale",
    "registered_party",
    "verify_chain",
    "verify_entries",
    "verify_growth",
    "verify_introductions",
    "verify_receipt",
    "within",
]


def verify_growth(known: Checkpoint | None, seen: Checkpoint, proof: Sequence[bytes]) -> None:
    """Verify that a log has only grown since a checkpoint that is known.

    Args:
        known: opened before; None if there is none.
        seen: opened now, of the same origin.
        proof: consistency proof from the one to the other; empty where nothing was known or nothing was added.

    Raises:
        BrokenProof: `ROLLBACK` if it is smaller, `FORK` if it does not continue what was known,
            `BAD_CONSISTENCY_PROOF` if there is a proof where none belongs.
    """
    if known is None:
        verify_consistency(0, EMPTY_ROOT, seen.size, seen.root, proof)
        return
    if seen.size < known.size:
        raise BrokenProof(
            Reason.ROLLBACK,
            f"size of the log {seen.origin}",
            given=f"{seen.size} entries",
            expected=f"at least the {known.size} of a checkpoint seen before",
        )
    if seen.size == known.size and seen.root != known.root:
        raise BrokenProof(
            Reason.FORK,
            f"root of the first {seen.size} entries of the log {seen.origin}",
            given=seen.root.hex(),
            expected=f"{known.root.hex()}, of a checkpoint seen before",
        )
    try:
        verify_consistency(known.size, known.root, seen.size, seen.root, proof)
    except BrokenProof as error:
        if seen.size == known.size:
            raise
        raise BrokenProof(Reason.FORK, error.subject, given=error.given, expected=error.expected) from error


def verify_entries(
    proven: Iterable[pb.ProvenEntry], checkpoint: Checkpoint, ring: KeyRing | None = None
) -> tuple[VerifiedEntry, ...]:
    """Verify entries that come in the order of the log.

    Args:
        proven: what was sent.
        checkpoint: opened.
        ring: verifies the signatures too; without it they are not, and the entries say so.

    Raises:
        BrokenProof: as `VerifiedEntry.prove` and `KeyRing.attribute` say; `BAD_ENTRY` if they are out of order, or
            one is there twice.
    """
    verified: list[VerifiedEntry] = []
    for one in proven:
        if verified and one.index <= verified[-1].index:
            raise mismatch(
                "index of an entry in the order of the log", one.index, f"more than {verified[-1].index}"
            )
        entry = VerifiedEntry.prove(one, checkpoint)
        verified.append(entry if ring is None else ring.attribute(entry))
    return tuple(verified)


def verify_introductions(
    registrations: Iterable[pb.ProvenEntry], checkpoint: Checkpoint, ring: KeyRing | None = None
) -> KeyRing:
    """The ring of the keys that these entries introduced.

    Args:
        registrations: in the order of the log, the genesis among them.
        checkpoint: opened.
        ring: one that knows some already, and takes them in; by default a new one.

    Raises:
        BrokenProof: as `verify_entries` and `KeyRing.add` say.
        Conflict: `RULES_VERSION`, as `KeyRing.add` says.
    """
    ring = ring or KeyRing(checkpoint.origin)
    for entry in verify_entries(registrations, checkpoint):
        ring.add(entry)
    return ring


def verify_chain(entries: Iterable[VerifiedEntry], chain: str, *, after: VerifiedEntry | None = None) -> None:
    """Verify that entries follow each other on one chain without a gap.

    Args:
        entries: in the chain's order.
        chain: the chain key that each event has to name.
        after: the entry of this chain before the first; None if that is the chain's first.

    Raises:
        BrokenProof: `BROKEN_CHAIN`.
    """
    for entry in entries:
        where = f"entry {entry.index}"
        if entry.event.chain != chain:
            raise broken_chain(f"chain of {where}", entry.event.chain, chain)
        sequence, previous = (0, b"") if after is None else (after.entry.chain_seq + 1, after.hash)
        if entry.entry.chain_seq != sequence:
            raise broken_chain(f"chain_seq of {where} in {chain}", entry.entry.chain_seq, sequence)
        if entry.entry.previous != previous:
            raise broken_chain(
                f"previous of {where} in {chain}",
                entry.entry.previous.hex() or "none",
                previous.hex() or "none",
            )
        if after is not None and entry.index <= after.index:
            raise broken_chain(f"index of chain_seq {sequence} of {chain}", entry.index, f"> {after.index}")
        if after is not None and entry.entry.recorded_at_us < after.entry.recorded_at_us:
            expected = f"{after.entry.recorded_at_us} µs or later"
            raise broken_chain(f"recorded_at of {where}", f"{entry.entry.recorded_at_us} µs", expected)
        after = entry


def verify_receipt(envelope: Envelope, receipt: pb.AppendReceipt, checkpoint: Checkpoint) -> VerifiedEntry:
    """Verify that an envelope is recorded where a receipt says.

    The entry's bytes follow from the envelope and the receipt, so its hash needs nobody's word.

    Args:
        envelope: what was sent.
        receipt: what came back.
        checkpoint: opened; that of the answer.

    Returns:
        The entry; its signature is the sender's own and was not verified again.

    Raises:
        BrokenProof: `BAD_ENTRY` if the receipt is for something else, `BAD_INCLUSION_PROOF` if it is not in the log.
    """
    data = Entry(receipt.chain_seq, receipt.previous, receipt.recorded_at_us, envelope.raw).encode()
    hash_ = leaf_hash(data)
    if receipt.entry_hash != hash_:
        raise mismatch(
            f"entry hash in the receipt for index {receipt.index}",
            receipt.entry_hash.hex() or "none",
            f"{hash_.hex()}, of the envelope that was sent",
        )
    verify_inclusion(hash_, receipt.index, checkpoint.size, receipt.inclusion_proof, checkpoint.root)
    return VerifiedEntry.open(receipt.index, data, tuple(receipt.flags), hash_)


def broken_chain(subject: str, given: object, expected: object) -> BrokenProof:
    """A `BROKEN_CHAIN`, to be raised."""
    return BrokenProof(Reason.BROKEN_CHAIN, subject, given=given, expected=expected)
