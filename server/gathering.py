"""Small jobs of many calls, done on worker threads many at a time.

To hand a job to a thread and its result back costs more than many a job does: each hand-over wakes a thread, and each
thread that wakes wants the interpreter's lock. So a worker takes all jobs that wait, up to a portion, and the event
loop gets their results in one piece. Portions form by themselves while the workers are busy, and a lone job waits for
nothing.
"""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Generic, TypeAlias, TypeVar

J = TypeVar("J")
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class _Waiting(Generic[J, T]):
    job: J
    weight: int
    future: asyncio.Future[T]


_Results: TypeAlias = "Sequence[T | Exception] | Exception"


class Gathering(Generic[J, T]):
    """Has jobs done by `work`, which takes a portion of them and returns what became of each, in order."""

    def __init__(
        self,
        work: Callable[[list[J]], Sequence[T | Exception]],
        workers: ThreadPoolExecutor,
        *,
        threads: int,
        portion: int,
    ) -> None:
        """Prepare to work.

        Args:
            work: runs on a worker thread; an exception that it raises is what became of each job.
            workers: the threads.
            threads: how many of them may work at once.
            portion: the weight of the jobs that one of them takes at a time; of a heavier job it takes one.
        """
        self._work = work
        self._workers = workers
        self._threads = threads
        self._portion = portion
        self._lock = threading.Lock()
        self._queue: deque[_Waiting[J, T]] = deque()
        self._busy = 0

    async def do(self, job: J, weight: int = 1) -> T:
        """Have a job done; to be called from one event loop only.

        Raises:
            Exception: what `work` says became of it, or raised.
        """
        future: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        with self._lock:
            self._queue.append(_Waiting(job, weight, future))
            hire = self._busy < self._threads
            self._busy += hire
        if hire:
            self._workers.submit(self._run)
        return await future

    def _run(self) -> None:
        """Work until nothing waits."""
        while portion := self._take():
            results: _Results[T]
            try:
                results = self._work([waiting.job for waiting in portion])
            except Exception as error:  # noqa: BLE001  # it goes to those who wait, whatever it is
                results = error
            loop = portion[0].future.get_loop()
            if not loop.is_closed():
                loop.call_soon_threadsafe(_deliver, portion, results)

    def _take(self) -> list[_Waiting[J, T]]:
        with self._lock:
            taken: list[_Waiting[J, T]] = []
            room = self._portion
            while self._queue and (not taken or self._queue[0].weight <= room):
                waiting = self._queue.popleft()
                taken.append(waiting)
                room -= waiting.weight
            self._busy -= not taken
            return taken


def _deliver(portion: list[_Waiting[J, T]], results: _Results[T]) -> None:
    """Hand each call its result; one that was cancelled meanwhile gets nothing."""
    for number, waiting in enumerate(portion):
        if waiting.future.done():
            continue
        result = results if isinstance(results, Exception) else results[number]
        if isinstance(result, Exception):
            waiting.future.set_exception(result)
        else:
            waiting.future.set_result(result)
