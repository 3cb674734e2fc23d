"""Proofs about the tree that a client asked for, verified, and complete enough for others to verify them again."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from clients.read import entry_at, require_number
from clients.session import Session
from clients.verify import VerifiedEntry
from ledger.checkpoint import Checkpoint
from ledger.errors import BrokenProof, Reason
from ledger.merkle import EMPTY_ROOT, inclusion_proof_nodes, node_hash, verify_consistency, verify_inclusion
from suyuan.v1 import ledger_service_pb2 as pb


@dataclass(frozen=True, slots=True)
class InclusionProof:
    """That a leaf is at its place in the tree of a given size (RFC 6962 §2.1.1)."""

    index: int
    leaf_hash: bytes
    size: int
    root: bytes
    """Root of the tree of `size` leaves, proven to be the beginning of the checkpoint's."""
    hashes: tuple[bytes, ...]
    """From the leaf's sibling upwards; 32 bytes each."""
    checkpoint: Checkpoint
    """Signed by the log; at least `size` large."""


@dataclass(frozen=True, slots=True)
class ConsistencyProof:
    """That a tree is the beginning of a larger one (RFC 6962 §2.1.2)."""

    old_size: int
    old_root: bytes
    new_size: int
    new_root: bytes
    hashes: tuple[bytes, ...]
    """32 bytes each."""
    checkpoint: Checkpoint
    """Signed by the log; at least `new_size` large."""


def root_by_inclusion(leaf: bytes, index: int, size: int, proof: Sequence[bytes]) -> bytes:
    """The root that an inclusion proof leads to; that it is the log's is still to be proven.

    Raises:
        BrokenProof: `BAD_INCLUSION_PROOF` if the proof has not the shape of one for this leaf in this tree.
        BadInput: `INVALID_REQUEST` if no tree of this size has such a leaf.
    """
    root = leaf
    for nodes, sibling in zip(inclusion_proof_nodes(index, size), proof, strict=False):
        level, position = nodes[0]
        on_the_left = position << level < index
        root = node_hash(sibling, root) if on_the_left else node_hash(root, sibling)
    verify_inclusion(leaf, index, size, proof, root)
    return root


def inclusion_proof(session: Session, index: int, size: int) -> InclusionProof:
    """As `LedgerClient.inclusion_proof`."""
    require_number("index", index)
    require_number("tree size", size, index + 1 if size else 0)
    leaf = entry_at(session, index).hash
    request = pb.GetInclusionProofRequest(index=index, size=size)
    answer, checkpoint = session.ask(session.transport.ledger.GetInclusionProof, request)
    reason, subject = Reason.BAD_INCLUSION_PROOF, f"inclusion proof of leaf {index}"
    _require_size(reason, subject, answer.size, size, checkpoint)
    if answer.size == checkpoint.size:
        root = checkpoint.root
        verify_inclusion(leaf, index, checkpoint.size, answer.proof, root)
    else:
        root = root_by_inclusion(leaf, index, answer.size, answer.proof)
        rest = session.consistency(answer.size, checkpoint.size)
        verify_consistency(answer.size, root, checkpoint.size, checkpoint.root, rest)
    return InclusionProof(index, leaf, answer.size, root, tuple(answer.proof), checkpoint)


def proof_under(session: Session, entry: VerifiedEntry, checkpoint: Checkpoint) -> tuple[bytes, ...]:
    """As `LedgerClient.proof_under`."""
    request = pb.GetInclusionProofRequest(index=entry.index, size=checkpoint.size)
    answer, _ = session.ask(session.transport.ledger.GetInclusionProof, request)
    reason, subject = Reason.BAD_INCLUSION_PROOF, f"inclusion proof of leaf {entry.index}"
    _require_size(reason, subject, answer.size, checkpoint.size, checkpoint)
    verify_inclusion(entry.hash, entry.index, checkpoint.size, answer.proof, checkpoint.root)
    return tuple(answer.proof)


def consistency_proof(session: Session, old_size: int, new_size: int) -> ConsistencyProof:
    """As `LedgerClient.consistency_proof`."""
    require_number("old tree size", old_size)
    require_number("new tree size", new_size, old_size if new_size else 0)
    request = pb.GetConsistencyProofRequest(old_size=old_size, new_size=new_size)
    answer, checkpoint = session.ask(session.transport.ledger.GetConsistencyProof, request)
    subject = f"consistency proof from {old_size} leaves"
    _require_size(Reason.BAD_CONSISTENCY_PROOF, subject, answer.new_size, new_size, checkpoint)
    old_root, new_root = (_root(session, size, checkpoint) for size in (old_size, answer.new_size))
    verify_consistency(old_size, old_root, answer.new_size, new_root, answer.proof)
    return ConsistencyProof(old_size, old_root, answer.new_size, new_root, tuple(answer.proof), checkpoint)


def _root(session: Session, size: int, checkpoint: Checkpoint) -> bytes:
    """The root of a smaller tree of the log: what its last leaf's inclusion proof leads to."""
    if size == checkpoint.size:
        return checkpoint.root
    return inclusion_proof(session, size - 1, size).root if size else EMPTY_ROOT


def _require_size(reason: Reason, subject: str, given: int, asked: int, checkpoint: Checkpoint) -> None:
    expected = asked or checkpoint.size
    if given != expected or given > checkpoint.size:
        raise BrokenProof(
            reason,
            f"tree size of the {subject}",
            given=given,
            expected=f"{expected} of the checkpoint's {checkpoint.size}",
        )
