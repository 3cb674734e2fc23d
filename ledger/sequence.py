"""How submitted events become entries: the pure step between a queue and a transaction.

`sequence` takes what waits, in order, and the state and head that the log has reached. It gives every submission its
verdict and returns the entries that a store must append, all or none, together with the records that changed and the
subtrees that were completed. It performs no I/O: whoever calls it commits, signs the head and answers.

One refused submission leaves no trace: it takes no index, and those behind it are judged as if it had not been there.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TypeAlias

from ledger.entry import Entry
from ledger.envelope import Envelope
from ledger.errors import BadInput, Conflict, LedgerError, Reason
from ledger.event import Event, Kind
from ledger.frontier import Frontier
from ledger.keys import PublicKey
from ledger.merkle import Subtree, leaf_hash
from ledger.rules import Judgement, Signer, identify, judge, require_genesis_first, require_rules_known
from ledger.state import ChainHead, Reader, Recorded, State


@dataclass(slots=True)
class Submission:
    """An envelope on its way into the log."""

    envelope: Envelope
    event: Event
    verified_by: PublicKey | None = None
    """The key under which its signature is known to hold, if somebody has checked it already."""

    @classmethod
    def read(cls, raw: bytes) -> Submission:
        """Parse a serialised envelope and the event in it.

        Raises:
            BadInput: as `Envelope.parse` and `Event.parse` say; `UNKNOWN_KIND` for an event that says something this
                version does not know: it can be verified, but not judged.
        """
        envelope = Envelope.parse(raw)
        event = Event.parse(envelope.payload)
        if event.kind is None:
            raise BadInput(
                Reason.UNKNOWN_KIND,
                "event",
                given="a kind or field unknown to this version",
                expected="known ones",
            )
        return cls(envelope, event)

    def verify(self, key: PublicKey) -> None:
        """Check the signature under its signer's key, and remember that it holds.

        Raises:
            BadInput, NotAuthorized: as `Envelope.verify` says.
        """
        self.envelope.verify(key)
        self.verified_by = key


@dataclass(frozen=True, slots=True)
class LogHead:
    """Where a log stands."""

    frontier: Frontier = field(default_factory=Frontier)
    recorded_at_us: int = 0
    """`recorded_at_us` of its last entry."""

    @property
    def size(self) -> int:
        """Number of entries."""
        return self.frontier.size


@dataclass(frozen=True, slots=True)
class Sequenced:
    """A new entry."""

    entry: Entry
    data: bytes
    """The entry's bytes: the leaf."""
    hash: bytes
    """Leaf hash."""
    recorded: Recorded


@dataclass(frozen=True, slots=True)
class Resent:
    """An event that is recorded already."""

    recorded: Recorded

    def entry_of(self, data: bytes, submission: Submission) -> Entry:
        """The recorded entry, after a look that it holds the very envelope that was sent again.

        Args:
            data: bytes of the entry at `recorded.index`.
            submission: what was sent.

        Raises:
            Conflict: `DUPLICATE_EVENT` if the same event is recorded under other envelope bytes.
        """
        entry = Entry.parse(data)
        if entry.envelope != submission.envelope.raw:
            raise Conflict(
                Reason.DUPLICATE_EVENT,
                f"event {self.recorded.event_id.hex()}",
                given="other envelope bytes",
                expected=f"those recorded at index {self.recorded.index}",
            )
        return entry


Verdict: TypeAlias = Sequenced | Resent | LedgerError


@dataclass(frozen=True, slots=True)
class Batch:
    """What a store has to append, and what to answer."""

    verdicts: list[Verdict]
    """One for each submission, in order."""
    entries: list[Sequenced]
    head: LogHead
    """The head after the batch."""
    completed: dict[Subtree, bytes] = field(default_factory=dict)
    """Subtrees that the batch completed; with the old frontier enough for all proofs of its entries."""


def sequence(submissions: Iterable[Submission], state: State, head: LogHead, now_us: int) -> Batch:
    """Give every submission its verdict, and the accepted ones their places.

    Args:
        submissions: in the order in which they came.
        state: what the log up to `head` has led to; receives the changes.
        head: where the log stands.
        now_us: the service's clock; where it has jumped back, the last entry's time stands.
    """
    at_us = max(now_us, head.recorded_at_us)
    verdicts: list[Verdict] = []
    entries: list[Sequenced] = []
    for submission in submissions:
        try:
            verdict = _admit(submission, state, head.size + len(entries), at_us)
        except LedgerError as refusal:
            verdicts.append(refusal)
            continue
        verdicts.append(verdict)
        if isinstance(verdict, Sequenced):
            entries.append(verdict)
    completed: dict[Subtree, bytes] = {}
    frontier = head.frontier.extend([entry.hash for entry in entries], completed)
    return Batch(verdicts, entries, LogHead(frontier, at_us if entries else head.recorded_at_us), completed)


def next_link(chain: str, state: Reader) -> tuple[int, bytes]:
    """`chain_seq` and `previous` of the entry that a chain would get next."""
    head = state.get(ChainHead, chain)
    return (0, b"") if head is None else (head.length, head.head)


def settle(
    event: Event,
    signer: Signer | None,
    judgement: Judgement,
    *,
    entry: Entry,
    entry_hash: bytes,
    index: int,
    state: State,
) -> Recorded:
    """Put what a recorded event leaves behind: its own changes, its chain's head, and that it is there."""
    for record in judgement.changes:
        state.put(record)
    chain, latest_us = str(event.chain), event.occurred_us
    before = state.get(ChainHead, chain)
    if before is not None and before.latest_occurred_us > latest_us:
        latest_us = before.latest_occurred_us
    state.put(ChainHead(chain, entry.chain_seq + 1, entry_hash, latest_us))
    # In the order of its fields: names would cost more than the record.
    recorded = Recorded(
        event.id,
        index,
        chain,
        entry.chain_seq,
        "" if event.kind is None else str(event.kind),
        signer.name if signer else "",
        signer.key_id if signer else b"",
        judgement.sale,
        entry.recorded_at_us,
        judgement.flags,
    )
    state.put(recorded)
    return recorded


def _admit(submission: Submission, state: State, index: int, at_us: int) -> Sequenced | Resent:
    event, envelope = submission.event, submission.envelope
    recorded = state.get(Recorded, event.id)
    if recorded is not None:
        return Resent(recorded)
    if event.kind is Kind.GENESIS:
        # Before its signature is checked: a genesis brings its own key, so anybody can sign one.
        require_genesis_first(event, index)
    signer = identify(event, envelope.key_id, state)
    if submission.verified_by is None or submission.verified_by.key_id != signer.key_id:
        # The key was not known when the signature was to be checked: it may come from earlier in this very batch.
        submission.verify(PublicKey.parse(signer.public_key))
    judgement = judge(event, signer, state, index=index, recorded_at_us=at_us)
    require_rules_known(event)
    chain_seq, previous = next_link(event.chain, state)
    entry = Entry(chain_seq, previous, at_us, envelope.raw)
    data = entry.encode()
    entry_hash = leaf_hash(data)
    recorded = settle(event, signer, judgement, entry=entry, entry_hash=entry_hash, index=index, state=state)
    return Sequenced(entry, data, entry_hash, recorded)
