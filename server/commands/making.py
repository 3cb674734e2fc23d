"""`init` and `vkey`: a new log, and what to believe it by."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from ledger.errors import BadInput, Conflict, LedgerError, Reason
from ledger.event import Kind
from ledger.sequence import Sequenced, Submission
from server.clock import wall_clock_us
from server.commands.opening import origin_of, vkeys_of
from server.commands.options import (
    DEFAULT_DATABASE,
    DEFAULT_LOG_KEYS,
    DatabaseOption,
    Format,
    FormatOption,
    LogKeysOption,
    print_result,
)
from server.config import read_log_keys
from server.store import queries
from server.store.database import Database
from server.store.store import Store
from server.writer import Writer


def init(
    genesis: Annotated[
        Path, typer.Option("--genesis", help="Signed genesis, as `suyuan regulator genesis` writes it.")
    ],
    database: DatabaseOption = DEFAULT_DATABASE,
    log_keys: LogKeysOption = DEFAULT_LOG_KEYS,
    output: FormatOption = Format.TEXT,
) -> None:
    """Make a log from a genesis that the root regulator has signed.

    The log's signing key is made too, unless the file is there. Running it again with the same genesis changes
    nothing.

    Example: `suyuan operator init --genesis genesis.bin`
    """
    submission = _read_genesis(genesis)
    origin = submission.event.message.genesis.origin
    for log_key in log_keys:
        if not log_key.exists():
            _make_log_key(log_key)
    signers = read_log_keys(log_keys, origin)
    store = Store.create(database)
    try:
        _require_origin(store, database, origin)
        writer = Writer(store, *signers)
        writer.load()
        if writer.head is None:
            verdict = writer.write([submission], wall_clock_us()).batch.verdicts[0]
            if isinstance(verdict, LedgerError):
                raise verdict
            made = isinstance(verdict, Sequenced)
        else:
            made = False
            _require_same_genesis(writer, submission, database)
    finally:
        store.close()
    vkeys = [str(signer.vkey) for signer in signers]
    result = {"origin": origin, "vkey": vkeys[0], "vkeys": vkeys, "database": str(database), "made": made}
    text = "\n".join(
        [
            f"{'Made' if made else 'There already is'} the log {origin} in {database}",
            *(f"Verifier key: {key}" for key in vkeys),
        ]
    )
    print_result(output, result, text)


def vkey(
    database: DatabaseOption = DEFAULT_DATABASE,
    log_keys: LogKeysOption = DEFAULT_LOG_KEYS,
    output: FormatOption = Format.TEXT,
) -> None:
    """Print the log's verifier key: what clients need to believe it.

    While the log changes its key, a line for each `--log-key`.

    Example: `export SUYUAN_VKEY=$(suyuan operator vkey)`
    """
    store = Store.open(database)
    try:
        vkeys = [str(key) for key in vkeys_of(store, database, log_keys)]
    finally:
        store.close()
    print_result(output, {"vkey": vkeys[0], "vkeys": vkeys}, "\n".join(vkeys))


def _read_genesis(path: Path) -> Submission:
    expected = "a signed genesis, as `suyuan regulator genesis` writes it"
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise BadInput(
            Reason.INVALID_REQUEST, f"genesis {path}", given=error.strerror or "no file", expected=expected
        ) from error
    submission = Submission.read(raw)
    if submission.event.kind is not Kind.GENESIS:
        raise BadInput(
            Reason.INVALID_REQUEST, f"genesis {path}", given=f"a {submission.event.kind}", expected=expected
        )
    return submission


def _make_log_key(path: Path) -> None:
    pem = Ed25519PrivateKey.generate().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    # O_EXCL: a key that somebody else made meanwhile is never overwritten.
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(pem)
        file.flush()
        os.fsync(file.fileno())


def _require_same_genesis(writer: Writer, submission: Submission, database: Database) -> None:
    verdict = writer.write([submission], wall_clock_us()).batch.verdicts[0]
    if isinstance(verdict, LedgerError | Sequenced) or verdict.recorded.index != 0:
        raise Conflict(
            Reason.DUPLICATE_EVENT,
            f"database {database}",
            given=f"another genesis of {writer.origin}",
            expected="the genesis that the log in it began with, or an empty database",
        )


def _require_origin(store: Store, database: Database, origin: str) -> None:
    with store.snapshot() as connection:
        empty = queries.head(connection) is None
    there = origin if empty else origin_of(store, database)
    if there != origin:
        raise Conflict(
            Reason.DUPLICATE_EVENT,
            f"log in {database}",
            given=f"genesis of {origin}",
            expected=f"that of {there}, or an empty database",
        )
