"""Proofs from the stored tiles, for answers that read."""

from __future__ import annotations

import threading
from collections.abc import Iterable

from ledger.merkle import consistency_proof, inclusion_proof
from ledger.tiles import TileNodes
from server.store import queries
from server.store.store import Store


class Proofs:
    """Builds proofs for any committed size. Safe to share among threads.

    What is kept of the tiles never goes stale: complete subtrees do not change, and a partial tile that is too short
    is read again.
    """

    def __init__(self, store: Store, *, kept_tiles: int = 1_024) -> None:
        self._store = store
        self._nodes = TileNodes(self._read_tile, kept=kept_tiles)
        self._lock = threading.Lock()

    def inclusion(self, index: int, size: int) -> list[bytes]:
        """The proof that entry `index` is in the tree of `size` entries.

        Raises:
            BadInput: `INVALID_REQUEST` if there is no such entry in such a tree.
        """
        with self._lock:
            return inclusion_proof(index, size, self._nodes)

    def consistency(self, old_size: int, new_size: int) -> list[bytes]:
        """The proof that the tree of `new_size` entries begins with that of `old_size`.

        Raises:
            BadInput: `INVALID_REQUEST` if the old tree is the larger one.
        """
        with self._lock:
            return consistency_proof(old_size, new_size, self._nodes)

    def leaf_hashes(self, indexes: Iterable[int]) -> list[bytes]:
        """What the tree holds as the leaf hashes of these entries."""
        with self._lock:
            return [self._nodes(0, index) for index in indexes]

    def _read_tile(self, level: int, index: int) -> bytes:
        with self._store.snapshot() as connection:
            return queries.tile_reader(connection)(level, index)
