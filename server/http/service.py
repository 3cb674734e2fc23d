"""The HTTP read side as it runs: its socket, its threads, how it starts and how it stops."""

from __future__ import annotations

import asyncio
import logging
import re
import socket
import ssl
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import structlog
import uvicorn

from ledger.errors import BadInput, Reason
from ledger.note import VerifierKey
from server.config import HttpSettings, Tls
from server.http.app import application
from server.http.connection import BoundedProtocol
from server.http.files import LogFiles
from server.store.store import Store

_LISTEN = re.compile(r"(?:\[([0-9a-fA-F:.%]+)\]|([^:\[\]/]+)):([0-9]{1,5})")
_PREFIX = re.compile(r"(?:/[A-Za-z0-9_~-][A-Za-z0-9._~-]*)*")

log = structlog.get_logger(__name__)


class HttpService:
    """One log's files, served over HTTP.

    Any number may serve one database, beside its writer or without one: they only read.
    """

    def __init__(self, settings: HttpSettings, store: Store, vkeys: Sequence[VerifierKey] = ()) -> None:
        """`vkeys`: the log's verifier keys, for the page; it does without.

        Raises:
            BadInput: `INVALID_REQUEST` for a prefix that is none, or a TLS file that cannot be read.
        """
        if not _PREFIX.fullmatch(settings.prefix):
            raise BadInput(
                Reason.INVALID_REQUEST,
                "prefix",
                given=repr(settings.prefix),
                expected="a path such as /fuzhou, or nothing",
            )
        context = None if settings.tls is None else _tls(settings.tls)
        self._settings = settings
        self._files = LogFiles(store)
        self._reading = ThreadPoolExecutor(settings.read_threads, thread_name_prefix="http")
        self._server = _Server(
            uvicorn.Config(
                application(self._files, self._reading, vkeys, prefix=settings.prefix),
                http=BoundedProtocol,
                ws="none",
                lifespan="off",
                log_config=None,
                log_level="error",
                access_log=False,
                server_header=False,
                limit_concurrency=settings.connections,
                timeout_graceful_shutdown=settings.stop_seconds,
                ssl_context_factory=None if context is None else lambda *_: context,
            )
        )
        self._running: asyncio.Task[None] | None = None
        self.url = ""
        """Where it is, once started; without a slash at its end."""

    async def start(self) -> None:
        """Begin to answer.

        Raises:
            ServiceFault: as `LogFiles.standing` says.
            BadInput: `INVALID_REQUEST` if the address cannot be had.
        """
        standing = self._files.standing()
        _forward_logs()
        listener, host = _listen(self._settings.listen)
        scheme = "http" if self._settings.tls is None else "https"
        self.url = f"{scheme}://{host}:{listener.getsockname()[1]}{self._settings.prefix}"
        self._running = asyncio.create_task(self._server.serve([listener]))
        while not self._server.started:
            if self._running.done():
                await self._running
            await asyncio.sleep(0.01)
        log.info(
            "serving_http", url=self.url, origin=standing.checkpoint.origin, size=standing.checkpoint.size
        )

    async def stop(self) -> None:
        """Take no new requests, let answers on their way leave, and end."""
        if self._running is not None:
            self._server.should_exit = True
            await self._running
            self._running = None
            log.info("stopped_http")
        self._reading.shutdown()


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


def _tls(tls: Tls) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    try:
        # Without the password OpenSSL would ask the terminal for the one of an encrypted key.
        context.load_cert_chain(tls.certificate, tls.private_key, password="")
    except OSError as error:  # ssl.SSLError is one
        raise BadInput(
            Reason.INVALID_REQUEST,
            f"TLS files {tls.certificate} and {tls.private_key}",
            given=error.strerror or "something else",
            expected="a PEM certificate with its key, not encrypted",
        ) from error
    return context
