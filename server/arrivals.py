"""Waiting for the log to grow.

Whoever follows the log waits here, on the event loop, and holds neither a thread nor a transaction meanwhile. The
sequencer of this process announces each commit; for those of other processes one task asks the database, for all who
wait. Announcements that come while a follower still reads fall together: it then reads all that is new at once.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import structlog

from ledger.errors import LedgerError, Reason, ServiceFault

POLL_S = 0.25
"""How often the database is asked, while anybody waits: what another process writes is seen that much later."""

log = structlog.get_logger(__name__)


class Arrivals:
    """How large the log is known to be, and who waits for more. For one event loop."""

    def __init__(self, ask_size: Callable[[], Awaitable[int]], *, poll_s: float = POLL_S) -> None:
        """Nobody asks the database yet.

        Args:
            ask_size: finds the log's size in the database.
            poll_s: seconds between two questions.
        """
        self._ask_size = ask_size
        self._poll_s = poll_s
        self._size = 0
        self._waiting: dict[asyncio.Future[None], int] = {}
        self._stopping = False
        self._poller: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to ask the database; to be called from the event loop."""
        self._poller = asyncio.get_running_loop().create_task(self._poll())

    def announce(self, size: int) -> None:
        """The log has grown to this size."""
        if size > self._size:
            self._size = size
            self._wake()

    async def beyond(self, size: int, timeout_s: float) -> None:
        """Return when the log is larger than this, or the time is up.

        Raises:
            ServiceFault: `STOPPING` if the service shuts down.
        """
        self.require_going()
        if self._size > size:
            return
        grown: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting[grown] = size
        try:
            await asyncio.wait([grown], timeout=max(timeout_s, 0))
        finally:
            del self._waiting[grown]
        self.require_going()

    def require_going(self) -> None:
        """Refuse to go on once the service shuts down.

        Raises:
            ServiceFault: `STOPPING`.
        """
        if self._stopping:
            raise ServiceFault(
                Reason.STOPPING, "service", given="a watch", expected="another call, from where this one ends"
            )

    async def stop(self) -> None:
        """Send away all who wait, and ask no more. Stopping again does nothing."""
        self._stopping = True
        self._wake()
        if self._poller is not None:
            self._poller.cancel()
            await asyncio.wait([self._poller])

    def _wake(self) -> None:
        for grown, size in self._waiting.items():
            if not grown.done() and (self._stopping or self._size > size):
                grown.set_result(None)

    async def _poll(self) -> None:
        failing = False
        while True:
            await asyncio.sleep(self._poll_s)
            if not self._waiting:
                continue
            try:
                self.announce(await self._ask_size())
                failing = False
            except LedgerError as error:
                # Those who wait ask for themselves before long, and are told what is wrong; this only goes on.
                if not failing:
                    log.warning("size_unknown", reason=error.reason, error=str(error))
                failing = True
