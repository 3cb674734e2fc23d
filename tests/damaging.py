"""Changing a store's rows behind everybody's back, in SQLite's words or PostgreSQL's."""

from __future__ import annotations

import re

import pytest
from sqlalchemy import Connection

from server.store.store import Store

SQLITE_ONLY = pytest.mark.sqlite_only
"""For damage that PostgreSQL's columns do not take: a value of another type than theirs, or one that is no Unicode."""

_IN_POSTGRESQL = (
    (re.compile(r"x'([0-9A-Fa-f]*)'"), r"'\\x\1'::bytea"),
    (re.compile(r"zeroblob\((\w+|length\(\w+\))\)"), r"decode(repeat('00', \1), 'hex')"),
    (re.compile(r"CAST\((.*) AS BLOB\)"), r"(\1)"),
)


def change(connection: Connection, statement: str) -> int:
    """Execute a statement that is written for SQLite; returns how many rows it changed."""
    if connection.dialect.name == "postgresql":
        for pattern, words in _IN_POSTGRESQL:
            statement = pattern.sub(words, statement)
    return connection.exec_driver_sql(statement).rowcount


def tamper(store: Store, *statements: str) -> None:
    """Execute such statements, each of which changes something."""
    with store.transaction() as connection:
        for statement in statements:
            assert change(connection, statement)
