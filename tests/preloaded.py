"""Our programs as processes without the time it takes to load them: forked from a process that has loaded them.

Each process of the tests starts one such nursery when it first needs it. What it forks becomes a process like any
other: it runs the same code from the same first line, with a pid, standard streams, working folder and environment of
its own; signals and `kill -9` meet that process, and its exit status is its own. Where a nursery would not be safe (it
is on Linux), or with `SUYUAN_TEST_FORK=0`, an interpreter is started instead.
"""

from __future__ import annotations

import atexit
import gc
import json
import os
import runpy
import select
import signal
import socket
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from functools import cache
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import IO

_LOADED = (
    "server.commands",
    "server.main",
    "server.http.service",
    "clients.cli.main",
    "clients.cli.regulator",
    "clients.cli.witnessing",
    "clients.witness.http",
)
_LARGEST_REQUEST = 1 << 17


class Process:
    """A forked process: what the tests need of `subprocess.Popen`."""

    def __init__(self, args: list[str], told: socket.socket, outputs: tuple[IO[bytes], ...]) -> None:
        self.args = args
        self.returncode: int | None = None
        self._told, self._outputs = told, outputs
        self.pid = self._hear()

    def poll(self) -> int | None:
        """The exit status, or the signal that ended it with a minus; nothing while it runs."""
        if self.returncode is None and select.select([self._told], [], [], 0)[0]:
            self.returncode = self._hear()
            self._told.close()
        return self.returncode

    def wait(self, timeout: float) -> int:
        """The same, once it has ended."""
        if self.returncode is None and not select.select([self._told], [], [], timeout)[0]:
            raise subprocess.TimeoutExpired(self.args, timeout)
        status = self.poll()
        assert status is not None
        return status

    def communicate(self, timeout: float) -> tuple[str, str]:
        """All that it has written to standard output and standard error, once it has ended."""
        self.wait(timeout)
        written = []
        for file in self._outputs:
            file.seek(0)
            written.append(file.read().decode())
            file.close()
        out, err = written
        return out, err

    def send_signal(self, number: int) -> None:
        """Signal it, unless it has ended."""
        if self.poll() is None:
            with suppress(ProcessLookupError):  # it has ended since, and is about to be told of
                os.kill(self.pid, number)

    def _hear(self) -> int:
        said = self._told.recv(64)
        assert said, "the nursery has ended; what it wrote to standard error says why"
        return int(said)

    def terminate(self) -> None:
        """Ask it to end."""
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        """End it, whatever it is doing."""
        self.send_signal(signal.SIGKILL)


def start(*args: object, log: IO[bytes] | None = None) -> Process | subprocess.Popen[str]:
    """Start Python with these arguments: `-m`, a module, and what that takes, or `-c`, a program, and the same.

    Args:
        args: what follows `python`.
        log: where standard output and standard error go; by default they are kept for `communicate`.
    """
    words = [str(arg) for arg in args]
    if sys.platform != "linux" or os.environ.get("SUYUAN_TEST_FORK") == "0":
        into = subprocess.PIPE if log is None else log
        return subprocess.Popen(
            [sys.executable, *words], stdin=subprocess.DEVNULL, stdout=into, stderr=into, text=True
        )
    # They live as long as the process does, and `communicate` closes them.
    outputs = (tempfile.TemporaryFile(), tempfile.TemporaryFile()) if log is None else ()  # noqa: SIM115
    out, err = outputs or (log, log)
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with theirs, Path(os.devnull).open("rb") as nothing:
        request = json.dumps({"args": words, "folder": str(Path.cwd()), "environ": dict(os.environ)})
        fds = [nothing.fileno(), out.fileno(), err.fileno(), theirs.fileno()]
        socket.send_fds(_nursery(), [request.encode()], fds)
    return Process([sys.executable, *words], ours, outputs)


def run(*args: object, timeout: float = 120) -> subprocess.CompletedProcess[str]:
    """Start the same, and wait until it has ended."""
    process = start(*args)
    try:
        out, err = process.communicate(timeout=timeout)
    finally:
        process.kill()
    return subprocess.CompletedProcess(process.args, process.wait(30), out, err)


@cache
def _nursery() -> socket.socket:
    """How to ask this process's own nursery; it ends when this process does."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with theirs:
        nursery = subprocess.Popen(
            [sys.executable, "-P", __file__, str(theirs.fileno())],
            stdin=subprocess.DEVNULL, pass_fds=[theirs.fileno()],
        )  # fmt: skip

    def end() -> None:
        ours.close()
        nursery.wait(30)

    atexit.register(end)
    return ours


class _Nursery:
    """The process that forks, and tells of each child when it has ended."""

    def __init__(self, asked: socket.socket) -> None:
        self._asked = asked
        self._wake_read, self._wake_write = socket.socketpair()
        self._telling: dict[int, socket.socket] = {}

    def serve(self) -> tuple[dict, list[int]] | None:
        """Fork for whoever asks.

        Returns:
            in a child what it is to become, and its standard streams; nothing in the nursery, at the end.
        """
        self._wake_write.setblocking(False)
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the tests: they tell their processes
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.set_wakeup_fd(self._wake_write.fileno(), warn_on_full_buffer=False)
        while True:
            ready, _, _ = select.select([self._asked, self._wake_read], [], [])
            if self._wake_read in ready:
                self._wake_read.recv(4096)
                self._tell()
            if self._asked in ready:
                request, fds, _, _ = socket.recv_fds(self._asked, _LARGEST_REQUEST, 4)
                if not request:
                    return None
                if (child := self._fork(json.loads(request), fds)) is not None:
                    return child

    def _fork(self, request: dict, fds: list[int]) -> tuple[dict, list[int]] | None:
        *streams, telling = fds
        pid = os.fork()
        if pid == 0:
            signal.set_wakeup_fd(-1)
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            signal.signal(signal.SIGINT, signal.default_int_handler)
            for one in (self._asked, self._wake_read, self._wake_write, *self._telling.values()):
                one.close()
            os.close(telling)
            return request, streams
        self._telling[pid] = socket.socket(fileno=telling)
        self._telling[pid].send(b"%d" % pid)
        for stream in streams:
            os.close(stream)
        return None

    def _tell(self) -> None:
        while self._telling:
            pid, status = os.waitpid(-1, os.WNOHANG)
            if pid == 0:
                return
            with self._telling.pop(pid) as told, suppress(OSError):  # nobody waits for it any more
                told.send(b"%d" % os.waitstatus_to_exitcode(status))


def _become(request: dict, streams: list[int]) -> None:
    """What `python` does with its arguments; the interpreter then ends as it always does."""
    for number, stream in enumerate(streams):
        os.dup2(stream, number)
        os.close(stream)
    os.chdir(request["folder"])
    os.environ.clear()
    os.environ.update(request["environ"])
    time.tzset()
    how, what, *args = request["args"]
    if how == "-m":
        sys.argv = [what, *args]
        runpy.run_module(what, run_name="__main__", alter_sys=True)
    else:
        sys.argv = [how, *args]
        sys.modules["__main__"] = main = ModuleType("__main__")
        exec(compile(what, "<string>", "exec"), vars(main))


def _load_and_serve() -> None:
    for name in _LOADED:
        import_module(name)
    # What is loaded stays out of the collector's sight, or each child would copy all of it only to look at it.
    gc.collect()
    gc.freeze()
    child = _Nursery(socket.socket(fileno=int(sys.argv[1]))).serve()
    if child is not None:
        _become(*child)


if __name__ == "__main__":
    _load_and_serve()
