"""Every gRPC call from outside: when it began, how it ended."""

from __future__ import annotations

import asyncio
import inspect
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import aclosing, contextmanager
from typing import Any, Protocol

import grpc

Context = grpc.aio.ServicerContext[Any, Any]


class CallListener(Protocol):
    """Whoever wants to know of calls. Both methods are called in the task that answers the call."""

    def call_began(self, method: str, metadata: Mapping[str, str]) -> object:
        """A call begins.

        Args:
            method: its full name, such as `suyuan.v1.LedgerService/AppendEvents`.
            metadata: what the caller sent along, texts only.

        Returns:
            Whatever is to be told again when it ends.
        """

    def call_ended(self, began: object, method: str, code: str, seconds: float) -> None:
        """A call has ended, with a status of this name."""


class CallInterceptor(grpc.aio.ServerInterceptor):
    """Tells of calls; to be the outermost, so that it sees what the others make of errors.

    Calls of methods that are not there, and those that gRPC turns away because too many are going on, never come here.
    """

    def __init__(self, listeners: Sequence[CallListener]) -> None:
        self._listeners = tuple(listeners)

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[grpc.RpcMethodHandler[Any, Any] | None]],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> grpc.RpcMethodHandler[Any, Any] | None:
        """Wrap the method that a call is for."""
        handler = await continuation(handler_call_details)
        if handler is None:
            return None
        method = handler_call_details.method.removeprefix("/")
        kind = f"{'stream' if handler.request_streaming else 'unary'}_{'stream' if handler.response_streaming else 'unary'}"
        answer = getattr(handler, kind)
        wrap = self._streaming if inspect.isasyncgenfunction(answer) else self._answering
        return getattr(grpc, f"{kind}_rpc_method_handler")(  # type: ignore[no-any-return]  # as its name says
            wrap(method, answer),
            request_deserializer=handler.request_deserializer,
            response_serializer=handler.response_serializer,
        )

    def _answering(self, method: str, answer: Callable[[Any, Context], Awaitable[Any]]) -> Any:
        async def told(request: Any, context: Context) -> Any:
            with self._told(method, context):
                return await answer(request, context)

        return told

    def _streaming(self, method: str, answer: Callable[[Any, Context], AsyncGenerator[Any, None]]) -> Any:
        async def told(request: Any, context: Context) -> None:
            # Written from here and not yielded: a generator whose caller goes away while it is written for would only
            # end when somebody collects it, and the call would count as one that goes on.
            with self._told(method, context):
                async with aclosing(answer(request, context)) as answers:
                    async for message in answers:
                        await context.write(message)

        return told

    @contextmanager
    def _told(self, method: str, context: Context) -> Iterator[None]:
        metadata = {
            name: value for name, value in context.invocation_metadata() or () if isinstance(value, str)
        }
        marks = [listener.call_began(method, metadata) for listener in self._listeners]
        began, code = time.perf_counter(), grpc.StatusCode.UNKNOWN
        try:
            yield
            # Where its caller goes away a stream of requests may simply end.
            gone = context.cancelled()
            code = grpc.StatusCode.CANCELLED if gone else _code_of(context, grpc.StatusCode.OK)
        except (asyncio.CancelledError, GeneratorExit):
            code = grpc.StatusCode.CANCELLED
            raise
        except BaseException:
            code = _code_of(context, grpc.StatusCode.UNKNOWN)
            raise
        finally:
            seconds = time.perf_counter() - began
            # The last to have begun ends first, as with any that stand one in another.
            for listener, mark in reversed(list(zip(self._listeners, marks, strict=True))):
                listener.call_ended(mark, method, code.name, seconds)


_CODES = {code.value[0]: code for code in grpc.StatusCode}


def _code_of(context: Context, default: grpc.StatusCode) -> grpc.StatusCode:
    """The status that a handler has set, if it has set one; gRPC keeps it as a number until then."""
    code = context.code()
    if isinstance(code, int):
        return _CODES.get(code, default) if code else default
    return code or default
