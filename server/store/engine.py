"""Opening a database."""

from __future__ import annotations

import sqlite3
from pathlib import Path

from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.engine import ExceptionContext
from sqlalchemy.pool import QueuePool

from ledger.errors import BadInput, Reason
from server.store.database import Backend, Database
from server.store.driver import is_read_only

WRITES = "suyuan_writes"
"""Execution option of a connection whose transactions write: they take the write lock when they begin."""

UNHURRIED = "suyuan_unhurried"
"""Execution option of a connection whose transactions may take as long as they like: a replay of the whole log."""

POOL_SIZE, POOL_OVERFLOW = 8, 32
"""Connections that are kept, and those that there may be besides."""

BUSY_TIMEOUT_MS = 10_000


def open_engine(database: Database, *, create: bool = False, read_only: bool = False) -> Engine:
    """An engine for a database.

    Args:
        database: where it is.
        create: make SQLite's file if there is none; else it must exist. A database of PostgreSQL always must.
        read_only: refuse to write, for tools that look at a database that is somebody else's.

    Raises:
        BadInput: `NOT_FOUND` if there is no such file and none is to be made.
    """
    if database.backend is Backend.POSTGRESQL:
        # Only who keeps a log on PostgreSQL pays for its driver.
        from server.store.postgresql import open_postgresql  # noqa: PLC0415

        return open_postgresql(database, read_only=read_only)
    return _open_sqlite(Path(database.address), create=create, read_only=read_only)


def _open_sqlite(path: Path, *, create: bool, read_only: bool) -> Engine:
    if not create and not path.is_file():
        raise BadInput(
            Reason.NOT_FOUND, "database", given=f"no file {path}", expected="a database made by operator init"
        )
    mode = "ro" if read_only else "rwc" if create else "rw"
    engine = create_engine(
        "sqlite://",
        creator=lambda: _connect(path, mode),
        poolclass=QueuePool,
        pool_size=POOL_SIZE,
        max_overflow=POOL_OVERFLOW,
        pool_reset_on_return="rollback",
    )
    event.listen(engine, "begin", _begin)
    event.listen(engine, "handle_error", _on_error)
    return engine


def _connect(path: Path, mode: str) -> sqlite3.Connection:
    connection = sqlite3.connect(
        f"{path.absolute().as_uri()}?mode={mode}",
        uri=True,
        timeout=BUSY_TIMEOUT_MS / 1000,
        isolation_level=None,  # transactions begin where `_begin` says
        check_same_thread=False,  # the pool hands a connection to one thread at a time
    )
    # SQLite believes whoever wrote a row about its types; whatever stands there must still reach those who judge it.
    connection.text_factory = _text
    if mode != "ro":
        connection.execute("PRAGMA journal_mode=WAL")
    # A commit is durable when it returns: the log is written through before an answer goes out.
    connection.execute("PRAGMA synchronous=FULL")
    connection.execute("PRAGMA cache_size=-16384")
    connection.execute("PRAGMA temp_store=MEMORY")
    return connection


def _text(raw: bytes) -> str:
    return raw.decode("utf-8", "surrogateescape")


def _begin(connection: Connection) -> None:
    writes = connection.get_execution_options().get(WRITES, False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")


def _on_error(context: ExceptionContext) -> None:
    """Give up connections to a file that could only be read: they stay so, though the file can be written to again."""
    if is_read_only(context.original_exception):
        context.is_disconnect = True
