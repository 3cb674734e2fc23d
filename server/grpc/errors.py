"""The ledger's refusals as gRPC statuses: one table for all methods."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

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

log = structlog.get_logger(__name__)


def status_of(error: LedgerError) -> status_pb2.Status:
    """A refusal as a status with an ErrorInfo, and a RetryInfo where coming back helps."""
    metadata = {"subject": error.subject}
    if error.given is not None:
        metadata["given"] = error.given
    if error.expected is not None:
        metadata["expected"] = error.expected
    status = status_pb2.Status(
        code=_CODES.get(error.reason, _FAMILY_CODES[type(error)]),
        message=str(error),
        details=[_packed(error_details_pb2.ErrorInfo(reason=error.reason, domain=DOMAIN, metadata=metadata))],
    )
    retry_after_ms = _retry_after_ms(error)
    if retry_after_ms is not None:
        delay = duration_pb2.Duration()
        delay.FromMilliseconds(retry_after_ms)
        status.details.append(_packed(error_details_pb2.RetryInfo(retry_delay=delay)))
    return status


class ErrorInterceptor(grpc.aio.ServerInterceptor):
    """Turns the ledger's errors into statuses; what nobody foresaw is logged, and told without its inside."""

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[grpc.RpcMethodHandler[Any, Any] | None]],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> grpc.RpcMethodHandler[Any, Any] | None:
        """Wrap the method that a call is for."""
        handler = await continuation(handler_call_details)
        if handler is None or handler.unary_unary is None:
            return handler
        method, answer, parse = handler_call_details.method, handler.unary_unary, handler.request_deserializer

        def read(raw: bytes) -> Any:
            # What is raised in here gRPC would tell as it likes; so it goes on to where a call can be answered.
            try:
                return parse(raw) if parse else raw
            except DecodeError:
                return BadInput(
                    Reason.INVALID_REQUEST,
                    f"request of {method}",
                    given=f"{len(raw)} bytes that are no protobuf message",
                    expected="its message in suyuan.v1",
                )

        async def guarded(request: Any, context: grpc.aio.ServicerContext[Any, Any]) -> Any:
            if isinstance(request, BadInput):
                await context.abort_with_status(rpc_status.to_status(status_of(request)))
            try:
                return await answer(request, context)  # type: ignore[arg-type]  # the stubs know only synchronous handlers
            except LedgerError as error:
                if isinstance(error, ServiceFault | BrokenProof):
                    log.warning("call_failed", method=method, reason=error.reason, error=str(error))
                status = rpc_status.to_status(status_of(error))
                await context.abort_with_status(status)
            except grpc.aio.AbortError:
                raise
            except Exception:
                log.exception("call_crashed", method=method)
                await context.abort(
                    grpc.StatusCode.INTERNAL, "internal error; the service's log has the details"
                )

        return grpc.unary_unary_rpc_method_handler(
            guarded,
            request_deserializer=read,
            response_serializer=handler.response_serializer,
        )


def _retry_after_ms(error: LedgerError) -> int | None:
    """When to come back; None where that would not help."""
    if isinstance(error, ServiceFault) and error.retry_after_s is not None:
        return max(1, round(error.retry_after_s * 1000))
    return RETRY_AFTER_MS if error.reason is Reason.OVERLOADED else None


def _packed(message: Any) -> any_pb2.Any:
    packed = any_pb2.Any()
    packed.Pack(message)
    return packed
