"""The queue in front of the writer.

Submissions wait while the last commit runs, and all that wait then go into the next batch together: batches form by
themselves, and no timer delays a lone event. Only where few wait while more are about to come (their signatures are
being checked) does the next batch wait some milliseconds for them: a commit costs as much as dozens of events do. The queue is bounded in events and in bytes; what does not fit is told to
come back, with nothing half-done.

One thread writes. The event loop hands it requests and gets results back; nobody else touches the writer.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import structlog

from ledger.errors import LedgerError, Reason, ServiceFault
from ledger.sequence import Submission, Verdict
from server.clock import WatchedClock, wall_clock_us
from server.limits import Limits
from server.observer import Batch, Observer
from server.writer import Committed, Writer

_WORTH_A_COMMIT = 64
"""Events that do not wait for more."""

_WAIT_S, _LONGEST_WAITS = 0.001, 8
"""How long, and how often in a row, fewer may wait."""

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Appended:
    """What became of one request."""

    verdicts: Sequence[Verdict]
    """One for each submission, in the request's order."""
    committed: Committed
    """The batch that the request went into."""


@dataclass(frozen=True, slots=True)
class _Request:
    submissions: list[Submission]
    size: int
    future: asyncio.Future[Appended]
    mark: object
    """The observer's."""


class Sequencer:
    """Orders submissions and has them written."""

    def __init__(
        self,
        writer: Writer,
        *,
        limits: Limits | None = None,
        clock: Callable[[], int] = wall_clock_us,
        observer: Observer | None = None,
    ) -> None:
        self._writer = writer
        self._limits = limits or Limits()
        self.clock = WatchedClock(clock)
        """The clock by which entries are recorded."""
        self._observer = observer or Observer()
        self._queue: deque[_Request] = deque()
        self._queued_events = 0
        self._queued_bytes = 0
        self._stopping = False
        self._refusal: ServiceFault | None = None
        self._taken: list[_Request] = []
        self._writing = threading.Lock()
        self.coming: Callable[[], int] = lambda: 0
        """How many events are on their way here."""
        self.announce: Callable[[int], None] = lambda _: None
        """Is told on the event loop how large the log has become, once for each commit."""
        self._wake = threading.Condition()
        self._thread = threading.Thread(target=self._run, name="sequencer", daemon=True)
        self._loop: asyncio.AbstractEventLoop | None = None

    def start(self) -> None:
        """Begin to write; to be called from the event loop that requests come from."""
        self._loop = asyncio.get_running_loop()
        self._thread.start()

    @property
    def is_alive(self) -> bool:
        """Whether there is a thread that writes."""
        return self._thread.is_alive()

    @property
    def queued(self) -> tuple[int, int]:
        """Events that wait to be written, and their envelopes' bytes."""
        return self._queued_events, self._queued_bytes

    async def append(self, submissions: list[Submission]) -> Appended:
        """Have submissions recorded; returns when their verdicts are durable.

        Raises:
            ServiceFault: `OVERLOADED` if the queue is full, `STOPPING` if the service shuts down, why `refuse` was
                called, or as `Writer.write` says.
        """
        return await self.submit(submissions)

    def submit(self, submissions: list[Submission], *, has_room: bool = False) -> asyncio.Future[Appended]:
        """Let submissions wait for their batch, behind all that were submitted before.

        Args:
            submissions: one request's.
            has_room: whoever calls has seen to it that they fit.

        Returns:
            What `append` returns, or raises, when it is known.

        Raises:
            ServiceFault: `OVERLOADED`, `STOPPING` as above.
        """
        request = _Request(
            submissions,
            sum(len(submission.envelope.raw) for submission in submissions),
            asyncio.get_running_loop().create_future(),
            self._observer.queued(),
        )
        with self._wake:
            self._admit(request, has_room=has_room)
            self._queue.append(request)
            self._queued_events += len(submissions)
            self._queued_bytes += request.size
            self._wake.notify()
        return request.future

    def require_turn(self) -> None:
        """Refuse an append before any work is done for it, where nothing can be recorded now.

        Raises:
            ServiceFault: why `refuse` was called.
        """
        if self._refusal is not None:
            raise self._refusal

    def begin_turn(self) -> None:
        """Take up the log as others have left it, once the batch that may be on its way has ended.

        Raises:
            ServiceFault: as `Writer.load` and `Writer.sign_anew` say.
        """
        with self._writing:
            self._writer.load()
            self._writer.sign_anew()

    def admit(self) -> None:
        """Take appends, from now on."""
        self._refusal = None

    def refuse(self, why: ServiceFault, *, abandon: bool = False) -> None:
        """Take no appends, and send away those that wait.

        Args:
            why: what they are told.
            abandon: also those that are being written. Whether they were recorded is then unknown to them, and found
                out by sending them again.
        """
        with self._wake:
            self._refusal = why
            refused = [*(self._taken if abandon else ()), *self._queue]
            self._queue.clear()
            self._queued_events = self._queued_bytes = 0
        self._answer(refused, why)

    async def stop(self) -> None:
        """Write what waits, take nothing new, and end."""
        with self._wake:
            self._stopping = True
            self._wake.notify()
        if self._thread.is_alive():
            await asyncio.to_thread(self._thread.join)

    def _admit(self, request: _Request, *, has_room: bool) -> None:
        if self._stopping:
            raise ServiceFault(Reason.STOPPING, "service", given="an append", expected="no more appends")
        self.require_turn()
        if not has_room:
            self._limits.require_room(
                self._queued_events + len(request.submissions), self._queued_bytes + request.size
            )

    def _run(self) -> None:
        while requests := self._take():
            outcome = self._write(requests)
            if len(requests) > 1 and _may_be_of_one(outcome):
                # One of them touches something that is damaged; the others must not suffer for it.
                for request in requests:
                    self._answer([request], self._write([request]))
            else:
                self._answer(requests, outcome)

    def _answer(self, requests: list[_Request], outcome: Committed | Exception) -> None:
        if self._loop is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(_deliver, requests, outcome)
            if isinstance(outcome, Committed):
                self._loop.call_soon_threadsafe(self.announce, outcome.head.size)

    def _take(self) -> list[_Request]:
        """Whatever waits, up to one batch; nothing once the service stops and all is written."""
        while True:
            with self._wake:
                while not self._queue and not self._stopping:
                    self._wake.wait()
            self._let_gather()
            with self._wake:
                taken: list[_Request] = []
                events = 0
                while self._queue and (
                    not taken or events + len(self._queue[0].submissions) <= self._limits.batch_events
                ):
                    request = self._queue.popleft()
                    taken.append(request)
                    events += len(request.submissions)
                    self._queued_bytes -= request.size
                self._queued_events -= events
                self._taken = taken
                if taken or self._stopping:
                    return taken
                # All that waited were sent away meanwhile.

    def _let_gather(self) -> None:
        """Wait for those who are about to come, while there are more of them than wait here already."""
        for _ in range(_LONGEST_WAITS):
            waiting = self._queued_events
            if waiting >= _WORTH_A_COMMIT or self.coming() <= waiting or self._stopping:
                return
            time.sleep(_WAIT_S)

    def _write(self, requests: list[_Request]) -> Committed | Exception:
        submissions = [submission for request in requests for submission in request.submissions]
        started = time.perf_counter()
        with self._observer.writing([request.mark for request in requests]):
            outcome = self._commit(submissions)
            seconds = time.perf_counter() - started
            self._observer.written(Batch(len(submissions), seconds, outcome))
        if isinstance(outcome, Committed):
            log.debug(
                "batch",
                events=len(submissions),
                recorded=len(outcome.batch.entries),
                size=outcome.head.size,
                ms=round(seconds * 1000, 2),
            )
        return outcome

    def _commit(self, submissions: list[Submission]) -> Committed | Exception:
        head = self._writer.head
        try:
            with self._writing:
                return self._writer.write(submissions, self.clock.now_us(head.recorded_at_us if head else 0))
        except LedgerError as error:
            return error
        except Exception as error:
            # Whatever this is, its senders must not wait for ever, and the next batch must find the writer alive.
            log.exception("batch_failed", events=len(submissions))
            return error


def _may_be_of_one(outcome: Committed | Exception) -> bool:
    """Whether one request may be to blame that a batch failed: not where nobody could have been answered."""
    if isinstance(outcome, LedgerError):
        return outcome.reason not in {Reason.STORE_UNAVAILABLE, Reason.STANDBY}
    return isinstance(outcome, Exception)


def _deliver(requests: list[_Request], outcome: Committed | Exception) -> None:
    """Hand each request its part of the batch; one that was cancelled meanwhile gets nothing, though it is recorded."""
    if not isinstance(outcome, Committed | LedgerError):
        outcome = ServiceFault(Reason.STORE_UNAVAILABLE, "batch", given="a fault", expected="a commit")
    position = 0
    for request in requests:
        end = position + len(request.submissions)
        if not request.future.done():
            if isinstance(outcome, LedgerError):
                request.future.set_exception(outcome)
            else:
                request.future.set_result(Appended(outcome.batch.verdicts[position:end], outcome))
        position = end
