"""One request to a server that may do anything: be down, hang, drip bytes, never end.

A time limit of a socket counts from byte to byte, so a server that drips keeps it waiting for ever. Therefore a second
handle on the connection's socket is kept: shutting it down, when the whole exchange has taken too long or nobody wants
it any more, ends whatever the first one waits for, TLS handshakes included.
"""

from __future__ import annotations

import socket
import threading
from contextlib import suppress
from dataclasses import dataclass

import urllib3
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.exceptions import HTTPError

from ledger.errors import Reason, ServiceFault
from ledger.identifiers import printable

MAX_ANSWER_BYTES = 64 * 1024
"""Longest body that is read."""

_HEADERS = {
    "content-type": "text/plain; charset=utf-8",
    "accept-encoding": "identity",
    "user-agent": "suyuan-log",
}


@dataclass(frozen=True, slots=True)
class Answer:
    """What a server answered, in full."""

    status: int
    content_type: str
    body: bytes


class _Line:
    """The second handle on the socket of a connection."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._connection: HTTPConnection | None = None
        self._socket: socket.socket | None = None
        self._cut = False

    def connected(self, connection: HTTPConnection, made: socket.socket) -> None:
        """Keep a handle on a new socket, in place of the one before."""
        self.drop()
        with self._lock:
            self._connection, self._socket = connection, made.dup()
            if self._cut:
                _shut_down(self._socket)

    def drop(self) -> None:
        """Let go of the socket: as long as a handle is left, the other side does not learn that it was closed."""
        with self._lock:
            if self._socket is not None:
                self._socket.close()
            self._connection = self._socket = None

    def settle(self) -> None:
        """After an exchange: let go of the socket, unless its connection is kept open."""
        if self._connection is None or self._connection.sock is None:
            self.drop()

    def cut(self) -> None:
        """End whatever waits for the socket, or will, until `mend`."""
        with self._lock:
            self._cut = True
            if self._socket is not None:
                _shut_down(self._socket)

    def mend(self) -> None:
        """Allow another exchange."""
        with self._lock:
            self._cut = False


class _Plain(HTTPConnection):
    line: _Line

    def _new_conn(self) -> socket.socket:
        made = super()._new_conn()
        self.line.connected(self, made)
        return made


class _Secure(_Plain, HTTPSConnection):
    pass


class Exchange:
    """Asks at one URL prefix over one connection, which is kept open. For one thread, but for `stop`."""

    def __init__(self, prefix: str, *, connect_s: float, total_s: float) -> None:
        """Nothing is connected yet.

        Args:
            prefix: URL without a slash at its end.
            connect_s: seconds that connecting to an address may take.
            total_s: seconds that an exchange may take from its beginning to its end.
        """
        url = urllib3.util.parse_url(prefix)
        self._path = url.path or ""
        self._total_s = total_s
        self._line = _Line()
        self._stopped = False
        # Of the process's surroundings (proxies, netrc) nothing is used, and a redirect is an answer like any other. The
        # socket's own time limit is the second line of defence; `post` gives up sooner.
        self._pool = urllib3.connection_from_url(
            prefix, maxsize=1, retries=False, timeout=urllib3.Timeout(connect=connect_s, read=2 * total_s)
        )
        kind = _Secure if url.scheme == "https" else _Plain
        self._pool.ConnectionCls = type(kind.__name__, (kind,), {"line": self._line})

    def get(self, path: str) -> Answer:
        """Ask for what is at a path, and read the whole answer.

        Raises:
            ServiceFault: as `post` says.
        """
        return self._within_time("GET", path, None)

    def post(self, path: str, body: bytes) -> Answer:
        """Post a body, and read the whole answer.

        Raises:
            ServiceFault: `UNREACHABLE` if there is no whole answer in time, or more of it than is read.
        """
        return self._within_time("POST", path, body)

    def _within_time(self, method: str, path: str, body: bytes | None) -> Answer:
        # A deadline of the machine's own clock that runs beside: only it ends an exchange that goes on byte by byte.
        overdue = threading.Event()
        timer = threading.Timer(self._total_s, self._give_up, [overdue])
        timer.daemon = True
        self._line.mend()
        if self._stopped:
            self._line.cut()
        timer.start()
        try:
            answer = self._ask(method, path, body)
        except (HTTPError, OSError, ValueError) as error:
            # ValueError: an answer that http.client itself chokes on.
            given = self._too_late if overdue.is_set() else _said(error)
            raise _unreachable(given) from error
        finally:
            timer.cancel()
            self._line.settle()
        if overdue.is_set():
            # Where nothing but its end tells how long a body is, one that was cut off looks whole.
            raise _unreachable(self._too_late)
        return answer

    def stop(self) -> None:
        """End what is going on, and whatever is begun afterwards; from any thread."""
        self._stopped = True
        self._line.cut()

    def close(self) -> None:
        """Close the connection."""
        self._pool.close()
        self._line.drop()

    @property
    def _too_late(self) -> str:
        return f"none in {self._total_s:g} s"

    def _give_up(self, overdue: threading.Event) -> None:
        overdue.set()
        self._line.cut()

    def _ask(self, method: str, path: str, body: bytes | None) -> Answer:
        response = self._pool.urlopen(
            method,
            f"{self._path}{path}",
            body=body,
            headers=_HEADERS,
            redirect=False,
            preload_content=False,
            decode_content=False,
        )
        read, whole = b"", False
        try:
            while len(read) <= MAX_ANSWER_BYTES and not whole:
                part = response.read(MAX_ANSWER_BYTES + 1 - len(read))
                read, whole = read + part, not part
        finally:
            if not whole:
                response.close()
            response.release_conn()
        if not whole:
            raise _unreachable(f"more than {MAX_ANSWER_BYTES} bytes")
        return Answer(response.status, response.headers.get("content-type", ""), read)


def _said(error: Exception) -> str:
    """What went wrong: mostly in words of the cause, before which urllib3 puts the addresses of its objects."""
    return printable(str(error.__cause__ or error))


def _unreachable(given: str) -> ServiceFault:
    return ServiceFault(Reason.UNREACHABLE, "answer of a witness", given=given, expected="an answer")


def _shut_down(handle: socket.socket) -> None:
    with suppress(OSError):  # the other side was faster
        handle.shutdown(socket.SHUT_RDWR)
