"""How a service is set up."""

from __future__ import annotations

import os
import re
import stat
from dataclasses import dataclass, field
from pathlib import Path

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from ledger.errors import BadInput, Reason
from ledger.identifiers import printable
from ledger.note import NoteSigner
from server.limits import Limits

_ADDRESS = re.compile(r"(?:\[[0-9A-Fa-f:.%]+\]|[A-Za-z0-9._-]+):([0-9]{1,5})")


@dataclass(frozen=True, slots=True)
class Tls:
    """Files of a server's certificate; `client_ca` demands certificates of clients."""

    certificate: Path
    private_key: Path
    client_ca: Path | None = None


@dataclass(frozen=True, slots=True)
class Settings:
    """Everything that a service is told when it starts."""

    listen: str = "127.0.0.1:7443"
    """Host and port; port 0 takes a free one."""
    tls: Tls | None = None
    limits: Limits = field(default_factory=Limits)
    verify_threads: int = field(default_factory=lambda: os.cpu_count() or 1)
    read_threads: int = 4
    concurrent_calls: int = 1_000
    """Calls that are worked on at once; further ones are told to come back."""
    max_request_bytes: int = 4 * 1024 * 1024
    max_answer_bytes: int = 32 * 1024 * 1024
    stop_seconds: float = 10.0
    """How long calls in flight may take to end when the service stops."""
    ready_file: Path | None = None
    """Written when the service answers: its address, a line."""


def require_address(listen: str) -> str:
    """Where to listen, as it was given.

    Raises:
        BadInput: `INVALID_REQUEST` if it is no host and port; gRPC would take a port modulo 65536.
    """
    match = _ADDRESS.fullmatch(listen)
    if match is None or int(match[1]) > 65_535:
        raise BadInput(
            Reason.INVALID_REQUEST,
            "address",
            given=printable(listen),
            expected="HOST:PORT, such as 127.0.0.1:7443 or [::]:7443, with a port from 0 to 65535",
        )
    return listen


def read_log_key(path: Path, origin: str) -> NoteSigner:
    """The log's signing key from a PKCS#8 PEM file, Ed25519, that only its owner can read.

    Raises:
        BadInput: `BAD_KEY` if there is none, others can read it, or it is another kind of key.
    """
    expected = "an Ed25519 key as PKCS#8 PEM, in a file that only its owner can read"
    try:
        mode = stat.S_IMODE(path.stat().st_mode)
        pem = path.read_bytes()
    except OSError as error:
        raise BadInput(
            Reason.BAD_KEY, f"log key {path}", given=error.strerror or "no file", expected=expected
        ) from error
    if mode & 0o077:
        raise BadInput(Reason.BAD_KEY, f"log key {path}", given=f"mode {mode:04o}", expected="mode 0600")
    passphrase = os.environ.get("SUYUAN_LOG_KEY_PASSPHRASE")
    try:
        key = load_pem_private_key(pem, passphrase.encode() if passphrase else None)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise BadInput(
            Reason.BAD_KEY, f"log key {path}", given="something else", expected=expected
        ) from error
    if not isinstance(key, Ed25519PrivateKey):
        raise BadInput(Reason.BAD_KEY, f"log key {path}", given=type(key).__name__, expected=expected)
    return NoteSigner(origin, key)
