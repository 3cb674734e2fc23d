"""Opening a database."""

from __future__ import annotations

import sqlite3
from pathlib import Path

from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError
from sqlalchemy.pool import QueuePool

from ledger.errors import BadInput, Reason

WRITES = "suyuan_writes"
"""Execution option of a connection whose transactions write: they take the write lock when they begin."""

BUSY_TIMEOUT_MS = 10_000


def database_url(text: str) -> URL:
    """A database's URL: a SQLAlchemy URL, or the path of an SQLite file.

    Raises:
        BadInput: `INVALID_REQUEST` if it is neither.
    """
    try:
        url = make_url(text) if "://" in text else URL.create("sqlite", database=text)
    except ArgumentError:
        url = None
    if url is None or url.get_backend_name() != "sqlite" or not url.database or url.database == ":memory:":
        raise BadInput(
            Reason.INVALID_REQUEST,
            "database",
            given=repr(text),
            expected="the path of an SQLite file, or sqlite:///PATH",
        )
    return url


def open_engine(url: URL, *, create: bool = False, read_only: bool = False) -> Engine:
    """An engine for a database.

    Args:
        url: as `database_url` gives it.
        create: make the file if there is none; else it must exist.
        read_only: refuse to write, for tools that look at a database that is somebody else's.

    Raises:
        BadInput: `NOT_FOUND` if there is no such file and none is to be made.
    """
    path = Path(url.database or "")
    if not create and not path.is_file():
        raise BadInput(
            Reason.NOT_FOUND, "database", given=f"no file {path}", expected="a database made by operator init"
        )
    mode = "ro" if read_only else "rwc" if create else "rw"
    engine = create_engine(
        "sqlite://",
        creator=lambda: _connect(path, mode),
        poolclass=QueuePool,
        pool_size=8,
        max_overflow=32,
        pool_reset_on_return="rollback",
    )
    event.listen(engine, "begin", _begin)
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
