"""The options that the operator's commands share, and how results are printed."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from server.store.database import Database


class Format(StrEnum):
    """How results are printed."""

    TEXT = "text"
    JSON = "json"


def _without_password(context: typer.Context, parameter: typer.CallbackParam, database: Database) -> Database:
    """Refuse a password where every process on the machine can read it."""
    source = context.get_parameter_source(parameter.name or "")
    if database.named_with_password and source is not None and source.name == "COMMANDLINE":
        raise typer.BadParameter(
            "a password stands in the command line, where others read it: put the URL into SUYUAN_DATABASE or a "
            "file (@FILE), or the password into ~/.pgpass"
        )
    return database


NewDatabaseOption = Annotated[
    Database,
    typer.Option(
        "--database",
        metavar="FILE|URL|@FILE",
        help="A database that is new, or holds no log.",
        parser=Database.parse,
        callback=_without_password,
    ),
]
DatabaseOption = Annotated[
    Database,
    typer.Option(
        "--database",
        envvar="SUYUAN_DATABASE",
        metavar="FILE|URL|@FILE",
        help="Where the log is: an SQLite file, postgresql://USER@HOST/NAME, or @ and a file with the URL in it.",
        parser=Database.parse,
        callback=_without_password,
        show_default=True,
    ),
]
LogKeysOption = Annotated[
    list[Path],
    typer.Option(
        "--log-key",
        envvar="SUYUAN_LOG_KEY",
        metavar="FILE",
        help="The log's signing key (PKCS#8 PEM, Ed25519). Several while it changes: each signs every checkpoint.",
        show_default=True,
    ),
]
WitnessPolicyOption = Annotated[
    Path | None,
    typer.Option(
        "--witness-policy",
        envvar="SUYUAN_WITNESS_POLICY",
        help="Whose cosignatures the log needs (tlog-policy).",
    ),
]
FormatOption = Annotated[
    Format, typer.Option("--format", envvar="SUYUAN_FORMAT", help="How to print results.", show_default=True)
]

TlsCertOption = Annotated[
    Path | None, typer.Option("--tls-cert", envvar="SUYUAN_TLS_CERT", help="Certificate chain (PEM).")
]
TlsKeyOption = Annotated[
    Path | None, typer.Option("--tls-key", envvar="SUYUAN_TLS_KEY", help="Its private key (PEM).")
]
HttpPrefixOption = Annotated[
    str, typer.Option("--http-prefix", help="Path in front of the log's URLs, such as /fuzhou.")
]
ReadyFileOption = Annotated[
    Path | None, typer.Option("--ready-file", help="Write the address into this file once it is served.")
]
JsonLogsOption = Annotated[bool, typer.Option("--json-logs", help="Log JSON lines instead of columns.")]

MetricsOption = Annotated[
    str | None,
    typer.Option(
        "--metrics",
        envvar="SUYUAN_METRICS",
        metavar="HOST:PORT",
        help="Serve /metrics (Prometheus), /healthz and /readyz there; not for the public.",
    ),
]

DEFAULT_DATABASE = Database.parse("suyuan.db")
DEFAULT_LOG_KEYS = [Path("log.pem")]


@contextmanager
def progress_bar(what: str) -> Iterator[Callable[[int, int], None]]:
    """A bar on standard error for long work; nothing where that is no terminal."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(
        *columns, console=Console(stderr=True), transient=True, disable=not Console(stderr=True).is_terminal
    ) as bar:
        task = bar.add_task(what, total=None)

        def show(done: int, total: int) -> None:
            bar.update(task, completed=done, total=total)

        yield show


def print_result(output: Format, result: dict[str, object], text: str) -> None:
    """Print a result, for programs or for people."""
    typer.echo(json.dumps(result, ensure_ascii=False) if output is Format.JSON else text)
