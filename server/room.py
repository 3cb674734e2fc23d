"""Room for work under way, which those who need some wait for.

Where a call is told to come back when there is no room for it (`server.limits`), a stream waits: it reads no further,
and flow control holds its sender up.
"""

from __future__ import annotations

import asyncio
from collections import deque


class Room:
    """Room for so many events and bytes. For one event loop."""

    def __init__(self, events: int, size: int) -> None:
        self._events = events
        self._bytes = size
        self._used_events = 0
        self._used_bytes = 0
        self._waiting: deque[tuple[int, int, asyncio.Future[None]]] = deque()

    async def enter(self, events: int, size: int) -> None:
        """Wait until there is room, behind all who wait already. What is larger than the room gets in when it is empty."""
        if not self._waiting and self._fits(events, size):
            self._use(events, size)
            return
        turn = asyncio.get_running_loop().create_future()
        place = (events, size, turn)
        self._waiting.append(place)
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():
                self.leave(events, size)
            else:
                if place in self._waiting:
                    self._waiting.remove(place)
                self._let_in()  # those behind may be smaller
            raise

    def leave(self, events: int, size: int) -> None:
        """Give back what was entered with."""
        self._use(-events, -size)
        self._let_in()

    def _let_in(self) -> None:
        while self._waiting:
            events, size, turn = self._waiting[0]
            if not turn.cancelled():
                if not self._fits(events, size):
                    return
                self._use(events, size)
                turn.set_result(None)
            self._waiting.popleft()

    def _fits(self, events: int, size: int) -> bool:
        if not self._used_events:
            return True
        return self._used_events + events <= self._events and self._used_bytes + size <= self._bytes

    def _use(self, events: int, size: int) -> None:
        self._used_events += events
        self._used_bytes += size
