"""The load: messages that are ready to be sent, and how long each waits for its answer.

While the clock runs nothing is signed, parsed or checked here, since client and server share the processors: messages
go out as bytes, answers are kept as bytes, and looked at afterwards.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from itertools import islice
from typing import TypeVar

import grpc
import uvloop

from suyuan.v1 import ledger_service_pb2 as pb

T = TypeVar("T")

SERVICE = "/suyuan.v1.LedgerService/"

CALL_TIMEOUT_S = 120
"""So that a service that hangs ends the benchmark."""

_OPTIONS = [("grpc.max_receive_message_length", 64 * 1024 * 1024)]


@dataclass(frozen=True)
class Timed:
    """Messages and their answers."""

    seconds: float
    """From the first message to the last answer."""
    latencies_s: list[float]
    answers: list[bytes]


def run(work: Awaitable[T]) -> T:
    """Run on the loop that costs the client least."""

    async def awaited() -> T:
        return await work

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(awaited())


@asynccontextmanager
async def channel(target: str):  # type: ignore[no-untyped-def]  # noqa: ANN201 - grpc's types for channels need a cast each
    """A connection of its own."""
    async with grpc.aio.insecure_channel(target, options=_OPTIONS) as opened:
        await asyncio.wait_for(opened.channel_ready(), CALL_TIMEOUT_S)
        yield opened


def requests(envelopes: Iterator[bytes], events: int, size: int) -> list[bytes]:
    """So many events as append requests of so many each."""
    taken = list(islice(envelopes, events))
    return [request(taken[start : start + size]) for start in range(0, len(taken), size)]


def request(envelopes: Sequence[bytes]) -> bytes:
    """An append request."""
    return pb.AppendEventsRequest(envelopes=envelopes).SerializeToString()


async def closed_loop(
    send: Callable[[bytes], Awaitable[bytes]], messages: Iterable[bytes], in_flight: int
) -> Timed:
    """Send all messages, so many at a time: the next goes out when an answer came."""
    waiting = iter(messages)
    latencies: list[float] = []
    answers: list[bytes] = []

    async def sender() -> None:
        for message in waiting:
            sent = time.perf_counter()
            answer = await send(message)
            latencies.append(time.perf_counter() - sent)
            answers.append(answer)

    started = time.perf_counter()
    async with asyncio.TaskGroup() as group:
        for _ in range(in_flight):
            group.create_task(sender())
    return Timed(time.perf_counter() - started, latencies, answers)


async def unary(target: str, method: str, messages: Iterable[bytes], in_flight: int) -> Timed:
    """Call a method for each message."""
    async with channel(target) as opened:
        call = opened.unary_unary(SERVICE + method)
        return await closed_loop(lambda message: call(message, timeout=CALL_TIMEOUT_S), messages, in_flight)


async def stream(target: str, messages: Sequence[bytes], in_flight: int) -> Timed:
    """Send all messages along one stream of appends, so many ahead of their answers."""
    sent: list[float] = []
    latencies: list[float] = []
    answers: list[bytes] = []
    room = asyncio.Semaphore(in_flight)

    async with channel(target) as opened:
        call = opened.stream_stream(SERVICE + "StreamAppend")(timeout=10 * CALL_TIMEOUT_S)

        async def write() -> None:
            for message in messages:
                await room.acquire()
                sent.append(time.perf_counter())
                await call.write(message)
            await call.done_writing()

        started = time.perf_counter()
        async with asyncio.TaskGroup() as group:
            group.create_task(write())
            while (answer := await call.read()) is not grpc.aio.EOF:
                latencies.append(time.perf_counter() - sent[len(answers)])
                answers.append(answer)
                room.release()
        return Timed(time.perf_counter() - started, latencies, answers)


def receipts(answers: Iterable[bytes]) -> Iterator[pb.AppendReceipt]:
    """The receipts in answers to appends.

    Raises:
        SystemExit: something was refused; a benchmark of refusals would say nothing.
    """
    for answer in answers:
        for result in pb.AppendEventsResponse.FromString(answer).results:
            if not result.HasField("receipt"):
                raise SystemExit(f"an event was refused: {result.refusal.message}")
            yield result.receipt
