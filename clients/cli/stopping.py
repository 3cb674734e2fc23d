"""SIGTERM for commands that run until they are told to stop."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager


class Stopped(BaseException):
    """SIGTERM: end as soon as what was begun can be left."""


@contextmanager
def stoppable() -> Iterator[None]:
    """Let SIGTERM end what is done here, by raising `Stopped` in it."""

    def stop(*_: object) -> None:
        raise Stopped

    before = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
