"""What processes that help this one have in common: how many there may be, and how they start.

They are started anew (`spawn`), so that nothing of this one is shared by accident, and each has one pipe to this
process, whose end it sees when this one ends, by whatever means.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from multiprocessing import get_context, resource_tracker
from multiprocessing.connection import Connection
from typing import TYPE_CHECKING, Final, Self

if TYPE_CHECKING:
    from multiprocessing.process import BaseProcess

_STOP_S: Final = 5.0


def processors() -> int:
    """How many processors this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


@dataclass(frozen=True, slots=True)
class Helper:
    """A process at the other end of a pipe."""

    process: BaseProcess
    pipe: Connection

    @classmethod
    def start(cls, work: Callable[[Connection], None]) -> Self:
        """Start a process that does `work`, a function of a module, with its end of the pipe, until that is closed."""
        context = get_context("spawn")
        mine, its = context.Pipe()
        with _interrupts_held():
            process = context.Process(target=_work, args=(work, its), daemon=True)
            process.start()
        # Only the process holds its end now: when it ends, reading here ends, and the other way round.
        its.close()
        return cls(process, mine)

    def stop(self) -> None:
        """End the process, whatever it is doing."""
        self.pipe.close()
        self.process.terminate()
        self.process.join(_STOP_S)
        if self.process.is_alive():
            self.process.kill()
            self.process.join()
        self.process.close()


def _work(work: Callable[[Connection], None], pipe: Connection) -> None:
    # Ctrl-C goes to all processes of a terminal; what it means is for the first of them to say.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    with contextlib.suppress(EOFError, OSError):
        work(pipe)


@contextlib.contextmanager
def _interrupts_held() -> Iterator[None]:
    """Hold back Ctrl-C while a process starts: it inherits that, and so never sees it."""
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
