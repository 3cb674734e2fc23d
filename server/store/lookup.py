"""Looking rows up by their keys, many at once.

The writer does this several times a batch, and SQLAlchemy would build the statement anew each time, for it holds a
place for each key.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import cache
from typing import Any

from sqlalchemy import Boolean, Column, Connection

from server.store.bulk import type_name
from server.store.database import Backend
from server.store.driver import fetch
from server.store.tables import SHARD

_MOST = 512
"""Keys that are looked up in one statement on SQLite."""

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
    rows = _some_at(connection, columns, by[0], wanted) if len(by) == 1 else []
    if len(by) > 1:
        # SQLite looks tuples up in an index only one at a time.
        for key in wanted:
            rows += fetch(connection, _select(columns) + _equal(by), key)
    truths = [number for number, column in enumerate(columns) if isinstance(column.type, Boolean)]
    return [_with_truths(row, truths) for row in rows] if truths else rows


def _some_at(connection: Connection, columns: Columns, by: Column[Any], keys: Sequence[Any]) -> list[Any]:
    rows: list[Any] = []
    for start in range(0, len(keys), _MOST):
        chunk = list(keys[start : start + _MOST])
        # Of few different lengths, so that the driver has the statement prepared: the last key fills the places up.
        places = 1 << (len(chunk) - 1).bit_length()
        chunk += chunk[-1:] * (places - len(chunk))
        rows += fetch(connection, _in_places(columns, by, places), chunk)
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
def _equal(by: Columns) -> str:
    return "".join(f" AND {column.name} = ?" for column in by)


@cache
def _in_places(columns: Columns, by: Column[Any], places: int) -> str:
    return f"{_select(columns)} AND {by.name} IN ({', '.join('?' * places)})"


@cache
def _among(columns: Columns, by: Columns) -> str:
    """The same for PostgreSQL, which takes the keys as arrays."""
    names = ", ".join(column.name for column in by)
    arrays = ", ".join(f"%b::{type_name(column)}[]" for column in by)
    return f"{_select(columns)} AND ({names}) IN (SELECT * FROM unnest({arrays}))"  # noqa: S608  # likewise
