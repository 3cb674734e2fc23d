"""Traces of calls and batches, sent by OTLP to a collector.

    call (of whoever sent a traceparent)          batch (linked to the calls that it answers)
      admission: parsing, signatures                database transaction
      queue: waiting for the batch
      database transaction (of reads)

A batch answers many calls, so it is a trace of its own with a link to each. Spans tell counts, names of methods and
codes; never what an event says, who signed it, or what was asked for. The SDK's own environment variables hold (OTEL_…):
sampling, headers, limits, resource attributes.
"""

from __future__ import annotations

import contextvars
import logging
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, ParamSpec, TypeVar
from urllib.parse import urlsplit

import grpc
import structlog
from opentelemetry import context as contexts
from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import OTELResourceDetector, Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import Link, Span, SpanKind, Status, StatusCode
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator
from sqlalchemy import Connection, Engine, event

from ledger.errors import BadInput, LedgerError, Reason
from ledger.sequence import Submission
from server.observer import Batch, Observer
from server.writer import Committed

P = ParamSpec("P")
T = TypeVar("T")

MAX_LINKS = 128
"""Calls that a batch is linked to; those beyond are only counted."""

STOP_S = 3.0
"""How long the last spans may take to leave when the service stops."""

_QUIET_S = 60.0
"""Between two complaints of the exporter that are logged."""

_SPAN = "suyuan_span"
_OURS = "suyuan.v1."
_FAULTS = frozenset({"UNKNOWN", "DEADLINE_EXCEEDED", "UNIMPLEMENTED", "INTERNAL", "UNAVAILABLE", "DATA_LOSS"})
"""Codes that are the service's own failure (OpenTelemetry's conventions for gRPC); others are the caller's."""

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class _Queued:
    """A request in the queue."""

    context: Context
    since_ns: int


class Tracing(Observer):
    """Makes spans of what it hears, and sends them."""

    def __init__(self, endpoint: str) -> None:
        """Begin to send.

        Args:
            endpoint: `http://HOST:PORT` of a collector that takes OTLP by gRPC; `https://` for TLS.

        Raises:
            BadInput: `INVALID_REQUEST` if it is none.
        """
        _require_endpoint(endpoint)
        _forward_logs()
        # What the environment says of this process holds against what we say.
        resource = Resource.create().merge(Resource({"service.name": "suyuan"}))
        self._provider = TracerProvider(
            resource=resource.merge(OTELResourceDetector().detect()), shutdown_on_exit=False
        )
        self._exporter = OTLPSpanExporter(endpoint=endpoint)
        self._provider.add_span_processor(BatchSpanProcessor(self._exporter))
        self._tracer = self._provider.get_tracer("suyuan")
        self._propagator = TraceContextTextMapPropagator()

    def stop(self) -> None:
        """Send what is left, as far as the collector takes it in time."""
        # A collector that is away is asked again and again; without an exporter that ends.
        timer = threading.Timer(STOP_S, self._exporter.shutdown)
        timer.daemon = True
        timer.start()
        self._provider.shutdown()
        timer.cancel()

    def call_began(self, method: str, metadata: Mapping[str, str]) -> object:
        """Begin the span of a call, as part of the caller's trace if it sent one."""
        if not method.startswith(_OURS):
            return None
        service, _, name = method.partition("/")
        span = self._tracer.start_span(
            method,
            context=self._propagator.extract(metadata, Context()),
            kind=SpanKind.SERVER,
            attributes={"rpc.system": "grpc", "rpc.service": service, "rpc.method": name},
        )
        return span, contexts.attach(trace.set_span_in_context(span, Context()))

    def call_ended(self, began: object, _: str, code: str, __: float) -> None:
        """End it."""
        if not isinstance(began, tuple):
            return
        span, token = began
        span.set_attribute("rpc.grpc.status_code", grpc.StatusCode[code].value[0])
        if code in _FAULTS:
            span.set_status(Status(StatusCode.ERROR))
        span.end()
        contexts.detach(token)

    def admitted(self, outcomes: Sequence[Submission | LedgerError], seconds: float) -> None:
        """Note how long a request's envelopes took."""
        now_ns = time.time_ns()
        span = self._tracer.start_span("admission", start_time=now_ns - int(seconds * 1e9))
        span.set_attribute("suyuan.events", len(outcomes))
        span.set_attribute("suyuan.refused", sum(isinstance(one, LedgerError) for one in outcomes))
        span.end(now_ns)

    def queued(self) -> object:
        """Remember whose call waits, and since when."""
        return _Queued(contexts.get_current(), time.time_ns())

    @contextmanager
    def writing(self, requests: Sequence[object]) -> Iterator[None]:
        """A span for the batch, and one in each call for the time that it waited."""
        waited = [request for request in requests if isinstance(request, _Queued)]
        for request in waited:
            self._tracer.start_span("queue", context=request.context, start_time=request.since_ns).end()
        calls = [trace.get_current_span(request.context).get_span_context() for request in waited]
        links = [Link(call) for call in calls if call.is_valid][:MAX_LINKS]
        with self._tracer.start_as_current_span(
            "batch", context=Context(), links=links, attributes={"suyuan.requests": len(requests)}
        ):
            yield

    def written(self, batch: Batch) -> None:
        """Say of the batch's span what came of it."""
        span = trace.get_current_span()
        span.set_attribute("suyuan.events", batch.events)
        outcome = batch.outcome
        if isinstance(outcome, Committed):
            span.set_attribute("suyuan.recorded", len(outcome.batch.entries))
        else:
            reason = outcome.reason if isinstance(outcome, LedgerError) else "INTERNAL"
            span.set_attribute("suyuan.reason", str(reason))
            span.set_status(Status(StatusCode.ERROR))

    def watch(self, engine: Engine) -> None:
        """Have the transactions of a database in the traces that they are part of."""

        def begin(connection: Connection) -> None:
            if trace.get_current_span().is_recording():
                connection.info[_SPAN] = self._tracer.start_span(
                    "database transaction",
                    kind=SpanKind.CLIENT,
                    attributes={"db.system.name": connection.dialect.name},
                )

        def checkin(_: object, record: Any) -> None:
            # After the commit; SQLAlchemy's own event of that name comes before it.
            span: Span | None = record.info.pop(_SPAN, None)
            if span is not None:
                span.end()

        event.listen(engine, "begin", begin)
        event.listen(engine, "checkin", checkin)


class TracedExecutor(ThreadPoolExecutor):
    """Threads whose work is part of the trace of whoever gave it to them."""

    def submit(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        """Have something done."""
        context = contextvars.copy_context()
        return super().submit(lambda: context.run(fn, *args, **kwargs))


class _Forward(logging.Handler):
    """What OpenTelemetry itself complains of, in the service's log: that a collector is away is said now and then."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self._quiet_until = 0.0

    def emit(self, record: logging.LogRecord) -> None:
        """Log a record."""
        now = time.monotonic()
        if now >= self._quiet_until:
            self._quiet_until = now + _QUIET_S
            log.warning("tracing", message=record.getMessage())


def _forward_logs() -> None:
    logger = logging.getLogger("opentelemetry")
    if not any(isinstance(handler, _Forward) for handler in logger.handlers):
        logger.addHandler(_Forward())
        logger.propagate = False


def _require_endpoint(endpoint: str) -> None:
    try:
        url = urlsplit(endpoint)
        usable = url.scheme in {"http", "https"} and bool(url.hostname) and (url.port or 1) > 0
        # Names and passwords belong into OTEL_EXPORTER_OTLP_HEADERS.
        usable = usable and url.username is None and endpoint.isprintable()
    except ValueError:
        usable = False
    if not usable:
        raise BadInput(
            Reason.INVALID_REQUEST,
            "OTLP endpoint",
            given="something else",
            expected="http://HOST:PORT or https://HOST:PORT, without a user",
        )
