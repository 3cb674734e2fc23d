"""What `suyuan regulator witness` is told, and what it does with it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from clients.cli.output import shown, utc_text
from clients.cli.session import Local
from clients.new_file import file_refusal
from clients.witness.keys import PASSPHRASE_VARIABLE, cosigners
from ledger.cosignature import Cosigner
from ledger.errors import BadInput, Reason
from ledger.note import VerifierKey
from ledger.policy import MAX_BYTES, Policy
from ledger.witness import KnownLogs, known_logs

NameOption = Annotated[
    str | None,
    typer.Option(
        "--name",
        envvar="SUYUAN_WITNESS_NAME",
        metavar="NAME",
        help="The witness's name, for ever: such as witness.example/w1.",
    ),
]
KeyOption = Annotated[
    Path,
    typer.Option(
        "--key",
        envvar="SUYUAN_WITNESS_KEY",
        metavar="FILE",
        help=f"Its Ed25519 key (PKCS#8 PEM); made if there is none. ${PASSPHRASE_VARIABLE} opens an encrypted one.",
    ),
]
MlDsaKeyOption = Annotated[
    Path | None,
    typer.Option(
        "--ml-dsa-key",
        envvar="SUYUAN_WITNESS_ML_DSA_KEY",
        metavar="FILE",
        help="A second key, ML-DSA-44, safe from quantum computers; made if there is none. Both cosign then.",
    ),
]
DatabaseOption = Annotated[
    Path,
    typer.Option(
        "--database",
        envvar="SUYUAN_WITNESS_DATABASE",
        metavar="FILE",
        help="What it remembers (SQLite); made if there is none. Never restore an older copy of it.",
    ),
]
NewDatabaseOption = Annotated[
    bool,
    typer.Option(
        "--new-database",
        help="Begin with an empty database although the key is there: only for a key that has never cosigned.",
    ),
]
LogOption = Annotated[
    list[str] | None,
    typer.Option(
        "--log",
        metavar="VKEY",
        help="A log to watch, by its verifier key, and after a blank its origin if that is not the key's name. May be "
        "repeated; a second key of one log is for when it changes its key.",
    ),
]
PolicyOption = Annotated[
    Path | None,
    typer.Option(
        "--policy",
        envvar="SUYUAN_WITNESS_POLICY",
        metavar="FILE",
        help="Watch the logs of this policy (C2SP tlog-policy).",
    ),
]
ListenOption = Annotated[
    str,
    typer.Option(
        "--listen",
        envvar="SUYUAN_WITNESS_LISTEN",
        metavar="HOST:PORT",
        help="Where to answer; port 0 takes a free one.",
    ),
]
TlsCertOption = Annotated[
    Path | None, typer.Option("--tls-cert", metavar="FILE", help="Certificate chain (PEM): talk HTTPS.")
]
TlsKeyOption = Annotated[
    Path | None, typer.Option("--tls-key", metavar="FILE", help="Its private key (PEM).")
]
ReadyFileOption = Annotated[
    Path | None,
    typer.Option("--ready-file", metavar="FILE", help="Write the URL into this file once it is served."),
]
JsonLogsOption = Annotated[bool, typer.Option("--json-logs", help="Log JSON lines instead of columns.")]
PrintVkeyOption = Annotated[
    bool, typer.Option("--print-vkey", help="Print the witness's verifier keys, and serve nothing.")
]
EvidenceOption = Annotated[
    bool,
    typer.Option("--evidence", help="Print the checkpoints that were refused and kept, and serve nothing."),
]

DEFAULT_KEY = Path("witness.pem")
DEFAULT_DATABASE = Path("witness.db")
DEFAULT_LISTEN = "127.0.0.1:7380"


def witness(
    session: Local,
    *,
    name: str | None,
    key: Path,
    ml_dsa_key: Path | None,
    database: Path,
    new_database: bool,
    logs: list[str] | None,
    policy: Path | None,
    listen: str,
    tls_cert: Path | None,
    tls_key: Path | None,
    ready_file: Path | None,
    json_logs: bool,
    print_vkey: bool,
    evidence: bool,
) -> None:
    """Serve a witness, or print what was asked for."""
    if evidence:
        _print_evidence(session, database)
        return
    if not name:
        raise typer.BadParameter("--name is needed")
    if (tls_cert is None) != (tls_key is None):
        raise typer.BadParameter("--tls-cert and --tls-key go together")
    if print_vkey:
        if not key.exists():
            _require_memory(database, key, ml_dsa_key, new=new_database)
        _print_vkeys(session, cosigners(name, key, ml_dsa_key))
        return
    watched = _watched(logs or [], policy)
    _require_memory(database, key, ml_dsa_key, new=new_database)
    from clients.witness.serving import Settings, serve  # noqa: PLC0415 - help and keys need no HTTP server

    serve(
        Settings(
            cosigners=cosigners(name, key, ml_dsa_key),
            logs=watched,
            database=database,
            listen=listen,
            tls=(tls_cert, tls_key) if tls_cert is not None and tls_key is not None else None,
            ready_file=ready_file,
            json_logs=json_logs,
        )
    )


def _require_memory(database: Path, *keys: Path | None, new: bool) -> None:
    """Make the database if there is neither that nor a key; a key that has lost its database may cosign a fork.

    The database is made before the keys: a crash in between leaves no key that would have to be refused.
    """
    from clients.witness.memory import Memory  # noqa: PLC0415 - only a witness has a database

    there = [key for key in keys if key is not None and key.exists()]
    if there and not new and not database.is_file():
        raise BadInput(
            Reason.INVALID_REQUEST,
            f"database {database}",
            given=f"no file, and the key {there[0]}",
            expected="what this key has cosigned, or --new-database for a key that never has",
        )
    Memory(database).close()


def _watched(logs: list[str], policy: Path | None) -> KnownLogs:
    keys = []
    for text in logs:
        vkey, _, origin = text.partition(" ")
        key = VerifierKey.parse(vkey)
        keys.append((origin or key.name, key))
    if policy is not None:
        try:
            with policy.open("rb") as file:
                raw = file.read(MAX_BYTES + 1)
        except OSError as error:
            raise file_refusal(policy, error.strerror, "a policy that this user may read") from error
        keys += [(log.vkey.name, log.vkey) for log in Policy.parse(raw).logs]
    watched = known_logs(keys)
    if not watched:
        expected = "at least one, by --log or in --policy"
        raise BadInput(Reason.INVALID_REQUEST, "logs to watch", given="none", expected=expected)
    return watched


def _print_vkeys(session: Local, keys: tuple[Cosigner, ...]) -> None:
    vkeys = [str(cosigner.vkey) for cosigner in keys]
    session.out.result({"name": keys[0].name, "vkeys": vkeys}, vkeys)


def _print_evidence(session: Local, database: Path) -> None:
    from clients.witness.memory import Memory  # noqa: PLC0415 - only a witness has a database

    if not database.is_file():
        raise file_refusal(database, "no file", "the database of a witness")
    memory = Memory(database)
    try:
        kept = memory.evidence()
    finally:
        memory.close()
    for one in kept:
        refused = one.refused.decode()
        cosigned = None if one.cosigned is None else one.cosigned.decode()
        at, origin = utc_text(one.seen_s * 1_000_000), refused.partition("\n")[0]
        meaning = (
            "the log misbehaved" if one.conclusive else "refused for its proof; by itself it proves nothing"
        )
        session.out.result(
            {
                "id": one.id,
                "origin": origin,
                "conclusive": one.conclusive,
                "seen_at": at,
                "reason": one.reason,
                "refused": refused,
                "cosigned": cosigned,
            },
            [
                f"Evidence {one.id} of {at}: {meaning}",
                f"  {shown(one.reason)}",
                "Refused:",
                *_shown_note(refused),
                *(["Cosigned before:", *_shown_note(cosigned)] if cosigned else []),
            ],
        )
    if not kept and not session.out.is_json:
        session.out.note("Nothing was refused that is worth keeping.")


def _shown_note(note: str) -> list[str]:
    return [f"  {shown(line)}".rstrip() for line in note.split("\n")]
