"""HTTP/1.1 whose request heads are bounded in size and in time.

uvicorn bounds the number of connections and how long one may idle after an answer. It does not bound how long a
request's head may take, nor how large it may grow; whoever sends one byte a minute would be listened to for ever.
"""

from __future__ import annotations

import asyncio
from typing import Any, ClassVar

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from clients.witness.bounds import Bounds


class BoundedProtocol(HttpToolsProtocol):
    """One connection; `bounded_protocol` sets its bounds."""

    bounds: ClassVar[Bounds] = Bounds()

    def __init__(self, *given: Any, **more: Any) -> None:
        super().__init__(*given, **more)
        self._in_head = True
        self._head_bytes = 0
        self._deadline: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Wait for the first request, but not for ever."""
        super().connection_made(transport)
        self._expect_head()

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop waiting."""
        self._stop_waiting()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Take what has arrived: of a request, or of what is left of one that was answered already."""
        in_head = self._in_head
        if in_head:
            self._expect_head()
        super().data_received(data)
        # A piece that ends the head is not counted: most of it may be body.
        if in_head and self._in_head:
            self._head_bytes += len(data)
            if self._head_bytes > self.bounds.head_bytes:
                self.transport.abort()

    def on_headers_complete(self) -> None:
        """The head is here."""
        self._in_head, self._head_bytes = False, 0
        self._stop_waiting()
        super().on_headers_complete()

    def on_response_complete(self) -> None:
        """The next request may come, if it is not here already."""
        self._in_head = not self.pipeline
        super().on_response_complete()

    def shutdown(self) -> None:
        """End the connection, when what is being answered is answered."""
        idle = self.cycle is None or self.cycle.response_complete
        if idle and self.transport.get_write_buffer_size() == 0:
            self._hang_up()
        else:
            super().shutdown()

    def timeout_keep_alive_handler(self) -> None:
        """End a connection that has idled for long enough."""
        self._hang_up()

    def _hang_up(self) -> None:
        self._stop_waiting()
        # Closing politely would, with TLS, wait half a minute for a farewell from who has not said a word in time.
        if not self.transport.is_closing():
            self.transport.abort()

    def _expect_head(self) -> None:
        if self._deadline is None:
            self._deadline = self.loop.call_later(self.bounds.head_s, self._hang_up)

    def _stop_waiting(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None


def bounded_protocol(bounds: Bounds) -> type[BoundedProtocol]:
    """The protocol with these bounds: uvicorn takes a class."""
    return type("BoundedProtocol", (BoundedProtocol,), {"bounds": bounds})
