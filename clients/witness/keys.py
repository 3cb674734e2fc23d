"""The keys that a witness cosigns with: PKCS#8 PEM files, made when they are first needed."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from secrets import token_hex
from typing import TypeAlias

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.mldsa import MLDSA44PrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)

from clients.keyfile import read_private
from clients.new_file import move_to_new, write_private
from ledger.cosignature import Cosigner
from ledger.errors import BadInput, Reason
from ledger.note import COSIGNATURE_ED25519, VerifierKey

PASSPHRASE_VARIABLE = "SUYUAN_WITNESS_KEY_PASSPHRASE"  # noqa: S105 - the variable's name
"""The environment variable that opens encrypted keys."""

WitnessKey: TypeAlias = Ed25519PrivateKey | MLDSA44PrivateKey


def cosigners(name: str, key: Path, ml_dsa_key: Path | None) -> tuple[Cosigner, ...]:
    """What a witness of this name cosigns with; a key whose file is not there is made.

    Args:
        name: the witness's name, such as `witness.example/w1`.
        key: file of an Ed25519 key.
        ml_dsa_key: file of an ML-DSA-44 key; None for a witness without one.

    Raises:
        BadInput: the name is none for a key, or a file holds no key of its kind (`BAD_KEY`); a file cannot be read or
            written, or others may read it (`INVALID_REQUEST`).
    """
    if not 1 <= len(name.encode(errors="surrogatepass")) <= 255:  # tlog-cosignature: cosigner_name<1..2^8-1>
        given, expected = f"{len(name)} characters", "1 to 255 bytes"
        raise BadInput(Reason.BAD_KEY, "name of a witness", given=given, expected=expected)
    VerifierKey.of(name, bytes(32), COSIGNATURE_ED25519)  # refuses a bad name before a key is made for it
    made = [Cosigner(name, _key(key, Ed25519PrivateKey, Ed25519PrivateKey.generate))]
    if ml_dsa_key is not None:
        made.append(Cosigner(name, _key(ml_dsa_key, MLDSA44PrivateKey, MLDSA44PrivateKey.generate)))
    return tuple(made)


def _key(path: Path, kind: type[WitnessKey], generate: Callable[[], WitnessKey]) -> WitnessKey:
    if not path.exists():
        _make(path, generate())
    pem = read_private(path)
    passphrase = os.environ.get(PASSPHRASE_VARIABLE, "").encode() if b"ENCRYPTED" in pem else None
    subject, expected = f"key of the witness in {path}", f"{kind.__name__} as PKCS#8 PEM"
    try:
        key = load_pem_private_key(pem, passphrase)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        given = "something else" if passphrase is None else f"a key that ${PASSPHRASE_VARIABLE} does not open"
        raise BadInput(Reason.BAD_KEY, subject, given=given, expected=expected) from error
    if not isinstance(key, kind):
        raise BadInput(Reason.BAD_KEY, subject, given=type(key).__name__, expected=expected)
    return key


def _make(path: Path, key: WitnessKey) -> None:
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    # Another process may be making the same key. The file gets its name when it is whole, and the first one keeps it.
    draft = path.with_name(f".{path.name}.{token_hex(8)}")
    write_private(draft, pem)
    try:
        move_to_new(draft, path)
    except BadInput:
        if not path.exists():
            raise
    finally:
        with suppress(OSError):
            draft.unlink()
