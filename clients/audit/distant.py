"""Judging a whole log from its tiles.

The log's checkpoint says which tree it vouches for. Every entry up to it is read and judged as `ledger.audit` does;
the tiles must hold the hashes of these entries, each tile must sum up those below, and the tree that the entries make
must have the signed root. An audit that goes on where another one stopped holds the right edge of the tree that it has
read: only a log that continues this very tree can lead from there to the new root.

Where the log shows less than it has signed, there are two cases. What is *wrong* is a finding, and stays one. What is
*missing* is a finding of this audit alone: the next one asks again, from the same place, and nothing is lost.
"""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from typing import Final, TypeAlias

from clients.audit.memory import AuditMemory
from clients.audit.signatures import LAG, Batch, Verifiers
from clients.tiles.log import TiledLog
from ledger.audit import Auditor
from ledger.checkpoint import Checkpoint
from ledger.envelope import Envelope
from ledger.errors import BrokenProof, Conflict, LedgerError, Reason, ServiceFault
from ledger.findings import AuditReport, Finding
from ledger.frontier import Frontier
from ledger.keys import PublicKey
from ledger.merkle import HASH_SIZE, NodeReader, Subtree, consistency_proof, verify_consistency
from ledger.note import SignedNote
from ledger.tiles import TILE_HEIGHT, TILE_SIZE, TileId

SAVED_EVERY: Final = 65_536
"""Entries after which the memory is saved."""

_COLLECTED_EVERY: Final = 100_000
"""Objects made and not freed, after which Python looks for cycles among them."""

Opener: TypeAlias = Callable[[bytes], Checkpoint]
"""Gives the checkpoint in a signed note, after all that has to hold of its signatures."""

Progress: TypeAlias = Callable[[int, int], None]
"""Is told how many entries are done, and how many there are."""


class DistantAudit:
    """One audit of a log, from what is remembered up to its newest checkpoint."""

    def __init__(
        self,
        log: TiledLog,
        memory: AuditMemory,
        open_note: Opener,
        *,
        origin: str,
        verifiers: Verifiers,
        known: Mapping[Checkpoint, bytes] | None = None,
        saved_every: int = SAVED_EVERY,
    ) -> None:
        """Prepare an audit.

        Args:
            log: where to read.
            memory: what is known of the log already.
            open_note: decides which checkpoints are believed.
            origin: the log that this should be.
            verifiers: check the signatures.
            known: verified checkpoints from elsewhere, with their signed notes: the log must continue them.
            saved_every: entries after which the memory is saved.
        """
        self._log = log
        self._memory = memory
        self._open = open_note
        self._verifiers = verifiers
        self._saved_every = saved_every
        self._moment = memory.recall()
        self._begun_at = self._moment.standing.computed.size
        self._saved_at = self._begun_at
        self._is_whole = True
        """Whether all that is known of the entries read so far has been checked, but the signatures."""
        self._batch: Batch = []
        self._notes = dict(known or {})
        self._known = list(self._notes)
        self.is_missing = False
        """Whether the log could not show something that it has signed for; what came after it was not read."""
        self.contradiction: tuple[bytes, bytes] | None = None
        """Two signed notes that contradict each other, the one that was seen first and the other."""
        self.note = b""
        """The signed note of the checkpoint up to which the log is read."""
        self.before = None if self._moment.seen is None else _believed(self._moment.seen)
        """The newest checkpoint that earlier audits saw."""
        if self.before is not None and self.before not in self._known:
            self._known.insert(0, self.before)
            self._notes[self.before] = self._moment.seen or b""
        self._auditor = Auditor(
            origin,
            state=memory.state,
            check_signature=self._put_off,
            prefetch=memory.state.prefetch,
            is_recorded=memory.state.is_recorded_again,
            report=self._moment.report,
            standing=self._moment.standing,
        )

    @property
    def begun_at(self) -> int:
        """Entries that earlier audits have read."""
        return self._begun_at

    @property
    def seen_before(self) -> dict[Checkpoint, bytes]:
        """The newest checkpoint that earlier audits saw, with its signed note; empty before the first."""
        seen = self._moment.seen
        return {} if seen is None else {_believed(seen): seen}

    @property
    def known(self) -> list[Checkpoint]:
        """The checkpoints that the log is compared with."""
        return self._known

    def run(self, progress: Progress) -> AuditReport:
        """Read and judge what is new, and remember it.

        Raises:
            ServiceFault: the log does not answer; what was judged so far is remembered.
            BrokenProof: the checkpoint is not believed; `ROLLBACK` if it is smaller than one seen before, `FORK` if it
                contradicts one: `contradiction`.
            BadInput: the memory cannot be used.
        """
        if self._moment.fork is not None:
            # Who was caught with two histories is not innocent because one of them is shown today.
            one, other = map(_believed, self._moment.fork)
            raise self._fork(one, other.root, self._moment.fork)
        self.note = self._log.checkpoint()
        checkpoint = self._open(self.note)
        self._compare(checkpoint)
        self._auditor.compare_with(one for one in self._known if self._begun_at < one.size <= checkpoint.size)
        self._verifiers.expect(checkpoint.size - self._begun_at)
        self._verifiers.submit(self._moment.owed)
        try:
            with _collecting_seldom():
                was_read = self._read(checkpoint, progress)
        except ServiceFault:
            self._save()
            raise
        except _MissingError as missing:
            self._save()
            self._settle(0)
            self.is_missing = True
            # After the last time that anything is saved: what is missing today may be there tomorrow.
            self._find(Reason.NOT_FOUND, f"the log cannot show it: {missing}")
            self._auditor.report.size = self._auditor.size
            return _in_order(self._auditor.report)
        self._settle(0)
        report = self._auditor.report
        report.size = self._auditor.size
        if was_read:
            self._auditor.conclude(checkpoint)
            for before in report.contradicted:
                if report.root == checkpoint.root:
                    self._moment.fork = (self._notes[before], self.note)
            # What the audit before this one has found already is nothing new.
            report.findings = list(dict.fromkeys(report.findings))
        self._save()
        return _in_order(report)

    def _compare(self, checkpoint: Checkpoint) -> None:
        """Refuse a checkpoint that contradicts what was seen before, as far as that shows without the entries.

        Raises:
            BrokenProof: `ROLLBACK` or `FORK`.
        """
        for known in self._known:
            if checkpoint.size < known.size and not self._is_behind(known, checkpoint):
                self.contradiction = (self._notes[known], self.note)
                raise BrokenProof(
                    Reason.ROLLBACK,
                    f"size of the log {known.origin}",
                    given=f"{checkpoint.size} entries",
                    expected=f"at least {known.size}, of a checkpoint seen before",
                )
            if checkpoint.size == known.size and checkpoint.root != known.root:
                raise self._fork(known, checkpoint.root)
        if self._begun_at:
            for known in self._known:
                root = self._root_told(known, checkpoint) if known.size <= checkpoint.size else known.root
                if root != known.root:
                    raise self._fork(known, root)

    def _is_behind(self, known: Checkpoint, checkpoint: Checkpoint) -> bool:
        """Whether the log still shows the larger tree, and that it continues the one of its checkpoint.

        A log with witnesses tells its newest head over gRPC, and publishes what a quorum has cosigned: an older one.
        The tiles are there up to the head. A log that was rolled back has them no more.
        """
        try:
            proof = consistency_proof(checkpoint.size, known.size, self._log.nodes(known.size))
            verify_consistency(checkpoint.size, checkpoint.root, known.size, known.root, proof)
        except ServiceFault:
            raise
        except LedgerError:
            return False
        return True

    def _root_told(self, known: Checkpoint, checkpoint: Checkpoint) -> bytes:
        """What the log tells by now to be the root at the size of a checkpoint seen before; that one's if unknown.

        Raises:
            BrokenProof: the log's tiles do not lead to the tree that was read (`BAD_CONSISTENCY_PROOF`).
        """
        standing = self._moment.standing
        own = Checkpoint(checkpoint.origin, self._begun_at, (standing.tree or standing.computed).root())
        nodes = self._log.nodes(checkpoint.size)
        if known.size < own.size:
            return known.root if known == self.before else _root_at(known.size, own, nodes)
        if known.size > own.size or self.before is None or self.before.root != own.root:
            # Reading on will tell; or what was read is not what was signed, which has been found.
            return known.root
        if known.root != own.root or checkpoint.size == own.size:
            return own.root
        # Before anything is read: a log that went another way from here has nothing that we could judge. Tiles that do
        # not even lead to the signed root tell nothing; what is wrong there, reading will show.
        with suppress(LedgerError):
            return _root_at(known.size, checkpoint, nodes)
        return known.root

    def _fork(self, known: Checkpoint, root: bytes, pair: tuple[bytes, bytes] | None = None) -> Exception:
        """What is raised of a fork, which is remembered for ever."""
        error = BrokenProof(
            Reason.FORK,
            f"root of the first {known.size} entries",
            given=root.hex(),
            expected=f"{known.root.hex()} (checkpoint seen before): history was rewritten",
        )
        self.contradiction = self._moment.fork = pair or (self._notes[known], self.note)
        self._find(error.reason, str(error))
        self._save()
        return error

    def _read(self, checkpoint: Checkpoint, progress: Progress) -> bool:
        """Read section by section; whether to the end: where a bundle is no bundle, that is found, and nothing after it.

        Raises:
            ServiceFault: the log does not answer.
            _MissingError: the log has no such file.
        """
        with closing(self._log.sections(self._begun_at, checkpoint.size)) as sections:
            for section in sections:
                _require_there(section.entries, section.hashes)
                if isinstance(section.entries, LedgerError):
                    self._find(section.entries.reason, str(section.entries))
                    return False
                self._is_whole = False
                self._read_section(section.entries, section.hashes, checkpoint)
                self._is_whole = True
                if self._auditor.size - self._saved_at >= self._saved_every:
                    self._save()
                progress(self._auditor.size, checkpoint.size)
        return True

    def _read_section(
        self, entries: list[bytes], hashes: list[bytes] | LedgerError, checkpoint: Checkpoint
    ) -> None:
        if isinstance(hashes, LedgerError):
            self._find(hashes.reason, str(hashes))
        completed: dict[Subtree, bytes] = {}
        self._auditor.read_all(entries, None if isinstance(hashes, LedgerError) else hashes, completed)
        self._check_tiles(completed, checkpoint.size)
        self._verifiers.submit(self._batch)
        self._batch = []
        self._settle(LAG)

    def _check_tiles(self, completed: Mapping[Subtree, bytes], size: int) -> None:
        """Compare the tiles above level 0 with what the tiles below give: the full ones, and the last ones of all."""
        if self._moment.edge is None or self._auditor.standing.tree is None:
            self._moment.edge = None
            return
        edge, changed = self._moment.edge.extend(completed)
        self._moment.edge = edge
        due = {key: tile for key, tile in changed.items() if len(tile) == TILE_SIZE}
        if self._auditor.size == size:
            due |= {
                (level, size >> TILE_HEIGHT * (level + 1)): tile
                for level, tile in enumerate(edge.tiles)
                if tile
            }
        for (level, index), expected in due.items():
            # Those of level 0 came with the entries.
            if level:
                self._check_tile(TileId(level, index, len(expected) // HASH_SIZE), expected)

    def _check_tile(self, tile: TileId, expected: bytes) -> None:
        try:
            given = self._log.tile(tile)
        except Conflict as error:
            raise _MissingError(str(error)) from error
        except BrokenProof as error:
            self._find(error.reason, str(error))
            return
        if given != expected:
            self._find(Reason.BAD_INCLUSION_PROOF, _difference(tile, given, expected))

    def _put_off(self, index: int, key: PublicKey, envelope: Envelope) -> None:
        envelope.require_form(key)
        self._batch.append((index, key.spki, envelope.signature, envelope.payload))

    def _settle(self, most_left: int) -> None:
        """Take in what was found of the signatures, all but that of the newest batches."""
        for index, error in self._verifiers.collect(most_left):
            self._auditor.report.signatures -= 1
            self._auditor.find(index, error.reason, str(error))

    def _find(self, reason: Reason, message: str) -> None:
        if Finding(None, reason, message) not in self._auditor.report.findings:
            self._auditor.find(None, reason, message)

    def _save(self) -> None:
        if not self._is_whole:
            # In the midst of a section: what was saved last is what holds.
            return
        moment = self._moment
        moment.report, moment.standing = self._auditor.report, self._auditor.standing
        moment.owed = self._verifiers.owed()
        if self.note and self.contradiction is None and moment.fork is None:
            seen = self.before
            if seen is None or seen.size <= _believed(self.note).size:
                moment.seen = self.note
        self._memory.save(moment)
        self._saved_at = self._auditor.size


def _believed(note: bytes) -> Checkpoint:
    """The checkpoint in a note that was believed when it was remembered, whatever keys are trusted now."""
    return Checkpoint.parse(SignedNote.parse(note).text)


@contextmanager
def _collecting_seldom() -> Iterator[None]:
    """Have Python look for cycles seldom: values make none, and there are many of them to look through."""
    before = gc.get_threshold()
    gc.set_threshold(_COLLECTED_EVERY, *before[1:])
    try:
        yield
    finally:
        gc.set_threshold(*before)


class _MissingError(Exception):
    """The log has no file that it should have."""


def _require_there(*found: object) -> None:
    for one in found:
        if isinstance(one, Conflict):
            raise _MissingError(str(one))


def _root_at(size: int, tree: Checkpoint, nodes: NodeReader) -> bytes:
    """The root of the first `size` entries of a tree, proven by the log's tiles.

    Raises:
        BrokenProof: they do not lead to the tree's root (`BAD_CONSISTENCY_PROOF`).
        LedgerError: they cannot be had.
    """
    root = Frontier.read(size, nodes).root()
    verify_consistency(size, root, tree.size, tree.root, consistency_proof(size, tree.size, nodes))
    return root


def _difference(tile: TileId, given: bytes, expected: bytes) -> str:
    """Where a tile is not what those below give."""
    for number in range(tile.width):
        place = slice(number * HASH_SIZE, (number + 1) * HASH_SIZE)
        if given[place] != expected[place]:
            return (
                f"hash {number} of {tile.path()}: given {given[place].hex()}, expected {expected[place].hex()}, "
                "which the tiles below give"
            )
    raise AssertionError(tile)


def _in_order(report: AuditReport) -> AuditReport:
    """The findings in the order of the entries, those about the log as a whole last."""
    report.findings.sort(key=lambda one: (one.index is None, one.index or 0))
    return report
