"""A real PostgreSQL for tests: a cluster of this process's own, started when a test first asks for it.

It ends with the process, however that ends: a shell holds it, and stops it when the pipe from here closes. Nothing in
it is durable, for speed; what a crash of the machine leaves behind is not what is tested with it.
"""

from __future__ import annotations

import atexit
import contextlib
import os
import pwd
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from itertools import count
from pathlib import Path

import psycopg
import pytest

from server.store.tables import SCHEMA_VERSION, metadata
from server.store.version import revision_of, revisions

_STARTUP_S = 60
_NOT_DURABLE = (
    "fsync=off",
    "full_page_writes=off",
    "max_wal_size=256MB",
    "shared_buffers=32MB",
    "max_connections=200",
)
_SERVERS_ACCOUNTS = ("postgres", "nobody")

# Each line is a signal, after which the server starts anew; the end of them is the end of it. QUIT is what a crash
# looks like to the clients, INT an orderly shutdown. The test process itself must not fork for this: gRPC runs in it.
_HOLDER = """
"$@" & server=$!
while read -r signal; do kill -"$signal" $server; wait $server; "$@" & server=$!; done
kill -INT $server; wait $server
"""

_TABLES = """
    SELECT relname, relnatts::int FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind = 'r'
"""
_VERSION = "SELECT version_num FROM alembic_version"


class Cluster:
    """A server with its data, reached by a socket in its folder and by a port of 127.0.0.1."""

    def __init__(self, programs: Path) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="suyuan-pg-"))
        self._account = _account()
        self._log = (self.folder / "log").open("ab")
        self._numbers = count()
        if self._account:
            shutil.chown(self.folder, self._account)
        done = subprocess.run(
            [*self._as_account, programs / "initdb", "--pgdata", self.folder / "data", "--auth=trust",
             "--username=suyuan", "--encoding=UTF8", "--locale=C", "--no-sync"],
            check=False, capture_output=True, text=True, timeout=120, cwd=self.folder,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        settings = [word for setting in _NOT_DURABLE for word in ("-c", setting)]
        server = [programs / "postgres", "-D", self.folder / "data", "-k", self.folder, "-h", "", *settings]
        self._holder = subprocess.Popen(
            [*self._as_account, "sh", "-c", _HOLDER, "sh", *server],
            stdin=subprocess.PIPE, stdout=self._log, stderr=self._log, cwd=self.folder,
        )  # fmt: skip
        self._wait(before="")

    def restart(self, signal: str = "QUIT") -> None:
        """Stop the server by a signal and start it again; QUIT is what a crash looks like to its clients."""
        before = self._server()
        pipe = self._holder.stdin
        assert pipe is not None
        pipe.write(f"{signal}\n".encode())
        pipe.flush()
        self._wait(before)

    def end(self) -> None:
        """Stop the server and remove everything."""
        self._holder.communicate(timeout=_STARTUP_S)
        self._log.close()
        shutil.rmtree(self.folder)

    def _wait(self, before: str) -> None:
        """Wait until another server than the one before answers."""
        deadline = time.monotonic() + _STARTUP_S
        while True:
            with contextlib.suppress(psycopg.OperationalError):
                if self._server() != before:
                    return
            if self._holder.poll() is not None or time.monotonic() > deadline:
                raise AssertionError(f"no server:\n{(self.folder / 'log').read_text()}")
            time.sleep(0.02)

    def _server(self) -> str:
        """When the server that answers was started."""
        with self.admin() as connection:
            return str(connection.execute("SELECT pg_postmaster_start_time()").fetchone())

    def admin(self, name: str = "postgres") -> psycopg.Connection[tuple[object, ...]]:
        """A connection that may do everything, without transactions."""
        return psycopg.connect(self.url(name), autocommit=True, connect_timeout=10)

    def url(self, name: str) -> str:
        """Of a database, by the socket."""
        return f"postgresql://suyuan@/{name}?host={self.folder}"

    def new_database(self) -> str:
        """The name of a new, empty database."""
        name = f"log_{next(self._numbers)}"
        with self.admin() as connection:
            connection.execute(f"CREATE DATABASE {name}")
        return name

    @property
    def socket(self) -> Path:
        """The file of the server's socket."""
        return self.folder / ".s.PGSQL.5432"

    @property
    def _as_account(self) -> list[str]:
        """What goes in front of a command: PostgreSQL refuses to run as root."""
        if self._account is None:
            return []
        return [
            "setpriv",
            f"--reuid={self._account}",
            f"--regid={pwd.getpwnam(self._account).pw_gid}",
            "--clear-groups",
        ]


def _account() -> str | None:
    """Whose process the server is, if not ours."""
    if os.geteuid() != 0:
        return None
    names = {entry.pw_name for entry in pwd.getpwall()}
    return next(name for name in _SERVERS_ACCOUNTS if name in names)


def _programs() -> Path | None:
    """The folder with `initdb` and `postgres`, the newest where there are several."""
    installed = sorted(
        Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda found: float(found.parent.parent.name)
    )
    found = shutil.which("initdb")
    if installed:
        return installed[-1].parent
    return Path(found).resolve().parent if found else None


@cache
def cluster() -> Cluster:
    """The one of this process. Skips the test where there is no PostgreSQL; with CI=true it fails."""
    programs = _programs()
    if programs is None:
        message = "no PostgreSQL here (looked for initdb). On Debian: apt-get install postgresql"
        if os.environ.get("CI") == "true":
            pytest.fail(message)
        pytest.skip(message)
    made = Cluster(programs)
    atexit.register(made.end)
    return made


_free: list[str] = []
"""Databases that tests are done with: empty, or with the tables of a log and nothing in them."""


@contextmanager
def empty_database() -> Iterator[str]:
    """The URL of a database without tables, or with the tables of a log and nothing in them: for one test."""
    server = cluster()
    name = _free.pop() if _free else server.new_database()
    yield server.url(name)
    with server.admin(name) as connection:
        _empty(connection)
    _free.append(name)


def _empty(connection: psycopg.Connection[tuple[object, ...]]) -> None:
    """Take everything out. Making tables costs ten times what emptying them does, so they stay if all are there."""
    connection.execute("SET lock_timeout = '30s'")
    found = connection.execute(_TABLES)
    expected = {(table.name, len(table.columns)) for table in (*metadata.sorted_tables, revisions)}
    version = [(revision_of(SCHEMA_VERSION),)]
    if set(found) == expected and list(connection.execute(_VERSION)) == version:
        connection.execute("; ".join(f"DELETE FROM {table.name}" for table in metadata.sorted_tables))
    else:
        connection.execute("DROP SCHEMA public CASCADE; CREATE SCHEMA public")
