"""`backup` and `restore`: the log in a file, and a database made from it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from ledger.errors import BadInput, Reason
from ledger.note import VerifierKey
from server.backup.format import BackupReader
from server.backup.restoring import restore, verify
from server.backup.rollback import Outside, ask_outside
from server.backup.taking import take
from server.commands.opening import origin_of
from server.commands.options import (
    DEFAULT_DATABASE,
    DEFAULT_LOG_KEYS,
    DatabaseOption,
    Format,
    FormatOption,
    LogKeysOption,
    NewDatabaseOption,
    WitnessPolicyOption,
    print_result,
    progress_bar,
)
from server.config import read_log_keys, read_witness_policy
from server.store.store import Store

VkeysOption = Annotated[
    list[str] | None,
    typer.Option(
        "--vkey",
        metavar="VKEY",
        help="The log's verifier key, in place of `--log-key`; repeat it while the log changes its key.",
    ),
]


def backup_command(
    out: Annotated[Path, typer.Option("--out", metavar="FILE", help="New file to write; it must not exist.")],
    database: DatabaseOption = DEFAULT_DATABASE,
    log_keys: LogKeysOption = DEFAULT_LOG_KEYS,
    vkeys: VkeysOption = None,
    output: FormatOption = Format.TEXT,
) -> None:
    """Write the log into one file, while the service goes on.

    The file holds all entries and the signed checkpoint; everything else is made anew from them. It serves SQLite and
    PostgreSQL alike, and so is the way from one to the other. The log's signing key is not in it.

    Example: `suyuan operator backup --database suyuan.db --out monday.backup`
    """
    store = Store.open(database, read_only=True)
    try:
        keys = _vkeys(vkeys, log_keys, origin_of(store, database))
        with progress_bar("Writing") as progress:
            made = take(store, keys, out, progress)
    finally:
        store.close()
    checkpoint, published = made.checkpoint, made.published
    result: dict[str, object] = {
        "file": str(out),
        "origin": checkpoint.origin,
        "entries": checkpoint.size,
        "root": checkpoint.root.hex(),
        "published": published.size if published else None,
        "bytes": made.bytes,
        "sha256": made.sha256,
    }
    text = (
        f"Wrote {checkpoint.size} entries of {checkpoint.origin} into {out}: {made.bytes} bytes\n"
        f"SHA-256 {made.sha256}\n"
        "The log's signing key is not in it: keep that elsewhere."
    )
    print_result(output, result, text)


def restore_command(
    backup: Annotated[
        Path, typer.Option("--from", metavar="FILE", help="What `operator backup` has written.")
    ],
    database: NewDatabaseOption,
    log_keys: LogKeysOption = DEFAULT_LOG_KEYS,
    vkeys: VkeysOption = None,
    witness_policy: WitnessPolicyOption = None,
    seen: Annotated[
        list[Path] | None,
        typer.Option(
            "--seen", metavar="FILE", help="A checkpoint of the log that somebody has kept; repeatable."
        ),
    ] = None,
    accept_rollback: Annotated[
        bool, typer.Option("--accept-rollback", help="Restore although outsiders have seen a newer state.")
    ] = False,
    output: FormatOption = Format.TEXT,
) -> None:
    """Make a database from a backup.

    The whole backup is verified first: its entries against the log's signature, and both against what the witnesses of
    `--witness-policy` and the files of `--seen` have seen. A backup that is older than that is refused: what the
    log records after it would contradict what it has signed already, and witnesses would never cosign it again.

    Example: `suyuan operator restore --from monday.backup --database new.db --witness-policy witnesses.policy`
    """
    reader = BackupReader(backup)
    header = reader.header.checkpoint
    keys = _vkeys(vkeys, log_keys, header.origin)
    policy = read_witness_policy(witness_policy, keys) if witness_policy is not None else None
    outside = ask_outside(policy, seen or [], keys)
    if not accept_rollback:
        outside.require_not_older(header.size)
    with progress_bar("Verifying") as progress:
        verify(reader, keys, [one.checkpoint for one in outside.seen], progress)
    store = Store.create(database)
    try:
        with progress_bar("Restoring") as progress:
            checkpoint = restore(reader, store, keys, progress)
    finally:
        store.close()
    older_by = outside.older_by(checkpoint.size)
    result: dict[str, object] = {
        "database": database.shown,
        "origin": checkpoint.origin,
        "entries": checkpoint.size,
        "root": checkpoint.root.hex(),
        "vkeys": [str(key) for key in keys],
        "seen": [{"by": one.by, "size": one.checkpoint.size} for one in outside.seen],
        "silent": list(outside.silent),
        "older_by": older_by,
    }
    lines = [
        f"Restored {checkpoint.size} entries of {checkpoint.origin} into {database.shown}",
        *_told_of(outside, older_by, asked=policy is not None or bool(seen)),
        f"The log's signing key is not in a backup: `serve` needs the one of {keys[0]}",
    ]
    print_result(output, result, "\n".join(lines))


def _told_of(outside: Outside, older_by: int, *, asked: bool) -> list[str]:
    lines = [f"No answer: {silent}" for silent in outside.silent]
    if older_by and outside.newest is not None:
        lines.append(
            f"ROLLED BACK: {outside.newest.by} has seen {older_by} entries more. The next entry makes this a fork: "
            "witnesses will not cosign it, and clients that saw more will refuse it. Tell them before you serve it."
        )
    elif not asked:
        lines.append(
            "Nobody was asked whether the log was longer than this: `--witness-policy` and `--seen` do that."
        )
    return lines


def _vkeys(given: Sequence[str] | None, log_keys: Sequence[Path], origin: str) -> list[VerifierKey]:
    """The log's verifier keys, as they were given or from the files of its signing keys."""
    if not given:
        return [signer.vkey for signer in read_log_keys(log_keys, origin)]
    keys = [VerifierKey.parse(text) for text in given]
    for key in keys:
        if key.name != origin:
            raise BadInput(Reason.BAD_KEY, "verifier key", given=key.label, expected=f"one of {origin}")
    return keys
