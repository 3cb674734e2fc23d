"""A database's refusals, in the ledger's words."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from ledger.errors import Reason, ServiceFault

_DAMAGE = ("22", "23", "42", "XX")
"""Classes of PostgreSQL's SQLSTATE that say that tables or rows are not as the service wrote them: what it was asked
to read or write does not fit what it holds. All others tell of something that passes: no connection, no room, no lock."""

_NOT_ALLOWED = "42501"
"""Of those, insufficient privilege: nothing is damaged, somebody has to grant it."""


@contextmanager
def faults() -> Iterator[None]:
    """Raise a database's refusal as a fault of the service; the driver's own error goes along as the cause.

    Raises:
        ServiceFault: `STORE_UNAVAILABLE`, or `STORE_DAMAGED`.
    """
    try:
        yield
    except PoolTimeoutError as error:
        raise ServiceFault(
            Reason.STORE_UNAVAILABLE, "database", given="no free connection", expected="an answer"
        ) from error
    except DBAPIError as error:
        given = " ".join(str(error.orig).split())
        if _tells_of_damage(error):
            raise ServiceFault(
                Reason.STORE_DAMAGED, "database", given=given, expected="tables as the service wrote them"
            ) from error
        raise ServiceFault(Reason.STORE_UNAVAILABLE, "database", given=given, expected="an answer") from error


def _tells_of_damage(error: DBAPIError) -> bool:
    state = getattr(error.orig, "sqlstate", None)
    if isinstance(state, str):
        return state.startswith(_DAMAGE) and state != _NOT_ALLOWED
    if isinstance(error, OperationalError | InterfaceError):
        # SQLite could not even read the statement: a table or a column is not there.
        return getattr(error.orig, "sqlite_errorcode", None) == sqlite3.SQLITE_ERROR
    return True
