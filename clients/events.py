"""Making events: what the ledger's pure middle leaves to others, which are the clock, randomness and files.

A text (a review, a complaint, an order number) is never recorded. An event holds a commitment to it, the SHA-256 of 16
random bytes and the text in UTF-8: who has text and salt can prove what was said, and nobody can guess it from the log.
"""

from __future__ import annotations

import hashlib
import mimetypes
import secrets
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from ledger.chain_key import ChainKey
from ledger.errors import BadInput, Reason
from ledger.event import NONCE_BYTES, Event
from ledger.form import Body
from suyuan.v1 import event_pb2 as pb

SALT_BYTES = 16

MAX_TEXT_BYTES = 65_536
"""A text longer than this is a file; give it as evidence."""


@dataclass(frozen=True, slots=True)
class Circumstances:
    """When and where something happened, and what supports it."""

    at: datetime
    """With an offset from UTC."""
    region: str = ""
    """GB/T 2260 or ISO 3166-1 code, or empty."""
    gln: str = ""
    """Global Location Number, or empty."""
    evidence: tuple[pb.Evidence, ...] = ()


def write_event(chain: ChainKey, body: Body, circumstances: Circumstances) -> Event:
    """A new event, with a nonce that no other has.

    Raises:
        BadInput: as `Event.write`.
    """
    return Event.write(
        chain,
        body,
        occurred_at=circumstances.at,
        nonce=secrets.token_bytes(NONCE_BYTES),
        region=circumstances.region,
        gln=circumstances.gln,
        evidence=circumstances.evidence,
    )


def evidence_of(path: Path) -> pb.Evidence:
    """A file as evidence: its hash, and its media type by its name.

    Raises:
        BadInput: `INVALID_REQUEST` if it cannot be read.
    """
    try:
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").digest()
    except OSError as error:
        raise BadInput(
            Reason.INVALID_REQUEST,
            f"evidence {path}",
            given=error.strerror or "no file",
            expected="a file that can be read",
        ) from error
    media_type = mimetypes.guess_type(path.name)[0] or "application/octet-stream"
    return pb.Evidence(sha256=digest, media_type=media_type)


@dataclass(frozen=True, slots=True)
class Commitment:
    """A text and the salt that hides it; the ledger gets only `digest`."""

    text: str
    salt: bytes

    @classmethod
    def to(cls, text: str) -> Commitment:
        """Commit to a text, with a new salt.

        Raises:
            BadInput: `INVALID_REQUEST` if it is empty or longer than 65,536 bytes.
        """
        try:
            length = len(text.encode())
        except UnicodeEncodeError:
            raise _bad_text("characters that are none") from None
        if not 1 <= length <= MAX_TEXT_BYTES:
            raise _bad_text(f"{length} bytes")
        return cls(text, secrets.token_bytes(SALT_BYTES))

    @property
    def digest(self) -> bytes:
        """SHA-256 of the salt and the text in UTF-8."""
        return hashlib.sha256(self.salt + self.text.encode()).digest()


def _bad_text(given: str) -> BadInput:
    return BadInput(
        Reason.INVALID_REQUEST, "text", given=given, expected=f"1 to {MAX_TEXT_BYTES} bytes of UTF-8"
    )
