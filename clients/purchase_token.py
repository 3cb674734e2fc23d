"""The purchase token: what makes its holder the buyer of one sale.

    suyuan-purchase-v1:<base64url of 84 bytes, without padding>

The bytes are the event id of the sale (32), the purchase key as PKCS#8 DER (RFC 8410: 48 bytes for Ed25519), and the
first 4 bytes of the SHA-256 of all before, with the prefix: enough that a slip of the hand or a torn label is told
from a wrong key. The merchant's tool makes it, hands it over as text or as a QR code, and keeps no copy.

It is a secret. It has no place in arguments, logs or error messages, and printing one does not show it.
"""

from __future__ import annotations

import re
from base64 import urlsafe_b64decode, urlsafe_b64encode
from dataclasses import dataclass, field
from hashlib import sha256

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import load_der_private_key

from ledger.errors import BadInput, Reason
from ledger.keys import PrivateKey

PREFIX = "suyuan-purchase-v1:"
_VERSIONED = re.compile(r"suyuan-purchase-v[0-9]+:")
_BODY = re.compile(r"[A-Za-z0-9_-]{112}")
_SALE_BYTES = 32
_CHECKSUM_BYTES = 4


@dataclass(frozen=True, slots=True)
class PurchaseToken:
    """The right to speak as the buyer of a sale."""

    sale: bytes
    """Event id of the sale."""
    key: PrivateKey = field(repr=False)
    """The purchase key, Ed25519."""

    @classmethod
    def parse(cls, text: str) -> PurchaseToken:
        """Read a token's text; blanks and line ends around it are not part of it.

        Raises:
            BadInput: `BAD_KEY` if it is none. What was given is not repeated.
        """
        text = text.strip(" \t\r\n")
        if not text.startswith(PREFIX):
            versioned = _VERSIONED.match(text)
            given = versioned[0] if versioned else f"{len(text)} characters that begin otherwise"
            raise _refusal(given, f"a text that begins with {PREFIX}")
        body = text.removeprefix(PREFIX)
        if not _BODY.fullmatch(body):
            raise _refusal(f"{len(body)} characters after its prefix", "112 letters, digits, '-' and '_'")
        content = urlsafe_b64decode(body)
        content, checksum = content[:-_CHECKSUM_BYTES], content[-_CHECKSUM_BYTES:]
        if checksum != _checksum(content):
            raise _refusal("a checksum that does not hold", "a whole token, without a slip")
        return cls(content[:_SALE_BYTES], _purchase_key(content[_SALE_BYTES:]))

    def text(self) -> str:
        """The token as text: the secret itself."""
        content = self.sale + self.key.to_der()
        return PREFIX + urlsafe_b64encode(content + _checksum(content)).decode("ascii")


def _purchase_key(der: bytes) -> PrivateKey:
    expected = "the PKCS#8 DER of an Ed25519 key"
    try:
        key = load_der_private_key(der, None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise _refusal("a key that cannot be read", expected) from None
    if not isinstance(key, Ed25519PrivateKey):
        raise _refusal("another kind of key", expected)
    # Of this length there is only one encoding of a key.
    return PrivateKey.of(key)


def _checksum(content: bytes) -> bytes:
    return sha256(PREFIX.encode() + content).digest()[:_CHECKSUM_BYTES]


def _refusal(given: str, expected: str) -> BadInput:
    return BadInput(Reason.BAD_KEY, "purchase token", given=given, expected=expected)
