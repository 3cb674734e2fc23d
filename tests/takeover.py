"""Several processes that serve one log, and what can befall them: killed, frozen, cut off from the database."""

from __future__ import annotations

import contextlib
import signal
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc
from running import RunningService, operator
from world import City, event_id

from clients.sdk import LedgerClient
from ledger.chain_key import ChainKey
from ledger.errors import ServiceFault
from server.service import APPEND
from suyuan.v1 import event_pb2 as ev
from suyuan.v1 import ledger_service_pb2 as pb

WAIT_S = 120
"""How long anything may take at the very most: a deadline against hanging, no measure of speed."""

LEASE_S = 2.0
"""Of the processes in these tests: a third of what it is by default."""

PACE_S = 0.03
"""Between two events of a sender."""


class Line:
    """The way to PostgreSQL's socket, which can fall silent: nothing is carried any more, and nothing is closed."""

    def __init__(self, server: Path) -> None:
        self._server = server
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._ends: list[socket.socket] = []
        self._open = threading.Event()
        self._open.set()
        self._closed = False
        threading.Thread(target=self._accept, daemon=True).start()

    @property
    def port(self) -> int:
        """Where clients connect."""
        return self._listener.getsockname()[1]

    def cut(self) -> None:
        """Carry nothing."""
        self._open.clear()

    def mend(self) -> None:
        """Carry everything again, also what was said meanwhile."""
        self._open.set()

    def close(self) -> None:
        """End all connections."""
        self._closed = True
        self._open.set()
        for end in (self._listener, *self._ends):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            end.close()

    def _accept(self) -> None:
        while not self._closed:
            try:
                client, _ = self._listener.accept()
                server = socket.socket(socket.AF_UNIX)
                self._ends += [client, server]
                server.connect(str(self._server))
            except OSError:
                continue
            for source, target in ((client, server), (server, client)):
                threading.Thread(target=self._carry, args=(source, target), daemon=True).start()

    def _carry(self, source: socket.socket, target: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while said := source.recv(65_536):
                self._open.wait()
                target.sendall(said)
        for end in (source, target):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)


@dataclass
class Process(RunningService):
    """One process of several; it keeps its address when it is started again."""

    key: Path = Path()
    listen: str = ""
    line: Line | None = None

    @property
    def log_key(self) -> Path:
        """The log's signing key."""
        return self.key

    def freeze(self) -> None:
        """Stop it without its knowledge."""
        self.process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Let it go on."""
        self.process.send_signal(signal.SIGCONT)

    def writes(self) -> bool:
        """Whether it says that it records events; False if it says nothing."""
        stub = health_pb2_grpc.HealthStub(self._channel())
        try:
            answer = stub.Check(health_pb2.HealthCheckRequest(service=APPEND), timeout=1)
        except grpc.RpcError:
            return False
        return answer.status == health_pb2.HealthCheckResponse.SERVING


def free_port() -> int:
    """One that nobody has at this moment."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return listener.getsockname()[1]


@contextmanager
def processes(log: RunningService, folder: Path, wheres: list[str], *flags: str) -> Iterator[list[Process]]:
    """Processes that serve one log, not started; they end with the block.

    Args:
        log: has its genesis.
        folder: for what belongs to each.
        wheres: the database, as each is told.
        flags: of all.
    """
    made = []
    for number, where in enumerate(wheres):
        own = folder / f"process-{number}"
        own.mkdir(parents=True)
        port = f"127.0.0.1:{free_port()}"
        # Of two options the later holds: `start` asks for any port.
        more = ("--listen", port, "--lease-seconds", str(LEASE_S), *flags)
        made.append(Process(own, log.city, flags=more, url=where, key=log.log_key, listen=port))
    try:
        yield made
    finally:
        for one in made:
            if one.process is not None and one.process.poll() is None:
                one.thaw()
                one.stop(signal.SIGKILL)


def until(holds, what: str, seconds: float = WAIT_S) -> float:
    """Wait until something holds; returns how long that took, in seconds."""
    began = time.monotonic()
    while not holds():
        assert time.monotonic() - began < seconds, f"not in {seconds} s: {what}"
        time.sleep(0.02)
    return time.monotonic() - began


def writer_of(made: list[Process]) -> Process:
    """The one that writes, once there is one."""
    until(lambda: any(one.writes() for one in made), "a process that writes")
    return next(one for one in made if one.writes())


@dataclass
class Sender:
    """A client that sends one event after the other, from a thread of its own, until it is told to stop.

    What no answer came for is sent again, so that in the end each event is acknowledged.
    """

    targets: str
    vkey: str
    number: int
    acknowledged: dict[bytes, tuple[float, int]] = field(default_factory=dict)
    """By event id: when by the monotonic clock, and at which index."""
    failure: BaseException | None = None

    def __post_init__(self) -> None:
        self._city = City(said=self.number * 10**7)
        self._parcel = ChainKey(f"waybill/sf/SF81000000000{self.number:02}")
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    @property
    def count(self) -> int:
        """Events acknowledged."""
        return len(self.acknowledged)

    def stop(self) -> None:
        """End once the last event is acknowledged."""
        self._stop.set()
        self._thread.join(WAIT_S)
        assert not self._thread.is_alive(), "a sender hangs"
        if self.failure is not None:
            raise self.failure

    def _run(self) -> None:
        try:
            with LedgerClient(self.targets, self.vkey, timeout_s=10) as client:
                while not self._stop.is_set():
                    said = self._city.scan(ev.SHIPMENT_STAGE_IN_TRANSIT, self._parcel)
                    self._send(client, said)
                    time.sleep(PACE_S)
        except BaseException as error:  # noqa: BLE001 - it is raised in the test's own thread
            self.failure = error

    def _send(self, client: LedgerClient, said) -> None:
        while True:
            try:
                receipt = client.append_one(said)
            except ServiceFault:
                time.sleep(0.05)
            else:
                self.acknowledged[event_id(said)] = time.monotonic(), receipt.index
                return


def entries_of(process: RunningService) -> list[bytes]:
    """All entries of the log."""
    found: list[bytes] = []
    while page := process.ledger.ListEntries(pb.ListEntriesRequest(start=len(found)), timeout=WAIT_S).entries:
        found += page
    return found


def check_database(log: RunningService, where: str) -> None:
    """Everything in the database is as a replay has it."""
    assert "OK" in operator("check", "--database", where, "--log-key", log.log_key).stdout
