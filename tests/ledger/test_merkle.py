from __future__ import annotations

import base64
import json
from collections import Counter
from functools import cache
from hashlib import sha256
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ledger.errors import BadInput, BrokenProof, LedgerError, Reason
from ledger.frontier import Frontier
from ledger.merkle import (
    EMPTY_ROOT,
    MAX_TREE_SIZE,
    consistency_proof,
    consistency_proof_nodes,
    fold,
    inclusion_proof,
    inclusion_proof_nodes,
    leaf_hash,
    node_hash,
    root_of,
    subtrees,
    verify_consistency,
    verify_inclusion,
)

LARGEST = 100
MIDDLING = 50
LEAVES = [leaf_hash(str(number).encode()) for number in range(600)]
ROOTS = [root_of(LEAVES[:size]) for size in range(LARGEST + 1)]

# RFC 6962 §2.1.3: the worked example. A letter names a node of the tree over seven leaves d0..d6.
RFC_INCLUSION = {
    (0, 7): [[(0, 1)], [(1, 1)], [(1, 2), (0, 6)]],  # b, h, l
    (3, 7): [[(0, 2)], [(1, 0)], [(1, 2), (0, 6)]],  # c, g, l
    (4, 7): [[(0, 5)], [(0, 6)], [(2, 0)]],  # f, j, k
    (6, 7): [[(1, 2)], [(2, 0)]],  # i, k
}
RFC_CONSISTENCY = {
    (3, 7): [[(0, 2)], [(0, 3)], [(1, 0)], [(1, 2), (0, 6)]],  # c, d, g, l
    (4, 7): [[(1, 2), (0, 6)]],  # l
    (6, 7): [[(1, 2)], [(0, 6)], [(2, 0)]],  # i, j, k
}


def node(level, index):
    """The store of the simplest kind: every complete subtree, computed from its leaves."""
    begin, end = index << level, (index + 1) << level
    assert 0 <= begin < end <= len(LEAVES), "a builder asked for a subtree beyond the tree"
    return complete(level, index)


@cache
def complete(level, index):
    return root_of(LEAVES[index << level : (index + 1) << level])


@cache
def uniform(level, _index=0):
    """A tree whose leaves are all alike, so that trees of any size can be had."""
    return LEAVES[0] if level == 0 else node_hash(uniform(level - 1), uniform(level - 1))


def uniform_root(size):
    return fold([uniform(level) for level, _ in subtrees(0, size)])


def reference_path(index, begin, end):
    """RFC 6962 §2.1.1, PATH(m, D[n]), word for word, as ranges of leaves."""
    if end - begin == 1:
        return []
    split = begin + (1 << ((end - begin - 1).bit_length() - 1))
    if index < split:
        return [*reference_path(index, begin, split), (split, end)]
    return [*reference_path(index, split, end), (begin, split)]


def reference_subproof(old, begin, end, *, whole):
    """RFC 6962 §2.1.2, SUBPROOF(m, D[n], b), word for word, as ranges of leaves."""
    if old == end:
        return [] if whole else [(begin, end)]
    split = begin + (1 << ((end - begin - 1).bit_length() - 1))
    if old <= split:
        return [*reference_subproof(old, begin, split, whole=whole), (split, end)]
    return [*reference_subproof(old, split, end, whole=False), (begin, split)]


def ranges(nodes):
    """The range of leaves that each hash of a proof covers."""
    for group in nodes:
        for (level, index), (next_level, next_index) in pairwise(group):
            assert (index + 1) << level == next_index << next_level
    return [(group[0][1] << group[0][0], (group[-1][1] + 1) << group[-1][0]) for group in nodes]


def flipped(value, bit):
    changed = bytearray(value)
    changed[bit // 8 % len(value)] ^= 1 << bit % 8
    return bytes(changed)


def fails_inclusion(*arguments):
    with pytest.raises(BrokenProof) as caught:
        verify_inclusion(*arguments)
    assert caught.value.reason is Reason.BAD_INCLUSION_PROOF


def fails_consistency(*arguments):
    with pytest.raises(BrokenProof) as caught:
        verify_consistency(*arguments)
    assert caught.value.reason is Reason.BAD_CONSISTENCY_PROOF


def accepted(verify, *arguments):
    try:
        verify(*arguments)
    except LedgerError:
        return False
    return True


def unhex(values):
    return [bytes.fromhex(value) for value in values]


# Hashes


def test_hashes_follow_rfc_6962():
    assert leaf_hash(b"") == sha256(b"\x00").digest()
    assert leaf_hash(b"L123456") == sha256(b"\x00L123456").digest()
    assert node_hash(LEAVES[0], LEAVES[1]) == sha256(b"\x01" + LEAVES[0] + LEAVES[1]).digest()
    assert sha256(b"").digest() == EMPTY_ROOT == root_of([])


def test_reference_tree(shared):
    tree = json.loads((shared / "tlog/derived/rfc6962_reference_tree.json").read_text())
    leaves = [leaf_hash(bytes.fromhex(content)) for content in tree["leaf_inputs_hex"]]
    assert len(leaves) == 8
    nodes = iter(unhex(tree["node_hashes_level_order_hex"]))
    for level in range(4):
        for index in range(8 >> level):
            assert root_of(leaves[index << level : (index + 1) << level]) == next(nodes)
    assert next(nodes, None) is None
    roots = unhex(tree["root_hashes_by_size_hex"])
    assert [root_of(leaves[:size]) for size in range(9)] == roots
    assert [Frontier().extend(leaves[:size]).root() for size in range(9)] == roots


# Which subtrees a proof needs


@pytest.mark.parametrize(("index", "size"), RFC_INCLUSION)
def test_inclusion_example_of_the_rfc(index, size):
    assert inclusion_proof_nodes(index, size) == [tuple(group) for group in RFC_INCLUSION[index, size]]


@pytest.mark.parametrize(("old", "new"), RFC_CONSISTENCY)
def test_consistency_example_of_the_rfc(old, new):
    assert consistency_proof_nodes(old, new) == [tuple(group) for group in RFC_CONSISTENCY[old, new]]


def test_proofs_are_those_of_the_rfc_for_all_small_trees():
    for size in range(1, LARGEST + 1):
        for index in range(size):
            assert ranges(inclusion_proof_nodes(index, size)) == reference_path(index, 0, size)
            expected = reference_subproof(index + 1, 0, size, whole=True)
            assert ranges(consistency_proof_nodes(index + 1, size)) == expected
        assert consistency_proof_nodes(0, size) == []


@settings(deadline=None)
@given(st.integers(0, 2**63 - 1), st.integers(0, 2**63 - 1))
def test_subtrees_cover_a_range_without_gap_or_overlap(one, other):
    begin, end = sorted((one, other))
    position = begin
    for level, index in subtrees(begin, end):
        assert index << level == position
        position = (index + 1) << level
    assert position == end


def test_subtrees_of_a_tree_are_the_bits_of_its_size():
    assert subtrees(0, 0) == ()
    assert subtrees(0, 7) == ((2, 0), (1, 2), (0, 6))
    assert subtrees(3, 8) == ((0, 3), (2, 1))
    for size in range(300):
        assert len(subtrees(0, size)) == size.bit_count()


# Every proof of every small tree, and everything that could be wrong with it


def test_every_inclusion_proof_verifies_and_no_changed_one_does():
    for size in range(1, LARGEST + 1):
        root = ROOTS[size]
        for index in range(size):
            leaf = LEAVES[index]
            proof = inclusion_proof(index, size, node)
            verify_inclusion(leaf, index, size, proof, root)
            bit = 7 * size + index
            for position, sibling in enumerate(proof):
                changed = [*proof[:position], flipped(sibling, bit + position), *proof[position + 1 :]]
                fails_inclusion(leaf, index, size, changed, root)
                fails_inclusion(leaf, index, size, proof[:position] + proof[position + 1 :], root)
                fails_inclusion(leaf, index, size, [*proof[:position], root, *proof[position:]], root)
            fails_inclusion(leaf, index, size, [*proof, root], root)
            fails_inclusion(flipped(leaf, bit), index, size, proof, root)
            fails_inclusion(leaf, index, size, proof, flipped(root, bit))
            if len(proof) > 1:
                fails_inclusion(leaf, index, size, proof[::-1], root)


def test_no_inclusion_proof_holds_for_another_index():
    for size in range(1, MIDDLING + 1):
        for index in range(size):
            proof = inclusion_proof(index, size, node)
            for other in range(size + 2):
                if other != index:
                    fails_inclusion(LEAVES[index], other, size, proof, ROOTS[size])


def test_no_inclusion_proof_holds_for_another_tree():
    # A path may have the same shape in several sizes, so only size *and* root of one checkpoint tell.
    for size in range(1, MIDDLING + 1):
        for index in range(size):
            proof = inclusion_proof(index, size, node)
            shape = reference_shape(index, size)
            for other in range(LARGEST + 1):
                if other == size:
                    continue
                fails_inclusion(LEAVES[index], index, other, proof, ROOTS[other])
                same_shape = index < other and reference_shape(index, other) == shape
                same_root = (LEAVES[index], index, other, proof, ROOTS[size])
                assert accepted(verify_inclusion, *same_root) is same_shape


@cache
def reference_shape(index, size):
    """On which side of the path each sibling lies."""
    return tuple(end <= index for _, end in reference_path(index, 0, size))


def test_every_consistency_proof_verifies_and_no_changed_one_does():
    for new in range(LARGEST + 1):
        for old in range(new + 1):
            proof = consistency_proof(old, new, node)
            verify_consistency(old, ROOTS[old], new, ROOTS[new], proof)
            bit = 7 * new + old
            for position, sibling in enumerate(proof):
                changed = [*proof[:position], flipped(sibling, bit + position), *proof[position + 1 :]]
                fails_consistency(old, ROOTS[old], new, ROOTS[new], changed)
                shorter = proof[:position] + proof[position + 1 :]
                fails_consistency(old, ROOTS[old], new, ROOTS[new], shorter)
                longer = [*proof[:position], ROOTS[old], *proof[position:]]
                fails_consistency(old, ROOTS[old], new, ROOTS[new], longer)
            fails_consistency(old, ROOTS[old], new, ROOTS[new], [*proof, ROOTS[new]])
            fails_consistency(old, flipped(ROOTS[old], bit), new, ROOTS[new], proof)
            if old or not new:  # from the empty tree every root is as good as another
                fails_consistency(old, ROOTS[old], new, flipped(ROOTS[new], bit), proof)


def test_no_consistency_proof_holds_for_another_old_tree():
    for new in range(1, MIDDLING + 1):
        for old in range(1, new):
            proof = consistency_proof(old, new, node)
            for other in range(1, new + 2):
                if other != old:
                    fails_consistency(other, ROOTS[old], new, ROOTS[new], proof)
                    fails_consistency(other, ROOTS[other], new, ROOTS[new], proof)


def test_no_consistency_proof_holds_for_another_new_tree():
    for new in range(2, MIDDLING + 1):
        for old in range(1, new):
            proof = consistency_proof(old, new, node)
            for other in range(old, LARGEST + 1):
                if other != new:
                    fails_consistency(old, ROOTS[old], other, ROOTS[other], proof)


def test_a_fork_has_no_consistency_proof():
    forked = [*LEAVES[:5], leaf_hash(b"something else"), *LEAVES[6:20]]
    for old in range(6, 20):
        fails_consistency(old, ROOTS[old], 20, root_of(forked), consistency_proof(old, 20, node))
        verify_consistency(old, ROOTS[old], 20, ROOTS[20], consistency_proof(old, 20, node))


# Trees too large to have


@settings(deadline=None)
@given(st.integers(1, MAX_TREE_SIZE), st.data())
def test_proofs_in_trees_of_any_size(size, data):
    index = data.draw(st.integers(0, size - 1))
    proof = inclusion_proof(index, size, uniform)
    assert len(proof) <= 63
    verify_inclusion(LEAVES[0], index, size, proof, uniform_root(size))
    fails_inclusion(LEAVES[1], index, size, proof, uniform_root(size))
    old = data.draw(st.integers(0, size))
    proof = consistency_proof(old, size, uniform)
    assert len(proof) <= 64
    verify_consistency(old, uniform_root(old), size, uniform_root(size), proof)
    fails_consistency(old, LEAVES[1], size, uniform_root(size), proof)


# Hostile arguments


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            (LEAVES[0], 0, 0, [], EMPTY_ROOT),
            "tree size of an inclusion proof: given 0, expected 1 to 2**63 - 1 leaves",
        ),
        (
            (LEAVES[0], 0, 2**63, [], ROOTS[1]),
            "tree size of an inclusion proof: given 9223372036854775808, expected 1 to 2**63 - 1 leaves",
        ),
        (
            (LEAVES[0], 0, 10**5000, [], ROOTS[1]),
            "tree size of an inclusion proof: given a number of 16610 bits, expected 1 to 2**63 - 1 leaves",
        ),
        (
            (LEAVES[0], -1, 1, [], ROOTS[1]),
            "leaf index of an inclusion proof: given -1, expected 0 to 0",
        ),
        (
            (LEAVES[0], 8, 8, [], ROOTS[8]),
            "leaf index of an inclusion proof: given 8, expected 0 to 7",
        ),
        (
            (LEAVES[0][:31], 0, 1, [], LEAVES[0]),
            (
                "leaf hash of the inclusion proof of leaf 0 in the tree of 1 leaves: "
                "given 31 bytes, expected 32 bytes"
            ),
        ),
        (
            (b"", 0, 1, [], b""),
            (
                "leaf hash of the inclusion proof of leaf 0 in the tree of 1 leaves: "
                "given 0 bytes, expected 32 bytes"
            ),
        ),
        (
            (LEAVES[0], 0, 1, [], LEAVES[0] + b"\x00"),
            "root of the inclusion proof of leaf 0 in the tree of 1 leaves: given 33 bytes, expected 32 bytes",
        ),
        (
            (LEAVES[0], 0, 2, [LEAVES[1] + LEAVES[1]], ROOTS[2]),
            (
                "hash 0 of the inclusion proof of leaf 0 in the tree of 2 leaves: "
                "given 64 bytes, expected 32 bytes"
            ),
        ),
        (
            (LEAVES[0], 0, 2, [], ROOTS[2]),
            "hashes in the inclusion proof of leaf 0 in the tree of 2 leaves: given 0, expected 1",
        ),
        (
            (LEAVES[0], 0, 2, [LEAVES[1]] * 10_000, ROOTS[2]),
            "hashes in the inclusion proof of leaf 0 in the tree of 2 leaves: given 10000, expected 1",
        ),
        (
            (LEAVES[0], 0, 2, [LEAVES[1]], ROOTS[3]),
            (
                "root by the inclusion proof of leaf 0 in the tree of 2 leaves: "
                f"given {ROOTS[2].hex()}, expected {ROOTS[3].hex()}"
            ),
        ),
    ],
)
def test_broken_inclusion_proofs_name_what_broke(arguments, message):
    with pytest.raises(BrokenProof) as caught:
        verify_inclusion(*arguments)
    assert str(caught.value) == message
    assert caught.value.reason is Reason.BAD_INCLUSION_PROOF


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            (2, ROOTS[2], 1, ROOTS[1], []),
            "old size of a consistency proof: given 2, expected 0 to 1",
        ),
        (
            (-1, ROOTS[2], 1, ROOTS[1], []),
            "old size of a consistency proof: given -1, expected 0 to 1",
        ),
        (
            (1, ROOTS[1], 2**63, ROOTS[2], []),
            "new size of a consistency proof: given 9223372036854775808, expected 0 to 2**63 - 1 leaves",
        ),
        (
            (0, EMPTY_ROOT, 5, ROOTS[5], [ROOTS[5]]),
            "hashes in the consistency proof from 0 to 5 leaves: given 1, expected 0",
        ),
        (
            (0, ROOTS[1], 5, ROOTS[5], []),
            (
                "old root by the consistency proof from 0 to 5 leaves: "
                f"given {EMPTY_ROOT.hex()}, expected {ROOTS[1].hex()}"
            ),
        ),
        (
            (0, EMPTY_ROOT, 0, ROOTS[1], []),
            (
                "new root by the consistency proof from 0 to 0 leaves: "
                f"given {EMPTY_ROOT.hex()}, expected {ROOTS[1].hex()}"
            ),
        ),
        (
            (5, ROOTS[4], 5, ROOTS[5], []),
            (
                "old root by the consistency proof from 5 to 5 leaves: "
                f"given {ROOTS[5].hex()}, expected {ROOTS[4].hex()}"
            ),
        ),
        (
            (1, ROOTS[1], 2, ROOTS[3], [LEAVES[1]]),
            (
                "new root by the consistency proof from 1 to 2 leaves: "
                f"given {ROOTS[2].hex()}, expected {ROOTS[3].hex()}"
            ),
        ),
        (
            (1, b"", 2, ROOTS[2], [LEAVES[1]]),
            "old root of the consistency proof from 1 to 2 leaves: given 0 bytes, expected 32 bytes",
        ),
        (
            (1, ROOTS[1], 2, ROOTS[2][1:], [LEAVES[1]]),
            "new root of the consistency proof from 1 to 2 leaves: given 31 bytes, expected 32 bytes",
        ),
        (
            (1, ROOTS[1], 2, ROOTS[2], [b""]),
            "hash 0 of the consistency proof from 1 to 2 leaves: given 0 bytes, expected 32 bytes",
        ),
    ],
)
def test_broken_consistency_proofs_name_what_broke(arguments, message):
    with pytest.raises(BrokenProof) as caught:
        verify_consistency(*arguments)
    assert str(caught.value) == message
    assert caught.value.reason is Reason.BAD_CONSISTENCY_PROOF


@pytest.mark.parametrize(
    ("build", "arguments", "message"),
    [
        (inclusion_proof, (0, 0), "tree size: given 0, expected 1 to 2**63 - 1 leaves"),
        (inclusion_proof, (5, 5), "leaf index: given 5, expected 0 to 4, the tree's last leaf"),
        (inclusion_proof, (-1, 5), "leaf index: given -1, expected 0 to 4, the tree's last leaf"),
        (consistency_proof, (6, 5), "old tree size: given 6, expected 0 to 5, the new tree's size"),
        (consistency_proof, (-1, 5), "old tree size: given -1, expected 0 to 5, the new tree's size"),
        (consistency_proof, (0, -1), "new tree size: given -1, expected 0 to 2**63 - 1 leaves"),
    ],
)
def test_proofs_that_nobody_can_build(build, arguments, message):
    with pytest.raises(BadInput) as caught:
        build(*arguments, node)
    assert str(caught.value) == message
    assert caught.value.reason is Reason.INVALID_REQUEST


hashes = st.binary(max_size=40) | st.binary(min_size=32, max_size=32)
numbers = st.integers(-3, 40) | st.integers()


@settings(deadline=None)
@given(hashes, numbers, numbers, st.lists(hashes, max_size=9), hashes)
def test_random_proofs_are_refused_without_a_crash(one, number, other, proof, another):
    for verify, arguments in (
        (verify_inclusion, (one, number, other, proof, another)),
        (verify_consistency, (number, one, other, another, proof)),
    ):
        try:
            verify(*arguments)
        except LedgerError:
            continue
        assert (one, proof) == (another, []) or (number == 0 and one == EMPTY_ROOT)


# The vectors of others


def vectors(folder):
    for path in sorted(folder.rglob("*.json")):
        yield str(path.relative_to(folder)), json.loads(path.read_text())


def unbase64(values):
    return [base64.b64decode(value) for value in values or []]


def test_inclusion_vectors(shared):
    outcomes = Counter()
    for name, case in vectors(shared / "tlog/merkle-rfc6962/testdata/inclusion"):
        leaf, root, *proof = unbase64([case["leafHash"], case["root"], *(case["proof"] or [])])
        arguments = (leaf, case["leafIdx"], case["treeSize"], proof, root)
        assert accepted(verify_inclusion, *arguments) is not case["wantErr"], name
        outcomes[case["wantErr"]] += 1
    assert outcomes == {True: 92, False: 6}


# RFC 6962 leaves a consistency proof from size 0 open, and these files refuse it. We go by C2SP tlog-witness, which
# lets every log begin there: the proof is empty, because the empty tree is consistent with any tree.
FROM_SIZE_ZERO = [
    "additional/size1-is-zero-and-does-not-equal-size2.json",
    "additional/size1-is-zero-and-size2-is-not-zero.json",
    "additional/sizes-are-equal-zero-and-proof-is-empty.json",
]


def test_consistency_vectors(shared):
    outcomes, disputed = Counter(), []
    for name, case in vectors(shared / "tlog/merkle-rfc6962/testdata/consistency"):
        roots = unbase64([case["root1"], case["root2"]])
        # Some files write words for a root. A real hash in their place puts the case itself to the test.
        first = EMPTY_ROOT if case["size1"] == 0 else LEAVES[1]
        stand_in = {b"don't care 1": first, b"don't care 2": LEAVES[2]}
        old_root, new_root = (stand_in.get(root, root) for root in roots)
        arguments = (case["size1"], old_root, case["size2"], new_root, unbase64(case["proof"]))
        if accepted(verify_consistency, *arguments) is case["wantErr"]:
            disputed.append(name)
        outcomes[case["wantErr"]] += 1
        if set(roots) & set(stand_in):  # and words are no root, whatever else is right
            fails_consistency(case["size1"], roots[0], case["size2"], roots[1], unbase64(case["proof"]))
    assert outcomes == {True: 92, False: 6}
    assert disputed == FROM_SIZE_ZERO
