"""How a service is set up."""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass, field
from pathlib import Path

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from ledger.errors import BadInput, Reason
from ledger.note import NoteSigner
from server.limits import Limits


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
    """Written when the service answers: its address, a line; a second line is the URL of the HTTP read side, if any."""


@dataclass(frozen=True, slots=True)
class HttpSettings:
    """Everything that the HTTP read side is told when it starts."""

    listen: str = "127.0.0.1:7480"
    """Host and port; port 0 takes a free one."""
    tls: Tls | None = None
    """Readers are never asked for certificates: what they read is public."""
    prefix: str = ""
    """Path in front of all URLs, without a slash at its end; or empty."""
    read_threads: int = 4
    connections: int = 500
    """Readers that are answered at once; further ones are told to come back."""
    stop_seconds: int = 10
    """How long answers on their way may take to leave when the service stops."""


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
