from __future__ import annotations

from dataclasses import FrozenInstanceError
from functools import cache

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ledger.errors import BrokenProof, Reason
from ledger.frontier import Frontier, RightEdge
from ledger.merkle import (
    EMPTY_ROOT,
    consistency_proof,
    inclusion_proof,
    leaf_hash,
    root_of,
    subtrees,
    verify_consistency,
    verify_inclusion,
)
from ledger.tiles import TileId, changed_tiles, tiles_of

LEAVES = [leaf_hash(str(number).encode()) for number in range(70_000)]


@pytest.fixture(scope="module")
def complete():
    """Every complete subtree over the leaves."""
    found = {}
    Frontier().extend(LEAVES, found)
    return found


def tile_by_definition(tile):
    """C2SP tlog-tiles, "More formally": the concatenation of MTH(D[(n*256+i) * 256**l : (n*256+i+1) * 256**l])."""
    span = 256**tile.level
    first = tile.index * 256
    return b"".join(
        root_of(LEAVES[number * span : (number + 1) * span]) for number in range(first, first + tile.width)
    )


# Frontier


def test_the_empty_frontier():
    assert Frontier().root() == EMPTY_ROOT
    assert Frontier().complete_subtrees() == {}
    assert Frontier() == Frontier(0, ()) == Frontier().extend([])


def test_frontier_has_the_reference_root_at_every_size():
    frontier, copies = Frontier(), []
    for size in range(601):
        assert frontier.size == size
        assert frontier.root() == root_of(LEAVES[:size])
        assert frontier.complete_subtrees() == {
            (level, index): root_of(LEAVES[index << level : (index + 1) << level])
            for level, index in subtrees(0, size)
        }
        copies.append((frontier, Frontier(frontier.size, frontier.nodes)))
        frontier = frontier.append(LEAVES[size])
    for size, (kept, copy) in enumerate(copies):  # what was appended later has touched none of them
        assert kept.root() == copy.root() == root_of(LEAVES[:size])
        assert kept == copy
        assert kept.append(LEAVES[size]) == copy.extend(LEAVES[size : size + 1])


def test_frontier_of_a_large_tree():
    assert Frontier().extend(LEAVES).root() == root_of(LEAVES)


def test_two_branches_from_one_frontier():
    trunk = Frontier().extend(LEAVES[:300])
    one, other = trunk.append(LEAVES[1000]), trunk.append(LEAVES[2000])
    assert one.root() == root_of([*LEAVES[:300], LEAVES[1000]])
    assert other.root() == root_of([*LEAVES[:300], LEAVES[2000]])
    assert trunk.root() == root_of(LEAVES[:300])


def test_frontier_is_immutable():
    with pytest.raises(FrozenInstanceError):
        Frontier().size = 1


def test_completed_subtrees_are_all_that_the_batch_completed_and_no_others(complete):
    for old, new in [(0, 1), (0, 8), (5, 9), (7, 8), (255, 257), (300, 300), (300, 600)]:
        completed = {}
        Frontier().extend(LEAVES[:old]).extend(LEAVES[old:new], completed)
        assert completed == {
            (level, index): node
            for (level, index), node in complete.items()
            if old < (index + 1) << level <= new
        }
        for level in range(10):
            indexes = [index for found, index in completed if found == level]
            assert indexes == sorted(indexes)


def test_append_and_extend_report_the_same():
    one, other = {}, {}
    frontier = start = Frontier().extend(LEAVES[:77])
    for leaf in LEAVES[77:200]:
        frontier = frontier.append(leaf, one)
    assert frontier == start.extend(LEAVES[77:200], other) == start.extend(LEAVES[77:200])
    assert one == other


def test_frontier_read_from_a_store(complete):
    for size in [*range(300), 65_536, 69_999]:
        frontier = Frontier.read(size, lambda level, index: complete[level, index])
        assert frontier == Frontier().extend(LEAVES[:size])


@pytest.mark.parametrize(
    ("size", "nodes", "message"),
    [
        (-1, (), "size of a frontier: given -1, expected 0 to 2**63 - 1 leaves"),
        (2**63, LEAVES[:1], "size of a frontier: given 9223372036854775808, expected 0 to 2**63 - 1 leaves"),
        (0, LEAVES[:1], "hashes in the frontier of 0 leaves: given 1, expected 0"),
        (7, LEAVES[:2], "hashes in the frontier of 7 leaves: given 2, expected 3"),
        (8, LEAVES[:2], "hashes in the frontier of 8 leaves: given 2, expected 1"),
        (3, (LEAVES[0], b""), "hash in the frontier of 3 leaves: given 0 bytes, expected 32 bytes"),
    ],
)
def test_impossible_frontiers(size, nodes, message):
    with pytest.raises(BrokenProof) as caught:
        Frontier(size, tuple(nodes))
    assert str(caught.value) == message
    assert caught.value.reason is Reason.BAD_CHECKPOINT


def test_a_leaf_hash_of_the_wrong_length():
    frontier = Frontier().extend(LEAVES[:4])
    with pytest.raises(BrokenProof) as caught:
        frontier.extend([LEAVES[4], LEAVES[5][:31]])
    assert str(caught.value) == "hash of leaf 5: given 31 bytes, expected 32 bytes"
    assert caught.value.reason is Reason.BAD_ENTRY
    assert frontier.root() == root_of(LEAVES[:4])


def test_a_tree_that_is_full():
    with pytest.raises(BrokenProof, match="size of a frontier: given 9223372036854775808"):
        Frontier(2**63 - 1, tuple(LEAVES[:63])).append(LEAVES[0])


# A batch proves itself from the old frontier and what it completed


@cache
def root(size):
    return root_of(LEAVES[:size])


def proves_itself(old, new):
    before = Frontier().extend(LEAVES[:old])
    known = before.complete_subtrees()
    after = before.extend(LEAVES[old:new], known)

    def node(level, index):
        return known[level, index]

    assert after.root() == root(new)
    for index in range(old, new):
        verify_inclusion(LEAVES[index], index, new, inclusion_proof(index, new, node), root(new))
    proof = consistency_proof(old, new, node)
    verify_consistency(old, root(old), new, root(new), proof)


def test_every_small_batch_proves_itself():
    for new in range(71):
        for old in range(new + 1):
            proves_itself(old, new)


@settings(deadline=None)
@given(st.integers(0, 3000), st.integers(0, 70))
def test_any_batch_proves_itself(old, count):
    proves_itself(old, old + count)


# RightEdge


@pytest.mark.parametrize("size", [0, 1, 255, 256, 257, 65_536, 70_000])
def test_tiles_of_one_batch_are_those_of_the_definition(size):
    completed = {}
    Frontier().extend(LEAVES[:size], completed)
    edge, changed = RightEdge().extend(completed)
    assert edge.size == size
    named = list(tiles_of(size))
    assert [(tile.level, tile.index) for tile in named] == list(changed)
    for tile in named:
        assert changed[tile.level, tile.index] == tile_by_definition(tile)
    partial = {tile.level: tile for tile in named if tile.width < 256}
    assert edge.tiles == tuple(
        tile_by_definition(partial[level]) if level in partial else b"" for level in range(len(edge.tiles))
    )


def test_partial_tiles_of_70_000_leaves():
    completed = {}
    Frontier().extend(LEAVES, completed)
    edge, _ = RightEdge().extend(completed)
    assert [len(tile) // 32 for tile in edge.tiles] == [112, 17, 1]


def grow(sizes):
    """The stored tiles, the frontier and the edge after batches up to these sizes."""
    frontier, edge, stored = Frontier(), RightEdge(), {}
    for size in sizes:
        completed = {}
        before, old = edge, frontier.size
        frontier = frontier.extend(LEAVES[old:size], completed)
        edge, changed = edge.extend(completed)
        assert edge.size == frontier.size == size
        assert {TileId(*key, len(tile) // 32) for key, tile in changed.items()} == set(
            changed_tiles(old, size)
        )
        for key, tile in changed.items():
            assert tile.startswith(stored.get(key, b""))  # a partial tile is a prefix of the wider one
            stored[key] = tile
        assert edge.extend({}) == (edge, {})
        assert before.size == old
    return stored, frontier, edge


@settings(deadline=None)
@given(st.lists(st.integers(0, 3000), max_size=12).map(sorted))
def test_batches_of_any_size_end_with_the_same_tiles(sizes):
    stored, frontier, edge = grow(sizes)
    at_once, same_frontier, same_edge = grow(sizes[-1:])
    assert (stored, frontier, edge) == (at_once, same_frontier, same_edge)


def test_batches_across_the_borders_of_two_levels():
    stored, _, edge = grow([1, 255, 256, 257, 65_280, 65_535, 65_536, 65_537, 65_800])
    at_once, _, same_edge = grow([65_800])
    assert (stored, edge) == (at_once, same_edge)


def test_right_edge_read_from_a_store_of_wider_tiles():
    stored, _, _ = grow([66_000])
    for size in [0, 1, 255, 256, 257, 300, 511, 512, 65_535, 65_536, 65_537, 66_000]:
        _, _, edge = grow([size])
        assert RightEdge.read(size, lambda level, index: stored[level, index]) == edge


def test_a_store_with_a_short_tile():
    with pytest.raises(BrokenProof) as caught:
        RightEdge.read(3, lambda *_: LEAVES[0] + LEAVES[1])
    assert (
        str(caught.value) == "bytes of the partial tiles of the tree of 3 leaves: given [64], expected [96]"
    )
    assert caught.value.reason is Reason.BAD_CHECKPOINT


@pytest.mark.parametrize(
    ("size", "tiles"),
    [
        (0, (b"",)),
        (1, ()),
        (1, (b"",)),
        (1, (LEAVES[0] * 2,)),
        (256, (b"",)),
        (256, (LEAVES[0],)),
        (2, (b"x" * 63,)),
    ],
)
def test_impossible_right_edges(size, tiles):
    with pytest.raises(BrokenProof, match=f"bytes of the partial tiles of the tree of {size} leaves"):
        RightEdge(size, tiles)


@pytest.mark.parametrize("size", [-1, 2**63])
def test_right_edges_of_no_tree(size):
    with pytest.raises(BrokenProof) as caught:
        RightEdge.read(size, lambda *_: b"")
    assert str(caught.value) == f"size of a right edge: given {size}, expected 0 to 2**63 - 1 leaves"
    assert caught.value.reason is Reason.BAD_CHECKPOINT


def test_right_edge_refuses_subtrees_that_do_not_follow():
    _, frontier, edge = grow([300])
    completed = {}
    frontier.append(LEAVES[300]).append(LEAVES[301], completed)
    with pytest.raises(BrokenProof) as caught:
        edge.extend(completed)
    message = "index of the next subtree of level 0 after 300 leaves: given 301, expected 300"
    assert str(caught.value) == message
    assert caught.value.reason is Reason.BAD_CHECKPOINT
