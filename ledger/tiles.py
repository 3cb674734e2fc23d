"""Tiles: the log's tree and entries as files that never change.

Source: C2SP tlog-tiles. A tile of level l is up to 256 consecutive hashes of complete subtrees of 256**l leaves, one
after the other, 32 bytes each: level 0 holds leaf hashes, and each hash of level l + 1 sums up a full tile of level l.
An entry bundle is the entries of one level-0 tile. A tile with less than 256 hashes is *partial*: the same tile with
fewer hashes is a prefix of it, and it is never summed up above.

    tile/<level>/<index>            256 hashes, 8,192 bytes
    tile/<level>/<index>.p/<width>  a partial tile; 1 to 255 hashes
    tile/entries/<index>            256 entries, each after its length (uint16, big-endian)
    tile/entries/<index>.p/<width>  a partial bundle

Indexes are spelt in groups of three digits: 1234067 is `x001/x234/067`.

A tree node of level r above the hashes of a tile is computed from them; `TileNodes` does that, and so serves as the
node store for `ledger.merkle`. The other way round `ledger.frontier.RightEdge` turns the subtrees that a batch
completed into the tiles that the batch changed.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import TypeAlias

from ledger.errors import BadInput, BrokenProof, Reason
from ledger.merkle import HASH_SIZE, MAX_TREE_SIZE, NODE_PREFIX

TILE_HEIGHT = 8
"""Levels of the tree that one tile spans."""

TILE_WIDTH = 1 << TILE_HEIGHT
"""Hashes in a full tile, entries in a full bundle."""

TILE_SIZE = TILE_WIDTH * HASH_SIZE
"""Bytes of a full tile."""

MAX_ENTRY_SIZE = 2**16 - 1
"""Bytes of the longest entry that a bundle can hold."""

MAX_LEVEL = 63
"""The highest level that a path can name; no tree below 2**63 leaves has one above 7."""

MAX_INDEX = MAX_TREE_SIZE >> TILE_HEIGHT
"""The highest index of a tile in any tree."""

TileKey: TypeAlias = tuple[int, int]
"""A tile of whatever width: its level and its index."""

TileReader: TypeAlias = Callable[[int, int], bytes]
"""Gives the tile `(level, index)`: all its hashes, or as many as there are."""


@dataclass(frozen=True, slots=True, order=True)
class TileId:
    """Names a tile.

    Attributes:
        level: 0 for leaf hashes, each level above sums up 256 hashes of the one below.
        index: number of the tile within its level.
        width: hashes in the tile, 1 to 256.

    Raises:
        BadInput: no tile has such a name.
    """

    level: int
    index: int
    width: int = TILE_WIDTH

    def __post_init__(self) -> None:
        _check_range("level of a tile", self.level, 0, MAX_LEVEL)
        _check_range("index of a tile", self.index, 0, MAX_INDEX)
        _check_range("width of a tile", self.width, 1, TILE_WIDTH)

    def path(self) -> str:
        """Its path below the log's URL: `tile/0/x001/234.p/5`."""
        return f"tile/{self.level}/{_spell(self.index, self.width)}"


@dataclass(frozen=True, slots=True, order=True)
class BundleId:
    """Names a bundle of entries.

    Attributes:
        index: number of the bundle; its entries begin at 256 * index.
        width: entries in the bundle, 1 to 256.

    Raises:
        BadInput: no bundle has such a name.
    """

    index: int
    width: int = TILE_WIDTH

    def __post_init__(self) -> None:
        _check_range("index of an entry bundle", self.index, 0, MAX_INDEX)
        _check_range("width of an entry bundle", self.width, 1, TILE_WIDTH)

    def path(self) -> str:
        """Its path below the log's URL: `tile/entries/x001/234.p/5`."""
        return f"tile/entries/{_spell(self.index, self.width)}"


_PATH = re.compile(
    r"tile/(entries|0|[1-9][0-9]?)/((?:x[0-9]{3}/){0,5}[0-9]{3})(?:\.p/([1-9][0-9]{0,2}))?", re.ASCII
)


def parse_path(path: str) -> TileId | BundleId:
    """The tile or bundle that a path names; only the one spelling that `path()` prints is accepted.

    Raises:
        BadInput: the path names none, or not in that spelling (`INVALID_REQUEST`).
    """
    match = _PATH.fullmatch(path)
    if match is None:
        raise _bad_path(path)
    level, index_text, width_text = match.groups()
    index = int(index_text.replace("/", "").replace("x", ""))
    width = TILE_WIDTH if width_text is None else int(width_text)
    tile = BundleId(index, width) if level == "entries" else TileId(int(level), index, width)
    if tile.path() != path:
        raise _bad_path(path)
    return tile


def changed_tiles(old_size: int, new_size: int) -> Iterator[TileId]:
    """The tiles that are new or wider in the tree of `new_size` leaves, in their new width, from below.

    Raises:
        BadInput: a size that no tree has, or an old size above the new one.
    """
    _check_growth(old_size, new_size)
    for level in range(MAX_LEVEL + 1):
        old_width, new_width = old_size >> TILE_HEIGHT * level, new_size >> TILE_HEIGHT * level
        if old_width == new_width:  # then no level above has changed either
            return
        for index, width in _pieces(old_width, new_width):
            yield TileId(level, index, width)


def tiles_of(size: int) -> Iterator[TileId]:
    """All tiles of the tree of `size` leaves, from below.

    Raises:
        BadInput: no tree has that size.
    """
    return changed_tiles(0, size)


def changed_bundles(old_size: int, new_size: int) -> Iterator[BundleId]:
    """The entry bundles that are new or wider in the log of `new_size` entries, in their new width.

    Raises:
        BadInput: a size that no log has, or an old size above the new one.
    """
    _check_growth(old_size, new_size)
    for index, width in _pieces(old_size, new_size):
        yield BundleId(index, width)


def bundles_of(size: int) -> Iterator[BundleId]:
    """All entry bundles of the log of `size` entries.

    Raises:
        BadInput: no log has that size.
    """
    return changed_bundles(0, size)


def encode_bundle(entries: Sequence[bytes]) -> bytes:
    """The bundle of these 1 to 256 entries.

    Raises:
        BadInput: too many or no entries, or one that is too long for its length prefix.
    """
    _check_range("entries in a bundle", len(entries), 1, TILE_WIDTH)
    parts: list[bytes] = []
    for entry in entries:
        if len(entry) > MAX_ENTRY_SIZE:
            subject = "entry in a bundle"
            given, expected = f"{len(entry)} bytes", f"at most {MAX_ENTRY_SIZE} bytes"
            raise BadInput(Reason.EVENT_TOO_LARGE, subject, given=given, expected=expected)
        parts += len(entry).to_bytes(2, "big"), entry
    return b"".join(parts)


def decode_bundle(bundle: bytes, width: int = TILE_WIDTH) -> list[bytes]:
    """The `width` entries of a bundle.

    Raises:
        BrokenProof: it holds more or fewer entries, or ends within one (`BAD_ENTRY`).
    """
    entries = []
    position = 0
    for number in range(width):
        begin = position + 2
        length = int.from_bytes(bundle[position:begin], "big") if begin <= len(bundle) else 0
        position = begin + length
        if position > len(bundle):
            subject = f"bytes of a bundle that holds entry {number} of {width}"
            raise BrokenProof(Reason.BAD_ENTRY, subject, given=len(bundle), expected=f"at least {position}")
        entries.append(bundle[begin:position])
    if position != len(bundle):
        subject = f"bytes of a bundle of {width} entries"
        raise BrokenProof(Reason.BAD_ENTRY, subject, given=len(bundle), expected=position)
    return entries


class TileNodes:
    """The hashes of complete subtrees, computed from tiles: a `ledger.merkle.NodeReader` over a store of tiles.

    What was read and computed is kept for the tiles used last. A partial tile only ever grows at its end, so what is
    kept of it stays right; it is read again when a node beyond its end is asked for.

    The tiles are believed. A proof made from wrong tiles does not verify, and that is what proofs are for.
    One thread at a time may call it.
    """

    __slots__ = ("_kept", "_read_tile", "_tiles")

    def __init__(self, read_tile: TileReader, *, kept: int = 64) -> None:
        """Nodes from the tiles that `read_tile` gives, keeping `kept` (at least 1) tiles, up to 17 KB each."""
        self._read_tile = read_tile
        self._kept = kept
        self._tiles: dict[TileKey, list[bytes]] = {}

    def __call__(self, level: int, index: int) -> bytes:
        """The hash of the complete subtree `(level, index)`; 32 bytes.

        Raises:
            BrokenProof: the tile does not reach so far, or is no row of hashes (`BAD_INCLUSION_PROOF`).
        """
        tile_level, rise = divmod(level, TILE_HEIGHT)
        tile_index, first = divmod(index << rise, TILE_WIDTH)
        rows = self._rows((tile_level, tile_index), (first + (1 << rise)) * HASH_SIZE)
        while len(rows) <= rise:
            rows.append(row_above(rows[-1]))
        begin = (first >> rise) * HASH_SIZE
        return rows[rise][begin : begin + HASH_SIZE]

    def _rows(self, tile: TileKey, needed: int) -> list[bytes]:
        """The tile's rows computed so far, its own hashes first, after a look that they are `needed` bytes long."""
        rows = self._tiles.pop(tile, None)
        if rows is None or len(rows[0]) < needed:
            rows = [self._read_tile(*tile)]
            require_row(tile, rows[0], needed)
        self._tiles[tile] = rows  # at the end: the first is the one that was not used for longest
        if len(self._tiles) > self._kept:
            del self._tiles[next(iter(self._tiles))]
        return rows


def require_row(tile: TileKey, row: bytes, needed: int) -> None:
    """A look that what a store gave for a tile is a row of hashes, `needed` bytes at least.

    Raises:
        BrokenProof: it is not (`BAD_INCLUSION_PROOF`).
    """
    given = len(row)
    if not needed <= given <= TILE_SIZE or given % HASH_SIZE:
        expected = f"{needed} to {TILE_SIZE} bytes, a multiple of {HASH_SIZE}"
        raise BrokenProof(
            Reason.BAD_INCLUSION_PROOF,
            f"tile {tile[0]}/{tile[1]}",
            given=f"{given} bytes",
            expected=expected,
        )


def row_above(row: bytes) -> bytes:
    """The hashes of the nodes above each two neighbours of a row; an odd last one has none yet."""
    pair = 2 * HASH_SIZE
    ends = range(pair, len(row) + 1, pair)
    return b"".join([sha256(NODE_PREFIX + row[end - pair : end]).digest() for end in ends])


def _check_range(subject: str, given: int, low: int, high: int) -> None:
    if not low <= given <= high:
        raise BadInput(Reason.INVALID_REQUEST, subject, given=given, expected=f"{low} to {high}")


def _check_growth(old_size: int, new_size: int) -> None:
    _check_range("size of a tree", new_size, 0, MAX_TREE_SIZE)
    _check_range("size of a tree before it grew", old_size, 0, new_size)


def _bad_path(path: str) -> BadInput:
    given = repr(path if len(path) <= 64 else f"{path[:64]}…")
    expected = (
        "tile/<level>/<index>[.p/<width>] or tile/entries/<index>[.p/<width>], such as tile/0/x001/234.p/5"
    )
    return BadInput(Reason.INVALID_REQUEST, "path of a tile", given=given, expected=expected)


def _spell(index: int, width: int) -> str:
    groups = [f"{index % 1000:03}"]
    while index := index // 1000:
        groups.append(f"x{index % 1000:03}")
    path = "/".join(reversed(groups))
    return path if width == TILE_WIDTH else f"{path}.p/{width}"


def _pieces(old: int, new: int) -> Iterator[tuple[int, int]]:
    """Index and width of each tile that a row has touched when it grew from `old` to `new` hashes."""
    if old < new:
        for index in range(old // TILE_WIDTH, (new - 1) // TILE_WIDTH + 1):
            yield index, min(new - index * TILE_WIDTH, TILE_WIDTH)
