"""Replaying a log into views: chunk by chunk, from the first entry on."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import Connection

from ledger.errors import LedgerError
from ledger.frontier import Frontier, RightEdge
from ledger.merkle import Subtree
from ledger.replay import replay
from ledger.sequence import Sequenced
from ledger.state import State
from server.store.commit import write_tiles
from server.store.damage import damage_of
from server.store.reader import RecordCache, StoredState
from server.store.records import save


class Replaying:
    """A replay that is going on; what it needs of the entries before is in the views that it has written."""

    def __init__(self) -> None:
        self.frontier = Frontier()
        """Of the tree over what has been replayed."""
        self._edge = RightEdge()
        self._cache = RecordCache()

    @property
    def size(self) -> int:
        """Entries replayed: the index of the next one."""
        return self.frontier.size

    def take(self, target: Connection, chunk: Sequence[bytes]) -> list[Sequenced]:
        """Replay the next entries, and write the records and tiles that they lead to; their own rows are the caller's.

        Raises:
            ServiceFault: `STORE_DAMAGED` if one does not follow from those before it.
        """
        state = State(StoredState(target, self._cache, replaying=True))
        entries = [_replay(index, data, state) for index, data in enumerate(chunk, self.size)]
        completed: dict[Subtree, bytes] = {}
        self.frontier = self.frontier.extend([entry.hash for entry in entries], completed)
        self._edge, changed = self._edge.extend(completed)
        write_tiles(target, changed)
        save(target, state.changes())
        for record in state.changes():
            self._cache.put(record)
        return entries


def _replay(index: int, data: bytes, state: State) -> Sequenced:
    try:
        return replay(index, data, state)
    except LedgerError as error:
        raise damage_of(f"entry {index}", error) from error
