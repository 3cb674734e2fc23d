"""Watching a log: its entries as they are recorded, each verified, across whatever interrupts.

The service sends pages on a stream. Of each, everything is verified that can be:

1. Its checkpoint continues that of the page before, and all that was believed earlier.
2. Each entry is in that checkpoint's tree and is signed, as everywhere in this SDK.
3. Each is wanted, comes after all before it, and before what the page says to be looked through.
4. Where nothing is filtered, no index is missing. Where whole chains are watched and nothing else is filtered, no link
   of a chain is, from the first one seen on.

What a filter left out nobody can see: that entries by a party or of a kind were all delivered, and that a chain has no
further ones, is the service's word. Who must know watches without a filter, or audits.

When the stream breaks off, or nothing comes any more, the service is asked again, ever more seldom, from where the last
page ended. Where several processes serve the log, those that have not been asked since then come first, without delay. A
page is given to the caller whole or not at all, so none of its entries is lost or given twice. Only what may pass is
tried again: a broken proof or a refusal is raised.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from threading import Timer
from typing import TypeAlias

import grpc

from clients.session import Session
from clients.verify import VerifiedEntry, mismatch, verify_chain, verify_entries
from ledger.checkpoint import Checkpoint
from ledger.errors import Reason, ServiceFault
from ledger.selection import Selection
from suyuan.v1 import ledger_service_pb2 as pb

SILENCE_S = 35.0
"""Seconds without an answer after which a stream counts as broken: a service sends one every ten."""

FIRST_PAUSE_S = 0.2
LONGEST_PAUSE_S = 30.0

_PASSING = frozenset(
    {
        Reason.UNREACHABLE,
        Reason.STOPPING,
        Reason.OVERLOADED,
        Reason.STORE_UNAVAILABLE,
        Reason.NO_QUORUM,
        Reason.STANDBY,
    }
)

OnPause: TypeAlias = Callable[[ServiceFault, float], None]
"""Is told what interrupts, and in how many seconds the service is asked again."""


def no_word(fault: ServiceFault, pause_s: float) -> None:
    """Nobody is told."""


@dataclass(frozen=True, slots=True)
class Watched:
    """A page of a log that is watched; often without entries: then it tells only how far the log was looked through."""

    entries: tuple[VerifiedEntry, ...]
    """In the order of the log."""
    next: int
    """Where to go on another time: all before it was delivered, or filtered out."""
    checkpoint: Checkpoint

    @property
    def is_last(self) -> bool:
        """Whether the log had no more entries when this was sent."""
        return self.next == self.checkpoint.size


def watch(
    session: Session,
    selection: Selection,
    start: int,
    *,
    patience_s: float,
    on_pause: OnPause,
    silence_s: float = SILENCE_S,
) -> Iterator[Watched]:
    """As `LedgerClient.watch`.

    Args:
        session: with the log.
        selection: what is wanted.
        start: index of the first entry that may be delivered.
        patience_s: seconds without a page after which the fault that interrupts is raised, once every process was asked.
        on_pause: is told of interruptions.
        silence_s: seconds after which a stream without an answer counts as broken.
    """
    checking = _Checking(session, selection, start)
    pause_s, since = FIRST_PAUSE_S, time.monotonic()
    transport, asked = session.transport, 0
    while True:
        number = transport.current
        try:
            for page in _stream(session, checking, silence_s):
                yield page
                pause_s, since, asked = FIRST_PAUSE_S, time.monotonic(), 0
            fault = ServiceFault(
                Reason.UNREACHABLE, "stream of entries", given="its end", expected="further answers"
            )
        except ServiceFault as error:
            if error.reason not in _PASSING or transport.closed:
                raise
            fault = error
        asked += 1
        if transport.current != number and asked < transport.several:
            continue
        asked = 0
        if time.monotonic() + pause_s - since > patience_s:
            raise fault
        on_pause(fault, pause_s)
        time.sleep(pause_s)
        pause_s = min(2 * pause_s, LONGEST_PAUSE_S)


def _stream(session: Session, checking: _Checking, silence_s: float) -> Iterator[Watched]:
    """One stream, to its end."""
    known = session.follower.newest()
    request = checking.request(known)
    with session.transport.stream(session.transport.ledger.WatchEvents, request) as answers:
        while True:
            with _not_silent(answers.call, silence_s):
                answer = session.transport.next_of(answers)
            if answer is None:
                return
            known = session.follower.accept(answer.checkpoint, known)
            yield checking.page(answer, known)


@contextmanager
def _not_silent(call: grpc.Call, silence_s: float) -> Iterator[None]:
    """End a call of which nothing comes in time.

    Raises:
        ServiceFault: `UNREACHABLE`.
    """
    late = Timer(silence_s, call.cancel)
    late.daemon = True
    late.start()
    try:
        yield
    except ServiceFault as fault:
        if late.finished.is_set():
            raise ServiceFault(
                Reason.UNREACHABLE,
                "stream of entries",
                given=f"nothing for {silence_s:g} s",
                expected="an answer, were it an empty one",
            ) from fault
        raise
    finally:
        late.cancel()


class _Checking:
    """Holds each page against what was asked for and what came before."""

    def __init__(self, session: Session, selection: Selection, start: int) -> None:
        self._session = session
        self._selection = selection
        self._whole = bool(selection.chains) and not (selection.parties or selection.kinds)
        self._from_start = start == 0
        self._next = start
        self._ends: dict[str, VerifiedEntry] = {}

    def request(self, known: Checkpoint | None) -> pb.WatchEventsRequest:
        """What to ask for, to go on where the last page ended."""
        return pb.WatchEventsRequest(
            start=self._next,
            chains=sorted(self._selection.chains),
            parties=sorted(self._selection.parties),
            kinds=sorted(self._selection.kinds),
            known_size=known.size if known is not None else 0,
        )

    def page(self, answer: pb.WatchEventsResponse, checkpoint: Checkpoint) -> Watched:
        """A page, verified; the next one has to follow it.

        Raises:
            BrokenProof: as `Session.attribute`; `BAD_ENTRY` if it is not what was asked for, `BROKEN_CHAIN` if an
                entry of a watched chain is missing.
            ServiceFault: the service could not be asked for something that this takes.
        """
        if not self._next <= answer.next <= checkpoint.size:
            raise mismatch(
                "next of a page", answer.next, f"{self._next} to {checkpoint.size}, the size of the log"
            )
        verified = verify_entries(answer.entries, checkpoint)
        self._require_place(verified, answer.next)
        entries = tuple(self._attributed(entry) for entry in verified)
        for entry in entries:
            if not self._selection.holds(entry.event.message, entry.signer):
                raise mismatch(
                    f"entry {entry.index}", "one that was not asked for", "one that passes the filter"
                )
        ends = self._ends | self._links(entries)
        self._session.heads.note(entries)
        self._session.require_witnessed(answer)
        # Only now: whatever was raised before, the same page can be asked for again.
        self._next, self._ends = answer.next, ends
        return Watched(entries, answer.next, checkpoint)

    def _require_place(self, entries: tuple[VerifiedEntry, ...], end: int) -> None:
        """Refuse what is out of order, was delivered before, or leaves a gap where there can be none."""
        for entry in entries:
            if not self._next <= entry.index < end:
                raise mismatch("index of an entry on a page", entry.index, f"{self._next} to {end - 1}")
        if self._selection.is_everything and len(entries) != end - self._next:
            raise mismatch(
                f"entries from {self._next} to {end - 1}", len(entries), f"{end - self._next}, without a gap"
            )

    def _attributed(self, entry: VerifiedEntry) -> VerifiedEntry:
        """An entry with its signer. What it introduces is taken in, so that it need not be asked for later."""
        return self._session.ring_with([entry]).attribute(entry)

    def _links(self, entries: tuple[VerifiedEntry, ...]) -> dict[str, VerifiedEntry]:
        """The last entries of the watched chains on this page, after a look that no link is missing."""
        ends: dict[str, VerifiedEntry] = {}
        if self._whole:
            for entry in entries:
                chain = str(entry.event.chain)
                before = ends.get(chain) or self._ends.get(chain)
                if before is not None or self._from_start:
                    verify_chain([entry], chain, after=before)
                # Without its bytes, which nobody reads any more.
                ends[chain] = replace(entry, data=b"")
        return ends
