"""The telemetry of one service, as far as it is wanted: what is not is not even imported."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import grpc

from ledger.policy import Policy
from server.health import Health
from server.observer import Observer, Observers
from server.sequencer import Sequencer
from server.store.store import Store
from server.witnessing.pusher import Pusher

if TYPE_CHECKING:
    from server.telemetry.listener import TelemetryListener
    from server.telemetry.metrics import Metrics
    from server.telemetry.tracing import Tracing


class Telemetry:
    """Metrics if there is an address to serve them at, traces if there is a collector to send them to."""

    def __init__(self, metrics_listen: str | None = None, otlp_endpoint: str | None = None) -> None:
        """Nothing is served yet.

        Raises:
            BadInput: as `Tracing` says.
        """
        self._listen = metrics_listen
        self._metrics: Metrics | None = None
        self._tracing: Tracing | None = None
        self._listener: TelemetryListener | None = None
        if metrics_listen is not None:
            from server.telemetry.metrics import Metrics  # noqa: PLC0415 - nobody else needs prometheus_client

            self._metrics = Metrics()
        if otlp_endpoint is not None:
            from server.telemetry.tracing import Tracing  # noqa: PLC0415 - likewise opentelemetry

            self._tracing = Tracing(otlp_endpoint)
        on = [one for one in (self._metrics, self._tracing) if one is not None]
        self.observer: Observer = Observers(on) if on else Observer()
        """Hears of requests and batches."""
        self.interceptors: list[grpc.aio.ServerInterceptor] = []
        """Those of the gRPC server that have to be its outermost."""
        if on:
            from server.telemetry.calls import CallInterceptor  # noqa: PLC0415 - not without a listener

            self.interceptors.append(CallInterceptor(on))

    @property
    def url(self) -> str | None:
        """Where the metrics are, once they are served."""
        return None if self._listener is None else self._listener.url

    def threads(self, most: int, name: str) -> ThreadPoolExecutor:
        """Worker threads; what they do is part of the trace of whoever has it done."""
        if self._tracing is None:
            return ThreadPoolExecutor(most, thread_name_prefix=name)
        from server.telemetry.tracing import TracedExecutor  # noqa: PLC0415 - it is imported by now

        return TracedExecutor(most, thread_name_prefix=name)

    def watch(self, store: Store) -> None:
        """Have the transactions of a database in the traces."""
        if self._tracing is not None:
            self._tracing.watch(store.engine)

    async def start(
        self,
        health: Health,
        store: Store,
        *,
        policy: Policy | None = None,
        sequencer: Sequencer | None = None,
        pusher: Pusher | None = None,
    ) -> None:
        """Serve the metrics, and whether the service is well.

        Raises:
            BadInput: `INVALID_REQUEST` if the address cannot be had.
        """
        if self._metrics is None or self._listen is None:
            return
        from server.telemetry.listener import TelemetryListener  # noqa: PLC0415 - takes long to load
        from server.telemetry.standing import StandingCollector  # noqa: PLC0415 - likewise

        registry = self._metrics.registry
        registry.register(StandingCollector(store, policy=policy, sequencer=sequencer, pusher=pusher))
        self._listener = TelemetryListener(self._listen, registry, health)
        await self._listener.start()

    async def stop(self) -> None:
        """Serve no more; to be called before the parts that it looks at end."""
        if self._listener is not None:
            await self._listener.stop()

    def flush(self) -> None:
        """Send the last spans; to be called when all else has ended."""
        if self._tracing is not None:
            self._tracing.stop()
