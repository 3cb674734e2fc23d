"""Which database: the path of an SQLite file, or a PostgreSQL URL, and how it is shown without its secrets."""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from enum import StrEnum
from pathlib import Path
from urllib.parse import quote

from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError

from ledger.errors import BadInput, Reason
from ledger.identifiers import printable

_HOST = re.compile(r"@?[^@\s]*")
_PORT = re.compile(r"[0-9,]*")
_POSTGRESQL = re.compile(r"postgres(?:ql)?(?:\+psycopg)?://")
_EXPECTED = "the path of an SQLite file, postgresql://USER@HOST/NAME, or @FILE with one of them in it"

_MOST_BYTES = 4_096
"""Of a file with a URL in it."""


class Backend(StrEnum):
    """What keeps the tables, named as SQLAlchemy names its dialects."""

    SQLITE = "sqlite"
    POSTGRESQL = "postgresql"


@dataclass(frozen=True, slots=True)
class Database:
    """One database. As text it is fit for messages and logs: no password is in it."""

    backend: Backend
    address: str = field(repr=False)
    """The path of the file; or what libpq connects with, which may hold a password."""
    shown: str
    """The same for people."""
    named_with_password: bool = False
    """Whether the text that named it holds a password, and so must not stand where others read it."""

    @classmethod
    def parse(cls, given: str | Database) -> Database:
        """From what an operator wrote: a path, `sqlite:///PATH`, a URL as libpq reads it; or `@` and a file with that.

        A password need not be part of the URL: libpq looks for it in PGPASSFILE, ~/.pgpass and its service file too.

        Raises:
            BadInput: `INVALID_REQUEST` if it is none of these; what was given is then not shown whole.
        """
        if isinstance(given, Database):
            return given
        if given.startswith("@"):
            return replace(cls.parse(_in_file(Path(given[1:]))), named_with_password=False)
        if _POSTGRESQL.match(given):
            return _postgresql(_POSTGRESQL.sub("postgresql://", given, count=1))
        if "://" not in given:
            path: str | None = given
        else:
            try:
                url = make_url(given)
                path = url.database if url.get_backend_name() == Backend.SQLITE else None
            except ArgumentError:
                path = None
        if not path or path == ":memory:" or "\0" in path:
            scheme, colon, _ = given.partition("://")
            raise _no_database(f"{printable(scheme)}{colon}…" if colon else repr(given))
        return cls(Backend.SQLITE, path, path)

    def __str__(self) -> str:
        return self.shown


def _in_file(path: Path) -> str:
    try:
        with path.open("rb") as file:
            text = file.read(_MOST_BYTES).decode().strip()
    except (OSError, ValueError) as error:
        given = error.strerror if isinstance(error, OSError) and error.strerror else "no readable text"
        raise BadInput(
            Reason.INVALID_REQUEST, f"database in {path}", given=given, expected="a file with a URL or a path"
        ) from error
    if text.startswith("@"):
        raise BadInput(
            Reason.INVALID_REQUEST, f"database in {path}", given="@", expected="a URL or a path itself"
        )
    return text


def _postgresql(url: str) -> Database:
    # Only who keeps a log on PostgreSQL pays for its driver.
    import psycopg  # noqa: PLC0415
    from psycopg.conninfo import conninfo_to_dict  # noqa: PLC0415

    try:
        parts = conninfo_to_dict(url)
    except psycopg.Error:
        # libpq's message quotes from the URL; which of its parts is the password nobody knows.
        raise _no_database("a URL that libpq cannot read") from None
    # A password in which @ or / is not written %40 or %2F would go on in the host or the port, and be shown.
    if not _HOST.fullmatch(str(parts.get("host") or "")) or not _PORT.fullmatch(str(parts.get("port") or "")):
        raise _no_database("a URL with another host or port than there can be")
    return Database(
        Backend.POSTGRESQL,
        url,
        _shown(parts),
        named_with_password=not parts.keys().isdisjoint({"password", "sslpassword"}),
    )


def _shown(parts: dict[str, str | int | None]) -> str:
    """Where the database is. Only what is known to be no secret is told."""
    user, host, port, name, service = (
        quote(str(parts.get(key) or ""), safe="/,:.") for key in ("user", "host", "port", "dbname", "service")
    )
    where = f"{user}{'@' if user else ''}{quote(host, safe=',:.%')}{':' if port else ''}{port}/{name}"
    return f"postgresql://{where}{'?service=' if service else ''}{service}"


def _no_database(given: str) -> BadInput:
    return BadInput(Reason.INVALID_REQUEST, "database", given=given, expected=_EXPECTED)
