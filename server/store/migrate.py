"""Bringing a database's tables up to date.

Everything is done in one transaction that holds the write lock: a second run waits, and finds nothing left to do; a
crash leaves the tables as they were.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory
from sqlalchemy import Connection

from ledger.errors import BadInput, Reason
from server.store.database import Database
from server.store.store import Store
from server.store.tables import SCHEMA_VERSION
from server.store.version import require_version, revision_of, stored_version, version_of

_FOLDER = Path(__file__).parent / "migrations"

OLDEST = 2
"""The version that the first revision makes; what came before was never released."""


@dataclass(frozen=True, slots=True)
class Migrated:
    """What was done, or is to do."""

    before: int
    """The version that the tables had."""
    steps: tuple[str, ...]
    """What each revision from there to the newest does, a line each; none if they are up to date."""


def migrate(database: Database, *, check_only: bool = False) -> Migrated:
    """Bring a database up to date; does nothing if it is.

    Args:
        database: where it is.
        check_only: change nothing, and tell what there is to do.

    Raises:
        BadInput: `NOT_FOUND` or `INVALID_REQUEST` if there is no log; if its tables are newer than this software, or
            older than the first revision.
        ServiceFault: as `Store.open` says.
    """
    store = Store.open(database, read_only=check_only, of_any_version=True)
    try:
        if check_only:
            with store.snapshot() as connection:
                before = _version(connection, database)
        else:
            with store.transaction(unhurried=True) as connection:
                before = _version(connection, database)
                if before < SCHEMA_VERSION:
                    upgrade(connection, before)
    finally:
        store.close()
    return Migrated(before, _steps(before))


def upgrade(connection: Connection, before: int | None, version: int = SCHEMA_VERSION) -> None:
    """Run the revisions that lead from one version, or from nothing, to another."""
    config = _config()
    config.attributes["connection"] = connection
    if before is not None:
        command.stamp(config, revision_of(before))
    command.upgrade(config, revision_of(version))


def _version(connection: Connection, database: Database) -> int:
    version = version_of(stored_version(connection), database)
    if version is None or version > SCHEMA_VERSION:
        require_version(version, database)
    if version is None or version < OLDEST:
        expected = f"version {OLDEST} to {SCHEMA_VERSION}"
        raise BadInput(
            Reason.INVALID_REQUEST, f"schema of {database}", given=f"version {version}", expected=expected
        )
    return version


def _steps(before: int) -> tuple[str, ...]:
    revisions = ScriptDirectory.from_config(_config()).walk_revisions()
    later = [revision for revision in revisions if int(revision.revision) > before]
    return tuple(f"{revision.revision}: {revision.doc}" for revision in reversed(later))


def _config() -> Config:
    config = Config()
    # A percent sign in the path would be a reference to another setting.
    config.set_main_option("script_location", str(_FOLDER).replace("%", "%%"))
    return config
