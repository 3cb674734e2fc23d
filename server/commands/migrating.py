"""`migrate`: bringing a database's tables up to date."""

from __future__ import annotations

from typing import Annotated

import typer

from server.commands.options import (
    DEFAULT_DATABASE,
    DatabaseOption,
    Format,
    FormatOption,
    print_result,
)
from server.store.tables import SCHEMA_VERSION


def migrate_command(
    database: DatabaseOption = DEFAULT_DATABASE,
    check_only: Annotated[
        bool, typer.Option("--check", help="Change nothing; exit with status 1 if there is something to do.")
    ] = False,
    output: FormatOption = Format.TEXT,
) -> None:
    """Bring the tables of a database up to date with this software.

    Stop the service and make a backup first: there is no way back. All is done in one transaction, or nothing; a
    database that is up to date is left as it is.

    Example: `suyuan operator migrate --database suyuan.db`
    """
    from server.store.migrate import migrate  # noqa: PLC0415  # Alembic takes long to import

    done = migrate(database, check_only=check_only)
    if done.steps:
        what = (
            "is at version {}; to do until version {}:"
            if check_only
            else "was at version {}; done until version {}:"
        )
        lines = [f"{database} {what.format(done.before, SCHEMA_VERSION)}", *done.steps]
    else:
        lines = [f"{database} is at version {SCHEMA_VERSION}: nothing to do"]
    result: dict[str, object] = {
        "database": str(database),
        "before": done.before,
        "newest": SCHEMA_VERSION,
        "steps": list(done.steps),
        "changed": bool(done.steps) and not check_only,
    }
    print_result(output, result, "\n".join(lines))
    raise typer.Exit(1 if check_only and done.steps else 0)
