from __future__ import annotations

from hashlib import sha256

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ledger.crown import crown_of, node_in, place_of, tiles_beside, tiles_under
from ledger.frontier import Frontier, RightEdge
from ledger.merkle import (
    MAX_TREE_SIZE,
    consistency_proof_nodes,
    fold,
    inclusion_proof,
    inclusion_proof_nodes,
)
from ledger.paths import InclusionPaths

SIZE = 66_100
NODES: dict[tuple[int, int], bytes] = {}
Frontier().extend((sha256(b"%d" % number).digest() for number in range(SIZE)), NODES)
_, TILES = RightEdge().extend(NODES)


def cut(widths):
    """These tiles, no wider than they are said to have to be."""
    return {tile: TILES[tile][: 32 * width] for tile, width in widths.items()}


def reader(tiles):
    def node(level, index):
        tile, rise, number = place_of((level, index))
        return node_in(tiles[tile], crown_of(tiles[tile]), rise, number)

    return node


def test_every_node_of_a_tile():
    row = TILES[0, 7]
    crown = crown_of(row)
    assert [len(row) for row in crown] == [512, 256, 128, 64]
    for rise in range(8):
        for number in range(256 >> rise):
            assert node_in(row, crown, rise, number) == NODES[rise, 7 * (256 >> rise) + number]


@pytest.mark.parametrize("width", [1, 15, 16, 17, 100, 255])
def test_every_complete_node_of_a_partial_tile(width):
    row = TILES[0, 3][: 32 * width]
    crown = crown_of(row)
    for rise in range(8):
        for number in range(width >> rise):
            assert node_in(row, crown, rise, number) == NODES[rise, 3 * (256 >> rise) + number]


def test_the_lowest_levels_need_no_crown():
    assert node_in(TILES[0, 0], (), 3, 5) == NODES[3, 5]


@settings(deadline=None)
@given(st.data())
def test_proofs_built_together_are_those_built_one_by_one(data):
    size = data.draw(st.integers(1, SIZE) | st.sampled_from([1, 255, 256, 257, 65_535, 65_536, 65_537, SIZE]))
    indexes = data.draw(st.lists(st.integers(0, size - 1), max_size=20))
    paths = InclusionPaths(size, reader(cut(tiles_beside(indexes, size))))
    for index in indexes:
        assert paths.proof(index) == inclusion_proof(index, size, lambda *subtree: NODES[subtree])


@settings(deadline=None)
@given(st.integers(0, SIZE), st.integers(0, SIZE))
def test_the_tiles_of_a_consistency_proof_are_enough(one, other):
    old, new = sorted((one, other))
    nodes = consistency_proof_nodes(old, new)
    node = reader(cut(tiles_under(subtree for subtrees in nodes for subtree in subtrees)))
    for subtrees in nodes:
        assert fold([node(*subtree) for subtree in subtrees]) == fold(
            [NODES[subtree] for subtree in subtrees]
        )


def test_a_proof_in_the_largest_tree_takes_few_tiles():
    for index in (0, MAX_TREE_SIZE // 3, MAX_TREE_SIZE - 1):
        beside = tiles_beside([index], MAX_TREE_SIZE)
        assert len(beside) <= 16
        nodes = inclusion_proof_nodes(index, MAX_TREE_SIZE)
        under = tiles_under(subtree for subtrees in nodes for subtree in subtrees)
        assert all(beside[tile] >= width for tile, width in under.items())
