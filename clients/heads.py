"""How far each chain was seen to reach.

A chain's links show that nothing is missing between its entries, but not that it has no further ones: whoever serves
it can leave out its end. A client that remembers the last entry it saw of a chain takes that way from it. Since every
checkpoint that a client accepts continues those before, an entry seen once is in every later tree, and in every honest
history of its chain.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from clients.verify import VerifiedEntry, broken_chain

MAX_CHAINS = 10_000
"""Chains that are remembered; the one that was longest not seen is forgotten first."""


@dataclass(frozen=True, slots=True)
class Seen:
    """An entry that was seen."""

    index: int
    chain_seq: int
    hash: bytes
    """Leaf hash."""


class ChainHeads:
    """The last entry that was seen of each chain. Safe to share among threads."""

    def __init__(self, limit: int = MAX_CHAINS) -> None:
        self._limit = limit
        self._heads: dict[str, Seen] = {}
        self._lock = threading.Lock()

    def find(self, chain: str) -> Seen | None:
        """The last entry that was seen of a chain."""
        with self._lock:
            return self._heads.get(chain)

    def note(self, entries: Iterable[VerifiedEntry]) -> None:
        """Remember entries, after a look that they fit what was seen of their chains.

        Raises:
            BrokenProof: `BROKEN_CHAIN` if a chain would hold two entries at one place, or a link to another entry.
        """
        with self._lock:
            for entry in entries:
                chain = str(entry.event.chain)
                head = self._heads.get(chain)
                if head is not None:
                    _require_fit(chain, head, entry)
                    del self._heads[chain]  # to be put back as the last one seen
                if head is None or entry.entry.chain_seq > head.chain_seq:
                    head = Seen(entry.index, entry.entry.chain_seq, entry.hash)
                self._heads[chain] = head
            while len(self._heads) > self._limit:
                del self._heads[next(iter(self._heads))]

    def require_whole(self, chain: str, entries: Sequence[VerifiedEntry], size: int) -> None:
        """Refuse a history that ends before what was seen of its chain.

        Args:
            chain: the chain key.
            entries: its whole history among the log's first `size` entries, its links verified.
            size: of the checkpoint under which it was served.

        Raises:
            BrokenProof: `BROKEN_CHAIN`.
        """
        head = self.find(chain)
        if head is not None and head.index < size and len(entries) <= head.chain_seq:
            raise broken_chain(
                f"length of {chain} in the log's first {size} entries",
                len(entries),
                f"at least {head.chain_seq + 1}: entry {head.index} was seen before",
            )


def _require_fit(chain: str, head: Seen, entry: VerifiedEntry) -> None:
    ahead = entry.entry.chain_seq - head.chain_seq
    where = f"chain_seq {entry.entry.chain_seq} of {chain}"
    if ahead == 0 and (entry.index, entry.hash) != (head.index, head.hash):
        raise broken_chain(where, f"entry {entry.index}", f"entry {head.index}, which was seen there before")
    if ahead == 1 and entry.entry.previous != head.hash:
        given, expected = entry.entry.previous.hex(), f"{head.hash.hex()}, seen before it"
        raise broken_chain(f"previous of {where}", given, expected)
    if (ahead > 0) != (entry.index > head.index) and ahead:
        side = "after" if ahead > 0 else "before"
        raise broken_chain(
            f"index of {where}",
            entry.index,
            f"one {side} {head.index}, the index of chain_seq {head.chain_seq}",
        )
