"""PostgreSQL: its connections, what they promise, and how long anybody waits for them.

A transaction that writes first takes the log's advisory lock, so writers come one after the other as they do on
SQLite; it sees each statement's newest state (READ COMMITTED), for after the lock nobody else can move the log. A
transaction that reads sees the log at one moment (REPEATABLE READ) and cannot write.

Every wait has an end. The server ends a statement, a wait for a lock, and a transaction whose client has fallen
silent; the client gives up a connection on which an answer does not come, and then believes nothing about it.
"""

from __future__ import annotations

import select
from functools import partial
from typing import Any, TypeVar

import psycopg
from psycopg import IsolationLevel
from psycopg.abc import PQGen
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from psycopg.pq import TransactionStatus
from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.exc import InvalidatePoolError
from sqlalchemy.pool import QueuePool

from server.store.database import Database
from server.store.engine import POOL_OVERFLOW, POOL_SIZE, UNHURRIED, WRITES

WRITE_LOCK = int.from_bytes(b"suyuan\0\0", "big")
"""The advisory lock of the log's writers, the same in every database that holds a log."""

LOCK_S = 10
"""How long a transaction waits for the write lock, as on SQLite."""

STATEMENT_S = 20
"""How long the server works on one statement."""

ANSWER_S = 25.0
"""How long a client waits for an answer; the server should have given one, or an error, before."""

SILENT_WRITER_S = 5
"""How long a writer may say nothing in the midst of a transaction. One that is frozen or cut off holds up the others
for that long, then the server rolls back what it did."""

SILENT_READER_S = 60
"""The same for a reader, who holds up nobody, but the cleaning away of old rows."""

_WAYS: dict[str, str | int] = {
    "application_name": "suyuan",
    "client_encoding": "UTF8",
    "connect_timeout": 5,
    "keepalives": 1,
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": 20_000,
}
"""What connections are opened with, where the URL says nothing else."""

_SETTINGS = {
    # A commit is durable when it returns: the log is written through before an answer goes out.
    "synchronous_commit": "on",
    "lock_timeout": f"{LOCK_S}s",
    "statement_timeout": f"{STATEMENT_S}s",
    "idle_in_transaction_session_timeout": f"{SILENT_READER_S}s",
}
"""How the server is to treat these connections, likewise."""

_BEGIN_WRITING = (
    "SELECT set_config('idle_in_transaction_session_timeout', "
    f"'{SILENT_WRITER_S}s', true), pg_advisory_xact_lock({WRITE_LOCK})"
)
_UNHURRIED = (
    "SELECT set_config('statement_timeout', '0', true), "
    "set_config('idle_in_transaction_session_timeout', '0', true)"
)

T = TypeVar("T")


class PatientConnection(psycopg.Connection[Any]):
    """A connection that does not wait for ever, and is closed once an answer is overdue."""

    answer_s: float | None = ANSWER_S
    """How long it waits for one answer, seconds; None as long as TCP believes in the connection."""

    def wait(self, gen: PQGen[T], interval: float = 0.1, timeout: float | None = None) -> T:
        """What psycopg does whenever it waits for the server.

        Raises:
            psycopg.OperationalError: no answer came in time. Whether the server did what it was told is unknown.
        """
        try:
            return super().wait(gen, interval, self.answer_s if timeout is None else timeout)
        except psycopg.OperationalError:
            if self.pgconn.transaction_status == TransactionStatus.ACTIVE:
                # Whatever comes now would be taken for the answer to something else.
                self.pgconn.finish()
            raise


def open_postgresql(database: Database, *, read_only: bool = False) -> Engine:
    """An engine for a database of PostgreSQL. Nothing is asked of the server yet.

    Args:
        database: what libpq is told.
        read_only: refuse to write, though a transaction asks for it.
    """
    engine = create_engine(
        "postgresql+psycopg://",
        creator=partial(_connect, _conninfo(database.address)),
        poolclass=QueuePool,
        pool_size=POOL_SIZE,
        max_overflow=POOL_OVERFLOW,
        hide_parameters=True,
    )
    event.listen(engine, "checkout", _require_alive)
    event.listen(engine, "begin", partial(_begin, read_only))
    return engine


def _conninfo(address: str) -> str:
    given = conninfo_to_dict(address)
    settings = " ".join(f"-c {name}={value}" for name, value in _SETTINGS.items())
    # Of two settings of one name the server takes the later.
    options = f"{settings} {given.pop('options', None) or ''}".strip()
    return make_conninfo("", **(_WAYS | given), options=options)


def _connect(conninfo: str) -> PatientConnection:
    return PatientConnection.connect(conninfo)


def _require_alive(connection: PatientConnection, _record: object, _proxy: object) -> None:
    """Have the pool replace a connection that was cut while it lay idle, and all others of that age.

    A server says something on a connection that rests only to take its leave, or because it was told to read its
    settings anew; only then is it asked, so that a sound connection costs no round trip.
    """
    try:
        if connection.closed or _has_news(connection.fileno()):
            connection.execute("SELECT 1")
            connection.rollback()
    except psycopg.Error as error:
        raise InvalidatePoolError from error


def _has_news(descriptor: int) -> bool:
    poll = select.poll()
    poll.register(descriptor, select.POLLIN)
    return bool(poll.poll(0))


def _begin(read_only: bool, connection: Connection) -> None:
    options = connection.get_execution_options()
    writes, unhurried = options.get(WRITES, False), options.get(UNHURRIED, False)
    raw: Any = connection.connection.dbapi_connection
    raw.answer_s = None if unhurried else ANSWER_S
    level = IsolationLevel.READ_COMMITTED if writes else IsolationLevel.REPEATABLE_READ
    if raw.isolation_level is not level:
        raw.isolation_level = level
    if raw.read_only is not (read_only or not writes):
        raw.read_only = read_only or not writes
    if writes:
        connection.exec_driver_sql(_BEGIN_WRITING)
    if unhurried:
        connection.exec_driver_sql(_UNHURRIED)
