"""Looking rows up by their keys, many at once.

The writer does this several times a batch, and SQLAlchemy would build the statement anew each time, for it holds a
place for each key.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import cache
from itertools import chain
from typing import Any

from sqlalchemy import Boolean, Column, Connection

from server.store.bulk import type_name
from server.store.database import Backend
from server.store.driver import fetch
from server.store.tables import SHARD

_MOST, _MOST_TUPLES = 512, 64
"""Keys, and tuples of them, that are looked up in one statement on SQLite, which is slow with many more tuples."""

Columns = tuple["Column[Any]", ...]


def rows_at(connection: Connection, columns: Columns, by: Columns, keys: Iterable[Any]) -> list[Any]:
    """The rows of one table whose columns `by` hold one of these keys: the values of `columns`, in no certain order.

    Args:
        connection: an open transaction.
        columns: what to read.
        by: one column, or several.
        keys: different values of that column; or tuples of values of those.
    """
    wanted = list(keys)
    if not wanted:
        return []
    if connection.dialect.name == Backend.POSTGRESQL:
        arrays = (wanted,) if len(by) == 1 else tuple(map(list, zip(*wanted, strict=True)))
        return list(connection.exec_driver_sql(_among(columns, by), arrays))
    rows = _some_at(connection, columns, by, wanted)
    truths = [number for number, column in enumerate(columns) if isinstance(column.type, Boolean)]
    return [_with_truths(row, truths) for row in rows] if truths else rows


def only_row(connection: Connection, columns: Columns) -> Sequence[Any] | None:
    """The row of a table that has one for each log: the values of `columns`; None if it is empty."""
    if connection.dialect.name == Backend.POSTGRESQL:
        return connection.exec_driver_sql(_select(columns)).first()
    rows = fetch(connection, _select(columns), ())
    return rows[0] if rows else None


def _some_at(connection: Connection, columns: Columns, by: Columns, keys: Sequence[Any]) -> list[Any]:
    rows: list[Any] = []
    most = _MOST if len(by) == 1 else _MOST_TUPLES
    for start in range(0, len(keys), most):
        chunk = list(keys[start : start + most])
        # Of few different lengths, so that the driver has the statement prepared.
        places = 1 << (len(chunk) - 1).bit_length()
        if len(by) == 1:
            chunk += chunk[-1:] * (places - len(chunk))
            rows += fetch(connection, _in_places(columns, by[0], places), chunk)
        else:
            nothing = [None] * (len(by) * (places - len(chunk)))  # equal to no column
            rows += fetch(connection, _beside_places(columns, by, places), [*chain(*chunk), *nothing])
    return rows


def _with_truths(row: tuple[Any, ...], truths: Sequence[int]) -> tuple[Any, ...]:
    """A row with the booleans that SQLite keeps as numbers; what somebody else has put there stays as it is."""
    return tuple(
        bool(value) if number in truths and value in {0, 1} else value for number, value in enumerate(row)
    )


@cache
def _select(columns: Columns) -> str:
    names = ", ".join(column.name for column in columns)
    return f"SELECT {names} FROM {columns[0].table} WHERE shard = {SHARD}"  # noqa: S608  # names of our own


@cache
def _in_places(columns: Columns, by: Column[Any], places: int) -> str:
    return f"{_select(columns)} AND {by.name} IN ({', '.join('?' * places)})"


@cache
def _beside_places(columns: Columns, by: Columns, places: int) -> str:
    """For each tuple of keys one look into the index: SQLite would read the whole table for (a, b) IN (…)."""
    table = columns[0].table
    names = ", ".join(f"{table}.{column.name}" for column in columns)
    wanted = ", ".join(f"key{number}" for number in range(len(by)))
    values = ", ".join([f"({', '.join('?' * len(by))})"] * places)
    equal = "".join(f" AND {table}.{column.name} = key{number}" for number, column in enumerate(by))
    return (
        f"WITH wanted({wanted}) AS (VALUES {values}) "  # noqa: S608  # likewise
        f"SELECT {names} FROM wanted CROSS JOIN {table} WHERE shard = {SHARD}{equal}"
    )


@cache
def _among(columns: Columns, by: Columns) -> str:
    """The same for PostgreSQL, which takes the keys as arrays."""
    names = ", ".join(column.name for column in by)
    arrays = ", ".join(f"%b::{type_name(column)}[]" for column in by)
    return f"{_select(columns)} AND ({names}) IN (SELECT * FROM unnest({arrays}))"  # noqa: S608  # likewise
