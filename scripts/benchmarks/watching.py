"""How long it takes until an event reaches those who watch the log."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator

import grpc

from benchmarks import load
from benchmarks.load import CALL_TIMEOUT_S, SERVICE, receipts, requests
from benchmarks.report import Figure, half_and_most_ms
from benchmarks.serving import Serving
from suyuan.v1 import ledger_service_pb2 as pb

RATE = 200
"""Events a second, sent one by one: a town on a quiet day. How quickly they go through is not asked here."""


def lag(serving: Serving, envelopes: Iterator[bytes], events: int) -> Figure:
    """From sending an event to its delivery by WatchEvents, which may come before its sender has the receipt."""
    messages = requests(envelopes, events, 1)
    sent, delivered = load.run(_watch(serving.target, messages))
    late = [delivered[index] - moment for index, moment in sent.items()]
    p50_ms, p99_ms = half_and_most_ms(late)
    return Figure(
        "watch_lag",
        value=p50_ms,
        unit="ms",
        p50_ms=p50_ms,
        p99_ms=p99_ms,
        server_rss_mb=serving.rss_mb(),
    )


async def _watch(target: str, messages: list[bytes]) -> tuple[dict[int, float], dict[int, float]]:
    """Append and watch at once; when each index was sent, and when delivered."""
    sent: dict[int, float] = {}
    delivered: dict[int, float] = {}
    async with load.channel(target) as opened, load.channel(target) as watching:
        head = await opened.unary_unary(SERVICE + "GetCheckpoint")(b"", timeout=CALL_TIMEOUT_S)
        size = int(pb.GetCheckpointResponse.FromString(head).checkpoint.note.split(b"\n")[1])
        watch = watching.unary_stream(SERVICE + "WatchEvents")(
            pb.WatchEventsRequest(start=size).SerializeToString()
        )
        # The first answer says that the end of the log is reached: from here on the lag is that of what is new.
        await asyncio.wait_for(watch.read(), CALL_TIMEOUT_S)
        append = opened.unary_unary(SERVICE + "AppendEvents")

        async def send(message: bytes) -> None:
            moment = time.perf_counter()
            [receipt] = receipts([await append(message, timeout=CALL_TIMEOUT_S)])
            sent[receipt.index] = moment

        async def deliver() -> None:
            while len(delivered) < len(messages):
                answer = await watch.read()
                moment = time.perf_counter()
                if answer is grpc.aio.EOF:
                    raise SystemExit("the watch ended, expected one that goes on")
                for entry in pb.WatchEventsResponse.FromString(answer).entries:
                    delivered[entry.index] = moment

        started = time.perf_counter()
        async with asyncio.timeout(CALL_TIMEOUT_S + len(messages) / RATE), asyncio.TaskGroup() as group:
            group.create_task(deliver())
            for number, message in enumerate(messages):
                await asyncio.sleep(started + number / RATE - time.perf_counter())
                group.create_task(send(message))
        watch.cancel()
    return sent, delivered
