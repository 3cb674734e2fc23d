"""What operators' own programs ask a process: `/metrics`, `/healthz`, `/readyz`, at an address of its own.

It tells how much goes on and with what trouble, and so is not for the public. It answers from the service's own event
loop: one that does not turn answers nothing, and whoever probes it learns as much.
"""

from __future__ import annotations

import asyncio
import json
from concurrent.futures import ThreadPoolExecutor

import structlog
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from server.health import Health
from server.http.listener import Listener

SCRAPE_S = 10.0
"""How long metrics may take to be looked up; a database that hangs must not hold up those who ask."""

CONNECTIONS = 50

log = structlog.get_logger(__name__)


class TelemetryListener:
    """The three URLs, served."""

    def __init__(self, listen: str, registry: CollectorRegistry, health: Health) -> None:
        self._registry = registry
        self._health = health
        self._looking = ThreadPoolExecutor(1, thread_name_prefix="metrics")
        self._look: asyncio.Future[bytes] | None = None
        app = Starlette(
            routes=[
                Route("/metrics", self._metrics),
                Route("/healthz", self._healthz),
                Route("/readyz", self._readyz),
            ]
        )
        app.router.redirect_slashes = False
        self._listener = Listener(app, listen, connections=CONNECTIONS, stop_seconds=2)
        self.url = ""
        """Where it is, once started."""

    async def start(self) -> None:
        """Begin to answer.

        Raises:
            BadInput: `INVALID_REQUEST` if the address cannot be had.
        """
        self.url = await self._listener.start()
        log.info("serving_metrics", url=self.url)

    async def stop(self) -> None:
        """Answer no more."""
        await self._listener.stop()
        self._looking.shutdown(wait=False, cancel_futures=True)

    async def _metrics(self, _: Request) -> Response:
        if self._look is None or self._look.done():
            # Whoever asks while somebody else's look goes on gets the same.
            self._look = asyncio.get_running_loop().run_in_executor(
                self._looking, generate_latest, self._registry
            )
        try:
            body = await asyncio.wait_for(asyncio.shield(self._look), SCRAPE_S)
        except TimeoutError:
            return _json(503, {"lacks": [f"the database has not answered in {SCRAPE_S:g} s"]})
        return Response(
            body, media_type=None, headers={**_NOT_KEPT, "Content-Type": CONTENT_TYPE_PLAIN_0_0_4}
        )

    async def _healthz(self, _: Request) -> Response:
        alive = self._health.alive
        return _json(200 if alive else 503, {"alive": alive})

    async def _readyz(self, _: Request) -> Response:
        condition = await self._health.condition()
        return _json(200 if condition.ready else 503, condition.as_json())


_NOT_KEPT = {"Cache-Control": "no-store"}


def _json(status: int, told: dict[str, object]) -> Response:
    body = json.dumps(told, ensure_ascii=False) + "\n"
    return Response(body, status, _NOT_KEPT, media_type="application/json")
