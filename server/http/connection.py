"""One reader's connection, bounded: uvicorn's protocol on httptools limits neither how long a request is nor its time.

A reader asks with a line and a few headers, and reads the answer. Who sends more than that, takes for ever over it, or
asks and does not read, holds memory and a place that others wait for, and is hung up on.
"""

from __future__ import annotations

import asyncio
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

MAX_REQUEST_BYTES = 32 * 1024
"""Bytes of a request that is not complete, give or take what one read of the socket brings."""

WATCH_SECONDS = 20.0
"""How often a connection is looked at. Who got nowhere from one look to the next is hung up on."""

_TOO_LARGE = (
    b"HTTP/1.1 431 Request Header Fields Too Large\r\n"
    b"content-type: text/plain; charset=utf-8\r\ncontent-length: 18\r\nconnection: close\r\n\r\nrequest too large\n"
)


class BoundedProtocol(HttpToolsProtocol):
    """A connection on which everything ends."""

    watch_seconds = WATCH_SECONDS

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._watch: asyncio.TimerHandle | None = None
        self._asked = False
        self._in_head = False
        self._incomplete = 0
        self._was_incomplete = False
        self._drained = False
        self._unsent = 0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn has it
        """Begin to watch."""
        super().connection_made(transport)
        self._watch = self.loop.call_later(self.watch_seconds, self._look)

    def connection_lost(self, exc: Exception | None) -> None:
        """Cease to watch."""
        if self._watch is not None:
            self._watch.cancel()
            self._watch = None
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Take what the reader sends, up to what a request may be."""
        self._incomplete += len(data)
        super().data_received(data)
        if self._incomplete > MAX_REQUEST_BYTES and not self.transport.is_closing():
            # Behind the head comes a body that nobody asked for: that request has its answer already.
            if self._in_head:
                self.transport.write(_TOO_LARGE)
            self.transport.close()

    def on_message_begin(self) -> None:
        """A request begins."""
        self._in_head = True
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        """A request's head is there: it is answered from here on."""
        self._in_head = False
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        """A request is complete."""
        self._asked = True
        self._incomplete = 0
        self._was_incomplete = False
        super().on_message_complete()

    def resume_writing(self) -> None:
        """Most of what was to be sent has left."""
        self._drained = True
        super().resume_writing()

    def _look(self) -> None:
        """Hang up if the reader has sent no request, not finished one, or read next to nothing since the last look."""
        unsent = self.transport.get_write_buffer_size()
        unread = 0 < self._unsent <= unsent and not self._drained
        if unread or self._was_incomplete or not self._asked:
            # `close` would wait until all has been read.
            self.transport.abort()
            return
        self._unsent, self._drained = unsent, False
        self._was_incomplete = self._incomplete > 0
        self._watch = self.loop.call_later(self.watch_seconds, self._look)
