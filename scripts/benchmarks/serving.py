"""The service that is measured: the real command, in a process of its own."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

STARTUP_S = 120
"""What a service may take to start: it may have a million entries before it."""

SUYUAN = str(Path(sys.executable).with_name("suyuan"))


@dataclass(frozen=True)
class Serving:
    """A running service."""

    target: str
    """Where it answers by gRPC."""
    http: str
    """URL of its files."""
    pid: int

    def rss_mb(self) -> float | None:
        """Resident memory, MiB; None where the system does not tell."""
        kib = memory_kib(self.pid, "VmRSS")
        return None if kib is None else round(kib / 1_024, 1)


@contextmanager
def serving(database: str, log_key: Path, folder: Path) -> Iterator[Serving]:
    """`suyuan operator serve` on free ports, until the block ends.

    Args:
        database: as `--database` takes it.
        log_key: the log's signing key.
        folder: for its log and its ready file.

    Raises:
        SystemExit: it did not start; with what it said.
    """
    ready, said = folder / "ready", folder / "service.log"
    ready.unlink(missing_ok=True)
    command: list[str | Path] = [
        SUYUAN, "operator", "serve", "--log-key", log_key, "--listen", "127.0.0.1:0", "--http", "127.0.0.1:0",
        "--ready-file", ready, "--json-logs",
    ]  # fmt: skip
    # In the environment, for a database's URL may hold a password.
    environment = os.environ | {"SUYUAN_DATABASE": database}
    with (
        said.open("ab") as log,
        subprocess.Popen(command, stdout=log, stderr=log, env=environment) as process,
    ):
        try:
            deadline = time.monotonic() + STARTUP_S
            while not (ready.exists() and ready.read_text().endswith("\n")):
                if process.poll() is not None or time.monotonic() > deadline:
                    raise SystemExit(f"the service did not start:\n{said.read_text()}")
                time.sleep(0.02)
            target, http = ready.read_text().split()
            yield Serving(target, http, process.pid)
        finally:
            _end(process)


def _end(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(30)
    except subprocess.TimeoutExpired:
        process.kill()


def memory_kib(pid: int, what: str) -> int | None:
    """A process's memory by /proc, KiB: `VmRSS` now, `VmHWM` the most there was; None where the system does not tell."""
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return None
    return next((int(line.split()[1]) for line in status.splitlines() if line.startswith(f"{what}:")), None)
