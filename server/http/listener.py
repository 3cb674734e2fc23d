"""A socket that speaks HTTP: how it is had, and how its server starts and stops."""

from __future__ import annotations

import asyncio
import logging
import re
import socket
import ssl
from collections.abc import Iterator
from contextlib import contextmanager

import structlog
import uvicorn
from starlette.types import ASGIApp

from ledger.errors import BadInput, Reason
from server.http.connection import BoundedProtocol

_LISTEN = re.compile(r"(?:\[([0-9a-fA-F:.%]+)\]|([^:\[\]/]+)):([0-9]{1,5})")

log = structlog.get_logger(__name__)


class Listener:
    """An application, served at one address."""

    def __init__(
        self,
        app: ASGIApp,
        listen: str,
        *,
        connections: int,
        stop_seconds: int,
        context: ssl.SSLContext | None = None,
    ) -> None:
        """Nothing is listened to yet.

        Args:
            app: what answers.
            listen: host and port; port 0 takes a free one.
            connections: that are answered at once; further ones are told to come back.
            stop_seconds: how long answers on their way may take to leave when it stops.
            context: for TLS; None: none.
        """
        self._listen = listen
        self._scheme = "http" if context is None else "https"
        self._server = _Server(
            uvicorn.Config(
                app,
                http=BoundedProtocol,
                ws="none",
                lifespan="off",
                log_config=None,
                log_level="error",
                access_log=False,
                server_header=False,
                limit_concurrency=connections,
                timeout_graceful_shutdown=stop_seconds,
                ssl_context_factory=None if context is None else lambda *_: context,
            )
        )
        self._running: asyncio.Task[None] | None = None

    async def start(self) -> str:
        """Begin to answer; returns the URL, without a slash at its end.

        Raises:
            BadInput: `INVALID_REQUEST` if the address cannot be had.
        """
        _forward_logs()
        listener, host = _listen(self._listen)
        self._running = asyncio.create_task(self._server.serve([listener]))
        while not self._server.started:
            if self._running.done():
                await self._running
            await asyncio.sleep(0.01)
        return f"{self._scheme}://{host}:{listener.getsockname()[1]}"

    async def stop(self) -> bool:
        """Take no new requests, let answers on their way leave, and end; returns whether it had begun."""
        if self._running is None:
            return False
        self._server.should_exit = True
        await self._running
        self._running = None
        return True


class _Server(uvicorn.Server):
    """uvicorn, which leaves the signals to `server.main`."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Capture none."""
        yield


class _Forward(logging.Handler):
    """uvicorn's own complaints, in the service's log."""

    def emit(self, record: logging.LogRecord) -> None:
        """Log a record."""
        log.error("http_server", message=record.getMessage(), exc_info=record.exc_info)


def _forward_logs() -> None:
    logger = logging.getLogger("uvicorn.error")
    if not any(isinstance(handler, _Forward) for handler in logger.handlers):
        logger.addHandler(_Forward())
        logger.propagate = False


def _listen(address: str) -> tuple[socket.socket, str]:
    """A socket that listens, and the host as it stands in a URL."""
    match = _LISTEN.fullmatch(address)
    cause: OSError | None = None
    if match is not None and int(match[3]) < 65_536:
        try:
            return _bound(match[1] or match[2], int(match[3])), f"[{match[1]}]" if match[1] else match[2]
        except OSError as error:
            cause = error
    raise BadInput(
        Reason.INVALID_REQUEST,
        "HTTP address",
        given=address if cause is None else f"{address} ({cause.strerror or 'an error'})",
        expected="host:port that is free to listen on",
    ) from cause


def _bound(host: str, port: int) -> socket.socket:
    family, kind, protocol, _, where = socket.getaddrinfo(
        host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
    )[0]
    listener = socket.socket(family, kind, protocol)
    try:
        # What a service that has just stopped left behind must not keep its successor out.
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(where)
        # Here and not only in uvicorn, for a port that is listened on already can be bound, and fails at this line.
        listener.listen()
        listener.setblocking(False)
    except BaseException:
        listener.close()
        raise
    return listener
