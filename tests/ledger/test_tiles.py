from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ledger.errors import BadInput, BrokenProof, LedgerError, Reason
from ledger.frontier import Frontier, RightEdge
from ledger.merkle import inclusion_proof, leaf_hash, root_of, verify_inclusion
from ledger.tiles import (
    MAX_INDEX,
    BundleId,
    TileId,
    TileNodes,
    bundles_of,
    changed_bundles,
    changed_tiles,
    decode_bundle,
    encode_bundle,
    parse_path,
    tiles_of,
)

LEAVES = [leaf_hash(str(number).encode()) for number in range(70_000)]


class Store:
    """The tiles of a tree, and a note of what was read."""

    def __init__(self, size):
        completed = {}
        Frontier().extend(LEAVES[:size], completed)
        _, self.tiles = RightEdge().extend(completed)
        self.nodes = completed
        self.reads = []

    def __call__(self, level, index):
        self.reads.append((level, index))
        return self.tiles[level, index]


@pytest.fixture(scope="module")
def large():
    return Store(70_000)


# Names


def test_paths_of_the_specification(shared):
    paths = json.loads((shared / "tlog/derived/tile_paths.json").read_text())
    for index, spelt in paths["paths"].items():
        for level in (0, 5, 63):
            assert TileId(level, int(index)).path() == f"tile/{level}/{spelt}"
            assert parse_path(f"tile/{level}/{spelt}") == TileId(level, int(index))
        assert BundleId(int(index), 7).path() == f"tile/entries/{spelt}.p/7"
        assert parse_path(f"tile/entries/{spelt}.p/7") == BundleId(int(index), 7)
    assert [tile.path() for tile in tiles_of(256)] == paths["size_256"]
    first, *others = paths["size_70000"]
    assert first == "tile/0/000..x272 (273 full)"
    named = [tile.path() for tile in tiles_of(70_000)]
    assert named == [f"tile/0/{number:03}" for number in range(273)] + others


@settings(deadline=None)
@given(st.integers(0, 63), st.integers(0, MAX_INDEX), st.integers(1, 256))
def test_paths_round_trip(level, index, width):
    for name in (TileId(level, index, width), BundleId(index, width)):
        assert parse_path(name.path()) == name


@pytest.mark.parametrize(
    ("defect", "path"),
    [
        ("empty", ""),
        ("leading slash", "/tile/0/000"),
        ("trailing slash", "tile/0/000/"),
        ("trailing newline", "tile/0/000\n"),
        ("another folder", "tiles/0/000"),
        ("no index", "tile/0"),
        ("level with a leading zero", "tile/00/000"),
        ("level with a leading zero and a digit", "tile/01/000"),
        ("level above 63", "tile/64/000"),
        ("level of three digits", "tile/100/000"),
        ("level with a sign", "tile/+1/000"),
        ("negative level", "tile/-1/000"),
        ("full-width digit in the level", "tile/１/000"),
        ("full-width digits in the index", "tile/0/００１"),
        ("index of two digits", "tile/0/12"),
        ("index of four digits", "tile/0/1234"),
        ("index without x", "tile/0/001/234"),
        ("last element with x", "tile/0/x001/x234"),
        ("x in capitals", "tile/0/X001/234"),
        ("leading zero element", "tile/0/x000/234"),
        ("index beyond any tree", "tile/0/x036/x028/x797/x018/x963/968"),
        ("too many elements", "tile/0/x001/x000/x000/x000/x000/x000/000"),
        ("width 0", "tile/0/000.p/0"),
        ("width 256", "tile/0/000.p/256"),
        ("width 999", "tile/0/000.p/999"),
        ("width with a leading zero", "tile/0/000.p/01"),
        ("width with a sign", "tile/0/000.p/+1"),
        ("full-width digit in the width", "tile/0/000.p/１"),
        ("no width", "tile/0/000.p/"),
        ("width without a dot", "tile/0/000p/1"),
        ("way out of the folder", "tile/0/../000"),
        ("entries in capitals", "tile/Entries/000"),
        ("level and entries", "tile/0/entries/000"),
        ("sumdb's height", "tile/8/0/000"),
    ],
)
def test_paths_that_name_no_tile(defect, path):
    with pytest.raises(BadInput) as caught:
        parse_path(path)
    assert caught.value.reason is Reason.INVALID_REQUEST, defect


def test_a_bad_path_is_told():
    with pytest.raises(BadInput) as caught:
        parse_path("tile/0/1")
    assert str(caught.value) == (
        "path of a tile: given 'tile/0/1', expected tile/<level>/<index>[.p/<width>] or "
        "tile/entries/<index>[.p/<width>], such as tile/0/x001/234.p/5"
    )
    with pytest.raises(BadInput) as caught:
        parse_path("a" * 100_000)
    assert len(str(caught.value)) < 300


@settings(deadline=None)
@given(st.text() | st.from_regex(r"tile/(entries|[0-9]{1,2})(/x?[0-9]{3}){0,7}(\.p/[0-9]+)?"))
def test_random_paths_are_refused_or_canonical(path):
    try:
        name = parse_path(path)
    except LedgerError:
        return
    assert name.path() == path


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: TileId(64, 0), "level of a tile: given 64, expected 0 to 63"),
        (lambda: TileId(-1, 0), "level of a tile: given -1, expected 0 to 63"),
        (lambda: TileId(0, -1), f"index of a tile: given -1, expected 0 to {MAX_INDEX}"),
        (lambda: TileId(0, 2**55), f"index of a tile: given {2**55}, expected 0 to {MAX_INDEX}"),
        (lambda: TileId(0, 0, 0), "width of a tile: given 0, expected 1 to 256"),
        (lambda: TileId(0, 0, 257), "width of a tile: given 257, expected 1 to 256"),
        (lambda: BundleId(-1), f"index of an entry bundle: given -1, expected 0 to {MAX_INDEX}"),
        (lambda: BundleId(0, 257), "width of an entry bundle: given 257, expected 1 to 256"),
    ],
)
def test_names_that_no_tile_has(make, message):
    with pytest.raises(BadInput) as caught:
        make()
    assert str(caught.value) == message
    assert caught.value.reason is Reason.INVALID_REQUEST


# Which tiles there are


@pytest.mark.parametrize(
    ("size", "full", "partial"),
    [
        (0, [], []),
        (1, [], [(0, 0, 1)]),
        (255, [], [(0, 0, 255)]),
        (256, [(0, 1)], [(1, 0, 1)]),
        (257, [(0, 1)], [(0, 1, 1), (1, 0, 1)]),
        (65_536, [(0, 256), (1, 1)], [(2, 0, 1)]),
        (70_000, [(0, 273), (1, 1)], [(0, 273, 112), (1, 1, 17), (2, 0, 1)]),
    ],
)
def test_tiles_of_a_tree(size, full, partial):
    expected = {TileId(level, index) for level, count in full for index in range(count)}
    expected |= {TileId(*name) for name in partial}
    named = list(tiles_of(size))
    assert named == sorted(expected)
    assert list(bundles_of(size)) == [BundleId(tile.index, tile.width) for tile in named if tile.level == 0]


@settings(deadline=None)
@given(st.integers(0, 70_000), st.integers(0, 70_000))
def test_changed_tiles_are_those_that_the_old_tree_does_not_have(one, other):
    old, new = sorted((one, other))
    before = set(tiles_of(old))
    assert list(changed_tiles(old, new)) == [tile for tile in tiles_of(new) if tile not in before]
    bundles = set(bundles_of(old))
    assert list(changed_bundles(old, new)) == [bundle for bundle in bundles_of(new) if bundle not in bundles]


def test_changed_tiles_of_a_huge_tree():
    size = 2**63 - 1
    assert list(changed_tiles(size, size)) == []
    assert [tile.path() for tile in changed_tiles(size - 1, size)] == [
        "tile/0/x036/x028/x797/x018/x963/967.p/255"
    ]
    assert [(tile.level, tile.width) for tile in changed_tiles(2**56 - 1, 2**56)] == [
        *((level, 256) for level in range(7)),
        (7, 1),
    ]
    assert list(changed_bundles(size - 1, size)) == [BundleId(MAX_INDEX, 255)]


@pytest.mark.parametrize("changed", [changed_tiles, changed_bundles])
def test_trees_do_not_shrink(changed):
    with pytest.raises(BadInput, match="size of a tree before it grew: given 6, expected 0 to 5"):
        list(changed(6, 5))
    with pytest.raises(BadInput, match="size of a tree: given 9223372036854775808, expected 0 to"):
        list(changed(0, 2**63))


# Entry bundles


@settings(deadline=None)
@given(st.lists(st.binary(max_size=300), min_size=1, max_size=256))
def test_bundles_round_trip(entries):
    bundle = encode_bundle(entries)
    assert decode_bundle(bundle, len(entries)) == entries
    assert len(bundle) == sum(2 + len(entry) for entry in entries)


def test_bundle_bytes():
    assert encode_bundle([b"a", b"", b"bc"]) == b"\x00\x01a\x00\x00\x00\x02bc"
    longest = bytes(65_535)
    assert encode_bundle([longest]) == b"\xff\xff" + longest
    assert decode_bundle(b"\xff\xff" + longest, 1) == [longest]


@pytest.mark.parametrize(
    ("entries", "reason", "message"),
    [
        ([], Reason.INVALID_REQUEST, "entries in a bundle: given 0, expected 1 to 256"),
        ([b""] * 257, Reason.INVALID_REQUEST, "entries in a bundle: given 257, expected 1 to 256"),
        (
            [b"", bytes(65_536)],
            Reason.EVENT_TOO_LARGE,
            "entry in a bundle: given 65536 bytes, expected at most 65535 bytes",
        ),
    ],
)
def test_bundles_that_cannot_be(entries, reason, message):
    with pytest.raises(BadInput) as caught:
        encode_bundle(entries)
    assert str(caught.value) == message
    assert caught.value.reason is reason


@pytest.mark.parametrize(
    ("bundle", "width", "message"),
    [
        (b"", 1, "bytes of a bundle that holds entry 0 of 1: given 0, expected at least 2"),
        (b"\x00", 1, "bytes of a bundle that holds entry 0 of 1: given 1, expected at least 2"),
        (b"\x00\x02a", 1, "bytes of a bundle that holds entry 0 of 1: given 3, expected at least 4"),
        (b"\x00\x01a", 2, "bytes of a bundle that holds entry 1 of 2: given 3, expected at least 5"),
        (b"\x00\x01a\x01", 2, "bytes of a bundle that holds entry 1 of 2: given 4, expected at least 5"),
        (b"\x00\x01a\x00\x00", 1, "bytes of a bundle of 1 entries: given 5, expected 3"),
        (
            b"\x00\x00" * 255,
            256,
            "bytes of a bundle that holds entry 255 of 256: given 510, expected at least 512",
        ),
        (b"\x00\x00" * 257, 256, "bytes of a bundle of 256 entries: given 514, expected 512"),
    ],
)
def test_broken_bundles(bundle, width, message):
    with pytest.raises(BrokenProof) as caught:
        decode_bundle(bundle, width)
    assert str(caught.value) == message
    assert caught.value.reason is Reason.BAD_ENTRY


@settings(deadline=None)
@given(st.binary(max_size=600), st.integers(1, 256))
def test_random_bundles_are_refused_or_canonical(bundle, width):
    try:
        entries = decode_bundle(bundle, width)
    except LedgerError:
        return
    assert len(entries) == width
    assert encode_bundle(entries) == bundle


# Nodes from tiles


def test_nodes_of_every_level_come_from_tiles(large):
    nodes = TileNodes(large, kept=1000)
    for (level, index), node in large.nodes.items():
        assert nodes(level, index) == node
    assert len(large.reads) == len(large.tiles)


def test_the_root_from_the_tiles_of_the_right_edge(large):
    for size in [1, 255, 256, 257, 65_536, 69_999, 70_000]:
        assert Frontier.read(size, TileNodes(large)).root() == root_of(LEAVES[:size])


def test_what_was_kept_is_not_read_again():
    store = Store(300)
    nodes = TileNodes(store)
    for _ in range(3):
        for index in (0, 255, 256, 299):
            verify_inclusion(
                LEAVES[index], index, 300, inclusion_proof(index, 300, nodes), root_of(LEAVES[:300])
            )
    assert sorted(store.reads) == [(0, 0), (0, 1), (1, 0)]


def test_a_partial_tile_is_read_again_once_it_has_grown():
    stores = {size: Store(size) for size in (3, 200, 256, 300)}

    def read(level, index):
        return stores[size](level, index)

    nodes = TileNodes(read)
    for size in stores:
        for index in range(size):
            proof = inclusion_proof(index, size, nodes)
            verify_inclusion(LEAVES[index], index, size, proof, root_of(LEAVES[:size]))
    assert {size: sorted(store.reads) for size, store in stores.items()} == {
        3: [(0, 0)],
        200: [(0, 0)],
        256: [(0, 0)],
        300: [(0, 1), (1, 0)],
    }


def test_only_the_tiles_used_last_are_kept(large):
    reads = []

    def read(level, index):
        reads.append(index)
        return large.tiles[level, index]

    nodes = TileNodes(read, kept=2)
    for index in (0, 1, 0, 2, 0, 1):
        assert nodes(0, index * 256) == LEAVES[index * 256]
    assert reads == [0, 1, 2, 1]


@pytest.mark.parametrize(
    ("tile", "given_bytes"),
    [(b"", 0), (LEAVES[0] * 7, 224), (LEAVES[0] * 8 + b"x", 257), (LEAVES[0] * 257, 8224)],
)
def test_tiles_that_are_too_short_or_no_row_of_hashes(tile, given_bytes):
    nodes = TileNodes(lambda *_: tile)
    for _ in range(2):  # nothing of a bad tile is kept
        with pytest.raises(BrokenProof) as caught:
            nodes(3, 32)
        message = f"tile 0/1: given {given_bytes} bytes, expected 256 to 8192 bytes, a multiple of 32"
        assert str(caught.value) == message
        assert caught.value.reason is Reason.BAD_INCLUSION_PROOF


def test_a_damaged_tile_breaks_the_proofs_through_it():
    store = Store(300)
    tile = bytearray(store.tiles[0, 0])
    tile[32 * 77] ^= 1
    store.tiles[0, 0] = bytes(tile)
    root = root_of(LEAVES[:300])
    for index in range(256):
        proof = inclusion_proof(index, 300, TileNodes(store))
        if index == 77:  # its own hash is not part of its proof
            verify_inclusion(LEAVES[index], index, 300, proof, root)
            continue
        with pytest.raises(BrokenProof):
            verify_inclusion(LEAVES[index], index, 300, proof, root)
