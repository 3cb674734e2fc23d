"""Judging a whole log from its raw entries, trusting nobody.

The auditor reads the entries in order and does everything again: leaf hashes and the tree's root, each chain's links,
every signature, and the very rules that the service applied. The same input gives the same verdict, wherever it runs.

What does not hold becomes a `Finding`, and the audit goes on, so that one report names all that is wrong. An auditor
that is also told what the tree holds as each entry's leaf hash can say which entry was changed even where signature
and chain still look right, and at the end whether it was rather the tree. One that remembers earlier checkpoints can
tell when history was rewritten as a whole: such a log holds together in itself, but it is not the log that was seen
before.

An audit may be interrupted between any two entries and go on another day: its report, its `Standing` and its state are
all that it needs.

What this version does not know (a new kind of event, a new version of the rules) is counted and named; signature,
chain and tree are checked all the same.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, MutableMapping, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

from ledger.checkpoint import Checkpoint
from ledger.entry import Entry
from ledger.envelope import Envelope
from ledger.errors import BrokenProof, LedgerError, NotAuthorized, Reason
from ledger.event import Event, Kind
from ledger.findings import AuditReport
from ledger.frontier import Frontier
from ledger.keys import PublicKey
from ledger.merkle import Subtree, leaf_hash
from ledger.rules import (
    KNOWN_RULES,
    Judgement,
    Signer,
    identify,
    judge,
    require_genesis_first,
    rules_in_force,
)
from ledger.sequence import next_link, settle
from ledger.state import Party, Recorded, State
from ledger.value import value

SignatureCheck: TypeAlias = Callable[[int, PublicKey, Envelope], None]
"""Checks the signature of entry number n, now or later; later failures go to `Auditor.find`."""


Prefetch: TypeAlias = Callable[[list[tuple[Event, bytes]]], None]
"""Is told the events that are judged next, each with the id of the key that signed it."""


RecordedCheck: TypeAlias = Callable[[bytes], bool]
"""Tells whether the event with this id is recorded already; what shows later goes to
`AuditReport.find_duplicate`."""


@dataclass(frozen=True, slots=True)
class Standing:
    """How far an audit has come."""

    computed: Frontier = field(default_factory=Frontier)
    """Of the tree over the entries as they were read."""
    tree: Frontier | None = None
    """Of the tree that the log tells; None if it did not tell all of it."""
    recorded_at_us: int = 0
    """The latest time at which an entry was recorded."""

    @classmethod
    def beginning(cls) -> Standing:
        """Before the first entry."""
        return cls(tree=Frontier())


@value(frozen=True, slots=True)
class _Opened:
    """An entry that could be read."""

    entry: Entry
    envelope: Envelope
    event: Event


@dataclass(frozen=True, slots=True)
class _Unreadable:
    """An entry that could not be read to its end."""

    error: LedgerError
    entry: Entry | None
    """Its own fields, if they could be read."""


def check_now(index: int, key: PublicKey, envelope: Envelope) -> None:  # noqa: ARG001 - the index is for those who defer
    """Check a signature at once."""
    envelope.verify(key)


class Auditor:
    """Reads a log from its first entry to its last."""

    def __init__(
        self,
        origin: str,
        *,
        known: Iterable[Checkpoint] = (),
        state: State | None = None,
        check_signature: SignatureCheck = check_now,
        prefetch: Prefetch | None = None,
        is_recorded: RecordedCheck | None = None,
        report: AuditReport | None = None,
        standing: Standing | None = None,
    ) -> None:
        """Prepare an audit.

        Args:
            origin: the log that this should be.
            known: verified checkpoints that were seen before: the log must still begin with their trees.
            state: an empty state to replay into, or that of an audit that goes on; in memory by default.
            check_signature: how to check signatures; at once by default.
            prefetch: where the state is far away, loads what the next events will ask for.
            is_recorded: tells whether an event is recorded already, as far as that is known at once; in the state by default.
            report: of an audit that goes on: what it has found so far.
            standing: of an audit that goes on: how far it came.
        """
        self.report = report or AuditReport(origin)
        standing = standing or Standing.beginning()
        self._origin = origin
        self._known: dict[int, list[Checkpoint]] = {}
        self.compare_with(known)
        self._state = state or State()
        self._check_signature = check_signature
        self._prefetch = prefetch
        self._is_recorded = is_recorded or self._is_in_state
        self._computed = standing.computed
        # While the tree is the computed one they are the same object, and what is appended is hashed once.
        self._tree = standing.computed if standing.tree == standing.computed else standing.tree
        self._recorded_at_us = standing.recorded_at_us

    def compare_with(self, known: Iterable[Checkpoint]) -> None:
        """Have the log compared with these checkpoints too, which were verified and seen before."""
        for checkpoint in known:
            self._known.setdefault(checkpoint.size, []).append(checkpoint)

    @property
    def size(self) -> int:
        """Entries read so far: the index of the next one."""
        return self._computed.size

    @property
    def state(self) -> State:
        """What the log has led to so far."""
        return self._state

    @property
    def standing(self) -> Standing:
        """How far it has come."""
        return Standing(self._computed, self._tree, self._recorded_at_us)

    def find(self, index: int | None, reason: Reason, message: str) -> None:
        """Note something that does not hold."""
        self.report.find(index, reason, message)

    def read(self, data: bytes, tree_hash: bytes | None = None) -> None:
        """Judge the next entry.

        Args:
            data: the entry's bytes.
            tree_hash: what the tree holds as its leaf hash, if the log tells.
        """
        self.read_all([data], [tree_hash])

    def read_all(
        self,
        entries: Sequence[bytes],
        tree_hashes: Sequence[bytes | None] | None = None,
        completed: MutableMapping[Subtree, bytes] | None = None,
    ) -> None:
        """Judge the next entries; the same as `read` for each, and faster.

        Args:
            entries: their bytes.
            tree_hashes: what the tree holds as their leaf hashes, as far as the log tells.
            completed: receives the subtrees of the tree that the log tells which these entries complete, as in
                `Frontier.extend`; nothing more once the log does not tell all of it.
        """
        if not entries:
            return
        told: list[bytes | None] = [None] * len(entries) if tree_hashes is None else list(tree_hashes)
        start = begin = self.size
        # The root is looked at where an earlier checkpoint has one.
        stops = {size for size in self._known if start < size < start + len(entries)}
        for stop in sorted({*stops, start + len(entries)}):
            piece = slice(begin - start, stop - start)
            self._read_piece(entries[piece], told[piece], completed)
            self._compare_known()
            begin = stop

    def _read_piece(
        self,
        entries: Sequence[bytes],
        tree_hashes: list[bytes | None],
        completed: MutableMapping[Subtree, bytes] | None,
    ) -> None:
        hashes = [leaf_hash(data) for data in entries]
        opened = [_open(data) for data in entries]
        if self._prefetch is not None:
            self._prefetch([(one.event, one.envelope.key_id) for one in opened if isinstance(one, _Opened)])
        for index, (one, hash_, told) in enumerate(zip(opened, hashes, tree_hashes, strict=True), self.size):
            if told is not None and told != hash_:
                self.report.find_difference(index, hash_, told)
            try:
                self._judge(index, one, hash_)
            except LedgerError as error:
                self.find(index, error.reason, str(error))
        if self._tree is self._computed and tree_hashes == hashes:
            self._computed = self._tree = self._computed.extend(hashes, completed)
            return
        self._computed = self._computed.extend(hashes)
        if self._tree is not None:
            known = [told for told in tree_hashes if told is not None]
            self._tree = self._tree.extend(known, completed) if len(known) == len(entries) else None

    def conclude(self, checkpoint: Checkpoint) -> AuditReport:
        """Compare what was read with the checkpoint under which it was served, and report.

        Args:
            checkpoint: verified; of the tree that was to be read, no larger and no smaller.
        """
        report = self.report
        report.size, report.root = self.size, self._computed.root()
        if checkpoint.size != self.size:
            self.find(
                None,
                Reason.BAD_ENTRY,
                f"number of entries: given {self.size}, expected {checkpoint.size} (checkpoint)",
            )
        elif report.root != checkpoint.root:
            blame = (
                "the entries"
                if self._tree is None or self._tree.root() == checkpoint.root
                else "the tree itself"
            )
            self.find(
                None,
                Reason.BAD_CHECKPOINT,
                f"root of {self.size} entries: given {report.root.hex()}, expected {checkpoint.root.hex()} "
                f"(checkpoint); {blame} changed after it was signed",
            )
        else:
            report.absolve()
        for size in sorted(size for size in self._known if size > self.size):
            report.contradicted += self._known[size]
            self.find(
                None,
                Reason.ROLLBACK,
                f"number of entries: given {self.size}, expected at least {size} (checkpoint seen before)",
            )
        return report

    def _judge(self, index: int, opened: _Opened | _Unreadable, hash_: bytes) -> None:
        if opened.entry is not None:
            self._check_time(index, opened.entry)
        if isinstance(opened, _Unreadable):
            raise opened.error
        entry, envelope, event = opened.entry, opened.envelope, opened.event
        self._check_link(index, event, entry)
        if self._is_recorded(event.id):
            self.report.find_duplicate(index, event.id)
        signer, judgement = self._check_rules(index, event, envelope, entry)
        for record in judgement.changes:
            if isinstance(record, Party):
                self.report.parties += self._state.get(Party, record.key) is None
        recorded = settle(
            event, signer, judgement, entry=entry, entry_hash=hash_, index=index, state=self._state
        )
        self.report.chains += entry.chain_seq == 0
        self.report.kinds[recorded.kind or "unknown to this version"] += 1
        self.report.flagged += bool(recorded.flags)

    def _is_in_state(self, event_id: bytes) -> bool:
        return self._state.get(Recorded, event_id) is not None

    def _check_time(self, index: int, entry: Entry) -> None:
        if entry.recorded_at_us < self._recorded_at_us:
            given, expected = entry.recorded_at_us, f"{self._recorded_at_us} or later"
            self.find(index, Reason.BAD_ENTRY, f"recorded_at: given {given} µs, expected {expected}")
        else:
            self._recorded_at_us = entry.recorded_at_us

    def _check_link(self, index: int, event: Event, entry: Entry) -> None:
        chain_seq, previous = next_link(event.chain, self._state)
        if entry.chain_seq != chain_seq:
            message = f"chain_seq in {event.chain}: given {entry.chain_seq}, expected {chain_seq}"
            self.find(index, Reason.BROKEN_CHAIN, message)
        elif entry.previous != previous:
            given, expected = entry.previous.hex() or "none", previous.hex() or "none"
            message = f"previous in {event.chain}: given {given}, expected {expected}"
            self.find(index, Reason.BROKEN_CHAIN, message)

    def _check_rules(
        self, index: int, event: Event, envelope: Envelope, entry: Entry
    ) -> tuple[Signer | None, Judgement]:
        """Who signed, and what the rules say; what does not hold is noted, and the replay goes on without it."""
        rules_known = rules_in_force(self._state) in KNOWN_RULES
        self.report.unjudged += not rules_known
        self.report.unknown_kinds += event.kind is None
        if not rules_known:
            self._check_without_rules(index, event, envelope)
        try:
            signer = identify(event, envelope.key_id, self._state)
        except NotAuthorized as error:
            # Under rules unknown to this version, its key may have come in by an event that was not judged.
            if rules_known:
                self.find(index, error.reason, str(error))
            return None, Judgement()
        try:
            self._check_signature(index, PublicKey.parse(signer.public_key), envelope)
            self.report.signatures += 1
        except LedgerError as error:
            self.find(index, error.reason, str(error))
        if not rules_known or event.kind is None:
            return signer, Judgement()
        if event.kind is Kind.GENESIS and event.message.genesis.origin != self._origin:
            given = event.message.genesis.origin
            self.find(index, Reason.FORK, f"origin in the genesis: given {given}, expected {self._origin}")
        try:
            judgement = judge(event, signer, self._state, index=index, recorded_at_us=entry.recorded_at_us)
        except LedgerError as error:
            self.find(index, error.reason, f"recorded against the rules: {error}")
            judgement = Judgement()
        return signer, judgement

    def _check_without_rules(self, index: int, event: Event, envelope: Envelope) -> None:
        """What holds under any rules: where a genesis stands, and the form of a signature whose key may be unknown."""
        try:
            require_genesis_first(event, index)
            envelope.require_known_form()
        except LedgerError as error:
            self.find(index, error.reason, str(error))

    def _compare_known(self) -> None:
        for known in self._known.get(self.size, ()):
            if known.root == self._computed.root():
                continue
            if self._tree is not None and self._tree.root() == known.root:
                # The tree is the one that was seen; which entries are not what it holds has been said.
                continue
            error = BrokenProof(
                Reason.FORK,
                f"root of the first {known.size} entries",
                given=self._computed.root().hex(),
                expected=f"{known.root.hex()} (checkpoint seen before): history was rewritten",
            )
            self.report.contradicted.append(known)
            self.find(None, error.reason, str(error))


def _open(data: bytes) -> _Opened | _Unreadable:
    entry = None
    try:
        entry = Entry.parse(data)
        envelope = Envelope.parse(entry.envelope)
        return _Opened(entry, envelope, Event.parse(envelope.payload))
    except LedgerError as error:
        return _Unreadable(error, entry)
