"""`suyuan keygen`: a signing key, or the public half of one."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Annotated, Final

import typer
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_der_public_key

from clients.cli.commands import command
from clients.cli.given import local
from clients.cli.inputs import ask_passphrase, first_line
from clients.cli.options import word_option
from clients.cli.session import Local
from clients.cli.settings import default_key_path
from clients.cli.words import KeyKind
from clients.keyfile import generate, read_key, write_key
from clients.new_file import file_refusal, write_new
from ledger.errors import BadInput, Reason
from ledger.keys import Algorithm, PublicKey

_ALGORITHMS: Final = {KeyKind.ED25519: Algorithm.ED25519, KeyKind.P256: Algorithm.ECDSA_P256_SHA256}

app = typer.Typer(rich_markup_mode=None, add_completion=False)


@command(app, given=local)
def keygen(
    session: Local,
    *,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out", metavar="FILE", help="Where the key goes; by default where --key is looked for."
        ),
    ] = None,
    algorithm: Annotated[
        KeyKind, word_option("--algorithm", KeyKind, "Kind of key, by default ed25519")
    ] = KeyKind.ED25519,
    passphrase_file: Annotated[
        Path | None,
        typer.Option(
            "--passphrase-file",
            metavar="FILE",
            help="Encrypt the key with this file's first line. Else $SUYUAN_KEY_PASSPHRASE, or you are asked.",
        ),
    ] = None,
    no_passphrase: Annotated[
        bool,
        typer.Option("--no-passphrase", help="Do not encrypt the key: only the file's mode protects it."),
    ] = False,
    show: Annotated[
        Path | None,
        typer.Option("--show", metavar="FILE", help="Make nothing; print the public half of this key."),
    ] = None,
) -> None:
    """Make a signing key: FILE is yours alone, FILE.pub goes to who registers you.

    A key file is never written over. There is no way to get a lost key back; whoever accredited you can register a
    new one.

    Example:
      suyuan keygen --out till-2.pem
    """
    if show is not None:
        key = read_key(show, lambda: _passphrase(passphrase_file, show))
        _tell(session, show, None, key.public_key, encrypted=None)
        return
    path = out or session.settings.path("key") or default_key_path()
    public_path = path.with_name(f"{path.name}.pub")
    if public_path.exists():
        raise file_refusal(public_path, "a file that exists", "a new file for the public key")
    passphrase = None if no_passphrase else _new_passphrase(passphrase_file)
    key = generate(_ALGORITHMS[algorithm])
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise file_refusal(path.parent, error.strerror, "a folder that can be made") from error
    write_key(path, key, passphrase)
    # Without it the public half is still to be had, by --show.
    write_new(public_path, _pem(key.public_key).encode())
    _tell(session, path, public_path, key.public_key, encrypted=passphrase is not None)


def _tell(
    session: Local, path: Path, public_path: Path | None, key: PublicKey, *, encrypted: bool | None
) -> None:
    pem = _pem(key)
    told = {
        "key_file": str(path),
        "public_key_file": None if public_path is None else str(public_path),
        "key_id": key.key_id.hex(),
        "algorithm": next(kind for kind, algorithm in _ALGORITHMS.items() if algorithm is key.algorithm),
        "encrypted": encrypted,
        "public_key": pem,
    }
    lines = [f"Key {key.key_id.hex()}"]
    if public_path is not None:
        lines += [
            f"  {path} is yours alone{'' if encrypted else ', and not encrypted'}",
            f"  {public_path} goes to who registers you",
        ]
    session.out.result(told, [*lines, pem.rstrip("\n")])


def _pem(key: PublicKey) -> str:
    pem = load_der_public_key(key.spki).public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    return pem.decode("ascii")


def _new_passphrase(path: Path | None) -> bytes:
    if path is not None or os.environ.get("SUYUAN_KEY_PASSPHRASE") or not sys.stdin.isatty():
        return _passphrase(path, None)
    first = ask_passphrase("Passphrase for the new key: ")
    if ask_passphrase("Once more: ") != first:
        raise BadInput(
            Reason.INVALID_REQUEST, "passphrase", given="two different ones", expected="the same twice"
        )
    return first


def _passphrase(path: Path | None, key: Path | None) -> bytes:
    if path is not None:
        return first_line(path)
    told = os.environ.get("SUYUAN_KEY_PASSPHRASE")
    return told.encode() if told else ask_passphrase(f"Passphrase of {key}: " if key else "Passphrase: ")
