"""The HTTP read side as it runs: its socket, its threads, how it starts and how it stops."""

from __future__ import annotations

import re
import ssl
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import structlog

from ledger.errors import BadInput, Reason
from ledger.note import VerifierKey
from server.config import HttpSettings, Tls
from server.http.app import application
from server.http.files import LogFiles
from server.http.listener import Listener
from server.store.store import Store

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
        self._listener = Listener(
            application(self._files, self._reading, vkeys, prefix=settings.prefix),
            settings.listen,
            connections=settings.connections,
            stop_seconds=settings.stop_seconds,
            context=context,
        )
        self.url = ""
        """Where it is, once started; without a slash at its end."""

    async def start(self) -> None:
        """Begin to answer.

        Raises:
            ServiceFault: as `LogFiles.standing` says.
            BadInput: `INVALID_REQUEST` if the address cannot be had.
        """
        standing = self._files.standing()
        self.url = f"{await self._listener.start()}{self._settings.prefix}"
        log.info(
            "serving_http", url=self.url, origin=standing.checkpoint.origin, size=standing.checkpoint.size
        )

    async def stop(self) -> None:
        """Take no new requests, let answers on their way leave, and end."""
        if await self._listener.stop():
            log.info("stopped_http")
        self._reading.shutdown()


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
