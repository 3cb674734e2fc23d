"""What the parts of a service tell of their work, to whoever counts or traces it.

An `Observer` hears of requests and batches, never of single events: listening must cost next to nothing beside the
signatures. By itself it listens to nothing; `server.telemetry` has those that do. It must not raise: what it hears of
has happened, whatever it makes of it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ledger.errors import LedgerError
    from ledger.sequence import Submission
    from server.writer import Committed


@dataclass(frozen=True, slots=True)
class Batch:
    """A batch that was written, or could not be."""

    events: int
    """Submissions in it."""
    seconds: float
    """From its beginning to the end of its commit."""
    outcome: Committed | Exception


class Observer:
    """Hears of the work, and makes nothing of it."""

    def admitted(self, outcomes: Sequence[Submission | LedgerError], seconds: float) -> None:
        """A request's envelopes were parsed and their signatures checked; heard in the call's own task."""

    def queued(self) -> object:
        """A request begins to wait for its batch; heard in the call's own task.

        Returns:
            Whatever is to be told again when the batch is written.
        """
        return None

    @contextmanager
    def writing(self, requests: Sequence[object]) -> Iterator[None]:  # noqa: ARG002 - for those who listen
        """A batch is being written, in the thread that this is heard in.

        Args:
            requests: what `queued` returned for each.
        """
        yield

    def written(self, batch: Batch) -> None:
        """A batch was written, or could not be; heard in the same thread, before `writing` ends."""


class Observers(Observer):
    """Several that all listen."""

    def __init__(self, observers: Sequence[Observer]) -> None:
        self._observers = tuple(observers)

    def admitted(self, outcomes: Sequence[Submission | LedgerError], seconds: float) -> None:
        """Tell all."""
        for observer in self._observers:
            observer.admitted(outcomes, seconds)

    def queued(self) -> object:
        """Tell all, and keep what each wants to be told again."""
        return [observer.queued() for observer in self._observers]

    @contextmanager
    def writing(self, requests: Sequence[object]) -> Iterator[None]:
        """Tell each with its own."""
        with ExitStack() as stack:
            for number, observer in enumerate(self._observers):
                own = [marks[number] for marks in requests if isinstance(marks, list)]
                stack.enter_context(observer.writing(own))
            yield

    def written(self, batch: Batch) -> None:
        """Tell all."""
        for observer in self._observers:
            observer.written(batch)
