"""Writing many rows at once, in the way that is cheapest on each database.

Rows are tuples in the order of their table's columns, and are handed to the driver as they are. On SQLite they are the
arguments of one prepared statement. On PostgreSQL new rows go by binary COPY; rows that may be there already go as
one array for each column, which costs less than a statement a row (by a factor of two to four) or a COPY into a
temporary table (whose emptying at the commit is dear for the usual small batch).
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Connection,
    Integer,
    LargeBinary,
    SmallInteger,
    String,
    Table,
)
from sqlalchemy.exc import DBAPIError

from server.store.database import Backend
from server.store.driver import run_many

Row = tuple[Any, ...]

_TYPES: dict[type, str] = {
    SmallInteger: "int2",
    Integer: "int4",
    BigInteger: "int8",
    Boolean: "bool",
    LargeBinary: "bytea",
    String: "text",
}
"""PostgreSQL's names of the types of our columns."""


def insert_rows(connection: Connection, table: Table, rows: Sequence[Row]) -> None:
    """Add rows that are not there yet."""
    if not rows:
        return
    if connection.dialect.name == Backend.POSTGRESQL:
        _copy(connection, table, rows)
    else:
        run_many(connection, _insert(table), rows)


def upsert_rows(connection: Connection, table: Table, rows: Sequence[Row]) -> None:
    """Write rows, each in place of an older one with its primary key; no two of them may have the same."""
    if not rows:
        return
    if connection.dialect.name == Backend.POSTGRESQL:
        arrays = tuple(map(list, zip(*rows, strict=True)))
        connection.exec_driver_sql(_upsert_arrays(table), arrays)
    else:
        run_many(connection, _insert(table) + _on_conflict(table), rows)


def type_name(column: Column[Any]) -> str:
    """PostgreSQL's name of the type of a column of ours."""
    return _TYPES[type(column.type)]


def _copy(connection: Connection, table: Table, rows: Sequence[Row]) -> None:
    import psycopg  # noqa: PLC0415  # only here is it known to be there

    statement = f"COPY {table.name} ({_names(table)}) FROM STDIN (FORMAT BINARY)"
    cursor: Any = connection.connection.cursor()
    try:
        with cursor, cursor.copy(statement) as copy:
            copy.set_types(_types(table))
            for row in rows:
                copy.write_row(row)
    except psycopg.Error as error:
        # As SQLAlchemy does with what goes through its own hands.
        raise DBAPIError.instance(statement, None, error, psycopg.Error, hide_parameters=True) from error


@cache
def _types(table: Table) -> list[str]:
    return [type_name(column) for column in table.columns]


@cache
def _names(table: Table) -> str:
    return ", ".join(column.name for column in table.columns)


@cache
def _insert(table: Table) -> str:
    places = ", ".join("?" for _ in table.columns)
    return f"INSERT INTO {table.name} ({_names(table)}) VALUES ({places})"  # noqa: S608  # names of our own


@cache
def _upsert_arrays(table: Table) -> str:
    arrays = ", ".join(f"%b::{name}[]" for name in _types(table))
    return f"INSERT INTO {table.name} ({_names(table)}) SELECT * FROM unnest({arrays})" + _on_conflict(table)  # noqa: S608  # likewise


@cache
def _on_conflict(table: Table) -> str:
    keys = [column.name for column in table.primary_key]
    changed = [column.name for column in table.columns if column.name not in keys]
    target = f" ON CONFLICT ({', '.join(keys)}) DO "
    if not changed:
        return target + "NOTHING"
    return target + "UPDATE SET " + ", ".join(f"{name} = excluded.{name}" for name in changed)
