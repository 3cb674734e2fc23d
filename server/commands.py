"""`suyuan operator`: making, serving and looking after a log.

The command line finds this app through the entry-point group `suyuan.commands`.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from ledger.checkpoint import Checkpoint, open_checkpoint
from ledger.entry import Entry
from ledger.envelope import Envelope
from ledger.errors import BadInput, Conflict, LedgerError, Reason, ServiceFault
from ledger.event import Event, Kind
from ledger.note import SignedNote, VerifierKey
from ledger.sequence import Sequenced, Submission
from server.config import HttpSettings, Settings, Tls, read_log_keys, read_witness_policy
from server.main import configure_logs, serve, serve_http
from server.rebuild import Damage, check, rebuild
from server.sequencer import wall_clock_us
from server.store import queries
from server.store.damage import damage_of
from server.store.store import Store
from server.witnessing.pace import Pace
from server.witnessing.report import witness_report
from server.writer import Writer

app = typer.Typer(
    name="operator",
    help="Make, serve and look after a log: `init`, then `serve`.",
    no_args_is_help=True,
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
)


class Format(StrEnum):
    """How results are printed."""

    TEXT = "text"
    JSON = "json"


DatabaseOption = Annotated[
    str,
    typer.Option("--database", envvar="SUYUAN_DATABASE", help="SQLite file of the log.", show_default=True),
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

DEFAULT_DATABASE = "suyuan.db"
DEFAULT_LOG_KEYS = [Path("log.pem")]


@app.command()
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
    result = {"origin": origin, "vkey": vkeys[0], "vkeys": vkeys, "database": database, "made": made}
    text = "\n".join(
        [
            f"{'Made' if made else 'There already is'} the log {origin} in {database}",
            *(f"Verifier key: {key}" for key in vkeys),
        ]
    )
    _print(output, result, text)


@app.command("serve")
def serve_command(
    database: DatabaseOption = DEFAULT_DATABASE,
    log_keys: LogKeysOption = DEFAULT_LOG_KEYS,
    listen: Annotated[
        str, typer.Option("--listen", envvar="SUYUAN_LISTEN", help="HOST:PORT; port 0 takes a free one.")
    ] = "127.0.0.1:7443",
    http: Annotated[
        str | None,
        typer.Option(
            "--http", envvar="SUYUAN_HTTP", metavar="HOST:PORT", help="Serve the log's files by HTTP too."
        ),
    ] = None,
    http_prefix: HttpPrefixOption = "",
    tls_cert: TlsCertOption = None,
    tls_key: TlsKeyOption = None,
    tls_client_ca: Annotated[
        Path | None,
        typer.Option(
            "--tls-client-ca",
            help="Demand client certificates signed by this CA (PEM), though not of HTTP's readers.",
        ),
    ] = None,
    witness_policy: WitnessPolicyOption = None,
    witness_interval: Annotated[
        float,
        typer.Option(
            "--witness-interval",
            min=0.1,
            max=3_600,
            help="Seconds between two checkpoints that witnesses are asked for.",
        ),
    ] = 2.0,
    ready_file: ReadyFileOption = None,
    json_logs: JsonLogsOption = False,
    debug: Annotated[bool, typer.Option("--debug", help="Log every batch.")] = False,
) -> None:
    """Serve the log by gRPC until SIGTERM or Ctrl-C.

    With `--http`, its files are served too, as `serve-http` does; the ready file then has their URL as its second line.

    With a witness policy (C2SP tlog-policy) the log's checkpoints are offered to the witnesses in it that have a URL,
    and those are published that a quorum has cosigned.

    Example: `suyuan operator serve --database suyuan.db --listen 127.0.0.1:7443 --http 127.0.0.1:7480`
    """
    configure_logs(as_json=json_logs, debug=debug)
    tls = _tls(tls_cert, tls_key, tls_client_ca)
    if http_prefix and http is None:
        raise typer.BadParameter("--http-prefix goes with --http")
    store = Store.open(database)
    signers = read_log_keys(log_keys, _origin(store, database))
    vkeys = [signer.vkey for signer in signers]
    _require_key_of_log(store, vkeys)
    policy = read_witness_policy(witness_policy, vkeys) if witness_policy is not None else None
    settings = Settings(
        listen=listen,
        tls=tls,
        ready_file=ready_file,
        witness_policy=policy,
        witness_pace=Pace(interval_s=witness_interval),
    )
    http_settings = None if http is None else HttpSettings(listen=http, tls=tls, prefix=http_prefix)
    serve(settings, store, signers, http_settings)


@app.command("serve-http")
def serve_http_command(
    database: DatabaseOption = DEFAULT_DATABASE,
    listen: Annotated[
        str,
        typer.Option(
            "--listen", envvar="SUYUAN_HTTP", metavar="HOST:PORT", help="HOST:PORT; port 0 takes a free one."
        ),
    ] = "127.0.0.1:7480",
    vkeys: Annotated[
        list[str] | None,
        typer.Option(
            "--vkey",
            envvar="SUYUAN_VKEY",
            metavar="VKEY",
            help="The log's verifier key, for the page; repeat it for one that changes its key.",
        ),
    ] = None,
    http_prefix: HttpPrefixOption = "",
    tls_cert: TlsCertOption = None,
    tls_key: TlsKeyOption = None,
    ready_file: ReadyFileOption = None,
    json_logs: JsonLogsOption = False,
) -> None:
    """Serve the log's files by HTTP (C2SP tlog-tiles) until SIGTERM or Ctrl-C.

    It only reads, and needs no signing key: any number of these may serve one database, beside `serve`.

    Example: `suyuan operator serve-http --database suyuan.db --listen 127.0.0.1:7480`
    """
    configure_logs(as_json=json_logs)
    keys = [VerifierKey.parse(key) for key in vkeys or []]
    settings = HttpSettings(listen=listen, tls=_tls(tls_cert, tls_key), prefix=http_prefix)
    store = Store.open(database, read_only=True)
    _require_signed_by(store, database, keys)
    serve_http(settings, store, keys, ready_file)


@app.command("rebuild")
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
    store = Store.open(database)
    try:
        with _progress("Replaying") as progress:
            vkeys = _vkeys(store, database, log_keys)
            _require_key_of_log(store, vkeys)
            size = rebuild(store, vkeys, progress)
    finally:
        store.close()
    _print(output, {"entries": size}, f"Rebuilt all views from {size} entries.")


@app.command("check")
def check_command(
    database: DatabaseOption = DEFAULT_DATABASE,
    log_keys: LogKeysOption = DEFAULT_LOG_KEYS,
    output: FormatOption = Format.TEXT,
) -> None:
    """Audit the log in a database, and compare every view with a replay.

    Exit status 0 if all is well, 1 if anything is damaged, 2 if the log key is another one or there is no log.

    Example: `suyuan operator check`
    """
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
    _print(output, {**result, "rows": damage.rows}, text)
    raise typer.Exit(0 if damage.none else 1)


@app.command()
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
        vkeys = [str(key) for key in _vkeys(store, database, log_keys)]
    finally:
        store.close()
    _print(output, {"vkey": vkeys[0], "vkeys": vkeys}, "\n".join(vkeys))


@app.command()
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
    store = Store.open(database, read_only=True)
    try:
        vkeys = _vkeys(store, database, log_keys)
        told = witness_report(store, vkeys, read_witness_policy(witness_policy, vkeys))
    finally:
        store.close()
    _print(output, told.as_json(), told.as_text())
    raise typer.Exit(0 if told.quorum else 1)


def _check(database: str, log_keys: list[Path]) -> Damage:
    store = Store.open(database, read_only=True)
    try:
        vkeys = _vkeys(store, database, log_keys)
        _require_key_of_log(store, vkeys)
        with _progress("Checking") as progress:
            return check(store, vkeys, progress)
    finally:
        store.close()


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


def _require_same_genesis(writer: Writer, submission: Submission, database: str) -> None:
    verdict = writer.write([submission], wall_clock_us()).batch.verdicts[0]
    if isinstance(verdict, LedgerError | Sequenced) or verdict.recorded.index != 0:
        raise Conflict(
            Reason.DUPLICATE_EVENT,
            f"database {database}",
            given=f"another genesis of {writer.origin}",
            expected="the genesis that the log in it began with, or an empty database",
        )


def _require_origin(store: Store, database: str, origin: str) -> None:
    with store.snapshot() as connection:
        empty = queries.head(connection) is None
    there = origin if empty else _origin(store, database)
    if there != origin:
        raise Conflict(
            Reason.DUPLICATE_EVENT,
            f"log in {database}",
            given=f"genesis of {origin}",
            expected=f"that of {there}, or an empty database",
        )


def _origin(store: Store, database: str) -> str:
    """The log's identity, from its genesis: views may be damaged."""
    with store.snapshot() as connection:
        first = queries.entries_from(connection, 0, 1)
        empty = queries.head_row(connection) is None
    if not first and not empty:
        raise ServiceFault(Reason.STORE_DAMAGED, f"entry 0 in {database}", given="none", expected="a genesis")
    if not first:
        raise _no_log(database)
    try:
        event = Event.parse(Envelope.parse(Entry.parse(first[0].data).envelope).payload)
    except LedgerError as error:
        raise damage_of(f"entry 0 in {database}", error) from error
    return event.message.genesis.origin


def _require_key_of_log(store: Store, vkeys: list[VerifierKey]) -> None:
    """Refuse keys none of which has signed the newest checkpoint, before anybody takes that for damage.

    Raises:
        BadInput: `BAD_KEY`.
    """
    with store.snapshot() as connection:
        row = queries.head_row(connection)
    try:
        note = SignedNote.parse(queries.as_bytes(row.checkpoint if row else b""))
    except LedgerError:
        return  # this is damage indeed, and others tell of it
    if not any(note.signatures_of(vkey) for vkey in vkeys):
        signed = ", ".join(f"{one.name}+{one.key_id.hex()}" for one in note.signatures)
        raise BadInput(
            Reason.BAD_KEY,
            "log key",
            given=", ".join(vkey.label for vkey in vkeys),
            expected=f"a key that has signed the newest checkpoint, {signed}",
        )


def _vkeys(store: Store, database: str, log_keys: list[Path]) -> list[VerifierKey]:
    return [signer.vkey for signer in read_log_keys(log_keys, _origin(store, database))]


def _require_signed_by(store: Store, database: str, keys: list[VerifierKey]) -> None:
    """Refuse a database without a log, and keys with which readers could not verify it."""
    with store.snapshot() as connection:
        head = queries.head(connection)
    if head is None:
        raise _no_log(database)
    if keys:
        note = SignedNote.parse(queries.as_bytes(head.checkpoint))
        open_checkpoint(note.encode(), Checkpoint.parse(note.text).origin, keys)


def _no_log(database: str) -> BadInput:
    return BadInput(
        Reason.NOT_FOUND, f"log in {database}", given="none", expected="a database made by operator init"
    )


def _tls(cert: Path | None, key: Path | None, client_ca: Path | None = None) -> Tls | None:
    if (cert is None) != (key is None) or (client_ca is not None and cert is None):
        raise typer.BadParameter("--tls-cert and --tls-key go together, and --tls-client-ca with them")
    return Tls(cert, key, client_ca) if cert is not None and key is not None else None


@contextmanager
def _progress(what: str) -> Iterator[Callable[[int, int], None]]:
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(
        *columns, console=Console(stderr=True), transient=True, disable=not Console(stderr=True).is_terminal
    ) as bar:
        task = bar.add_task(what, total=None)

        def show(done: int, total: int) -> None:
            bar.update(task, completed=done, total=total)

        yield show


def _print(output: Format, result: dict[str, object], text: str) -> None:
    typer.echo(json.dumps(result, ensure_ascii=False) if output is Format.JSON else text)
