"""Checking signatures on all processors.

Signatures are most of an audit's work, and none depends on another. So they go in batches to processes of their own,
which get bytes and answer which of them do not hold. The batches come back in the order in which they went, a fixed
number of batches later: the same log gives the same findings in the same order, however fast the machine is.

The processes are started anew (`spawn`), so that nothing of this one is shared by accident, and each has one pipe to
this process, whose end it sees when this one ends, by whatever means. None outlives it.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
from collections import deque
from collections.abc import Iterator
from multiprocessing import get_context, resource_tracker
from multiprocessing.connection import Connection
from types import TracebackType
from typing import TYPE_CHECKING, Final, Self, TypeAlias

from ledger.envelope import signed_bytes
from ledger.errors import LedgerError, NotAuthorized, Reason, ServiceFault
from ledger.keys import PublicKey

if sys.platform != "win32":
    import fcntl

if TYPE_CHECKING:
    from multiprocessing.process import BaseProcess

LAG: Final = 16
"""Batches that are under way at most, for all processes together."""

WORTH_STARTING: Final = 8_192
"""Signatures from which on starting processes takes less time than it saves."""

_PIPE_BYTES: Final = 1_048_576
_STOP_S: Final = 5.0


Signature: TypeAlias = tuple[int, bytes, bytes, bytes]
"""A signature to be checked: the entry that it is of, DER SubjectPublicKeyInfo, signature, the event's bytes."""

Batch: TypeAlias = list[Signature]


def processors() -> int:
    """How many processors this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


class Verifiers:
    """Processes that check signatures; none is started before it is worth it."""

    def __init__(self, jobs: int) -> None:
        """Prepare so many processes."""
        self._jobs = jobs
        self._workers: list[tuple[BaseProcess, Connection, Connection]] = []
        self._under_way: deque[tuple[Batch, Connection | None]] = deque()
        self._sent = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def processes(self) -> list[int]:
        """Ids of the processes that were started."""
        return [process.pid for process, _, _ in self._workers if process.pid is not None]

    def expect(self, signatures: int) -> None:
        """Start the processes if so many signatures that are to come are worth it."""
        if self._workers or signatures < WORTH_STARTING:
            return
        context = get_context("spawn")
        with _interrupts_held():
            for _ in range(self._jobs):
                receives, sends = context.Pipe(duplex=False)
                hears, answers = context.Pipe(duplex=False)
                _widen(sends)
                process = context.Process(target=_work, args=(receives, answers), daemon=True)
                process.start()
                # Only the process holds its ends now: when it ends, reading here ends, and the other way round.
                receives.close()
                answers.close()
                self._workers.append((process, sends, hears))

    def submit(self, batch: Batch) -> None:
        """Have a batch checked; its turn to be collected comes after those submitted before."""
        if not batch:
            return
        if not self._workers:
            self._under_way.append((batch, None))
            return
        _, sends, hears = self._workers[self._sent % self._jobs]
        self._sent += 1
        with _translated():
            sends.send(batch)
        self._under_way.append((batch, hears))

    def collect(self, most_left: int = 0) -> Iterator[tuple[int, LedgerError]]:
        """What does not hold in the oldest batches, until at most so many are under way: entry and error.

        Raises:
            ServiceFault: a process has died.
        """
        while len(self._under_way) > most_left:
            batch, hears = self._under_way[0]
            if hears is None:
                failed = _failures(batch)
            else:
                with _translated():
                    failed = hears.recv()
            self._under_way.popleft()
            for place in failed:
                try:
                    # Once more for the message: it is seldom, and one who was told wrong would accuse an innocent.
                    _verify(batch[place])
                except LedgerError as error:
                    yield batch[place][0], error

    def owed(self) -> Batch:
        """The signatures that were submitted and not collected, in order."""
        return [one for batch, _ in self._under_way for one in batch]

    def close(self) -> None:
        """End the processes, whatever they are doing."""
        for _, sends, hears in self._workers:
            sends.close()
            hears.close()
        for process, _, _ in self._workers:
            process.terminate()
        for process, _, _ in self._workers:
            process.join(_STOP_S)
            if process.is_alive():
                process.kill()
                process.join()
            process.close()
        self._workers.clear()
        self._under_way.clear()


def _verify(one: Signature) -> None:
    _, spki, signature, payload = one
    PublicKey.parse(spki).verify(signature, signed_bytes(payload))


def _failures(batch: Batch) -> list[int]:
    """The places of those that do not hold."""
    failed = []
    for place, (_, spki, signature, payload) in enumerate(batch):
        try:
            PublicKey.parse(spki).verify(signature, signed_bytes(payload))
        except NotAuthorized:
            failed.append(place)
    return failed


def _work(receives: Connection, answers: Connection) -> None:
    """Check batches until the other end of the pipe is gone."""
    # Ctrl-C goes to all processes of a terminal; what it means is for the first of them to say.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    with contextlib.suppress(EOFError, OSError):
        while True:
            answers.send(_failures(receives.recv()))


@contextlib.contextmanager
def _interrupts_held() -> Iterator[None]:
    """Hold back Ctrl-C while processes start: they inherit that, and so never see it."""
    if sys.platform == "win32":
        yield
        return
    # Once it runs; to start it would let Ctrl-C through again.
    resource_tracker.ensure_running()
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


@contextlib.contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except (EOFError, OSError) as error:
        raise ServiceFault(
            Reason.STOPPING,
            "process that checks signatures",
            given="one that has ended",
            expected="one that goes on",
        ) from error


def _widen(sends: Connection) -> None:
    """Let some batches wait in the pipe, so that neither end waits for the other."""
    if sys.platform == "linux":
        with contextlib.suppress(OSError):
            fcntl.fcntl(sends.fileno(), fcntl.F_SETPIPE_SZ, _PIPE_BYTES)
