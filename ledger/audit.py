"""Judging a whole log from its raw entries, trusting nobody.

The auditor reads the entries in order and does everything again: leaf hashes and the tree's root, each chain's links,
every signature, and the very rules that the service applied. The same input gives the same verdict, wherever it runs.

What does not hold becomes a `Finding`, and the audit goes on, so that one report names all that is wrong. An auditor
that is also told what the tree holds as each entry's leaf hash can say which entry was changed even where signature
and chain still look right. One that remembers earlier checkpoints can tell when history was rewritten as a whole:
such a log holds together in itself, but it is not the log that was seen before.

What this version does not know (a new kind of event, a new version of the rules) is counted and named; signature,
chain and tree are checked all the same.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import TypeAlias

from ledger.checkpoint import Checkpoint
from ledger.entry import Entry
from ledger.envelope import Envelope
from ledger.errors import BrokenProof, LedgerError, NotAuthorized, Reason
from ledger.event import Event, Kind
from ledger.frontier import Frontier
from ledger.keys import PublicKey
from ledger.merkle import leaf_hash
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

MAX_FINDINGS = 1_000
"""Findings that are kept; further ones are counted."""

SignatureCheck: TypeAlias = Callable[[int, PublicKey, Envelope], None]
"""Checks the signature of entry number n, now or later; later failures go to `Auditor.find`."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that does not hold."""

    index: int | None
    """The entry that it is about; None if it is about the log as a whole."""
    reason: Reason
    message: str

    def __str__(self) -> str:
        """For people: where, what, why."""
        where = "log" if self.index is None else f"entry {self.index}"
        return f"{where}: {self.message} [{self.reason}]"


@dataclass(slots=True)
class AuditReport:
    """What an audit found."""

    origin: str
    size: int = 0
    """Entries read."""
    root: bytes = b""
    """Root over the entries as they were read."""
    chains: int = 0
    parties: int = 0
    signatures: int = 0
    """Signatures that were checked."""
    kinds: Counter[str] = field(default_factory=Counter)
    """Entries by kind of event."""
    flagged: int = 0
    """Entries with at least one flag."""
    unknown_kinds: int = 0
    """Entries whose kind this version does not know: signature, chain and tree were checked, the rules were not."""
    unjudged: int = 0
    """Entries under rules that this version does not know."""
    contradicted: list[Checkpoint] = field(default_factory=list)
    """Checkpoints seen before that the log does not continue."""
    findings: list[Finding] = field(default_factory=list)
    more_findings: int = 0
    """Findings beyond those kept."""

    @property
    def verified(self) -> bool:
        """Whether everything holds."""
        return not self.findings


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
    ) -> None:
        """Prepare an audit.

        Args:
            origin: the log that this should be.
            known: verified checkpoints that were seen before: the log must still begin with their trees.
            state: an empty state to replay into; in memory by default.
            check_signature: how to check signatures; at once by default.
        """
        self.report = AuditReport(origin)
        self._origin = origin
        self._known: dict[int, list[Checkpoint]] = {}
        for checkpoint in known:
            self._known.setdefault(checkpoint.size, []).append(checkpoint)
        self._state = state or State()
        self._check_signature = check_signature
        self._computed = Frontier()
        self._tree: Frontier | None = Frontier()
        self._recorded_at_us = 0

    @property
    def size(self) -> int:
        """Entries read so far: the index of the next one."""
        return self._computed.size

    @property
    def state(self) -> State:
        """What the log has led to so far."""
        return self._state

    def find(self, index: int | None, reason: Reason, message: str) -> None:
        """Note something that does not hold."""
        if len(self.report.findings) < MAX_FINDINGS:
            self.report.findings.append(Finding(index, reason, message))
        else:
            self.report.more_findings += 1

    def read(self, data: bytes, tree_hash: bytes | None = None) -> None:
        """Judge the next entry.

        Args:
            data: the entry's bytes.
            tree_hash: what the tree holds as its leaf hash, if the log tells.
        """
        index, hash_ = self.size, leaf_hash(data)
        self._computed = self._computed.append(hash_)
        if self._tree is not None:
            self._tree = None if tree_hash is None else self._tree.append(tree_hash)
        if tree_hash is not None and tree_hash != hash_:
            self.find(
                index,
                Reason.BAD_ENTRY,
                f"leaf hash: given bytes that hash to {hash_.hex()}, expected {tree_hash.hex()}, which the tree holds",
            )
        try:
            self._judge(index, data, hash_)
        except LedgerError as error:
            self.find(index, error.reason, str(error))
        self._compare_known()

    def conclude(self, checkpoint: Checkpoint) -> AuditReport:
        """Compare what was read with the checkpoint under which it was served, and report.

        Args:
            checkpoint: verified; of the tree that was to be read, no larger and no smaller.
        """
        report = self.report
        report.size, report.root = self.size, self._computed.root()
        report.parties = sum(1 for record in self._state.changes() if isinstance(record, Party))
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
        for size in sorted(size for size in self._known if size > self.size):
            report.contradicted += self._known[size]
            self.find(
                None,
                Reason.ROLLBACK,
                f"number of entries: given {self.size}, expected at least {size} (checkpoint seen before)",
            )
        return report

    def _judge(self, index: int, data: bytes, hash_: bytes) -> None:
        entry = Entry.parse(data)
        if entry.recorded_at_us < self._recorded_at_us:
            given, expected = entry.recorded_at_us, f"{self._recorded_at_us} or later"
            self.find(index, Reason.BAD_ENTRY, f"recorded_at: given {given} µs, expected {expected}")
        self._recorded_at_us = max(self._recorded_at_us, entry.recorded_at_us)
        envelope = Envelope.parse(entry.envelope)
        event = Event.parse(envelope.payload)
        self._check_link(index, event, entry)
        if self._state.get(Recorded, event.id) is not None:
            self.find(index, Reason.DUPLICATE_EVENT, f"event {event.id.hex()} is recorded twice")
        signer, judgement = self._check_rules(index, event, envelope, entry)
        recorded = settle(
            event, signer, judgement, entry=entry, entry_hash=hash_, index=index, state=self._state
        )
        self.report.chains += entry.chain_seq == 0
        self.report.kinds[recorded.kind or "unknown to this version"] += 1
        self.report.flagged += bool(recorded.flags)

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
