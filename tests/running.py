"""Real services for tests: processes of their own on free ports of 127.0.0.1."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import grpc
import preloaded
from world import ORIGIN, City

from ledger.envelope import Envelope
from suyuan.v1 import ledger_service_pb2 as pb
from suyuan.v1.ledger_service_pb2_grpc import LedgerServiceStub
from suyuan.v1.registry_service_pb2_grpc import RegistryServiceStub

_STARTUP_S = 30


def operator(*args: object, check: bool = True) -> subprocess.CompletedProcess[str]:
    """Run an operator's command to its end."""
    done = preloaded.run("-m", "server", *args)
    assert done.returncode == 0 or not check, done.stderr
    return done


@dataclass
class RunningService:
    """A service process, and a city whose founding it has recorded."""

    folder: Path
    city: City
    target: str = ""
    http: str = ""
    """URL of the HTTP read side, where it was asked for with `--http`."""
    vkey: str = ""
    process: preloaded.Process | subprocess.Popen[str] | None = None
    flags: tuple[str, ...] = ()
    under: tuple[str, ...] = ()
    """What runs the process: a command with its arguments that becomes what is given to it, such as setpriv."""
    channel: grpc.Channel | None = field(default=None, repr=False)
    founding: list[Envelope] = field(default_factory=list, repr=False)
    url: str = ""
    """Of the database, where it is no SQLite file."""

    @property
    def database(self) -> Path:
        """The SQLite file."""
        return self.folder / "log.db"

    @property
    def where(self) -> str:
        """The database, as commands are told."""
        return self.url or str(self.database)

    @property
    def log_key(self) -> Path:
        """The log's signing key."""
        return self.folder / "log.pem"

    @property
    def ledger(self) -> LedgerServiceStub:
        """A plain stub."""
        return LedgerServiceStub(self._channel())

    @property
    def registry(self) -> RegistryServiceStub:
        """A plain stub."""
        return RegistryServiceStub(self._channel())

    @property
    def resident(self) -> int:
        """Bytes of memory that the process holds; nothing where that cannot be asked."""
        status = Path(f"/proc/{self.process.pid}/status")
        lines = status.read_text().splitlines() if status.exists() else []
        return sum(int(line.split()[1]) for line in lines if line.startswith("VmRSS")) * 1024

    def start(self) -> None:
        """Start the process and wait until it answers."""
        ready = self.folder / "ready"
        ready.unlink(missing_ok=True)
        with (self.folder / "service.log").open("ab") as log:
            words = (
                "-m", "server", "serve", "--database", self.where, "--log-key", self.log_key,
                "--listen", "127.0.0.1:0", "--ready-file", ready, "--json-logs", *self.flags,
            )  # fmt: skip
            if self.under:
                self.process = subprocess.Popen(
                    [*self.under, sys.executable, *map(str, words)], stdout=log, stderr=log, text=True
                )
            else:
                self.process = preloaded.start(*words, log=log)
        deadline = time.monotonic() + _STARTUP_S
        while not (ready.exists() and ready.read_text().endswith("\n")):
            if self.process.poll() is not None or time.monotonic() > deadline:
                raise AssertionError(f"the service did not start:\n{self.log()}")
            time.sleep(0.02)
        self.target, *urls = ready.read_text().split()
        self.http = urls[0] if urls else ""

    def stop(self, number: int = signal.SIGTERM) -> int:
        """Signal the process and wait for its end; returns its exit status."""
        if self.channel is not None:
            self.channel.close()
            self.channel = None
        if self.process is None:
            return 0
        if self.process.poll() is None:
            self.process.send_signal(number)
        status = self.process.wait(30)
        self.process = None
        return status

    def log(self) -> str:
        """What the process has logged."""
        return (self.folder / "service.log").read_text()

    def append(self, *envelopes: Envelope | bytes) -> pb.AppendEventsResponse:
        """Append in one request."""
        raws = [one.raw if isinstance(one, Envelope) else one for one in envelopes]
        return self.ledger.AppendEvents(pb.AppendEventsRequest(envelopes=raws), timeout=30)

    def _channel(self) -> grpc.Channel:
        if self.channel is None:
            self.channel = grpc.insecure_channel(self.target)
        return self.channel


def new_log(folder: Path, origin: str = ORIGIN, url: str = "") -> RunningService:
    """A log with its genesis, not yet served; in an SQLite file, or in the database that the URL names."""
    folder.mkdir(parents=True, exist_ok=True)
    service = RunningService(folder, City(), url=url)
    genesis = folder / "genesis.bin"
    founding = service.city.founding() if origin == ORIGIN else [service.city.genesis(origin)]
    genesis.write_bytes(founding[0].raw)
    operator("init", "--genesis", genesis, "--database", service.where, "--log-key", service.log_key)
    service.vkey = operator("vkey", "--database", service.where, "--log-key", service.log_key).stdout.strip()
    service.founding = founding[1:]
    return service


@contextmanager
def running_service(
    folder: Path, *flags: str, origin: str = ORIGIN, url: str = ""
) -> Iterator[RunningService]:
    """A service with the city's founding recorded; ends with the block."""
    service = new_log(folder, origin, url)
    service.flags = flags
    try:
        service.start()
        if service.founding:
            results = service.append(*service.founding).results
            assert all(result.HasField("receipt") for result in results), results
        yield service
    finally:
        if os.environ.get("SUYUAN_TEST_LOGS"):
            sys.stderr.write(service.log())
        service.stop()


@contextmanager
def running_http(database: Path, *flags: object) -> Iterator[str]:
    """A process of `operator serve-http`; gives its URL, and ends with the block."""
    with tempfile.TemporaryDirectory() as folder:
        ready, written = Path(folder, "ready"), Path(folder, "log")
        with written.open("wb") as log:
            process = preloaded.start(
                "-m", "server", "serve-http", "--database", database, "--listen", "127.0.0.1:0",
                "--ready-file", ready, "--json-logs", *flags, log=log,
            )  # fmt: skip
        try:
            deadline = time.monotonic() + _STARTUP_S
            while not ready.exists():
                if process.poll() is not None or time.monotonic() > deadline:
                    raise AssertionError(f"the read side did not start:\n{written.read_text()}")
                time.sleep(0.02)
            yield ready.read_text().strip()
        finally:
            process.terminate()
            status = process.wait(30)
        assert status == 0, written.read_text()
        assert not ready.exists()
