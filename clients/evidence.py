"""Making evidence files: what a service says of one thing, proven under one checkpoint.

The log grows meanwhile, so the checkpoint is taken first and everything after it is left out: a beginning of each
chain, and of the story what belonged to it then. Answers are believed as far as the SDK has verified them; then each
entry is proven anew under that checkpoint. Before anybody sees the result, it is read and checked as a stranger would.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

from clients.evidence_check import CheckedEvidence, check_evidence, story_of
from clients.keyring import KeyRing, Need, introduced_key, registered_party
from clients.sdk import LedgerClient
from clients.verified import VerifiedEntry, mismatch
from ledger.chain_key import ChainKey, ChainKind
from ledger.checkpoint import Checkpoint, open_checkpoint
from ledger.cosignature import cosignatures_of
from ledger.errors import BadInput, Conflict, Reason
from ledger.evidence import MAX_ENTRIES, Evidence, ProvenLeaf
from ledger.keys import key_id_of
from ledger.note import SignedNote
from ledger.policy import Policy

_TRACED = frozenset(
    {ChainKind.LOT, ChainKind.SERIAL, ChainKind.DRUG, ChainKind.WAYBILL, ChainKind.LOGISTIC_UNIT}
)
"""Chains of one thing, whose story the service puts together."""

_TRIES: Final = 3
"""Checkpoints that are tried until one covers all that was found."""


def make_evidence(
    client: LedgerClient,
    policy: Policy,
    subject: ChainKey | bytes,
    progress: Callable[[int, int], None] | None = None,
) -> tuple[bytes, CheckedEvidence]:
    """The file's bytes, and what they prove.

    Args:
        client: of the log.
        policy: the one that the client follows. Where it asks for witnesses, the checkpoint is one that they cosigned.
        subject: a chain, or the event id of a sale.
        progress: is told how many steps are done, and how many there are: to prove each entry and to check it.

    Raises:
        Conflict: `NOT_FOUND` or `SALE_UNKNOWN` if there is nothing up to the checkpoint.
        BadInput: `INVALID_REQUEST` if it is too much for a file.
        BrokenProof: what came does not verify.
    """
    [origin] = policy.origins
    note, checkpoint, entries = _snapshot(client, policy, subject)
    introductions = _introductions(client, origin, entries)
    count = len(entries) + len(introductions)
    _require_room(count)
    proven = []
    for done, entry in enumerate((*entries, *introductions), 1):
        proven.append(ProvenLeaf(entry.index, entry.data, client.proof_under(entry, checkpoint)))
        if progress is not None:
            progress(done, 2 * count)
    signed = SignedNote.parse(note)
    witnesses = cosignatures_of(signed, [witness.vkey for witness in policy.witnesses])
    evidence = Evidence(
        subject,
        signed.verify(policy.keys_of(origin)),
        tuple(cosignature.key for cosignature in witnesses),
        note,
        tuple(proven[: len(entries)]),
        tuple(proven[len(entries) :]),
    )
    raw = evidence.encode()
    check = None if progress is None else lambda done, _: progress(count + done, 2 * count)
    return raw, check_evidence(Evidence.parse(raw), policy, check)


def _snapshot(
    client: LedgerClient, policy: Policy, subject: ChainKey | bytes
) -> tuple[bytes, Checkpoint, tuple[VerifiedEntry, ...]]:
    """A checkpoint's note, the checkpoint, and what the service says of the subject up to it.

    An entry that is too new for the checkpoint is worth another try, with the next one; where witnesses are asked for,
    the SDK has waited for that. A log that grows all the time is not chased for ever.
    """
    [origin] = policy.origins
    left = _TRIES
    while True:
        left -= 1
        client.checkpoint()
        # Another process may have seen a newer one by now, which will do as well.
        note = client.checkpoint_note
        checkpoint = open_checkpoint(note, origin, policy.keys_of(origin))
        found = _found(client, subject)
        if left == 0 or all(entry.index < checkpoint.size for entry in found):
            return note, checkpoint, _told(client, subject, found, checkpoint)


def _found(client: LedgerClient, subject: ChainKey | bytes) -> Sequence[VerifiedEntry]:
    """What the service says of the subject, without the parcels of a product."""
    if not isinstance(subject, ChainKey):
        return client.trace(sale=subject).entries
    if subject.kind in _TRACED:
        return client.trace(chain=subject).entries
    return client.history(subject).entries


def _told(
    client: LedgerClient,
    subject: ChainKey | bytes,
    found: Sequence[VerifiedEntry],
    checkpoint: Checkpoint,
) -> tuple[VerifiedEntry, ...]:
    """What of it belongs to the subject at the checkpoint, with the parcels of a product."""
    before = [entry for entry in found if entry.index < checkpoint.size]
    if isinstance(subject, ChainKey) and subject.kind is ChainKind.PRODUCT:
        before = _with_parcels(client, subject, before, checkpoint)
    # An event that came later may have drawn in what is older, such as a parcel that was scanned before its dispatch.
    told = story_of(subject, before).select(before)
    if not told:
        name = str(subject) if isinstance(subject, ChainKey) else f"sale {subject.hex()}"
        expected = f"an entry among the {checkpoint.size} of the checkpoint"
        raise Conflict(Reason.NOT_FOUND, name, given="none", expected=expected)
    return tuple(told)


def _with_parcels(
    client: LedgerClient, product: ChainKey, entries: list[VerifiedEntry], checkpoint: Checkpoint
) -> list[VerifiedEntry]:
    """The entries of a product with those of the parcels that its sales were dispatched in."""
    together = {entry.index: entry for entry in entries}
    for chain in sorted(story_of(product, entries).whole - {str(product)}):
        try:
            parcel = client.history(chain).entries
        except Conflict as error:
            if error.reason is not Reason.NOT_FOUND:
                raise
            continue  # dispatched, and not scanned yet
        together |= {entry.index: entry for entry in parcel if entry.index < checkpoint.size}
        _require_room(len(together))
    return [together[index] for index in sorted(together)]


def _introductions(
    client: LedgerClient, origin: str, entries: Sequence[VerifiedEntry]
) -> list[VerifiedEntry]:
    """What introduced the keys that signed these entries and each other, without those that are among them."""
    told = {entry.index for entry in entries}
    known: dict[Need, VerifiedEntry] = {}
    for entry in entries:
        if introduced_key(entry.event):
            known[key_id_of(introduced_key(entry.event))] = entry
            known[registered_party(entry.event)] = entry
    ring, found = KeyRing(origin), dict[int, VerifiedEntry]()
    waiting: list[VerifiedEntry] = []
    for entry in entries:
        waiting.append(entry)
        while waiting:
            need = ring.needs(waiting[-1])
            if need is None:
                complete = waiting.pop()
                ring.add(complete)
                if introduced_key(complete.event) and complete.index not in told:
                    found[complete.index] = complete
                continue
            introduction = known.get(need) or client.introduction(need)
            if introduction.index >= waiting[-1].index:
                where = f"introduction of what signed entry {waiting[-1].index}"
                raise mismatch(where, f"entry {introduction.index}", "an earlier entry")
            waiting.append(introduction)
        _require_room(len(found))
    return [found[index] for index in sorted(found)]


def _require_room(count: int) -> None:
    if count > MAX_ENTRIES:
        raise BadInput(
            Reason.INVALID_REQUEST,
            "entries for an evidence file",
            given=f"{count} or more",
            expected=f"at most {MAX_ENTRIES}; ask for a lot, an item, a parcel or a sale",
        )
