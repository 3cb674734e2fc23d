"""Metrics of a service for Prometheus; docs/operations.md lists them.

What happens is counted as it happens, once for each request and each batch. Where the log stands and what waits is
looked up when somebody asks (`server.telemetry.standing`). Each service has a registry of its own.
"""

from __future__ import annotations

from collections import Counter as Tally
from collections.abc import Iterable, Mapping, Sequence

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.process_collector import ProcessCollector

from ledger.errors import LedgerError, Reason
from ledger.sequence import Resent, Sequenced, Submission
from server.observer import Batch, Observer
from server.writer import Committed

_SECONDS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)
_EVENTS = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1_000, 2_000)

_RECORDED, _AGAIN, _REFUSED = "recorded", "already_recorded", "refused"


class Metrics(Observer):
    """Counts what a service does."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        self._appends = self._counter(
            "appends", "Events by what became of them; the reason is that of a refusal.", "verdict", "reason"
        )
        self._batch_events = self._histogram("batch_events", "Events that one batch took.", _EVENTS)
        self._commit_seconds = self._histogram("commit_seconds", "Time that a batch took to be durable.")
        self._batch_failures = self._counter("batch_failures", "Batches that were not written.", "reason")
        self._verify_seconds = self._histogram(
            "verify_seconds", "Time that a request's envelopes took to be parsed and verified."
        )
        self._calls = self._counter("grpc_calls", "Calls that have ended.", "method", "code")
        self._call_seconds = self._histogram(
            "grpc_call_seconds", "Time that a call took.", _SECONDS, "method"
        )
        self._calls_in_flight = Gauge(
            "suyuan_grpc_calls_in_flight",
            "Calls that are going on, streams and watchers too.",
            ["method"],
            registry=self.registry,
        )
        self._recorded = self._appends.labels(_RECORDED, "")
        self._again = self._appends.labels(_AGAIN, "")

    def admitted(self, outcomes: Sequence[Submission | LedgerError], seconds: float) -> None:
        """Count what was refused before it came to the queue."""
        self._verify_seconds.observe(seconds)
        self._refused(one.reason for one in outcomes if isinstance(one, LedgerError))

    def written(self, batch: Batch) -> None:
        """Count what the batch brought."""
        outcome = batch.outcome
        if not isinstance(outcome, Committed):
            reason = outcome.reason if isinstance(outcome, LedgerError) else "INTERNAL"
            self._batch_failures.labels(reason).inc()
            return
        self._batch_events.observe(batch.events)
        self._commit_seconds.observe(batch.seconds)
        verdicts, recorded = outcome.batch.verdicts, len(outcome.batch.entries)
        self._recorded.inc(recorded)
        if recorded < len(verdicts):
            self._again.inc(sum(isinstance(verdict, Resent) for verdict in verdicts))
            self._refused(
                verdict.reason for verdict in verdicts if not isinstance(verdict, Sequenced | Resent)
            )

    def call_began(self, method: str, _: Mapping[str, str]) -> None:
        """Count a call that begins."""
        self._calls_in_flight.labels(method).inc()

    def call_ended(self, _: object, method: str, code: str, seconds: float) -> None:
        """Count a call that has ended."""
        self._calls_in_flight.labels(method).dec()
        self._calls.labels(method, code).inc()
        self._call_seconds.labels(method).observe(seconds)

    def _refused(self, reasons: Iterable[Reason]) -> None:
        for reason, events in Tally(reasons).items():
            self._appends.labels(_REFUSED, reason).inc(events)

    def _counter(self, name: str, what: str, *labels: str) -> Counter:
        return Counter(f"suyuan_{name}", what, labels, registry=self.registry)

    def _histogram(
        self, name: str, what: str, buckets: Sequence[float] = _SECONDS, *labels: str
    ) -> Histogram:
        return Histogram(f"suyuan_{name}", what, labels, buckets=buckets, registry=self.registry)
