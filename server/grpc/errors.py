"""The ledger's refusals as gRPC statuses: one table for all methods."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import aclosing, asynccontextmanager, contextmanager
from dataclasses import dataclass
from typing import Any, NoReturn

import grpc
import structlog
from google.protobuf import any_pb2, duration_pb2
from google.protobuf.message import DecodeError
from google.rpc import code_pb2, error_details_pb2, status_pb2
from grpc_status import rpc_status

from ledger.errors import (
    BadInput,
    BrokenProof,
    Conflict,
    LedgerError,
    NotAuthorized,
    Reason,
    ServiceFault,
)

DOMAIN = "suyuan"
"""The `domain` of every ErrorInfo."""

RETRY_AFTER_MS = 250
"""When a client that met a full queue should come back."""

MAX_MESSAGE_BYTES, MAX_DETAIL_BYTES = 1_000, 600
"""What a refusal says at most, and each of its details. A status travels in headers, and gRPC lets through 8 KiB of them:
a caller who is told what it gave, and gave a megabyte, would hear of too large headers instead."""

_CODES: dict[Reason, int] = {
    Reason.UNKNOWN_KEY: code_pb2.UNAUTHENTICATED,
    Reason.BAD_SIGNATURE: code_pb2.UNAUTHENTICATED,
    Reason.DUPLICATE_EVENT: code_pb2.ALREADY_EXISTS,
    Reason.PARTY_EXISTS: code_pb2.ALREADY_EXISTS,
    Reason.KEY_IN_USE: code_pb2.ALREADY_EXISTS,
    Reason.RECEIPT_EXISTS: code_pb2.ALREADY_EXISTS,
    Reason.REVIEW_EXISTS: code_pb2.ALREADY_EXISTS,
    Reason.PARTY_UNKNOWN: code_pb2.NOT_FOUND,
    Reason.KEY_UNKNOWN: code_pb2.NOT_FOUND,
    Reason.SALE_UNKNOWN: code_pb2.NOT_FOUND,
    Reason.REVIEW_UNKNOWN: code_pb2.NOT_FOUND,
    Reason.COMPLAINT_UNKNOWN: code_pb2.NOT_FOUND,
    Reason.EVENT_UNKNOWN: code_pb2.NOT_FOUND,
    Reason.NOT_FOUND: code_pb2.NOT_FOUND,
    Reason.OVERLOADED: code_pb2.RESOURCE_EXHAUSTED,
    Reason.RATE_LIMITED: code_pb2.RESOURCE_EXHAUSTED,
    Reason.STORE_DAMAGED: code_pb2.DATA_LOSS,
}
_FAMILY_CODES: dict[type[LedgerError], int] = {
    BadInput: code_pb2.INVALID_ARGUMENT,
    NotAuthorized: code_pb2.PERMISSION_DENIED,
    Conflict: code_pb2.FAILED_PRECONDITION,
    BrokenProof: code_pb2.DATA_LOSS,
    ServiceFault: code_pb2.UNAVAILABLE,
}

Context = grpc.aio.ServicerContext[Any, Any]

_EXPECTED = frozenset({Reason.STOPPING, Reason.STANDBY})
"""Faults that are part of a service's life, and worth no line for each call."""

log = structlog.get_logger(__name__)


def status_of(error: LedgerError) -> status_pb2.Status:
    """A refusal as a status with an ErrorInfo, and a RetryInfo where coming back helps."""
    told = {"subject": error.subject, "given": error.given, "expected": error.expected}
    metadata = {name: _short(text, MAX_DETAIL_BYTES) for name, text in told.items() if text is not None}
    status = status_pb2.Status(
        code=_CODES.get(error.reason, _FAMILY_CODES[type(error)]),
        message=_short(str(error), MAX_MESSAGE_BYTES),
        details=[_packed(error_details_pb2.ErrorInfo(reason=error.reason, domain=DOMAIN, metadata=metadata))],
    )
    retry_after_ms = _retry_after_ms(error)
    if retry_after_ms is not None:
        delay = duration_pb2.Duration()
        delay.FromMilliseconds(retry_after_ms)
        status.details.append(_packed(error_details_pb2.RetryInfo(retry_delay=delay)))
    return status


@dataclass(frozen=True, slots=True)
class _Wrapped:
    """A method as gRPC has it, and as it is guarded here."""

    handler: grpc.RpcMethodHandler[Any, Any]
    wrapped: grpc.RpcMethodHandler[Any, Any]


class ErrorInterceptor(grpc.aio.ServerInterceptor):
    """Turns the ledger's errors into statuses; what nobody foresaw is logged, and told without its inside."""

    def __init__(self) -> None:
        self._answering = 0
        self._idle = asyncio.Event()
        self._idle.set()
        self._wrapped: dict[str, _Wrapped] = {}

    async def idle(self) -> None:
        """Return when no call is being worked on that ends by itself: streams of answers to one request do not count."""
        await self._idle.wait()

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[grpc.RpcMethodHandler[Any, Any] | None]],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> grpc.RpcMethodHandler[Any, Any] | None:
        """Wrap the method that a call is for."""
        handler = await continuation(handler_call_details)
        method = handler_call_details.method
        if handler is None:
            return None
        # Of a method there is one handler for all calls; another one's wrapping would be no use.
        kept = self._wrapped.get(method)
        if kept is None or kept.handler is not handler:
            kept = self._wrapped[method] = _Wrapped(handler, self._wrap(method, handler))
        return kept.wrapped

    def _wrap(self, method: str, handler: grpc.RpcMethodHandler[Any, Any]) -> grpc.RpcMethodHandler[Any, Any]:
        read = _reader(method, handler.request_deserializer)
        if handler.unary_unary is not None:
            return grpc.unary_unary_rpc_method_handler(
                self._guarded(method, handler.unary_unary),
                request_deserializer=read,
                response_serializer=handler.response_serializer,
            )
        if inspect.isasyncgenfunction(handler.unary_stream):
            return grpc.unary_stream_rpc_method_handler(
                _guarded_stream(method, handler.unary_stream),
                request_deserializer=read,
                response_serializer=handler.response_serializer,
            )
        if inspect.isasyncgenfunction(handler.stream_stream):
            return grpc.stream_stream_rpc_method_handler(
                self._guarded_exchange(method, handler.stream_stream),
                request_deserializer=read,
                response_serializer=handler.response_serializer,
            )
        return handler

    def _guarded(self, method: str, answer: Callable[..., Any]) -> Callable[..., Any]:
        """A method that answers once."""

        async def guarded(request: Any, context: grpc.aio.ServicerContext[Any, Any]) -> Any:
            with self._at_work():
                try:
                    return await answer(_parsed(request), context)
                except Exception as error:  # noqa: BLE001  # the call ends with it
                    await _tell(error, method, context)

        return guarded

    def _guarded_exchange(self, method: str, answer: Callable[..., Any]) -> Callable[..., Any]:
        """A method that takes messages and answers each: an asynchronous generator, which ends when the service does."""

        async def parsed(requests: AsyncIterator[Any]) -> AsyncIterator[Any]:
            async for request in requests:
                yield _parsed(request)

        async def guarded(
            requests: AsyncIterator[Any], context: grpc.aio.ServicerContext[Any, Any]
        ) -> AsyncIterator[Any]:
            with self._at_work():
                async with _telling(method, context), aclosing(answer(parsed(requests), context)) as answers:
                    async for one in answers:
                        yield one

        return guarded

    @contextmanager
    def _at_work(self) -> Iterator[None]:
        self._answering += 1
        self._idle.clear()
        try:
            yield
        finally:
            self._answering -= 1
            if not self._answering:
                self._idle.set()


def _guarded_stream(method: str, answer: Callable[..., Any]) -> Callable[..., Any]:
    """A method that answers again and again: an asynchronous generator."""

    async def guarded(request: Any, context: grpc.aio.ServicerContext[Any, Any]) -> None:
        # A caller who goes away ends this task while it writes; what the answers hold is then let go at once.
        async with _telling(method, context), aclosing(answer(_parsed(request), context)) as answers:
            async for one in answers:
                await context.write(one)

    return guarded


def _reader(method: str, parse: Callable[[bytes], Any] | None) -> Callable[[bytes], Any]:
    """Reads requests. What is raised here gRPC would tell as it likes, so it goes on to where a call can be answered."""

    def read(raw: bytes) -> Any:
        try:
            return parse(raw) if parse else raw
        except DecodeError:
            return BadInput(
                Reason.INVALID_REQUEST,
                f"request of {method}",
                given=f"{len(raw)} bytes that are no protobuf message",
                expected="its message in suyuan.v1",
            )

    return read


def _parsed(request: Any) -> Any:
    """A request, unless it could not be read."""
    if isinstance(request, BadInput):
        raise request
    return request


@asynccontextmanager
async def _telling(method: str, context: grpc.aio.ServicerContext[Any, Any]) -> AsyncIterator[None]:
    """Ends a call with what went wrong in it."""
    try:
        yield
    except Exception as error:  # noqa: BLE001  # the call ends with it
        await _tell(error, method, context)


async def _tell(error: Exception, method: str, context: grpc.aio.ServicerContext[Any, Any]) -> NoReturn:
    """End a call with what went wrong in it."""
    if isinstance(error, grpc.aio.AbortError):
        raise error
    if isinstance(error, LedgerError):
        if isinstance(error, ServiceFault | BrokenProof) and error.reason not in _EXPECTED:
            log.warning("call_failed", method=method, reason=error.reason, error=str(error))
        await context.abort_with_status(rpc_status.to_status(status_of(error)))
    log.error("call_crashed", method=method, exc_info=error)
    await context.abort(grpc.StatusCode.INTERNAL, "internal error; the service's log has the details")


def _retry_after_ms(error: LedgerError) -> int | None:
    """When to come back; None where that would not help."""
    if isinstance(error, ServiceFault) and error.retry_after_s is not None:
        return max(1, round(error.retry_after_s * 1000))
    return RETRY_AFTER_MS if error.reason is Reason.OVERLOADED else None


def _short(text: str, most: int) -> str:
    """A text, cut to so many bytes of UTF-8."""
    raw = text.encode("utf-8", "replace")
    return text if len(raw) <= most else f"{raw[: most - 3].decode('utf-8', 'ignore')}…"


def _packed(message: Any) -> any_pb2.Any:
    packed = any_pb2.Any()
    packed.Pack(message)
    return packed
