"""Receiving requests, in bounded memory and time.

gRPC calls a method when its request has come in whole, and keeps what has come of it until then: up to the largest
message for each call, for as long as its sender likes. A thousand calls whose messages never end would take gigabytes,
and the place of everybody else's calls. So requests are received here, so many at once as `Limits` says; of those that
wait their turn gRPC takes no more than `LOOKAHEAD_BYTES`, and flow control holds their senders up.

What is small, or comes along a good line, is there at once. A message that is not counts as slow. One that takes too long
is told to come back, and so is a slow one where a connection waits of which fewer messages are being received than of
its own. The turn goes to the connection of which fewest are, and where too many wait, those end of which most do. So
whoever holds a thousand messages back holds up its own, and slow lines get to their end as long as there is room.

Streams of appends are left alone: nobody can tell one that rests from one that has sent half a message. There are
only so many of them (`server.grpc.streams`).
"""

from __future__ import annotations

import asyncio
import inspect
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any

import grpc
import structlog
from grpc_status import rpc_status

from ledger.errors import Reason, ServiceFault
from server.grpc.errors import status_of
from server.limits import Limits

LOOKAHEAD_BYTES = 128 * 1024
"""What gRPC takes of a call that nobody reads from. It is a stream of appends' window too: what goes out on a line before
the service has said that more may come."""

OPTIONS = (
    ("grpc.http2.lookahead_bytes", LOOKAHEAD_BYTES),
    # Else a fast line would have windows grow to many times that.
    ("grpc.http2.bdp_probe", 0),
)
"""What a server has to be made with for this to hold."""

LOOK_S = 0.1
"""How often it is looked for slow messages, while any is under way."""

CUT_OFF_AT_A_LOOK = 2
"""Slow messages at most, that others may have their turn. gRPC keeps what has come of one until its sender has been told;
so there is a bound to how much of that there is."""

SLOW_LOOKS = 3
"""At so many looks a slow message was not there yet. It is looks that count, for between two of them everything is taken
in that has come: so nothing counts as slow that only had to wait for this process."""

Context = grpc.aio.ServicerContext[Any, Any]

log = structlog.get_logger(__name__)


@dataclass(slots=True, eq=False)
class _Message:
    """A message that is waited for."""

    task: asyncio.Task[Any]
    connection: str
    began: float
    turn: asyncio.Future[None] | None = None
    """Done when it may be received; None if it never had to wait."""
    look: int | None = None
    """At which look it began to be received; None while it waits its turn."""
    cut_off: bool = False

    def cut(self) -> bool:
        """Wait for it no longer; returns whether it was waited for."""
        was, self.cut_off = self.cut_off, True
        if not was:
            self.task.cancel()
        return not was


class Arriving:
    """The messages that are under way. For one event loop."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._messages: dict[_Message, None] = {}
        """Those that began first come first."""
        self._waiting: defaultdict[str, list[_Message]] = defaultdict(list)
        """By connection, likewise."""
        self._received: Counter[str] = Counter()
        """How many are being received, by connection."""
        self._looks = 0
        self._looking: asyncio.TimerHandle | None = None

    async def message(self, connection: str, read: Callable[[], Awaitable[Any]]) -> Any:
        """A message, once it is there.

        Args:
            connection: that it comes along.
            read: waits for it.

        Raises:
            ServiceFault: `OVERLOADED` if it takes too long, or is one too many.
        """
        loop, task = asyncio.get_running_loop(), asyncio.current_task()
        if task is None:
            raise RuntimeError
        message = _Message(task, connection, loop.time())
        self._messages[message] = None
        if self._looking is None:
            self._looking = loop.call_later(LOOK_S, self._look)
        try:
            await self._turn(message)
            return await read()
        except asyncio.CancelledError:
            # Its caller may have gone away at the same moment; then there is nobody to tell.
            if not message.cut_off or task.uncancel() > 0:
                raise
            limits = self._limits
            raise ServiceFault(
                Reason.OVERLOADED,
                "request",
                given=f"not all of it in {loop.time() - message.began:.1f} s",
                expected=f"all of it in {limits.arrival_s:g} s, or sooner while others wait",
            ) from None
        finally:
            self._end(message)

    async def _turn(self, message: _Message) -> None:
        """Wait until a message may be received."""
        if self._received.total() < self._limits.arrivals:
            self._begin(message)
            return
        message.turn = asyncio.get_running_loop().create_future()
        self._waiting[message.connection].append(message)
        if sum(map(len, self._waiting.values())) > self._limits.waiting_arrivals:
            one_too_many = max(self._waiting.values(), key=len)[0]
            self._leave(one_too_many)
            one_too_many.cut()
        await message.turn

    def _begin(self, message: _Message) -> None:
        self._received[message.connection] += 1
        message.look = self._looks

    def _end(self, message: _Message) -> None:
        del self._messages[message]
        if message.look is not None:
            self._received[message.connection] -= 1
            if not self._received[message.connection]:
                del self._received[message.connection]
            self._let_in()
        else:
            self._leave(message)

    def _leave(self, message: _Message) -> None:
        """Have a message wait no longer."""
        of_connection = self._waiting.get(message.connection, [])
        if message in of_connection:
            of_connection.remove(message)
            if not of_connection:
                del self._waiting[message.connection]

    def _let_in(self) -> None:
        while self._waiting and self._received.total() < self._limits.arrivals:
            message = self._waiting[self._next()][-1]
            self._leave(message)
            self._begin(message)
            if message.turn is not None and not message.turn.done():
                message.turn.set_result(None)

    def _next(self) -> str:
        """The connection whose turn it is: of several that of the one that came last."""
        return min(reversed(self._waiting), key=self._received.__getitem__)

    def _look(self) -> None:
        """Cut off what takes too long, and what is slow where others wait who have less."""
        loop = asyncio.get_running_loop()
        self._looks += 1
        began_before = loop.time() - self._limits.arrival_s
        ending = [message for message in self._messages if message.began < began_before]
        if self._waiting:
            ending += self._slow_in_the_way()
        cut_off = sum(message.cut() for message in ending)
        if cut_off:
            log.warning("slow_requests_cut_off", requests=cut_off)
        self._looking = loop.call_later(LOOK_S, self._look) if self._messages else None

    def _slow_in_the_way(self) -> list[_Message]:
        """The latest slow messages of the connection that has most, where it has more than the one whose turn it is."""
        most = max(self._received, key=self._received.__getitem__)
        too_many = self._received[most] - self._received[self._next()]
        slow = [
            message
            for message in self._messages
            if message.connection == most
            and message.look is not None
            and self._looks - message.look >= SLOW_LOOKS
        ]
        return slow[-min(too_many, CUT_OFF_AT_A_LOOK) :] if too_many > 0 else []


class ReceivingInterceptor(grpc.aio.ServerInterceptor):
    """Receives the requests of all methods itself, but those of some."""

    def __init__(self, limits: Limits, *, leaving: frozenset[str]) -> None:
        """Args: `leaving`, full names of the methods that are left alone, as a call names them."""
        self._arriving = Arriving(limits)
        self._leaving = leaving
        self._known: dict[str, grpc.RpcMethodHandler[Any, Any]] = {}
        """By method: made once, for there are only as many as the service has."""

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[grpc.RpcMethodHandler[Any, Any] | None]],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> grpc.RpcMethodHandler[Any, Any] | None:
        """Make of a method that takes one message one that takes a stream, which gRPC calls at once."""
        method = handler_call_details.method
        known = self._known.get(method)
        if known is None:
            handler = await continuation(handler_call_details)
            if handler is None:
                return None
            known = self._known[method] = handler if method in self._leaving else self._receiving(handler)
        return known

    def _receiving(self, handler: grpc.RpcMethodHandler[Any, Any]) -> grpc.RpcMethodHandler[Any, Any]:
        if handler.unary_unary is not None:
            make, answer = grpc.stream_unary_rpc_method_handler, self._answering(handler.unary_unary)
        elif handler.unary_stream is not None:
            make, answer = grpc.stream_stream_rpc_method_handler, self._streaming(handler.unary_stream)
        elif inspect.isasyncgenfunction(handler.stream_stream):
            make, answer = grpc.stream_stream_rpc_method_handler, self._exchanging(handler.stream_stream)
        else:
            return handler
        return make(
            answer,
            request_deserializer=handler.request_deserializer,
            response_serializer=handler.response_serializer,
        )

    async def _received(self, context: Context) -> Any:
        """The next message, or `grpc.aio.EOF`; a call whose message does not come ends here."""
        try:
            return await self._arriving.message(context.peer(), context.read)
        except ServiceFault as fault:
            await context.abort_with_status(rpc_status.to_status(status_of(fault)))

    def _answering(self, answer: Callable[..., Any]) -> Callable[..., Any]:
        """A method that takes one message and answers once."""

        async def received(_: AsyncIterator[Any], context: Context) -> Any:
            request = await self._received(context)
            if request is grpc.aio.EOF:
                return await _without(context)
            return await answer(request, context)

        return received

    def _streaming(self, answer: Callable[..., Any]) -> Callable[..., Any]:
        """A method that takes one message and answers again and again, be it a generator or one that writes itself."""

        async def received(_: AsyncIterator[Any], context: Context) -> None:
            request = await self._received(context)
            if request is grpc.aio.EOF:
                await _without(context)
            elif inspect.isasyncgenfunction(answer):
                async with aclosing(answer(request, context)) as answers:
                    async for one in answers:
                        await context.write(one)
            else:
                await answer(request, context)

        return received

    def _exchanging(self, answer: Callable[..., Any]) -> Callable[..., Any]:
        """A method that takes messages and answers them: an asynchronous generator."""

        async def received(_: AsyncIterator[Any], context: Context) -> AsyncIterator[Any]:
            async def requests() -> AsyncIterator[Any]:
                while (request := await self._received(context)) is not grpc.aio.EOF:
                    yield request

            async with aclosing(answer(requests(), context)) as answers:
                async for one in answers:
                    yield one

        return received


async def _without(context: Context) -> None:
    """End a call that has sent no message."""
    await context.abort(grpc.StatusCode.INVALID_ARGUMENT, "a call without a request")
