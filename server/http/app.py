"""The application: which file a URL stands for, and how it is told to caches, browsers and whoever is refused.

    /checkpoint                      the newest published checkpoint; changes, so it may be kept for seconds only
    /tile/<level>/<index>[.p/<w>]    a tile; never changes
    /tile/entries/<index>[.p/<w>]    an entry bundle; never changes, and is compressed for those who can read that
    /                                a page for people

Each has one spelling. A prefix in front of all of them may be set, since a log's origin is the URL that it is at
(C2SP tlog-tiles, "Parameters"). Nobody's reading is recorded; only what could not be answered is logged.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from hashlib import sha256
from typing import TypeAlias, TypeVar

import structlog
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from ledger.errors import BadInput, LedgerError, Reason, ServiceFault
from ledger.note import VerifierKey
from ledger.tiles import BundleId, parse_path
from server.http import page
from server.http.files import LogFiles
from server.http.negotiation import accepts_gzip, entity_tag, has_it

T = TypeVar("T")
Endpoint: TypeAlias = Callable[[Request], Awaitable[Response]]

IMMUTABLE = "public, max-age=31536000, immutable"
SECONDS = "public, max-age=2"
NOT_KEPT = "no-store"

SENDING_BYTES = 256 * 1024 * 1024
"""Bytes of answers that may be on their way to readers at once; further readers are told to come back."""

RETRY_AFTER_S = 1

_PIECE = 64 * 1024
_EVERYWHERE = {
    # A page elsewhere may fetch and verify: all that is here is public.
    "Access-Control-Allow-Origin": "*",
    "Cross-Origin-Resource-Policy": "cross-origin",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
}

log = structlog.get_logger(__name__)


def application(
    files: LogFiles, reading: ThreadPoolExecutor, vkeys: Sequence[VerifierKey] = (), *, prefix: str = ""
) -> Starlette:
    """The application for one log.

    Args:
        files: what is served.
        reading: threads that read; each request takes one while it reads.
        vkeys: the log's verifier keys, for the page; it does without.
        prefix: path that all URLs begin with: empty, or `/fuzhou`.
    """
    site = _Site(files, reading, vkeys, prefix)
    endpoints: dict[str, Endpoint] = {
        f"{prefix}/checkpoint": site.checkpoint,
        f"{prefix}/tile/{{name:path}}": site.tile,
        f"{prefix}/": site.page,
    }
    if prefix:  # the origin as people type it, to where the page's links work
        endpoints[prefix] = site.to_page
    app = Starlette(
        routes=[Route(path, _guarded(endpoint)) for path, endpoint in endpoints.items()],
        exception_handlers={HTTPException: _no_such_url},
    )
    # A path with a slash more names something else.
    app.router.redirect_slashes = False
    return app


class _Site:
    """The endpoints."""

    def __init__(
        self, files: LogFiles, reading: ThreadPoolExecutor, vkeys: Sequence[VerifierKey], prefix: str
    ) -> None:
        self._files = files
        self._reading = reading
        self._vkeys = tuple(vkeys)
        self._prefix = prefix
        self._sending = _Sending()

    async def checkpoint(self, request: Request) -> Response:
        """The published checkpoint."""
        standing = await self._read(self._files.standing)
        body = standing.note.encode()
        headers = {"Cache-Control": SECONDS, "Content-Type": "text/plain; charset=utf-8"}
        return self._answer(request, body, sha256(body).hexdigest(), headers)

    async def tile(self, request: Request) -> Response:
        """A tile or an entry bundle."""
        name = parse_path(_path(request).removeprefix(f"{self._prefix}/"))
        headers = {"Cache-Control": IMMUTABLE, "Content-Type": "application/octet-stream"}
        gzipped = False
        if isinstance(name, BundleId):
            headers["Vary"] = "Accept-Encoding"
            gzipped = accepts_gzip(request.headers.get("Accept-Encoding"))
            if gzipped:
                headers["Content-Encoding"] = "gzip"

        def read() -> tuple[bytes, str]:
            file = self._files.file(name)
            return file.data if gzipped else file.plain(), file.digest

        body, digest = await self._read(read)
        return self._answer(request, body, digest, headers, gzipped=gzipped)

    async def page(self, request: Request) -> Response:
        """What people see."""
        standing = await self._read(self._files.standing)
        url = page.url_of(request.url.scheme, request.headers.get("Host"), self._prefix)
        body = page.render(standing, self._vkeys, url)
        headers = {
            "Cache-Control": SECONDS,
            "Content-Type": "text/html; charset=utf-8",
            "Content-Security-Policy": page.SECURITY_POLICY,
            # What the page shows as its address is what the reader asked for.
            "Vary": "Host",
        }
        return self._answer(request, body, sha256(body).hexdigest(), headers)

    async def to_page(self, _: Request) -> Response:
        """To the page, from its URL without the slash."""
        return Response(status_code=308, headers={"Location": f"{self._prefix}/", **_EVERYWHERE})

    async def _read(self, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._reading, work)

    def _answer(
        self, request: Request, body: bytes, digest: str, headers: dict[str, str], *, gzipped: bool = False
    ) -> Response:
        tag = entity_tag(digest, gzipped=gzipped)
        headers |= {"ETag": tag, **_EVERYWHERE}
        if has_it(request.headers.get("If-None-Match"), tag):
            kept = {name: value for name, value in headers.items() if not name.startswith("Content-")}
            return Response(status_code=304, headers=kept)
        return self._sending.response(body, headers)


class _Sending:
    """What is on its way to readers, so that slow ones cannot fill the memory."""

    def __init__(self) -> None:
        self.bytes = 0

    def response(self, body: bytes, headers: dict[str, str]) -> Response:
        """An answer.

        Raises:
            ServiceFault: `OVERLOADED` if too much is on its way.
        """
        if self.bytes and self.bytes + len(body) > SENDING_BYTES:
            raise ServiceFault(
                Reason.OVERLOADED,
                "answers being sent",
                given=f"{self.bytes + len(body)} bytes",
                expected=f"at most {SENDING_BYTES} bytes",
            )
        return _Answer(body, headers, self)


class _Answer(Response):
    """An answer that is sent piece by piece, the next when the last has left: the reader sets the pace."""

    def __init__(self, body: bytes, headers: dict[str, str], sending: _Sending) -> None:
        super().__init__(body, headers=headers)
        self._sending = sending

    async def __call__(self, _scope: Scope, _receive: Receive, send: Send) -> None:
        body = self.body
        self._sending.bytes += len(body)
        try:
            await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
            for begin in range(0, max(len(body), 1), _PIECE):
                piece, more = body[begin : begin + _PIECE], begin + _PIECE < len(body)
                await send({"type": "http.response.body", "body": piece, "more_body": more})
        finally:
            self._sending.bytes -= len(body)


def _guarded(endpoint: Endpoint) -> Endpoint:
    """The endpoint, at the only spelling of its path, with the ledger's errors turned into answers.

    What nobody foresaw is logged, and told without its inside.
    """

    async def guarded(request: Request) -> Response:
        try:
            if _path(request) != request.scope["path"]:
                return _plain(404, "not found: a URL with an escape in its path")
            return await endpoint(request)
        except LedgerError as error:
            return _refusal(request, error)
        except Exception:
            log.exception("request_crashed", path=_path(request)[:200])
            return _plain(500, "internal error; the service's log has the details")

    return guarded


def _refusal(request: Request, error: LedgerError) -> Response:
    if error.reason is Reason.NOT_FOUND or isinstance(error, BadInput):
        return _plain(404, f"not found: {error}")
    log.warning("request_failed", path=_path(request)[:200], reason=error.reason, error=str(error))
    if error.reason in {Reason.STORE_UNAVAILABLE, Reason.OVERLOADED}:
        return _plain(503, "busy; come back", {"Retry-After": str(RETRY_AFTER_S)})
    return _plain(500, "the log's database is damaged; the service's log has the details")


async def _no_such_url(_: Request, error: Exception) -> Response:
    """What no route is for: a URL that names nothing, or a method other than GET and HEAD."""
    status = error.status_code if isinstance(error, HTTPException) else 404
    if status == 405:
        return _plain(405, "only GET and HEAD are answered", {"Allow": "GET, HEAD"})
    return _plain(status, "not found: no such URL")


def _plain(status: int, text: str, headers: dict[str, str] | None = None) -> Response:
    told = {"Cache-Control": NOT_KEPT, "Content-Type": "text/plain; charset=utf-8", **_EVERYWHERE}
    return Response(f"{text}\n", status, told | (headers or {}))


def _path(request: Request) -> str:
    """The path as it was sent, with its escapes."""
    raw: bytes = request.scope["raw_path"]
    return raw.decode("ascii", "replace")
