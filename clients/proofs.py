"""Proofs about the tree that a client asked for, verified, and complete enough for others to verify them again."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ledger.checkpoint import Checkpoint
from ledger.merkle import inclusion_proof_nodes, node_hash, verify_inclusion


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
