"""A database that holds one log: making it, opening it, and its transactions."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import structlog
from sqlalchemy import Connection, Engine, inspect

from ledger.errors import BadInput, LedgerError, Reason, ServiceFault
from server.store.database import Database
from server.store.engine import UNHURRIED, WRITES, open_engine
from server.store.faults import faults
from server.store.planner import missing_statistics, tell_planner
from server.store.version import make_tables, require_version, stored_version, version_of

log = structlog.get_logger(__name__)


class Store:
    """One database. Safe to share among threads: each transaction has a connection of its own."""

    def __init__(self, engine: Engine) -> None:
        self._reading = engine
        self._writing = engine.execution_options(**{WRITES: True})

    @classmethod
    def create(cls, database: str | Database) -> Store:
        """Make the tables in a new or empty database, or open one that has them.

        Raises:
            BadInput: `INVALID_REQUEST` if it holds something else, or tables of another version.
            ServiceFault: as `open` says.
        """
        database = Database.parse(database)
        store = cls(open_engine(database, create=True))
        with store._closed_if_refused(), store.transaction() as connection:
            there = inspect(connection).get_table_names()
            version = version_of(stored_version(connection), database)
            if version is None and there:
                raise BadInput(
                    Reason.INVALID_REQUEST,
                    f"database {database}",
                    given=f"a table {min(there)}",
                    expected="a new file, an empty database, or one made by operator init",
                )
            if version is None:
                make_tables(connection)
            else:
                require_version(version, database)
        return store

    @classmethod
    def open(
        cls, database: str | Database, *, read_only: bool = False, of_any_version: bool = False
    ) -> Store:
        """Open a database that `create` made.

        Args:
            database: where it is.
            read_only: refuse to write.
            of_any_version: also one whose tables have to be migrated first, or are too new.

        Raises:
            BadInput: `NOT_FOUND` if there is none, `INVALID_REQUEST` if it is something else, or of another version.
            ServiceFault: `STORE_DAMAGED` if it has lost its version, `STORE_UNAVAILABLE` if it cannot be read now.
        """
        database = Database.parse(database)
        store = cls(open_engine(database, read_only=read_only))
        with store._closed_if_refused():
            version = store._version(database)
            if version is None or not of_any_version:
                require_version(version, database)
                if not read_only:
                    store._tell_planner()
        return store

    @property
    def engine(self) -> Engine:
        """For those who watch what it does."""
        return self._reading

    @contextmanager
    def snapshot(self, *, unhurried: bool = False) -> Iterator[Connection]:
        """A transaction that only reads: all its reads see the log at one moment.

        Args:
            unhurried: it may take as long as it likes.
        """
        with faults(), _connected(self._reading, unhurried) as connection, connection.begin():
            yield connection

    @contextmanager
    def transaction(self, *, unhurried: bool = False) -> Iterator[Connection]:
        """A transaction that writes: commits at its end, unless an exception ends it. The same args."""
        with faults(), _connected(self._writing, unhurried) as connection, connection.begin():
            yield connection

    def close(self) -> None:
        """Close all connections."""
        self._reading.dispose()

    @contextmanager
    def _closed_if_refused(self) -> Iterator[None]:
        try:
            yield
        except LedgerError:
            self.close()
            raise

    def _tell_planner(self) -> None:
        """Mend the plans of a database from before they were cared for."""
        try:
            with self.snapshot() as connection:
                missing = missing_statistics(connection)
            if missing:
                with self.transaction() as connection:
                    tell_planner(connection)
        except ServiceFault as fault:
            # A full disk, or a file that cannot be written: reads are slow then, and whoever writes will be told.
            log.warning("planner_not_told", error=str(fault))

    def _version(self, database: Database) -> int | None:
        said = self._said()
        if said is None:
            # PostgreSQL tells of tables as they are and of their rows as they were when the transaction began: while a
            # migration puts one table in place of another, a look may find neither, or one that is gone when it is
            # read.
            said = self._said()
        return version_of(said, database)

    def _said(self) -> list[str] | None:
        try:
            with self.snapshot() as connection:
                return stored_version(connection)
        except ServiceFault as fault:
            if fault.reason is Reason.STORE_UNAVAILABLE:
                raise
            return None  # no file of SQLite's


@contextmanager
def _connected(engine: Engine, unhurried: bool) -> Iterator[Connection]:
    with engine.connect() as connection:
        yield connection.execution_options(**{UNHURRIED: True}) if unhurried else connection
