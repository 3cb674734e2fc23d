"""Statements that SQLite's driver gets as they are.

The writer's statements are always the same and its batches often small: what SQLAlchemy does around each (building it,
looking it up, events, results) takes ten times as long as SQLite takes to answer (docs/adr/0017). Errors come out as
SQLAlchemy's all the same.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError


def fetch(connection: Connection, statement: str, parameters: Sequence[Any]) -> list[tuple[Any, ...]]:
    """All rows that SQLite answers with.

    Raises:
        DBAPIError: as SQLAlchemy raises it.
    """
    with _cursor(connection, statement) as cursor:
        return cursor.execute(statement, parameters).fetchall()


def run_one(connection: Connection, statement: str, parameters: Sequence[Any]) -> int:
    """Run a statement; returns how many rows it changed.

    Raises:
        DBAPIError: as SQLAlchemy raises it.
    """
    with _cursor(connection, statement) as cursor:
        return cursor.execute(statement, parameters).rowcount


def run_many(connection: Connection, statement: str, rows: Sequence[Sequence[Any]]) -> None:
    """Run a statement once for each row of parameters.

    Raises:
        DBAPIError: as SQLAlchemy raises it.
    """
    with _cursor(connection, statement) as cursor:
        cursor.executemany(statement, rows)


def is_read_only(error: BaseException) -> bool:
    """Whether a file could only be read; a connection that found it so stays so, though the file has changed since."""
    return getattr(error, "sqlite_errorcode", 0) & 0xFF == sqlite3.SQLITE_READONLY


@contextmanager
def _cursor(connection: Connection, statement: str) -> Iterator[sqlite3.Cursor]:
    cursor: Any = connection.connection.cursor()
    try:
        yield cursor
    except sqlite3.Error as error:
        if is_read_only(error):
            connection.invalidate(error)
        raise DBAPIError.instance(statement, None, error, sqlite3.Error, hide_parameters=True) from error
    finally:
        cursor.close()
