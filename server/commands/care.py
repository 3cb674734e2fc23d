"""`check`, `rebuild` and `witnesses`: looking after a log."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import typer

from ledger.errors import LedgerError, Reason
from server.commands.opening import require_key_of_log, vkeys_of
from server.commands.options import (
    DEFAULT_DATABASE,
    DEFAULT_LOG_KEYS,
    DatabaseOption,
    Format,
    FormatOption,
    LogKeysOption,
    WitnessPolicyOption,
    print_result,
    progress_bar,
)
from server.config import read_witness_policy
from server.store.database import Database
from server.store.store import Store

if TYPE_CHECKING:
    from server.rebuild import Damage


def rebuild_command(
    database: DatabaseOption = DEFAULT_DATABASE,
    log_keys: LogKeysOption = DEFAULT_LOG_KEYS,
    output: FormatOption = Format.TEXT,
) -> None:
    """Write all views anew from the log.

    The log itself is left as it is. Stop the service first: while this runs nothing can be recorded, and appends are
    told to come back later.

    Example: `suyuan operator rebuild --database suyuan.db`
    """
    from server.rebuild import rebuild  # noqa: PLC0415 - help needs none of it

    store = Store.open(database)
    try:
        with progress_bar("Replaying") as progress:
            vkeys = vkeys_of(store, database, log_keys)
            require_key_of_log(store, vkeys)
            size = rebuild(store, vkeys, progress)
    finally:
        store.close()
    print_result(output, {"entries": size}, f"Rebuilt all views from {size} entries.")


def check_command(
    database: DatabaseOption = DEFAULT_DATABASE,
    log_keys: LogKeysOption = DEFAULT_LOG_KEYS,
    output: FormatOption = Format.TEXT,
) -> None:
    """Audit the log in a database, and compare every view with a replay.

    Exit status 0 if all is well, 1 if anything is damaged, 2 if the log key is another one or there is no log.

    Example: `suyuan operator check`
    """
    from server.rebuild import Damage  # noqa: PLC0415 - as above

    try:
        damage = _check(database, log_keys)
    except LedgerError as error:
        if error.reason is not Reason.STORE_DAMAGED:
            raise
        damage = Damage(rows=[str(error)])
    audit = damage.audit
    findings = [str(finding) for finding in audit.findings] if audit else []
    size, more = (audit.size, audit.more_findings) if audit else (0, 0)
    result = {"ok": damage.none, "entries": size, "findings": findings, "more_findings": more}
    lines = [*findings, *([f"and {more} more"] if more else []), *damage.rows]
    text = "\n".join([*lines, f"{'OK' if damage.none else 'DAMAGED'}: {size} entries"])
    print_result(output, {**result, "rows": damage.rows}, text)
    raise typer.Exit(0 if damage.none else 1)


def witnesses(
    database: DatabaseOption = DEFAULT_DATABASE,
    log_keys: LogKeysOption = DEFAULT_LOG_KEYS,
    witness_policy: WitnessPolicyOption = None,
    output: FormatOption = Format.TEXT,
) -> None:
    """Tell which checkpoint is published, and which witnesses have cosigned it.

    Exit status 0 if they are a quorum, 1 if nothing is published or they are none.

    Example: `suyuan operator witnesses --witness-policy witnesses.policy`
    """
    if witness_policy is None:
        raise typer.BadParameter("--witness-policy says whose cosignatures count")
    from server.witnessing.report import witness_report  # noqa: PLC0415 - as above

    store = Store.open(database, read_only=True)
    try:
        vkeys = vkeys_of(store, database, log_keys)
        told = witness_report(store, vkeys, read_witness_policy(witness_policy, vkeys))
    finally:
        store.close()
    print_result(output, told.as_json(), told.as_text())
    raise typer.Exit(0 if told.quorum else 1)


def _check(database: Database, log_keys: list[Path]) -> Damage:
    from server.rebuild import check  # noqa: PLC0415 - as above

    store = Store.open(database, read_only=True)
    try:
        vkeys = vkeys_of(store, database, log_keys)
        require_key_of_log(store, vkeys)
        with progress_bar("Checking") as progress:
            return check(store, vkeys, progress)
    finally:
        store.close()
