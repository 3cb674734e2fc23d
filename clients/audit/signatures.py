"""Checking signatures on all processors.

Signatures are most of an audit's work, and none depends on another. So they go in batches to processes of their own,
which get bytes and answer which of them do not hold. The batches come back in the order in which they went, a fixed
number of batches later: the same log gives the same findings in the same order, however fast the machine is.

Each process is a new interpreter that loads no more than it needs (a command line that is started again for each of
them, as `multiprocessing` does, costs as much as a thousand signatures). It has pipes to this process alone, whose end it
sees when this one ends, by whatever means. None outlives it.
"""

from __future__ import annotations

import contextlib
import marshal
import os
import signal
import subprocess
import sys
from collections import deque
from collections.abc import Iterator
from types import TracebackType
from typing import IO, Final, Self, TypeAlias

from ledger.envelope import signed_bytes
from ledger.errors import LedgerError, NotAuthorized, Reason, ServiceFault
from ledger.keys import PublicKey

if sys.platform != "win32":
    import fcntl

LAG: Final = 32
"""Batches that are under way at most, for all processes together: work for them while a save takes its time."""

MOST_BYTES: Final = 33_554_432
"""Bytes of events that are under way at most, but for the newest batch: few events are large, and all could be."""

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
        self._workers: list[_Worker] = []
        self._under_way: deque[tuple[Batch, _Worker | None]] = deque()
        self._bytes = 0
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
        return [worker.pid for worker in self._workers]

    def expect(self, signatures: int) -> None:
        """Start the processes if so many signatures that are to come are worth it."""
        if self._workers or signatures < WORTH_STARTING:
            return
        with _interrupts_held():
            for _ in range(self._jobs):
                self._workers.append(_Worker())

    def submit(self, batch: Batch) -> None:
        """Have a batch checked; its turn to be collected comes after those submitted before."""
        if not batch:
            return
        self._bytes += _size(batch)
        if not self._workers:
            self._under_way.append((batch, None))
            return
        worker = self._workers[self._sent % self._jobs]
        self._sent += 1
        worker.send(batch)
        self._under_way.append((batch, worker))

    def collect(self, most_left: int = 0) -> Iterator[tuple[int, LedgerError]]:
        """What does not hold in the oldest batches, until at most so many are under way: entry and error.

        Fewer are left where their events are large.

        Raises:
            ServiceFault: a process has died.
        """
        while len(self._under_way) > most_left or (self._bytes > MOST_BYTES and len(self._under_way) > 1):
            batch, worker = self._under_way[0]
            failed = _failures(batch) if worker is None else worker.receive()
            self._under_way.popleft()
            self._bytes -= _size(batch)
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
        for worker in self._workers:
            worker.end()
        for worker in self._workers:
            worker.wait()
        self._workers.clear()
        self._under_way.clear()
        self._bytes = 0


def _size(batch: Batch) -> int:
    """Bytes of the events."""
    return sum(len(payload) for _, _, _, payload in batch)


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


def work() -> None:
    """What such a process does: check batches from standard input until that ends."""
    # Ctrl-C goes to all processes of a terminal; what it means is for the first of them to say.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    receives, answers = sys.stdin.buffer, sys.stdout.buffer
    with contextlib.suppress(EOFError, OSError):
        while True:
            failed = _failures(marshal.load(receives))  # noqa: S302 - from the process that started this one
            marshal.dump(failed, answers)
            answers.flush()
    # Whoever started it is gone, and nobody reads what Python has to say at its end.
    os._exit(0)


class _Worker:
    """A process that checks signatures."""

    def __init__(self) -> None:
        """Start it; it finds modules where this process does, and never in the folder where that was started."""
        self._process = subprocess.Popen(  # noqa: S603 - our own interpreter and code
            [sys.executable, "-P", "-c", f"from {__name__} import work; work()"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        )
        self.pid = self._process.pid
        self._sends, self._hears = _pipe(self._process.stdin), _pipe(self._process.stdout)
        _widen(self._sends)

    def send(self, batch: Batch) -> None:
        """Have it check a batch.

        Raises:
            ServiceFault: it has died.
        """
        with _translated():
            marshal.dump(batch, self._sends)
            self._sends.flush()

    def receive(self) -> list[int]:
        """The places of those that do not hold in the oldest batch that it was sent and not asked about.

        Raises:
            ServiceFault: it has died.
        """
        with _translated():
            failed: list[int] = marshal.load(self._hears)  # noqa: S302 - from a process that this one started
        return failed

    def end(self) -> None:
        """End it, whatever it is doing."""
        self._process.terminate()
        for pipe in (self._sends, self._hears):
            with contextlib.suppress(OSError):
                pipe.close()

    def wait(self) -> None:
        """Wait for its end."""
        try:
            self._process.wait(_STOP_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


def _pipe(pipe: IO[bytes] | None) -> IO[bytes]:
    assert pipe is not None  # noqa: S101 - it was asked for
    return pipe


@contextlib.contextmanager
def _interrupts_held() -> Iterator[None]:
    """Hold back Ctrl-C while processes start: they inherit that, and so never see it."""
    if sys.platform == "win32":
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


@contextlib.contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except (EOFError, OSError, ValueError) as error:
        # An answer that breaks off is one that never came.
        raise ServiceFault(
            Reason.STOPPING,
            "process that checks signatures",
            given="one that has ended",
            expected="one that goes on",
        ) from error


def _widen(sends: IO[bytes]) -> None:
    """Let some batches wait in the pipe, so that neither end waits for the other."""
    if sys.platform == "linux":
        with contextlib.suppress(OSError):
            fcntl.fcntl(sends.fileno(), fcntl.F_SETPIPE_SZ, _PIPE_BYTES)
