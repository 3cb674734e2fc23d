"""A database that holds one log: making it, opening it, and its transactions."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import Connection, Engine, insert, inspect, select
from sqlalchemy.exc import DatabaseError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from ledger.errors import BadInput, LedgerError, Reason, ServiceFault
from server.store.engine import WRITES, database_url, open_engine
from server.store.tables import SCHEMA_VERSION, metadata, schema


class Store:
    """One database. Safe to share among threads: each transaction has a connection of its own."""

    def __init__(self, engine: Engine) -> None:
        self._reading = engine
        self._writing = engine.execution_options(**{WRITES: True})

    @classmethod
    def create(cls, database: str) -> Store:
        """Make the tables in a new or empty database, or open one that has them."""
        store = cls(open_engine(database_url(database), create=True))
        with store.transaction() as connection:
            there = set(inspect(connection).get_table_names())
            if there and schema.name not in there:
                raise BadInput(
                    Reason.INVALID_REQUEST,
                    f"database {database}",
                    given=f"a table {min(there)}",
                    expected="a new file, an empty database, or one made by operator init",
                )
            metadata.create_all(connection)
            if connection.execute(select(schema.c.version)).first() is None:
                connection.execute(insert(schema).values(version=SCHEMA_VERSION))
        store._require_version(database)
        return store

    @classmethod
    def open(cls, database: str, *, read_only: bool = False) -> Store:
        """Open a database that `create` made.

        Raises:
            BadInput: `NOT_FOUND` if there is none, `INVALID_REQUEST` if it is something else.
            ServiceFault: `STORE_DAMAGED` if it has lost its version, `STORE_UNAVAILABLE` if it cannot be read now.
        """
        store = cls(open_engine(database_url(database), read_only=read_only))
        store._require_version(database)
        return store

    @property
    def engine(self) -> Engine:
        """For those who watch what it does."""
        return self._reading

    @contextmanager
    def snapshot(self) -> Iterator[Connection]:
        """A transaction that only reads: all its reads see the log at one moment."""
        with _faults(), self._reading.connect() as connection, connection.begin():
            yield connection

    @contextmanager
    def transaction(self) -> Iterator[Connection]:
        """A transaction that writes: commits at its end, unless an exception ends it."""
        with _faults(), self._writing.connect() as connection, connection.begin():
            yield connection

    def close(self) -> None:
        """Close all connections."""
        self._reading.dispose()

    def _require_version(self, database: str) -> None:
        try:
            self._compare_version(database)
        except LedgerError:
            self.close()
            raise

    def _compare_version(self, database: str) -> None:
        subject, expected = f"schema of {database}", f"version {SCHEMA_VERSION}, as made by operator init"
        try:
            with self.snapshot() as connection:
                version = connection.execute(select(schema.c.version)).scalar()
        except ServiceFault as fault:
            if fault.reason is Reason.STORE_UNAVAILABLE:
                raise
            raise BadInput(Reason.INVALID_REQUEST, subject, given="none", expected=expected) from fault
        if version is None:
            raise ServiceFault(Reason.STORE_DAMAGED, subject, given="no version", expected=expected)
        if version != SCHEMA_VERSION:
            raise BadInput(Reason.INVALID_REQUEST, subject, given=f"version {version}", expected=expected)


@contextmanager
def _faults() -> Iterator[None]:
    """Say a database's refusal in the ledger's words; the driver's own goes along as the cause."""
    try:
        yield
    except PoolTimeoutError as error:
        raise ServiceFault(
            Reason.STORE_UNAVAILABLE, "database", given="no free connection", expected="an answer"
        ) from error
    except DatabaseError as error:
        if isinstance(error, OperationalError) and not _lacks_tables(error):
            raise ServiceFault(
                Reason.STORE_UNAVAILABLE, "database", given=str(error.orig), expected="an answer"
            ) from error
        raise ServiceFault(
            Reason.STORE_DAMAGED,
            "database",
            given=str(error.orig),
            expected="tables as the service wrote them",
        ) from error


def _lacks_tables(error: OperationalError) -> bool:
    """Whether SQLite could not even read the statement: a table or a column is not there."""
    return getattr(error.orig, "sqlite_errorcode", None) == sqlite3.SQLITE_ERROR
