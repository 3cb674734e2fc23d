"""The little that the two databases spell differently, in statements that are not made for each of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import Connection, Table
from sqlalchemy.dialects.sqlite import insert as sqlite_insert

from server.store.database import Backend

if TYPE_CHECKING:
    from sqlalchemy.dialects.sqlite import Insert


def insert_into(connection: Connection, table: Table) -> Insert:
    """An INSERT that may say ON CONFLICT; PostgreSQL's has the same methods as SQLite's."""
    if connection.dialect.name == Backend.POSTGRESQL:
        # Its dialect takes long to import, and most who read this code run on SQLite.
        from sqlalchemy.dialects.postgresql import insert as postgresql_insert  # noqa: PLC0415

        return postgresql_insert(table)  # type: ignore[return-value]  # as above
    return sqlite_insert(table)
