"""What SQLite's query planner is told about the tables: how many rows each index leaves.

Every key begins with `shard`, which is the same in all rows. SQLite, which knows nothing of the rows, takes the first
column of an index for one that leaves ten of them, and then reads a table of any length from end to end: all entries
of the log, to find the last of one chain. So it is told, once, in the table that ANALYZE fills (`sqlite_stat1`): a
shard leaves all rows, a chain or a sale a few. The figures are not measured, so that plans stay the same from the
first entry on; of an index that an operator has had analysed we say nothing.
"""

from __future__ import annotations

from sqlalchemy import Connection

from server.store.database import Backend

_ROWS = 1_000_000
"""Of a table, and of a shard."""

_ALIKE = 20
"""Rows that are alike in the columns of an index behind the shard, where it is not the whole of a unique one."""

_INDEXES = """
    SELECT tables.name, indexes.name, indexes."unique", count(*)
    FROM sqlite_schema AS tables, pragma_index_list(tables.name) AS indexes, pragma_index_info(indexes.name) AS columns
    WHERE tables.type = 'table' AND tables.name NOT LIKE 'sqlite~_%' ESCAPE '~'
    GROUP BY 1, 2, 3 HAVING count(*) > 1
"""
_IS_THERE = "SELECT 1 FROM sqlite_schema WHERE name = 'sqlite_stat1'"
_SAID = "SELECT tbl, idx FROM sqlite_stat1"
_SAY = "INSERT INTO sqlite_stat1 (tbl, idx, stat) VALUES (?, ?, ?)"


def missing_statistics(connection: Connection) -> list[tuple[str, str, str]]:
    """What SQLite has not been told yet: table, index, and the index's figures; nothing for other databases."""
    if connection.dialect.name != Backend.SQLITE:
        return []
    said: set[tuple[str, str]] = set()
    if connection.exec_driver_sql(_IS_THERE).first() is not None:
        said = {(table, index) for table, index in connection.exec_driver_sql(_SAID)}
    indexes = connection.exec_driver_sql(_INDEXES).all()
    return [
        (table, index, _figures(columns, is_unique=bool(is_unique)))
        for table, index, is_unique, columns in indexes
        if (table, index) not in said
    ]


def tell_planner(connection: Connection) -> None:
    """Tell SQLite what it has not been told; other connections take it up with their next statement."""
    missing = missing_statistics(connection)
    if missing:
        # Makes the table, which nobody else may.
        connection.exec_driver_sql("ANALYZE log_head")
        connection.exec_driver_sql(_SAY, missing)
        connection.exec_driver_sql("ANALYZE sqlite_schema")  # reads what was said


def _figures(columns: int, *, is_unique: bool) -> str:
    """Rows of the table, and how many are alike in its first column, in the first two, and so on."""
    behind_shard = [_ALIKE] * (columns - 2) + [1 if is_unique else _ALIKE]
    return " ".join(map(str, (_ROWS, _ROWS, *behind_shard)))
