"""Proofs from the stored tiles, for answers that read.

The proofs of one answer are built together: all tiles that they need and that are not at hand are read in one
statement for each level, in the transaction of the answer, and what their paths share is put together once
(`ledger.paths`). What is kept never goes stale: complete subtrees do not change, and a partial tile that is too short
is read again. It is two caches of bounded size: the tiles used last, and the crowns (`ledger.crown`) of many more, for
a tile is read quickly, and hashed slowly.
"""

from __future__ import annotations

import threading
from collections.abc import Collection, Iterable, Mapping
from contextlib import nullcontext
from typing import Generic, TypeVar

from sqlalchemy import Connection

from ledger.crown import CROWN_LEVEL, Crown, crown_of, node_in, place_of, tiles_beside, tiles_under
from ledger.merkle import (
    HASH_SIZE,
    NodeReader,
    consistency_proof,
    consistency_proof_nodes,
    inclusion_proof_nodes,
)
from ledger.paths import InclusionPaths
from ledger.tiles import TILE_SIZE, TileKey, require_row
from server.store import queries
from server.store.store import Store

V = TypeVar("V")


class Proofs:
    """Builds proofs for any committed size. Safe to share among threads."""

    def __init__(self, store: Store, *, kept_tiles: int = 1_024, kept_crowns: int = 16_384) -> None:
        """Nothing is kept yet.

        Args:
            store: the log.
            kept_tiles: the most tiles to keep, 8 KiB each.
            kept_crowns: the most crowns of full tiles to keep, 1.3 KiB each: for 4 million entries.
        """
        self._store = store
        self._tiles: _Kept[bytes] = _Kept(kept_tiles)
        self._crowns: _Kept[Crown] = _Kept(kept_crowns)

    def inclusion(self, index: int, size: int) -> list[bytes]:
        """The proof that entry `index` is in the tree of `size` entries.

        Raises:
            BadInput: `INVALID_REQUEST` if there is no such entry in such a tree.
        """
        inclusion_proof_nodes(index, size)  # refuses what cannot be asked for, before anything is read for it
        return self.inclusions([index], size)[0]

    def inclusions(
        self, indexes: Collection[int], size: int, connection: Connection | None = None
    ) -> list[list[bytes]]:
        """The proofs that entries are in the tree of `size` entries, in the order of the indexes.

        Args:
            indexes: entries that there are; some hundred at once, for all their tiles are held meanwhile.
            size: of the tree.
            connection: an open transaction that sees a log of that size; by default a new one is begun.

        Raises:
            ServiceFault: `STORE_DAMAGED` if a tile is missing.
            BrokenProof: a tile is too short, or is no row of hashes (`BAD_INCLUSION_PROOF`).
        """
        paths = InclusionPaths(size, self._nodes(tiles_beside(indexes, size), connection))
        return [paths.proof(index) for index in indexes]

    def consistency(self, old_size: int, new_size: int, connection: Connection | None = None) -> list[bytes]:
        """The proof that the tree of `new_size` entries begins with that of `old_size`.

        Raises:
            BadInput: `INVALID_REQUEST` if the old tree is the larger one.
            ServiceFault, BrokenProof: as `inclusions`.
        """
        nodes = consistency_proof_nodes(old_size, new_size)
        wanted = tiles_under(subtree for subtrees in nodes for subtree in subtrees)
        return consistency_proof(old_size, new_size, self._nodes(wanted, connection))

    def leaf_hashes(self, indexes: Collection[int], connection: Connection | None = None) -> list[bytes]:
        """What the tree holds as the leaf hashes of these entries.

        Raises:
            ServiceFault, BrokenProof: as `inclusions`.
        """
        node = self._nodes(tiles_under((0, index) for index in indexes), connection)
        return [node(0, index) for index in indexes]

    def _nodes(self, wanted: Mapping[TileKey, int], connection: Connection | None) -> NodeReader:
        """The nodes of these tiles, each of which is to have so many hashes."""
        tiles = self._gathered(wanted, connection)
        crowns: dict[TileKey, Crown] = {}

        def node(level: int, index: int) -> bytes:
            tile, rise, number = place_of((level, index))
            if rise >= CROWN_LEVEL and tile not in crowns:
                crowns[tile] = self._crown(tile, tiles[tile])
            return node_in(tiles[tile], crowns.get(tile, ()), rise, number)

        return node

    def _gathered(self, wanted: Mapping[TileKey, int], connection: Connection | None) -> dict[TileKey, bytes]:
        found = {tile: row for tile, row in self._tiles.find(wanted).items() if _reaches(row, wanted[tile])}
        missing: dict[int, list[int]] = {}
        for level, index in wanted.keys() - found.keys():
            missing.setdefault(level, []).append(index)
        if missing:
            with self._store.snapshot() if connection is None else nullcontext(connection) as reading:
                read = {
                    (level, index): row
                    for level, indexes in missing.items()
                    for index, row in queries.tiles_at(reading, level, indexes).items()
                }
            for tile, row in read.items():
                require_row(tile, row, wanted[tile] * HASH_SIZE)
            self._tiles.keep(read)
            found |= read
        return found

    def _crown(self, tile: TileKey, row: bytes) -> Crown:
        if len(row) < TILE_SIZE:
            return crown_of(row)
        kept = self._crowns.find([tile])
        if tile not in kept:
            kept = {tile: crown_of(row)}
            self._crowns.keep(kept)
        return kept[tile]


class _Kept(Generic[V]):
    """What was made of the tiles used last. Safe to share among threads."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._kept: dict[TileKey, V] = {}
        self._lock = threading.Lock()

    def find(self, tiles: Iterable[TileKey]) -> dict[TileKey, V]:
        """What there is of these."""
        with self._lock:
            found = {tile: self._kept.pop(tile) for tile in tiles if tile in self._kept}
            self._kept |= found  # at the end: the first is the one that was not used for longest
        return found

    def keep(self, made: Mapping[TileKey, V]) -> None:
        """Keep these, in place of those that were not used for longest."""
        with self._lock:
            for tile, one in made.items():
                self._kept.pop(tile, None)
                self._kept[tile] = one
            while len(self._kept) > self._most:
                del self._kept[next(iter(self._kept))]


def _reaches(row: bytes, hashes: int) -> bool:
    return len(row) >= hashes * HASH_SIZE
