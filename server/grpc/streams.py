"""Streams of appends: each message answered by one, in order, when its batch is durable.

Messages are read ahead: while one waits for its commit, those behind it are parsed and verified, and go into the queue
in the order in which they came. What is under way is bounded, for each stream and for all together. Where there is no
room a stream is not refused; it is read no further, until flow control holds the sender up. So it is too with a sender
who does not read its answers.

Where keys have an allowance (`server.allowance`) it is taken in the order of the messages. A key that runs out in one is
refused in all that were read before that one was answered: its sender could not know. So what is recorded of a signer is
the beginning of what it sent, as far as it had sent, and the rest can be sent again in its order.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import suppress
from dataclasses import dataclass

from ledger.errors import Reason, ServiceFault
from server.admission import run_out_of
from server.grpc.appends import Appends, require_size
from server.limits import Limits
from server.room import Room
from suyuan.v1 import ledger_service_pb2 as pb


@dataclass(frozen=True, slots=True, eq=False)
class _Message:
    """A message under way."""

    events: int
    size: int
    answer: asyncio.Task[pb.AppendEventsResponse]
    heard: int
    """How many messages had been answered when this one was read."""


_End = Exception | None
"""Why nothing more is read: an error, or because the sender has sent all."""


class Streams:
    """All streams of appends of a service. For one event loop."""

    def __init__(self, appends: Appends, limits: Limits) -> None:
        self._appends = appends
        self._limits = limits
        self._room = Room(limits.streamed_events, limits.streamed_bytes)
        self._stopping = asyncio.Event()
        self._open = 0

    def stop(self) -> None:
        """Read no further: each stream ends with `STOPPING` when what was read of it is answered."""
        self._stopping.set()

    async def append(
        self, requests: AsyncIterator[pb.AppendEventsRequest]
    ) -> AsyncGenerator[pb.AppendEventsResponse, None]:
        """The answers to a stream's messages.

        Ends at once where its sender goes away; what was read may be recorded nevertheless.

        Raises:
            BadInput: as `require_size` says of a message, when those before it are answered.
            ServiceFault: `OVERLOADED` if there are too many streams; `STOPPING`; as `Appends.require_turn` says; or as
                `Sequencer.append` says of a message: of those behind it, some may be recorded.
        """
        self._appends.require_turn()
        if self._open >= self._limits.streams:
            raise ServiceFault(
                Reason.OVERLOADED,
                "streams of appends",
                given=f"{self._open + 1} at once",
                expected=f"at most {self._limits.streams}",
            )
        self._open += 1
        stream = _Stream(self._appends, self._limits, self._room)
        reader = asyncio.create_task(stream.read(requests, self._stopping))
        try:
            while isinstance(message := await stream.next(), _Message):
                yield await message.answer
                stream.answered(message)
            if message is not None:
                raise message
        finally:
            self._open -= 1
            reader.cancel()
            stream.abandon()


class _Stream:
    """One stream: what is read and not yet answered."""

    def __init__(self, appends: Appends, limits: Limits, shared: Room) -> None:
        self._appends = appends
        self._own = Room(limits.stream_events, limits.stream_bytes)
        self._shared = shared
        self._coming: asyncio.Queue[_Message | _End] = asyncio.Queue()
        self._under_way: dict[_Message, None] = {}
        self._answered = 0
        self._run_out: dict[bytes, int] = {}
        """Ids of keys, with the number of the message in which each ran out; kept while some message does not know."""

    async def read(self, requests: AsyncIterator[pb.AppendEventsRequest], stopping: asyncio.Event) -> None:
        """Set messages on their way until there are no more."""
        end: _End = None
        before = asyncio.get_running_loop().create_future()
        before.set_result(None)
        number = 0
        try:
            async for request in _until(stopping, requests):
                number, heard = number + 1, self._answered
                require_size(request)
                events, size = len(request.envelopes), sum(map(len, request.envelopes))
                await self._enter(events, size)
                submitted = asyncio.get_running_loop().create_future()
                answer = asyncio.create_task(self._record(request, number, heard, before, submitted))
                before = submitted
                message = _Message(events, size, answer, heard)
                self._under_way[message] = None
                self._coming.put_nowait(message)
        except Exception as error:  # noqa: BLE001  # it ends the stream in its turn
            end = error
        finally:
            self._coming.put_nowait(end)

    async def next(self) -> _Message | _End:
        """What is to be answered next."""
        return await self._coming.get()

    def answered(self, message: _Message) -> None:
        """Make room."""
        del self._under_way[message]
        self._answered += 1
        if self._run_out:
            heard = min((one.heard for one in self._under_way), default=self._answered)
            self._run_out = {key_id: at for key_id, at in self._run_out.items() if at > heard}
        self._leave(message)

    def abandon(self) -> None:
        """Nobody waits for the answers any more."""
        for message in self._under_way:
            if not message.answer.cancel() and not message.answer.cancelled():
                message.answer.exception()  # heard, so that nobody takes it for forgotten
            self._leave(message)
        self._under_way.clear()

    async def _record(
        self,
        request: pb.AppendEventsRequest,
        number: int,
        heard: int,
        before: asyncio.Future[None],
        submitted: asyncio.Future[None],
    ) -> pb.AppendEventsResponse:
        """Have a message recorded behind the one before.

        Args:
            request: the message.
            number: of the message, from 1 on.
            heard: how many had been answered when it was read.
            before: done when the message before is in the queue, or never will be.
            submitted: the same for this message; to be done here.
        """
        began = time.perf_counter()
        try:
            looked_at = await self._appends.look_at(request)
            await asyncio.shield(before)
            run_out = {key_id for key_id, at in self._run_out.items() if at > heard}
            admitted = self._appends.allow(looked_at, began, run_out)
            self._run_out |= dict.fromkeys(run_out_of(looked_at, admitted) - run_out, number)
            batch = self._appends.submit(admitted, has_room=True)
        finally:
            submitted.set_result(None)
        return await self._appends.answer(request, admitted, batch)

    async def _enter(self, events: int, size: int) -> None:
        await self._own.enter(events, size)
        try:
            await self._shared.enter(events, size)
        except asyncio.CancelledError:
            self._own.leave(events, size)
            raise

    def _leave(self, message: _Message) -> None:
        self._own.leave(message.events, message.size)
        self._shared.leave(message.events, message.size)


async def _until(
    stopping: asyncio.Event, requests: AsyncIterator[pb.AppendEventsRequest]
) -> AsyncIterator[pb.AppendEventsRequest]:
    """The messages that come before the service stops.

    Raises:
        ServiceFault: `STOPPING` when it does.
    """
    stop = asyncio.create_task(stopping.wait())
    coming: asyncio.Task[pb.AppendEventsRequest | None] | None = None
    try:
        while True:
            coming = asyncio.create_task(_next(requests))
            await asyncio.wait({coming, stop}, return_when=asyncio.FIRST_COMPLETED)
            if not coming.done():
                raise ServiceFault(Reason.STOPPING, "service", given="an append", expected="no more appends")
            request = coming.result()
            if request is None:
                return
            yield request
    finally:
        stop.cancel()
        if coming is not None:
            coming.cancel()


async def _next(requests: AsyncIterator[pb.AppendEventsRequest]) -> pb.AppendEventsRequest | None:
    """The next message; None where there are no more."""
    with suppress(StopAsyncIteration):
        return await anext(requests)
    return None
