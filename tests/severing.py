"""A wire to a server that fails where it is told to: it is cut, falls silent, or loses the answer to a COMMIT."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from enum import Enum, auto
from pathlib import Path

_COMMIT = b"COMMIT\0"


class AtCommit(Enum):
    """What becomes of a COMMIT."""

    LOST = auto()
    """It never reaches the server; the connection is cut."""
    ANSWER_LOST = auto()
    """The server does it; the connection is cut before its answer gets through."""
    HALF_CLOSED = auto()
    """The same, and only the way back is closed: what the client says still goes nowhere."""
    ANSWER_HELD = auto()
    """The server does it, and nothing is ever heard of it, though the connection stands."""


class Wire:
    """Carries connections from a port of 127.0.0.1 to a server's socket."""

    def __init__(self, server: Path) -> None:
        self._server = server
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._pairs: list[tuple[socket.socket, socket.socket]] = []
        self._lock = threading.Lock()
        self.at_commit: deque[AtCommit] = deque()
        """For the next COMMITs, one each; then all goes well."""
        self.delay_s = 0.0
        """How long everything that the server says is on its way."""
        self.down = False
        """Whether new connections are cut at once."""
        threading.Thread(target=self._accept, daemon=True).start()

    @property
    def port(self) -> int:
        """Where clients connect."""
        return self._listener.getsockname()[1]

    def cut(self) -> int:
        """Cut all connections; returns how many there were."""
        with self._lock:
            pairs, self._pairs = self._pairs, []
        for pair in pairs:
            _cut(*pair)
        return len(pairs)

    def close(self) -> None:
        """Cut all, and take no more."""
        # Only a shutdown wakes who waits in accept().
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self.cut()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            server = socket.socket(socket.AF_UNIX)
            try:
                if self.down:
                    raise ConnectionRefusedError
                server.connect(str(self._server))
            except OSError:
                _cut(client, server)
                continue
            with self._lock:
                self._pairs.append((client, server))
            silent = threading.Event()
            for carry in (self._to_server, self._to_client):
                threading.Thread(target=carry, args=(client, server, silent), daemon=True).start()

    def _to_server(self, client: socket.socket, server: socket.socket, silent: threading.Event) -> None:
        with contextlib.suppress(OSError):
            while said := client.recv(65_536):
                fault = self.at_commit.popleft() if _COMMIT in said and self.at_commit else None
                if fault is AtCommit.LOST:
                    break
                if fault is not None:
                    silent.set()
                server.sendall(said)
                if fault is not None:
                    # Time to be done, for nobody can hear that it is; a commit of these tests takes milliseconds.
                    time.sleep(0.3)
                if fault is AtCommit.HALF_CLOSED:
                    client.shutdown(socket.SHUT_WR)
                elif fault is AtCommit.ANSWER_LOST:
                    break
        _cut(client, server)

    def _to_client(self, client: socket.socket, server: socket.socket, silent: threading.Event) -> None:
        with contextlib.suppress(OSError):
            while said := server.recv(65_536):
                if self.delay_s:
                    time.sleep(self.delay_s)
                if not silent.is_set():
                    client.sendall(said)
        if not silent.is_set():
            _cut(client, server)


def _cut(*ends: socket.socket) -> None:
    for end in ends:
        with contextlib.suppress(OSError):
            end.shutdown(socket.SHUT_RDWR)
        end.close()


@contextmanager
def wire(server: Path) -> Iterator[Wire]:
    """A wire to a server's socket, for the length of the block."""
    made = Wire(server)
    try:
        yield made
    finally:
        made.close()
