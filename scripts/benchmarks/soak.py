"""The city's burst for minutes: what shops and hubs send, at a rate that does not wait for the service.

Shops send small batches, hubs send along streams that stay open. When each message goes out was fixed before, so a
service that stalls is measured by all the messages that were due meanwhile (no coordinated omission). A message that
the service turns away is sent again a moment later, as a client would; the time it takes counts from when it was due.

Afterwards the whole log is read back: every acknowledged event must stand at its receipt's index with its receipt's
hash, and all entries together must give the root of the log's final checkpoint. An audit then runs every rule again.
"""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import tempfile
import time
from collections import Counter, deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from hashlib import sha256
from itertools import islice
from typing import Any

import grpc

from benchmarks import load
from benchmarks.growing import SIGNER
from benchmarks.load import CALL_TIMEOUT_S, SERVICE, request
from benchmarks.report import Figure, half_and_most_ms, say
from benchmarks.serving import SUYUAN, Serving
from benchmarks.town import ORIGIN
from ledger.checkpoint import open_checkpoint
from ledger.entry import Entry
from ledger.frontier import Frontier
from ledger.merkle import leaf_hash
from suyuan.v1 import ledger_service_pb2 as pb

P99_BAR_MS = 100

HUB_MESSAGE, SHOP_MESSAGE, SHOPS_A_HUB = 50, 4, 8
"""Events in a hub's message and in a shop's, and how many shops' messages follow a hub's."""

HUBS = 4
"""Streams."""

REPORTS = 10
"""How often memory and progress are told."""

_MOST_WAITING = 5_000
"""Messages of shops that wait for an answer at once. More are held back here, and their time runs on."""

_PATIENCE_S = 0.2
_TRIES = 100


@dataclass
class Sent:
    """What became of the events."""

    acknowledged: dict[int, bytes] = field(default_factory=dict)
    """By index, what `_fingerprint` gives for the envelope that was sent and the entry's hash that its receipt says."""
    contradictions: int = 0
    """Receipts that put something else where an earlier one put an event."""
    latencies_s: list[float] = field(default_factory=list)
    turned_away: int = 0
    """Messages that had to be sent again."""
    refusals: Counter[str] = field(default_factory=Counter)
    """Events that the ledger refused, by what it said."""
    failures: Counter[str] = field(default_factory=Counter)
    """Messages that got no answer, by what gRPC said."""

    def take(self, due: float, message: bytes, answer: bytes) -> None:
        """Note the answer to a message."""
        self.latencies_s.append(time.perf_counter() - due)
        envelopes = pb.AppendEventsRequest.FromString(message).envelopes
        results = pb.AppendEventsResponse.FromString(answer).results
        for envelope, result in zip(envelopes, results, strict=True):
            if result.HasField("receipt"):
                fingerprint = _fingerprint(envelope, result.receipt.entry_hash)
                known = self.acknowledged.setdefault(result.receipt.index, fingerprint)
                self.contradictions += known != fingerprint
            else:
                self.refusals[result.refusal.message.partition(":")[0]] += 1


def measure(serving: Serving, upcoming: Iterator[bytes], *, rate: int, events: int, jobs: int) -> Figure:
    """Send events at a rate, and look whether all that was acknowledged is there.

    Args:
        serving: the service.
        upcoming: the events.
        rate: events a second.
        events: how many.
        jobs: processes that audit.
    """
    started = time.perf_counter()
    sent = load.run(_send(serving, upcoming, rate, events))
    seconds = time.perf_counter() - started
    p50_ms, p99_ms = half_and_most_ms(sent.latencies_s or [seconds])
    rss_mb = serving.rss_mb()
    for what, counter in (("refused", sent.refusals), ("failed", sent.failures)):
        for reason, count in counter.most_common(5):
            say(f"    {count} {what}: {reason}\n")
    say(
        f"    {len(sent.acknowledged)} of {events} events acknowledged, {sent.turned_away} messages sent again; "
        f"p99 {p99_ms:.1f} ms, the bar is {P99_BAR_MS}\n"
    )
    lost = sent.contradictions + load.run(_missing(serving, sent.acknowledged))
    say(f"    {lost} acknowledged events are not in the log\n")
    audited = _audit(serving, jobs)
    return Figure(
        "soak",
        value=round(len(sent.acknowledged) / seconds, 1),
        unit="events/s",
        p50_ms=p50_ms,
        p99_ms=p99_ms,
        server_rss_mb=rss_mb,
        lost=lost > 0 or not audited,
    )


async def _send(serving: Serving, upcoming: Iterator[bytes], rate: int, events: int) -> Sent:
    sent = Sent()
    async with load.channel(serving.target) as shops, load.channel(serving.target) as hubs:
        append = shops.unary_unary(SERVICE + "AppendEvents")
        open_room = asyncio.Semaphore(_MOST_WAITING)
        async with asyncio.TaskGroup() as group:
            streams = [_Hub(hubs.stream_stream(SERVICE + "StreamAppend"), sent) for _ in range(HUBS)]
            for stream in streams:
                group.create_task(stream.run())
            started = time.perf_counter()
            done = number = 0
            while done < events:
                due = started + done / rate
                await asyncio.sleep(due - time.perf_counter())
                of_hub = number % (1 + SHOPS_A_HUB) == 0
                taken = list(islice(upcoming, min(HUB_MESSAGE if of_hub else SHOP_MESSAGE, events - done)))
                if of_hub:
                    streams[number // (1 + SHOPS_A_HUB) % HUBS].put(due, request(taken))
                else:
                    await open_room.acquire()
                    task = group.create_task(_append(append, due, request(taken), sent))
                    task.add_done_callback(lambda _: open_room.release())
                if (done + len(taken)) * REPORTS // events > done * REPORTS // events:
                    rss_mb = serving.rss_mb()
                    say(
                        f"    {time.perf_counter() - started:6.1f} s: {len(sent.acknowledged)} acknowledged, {rss_mb} MiB\n"
                    )
                done += len(taken)
                number += 1
            for stream in streams:
                stream.put(0.0, None)
    return sent


async def _append(append: Any, due: float, message: bytes, sent: Sent) -> None:
    """Send a shop's message until it is answered."""
    for _ in range(_TRIES):
        try:
            sent.take(due, message, await append(message, timeout=CALL_TIMEOUT_S))
        except grpc.aio.AioRpcError as error:
            if error.code() is not grpc.StatusCode.RESOURCE_EXHAUSTED:
                sent.failures[str(error.details())] += 1
                return
        else:
            return
        sent.turned_away += 1
        await asyncio.sleep(_PATIENCE_S)
    sent.failures["turned away for too long"] += 1


class _Hub:
    """A stream that stays open, and is opened again when it breaks: what was not answered then goes out again."""

    def __init__(self, method: Any, sent: Sent) -> None:
        self._method = method
        self._sent = sent
        self._waiting: deque[tuple[float, bytes]] = deque()
        self._unanswered: deque[tuple[float, bytes]] = deque()
        self._more = asyncio.Event()
        self._ending = False

    def put(self, due: float, message: bytes | None) -> None:
        """Send a message when it is its turn; None ends the stream when all is answered."""
        if message is None:
            self._ending = True
        else:
            self._waiting.append((due, message))
        self._more.set()

    async def run(self) -> None:
        """Send and read until the end."""
        for _ in range(_TRIES):
            self._waiting.extendleft(reversed(self._unanswered))
            self._unanswered.clear()
            call = self._method()
            writing = asyncio.create_task(self._write(call))
            try:
                while (answer := await call.read()) is not grpc.aio.EOF:
                    due, message = self._unanswered.popleft()
                    self._sent.take(due, message, answer)
                return
            except grpc.aio.AioRpcError as error:
                self._sent.turned_away += 1
                self._sent.failures[str(error.details())] += (
                    error.code() is not grpc.StatusCode.RESOURCE_EXHAUSTED
                )
            finally:
                writing.cancel()
                await asyncio.gather(writing, return_exceptions=True)
            await asyncio.sleep(_PATIENCE_S)
        self._sent.failures["stream broken too often"] += len(self._waiting) + len(self._unanswered)

    async def _write(self, call: Any) -> None:
        while True:
            while self._waiting:
                self._unanswered.append(self._waiting.popleft())
                await call.write(self._unanswered[-1][1])
            if self._ending:
                await call.done_writing()
                return
            self._more.clear()
            await self._more.wait()


def _fingerprint(envelope: bytes, entry_hash: bytes) -> bytes:
    return sha256(envelope + entry_hash).digest()


async def _missing(serving: Serving, acknowledged: dict[int, bytes]) -> int:
    """How many acknowledged events are not in the tree of the log's final checkpoint, where their receipts say.

    The hashes are computed from the entries themselves, and all of them together have to give the checkpoint's root.
    """
    frontier, missing = Frontier(), len(acknowledged)
    async with load.channel(serving.target) as opened:
        list_entries = opened.unary_unary(SERVICE + "ListEntries")
        while True:
            asked = pb.ListEntriesRequest(start=frontier.size).SerializeToString()
            answer = pb.ListEntriesResponse.FromString(await list_entries(asked, timeout=CALL_TIMEOUT_S))
            hashes = [leaf_hash(entry) for entry in answer.entries]
            for index, (entry, found) in enumerate(zip(answer.entries, hashes, strict=True), frontier.size):
                if index in acknowledged:
                    missing -= acknowledged[index] == _fingerprint(Entry.parse(entry).envelope, found)
            frontier = frontier.extend(hashes)
            checkpoint = open_checkpoint(answer.checkpoint.note, ORIGIN, [SIGNER.vkey])
            if frontier.size >= checkpoint.size or not hashes:
                break
    if (frontier.size, frontier.root()) != (checkpoint.size, checkpoint.root):
        say("    the entries do not give the checkpoint's root\n")
        return len(acknowledged)
    return missing


def _audit(serving: Serving, jobs: int) -> bool:
    """Whether an audit of the whole log finds nothing."""
    with tempfile.TemporaryDirectory() as state:
        done = subprocess.run(
            [SUYUAN, "regulator", "audit", serving.http, "--format", "json", "--jobs", str(jobs)],
            env=os.environ | {"SUYUAN_STATE": state, "SUYUAN_VKEY": str(SIGNER.vkey)},
            stdout=subprocess.PIPE,
            check=False,
        )
    verified = done.returncode == 0 and bool(json.loads(done.stdout)["verified"])
    say(f"    the audit: {'verified' if verified else 'NOT verified'}\n")
    return verified
