"""Private keys in files: PKCS#8 PEM (RFC 5958), for their owner's eyes only.

A key file is made once and never written over: a key that is gone is gone for good, and with it the right to speak for
its holder until an accreditor adds another one.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from pathlib import Path
from typing import TypeAlias

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from clients.new_file import file_refusal, write_private
from ledger.errors import BadInput, Reason
from ledger.keys import Algorithm, PrivateKey

MAX_KEY_FILE_BYTES = 65_536
"""No private key in PEM comes near it."""

PassphraseSource: TypeAlias = Callable[[], bytes]
"""Where a passphrase comes from; asked only if the key is encrypted."""


def generate(algorithm: Algorithm = Algorithm.ED25519) -> PrivateKey:
    """A new key, from the operating system's random numbers."""
    if algorithm is Algorithm.ED25519:
        return PrivateKey.of(Ed25519PrivateKey.generate())
    return PrivateKey.of(ec.generate_private_key(ec.SECP256R1()))


def write_key(path: Path | str, key: PrivateKey, passphrase: bytes | None) -> None:
    """Write a key to a new file that only its owner can read (mode 0600).

    Args:
        path: the file; its folder must be there.
        key: what to write.
        passphrase: encrypts the key; None writes it plain.

    Raises:
        BadInput: `INVALID_REQUEST` if the file exists or cannot be written, `BAD_KEY` if the passphrase is empty or too
            long.
    """
    write_private(Path(path), key.to_pem(passphrase))


def read_key(path: Path | str, passphrase_source: PassphraseSource | None = None) -> PrivateKey:
    """Read a key from its file.

    Args:
        path: the file.
        passphrase_source: gives the passphrase of an encrypted key; not asked for a plain one.

    Raises:
        BadInput: `INVALID_REQUEST` if it cannot be read, is no regular file, or others than its owner may read or
            change it; `BAD_KEY` if it holds no usable key, or the passphrase does not open it.
    """
    pem = read_private(path)
    passphrase = passphrase_source() if passphrase_source is not None and b"ENCRYPTED" in pem else None
    try:
        return PrivateKey.from_pem(pem, passphrase)
    except BadInput as error:
        subject = f"{error.subject} in {path}"
        raise BadInput(error.reason, subject, given=error.given, expected=error.expected) from None


def read_private(path: Path | str) -> bytes:
    """What is in the file of a private key.

    Raises:
        BadInput: `INVALID_REQUEST` if it cannot be read, is no regular file, or others than its owner may read or
            change it; `BAD_KEY` if it is too large for a key.
    """
    try:
        # A pipe would keep us waiting for somebody to write into it.
        descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0))
    except OSError as error:
        raise file_refusal(Path(path), error.strerror, "a file that this user may read") from error
    try:
        # Asked of the open file, so that nobody can put another one in its place in between.
        mode = os.fstat(descriptor).st_mode
        if not stat.S_ISREG(mode):
            raise file_refusal(Path(path), "something else", "a regular file")
        if os.name == "posix" and mode & 0o077:
            # What others may read, we may too: to tell a key that is meant for everybody from one that is not.
            if b"PUBLIC KEY" in os.read(descriptor, 64):
                given, expected = "a public key", "the private key: by `suyuan keygen` the file without .pub"
                raise BadInput(Reason.BAD_KEY, f"private key in {path}", given=given, expected=expected)
            given = f"mode {stat.S_IMODE(mode):04o}, which lets others read or change it"
            raise file_refusal(Path(path), given, f"mode 0600 (chmod 600 {path})")
        with os.fdopen(descriptor, "rb", closefd=False) as file:
            pem = file.read(MAX_KEY_FILE_BYTES + 1)
    finally:
        os.close(descriptor)
    if len(pem) > MAX_KEY_FILE_BYTES:
        given, expected = f"more than {MAX_KEY_FILE_BYTES} bytes", "a PEM file"
        raise BadInput(Reason.BAD_KEY, f"private key in {path}", given=given, expected=expected)
    return pem
