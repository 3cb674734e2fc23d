"""The witness's process: address, signals, logs."""

from __future__ import annotations

import asyncio
import logging
import signal
import socket
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import structlog
import uvicorn

from clients.new_file import file_refusal
from clients.witness.alone import alone
from clients.witness.bounds import Bounds
from clients.witness.http import WitnessApp
from clients.witness.memory import Memory
from clients.witness.protocol import bounded_protocol
from clients.witness.witness import Witness
from ledger.cosignature import Cosigner
from ledger.errors import BadInput, Reason
from ledger.witness import KnownLogs

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Settings:
    """Everything that a witness is told when it starts."""

    cosigners: Sequence[Cosigner]
    logs: KnownLogs
    database: Path
    listen: str = "127.0.0.1:7380"
    """Host and port; port 0 takes a free one."""
    tls: tuple[Path, Path] | None = None
    """Files of a certificate chain and its private key (PEM)."""
    ready_file: Path | None = None
    """Written when the witness answers: its URL, a line."""
    json_logs: bool = False
    bounds: Bounds = field(default_factory=Bounds)


def serve(settings: Settings) -> None:
    """Serve until SIGTERM or SIGINT; a second signal ends at once.

    Raises:
        BadInput: the address cannot be had, a file cannot be used, or another process serves the database
            (`INVALID_REQUEST`).
        ServiceFault: the database does not answer (`STORE_UNAVAILABLE`).
    """
    configure_logs(as_json=settings.json_logs)
    with (
        alone(settings.database),
        closing(Memory(settings.database)) as writing,
        closing(Memory(settings.database)) as reading,
    ):
        keys = [cosigner.vkey for cosigner in settings.cosigners]
        for earlier in writing.identify(keys, _clock_s()):
            # Right after a change of keys; otherwise somebody has mixed up two witnesses.
            log.warning("other_key_before", vkey=earlier, database=str(settings.database))
        witness = Witness(settings.cosigners, settings.logs, writing, _clock_s)
        with closing(WitnessApp(witness, reading, settings.bounds)) as app:
            asyncio.run(_serve(settings, app))
    log.info("stopped")


def configure_logs(*, as_json: bool) -> None:
    """Structured logs on standard error: for machines as JSON lines, for people in columns."""
    renderer: structlog.typing.Processor
    if as_json:
        renderer = structlog.processors.JSONRenderer(ensure_ascii=False)
    else:
        renderer = structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty())
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            renderer,
        ],
        logger_factory=structlog.PrintLoggerFactory(_LastingStream()),  # type: ignore[arg-type]  # it only writes and flushes
        cache_logger_on_first_use=True,
    )
    logging.basicConfig(level=logging.WARNING, handlers=[_Forwarding()], force=True)


class _LastingStream:
    """Standard error. A line that cannot be written is lost: a full disk or a closed pipe ends nobody's work."""

    def write(self, text: str) -> None:
        with suppress(OSError, ValueError):
            sys.stderr.write(text)

    def flush(self) -> None:
        with suppress(OSError, ValueError):
            sys.stderr.flush()


class _Forwarding(logging.Handler):
    """Has what uvicorn and asyncio say written like everything else."""

    def emit(self, record: logging.LogRecord) -> None:
        tell = log.error if record.levelno >= logging.ERROR else log.warning
        tell("library", logger=record.name, message=record.getMessage(), exc_info=record.exc_info)


class _Server(uvicorn.Server):
    """uvicorn's server, whose signals are handled here and which tells when it answers."""

    def __init__(self, config: uvicorn.Config, settings: Settings, url: str) -> None:
        super().__init__(config)
        self._settings = settings
        self._url = url

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave the signals alone: uvicorn would end the process by the signal, after all has ended well."""
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Begin to answer, and say so."""
        await super().startup(sockets)
        log.info(
            "serving", url=self._url, logs=list(self._settings.logs), vkeys=len(self._settings.cosigners)
        )


async def _serve(settings: Settings, app: WitnessApp) -> None:
    bounds = settings.bounds
    certificate, key = settings.tls or (None, None)
    config = uvicorn.Config(
        app.asgi(),
        http=bounded_protocol(bounds),
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        proxy_headers=False,
        server_header=False,
        limit_concurrency=bounds.connections,
        timeout_keep_alive=bounds.keep_alive_s,
        timeout_graceful_shutdown=bounds.stop_s,
        ssl_certfile=certificate,
        ssl_keyfile=key,
    )
    try:
        config.load()
    except OSError as error:  # ssl.SSLError is one
        raise BadInput(
            Reason.INVALID_REQUEST,
            "TLS files",
            given=error.strerror or str(error),
            expected="a PEM certificate chain and its key",
        ) from error
    listening = _listen(settings.listen, bounds.connections)
    host, port = settings.listen.rpartition(":")[0], listening.getsockname()[1]
    url = f"{'http' if settings.tls is None else 'https'}://{host}:{port}"
    server = _Server(config, settings, url)
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, _on_signal, server)
    with listening, _ready(settings.ready_file, url):
        await server.serve([listening])


def _listen(address: str, backlog: int) -> socket.socket:
    host, _, port = address.rpartition(":")
    expected = "HOST:PORT that is free to listen on"
    if not host or not port.isascii() or not port.isdigit() or int(port) > 65_535:
        raise BadInput(Reason.INVALID_REQUEST, "address", given=address, expected=expected)
    bare = host.removeprefix("[").removesuffix("]")
    family = socket.AF_INET6 if ":" in bare else socket.AF_INET
    # TCP is named: only then does asyncio send small answers at once (TCP_NODELAY), and not 40 ms later.
    listening = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind((bare, int(port)))
        listening.listen(backlog)
    except OSError as error:
        listening.close()
        given = f"{address} ({error.strerror or error})"
        raise BadInput(Reason.INVALID_REQUEST, "address", given=given, expected=expected) from error
    return listening


@contextmanager
def _ready(path: Path | None, url: str) -> Iterator[None]:
    """Tell in a file where the witness is, as long as it is there."""
    if path is not None:
        draft = path.with_name(f".{path.name}.draft")
        try:
            draft.write_text(f"{url}\n", encoding="utf-8")
            draft.replace(path)
        except OSError as error:
            raise file_refusal(path, error.strerror, "a file that can be written") from error
    try:
        yield
    finally:
        if path is not None:
            path.unlink(missing_ok=True)


def _on_signal(server: uvicorn.Server) -> None:
    if server.should_exit:
        # What was cosigned is on the disk, so ending here breaks no promise.
        raise SystemExit(130)
    server.should_exit = True
    log.info("stopping")


def _clock_s() -> int:
    return int(time.time())
