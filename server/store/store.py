"""A database that holds one log: making it, opening it, and its transactions."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import Connection, Engine, insert, inspect, select
from sqlalchemy.exc import DatabaseError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from ledger.errors import BadInput, Reason, ServiceFault
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
        """
        store = cls(open_engine(database_url(database), read_only=read_only))
        store._require_version(database)
        return store

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
            with self._reading.connect() as connection:
                version = connection.execute(select(schema.c.version)).scalar()
        except DatabaseError:
            version = None
        if version != SCHEMA_VERSION:
            self.close()
            raise BadInput(
                Reason.INVALID_REQUEST,
                f"schema of {database}",
                given="none" if version is None else f"version {version}",
                expected=f"version {SCHEMA_VERSION}, as made by operator init",
            )


@contextmanager
def _faults() -> Iterator[None]:
    """Say a database's refusal in the ledger's words; the driver's own goes along as the cause."""
    try:
        yield
    except PoolTimeoutError as error:
        raise ServiceFault(
            Reason.STORE_UNAVAILABLE, "database", given="no free connection", expected="an answer"
        ) from error
    except OperationalError as error:
        raise ServiceFault(
            Reason.STORE_UNAVAILABLE, "database", given=str(error.orig), expected="an answer"
        ) from error
    except DatabaseError as error:
        raise ServiceFault(
            Reason.STORE_DAMAGED,
            "database",
            given=str(error.orig),
            expected="tables as the service wrote them",
        ) from error
