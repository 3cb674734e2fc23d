"""The witness in HTTP (C2SP tlog-witness): requests in, statuses out.

    POST /add-checkpoint            cosign a checkpoint
    GET  /<origin hash>/checkpoint  the latest one cosigned, with the log's signature and the witness's
    GET  /                          who this is, for people

What can be decided without the witness's memory is decided on a pool of threads; what needs it happens on one thread,
in the order in which it comes: the database has one writer anyhow.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from hashlib import sha256
from typing import Final, TypeAlias

import structlog
from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route

from clients.witness.bounds import Bounds
from clients.witness.memory import Memory, origin_hash
from clients.witness.page import PAGE_HEADERS, Watched, page
from clients.witness.witness import Witness
from ledger.errors import LedgerError, Reason
from ledger.note import NoteSignature
from ledger.witness import MAX_REQUEST_BYTES, STALE_SIZE_TYPE, AddCheckpoint, Submission, http_status

CHECKPOINT_MAX_AGE_S: Final = 10
"""How long a cosigned checkpoint may be kept by caches; the specification would allow an hour."""

log = structlog.get_logger(__name__)

_TEXT: Final = "text/plain; charset=utf-8"
_ORIGIN_HASH: Final = re.compile(r"[0-9a-f]{64}")

Endpoint: TypeAlias = Callable[[Request], Awaitable[Response]]


class WitnessApp:
    """A witness's HTTP interface.

    Args:
        witness: cosigns; used by one thread of its own.
        reading: the same memory, opened once more, for what is only read.
        bounds: how much may be asked of it.
    """

    def __init__(self, witness: Witness, reading: Memory, bounds: Bounds) -> None:
        self._witness = witness
        self._memory = reading
        self._bounds = bounds
        self._verifying = ThreadPoolExecutor(2, thread_name_prefix="verify")
        self._cosigning = ThreadPoolExecutor(1, thread_name_prefix="cosign")
        self._reading = ThreadPoolExecutor(1, thread_name_prefix="read")
        self._waiting = 0

    def asgi(self) -> Starlette:
        """The application, to be served."""
        app = Starlette(
            routes=[
                Route("/add-checkpoint", self._answering(self._add_checkpoint), methods=["POST"]),
                Route("/{origin_hash}/checkpoint", self._answering(self._checkpoint), methods=["GET"]),
                Route("/", self._answering(self._page), methods=["GET"]),
            ]
        )
        app.router.redirect_slashes = False
        return app

    def close(self) -> None:
        """End when what is being done is done."""
        for pool in (self._verifying, self._cosigning, self._reading):
            pool.shutdown()

    async def _add_checkpoint(self, request: Request) -> Response:
        body = await _body(request, self._bounds.body_s)
        if isinstance(body, Response):
            return body
        if self._waiting >= self._bounds.waiting:
            return _refusal(503, "too many requests are waiting", {"retry-after": "1"})
        self._waiting += 1
        try:
            return await self._judged(body)
        finally:
            self._waiting -= 1

    async def _judged(self, body: bytes) -> Response:
        loop = asyncio.get_running_loop()
        submission = await loop.run_in_executor(self._verifying, self._opened, body)
        origin, size = submission.checkpoint.origin, submission.checkpoint.size
        try:
            lines = await loop.run_in_executor(self._cosigning, self._cosigned, submission)
        except LedgerError as error:
            if error.reason is not Reason.STALE_SIZE:
                raise
            log.info("refused", status=409, origin=origin, size=size, why=str(error))
            # The type is what tells a client that this is the size, and not some other conflict's page.
            return _answer(f"{error.expected}\n", 409, {"content-type": STALE_SIZE_TYPE})
        log.info("cosigned", origin=origin, size=size, old_size=submission.old_size)
        return _answer("".join(f"{line}\n" for line in lines))

    def _opened(self, body: bytes) -> Submission:
        return AddCheckpoint.parse(body).open(self._witness.logs)

    def _cosigned(self, submission: Submission) -> tuple[NoteSignature, ...]:
        return self._witness.cosign(submission)

    async def _checkpoint(self, request: Request) -> Response:
        hashed = request.path_params["origin_hash"]
        latest = None
        if _ORIGIN_HASH.fullmatch(hashed):
            loop = asyncio.get_running_loop()
            latest = await loop.run_in_executor(self._reading, self._memory.latest, hashed)
        if latest is None:
            return _refusal(404, "no checkpoint of such a log was ever cosigned here")
        note = latest.note.encode()
        tag = f'"{sha256(note).hexdigest()[:32]}"'
        headers = {"cache-control": f"public, max-age={CHECKPOINT_MAX_AGE_S}", "etag": tag}
        if tag in _tags(request):
            return Response(status_code=304, headers=headers)
        return Response(note, headers={**headers, "content-type": _TEXT})

    async def _page(self, request: Request) -> Response:  # noqa: ARG002 - Starlette calls it so
        html = await asyncio.get_running_loop().run_in_executor(self._reading, self._written_page)
        return Response(html, headers=PAGE_HEADERS)

    def _written_page(self) -> str:
        watched = []
        for origin, keys in self._witness.logs.items():
            latest = self._memory.latest(origin_hash(origin))
            watched.append(
                Watched(origin, keys, None if latest is None else (latest.checkpoint.size, latest.time_s))
            )
        return page([cosigner.vkey for cosigner in self._witness.cosigners], watched)

    def _answering(self, endpoint: Endpoint) -> Endpoint:
        """The endpoint, with every refusal made an answer."""

        async def answered(request: Request) -> Response:
            try:
                return await endpoint(request)
            except ClientDisconnect:
                # Nobody is there to read it.
                return _refusal(400, "the client went away")
            except LedgerError as error:
                status = http_status(error)
                tell = log.error if status == 503 else log.info
                tell("refused", status=status, path=request.url.path[:100], why=str(error))
                if status == 503:
                    # What is wrong with the database is for the log, not for the world.
                    return _refusal(503, "the witness cannot answer now", {"retry-after": "5"})
                return _refusal(status, str(error))
            except Exception:
                log.exception("internal_error", path=request.url.path[:100])
                return _refusal(500, "internal error")

        return answered


async def _body(request: Request, seconds: float) -> bytes | Response:
    """The body, or why it is not read any further: then the connection is closed with the answer."""
    closing = {"connection": "close"}
    too_large = f"given more than {MAX_REQUEST_BYTES} bytes, expected an add-checkpoint request"
    told = request.headers.get("content-length", "0")
    if len(told) > 18 or int(told) > MAX_REQUEST_BYTES:  # the parser below has seen to it that it is a number
        return _refusal(413, too_large, closing)
    body = bytearray()
    try:
        async with asyncio.timeout(seconds):
            async for piece in request.stream():
                body += piece
                if len(body) > MAX_REQUEST_BYTES:
                    return _refusal(413, too_large, closing)
    except TimeoutError:
        return _refusal(408, f"the request did not arrive within {seconds:g} seconds", closing)
    return bytes(body)


def _tags(request: Request) -> list[str]:
    return [tag.strip().removeprefix("W/") for tag in request.headers.get("if-none-match", "").split(",")]


def _answer(text: str, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    return Response(
        text, status, headers={"content-type": _TEXT, "cache-control": "no-store", **(headers or {})}
    )


def _refusal(status: int, why: str, headers: Mapping[str, str] | None = None) -> Response:
    return _answer(f"{why}\n", status, headers)
