"""The nodes within one tile, for whoever builds proofs through many of them.

A proof takes a hash from each level of a tile, which together cover all of its leaves: whoever has only the tile
hashes it from end to end. The *crown* is what lies from the fifth level on, above groups of sixteen hashes. With it
and the tile itself a proof costs a dozen hashes instead of 250, and it is an eighth as long as the tile, so that the
crowns of many tiles can be kept where the tiles cannot.

    level 0            256 hashes: the tile
    levels 1 to 3      128, 64, 32: hashed when they are asked for, from up to eight of the tile's
    levels 4 to 7      16, 8, 4, 2: the crown
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypeAlias

from ledger.merkle import HASH_SIZE, Subtree
from ledger.tiles import TILE_HEIGHT, TILE_WIDTH, TileKey, row_above

CROWN_LEVEL = 4
"""Levels from the tile's hashes up to the crown's lowest row."""

Crown: TypeAlias = tuple[bytes, ...]
"""Its rows, from below, each as far as the tile has complete nodes: 960 bytes above a full tile."""


def crown_of(row: bytes) -> Crown:
    """The crown above a tile's hashes."""
    rows = []
    for level in range(1, TILE_HEIGHT):
        row = row_above(row)
        if level >= CROWN_LEVEL:
            rows.append(row)
    return tuple(rows)


def node_in(row: bytes, crown: Crown, rise: int, number: int) -> bytes:
    """A node of a tile; 32 bytes.

    Args:
        row: the tile's hashes, of which there are enough.
        crown: above them; empty will do below its rows.
        rise: levels above the hashes, 0 to 7.
        number: of the node among those of its level.
    """
    if rise >= CROWN_LEVEL:
        begin = number * HASH_SIZE
        return crown[rise - CROWN_LEVEL][begin : begin + HASH_SIZE]
    width = HASH_SIZE << rise
    node = row[number * width : (number + 1) * width]
    for _ in range(rise):
        node = row_above(node)
    return node


def place_of(subtree: Subtree) -> tuple[TileKey, int, int]:
    """Where a complete subtree is: its tile, how many levels above the tile's hashes, and its number there."""
    level, index = subtree
    tile_level, rise = divmod(level, TILE_HEIGHT)
    tile_index, number = divmod(index, TILE_WIDTH >> rise)
    return (tile_level, tile_index), rise, number


def tiles_under(subtrees: Iterable[Subtree]) -> dict[TileKey, int]:
    """The tiles from which these nodes follow, each with the hashes that it has to have at least."""
    widths: dict[TileKey, int] = {}
    for subtree in subtrees:
        tile, rise, number = place_of(subtree)
        widths[tile] = max(widths.get(tile, 0), (number + 1) << rise)
    return widths


def tiles_beside(indexes: Iterable[int], size: int) -> dict[TileKey, int]:
    """The tiles from which the inclusion proofs of these leaves follow, each with the hashes that it has to have.

    They are the tiles on the way from each leaf to the root, and those at the right edge of the tree.

    Args:
        indexes: of leaves that there are.
        size: leaves of the tree.
    """
    on_the_way = {index // TILE_WIDTH for index in indexes}
    level, width = 0, size
    widths: dict[TileKey, int] = {}
    while width:
        for index in (*on_the_way, width // TILE_WIDTH):
            hashes = min(width - index * TILE_WIDTH, TILE_WIDTH)
            if hashes > 0:
                widths[level, index] = hashes
        on_the_way = {index // TILE_WIDTH for index in on_the_way}
        level, width = level + 1, width // TILE_WIDTH
    return widths
