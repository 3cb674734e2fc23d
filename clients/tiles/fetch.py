"""Fetching files over HTTP from a server that may be slow, broken or hostile.

Everything has a bound: how long a connection may take, how long an answer may be silent, how long it may take in all
with every retry, how large it may be as it comes and unpacked. A server that drips bytes, never ends, or sends a small
file that unpacks to a large one, costs its own reputation and nothing else. Redirects are not followed: who is asked is
who answers.

Faults of the way (no connection, a broken answer, status 429 or 5xx) are tried again, after a pause that doubles. What
did arrive and is wrong is never asked for again until it comes out right.
"""

from __future__ import annotations

import http.client
import io
import threading
import time
import zlib
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Final, Self

import urllib3
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.exceptions import HTTPError, LocationParseError

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
        self._prefix = _path_of(self.url)
        options: dict[str, Any] = {"ca_certs": root_certificates} if self.url.startswith("https:") else {}
        self._pool = urllib3.connection_from_url(
            self.url,
            maxsize=CONNECTIONS,
            block=True,
            timeout=urllib3.Timeout(connect=timeout_s, read=timeout_s),
            headers=_HEADERS,
            **{name: value for name, value in options.items() if value is not None},
        )
        self._pool.ConnectionCls = _TimedTls if self.url.startswith("https:") else _TimedPlain

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections."""
        self._pool.close()

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
        most = wanted.most_bytes
        _now.deadline = deadline
        try:
            response = self._pool.urlopen(
                "GET",
                f"{self._prefix}/{wanted.path}",
                retries=False,
                redirect=False,
                preload_content=False,
                decode_content=False,
                pool_timeout=max(deadline - time.monotonic(), 0.001),  # type: ignore[arg-type]  # seconds, whole or not
            )
            try:
                encoding = response.headers.get("content-encoding", "identity").strip().lower()
                # What does not shrink grows a little when it is packed.
                room = most + most // 1_000 + 1_024 if encoding == "gzip" else most
                pieces, size = [], 0
                while size <= room and (piece := response.read1(_PIECE)):
                    pieces.append(piece)
                    size += len(piece)
            finally:
                # Where more was to come, nobody waits for it.
                response.close()
                response.release_conn()
        except (HTTPError, OSError, http.client.HTTPException) as error:
            raise _Hiccup(_said(error)) from error
        status = response.status
        if status == _TOO_MANY or status >= 500:
            raise _Hiccup(f"HTTP status {status}")
        if status == _NOT_FOUND:
            return None
        if status != _OK:
            raise self._fault(wanted, f"HTTP status {status}")
        body = b"".join(pieces)
        if size <= room and encoding == "gzip":
            body = self._unpacked(wanted, body)
        elif encoding not in {"gzip", "identity", ""}:
            raise self._wrong(
                wanted, "content encoding", printable(encoding), "identity or gzip, which were asked for"
            )
        if size > room or len(body) > most:
            raise self._wrong(wanted, "size", "more", f"at most {most} bytes")
        return body

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


class _TimedAnswer(http.client.HTTPResponse):
    """An answer whose status, headers and body have one deadline."""

    def __init__(self, sock: Any, *more: Any, **options: Any) -> None:
        super().__init__(sock, *more, **options)
        self.fp = io.BufferedReader(_TimedReader(sock, self.fp.detach(), _now.deadline), _PIECE)


class _TimedPlain(HTTPConnection):
    response_class = _TimedAnswer


class _TimedTls(HTTPSConnection):
    response_class = _TimedAnswer


def _path_of(url: str) -> str:
    """The path of a URL that may be a prefix.

    Raises:
        BadInput: `INVALID_REQUEST`.
    """
    try:
        parts = urllib3.util.parse_url(url)
    except LocationParseError:
        parts = urllib3.util.Url()
    if parts.scheme not in {"http", "https"} or not parts.host or parts.auth or parts.query or parts.fragment:
        raise BadInput(
            Reason.INVALID_REQUEST,
            "URL of a log",
            given=printable(url),
            expected="http://… or https://…, without a user, a query or a fragment",
        )
    return (parts.path or "").rstrip("/")


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
