"""Keys that parties sign with, and the interface that anything which can sign presents.

A public key is its DER SubjectPublicKeyInfo (RFC 5280 §4.1.2.7), and its id is the SHA-256 of those bytes. Two
algorithms are in use: Ed25519 (RFC 8032) by default, and ECDSA on P-256 with SHA-256 (FIPS 186-5), which browsers and
hardware tokens have. An ECDSA signature is r ‖ s, 32 bytes each, big-endian (as in IEEE P1363 and WebCrypto), made
deterministically (RFC 6979).

One key has one encoding: compressed points, explicit curve parameters and trailing bytes are refused. So are the
Ed25519 keys of small order, under which a signature proves nothing.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from enum import IntEnum
from functools import lru_cache
from typing import Protocol, cast

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.ec import (
    ECDSA,
    SECP256R1,
    EllipticCurvePrivateKey,
    EllipticCurvePublicKey,
)
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature, encode_dss_signature
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    KeySerializationEncryption,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)

from ledger.errors import BadInput, NotAuthorized, Reason
from suyuan.v1 import entry_pb2

SIGNATURE_BYTES = 64
"""Length of a signature of either algorithm."""

MAX_PASSPHRASE_BYTES = 1023
"""What OpenSSL derives a key from."""

# What comes before the point: DER leaves no choice (RFC 8410 §4; RFC 5480 §2.1, uncompressed). A hostile key of any
# other kind is refused by these bytes alone, and never shown to the library.
_ED25519_PREFIX = bytes.fromhex("302a300506032b6570032100")
_P256_PREFIX = bytes.fromhex("3059301306072a8648ce3d020106082a8648ce3d03010703420004")
_FIELD_PRIME = 2**255 - 19
# y-coordinates of the eight points of small order (RFC 8032 §5.1: order 1, 2, 4 and 8); the sign of x does not matter.
_SMALL_ORDER_Y = frozenset(
    {
        0,
        1,
        _FIELD_PRIME - 1,
        int.from_bytes(
            bytes.fromhex("26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05"), "little"
        ),
        int.from_bytes(
            bytes.fromhex("c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a"), "little"
        ),
    }
)
_PARSED_KEYS_KEPT = 8_192
_DETERMINISTIC = ECDSA(hashes.SHA256(), deterministic_signing=True)
_VERIFYING = ECDSA(hashes.SHA256())


class Algorithm(IntEnum):
    """How a signature is made; the numbers are those of `suyuan.v1.SignatureAlgorithm`."""

    ED25519 = entry_pb2.SIGNATURE_ALGORITHM_ED25519
    ECDSA_P256_SHA256 = entry_pb2.SIGNATURE_ALGORITHM_ECDSA_P256_SHA256


def key_id_of(spki: bytes) -> bytes:
    """The id of a public key: SHA-256 of its SubjectPublicKeyInfo, 32 bytes."""
    return hashlib.sha256(spki).digest()


@dataclass(frozen=True, slots=True)
class PublicKey:
    """A key that signatures are checked against."""

    spki: bytes
    """DER SubjectPublicKeyInfo."""
    key_id: bytes
    """SHA-256 of `spki`."""
    algorithm: Algorithm
    _key: Ed25519PublicKey | EllipticCurvePublicKey

    @classmethod
    def parse(cls, spki: bytes) -> PublicKey:
        """Read a DER SubjectPublicKeyInfo.

        Raises:
            BadInput: `BAD_KEY` if it is not the one encoding of a usable Ed25519 or P-256 key.
        """
        return _parse(spki)

    def verify(self, signature: bytes, message: bytes) -> None:
        """Check a signature over a message.

        Raises:
            NotAuthorized: `BAD_SIGNATURE` if it does not verify.
        """
        if len(signature) == SIGNATURE_BYTES:
            try:
                if self.algorithm is Algorithm.ED25519:
                    cast("Ed25519PublicKey", self._key).verify(signature, message)
                else:
                    r, s = int.from_bytes(signature[:32], "big"), int.from_bytes(signature[32:], "big")
                    key = cast("EllipticCurvePublicKey", self._key)
                    key.verify(encode_dss_signature(r, s), message, _VERIFYING)
            except InvalidSignature:
                pass
            else:
                return
        raise NotAuthorized(
            Reason.BAD_SIGNATURE,
            "signature",
            given=f"{len(signature)} bytes that do not verify",
            expected=f"{self.algorithm.name} signature by key {self.key_id.hex()}",
        )


class Signer(Protocol):
    """Anything that can sign: a key in memory, a hardware token, a remote signing service."""

    @property
    def public_key(self) -> PublicKey:
        """The key that its signatures verify under."""

    def sign(self, message: bytes) -> bytes:
        """Sign a message: 64 bytes."""


@dataclass(frozen=True, slots=True)
class PrivateKey:
    """A signing key in memory."""

    public_key: PublicKey
    _key: Ed25519PrivateKey | EllipticCurvePrivateKey

    @classmethod
    def of(cls, key: Ed25519PrivateKey | EllipticCurvePrivateKey) -> PrivateKey:
        """Wrap a key of the `cryptography` package.

        Raises:
            BadInput: `BAD_KEY` if it is on a curve other than P-256.
        """
        if isinstance(key, EllipticCurvePrivateKey) and not isinstance(key.curve, SECP256R1):
            given = f"a key on the curve {key.curve.name}"
            raise BadInput(Reason.BAD_KEY, "private key", given=given, expected="Ed25519 or P-256")
        spki = key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        return cls(PublicKey.parse(spki), key)

    @classmethod
    def from_pem(cls, pem: bytes, passphrase: bytes | None = None) -> PrivateKey:
        """Read a PKCS#8 PEM private key (RFC 5958), encrypted or not; the older SEC 1 form (RFC 5915) will do.

        Args:
            pem: the file's bytes.
            passphrase: opens an encrypted key; None for a plain one.

        Raises:
            BadInput: `BAD_KEY` if it is none, of another kind, or the passphrase does not open it.
        """
        _check_passphrase(passphrase)
        expected = "PKCS#8 PEM private key, Ed25519 or P-256"
        try:
            key = load_pem_private_key(pem, passphrase)
        except TypeError:
            given = (
                "an encrypted key and no passphrase" if passphrase is None else "a passphrase and a plain key"
            )
            raise BadInput(Reason.BAD_KEY, "private key", given=given, expected=expected) from None
        except (ValueError, UnsupportedAlgorithm):
            given = "something else" if passphrase is None else "something else, or another passphrase"
            raise BadInput(Reason.BAD_KEY, "private key", given=given, expected=expected) from None
        if not isinstance(key, Ed25519PrivateKey | EllipticCurvePrivateKey):
            raise BadInput(Reason.BAD_KEY, "private key", given=type(key).__name__, expected=expected)
        return cls.of(key)

    def to_pem(self, passphrase: bytes | None = None) -> bytes:
        """PKCS#8 PEM, encrypted if a passphrase is given.

        Raises:
            BadInput: `BAD_KEY` if the passphrase is empty or longer than 1,023 bytes.
        """
        _check_passphrase(passphrase)
        encryption: KeySerializationEncryption = (
            NoEncryption() if passphrase is None else BestAvailableEncryption(passphrase)
        )
        return self._key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, encryption)

    def to_der(self) -> bytes:
        """PKCS#8 DER, not encrypted: for a purchase token, which is the secret."""
        return self._key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())

    def sign(self, message: bytes) -> bytes:
        """Sign a message: 64 bytes."""
        if isinstance(self._key, Ed25519PrivateKey):
            return self._key.sign(message)
        r, s = decode_dss_signature(self._key.sign(message, _DETERMINISTIC))
        return r.to_bytes(32, "big") + s.to_bytes(32, "big")


# Most keys speak many times: a courier's thousands, a buyer's some.
@lru_cache(maxsize=_PARSED_KEYS_KEPT)
def _parse(spki: bytes) -> PublicKey:
    key: Ed25519PublicKey | EllipticCurvePublicKey
    try:
        if spki.startswith(_ED25519_PREFIX):
            algorithm, point = Algorithm.ED25519, spki[len(_ED25519_PREFIX) :]
            key = Ed25519PublicKey.from_public_bytes(point)
            _refuse_weak(point)
        elif spki.startswith(_P256_PREFIX):
            algorithm, point = Algorithm.ECDSA_P256_SHA256, spki[len(_P256_PREFIX) :]
            key = EllipticCurvePublicKey.from_encoded_point(SECP256R1(), b"\x04" + point)
        else:
            raise _no_key(spki)
    except ValueError:
        raise _no_key(spki) from None
    return PublicKey(spki, key_id_of(spki), algorithm, key)


def _refuse_weak(point: bytes) -> None:
    """Refuse Ed25519 keys of small order and non-canonical encodings of y (RFC 8032 §5.1.3 step 1)."""
    y = int.from_bytes(point, "little") & (2**255 - 1)
    if y >= _FIELD_PRIME or y in _SMALL_ORDER_Y:
        raise BadInput(
            Reason.BAD_KEY,
            "public key",
            given="an Ed25519 point of small order or non-canonical encoding",
            expected="an Ed25519 point in its canonical encoding, not of small order",
        )


def _check_passphrase(passphrase: bytes | None) -> None:
    if passphrase is not None and not 1 <= len(passphrase) <= MAX_PASSPHRASE_BYTES:
        raise BadInput(
            Reason.BAD_KEY,
            "passphrase",
            given=f"{len(passphrase)} bytes",
            expected=f"1 to {MAX_PASSPHRASE_BYTES} bytes",
        )


def _no_key(spki: bytes) -> BadInput:
    expected = "DER SubjectPublicKeyInfo of an Ed25519 key or an uncompressed P-256 key"
    return BadInput(Reason.BAD_KEY, "public key", given=_preview(spki), expected=expected)


def _preview(value: bytes) -> str:
    """The beginning of hostile bytes, for a message."""
    shown = f"{len(value)} bytes {value[:16].hex()}".rstrip()
    return f"{shown}…" if len(value) > 16 else shown
