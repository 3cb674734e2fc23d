"""The Merkle tree of the log: hashes, proofs and their verification.

Source: RFC 6962 §2.1 and its successor RFC 9162 §2.1, which define the same tree; the hash is SHA-256, and every
hash is 32 `bytes`.

A tree over n leaves splits at the largest power of two below n, so all of it but its right edge consists of
*complete subtrees*: 2**level leaves that begin at a multiple of 2**level. `(level, index)` names the complete subtree
over the leaves index * 2**level up to (index + 1) * 2**level; level 0 are the leaves. The hash of a complete subtree
never changes once its last leaf is there. That is why these hashes are all that a store has to keep, and why the
builders of proofs ask for nothing else: they take a callable `node(level, index) -> bytes`, and fold the incomplete
right edge themselves.

To verify is to do arithmetic on what was given: `verify_inclusion` and `verify_consistency` return None or raise
`BrokenProof`. They prove that hashes belong together; that a root is *the log's* root for that size is what the
signature under a checkpoint says (`ledger.checkpoint`). A proof does not bind the tree's size by itself: the sizes
from 5 to 8 share the shape of leaf 0's path. Root and size must come from one checkpoint.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from hashlib import sha256
from typing import TypeAlias

from ledger.errors import BadInput, BrokenProof, Reason

HASH_SIZE = 32
"""Bytes of a hash: of a leaf, a node, a root."""

MAX_TREE_SIZE = 2**63 - 1
"""The largest number of leaves; what a signed 64-bit integer holds, in a checkpoint as in a database."""

Subtree: TypeAlias = tuple[int, int]
"""A complete subtree: its level (2**level leaves) and its index among those of its level."""

NodeReader: TypeAlias = Callable[[int, int], bytes]
"""Gives the hash of the complete subtree `(level, index)`; 32 bytes."""

EMPTY_ROOT = sha256(b"").digest()  # RFC 6962 §2.1: MTH({}) = SHA-256()
"""The root of the tree without leaves."""

LEAF_PREFIX = b"\x00"
NODE_PREFIX = b"\x01"


def leaf_hash(data: bytes) -> bytes:
    """The hash of one leaf whose content is `data`; 32 bytes."""
    return sha256(LEAF_PREFIX + data).digest()  # RFC 6962 §2.1: MTH({d(0)}) = SHA-256(0x00 || d(0))


def node_hash(left: bytes, right: bytes) -> bytes:
    """The hash of the node above two subtrees, given their hashes; 32 bytes."""
    return sha256(
        NODE_PREFIX + left + right
    ).digest()  # RFC 6962 §2.1: SHA-256(0x01 || MTH(left) || MTH(right))


def root_of(leaf_hashes: Sequence[bytes]) -> bytes:
    """The root over these leaf hashes, word for word after RFC 6962 §2.1.

    This is the reference that everything faster is tested against; use `ledger.frontier.Frontier` for large trees.
    """
    size = len(leaf_hashes)
    if size == 0:
        return EMPTY_ROOT
    if size == 1:
        return leaf_hashes[0]
    split = 1 << ((size - 1).bit_length() - 1)  # RFC 6962 §2.1: the largest power of two smaller than n
    return node_hash(root_of(leaf_hashes[:split]), root_of(leaf_hashes[split:]))


def subtrees(begin: int, end: int) -> tuple[Subtree, ...]:
    """The fewest complete subtrees that cover the leaves from `begin` up to `end`, from left to right.

    For begin = 0 they shrink from left to right, one for each bit of `end`; folded from the right (`fold`) they give
    the root of the tree of `end` leaves.
    """
    found = []
    while begin < end:
        level = (end - begin).bit_length() - 1
        if begin:
            level = min(level, _trailing_zeros(begin))
        found.append((level, begin >> level))
        begin += 1 << level
    return tuple(found)


def fold(hashes: Sequence[bytes]) -> bytes:
    """The root over complete subtrees that shrink from left to right; `EMPTY_ROOT` for none."""
    if not hashes:
        return EMPTY_ROOT
    folded = hashes[-1]
    for left in hashes[-2::-1]:
        folded = node_hash(left, folded)
    return folded


def inclusion_proof_nodes(index: int, size: int) -> list[tuple[Subtree, ...]]:
    """Where the inclusion proof of leaf `index` in the tree of `size` leaves comes from.

    One item for each hash of the proof, in the proof's order (from the leaf upwards): the complete subtrees, from
    left to right, that fold to that hash. At most one item has more than one of them: the right edge of the tree.

    Raises:
        BadInput: no tree of that size, or no such leaf in it.
    """
    if not 0 < size <= MAX_TREE_SIZE:
        raise BadInput(Reason.INVALID_REQUEST, "tree size", given=_number(size), expected=_SIZES_WITH_LEAVES)
    if not 0 <= index < size:
        raise BadInput(
            Reason.INVALID_REQUEST,
            "leaf index",
            given=_number(index),
            expected=f"0 to {size - 1}, the tree's last leaf",
        )
    return list(_siblings(0, index, size))  # RFC 9162 §2.1.3.1: PATH(m, D_n)


def consistency_proof_nodes(old_size: int, new_size: int) -> list[tuple[Subtree, ...]]:
    """Where the consistency proof from `old_size` to `new_size` leaves comes from; as `inclusion_proof_nodes`.

    Nothing is needed from an empty tree, nor for a tree that did not grow.

    Raises:
        BadInput: a size that no tree has, or an old size above the new one.
    """
    if not 0 <= new_size <= MAX_TREE_SIZE:
        raise BadInput(Reason.INVALID_REQUEST, "new tree size", given=_number(new_size), expected=_SIZES)
    if not 0 <= old_size <= new_size:
        raise BadInput(
            Reason.INVALID_REQUEST,
            "old tree size",
            given=_number(old_size),
            expected=f"0 to {new_size}, the new tree's size",
        )
    if old_size in {0, new_size}:
        return []
    # RFC 9162 §2.1.4.1: SUBPROOF(m, D_n, true) ends at the old tree's last complete subtree, and leaves that out
    # if it is the whole old tree, whose root the verifier has.
    level = _trailing_zeros(old_size)
    last = (old_size >> level) - 1
    path = list(_siblings(level, last, new_size))
    return path if last == 0 else [((level, last),), *path]


def inclusion_proof(index: int, size: int, node: NodeReader) -> list[bytes]:
    """The proof that leaf `index` is in the tree of `size` leaves: hashes from the leaf's sibling upwards.

    Args:
        index: the leaf; 0 is the first.
        size: leaves of the tree, not less than index + 1.
        node: gives the hashes that `inclusion_proof_nodes` names, and is asked for no others.

    Raises:
        BadInput: no tree of that size, or no such leaf in it.
    """
    return [_folded(nodes, node) for nodes in inclusion_proof_nodes(index, size)]


def consistency_proof(old_size: int, new_size: int, node: NodeReader) -> list[bytes]:
    """The proof that the first `old_size` leaves of the tree of `new_size` leaves are the old tree.

    Args:
        old_size: leaves of the old tree; from 0 the proof is empty.
        new_size: leaves of the new tree, not less than `old_size`; equal sizes need an empty proof.
        node: gives the hashes that `consistency_proof_nodes` names, and is asked for no others.

    Raises:
        BadInput: a size that no tree has, or an old size above the new one.
    """
    return [_folded(nodes, node) for nodes in consistency_proof_nodes(old_size, new_size)]


def verify_inclusion(leaf: bytes, index: int, size: int, proof: Sequence[bytes], root: bytes) -> None:
    """Verify that the leaf hash `leaf` is number `index` of the tree of `size` leaves whose root is `root`.

    Raises:
        BrokenProof: it is not, or something given is no hash, no size, no index (`BAD_INCLUSION_PROOF`).
    """
    reason = Reason.BAD_INCLUSION_PROOF
    if not 0 < size <= MAX_TREE_SIZE:
        raise BrokenProof(
            reason, "tree size of an inclusion proof", given=_number(size), expected=_SIZES_WITH_LEAVES
        )
    if not 0 <= index < size:
        raise BrokenProof(
            reason, "leaf index of an inclusion proof", given=_number(index), expected=f"0 to {size - 1}"
        )
    subject = f"inclusion proof of leaf {index} in the tree of {size} leaves"
    # Below `inner` the tree's right edge is not in sight, and the bits of the index tell on which side each sibling
    # lies. Above, the path runs along the right edge, and only left siblings exist (RFC 9162 §2.1.3.2: fn = sn).
    inner = (index ^ (size - 1)).bit_length()
    border = (index >> inner).bit_count()
    _check_hashes(reason, subject, proof, inner + border)
    _check_hash(reason, f"leaf hash of the {subject}", leaf)
    _check_hash(reason, f"root of the {subject}", root)
    computed = leaf
    for level, sibling in enumerate(proof):
        left = level >= inner or index >> level & 1
        computed = node_hash(sibling, computed) if left else node_hash(computed, sibling)
    if computed != root:
        raise BrokenProof(reason, f"root by the {subject}", given=computed.hex(), expected=root.hex())


def verify_consistency(
    old_size: int, old_root: bytes, new_size: int, new_root: bytes, proof: Sequence[bytes]
) -> None:
    """Verify that the tree of `new_size` leaves under `new_root` begins with the tree of `old_size` under `old_root`.

    Every tree begins with the empty tree: from size 0 the proof is empty and the old root is `EMPTY_ROOT` (C2SP
    tlog-witness, add-checkpoint). Of equal sizes the roots are equal and the proof is empty.

    Raises:
        BrokenProof: it does not, or something given is no hash or no size (`BAD_CONSISTENCY_PROOF`).
    """
    reason = Reason.BAD_CONSISTENCY_PROOF
    if not 0 <= new_size <= MAX_TREE_SIZE:
        raise BrokenProof(reason, "new size of a consistency proof", given=_number(new_size), expected=_SIZES)
    if not 0 <= old_size <= new_size:
        raise BrokenProof(
            reason, "old size of a consistency proof", given=_number(old_size), expected=f"0 to {new_size}"
        )
    subject = f"consistency proof from {old_size} to {new_size} leaves"
    _check_hash(reason, f"old root of the {subject}", old_root)
    _check_hash(reason, f"new root of the {subject}", new_root)
    if old_size in {0, new_size}:
        _check_hashes(reason, subject, proof, 0)
        computed_old = EMPTY_ROOT if old_size == 0 else new_root
        computed_new = EMPTY_ROOT if new_size == 0 else new_root
    else:
        level = _trailing_zeros(old_size)
        last = (old_size >> level) - 1  # the old tree's last complete subtree, where the proof begins
        inner = (last ^ ((new_size - 1) >> level)).bit_length()
        border = (last >> inner).bit_count()
        given = 1 if last else 0  # whether the proof has to give that subtree, or the old root is it
        _check_hashes(reason, subject, proof, given + inner + border)
        computed_old = computed_new = proof[0] if given else old_root
        for step, sibling in enumerate(proof[given:]):
            if step >= inner or last >> step & 1:  # RFC 9162 §2.1.4.2: a left sibling belongs to both trees
                computed_old = node_hash(sibling, computed_old)
                computed_new = node_hash(sibling, computed_new)
            else:
                computed_new = node_hash(computed_new, sibling)
    if computed_old != old_root:
        raise BrokenProof(
            reason, f"old root by the {subject}", given=computed_old.hex(), expected=old_root.hex()
        )
    if computed_new != new_root:
        raise BrokenProof(
            reason, f"new root by the {subject}", given=computed_new.hex(), expected=new_root.hex()
        )


_SIZES = "0 to 2**63 - 1 leaves"
_SIZES_WITH_LEAVES = "1 to 2**63 - 1 leaves"


def _trailing_zeros(number: int) -> int:
    return (number & -number).bit_length() - 1


def _siblings(level: int, index: int, size: int) -> Iterator[tuple[Subtree, ...]]:
    """What lies beside the path from the complete subtree `(level, index)` up to the root, from below."""
    while 1 << level < size:
        sibling = index ^ 1
        begin = sibling << level
        if begin < size:
            yield subtrees(begin, min(begin + (1 << level), size))
        level += 1
        index >>= 1


def _folded(nodes: tuple[Subtree, ...], node: NodeReader) -> bytes:
    return fold([node(level, index) for level, index in nodes])


def _number(number: int) -> str:
    """The number, unless it is so long that Python refuses to print it."""
    return str(number) if number.bit_length() <= 64 else f"a number of {number.bit_length()} bits"


def _check_hash(reason: Reason, subject: str, given: bytes) -> None:
    if len(given) != HASH_SIZE:
        raise BrokenProof(reason, subject, given=f"{len(given)} bytes", expected=f"{HASH_SIZE} bytes")


def _check_hashes(reason: Reason, subject: str, proof: Sequence[bytes], expected: int) -> None:
    if len(proof) != expected:
        raise BrokenProof(reason, f"hashes in the {subject}", given=len(proof), expected=expected)
    for number, given in enumerate(proof):
        _check_hash(reason, f"hash {number} of the {subject}", given)
