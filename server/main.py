"""The process: event loop, signals, logs."""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import signal
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

import structlog

try:
    import uvloop
except ImportError:  # not on this platform: asyncio's own loop serves
    uvloop = None  # type: ignore[assignment]

from ledger.errors import BadInput, Reason
from ledger.note import NoteSigner, VerifierKey
from server.config import HttpSettings, Settings
from server.health import Health
from server.service import Service
from server.store.store import Store
from server.telemetry.telemetry import Telemetry

if TYPE_CHECKING:
    from server.http.service import HttpService


def configure_logs(*, as_json: bool, debug: bool = False) -> None:
    """Structured logs on standard error: for machines as JSON lines, for people in columns."""
    renderer: structlog.typing.Processor
    if as_json:
        renderer = structlog.processors.JSONRenderer(ensure_ascii=False)
    else:
        renderer = structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty())
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.DEBUG if debug else logging.INFO),
        logger_factory=structlog.PrintLoggerFactory(_LastingStream()),  # type: ignore[arg-type]  # it only writes and flushes
        cache_logger_on_first_use=True,
    )


class _LastingStream:
    """Standard error. A line that cannot be written is lost: a full disk or a closed pipe ends nobody's work."""

    def write(self, text: str) -> None:
        with suppress(OSError, ValueError):
            sys.stderr.write(text)

    def flush(self) -> None:
        with suppress(OSError, ValueError):
            sys.stderr.flush()


_TURN_S = 0.0005
"""How long a thread keeps the interpreter to itself while others want it. Of the threads that verify signatures each
wants it for a moment only, between two checks without it; at Python's own 5 ms they would mostly wait."""

_GARBAGE = (50_000, 20, 50)
"""How seldom cycles of garbage are looked for: nearly everything is freed as soon as it is no longer referred to, and
looking at all that the caches keep took a sixth of the writer's time."""


def serve(
    settings: Settings, store: Store, signers: Sequence[NoteSigner], http: HttpSettings | None = None
) -> None:
    """Serve until SIGTERM or SIGINT; a second signal ends the process at once, with status 143 or 130.

    With `http`, the HTTP read side is served too.
    """
    sys.setswitchinterval(_TURN_S)
    gc.set_threshold(*_GARBAGE)
    gc.freeze()  # what is loaded by now stays
    run = asyncio.run if uvloop is None else uvloop.run
    run(_serve(settings, store, signers, http))


def serve_http(
    settings: HttpSettings, store: Store, vkeys: Sequence[VerifierKey], ready_file: Path | None
) -> None:
    """Serve the HTTP read side alone, as `serve` does."""
    run = asyncio.run if uvloop is None else uvloop.run
    run(_serve_http(settings, store, vkeys, ready_file))


async def _serve(
    settings: Settings, store: Store, signers: Sequence[NoteSigner], http_settings: HttpSettings | None
) -> None:
    stop = _stop_signal()
    service = Service(settings, store, signers)
    http = (
        None if http_settings is None else _http_service(http_settings, store, [one.vkey for one in signers])
    )
    try:
        await service.start()
        addresses = [service.address]
        if http is not None:
            await http.start()
            addresses.append(http.url)
        if service.telemetry.url is not None:
            addresses.append(service.telemetry.url)
        with _ready(settings.ready_file, *addresses):
            await stop.wait()
    finally:
        if http is not None:
            await http.stop()
        await service.stop()
        store.close()


async def _serve_http(
    settings: HttpSettings, store: Store, vkeys: Sequence[VerifierKey], ready_file: Path | None
) -> None:
    stop = _stop_signal()
    http = _http_service(settings, store, vkeys)
    telemetry, health = Telemetry(settings.metrics_listen), Health(store)
    try:
        await http.start()
        await telemetry.start(health, store)
        health.started()
        with _ready(ready_file, *[url for url in (http.url, telemetry.url) if url is not None]):
            await stop.wait()
    finally:
        health.stopping()
        await http.stop()
        await telemetry.stop()
        health.close()
        store.close()


def _http_service(settings: HttpSettings, store: Store, vkeys: Sequence[VerifierKey]) -> HttpService:
    from server.http.service import HttpService  # noqa: PLC0415 - takes long to load, and most commands need none

    return HttpService(settings, store, vkeys)


def _stop_signal() -> asyncio.Event:
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, _on_signal, number, stop)
    return stop


@contextmanager
def _ready(path: Path | None, *addresses: str) -> Iterator[None]:
    """Tell in a file where the service is, as long as it is there.

    Raises:
        BadInput: the file cannot be written.
    """
    if path is not None:
        draft = path.with_name(f".{path.name}.draft")
        try:
            draft.write_text("".join(f"{address}\n" for address in addresses), encoding="utf-8")
            draft.replace(path)
        except OSError as error:
            raise BadInput(
                Reason.INVALID_REQUEST,
                f"ready file {path}",
                given=error.strerror or "an error",
                expected="a file that can be written",
            ) from error
    try:
        yield
    finally:
        if path is not None:
            path.unlink(missing_ok=True)


def _on_signal(number: signal.Signals, stop: asyncio.Event) -> None:
    if stop.is_set():
        # What was acknowledged is durable, so ending here loses nothing that anybody was promised. An exception would
        # have to find its way through an event loop that is itself about to end.
        os._exit(128 + number)
    stop.set()
