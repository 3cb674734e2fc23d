"""Inclusion proofs of many leaves of one tree, such as those of a batch.

The proof of a leaf is the hash beside it and, above that, what the leaf next to it has too: neighbours share all of
their paths but the lowest hashes. So each piece of a path is put together once, and a proof costs about as much as
the list that holds it.
"""

from __future__ import annotations

from ledger.errors import BadInput, Reason
from ledger.merkle import MAX_TREE_SIZE, NodeReader, Subtree, fold, subtrees


class InclusionPaths:
    """Builds the inclusion proofs of one tree (RFC 9162 §2.1.3.1), the same as `ledger.merkle.inclusion_proof` does.

    What is kept grows with the leaves that were asked for; it is meant to live as long as one batch's answers.
    """

    __slots__ = ("_above", "_node", "_size")

    def __init__(self, size: int, node: NodeReader) -> None:
        """Args: leaves of the tree, and what gives the hashes of its complete subtrees.

        Raises:
            BadInput: no tree of that size has leaves.
        """
        if not 0 < size <= MAX_TREE_SIZE:
            raise BadInput(Reason.INVALID_REQUEST, "tree size", given=size, expected="1 to 2**63 - 1 leaves")
        self._size = size
        self._node = node
        self._above: dict[Subtree, list[bytes]] = {}

    def proof(self, index: int) -> list[bytes]:
        """The proof of leaf `index`: hashes of 32 bytes, from the leaf's sibling upwards.

        Raises:
            BadInput: there is no such leaf.
        """
        if not 0 <= index < self._size:
            raise BadInput(
                Reason.INVALID_REQUEST,
                "leaf index",
                given=index,
                expected=f"0 to {self._size - 1}, the tree's last leaf",
            )
        return self._path(0, index)

    def _path(self, level: int, index: int) -> list[bytes]:
        """What lies beside the path from the complete subtree `(level, index)` up to the root, from below."""
        if 1 << level >= self._size:
            return []
        parent = (level + 1, index >> 1)
        above = self._above.get(parent)
        if above is None:
            above = self._above[parent] = self._path(*parent)
        sibling = index ^ 1
        begin = sibling << level
        end = begin + (1 << level)
        if end <= self._size:
            return [self._node(level, sibling), *above]
        if begin < self._size:
            return [fold([self._node(*subtree) for subtree in subtrees(begin, self._size)]), *above]
        return [*above]
