"""The right edge of the tree, which is all that appending needs: as hashes and as tiles.

A tree of n leaves is a row of complete subtrees that shrink from left to right, one for each bit of n (RFC 6962
§2.1). Their hashes, at most 63 of them, are the frontier. To append a leaf is to count n up in binary: each carry
joins two equal subtrees into one. The tiles (C2SP tlog-tiles) that appending still changes are the last of each
level, where they are partial: the `RightEdge`. It takes its hashes from what the frontier reports, so nothing is
hashed twice:

    after = before.extend(leaf_hashes, completed)
    edge, changed_tiles = edge.extend(completed)

Why a batch needs nothing else: let a batch grow a tree from `old` to `new` leaves. The inclusion proofs of its leaves
and the consistency proof from `old` to `new` follow from the *old frontier* and the *subtrees completed by the
batch*. Each hash of such a proof covers what lies beside a path which starts at one of the new leaves, or at the old
tree's last complete subtree. What lies to its right holds new leaves only, so its complete subtrees were completed by
the batch. What lies to its left is one complete subtree. If it holds a new leaf, the batch completed it. If it holds
old leaves only, it is a left child whose parent was not complete at `old`: that is what a member of the old frontier
is (for an inclusion proof, and above the first hash of a consistency proof; that first hash is the frontier's last
member itself). So `before.complete_subtrees()` with what `extend` reports is a node store for all proofs of the batch.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, MutableMapping
from dataclasses import dataclass
from hashlib import sha256

from ledger.errors import BrokenProof, Reason
from ledger.merkle import HASH_SIZE, MAX_TREE_SIZE, NODE_PREFIX, NodeReader, Subtree, fold, subtrees
from ledger.tiles import TILE_HEIGHT, TILE_SIZE, TILE_WIDTH, TileKey, TileReader


@dataclass(frozen=True, slots=True)
class Frontier:
    """The right edge of a tree: an immutable value, so that a batch that failed to commit leaves no trace.

    Attributes:
        size: leaves of the tree.
        nodes: hashes of the complete subtrees that make up the tree, from left (large) to right (small); one for
            each bit of `size`, 32 bytes each.

    Raises:
        BrokenProof: the hashes cannot be those of a tree of that size (`BAD_CHECKPOINT`). Whether they are the right
            ones, only the comparison of `root()` with a signed checkpoint tells.
    """

    size: int = 0
    nodes: tuple[bytes, ...] = ()

    def __post_init__(self) -> None:
        reason = Reason.BAD_CHECKPOINT
        _check_size("size of a frontier", self.size)
        expected = self.size.bit_count()
        if len(self.nodes) != expected:
            subject = f"hashes in the frontier of {self.size} leaves"
            raise BrokenProof(reason, subject, given=len(self.nodes), expected=expected)
        for node in self.nodes:
            if len(node) != HASH_SIZE:
                subject = f"hash in the frontier of {self.size} leaves"
                raise BrokenProof(reason, subject, given=f"{len(node)} bytes", expected=f"{HASH_SIZE} bytes")

    @classmethod
    def read(cls, size: int, node: NodeReader) -> Frontier:
        """The frontier of the tree of `size` leaves, from a store of complete subtrees."""
        return cls(size, tuple(node(level, index) for level, index in subtrees(0, size)))

    def root(self) -> bytes:
        """The root of the tree; 32 bytes."""
        return fold(self.nodes)

    def complete_subtrees(self) -> dict[Subtree, bytes]:
        """The frontier by name: `(level, index)` of each complete subtree to its hash."""
        return dict(zip(subtrees(0, self.size), self.nodes, strict=True))

    def append(self, leaf_hash: bytes, completed: MutableMapping[Subtree, bytes] | None = None) -> Frontier:
        """The frontier after one more leaf; see `extend`."""
        return self.extend((leaf_hash,), completed)

    def extend(
        self, leaf_hashes: Iterable[bytes], completed: MutableMapping[Subtree, bytes] | None = None
    ) -> Frontier:
        """The frontier after these leaves have been appended; this one stays as it is.

        Args:
            leaf_hashes: of 32 bytes each, in order.
            completed: if given, receives each subtree that the leaves complete, `(level, index)` to its hash, the
                leaves themselves included; within a level in the order of the index. It is what
                `RightEdge.extend` takes.

        Raises:
            BrokenProof: a leaf hash is not 32 bytes long, or the tree would grow beyond 2**63 - 1 leaves.
        """
        nodes = list(self.nodes)
        size = self.size
        for leaf_hash in leaf_hashes:
            if len(leaf_hash) != HASH_SIZE:
                subject = f"hash of leaf {size}"
                given = f"{len(leaf_hash)} bytes"
                raise BrokenProof(Reason.BAD_ENTRY, subject, given=given, expected=f"{HASH_SIZE} bytes")
            node = leaf_hash
            level = 0
            index = size
            # What `merkle.node_hash` does, written out: a call for each leaf would cost half as much as the hash.
            if completed is None:
                while index & 1:
                    node = sha256(NODE_PREFIX + nodes.pop() + node).digest()
                    index >>= 1
            else:
                completed[0, index] = node
                while index & 1:
                    node = sha256(NODE_PREFIX + nodes.pop() + node).digest()
                    index >>= 1
                    level += 1
                    completed[level, index] = node
            nodes.append(node)
            size += 1
        return Frontier(size, tuple(nodes))


@dataclass(frozen=True, slots=True)
class RightEdge:
    """The partial tiles of a tree, which the next batch goes on writing: an immutable value.

    Attributes:
        size: leaves of the tree.
        tiles: the partial tile of each level, from 0 to the highest that the tree has; empty where the level
            consists of full tiles. A tile is its hashes one after the other, 32 bytes each.

    Raises:
        BrokenProof: the tiles are not as long as a tree of that size has them (`BAD_CHECKPOINT`).
    """

    size: int = 0
    tiles: tuple[bytes, ...] = ()

    def __post_init__(self) -> None:
        _check_size("size of a right edge", self.size)
        given = [len(tile) for tile in self.tiles]
        expected = [width * HASH_SIZE for width in _edge_widths(self.size)]
        if given != expected:
            subject = f"bytes of the partial tiles of the tree of {self.size} leaves"
            raise BrokenProof(Reason.BAD_CHECKPOINT, subject, given=given, expected=expected)

    @classmethod
    def read(cls, size: int, read_tile: TileReader) -> RightEdge:
        """The right edge of the tree of `size` leaves from a store of tiles, which may be wider by now.

        Raises:
            BrokenProof: a tile of the store is too short (`BAD_CHECKPOINT`).
        """
        tiles = [
            read_tile(level, size >> TILE_HEIGHT * (level + 1))[: width * HASH_SIZE] if width else b""
            for level, width in enumerate(_edge_widths(size))
        ]
        return cls(size, tuple(tiles))

    def extend(self, completed: Mapping[Subtree, bytes]) -> tuple[RightEdge, dict[TileKey, bytes]]:
        """The right edge after a batch, and the tiles that the batch changed; this one stays as it is.

        Args:
            completed: the subtrees that the batch completed, as `Frontier.extend` reports them, and no others.

        Returns:
            The new right edge, and each new or wider tile: `(level, index)` to its 32 to 8,192 bytes.

        Raises:
            BrokenProof: the subtrees do not go on where this edge ends (`BAD_CHECKPOINT`).
        """
        added: list[list[bytes]] = [[] for _ in range(MAX_TREE_SIZE.bit_length() // TILE_HEIGHT + 1)]
        for (level, index), node in completed.items():
            if level % TILE_HEIGHT == 0:
                hashes = added[level // TILE_HEIGHT]
                expected = (self.size >> level) + len(hashes)
                if index != expected:
                    subject = f"index of the next subtree of level {level} after {self.size} leaves"
                    raise BrokenProof(Reason.BAD_CHECKPOINT, subject, given=index, expected=expected)
                hashes.append(node)
        size = self.size + len(added[0])
        tiles = []
        changed: dict[TileKey, bytes] = {}
        for level, width in enumerate(_edge_widths(size)):
            row = self.tiles[level] if level < len(self.tiles) else b""
            if added[level]:
                row += b"".join(added[level])
                first = self.size >> TILE_HEIGHT * (level + 1)
                for number, begin in enumerate(range(0, len(row), TILE_SIZE)):
                    changed[level, first + number] = row[begin : begin + TILE_SIZE]
            tiles.append(row[len(row) - width * HASH_SIZE :])
        return RightEdge(size, tuple(tiles)), changed


def _check_size(subject: str, size: int) -> None:
    if not 0 <= size <= MAX_TREE_SIZE:
        raise BrokenProof(Reason.BAD_CHECKPOINT, subject, given=size, expected="0 to 2**63 - 1 leaves")


def _edge_widths(size: int) -> Iterator[int]:
    """Hashes in the partial tile of each level, from 0 up to the highest that the tree has."""
    while size > 0:
        yield size % TILE_WIDTH
        size //= TILE_WIDTH
