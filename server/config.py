"""How a service is set up."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from ledger.errors import BadInput, Reason
from ledger.identifiers import printable
from ledger.note import NoteSigner, VerifierKey
from ledger.policy import MAX_BYTES, Policy
from server.allowance import KeyAllowance
from server.limits import Limits
from server.witnessing.pace import Pace

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
    watchers: int = 200
    """Calls of WatchEvents at once; further ones are told to come back."""
    stop_seconds: float = 10.0
    """How long calls in flight may take to end when the service stops."""
    ready_file: Path | None = None
    """Written when the service answers: its address, a line; then the URLs of the HTTP read side and of the metrics, if
    there are any."""
    witness_policy: Policy | None = None
    """Whose cosignatures checkpoints are published with; None if the log has no witnesses."""
    witness_pace: Pace = field(default_factory=Pace)
    key_allowance: KeyAllowance | None = None
    """How much each key may have recorded; None: as much as there is room for."""
    metrics_listen: str | None = None
    """Host and port for `/metrics`, `/healthz` and `/readyz`; None: nowhere."""
    otlp_endpoint: str | None = None
    """Where traces go; None: nowhere."""


def read_witness_policy(path: Path, vkeys: Sequence[VerifierKey]) -> Policy:
    """A policy (C2SP tlog-policy) from a file.

    Args:
        path: the file.
        vkeys: the log's own keys. If the policy names logs, one of these has to be among them: the file is then for
            clients too, and one that says another key is not for this log.

    Raises:
        BadInput: `INVALID_REQUEST` if there is none; as `Policy.parse` says; `BAD_KEY` if it is another log's.
    """
    try:
        with path.open("rb") as file:
            policy = Policy.parse(file.read(MAX_BYTES + 1))
    except OSError as error:
        raise BadInput(
            Reason.INVALID_REQUEST,
            f"witness policy {path}",
            given=error.strerror or "no file",
            expected="a policy as C2SP tlog-policy has it",
        ) from error
    if policy.logs and not set(vkeys).intersection(log.vkey for log in policy.logs):
        raise BadInput(
            Reason.BAD_KEY,
            f"log lines of the witness policy {path}",
            given=", ".join(log.vkey.label for log in policy.logs),
            expected=f"this log, {' or '.join(vkey.label for vkey in vkeys)}",
        )
    return policy


def read_log_keys(paths: Sequence[Path], origin: str) -> tuple[NoteSigner, ...]:
    """The log's signing keys, each as `read_log_key` says: several while the log changes its key.

    Raises:
        BadInput: `BAD_KEY`, also if two files hold one key.
    """
    signers = tuple(read_log_key(path, origin) for path in paths)
    keys = [signer.vkey for signer in signers]
    for number, key in enumerate(keys):
        if key in keys[:number]:
            raise BadInput(
                Reason.BAD_KEY,
                f"log key {paths[number]}",
                given=f"the key of {paths[keys.index(key)]}",
                expected="another key",
            )
    return signers


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
    metrics_listen: str | None = None
    """As in `Settings`, where the read side is a process of its own."""


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
    # Of several keys, the passphrase is that of those which have one: a log may change from a plain key to another.
    passphrase = os.environ.get("SUYUAN_LOG_KEY_PASSPHRASE") if b"ENCRYPTED" in pem else None
    try:
        key = load_pem_private_key(pem, passphrase.encode() if passphrase else None)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise BadInput(
            Reason.BAD_KEY, f"log key {path}", given="something else", expected=expected
        ) from error
    if not isinstance(key, Ed25519PrivateKey):
        raise BadInput(Reason.BAD_KEY, f"log key {path}", given=type(key).__name__, expected=expected)
    return NoteSigner(origin, key)
