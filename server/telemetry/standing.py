"""Where the log stands, looked up whenever metrics are asked for: its size, its witnesses, what waits."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from prometheus_client import Metric
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.registry import Collector
from sqlalchemy import Connection

from ledger.cosignature import Cosignature
from ledger.entry import Entry
from ledger.errors import LedgerError
from ledger.policy import Policy
from server.clock import WatchedClock
from server.published import read_published
from server.sequencer import Sequencer
from server.store import queries
from server.store.store import Store
from server.witnessing.pusher import Pusher


@dataclass(frozen=True, slots=True)
class Standing:
    """The log as its database shows it. Times are seconds since 1970-01-01T00:00:00Z."""

    size: int
    recorded_at_s: float
    """When its last entry was recorded."""
    witnessed_size: int | None = None
    """Of the newest checkpoint that a quorum has cosigned."""
    witnessed_recorded_at_s: float = 0.0
    """When the last entry of that was recorded."""
    cosigned_at_s: float | None = None
    """The newest of its cosignatures."""


def standing(store: Store, policy: Policy | None) -> Standing | None:
    """Look; None where there is no log."""
    with store.snapshot() as connection:
        head = queries.head(connection)
        if head is None:
            return None
        found = read_published(connection)
        recorded_at_s = head.recorded_at_us / 1_000_000
        if found is None or not found.has_quorum:
            return Standing(head.size, recorded_at_s)
        size = found.checkpoint.size
        return Standing(
            head.size,
            recorded_at_s,
            size,
            recorded_at_s if size == head.size else _recorded_at_s(connection, size - 1),
            _newest(policy.cosignatures(found.note)) if policy is not None else None,
        )


class StandingCollector(Collector):
    """Looks whenever it is asked, in the thread that asks. What the database does not tell is left out."""

    def __init__(
        self,
        store: Store,
        *,
        policy: Policy | None = None,
        sequencer: Sequencer | None = None,
        pusher: Pusher | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._store = store
        self._policy = policy
        self._sequencer = sequencer
        self._pusher = pusher
        self._clock = clock

    def describe(self) -> Iterable[Metric]:
        """Nothing: the names are known once somebody asks, and nobody needs the database for a registry."""
        return []

    def collect(self) -> Iterable[Metric]:
        """All of it."""
        try:
            found = standing(self._store, self._policy)
            answers = 1
        except LedgerError:
            found, answers = None, 0
        yield _gauge("database_up", "Whether the database answers.", answers)
        if found is not None:
            yield from self._of_log(found)
        if self._sequencer is not None:
            yield from _of_queue(self._sequencer)
            yield from _of_clock(self._sequencer.clock)
        if self._pusher is not None:
            yield from _of_witnesses(self._pusher)

    def _of_log(self, found: Standing) -> Iterable[Metric]:
        now_s = self._clock()
        yield _gauge("log_entries", "Entries of the log.", found.size)
        yield _gauge(
            "checkpoint_age_seconds", "Since the newest entry was recorded.", now_s - found.recorded_at_s
        )
        if found.witnessed_size is None:
            return
        yield _gauge(
            "witnessed_entries", "Entries below the newest checkpoint with a quorum.", found.witnessed_size
        )
        yield _gauge(
            "witness_lag_entries",
            "Entries that the newest checkpoint with a quorum does not cover.",
            found.size - found.witnessed_size,
        )
        yield _gauge(
            "witness_lag_seconds",
            "From the last entry below that checkpoint to the last entry of the log.",
            found.recorded_at_s - found.witnessed_recorded_at_s,
        )
        if found.cosigned_at_s is not None:
            yield _gauge(
                "witnessed_checkpoint_age_seconds",
                "Since that checkpoint was cosigned, by the witnesses' clocks.",
                now_s - found.cosigned_at_s,
            )


def _of_queue(sequencer: Sequencer) -> Iterable[Metric]:
    events, size = sequencer.queued
    yield _gauge("queue_events", "Events that wait to be written.", events)
    yield _gauge("queue_bytes", "Their envelopes' bytes.", size)


def _of_clock(clock: WatchedClock) -> Iterable[Metric]:
    counter = CounterMetricFamily(
        "suyuan_clock_back", "Times that the clock went back by more than a second."
    )
    counter.add_metric([], clock.jumps)
    yield counter
    yield _gauge(
        "clock_behind_seconds",
        "How far the clock is behind the last entry's time.",
        clock.behind_us / 1_000_000,
    )


def _of_witnesses(pusher: Pusher) -> Iterable[Metric]:
    failures = GaugeMetricFamily(
        "suyuan_witness_failures", "Times in a row that a witness has not cosigned.", labels=["witness"]
    )
    success = GaugeMetricFamily(
        "suyuan_witness_last_success_timestamp_seconds",
        "When a witness last cosigned for this process, since 1970-01-01T00:00:00Z.",
        labels=["witness"],
    )
    for endpoint, turn in pusher.turns():
        failures.add_metric([endpoint.label], turn.failures)
        if turn.cosigned_at_s is not None:
            success.add_metric([endpoint.label], turn.cosigned_at_s)
    yield failures
    yield success


def _gauge(name: str, what: str, value: float) -> Metric:
    return GaugeMetricFamily(f"suyuan_{name}", what, value)


def _recorded_at_s(connection: Connection, index: int) -> float:
    [entry] = queries.entries_at(connection, [index])
    return Entry.parse(entry.data).recorded_at_us / 1_000_000


def _newest(cosignatures: Sequence[Cosignature]) -> float | None:
    return max((one.time_s for one in cosignatures), default=None)
