"""What the outsider's verifier and the project's own auditor both say of a log."""

from __future__ import annotations

from hashlib import sha256

import independent_verify as outsider
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from world import (
    ORIGIN,
    START_US,
    TEA,
    Log,
)

from ledger.audit import Auditor
from ledger.checkpoint import Checkpoint, open_checkpoint, sign_checkpoint
from ledger.envelope import Envelope
from ledger.errors import LedgerError
from ledger.merkle import leaf_hash, root_of
from ledger.note import NoteSigner, VerifierKey
from ledger.state import Recorded
from suyuan.v1 import event_pb2 as pb
from suyuan.v1 import flags_pb2

LOG_SECRET = Ed25519PrivateKey.from_private_bytes(sha256(b"log").digest())
VKEY = str(NoteSigner(ORIGIN, LOG_SECRET).vkey)
NOWHERE = sha256(b"nowhere").digest()


def note_over(leaves, origin: str = ORIGIN) -> bytes:
    """The log's own checkpoint over these entries."""
    signer = NoteSigner(origin, LOG_SECRET)
    return sign_checkpoint(
        Checkpoint(origin, len(leaves), root_of([leaf_hash(data) for data in leaves])), signer
    )


def audited(origin, vkey, note, leaves, seen) -> Auditor | None:
    """An auditor that has read what the checkpoint vouches for; None if a note does not verify."""
    try:
        keys = [VerifierKey.parse(vkey)]
        checkpoint, *known = [open_checkpoint(raw, origin, keys) for raw in (note, *seen)]
    except LedgerError:
        return None
    auditor = Auditor(origin, known=known)
    for data in leaves[: checkpoint.size]:
        auditor.read(data)
    auditor.conclude(checkpoint)
    return auditor


def agree(leaves, note=None, seen=(), *, origin=ORIGIN, vkey=None) -> outsider.Report:
    """The outsider's report, after a look that the auditor says the same."""
    note = note_over(leaves) if note is None else note
    vkey = VKEY if vkey is None else vkey
    mine, auditor = (
        outsider.verify(origin, vkey, note, leaves, seen),
        audited(origin, vkey, note, leaves, seen),
    )
    if auditor is None:
        assert not mine.verified
        return mine
    theirs = auditor.report
    assert mine.verified == theirs.verified, (mine.findings, theirs.findings)
    assert first(mine) == first(theirs), (mine.findings, theirs.findings)
    if mine.verified:
        assert (len(mine.entries), mine.root) == (theirs.size, theirs.root)
        assert (len(mine.unknown_kinds), len(mine.unjudged)) == (theirs.unknown_kinds, theirs.unjudged)
        assert mine_of(mine) == theirs_of(auditor)
    return mine


def first(report) -> int | None:
    """The first entry that something is wrong with."""
    findings = [
        found if isinstance(found, tuple) else (found.index, found.message) for found in report.findings
    ]
    return min((index for index, _ in findings if index is not None), default=None)


def mine_of(report: outsider.Report) -> list[tuple]:
    return [
        (e.id, e.chain, e.name, e.signer if e.signer.startswith("party") else "", e.flags)
        for e in report.entries
    ]


def theirs_of(auditor: Auditor) -> list[tuple]:
    records = sorted((r for r in auditor.state.changes() if isinstance(r, Recorded)), key=lambda r: r.index)
    return [(r.event_id, r.chain, r.kind or "unknown", r.signer, names(r.flags)) for r in records]


def names(flags) -> list[str]:
    return [flags_pb2.EventFlag.Name(flag).removeprefix("EVENT_FLAG_") for flag in flags]


def forged(log: Log, *envelopes: Envelope | bytes) -> outsider.Report:
    """What both say of the log if these are recorded in it, whatever the rules say."""
    fork = log.fork()
    for envelope in envelopes:
        fork.forge(envelope)
    return agree(fork.leaves)


def with_more(envelope: Envelope, more: bytes, key) -> Envelope:
    """The event with something behind it, properly signed."""
    return Envelope.seal(envelope.payload + more, key)


def event_of(body, chain=None, **common) -> pb.Event:
    """A message that is well formed but for what is given."""
    kind = type(body).__name__
    name = next(
        f.name for f in pb.Event.DESCRIPTOR.oneofs_by_name["body"].fields if f.message_type.name == kind
    )
    message = pb.Event(
        chain=chain or TEA, nonce=bytes(16), occurred_at=pb.OccurredAt(unix_us=START_US), **common
    )
    getattr(message, name).CopyFrom(body)
    getattr(message, name).SetInParent()
    return message
