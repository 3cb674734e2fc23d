"""A PostgreSQL of our own, for as long as a block runs.

It writes through to the disk as a production server does (`fsync` and `synchronous_commit` are on), answers on a socket
in a folder only, and ends with the block.
"""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks.report import say

_OWNERS = ("postgres", "nobody")
"""Who runs it where we are root: PostgreSQL refuses to be."""

_SETTINGS = {"listen_addresses": "", "shared_buffers": "512MB", "max_wal_size": "4GB"}
_START_S = 60


@contextmanager
def running_cluster(data: Path) -> Iterator[str]:
    """Run the cluster in this folder, which is made if it is not there; the URL of an empty database, or of what was in it.

    Raises:
        SystemExit: there is no PostgreSQL here, or it does not start.
    """
    programs = _programs()
    as_owner = _as_owner()
    new = not data.exists()
    sockets = Path(tempfile.mkdtemp(prefix="suyuan-bench-pg-"))
    try:
        if new:
            data.mkdir()
        for path in (sockets, data, *(() if new else data.rglob("*"))):
            _give(path)
        if new:
            _run(
                as_owner,
                programs / "initdb",
                "-D",
                data,
                "-U",
                "suyuan",
                "-A",
                "trust",
                "-E",
                "UTF8",
                "--locale=C",
            )
        with _running(as_owner, programs, data, sockets):
            if new:
                _run(as_owner, programs / "createdb", "-h", sockets, "-U", "suyuan", "suyuan")
            yield f"postgresql://suyuan@/suyuan?host={sockets}"
    finally:
        shutil.rmtree(sockets, ignore_errors=True)


@contextmanager
def _running(as_owner: list[str], programs: Path, data: Path, sockets: Path) -> Iterator[None]:
    settings = [f"--{name}={value}" for name, value in _SETTINGS.items()]
    said = data.with_name("postgresql.log")
    with said.open("ab") as log, subprocess.Popen(
        [*as_owner, programs / "postgres", "-D", data, "-k", sockets, *settings], stdout=log, stderr=log
    ) as process:  # fmt: skip
        try:
            deadline = time.monotonic() + _START_S
            asking: list[str | Path] = [*as_owner, programs / "pg_isready", "-q", "-h", sockets]
            while subprocess.run(asking, check=False).returncode != 0:
                if process.poll() is not None or time.monotonic() > deadline:
                    raise SystemExit(f"PostgreSQL did not start:\n{said.read_text()}")
                time.sleep(0.1)
            yield
        finally:
            # At once for its clients, and with everything written: what is kept for the next time is whole.
            _stop(as_owner, programs, data, process)


def _stop(as_owner: list[str], programs: Path, data: Path, process: subprocess.Popen[bytes]) -> None:
    stop: list[str | Path] = [
        *as_owner,
        programs / "pg_ctl",
        "stop",
        "-s",
        "-D",
        data,
        "-m",
        "fast",
        "-t",
        "60",
    ]
    if subprocess.run(stop, check=False).returncode != 0:
        process.kill()


def _programs() -> Path:
    """The folder of the newest PostgreSQL."""
    on_path = shutil.which("initdb")
    folders = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda folder: int(folder.parent.name))
    if on_path is not None:
        return Path(on_path).resolve().parent
    if not folders:
        raise SystemExit(
            "PostgreSQL: given no initdb on the PATH or in /usr/lib/postgresql, expected its server"
        )
    return folders[-1]


def _as_owner() -> list[str]:
    """What comes before a command so that it runs as somebody whom PostgreSQL accepts."""
    return ["setpriv", f"--reuid={_owner()}", "--clear-groups", "--"] if os.geteuid() == 0 else []


def _owner() -> str:
    for name in _OWNERS:
        try:
            return pwd.getpwnam(name).pw_name
        except KeyError:
            continue
    raise SystemExit(f"PostgreSQL: given root, expected a user {' or '.join(_OWNERS)} to run it as")


def _give(path: Path) -> None:
    if os.geteuid() == 0:
        os.chown(path, pwd.getpwnam(_owner()).pw_uid, -1)


def _run(as_owner: list[str], *command: str | Path) -> None:
    done = subprocess.run([*as_owner, *command], check=False, capture_output=True, text=True)
    if done.returncode != 0:
        say(done.stdout + done.stderr)
        raise SystemExit(f"{Path(command[0]).name}: exit status {done.returncode}")
