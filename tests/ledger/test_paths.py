from __future__ import annotations

from hashlib import sha256

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger.errors import BadInput
from ledger.frontier import Frontier
from ledger.merkle import inclusion_proof, verify_inclusion
from ledger.paths import InclusionPaths


def tree(size):
    """The nodes and the root of a tree of so many different leaves."""
    nodes = {}
    leaves = [sha256(b"%d" % number).digest() for number in range(size)]
    root = Frontier().extend(leaves, nodes).root()
    return nodes, leaves, root


def test_all_proofs_of_all_small_trees_are_those_of_merkle():
    for size in range(1, 70):
        nodes, leaves, root = tree(size)
        paths = InclusionPaths(size, lambda level, index, nodes=nodes: nodes[level, index])
        for index, leaf in enumerate(leaves):
            proof = paths.proof(index)
            assert proof == inclusion_proof(index, size, lambda *where, nodes=nodes: nodes[where])
            verify_inclusion(leaf, index, size, proof, root)


@given(old=st.integers(0, 600), grown=st.integers(1, 300), data=st.data())
def test_a_batchs_proofs_need_the_old_frontier_and_what_the_batch_completed(old, grown, data):
    before = Frontier().extend(sha256(b"%d" % number).digest() for number in range(old))
    nodes = before.complete_subtrees()
    leaves = [sha256(b"new %d" % number).digest() for number in range(grown)]
    after = before.extend(leaves, nodes)
    paths = InclusionPaths(after.size, lambda *where: nodes[where])
    for number in data.draw(st.lists(st.integers(0, grown - 1), max_size=20)):
        verify_inclusion(leaves[number], old + number, after.size, paths.proof(old + number), after.root())


def test_a_proof_that_was_handed_out_is_nobody_elses():
    nodes, _, _ = tree(9)
    paths = InclusionPaths(9, lambda *where: nodes[where])
    expected = [list(paths.proof(index)) for index in range(9)]
    for index in range(9):
        paths.proof(index).clear()
    assert [paths.proof(index) for index in range(9)] == expected


@pytest.mark.parametrize(
    ("size", "index", "message"),
    [
        (0, 0, "tree size: given 0, expected 1 to 2**63 - 1 leaves"),
        (2**63, 0, f"tree size: given {2**63}, expected 1 to 2**63 - 1 leaves"),
        (5, 5, "leaf index: given 5, expected 0 to 4, the tree's last leaf"),
        (5, -1, "leaf index: given -1, expected 0 to 4, the tree's last leaf"),
    ],
)
def test_proofs_that_nobody_can_build(size, index, message):
    with pytest.raises(BadInput) as caught:
        InclusionPaths(size, lambda *_: bytes(32)).proof(index)
    assert str(caught.value) == message
