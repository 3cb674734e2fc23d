"""Which version of the tables a database has.

The number stands where Alembic keeps it, so that `operator migrate` and the service look at the same row. Tables of
version 2 and before were made without Alembic and say it in a table of their own.
"""

from __future__ import annotations

import re

from sqlalchemy import Column, Connection, Integer, MetaData, String, Table, insert, inspect, select

from ledger.errors import BadInput, Reason, ServiceFault
from server.store.damage import shown_value
from server.store.planner import tell_planner
from server.store.tables import SCHEMA_VERSION, metadata

_beside = MetaData()
"""What is not part of the log: migrations compare only what is."""

revisions = Table("alembic_version", _beside, Column("version_num", String(32), primary_key=True))

_before_alembic = Table(
    "schema_version", _beside, Column("version", Integer, primary_key=True, autoincrement=False)
)

_VERSION = re.compile(r"[0-9]{1,4}")


def revision_of(version: int) -> str:
    """A version as Alembic's revisions are named."""
    return f"{version:04d}"


def make_tables(connection: Connection) -> None:
    """Make the tables of the newest version where there are none, as the migrations would."""
    metadata.create_all(connection)
    revisions.create(connection)
    connection.execute(insert(revisions).values(version_num=revision_of(SCHEMA_VERSION)))
    tell_planner(connection)


def stored_version(connection: Connection) -> list[str] | None:
    """What a database says is the version of its tables, for `version_of` to judge; None if they are none of ours."""
    there = inspect(connection)
    for table in (revisions, _before_alembic):
        if there.has_table(table.name):
            return [str(value) for value in connection.execute(select(table)).scalars()]
    return None


def version_of(said: list[str] | None, database: object) -> int | None:
    """The version that a database has; None if it holds nothing of ours.

    Raises:
        ServiceFault: `STORE_DAMAGED` if it does not say one.
    """
    if said is None:
        return None
    if len(said) != 1 or not _VERSION.fullmatch(said[0]):
        given = f"version {', '.join(map(shown_value, said))}" if said else "no version"
        expected = f"version {SCHEMA_VERSION}, as made by operator init"
        raise ServiceFault(Reason.STORE_DAMAGED, f"schema of {database}", given=given, expected=expected)
    return int(said[0])


def require_version(version: int | None, database: object) -> None:
    """Refuse tables that this software does not know.

    Raises:
        BadInput: `INVALID_REQUEST`; it says what to do.
    """
    if version == SCHEMA_VERSION:
        return
    if version is None:
        expected = f"version {SCHEMA_VERSION}, as made by operator init"
    elif version < SCHEMA_VERSION:
        expected = f"version {SCHEMA_VERSION}: stop the service, then run `suyuan operator migrate`"
    else:
        expected = f"at most version {SCHEMA_VERSION}: this software is older than the database"
    raise BadInput(
        Reason.INVALID_REQUEST,
        f"schema of {database}",
        given="none" if version is None else f"version {version}",
        expected=expected,
    )
