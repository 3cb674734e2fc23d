"""Signatures checked in processes of their own.

A thread lets go of the interpreter's lock for each check and needs it again after: under load a hundred microseconds of
arithmetic are followed by a wait for the lock, and its holder is disturbed. A process is asked about many signatures
at once. Processes cost time to start and memory, so none is started before the service has much to check; until then,
and where one has died, whoever asks checks by itself.

A process gets public data only: keys, signatures, events. It is started anew, has one pipe each way, and ends with
them, so that not even `kill -9` of the service leaves one behind.
"""

from __future__ import annotations

import queue
import subprocess
import sys
import threading
import time
from collections.abc import Sequence

import structlog

from server.signature_process import Claim, ask

FEWEST = 16
"""Signatures that are worth a question."""

WORTH_STARTING = 4_000
"""Signatures, asked about in questions of so many, after which processes are started."""

RESTART_S = 5.0
"""Between two attempts to start one: what ends at once must not be started for ever."""

_STOP_S = 2.0

log = structlog.get_logger(__name__)


class SignatureProcesses:
    """Some processes that check signatures; for any number of threads."""

    def __init__(self, processes: int) -> None:
        """Args: how many there may be; none is started yet."""
        self._most = processes
        self._idle: queue.SimpleQueue[_Checker] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._all: set[_Checker] = set()
        self._starting = False
        self._closed = False
        self._asked = 0
        self._started_at = -RESTART_S

    @property
    def processes(self) -> list[int]:
        """Ids of those that run."""
        with self._lock:
            return [checker.pid for checker in self._all]

    @property
    def idle(self) -> int:
        """How many wait for a question."""
        return self._idle.qsize()

    def check(self, claims: Sequence[Claim]) -> list[bool] | None:
        """Whether each signature holds; None if whoever asks has to look for itself.

        What does not hold here may be told apart by the asker: a process says no more than yes or no.
        """
        if len(claims) < FEWEST:
            return None
        self._asked += len(claims)  # about: who counts at the same time may be forgotten
        try:
            checker = self._idle.get_nowait()
        except queue.Empty:
            self._start_if_worth_it()
            return None
        try:
            answer = checker.ask(claims)
        except OSError as error:
            self._lose(checker, error)
            return None
        self._idle.put(checker)
        return answer

    def close(self) -> None:
        """End the processes; nobody asks any more."""
        with self._lock:
            self._closed = True
            ending, self._all = self._all, set()
        for checker in ending:
            checker.end()

    def _start_if_worth_it(self) -> None:
        with self._lock:
            if (
                self._asked < WORTH_STARTING
                or self._starting
                or self._closed
                or len(self._all) == self._most
                or time.monotonic() - self._started_at < RESTART_S
            ):
                return
            self._starting = True
            self._started_at = time.monotonic()
        threading.Thread(target=self._start, name="start-checking", daemon=True).start()

    def _start(self) -> None:
        """Start those that are missing, side by side."""
        started: list[_Checker] = []
        try:
            while (checker := self._start_one()) is not None:
                started.append(checker)
        except OSError as error:  # no memory, or no more processes: the threads go on checking
            log.warning("no_signature_process", error=str(error))
        for checker in started:
            try:
                checker.ask([])  # until it has come up
            except OSError as error:
                self._lose(checker, error)
            else:
                self._idle.put(checker)
        self._starting = False

    def _start_one(self) -> _Checker | None:
        with self._lock:
            if self._closed or len(self._all) == self._most:
                return None
            checker = _Checker()
            self._all.add(checker)
            return checker

    def _lose(self, checker: _Checker, error: OSError) -> None:
        with self._lock:
            self._all.discard(checker)
            closed = self._closed
        checker.end()
        if not closed:
            log.warning("signature_process_lost", pid=checker.pid, error=str(error))


class _Checker:
    """A process, and the pipes to it. For one thread at a time."""

    def __init__(self) -> None:
        # A session of its own: Ctrl-C at the terminal is for the service, which still needs this one for what it has
        # accepted. -P: the folder that the service runs in is none of its code.
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-m", "server.signature_process"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            start_new_session=True,
        )
        self.pid = self._process.pid
        assert self._process.stdin is not None and self._process.stdout is not None  # noqa: S101, PT018  # both are pipes
        self._sends, self._hears = self._process.stdin.fileno(), self._process.stdout.fileno()

    def ask(self, claims: Sequence[Claim]) -> list[bool]:
        """Whether each signature holds.

        Raises:
            OSError: it has ended.
        """
        return ask(self._sends, self._hears, claims)

    def end(self) -> None:
        """End it: at once if it is idle, by force if it does not."""
        self._process.terminate()
        try:
            self._process.wait(_STOP_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        for stream in (self._process.stdin, self._process.stdout):
            if stream is not None:
                stream.close()
