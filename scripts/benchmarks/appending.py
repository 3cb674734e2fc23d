"""How many events a second the service records, each signed by its own key and durable before it is answered."""

from __future__ import annotations

from collections.abc import Iterator

from benchmarks import load
from benchmarks.load import Timed, receipts, requests
from benchmarks.report import Figure, half_and_most_ms
from benchmarks.serving import Serving

BATCH = 500
"""Events in a message of a platform or a bulk sender."""

BATCHES_IN_FLIGHT = 4

STREAMED = 100
"""Events in a message of a hub's stream."""

STREAMED_IN_FLIGHT = 20

SINGLES_IN_FLIGHT = (1, 64, 256)


def batched(serving: Serving, envelopes: Iterator[bytes], events: int) -> Figure:
    """Messages of 500 events."""
    timed = load.run(
        load.unary(serving.target, "AppendEvents", requests(envelopes, events, BATCH), BATCHES_IN_FLIGHT)
    )
    return _line("append_batched", timed, BATCHES_IN_FLIGHT, serving)


def single(serving: Serving, envelopes: Iterator[bytes], events: int, in_flight: int) -> Figure:
    """Messages of one event, so many at once."""
    timed = load.run(load.unary(serving.target, "AppendEvents", requests(envelopes, events, 1), in_flight))
    return _line("append_single", timed, in_flight, serving)


def streamed(serving: Serving, envelopes: Iterator[bytes], events: int) -> Figure:
    """One stream of messages."""
    messages = requests(envelopes, events, STREAMED)
    timed = load.run(load.stream(serving.target, messages, STREAMED_IN_FLIGHT))
    return _line("append_stream", timed, STREAMED_IN_FLIGHT, serving)


def _line(name: str, timed: Timed, in_flight: int, serving: Serving) -> Figure:
    recorded = sum(1 for _ in receipts(timed.answers))
    p50_ms, p99_ms = half_and_most_ms(timed.latencies_s)
    return Figure(
        name,
        in_flight=in_flight,
        value=round(recorded / timed.seconds, 1),
        unit="events/s",
        p50_ms=p50_ms,
        p99_ms=p99_ms,
        server_rss_mb=serving.rss_mb(),
    )
