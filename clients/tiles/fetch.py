"""Fetching files over HTTP from a server that may be slow, broken or hostile.

Everything has a bound: how long a connection may take, how long an answer may be silent, how long it may take in all
with every retry, how large it may be as it comes and unpacked. A server that drips bytes, never ends, or sends a small
file that unpacks to a large one, costs its own reputation and nothing else. Redirects are not followed: who is asked is
who answers.

Faults of the way (no connection, a broken answer, status 429 or 5xx) are tried again, after a pause that doubles. What
did arrive and is wrong is never asked for again until it comes out right.
"""

from __future__ import annotations

import io
import select
import threading
import time
import zlib
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException, HTTPResponse, HTTPSConnection, IncompleteRead
from types import TracebackType
from typing import Any, Final, Self
from urllib.parse import SplitResult, quote, urlsplit

from ledger.errors import BadInput, BrokenProof, Reason, ServiceFault
from ledger.identifiers import printable

CONNECTIONS: Final = 8
"""Connections to a server at most."""

PATIENCE: Final = 4
"""A file may take as many times as long in all, with every retry, as an answer may be silent."""

_FIRST_PAUSE_S: Final = 0.2
_TRIES: Final = 4
_PIECE: Final = 65_536
_HEADERS: Final = {"Accept-Encoding": "gzip, identity", "User-Agent": "suyuan"}
_IN_PATHS: Final = "/%:@!$&'()*+,;=~"
_OK, _NOT_FOUND, _TOO_MANY = 200, 404, 429


@dataclass(frozen=True, slots=True)
class Wanted:
    """A file to fetch."""

    path: str
    """Below the site's URL."""
    most_bytes: int
    """What is larger, unpacked, is wrong."""
    wrong: Reason
    """What it is called if it is wrong."""


class Site:
    """Files below one URL. Safe to share among threads."""

    def __init__(self, url: str, *, timeout_s: float, root_certificates: str | None = None) -> None:
        """Connect to nobody yet.

        Args:
            url: `http://…` or `https://…`, the prefix of all paths.
            timeout_s: how long a connection may take, and an answer be silent.
            root_certificates: a file of certificates (PEM) to trust instead of the system's.

        Raises:
            BadInput: `INVALID_REQUEST` if it is no such URL.
        """
        self.url = url.rstrip("/")
        self._timeout_s = timeout_s
        self._parts = _parts_of(self.url)
        self._prefix = quote(self._parts.path, safe=_IN_PATHS)
        self._root_certificates = root_certificates
        self._idle: list[HTTPConnection] = []
        self._is_closed = False
        self._free = threading.BoundedSemaphore(CONNECTIONS)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections, and those that are in use as soon as they are not."""
        self._is_closed = True
        with suppress(IndexError):
            while True:
                self._idle.pop().close()

    def get(self, wanted: Wanted) -> bytes | None:
        """A file, unpacked; None if the server says that there is none.

        Raises:
            ServiceFault: `UNREACHABLE` if the server cannot be asked, does not answer in time, or answers with
                something else than a file.
            BrokenProof: it is larger than any such file, or cannot be unpacked.
        """
        deadline = time.monotonic() + PATIENCE * self._timeout_s
        pause_s = _FIRST_PAUSE_S
        tries = 0
        while True:
            tries += 1
            try:
                return self._try(wanted, deadline)
            except _Hiccup as hiccup:
                if tries == _TRIES or time.monotonic() + pause_s > deadline:
                    raise self._fault(wanted, f"{hiccup} ({tries} tries)") from None
            time.sleep(pause_s)
            pause_s *= 2

    def _try(self, wanted: Wanted, deadline: float) -> bytes | None:
        _now.deadline = deadline
        try:
            with self._connection(deadline) as connection:
                connection.request("GET", f"{self._prefix}/{wanted.path}", headers=_HEADERS)
                with closing(connection.getresponse()) as response:
                    encoding = response.getheader("content-encoding", "identity").strip().lower()
                    # What does not shrink grows a little when it is packed.
                    most = wanted.most_bytes
                    room = most + most // 1_000 + 1_024 if encoding == "gzip" else most
                    body = _read(response, room)
                if len(body) > room:
                    # More may be to come, and nobody waits for it.
                    connection.close()
        except (OSError, HTTPException) as error:
            raise _Hiccup(_said(error)) from error
        status = response.status
        if status == _TOO_MANY or status >= 500:
            raise _Hiccup(f"HTTP status {status}")
        if status == _NOT_FOUND:
            return None
        if status != _OK:
            raise self._fault(wanted, f"HTTP status {status}")
        is_too_large = len(body) > room
        if not is_too_large and encoding == "gzip":
            body = self._unpacked(wanted, body)
        elif encoding not in {"gzip", "identity", ""}:
            raise self._wrong(
                wanted, "content encoding", printable(encoding), "identity or gzip, which were asked for"
            )
        if is_too_large or len(body) > most:
            raise self._wrong(wanted, "size", "more", f"at most {most} bytes")
        return body

    @contextmanager
    def _connection(self, deadline: float) -> Iterator[HTTPConnection]:
        """A connection that nobody else uses meanwhile; one that stayed open, if there is one."""
        if not self._free.acquire(timeout=max(deadline - time.monotonic(), 0.001)):
            raise TimeoutError("no connection is free")
        try:
            try:
                connection = self._idle.pop()
            except IndexError:
                connection = self._connect()
            if _has_ended(connection):
                # The server closed it meanwhile; it opens again by itself.
                connection.close()
            try:
                yield connection
            except BaseException:
                connection.close()
                raise
            self._idle.append(connection)
            if self._is_closed:
                self.close()
        finally:
            self._free.release()

    def _connect(self) -> HTTPConnection:
        host, port = self._parts.hostname or "", self._parts.port
        if self._parts.scheme == "http":
            return _TimedPlain(host, port, timeout=self._timeout_s)
        import ssl  # noqa: PLC0415 - takes long to load, and is not needed without TLS

        context = ssl.create_default_context(cafile=self._root_certificates)
        context.set_alpn_protocols(["http/1.1"])
        return _TimedTls(host, port, timeout=self._timeout_s, context=context)

    def _unpacked(self, wanted: Wanted, packed: bytes) -> bytes:
        unpacker = zlib.decompressobj(wbits=zlib.MAX_WBITS | 16)
        try:
            body = unpacker.decompress(packed, wanted.most_bytes + 1)
        except zlib.error:
            raise self._wrong(wanted, "content", "what is not gzip", "gzip, as its header says") from None
        if len(body) <= wanted.most_bytes and (not unpacker.eof or unpacker.unused_data):
            raise self._wrong(wanted, "content", "gzip that does not end where it should", "one whole gzip")
        return body

    def _wrong(self, wanted: Wanted, what: str, given: str, expected: str) -> BrokenProof:
        return BrokenProof(
            wanted.wrong, f"{what} of {self.url}/{wanted.path}", given=given, expected=expected
        )

    def _fault(self, wanted: Wanted, given: str) -> ServiceFault:
        return ServiceFault(Reason.UNREACHABLE, f"{self.url}/{wanted.path}", given=given, expected="a file")


class _Hiccup(Exception):
    """A fault of the way; the same question may well be answered a moment later."""


class _Now(threading.local):
    """The file that this thread is fetching."""

    deadline = 0.0
    """When it has to be there, by `time.monotonic`."""


_now = _Now()


class _TimedReader(io.RawIOBase):
    """Reads a socket until the deadline: a byte now and then does not keep it open."""

    def __init__(self, sock: Any, hold: io.RawIOBase, deadline: float) -> None:
        """Read.

        Args:
            sock: the socket.
            hold: a file made of it. While that is open, `sock.close()` does not close: so http.client leaves the
                socket to an answer after which there is no other.
            deadline: by `time.monotonic`.
        """
        self._sock = sock
        self._hold = hold
        self._silence_s = sock.gettimeout()
        self._deadline = deadline

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        left_s = self._deadline - time.monotonic()
        if left_s <= 0:
            raise TimeoutError("too slow")
        self._sock.settimeout(left_s if self._silence_s is None else min(left_s, self._silence_s))
        received: int = self._sock.recv_into(buffer)
        return received

    def close(self) -> None:
        super().close()
        self._hold.close()


class _TimedAnswer(HTTPResponse):
    """An answer whose status, headers and body have one deadline."""

    def __init__(self, sock: Any, *more: Any, **options: Any) -> None:
        super().__init__(sock, *more, **options)
        self.fp = io.BufferedReader(_TimedReader(sock, self.fp.detach(), _now.deadline), _PIECE)


class _TimedPlain(HTTPConnection):
    response_class = _TimedAnswer


class _TimedTls(HTTPSConnection):
    response_class = _TimedAnswer


def _read(response: HTTPResponse, room: int) -> bytes:
    """The body of an answer as it comes, with at most one piece beyond what there is room for."""
    pieces, size = [], 0
    while size <= room and (piece := response.read1(_PIECE)):
        pieces.append(piece)
        size += len(piece)
    body = b"".join(pieces)
    if size <= room and response.length:
        raise IncompleteRead(body, response.length)
    return body


def _has_ended(connection: HTTPConnection) -> bool:
    """Whether there is something to read on an idle connection: its end, or what nobody asked for."""
    if connection.sock is None:
        return False
    if not hasattr(select, "poll"):
        return bool(select.select([connection.sock], [], [], 0)[0])
    poll = select.poll()
    poll.register(connection.sock, select.POLLIN)
    return bool(poll.poll(0))


def _parts_of(url: str) -> SplitResult:
    """The parts of a URL that may be a prefix.

    Raises:
        BadInput: `INVALID_REQUEST`.
    """
    try:
        parts = urlsplit(url)
        is_host = parts.hostname is not None and parts.hostname.isascii() and parts.port != 0
    except ValueError:
        parts, is_host = SplitResult("", "", "", "", ""), False
    is_plain = url.isprintable() and "@" not in parts.netloc and not set(url) & set("?#\\")
    if parts.scheme not in {"http", "https"} or not (is_host and is_plain):
        raise BadInput(
            Reason.INVALID_REQUEST,
            "URL of a log",
            given=printable(url),
            expected="http://… or https://…, without a user, a query or a fragment",
        )
    return parts


def _said(error: Exception) -> str:
    """What went wrong on the way, without the addresses of objects and other noise."""
    cause: BaseException = error
    while cause.__cause__ is not None or cause.__context__ is not None:
        cause = cause.__cause__ or cause.__context__ or cause
    if isinstance(cause, TimeoutError) or "timed out" in str(cause).lower():
        return "no answer in time"
    if isinstance(cause, OSError) and cause.strerror:
        return cause.strerror.lower()
    return printable(str(cause)) if str(cause) else type(cause).__name__
