"""Appending through a stream: for those who have many events, or events for hours.

Messages go out one after the other without waiting for answers, so many as a window lets, and are answered in order.
Where the stream breaks, a new one is begun with what was not answered: sending an event again is harmless, for the
service answers with its first receipt.

Where a key has no allowance left, what was sent behind is heard first, for some of it may be recorded. What was refused
from there on is then sent again by calls of its own, in order and when the service says; the stream goes on after it.
"""

from __future__ import annotations

import queue
import threading
import time
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import grpc

from clients.answers import Appended
from clients.append import batches, first_limited, outcomes_of, persist
from clients.convert import Refused
from clients.session import Session
from clients.transport import Transport
from ledger.checkpoint import Checkpoint
from ledger.envelope import Envelope
from ledger.errors import LedgerError, Reason, ServiceFault
from suyuan.v1 import ledger_service_pb2 as pb

MESSAGE_EVENTS = 100
"""Events in one message."""

WINDOW = 16
"""Messages that are sent and not yet answered."""

_DELAY_S = 0.1
_LONGEST_DELAY_S = 2.0
_PASSING = frozenset(
    {Reason.OVERLOADED, Reason.STOPPING, Reason.STORE_UNAVAILABLE, Reason.UNREACHABLE, Reason.STANDBY}
)
"""Faults after which another try may help."""


def append_stream(session: Session, envelopes: Iterable[Envelope]) -> Iterator[Appended | Refused]:
    """As `LedgerClient.append_stream`."""
    stream = _Stream(session)
    try:
        for batch in batches(envelopes, MESSAGE_EVENTS):
            stream.send(batch)
            yield from stream.outcomes(WINDOW - 1)
        yield from stream.outcomes(0)
    finally:
        stream.close()


@dataclass(frozen=True, slots=True)
class _Sent:
    """A message that waits for its answer."""

    envelopes: list[Envelope]
    request: pb.AppendEventsRequest
    known: Checkpoint | None
    """The checkpoint whose size the request names."""


class _Stream:
    """What was sent and is not answered, over as many connections as it takes."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._unanswered: deque[_Sent] = deque()
        self._call: _Call | None = None

    def send(self, envelopes: list[Envelope]) -> None:
        """Send a message, now or with the next connection."""
        known = self._session.follower.newest()
        request = pb.AppendEventsRequest(
            envelopes=[envelope.raw for envelope in envelopes], known_size=known.size if known else 0
        )
        self._unanswered.append(_Sent(envelopes, request, known))
        if self._call is not None:
            self._call.send(request)

    def outcomes(self, most: int) -> Iterator[Appended | Refused]:
        """The verified outcomes that have come, waiting for more while more than `most` messages are unanswered."""
        while self._unanswered:
            answered = self._answered(wait=len(self._unanswered) > most)
            if answered is None:
                return
            envelopes, outcomes = answered
            limited = first_limited(outcomes)
            if limited is not None:
                at = limited[0]
                yield from outcomes[:at]
                envelopes, outcomes = envelopes[at:], outcomes[at:]
                while self._unanswered and (behind := self._answered(wait=True)):
                    envelopes += behind[0]
                    outcomes += behind[1]
                persist(self._session, envelopes, outcomes)
            yield from outcomes

    def _answered(self, *, wait: bool) -> tuple[list[Envelope], list[Appended | Refused]] | None:
        """The next message that is answered, and the verified outcomes; None as `_answer` says."""
        answer = self._answer(wait=wait)
        if answer is None:
            return None
        sent = self._unanswered.popleft()
        checkpoint = self._session.follower.accept(answer.checkpoint, sent.known)
        return sent.envelopes, outcomes_of(self._session, sent.envelopes, answer, checkpoint)

    def close(self) -> None:
        """End the connection; what is unanswered may be recorded nevertheless."""
        if self._call is not None:
            self._call.close()
            self._call = None

    def _answer(self, *, wait: bool) -> pb.AppendEventsResponse | None:
        """The next answer; None if none has come yet and none is waited for.

        Raises:
            LedgerError: why there will be none, after tries for as long as a call may take.
        """
        deadline = time.monotonic() + self._session.transport.timeout_s
        delay_s = _DELAY_S
        while True:
            try:
                left_s = min(max(0.0, deadline - time.monotonic()), self._session.transport.share_s)
                return self._connected().hear(left_s if wait else 0.0)
            except queue.Empty:
                if not wait:
                    return None
                self._leave()
                if time.monotonic() >= deadline:
                    raise self._session.transport.unreachable("no answer in time") from None
                continue
            except ServiceFault as fault:
                self.close()
                late = time.monotonic() + delay_s > deadline
                if late or fault.reason not in _PASSING or self._session.transport.closed:
                    raise
            time.sleep(delay_s)
            delay_s = min(delay_s * 2, _LONGEST_DELAY_S)

    def _leave(self) -> None:
        """End a connection from which nothing comes; the next one is to another process, where there is one."""
        if self._call is not None:
            self._session.transport.leave(self._call.number)
        self.close()

    def _connected(self) -> _Call:
        if self._call is None:
            self._call = _Call(self._session.transport)
            for sent in self._unanswered:
                self._call.send(sent.request)
        return self._call


class _Call:
    """One call of StreamAppend. gRPC takes messages from one queue; a thread puts what it hears into another."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport
        self._sending: queue.SimpleQueue[pb.AppendEventsRequest | None] = queue.SimpleQueue()
        self._heard: queue.SimpleQueue[pb.AppendEventsResponse | LedgerError] = queue.SimpleQueue()
        self.number = transport.current
        """Of the process that it goes to."""
        self._call = transport.exchange(transport.ledger.StreamAppend, iter(self._sending.get, None))
        threading.Thread(target=self._hear, name="append-stream", daemon=True).start()

    def send(self, request: pb.AppendEventsRequest) -> None:
        """Send a message when the service takes it."""
        self._sending.put(request)

    def hear(self, timeout_s: float) -> pb.AppendEventsResponse:
        """The next answer.

        Raises:
            queue.Empty: none came in time.
            LedgerError: why the call has ended.
        """
        heard = self._heard.get(timeout=timeout_s) if timeout_s else self._heard.get_nowait()
        if isinstance(heard, LedgerError):
            raise heard
        return heard

    def close(self) -> None:
        """End the call."""
        self._sending.put(None)
        self._call.cancel()

    def _hear(self) -> None:
        try:
            for answer in self._call:
                self._heard.put(answer)
            self._heard.put(self._transport.unreachable("the end of a stream with messages unanswered"))
        except grpc.RpcError as error:
            self._heard.put(self._transport.fault_of(error, self.number))
