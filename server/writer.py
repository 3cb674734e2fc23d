"""The one writer: takes submissions, commits them as a batch, and knows where the log stands.

A writer keeps the log's right edge in memory and writes the next batch from it. Whenever what the database holds is
in doubt (a commit whose outcome is unknown, a head that somebody else moved) it forgets everything and loads anew
before it goes on. Sequencing the same submissions again is then harmless: those that were committed after all are
found as sent again, and get their first receipts.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace

import structlog
from sqlalchemy import Connection

from ledger.checkpoint import Checkpoint, open_checkpoint, sign_checkpoint
from ledger.entry import Entry
from ledger.errors import LedgerError, Reason, ServiceFault
from ledger.event import moment
from ledger.frontier import Frontier, RightEdge
from ledger.note import NoteSigner, SignedNote, VerifierKey
from ledger.paths import InclusionPaths
from ledger.rules import rules_in_force
from ledger.rules.founding import KNOWN_RULES
from ledger.sequence import Batch, LogHead, Resent, Submission, sequence
from ledger.state import State
from ledger.tiles import TileNodes
from server.store import queries
from server.store.commit import LogMovedError, swap_head, write_batch
from server.store.damage import damage_of
from server.store.queries import StoredEntry, StoredHead
from server.store.reader import RecordCache, StoredState
from server.store.store import Store

_TRIES = 3

MAX_CLOCK_BACK_US = 2 * 60 * 60 * 1_000_000
"""How far the clock may be behind the last entry before nothing is recorded: two hours."""

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Committed:
    """A batch that is durable, and what its receipts are made of."""

    batch: Batch
    head: StoredHead
    """The log's head after the batch, whose checkpoint covers all its receipts."""
    paths: InclusionPaths
    """The inclusion proofs of the batch's entries, and of no others. For one thread."""
    resent: dict[int, bytes] = field(default_factory=dict)
    """Bytes of the entries that were recorded before, by index."""


class Writer:
    """Writes batches, one at a time, in one thread."""

    def __init__(self, store: Store, signer: NoteSigner, *further: NoteSigner) -> None:
        """Args: while the log changes its key, several signers; each signs every checkpoint."""
        self._store = store
        self._signers = (signer, *further)
        self._cache = RecordCache()
        self._stored: StoredHead | None = None
        self._head = LogHead()
        self._edge = RightEdge()
        self._loaded = False
        self.fence: Callable[[Connection], None] = lambda _: None
        """Looks within each transaction whether this process may write.

        Raises:
            ServiceFault: `STANDBY` if it may not.
        """

    @property
    def origin(self) -> str:
        """The log's identity."""
        return self._signers[0].name

    @property
    def head(self) -> StoredHead | None:
        """The newest committed head; None before the genesis."""
        return self._stored

    @property
    def _vkeys(self) -> list[VerifierKey]:
        return [signer.vkey for signer in self._signers]

    def load(self) -> None:
        """Take up the log where the database has it.

        Raises:
            ServiceFault: `STORE_UNAVAILABLE`; `STORE_DAMAGED` if tiles, root and checkpoint do not agree, or the log
                was adopted by rules that this version does not know.
        """
        self._loaded = False
        self._cache.clear()
        with self._store.snapshot() as connection:
            stored = queries.head(connection)
            if stored is None:
                self._head, self._edge = LogHead(), RightEdge()
            else:
                read_tile = queries.tile_reader(connection)
                try:
                    frontier = Frontier.read(stored.size, TileNodes(read_tile))
                    self._edge = RightEdge.read(stored.size, read_tile)
                    self._require_own(stored, frontier)
                    _require_time(stored, queries.entries_at(connection, [stored.size - 1])[0])
                except LedgerError as error:
                    raise damage_of(f"log {self.origin} in the database", error) from error
                self._head = LogHead(frontier, stored.recorded_at_us)
                version = rules_in_force(StoredState(connection, self._cache))
                if version not in KNOWN_RULES:
                    raise ServiceFault(
                        Reason.STORE_DAMAGED,
                        "rules in force",
                        given=f"version {version}",
                        expected=f"at most {KNOWN_RULES.stop - 1}: this is an older version of the service",
                    )
        self._stored = stored
        self._loaded = True

    def sign_anew(self) -> None:
        """Put the signatures of all keys below the newest checkpoint, if one is missing: a key is new.

        What is signed stays the same, size and root; a crash leaves the old note or the new one.

        Raises:
            ServiceFault: as `load` and `write` say.
        """
        for _ in range(_TRIES):
            if not self._loaded:
                self.load()
            stored = self._stored
            if stored is None or _signed_by_all(stored.checkpoint, self._vkeys):
                return
            checkpoint = Checkpoint(self.origin, stored.size, stored.root)
            signed = replace(stored, checkpoint=sign_checkpoint(checkpoint, *self._signers))
            self._loaded = False  # until the commit is known to have been one
            try:
                with self._store.transaction() as connection:
                    self.fence(connection)
                    swap_head(connection, stored, signed)
            except LogMovedError:
                continue
            self._stored, self._loaded = signed, True
            log.info("signed_anew", size=signed.size, keys=[key.label for key in self._vkeys])
            return
        raise _another_writer()

    def write(self, submissions: list[Submission], now_us: int) -> Committed:
        """Commit what can be recorded, and give every submission its verdict.

        Args:
            submissions: in the order in which they came.
            now_us: the service's clock.

        Raises:
            ServiceFault: the database does not answer, or holds something else; what was committed is then unknown,
                and the next call finds out. `STANDBY`: another process writes by now.
        """
        for attempt in range(1, _TRIES + 1):
            try:
                if not self._loaded:
                    self.load()
                self._require_clock(now_us)
                return self._write(submissions, now_us)
            except LogMovedError:
                log.warning("log_moved", attempt=attempt, size=self._head.size)
                self._loaded = False
            except ServiceFault as fault:
                log.warning("commit_failed", attempt=attempt, error=str(fault))
                self._loaded = False
                if attempt == _TRIES or fault.reason is Reason.STANDBY:
                    raise
            except BaseException:
                self._loaded = False
                raise
        raise _another_writer()

    def _write(self, submissions: list[Submission], now_us: int) -> Committed:
        with self._store.transaction() as connection:
            self.fence(connection)
            # The transaction holds the write lock, so nobody moves the head behind this look. Without it a batch that
            # records nothing would be judged by a state, and answered with a head, that another writer left behind.
            if queries.head(connection) != self._stored:
                raise LogMovedError
            stored_state = StoredState(connection, self._cache)
            stored_state.prefetch(submissions)
            state = State(stored_state)
            batch = sequence(submissions, state, self._head, now_us)
            resent = {
                verdict.recorded.index
                for verdict in batch.verdicts
                if isinstance(verdict, Resent) and verdict.recorded.index < self._head.size
            }
            earlier = queries.entries_at(connection, resent) if resent else []
            edge, stored = self._edge, self._stored
            if batch.entries:
                edge, changed_tiles = self._edge.extend(batch.completed)
                stored = self._sign(batch.head)
                write_batch(
                    connection,
                    self._stored,
                    stored,
                    new=batch.entries,
                    changes=state.changes(),
                    changed_tiles=changed_tiles,
                )
        # Only here, after the commit, does the batch exist; until now nothing of it has left this method.
        nodes = self._head.frontier.complete_subtrees() | batch.completed
        self._head, self._edge, self._stored = batch.head, edge, stored
        if batch.entries:
            for record in state.changes():
                self._cache.put(record)
        if stored is None:
            raise ServiceFault(
                Reason.STORE_DAMAGED, "log", given="no genesis", expected="a database made by operator init"
            )
        paths = InclusionPaths(stored.size, lambda *subtree: nodes[subtree])
        return Committed(batch, stored, paths, {entry.index: entry.data for entry in earlier})

    def _require_clock(self, now_us: int) -> None:
        """Refuse to go on far behind the log's last entry: a clock jumped ahead then, or has jumped back now.

        Times never decrease along a log, so entries would be recorded at a time that is not theirs, and licences
        judged by it. Small steps back are for `sequence`, which lets the last entry's time stand.
        """
        if self._head.recorded_at_us - now_us > MAX_CLOCK_BACK_US:
            raise ServiceFault(
                Reason.STORE_UNAVAILABLE,
                "the service's clock",
                given=moment(now_us).isoformat(),
                expected=f"about {moment(self._head.recorded_at_us).isoformat()}, when the last entry was recorded",
            )

    def _sign(self, head: LogHead) -> StoredHead:
        """The head with its checkpoint. It is signed within the transaction that stores it, and shown only after."""
        root = head.frontier.root()
        note = sign_checkpoint(Checkpoint(self.origin, head.size, root), *self._signers)
        return StoredHead(head.size, root, head.recorded_at_us, note)

    def _require_own(self, stored: StoredHead, frontier: Frontier) -> None:
        # Any of the keys will do: what one of them signed before another was put beside it is still the log's own.
        checkpoint = open_checkpoint(stored.checkpoint, self.origin, self._vkeys)
        for what, root in (("tiles", frontier.root()), ("checkpoint", checkpoint.root)):
            if root != stored.root:
                raise ServiceFault(
                    Reason.STORE_DAMAGED, f"root by the {what}", given=root.hex(), expected=stored.root.hex()
                )
        if checkpoint.size != stored.size:
            raise ServiceFault(
                Reason.STORE_DAMAGED, "size by the checkpoint", given=checkpoint.size, expected=stored.size
            )


def _signed_by_all(note: bytes, vkeys: Iterable[VerifierKey]) -> bool:
    """Whether each of these keys has signed a note.

    Raises:
        BrokenProof: a signature by one of them does not verify, or none of them signed (`BAD_NOTE`).
    """
    keys = set(vkeys)
    return set(SignedNote.parse(note).verify(keys)) == keys


def _another_writer() -> ServiceFault:
    return ServiceFault(
        Reason.STORE_UNAVAILABLE, "head of the log", given="another writer at work", expected="one writer"
    )


def _require_time(stored: StoredHead, last: StoredEntry) -> None:
    """Refuse a head whose time is not its last entry's: the next entry would carry it for ever."""
    recorded_at_us = Entry.parse(last.data).recorded_at_us
    if stored.recorded_at_us != recorded_at_us:
        raise ServiceFault(
            Reason.STORE_DAMAGED, "time of the head", given=stored.recorded_at_us, expected=recorded_at_us
        )
