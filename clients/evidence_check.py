"""Whether an evidence file holds: checked offline, under keys that come from elsewhere than the file.

The steps are those of `docs/evidence.md` §3. Nothing here talks to anybody: it takes what `ledger.evidence` has read and
a policy, and returns what is proven, or raises.

    evidence = Evidence.parse(path.read_bytes())
    checked = check_evidence(evidence, Policy.of(VerifierKey.parse("ledger.example/fuzhou+…+…")))
    for entry in checked.entries:
        print(entry.event.occurred_at, entry.event.kind, checked.names.get(entry.signer))

What the file does not prove stands in `docs/evidence.md` §4.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from clients.keyring import KeyRing, introduced_key, registered_party
from clients.story import Story
from clients.verified import VerifiedEntry, mismatch
from ledger.chain_key import ChainKey
from ledger.checkpoint import Checkpoint
from ledger.cosignature import Cosignature, cosignatures_of
from ledger.errors import BrokenProof, Reason
from ledger.event import Kind
from ledger.evidence import Evidence, ProvenLeaf
from ledger.note import SignedNote, VerifierKey
from ledger.policy import Policy
from suyuan.v1 import ledger_service_pb2 as pb

_CHANGES = frozenset({Kind.KEY_REVOCATION, Kind.PARTY_STATUS_CHANGE})
"""Changes to a party that introduce no key."""


@dataclass(frozen=True, slots=True)
class CheckedEvidence:
    """What a file proves."""

    evidence: Evidence = field(repr=False)
    checkpoint: Checkpoint
    signed_by: tuple[VerifierKey, ...]
    """Those of the policy's keys that signed the checkpoint."""
    cosignatures: tuple[Cosignature, ...]
    """By the policy's witnesses."""
    quorum: str
    """Whom the policy wants to have cosigned, in words; empty if nobody."""
    entries: tuple[VerifiedEntry, ...]
    """What the log says of the subject, in its order: proven, signed and attributed. Their flags are not in the file."""
    introductions: tuple[VerifiedEntry, ...]
    """What introduced the keys that signed, likewise."""
    chains: Mapping[str, int]
    """Chains that have no gap from their first entry on, and how many entries of each are in the file; 0 for a parcel
    that was named and of which there is nothing."""
    names: Mapping[str, str]
    """Public names of the companies that are registered in the file, by chain key."""


def check_evidence(
    evidence: Evidence, policy: Policy, progress: Callable[[int, int], None] | None = None
) -> CheckedEvidence:
    """Verify all that a file can prove.

    Args:
        evidence: as it was read.
        policy: whom to believe. The keys in the file are not.
        progress: is told how many entries are done, and how many there are.

    Raises:
        BadInput: `BAD_KEY` if the policy names no key of this log.
        BrokenProof: what does not hold: `BAD_NOTE`, `BAD_CHECKPOINT`, `UNWITNESSED`, `BAD_INCLUSION_PROOF`, `BAD_ENTRY`,
            `BROKEN_CHAIN`.
    """
    checkpoint, cosignatures = policy.open(evidence.checkpoint, evidence.origin)
    signed_by = SignedNote.parse(evidence.checkpoint).verify(policy.keys_of(evidence.origin))
    _require_claims(evidence)
    told = {leaf.index for leaf in evidence.entries}
    entries: list[VerifiedEntry] = []
    introductions: list[VerifiedEntry] = []
    ring, names, places = KeyRing(evidence.origin), dict[str, str](), dict[bytes, int]()
    count = len(evidence.entries) + len(evidence.introductions)
    for done, leaf in enumerate(evidence.leaves(), 1):
        entry = _attributed(leaf, checkpoint, ring)
        earlier = places.setdefault(entry.event.id, entry.index)
        if earlier != entry.index:
            given = f"that of entry {earlier} again"
            raise mismatch(f"event of entry {entry.index}", given, "each event once in a log")
        names |= _name(entry)
        (entries if leaf.index in told else introductions).append(entry)
        if progress is not None:
            progress(done, count)
    chains = story_of(evidence.subject, entries).verify(entries)
    for entry in introductions:
        if not introduced_key(entry.event) or entry.event.chain in chains:
            given = f"a {entry.event.kind or 'kind unknown to this version'} on {entry.event.chain}"
            expected = "one that introduces a key, and is not part of what is told"
            raise mismatch(f"entry {entry.index} of the introductions", given, expected)
    return CheckedEvidence(
        evidence,
        checkpoint,
        signed_by,
        cosignatures,
        policy.wanted if policy.needs_witnesses else "",
        tuple(entries),
        tuple(introductions),
        {chain: len(its_entries) for chain, its_entries in chains.items()},
        names,
    )


def story_of(subject: ChainKey | bytes, entries: Sequence[VerifiedEntry]) -> Story:
    """What belongs to a subject, as its own entries say how far it goes (`docs/evidence.md` §2).

    Args:
        subject: a chain, or the event id of a sale.
        entries: in the order of the log, attributed to their signers.
    """
    if not isinstance(subject, ChainKey):
        return Story.of_sale(subject, entries)
    if subject.is_product or subject.is_parcel:
        return Story.of_chain(subject, entries)
    return Story(set(), {str(subject)})


def _require_claims(evidence: Evidence) -> None:
    """Refuse a file that names keys which have not signed: it would send its reader after the wrong ones."""
    note = SignedNote.parse(evidence.checkpoint)
    signed = [key for key in evidence.log_keys if note.signatures_of(key)]
    if signed:
        note.verify(signed)
    signed += [cosignature.key for cosignature in cosignatures_of(note, evidence.witness_keys)]
    for key in (*evidence.log_keys, *evidence.witness_keys):
        if key not in signed:
            raise BrokenProof(
                Reason.BAD_NOTE,
                f"signature below the checkpoint by {key.label}, as the evidence file claims",
                given="none",
                expected="one",
            )


def _attributed(leaf: ProvenLeaf, checkpoint: Checkpoint, ring: KeyRing) -> VerifiedEntry:
    proven = pb.ProvenEntry(index=leaf.index, entry=leaf.data, inclusion_proof=leaf.proof)
    entry = ring.attribute(VerifiedEntry.prove(proven, checkpoint))
    ring.add(entry)
    if entry.event.kind in _CHANGES:
        ring.require_allowed(entry)
    return entry


def _name(entry: VerifiedEntry) -> dict[str, str]:
    message, party = entry.event.message, registered_party(entry.event)
    name = message.genesis.regulator_name or message.party_registration.name
    return {party: name} if party and name else {}
