"""Signed bytes and who signed them: a DSSE envelope as a protobuf message.

The signature is over the pre-authentication encoding of the payload type and the payload (DSSE protocol, version 1):

    PAE(type, payload) = "DSSEv1" SP LEN(type) SP type SP LEN(payload) SP payload

so bytes signed as an event can never be taken for anything else. An envelope is kept and hashed exactly as it came;
format version 1 has one signature in it, and one spelling: what does not serialise back to the same bytes is refused.
"""

from __future__ import annotations

from google.protobuf.message import DecodeError

from ledger.errors import BadInput, NotAuthorized, Reason
from ledger.keys import SIGNATURE_BYTES, Algorithm, PublicKey, Signer
from ledger.value import value
from suyuan.v1 import entry_pb2

PAYLOAD_TYPE = "application/vnd.suyuan.event.v1+protobuf"
"""Says that the payload is a serialised `suyuan.v1.Event`."""

MAX_ENVELOPE_BYTES = 65_000
"""Leaves room for the rest of an entry, which has at most 65,535 bytes."""

# An envelope as it is on the wire (docs/format.md §5): what stands before the payload's length, and what stands behind
# the payload, which is the message of a signature of 64 bytes: tags and lengths of it, of its key id, of its algorithm,
# of the signature.
_PLAIN_HEAD = b"\x0a%c%b\x12" % (len(PAYLOAD_TYPE), PAYLOAD_TYPE.encode())
_PLAIN_HEAD_SIZE = len(_PLAIN_HEAD)
_PLAIN_KEY_ID = b"\x1a\x66\x0a\x20"
_PLAIN_ALGORITHM = 0x10
_PLAIN_SIGNATURE = b"\x1a\x40"
_PLAIN_TAIL = 104
"""Bytes of such an envelope behind the payload."""

_PAE_PREFIX = f"DSSEv1 {len(PAYLOAD_TYPE)} {PAYLOAD_TYPE} ".encode()


def signed_bytes(payload: bytes) -> bytes:
    """What a signature over an event's bytes is made over."""
    return _PAE_PREFIX + b"%d %b" % (len(payload), payload)


def pae(payload_type: str, payload: bytes) -> bytes:
    """The DSSE pre-authentication encoding: what is signed."""
    kind = payload_type.encode()
    return b"DSSEv1 %d %b %d %b" % (len(kind), kind, len(payload), payload)


@value(frozen=True, slots=True)
class Envelope:
    """An event's bytes with one signature."""

    raw: bytes
    """The serialised `suyuan.v1.Envelope`, as received."""
    payload: bytes
    """The event's bytes."""
    key_id: bytes
    """SHA-256 of the signing key's SubjectPublicKeyInfo."""
    algorithm: int
    """A value of `suyuan.v1.SignatureAlgorithm`, known to this version or not."""
    signature: bytes

    @classmethod
    def parse(cls, raw: bytes) -> Envelope:
        """Read a serialised envelope.

        Raises:
            BadInput: `EVENT_TOO_LARGE`, or `MALFORMED_ENVELOPE` if it is not the canonical encoding of an envelope
                with the known payload type and exactly one signature.
        """
        if len(raw) > MAX_ENVELOPE_BYTES:
            raise BadInput(
                Reason.EVENT_TOO_LARGE,
                "envelope",
                given=f"{len(raw)} bytes",
                expected=f"at most {MAX_ENVELOPE_BYTES} bytes",
            )
        return _plain(raw) or _any(raw)

    @classmethod
    def seal(cls, payload: bytes, signer: Signer) -> Envelope:
        """Sign an event's bytes."""
        key = signer.public_key
        signature = signer.sign(signed_bytes(payload))
        message = entry_pb2.Envelope(payload_type=PAYLOAD_TYPE, payload=payload)
        message.signatures.add(key_id=key.key_id, algorithm=key.algorithm.value, signature=signature)
        return cls(message.SerializeToString(), payload, key.key_id, key.algorithm, signature)

    def verify(self, key: PublicKey) -> None:
        """Check that this key signed the payload.

        Raises:
            BadInput: `UNSUPPORTED_ALGORITHM` if the algorithm is not the key's.
            NotAuthorized: `UNKNOWN_KEY` if the envelope names another key, `BAD_SIGNATURE` if it does not verify.
        """
        self.require_form(key)
        key.verify(self.signature, signed_bytes(self.payload))

    def require_form(self, key: PublicKey) -> None:
        """Check what takes no arithmetic to see: that the signature can be one by this key.

        Raises:
            BadInput, NotAuthorized: as `verify`.
        """
        if self.key_id != key.key_id:
            raise NotAuthorized(
                Reason.UNKNOWN_KEY, "signing key", given=self.key_id.hex(), expected=key.key_id.hex()
            )
        if self.algorithm != key.algorithm:
            raise BadInput(
                Reason.UNSUPPORTED_ALGORITHM,
                "signature algorithm",
                given=algorithm_name(self.algorithm),
                expected=key.algorithm.name,
            )
        self._require_signature_size()

    def may_be_of(self, key: PublicKey) -> bool:
        """Whether `require_form` would not object."""
        return (
            self.key_id == key.key_id
            and self.algorithm == key.algorithm
            and len(self.signature) == SIGNATURE_BYTES
        )

    def require_known_form(self) -> None:
        """Check what can be said of the signature without its key: that it is one of a known algorithm.

        Raises:
            BadInput: `UNSUPPORTED_ALGORITHM`.
            NotAuthorized: `BAD_SIGNATURE` if it has not the length of one.
        """
        if self.algorithm not in set(Algorithm):
            raise BadInput(
                Reason.UNSUPPORTED_ALGORITHM,
                "signature algorithm",
                given=algorithm_name(self.algorithm),
                expected=" or ".join(algorithm.name for algorithm in Algorithm),
            )
        self._require_signature_size()

    def _require_signature_size(self) -> None:
        if len(self.signature) != SIGNATURE_BYTES:
            raise NotAuthorized(
                Reason.BAD_SIGNATURE,
                "signature",
                given=f"{len(self.signature)} bytes",
                expected=f"{SIGNATURE_BYTES} bytes",
            )


def _plain(raw: bytes) -> Envelope | None:
    """An envelope of the form that nearly all have, read without a parser; None if it may be another one.

    What stands before the payload and behind it leaves its length no choice: what is taken here is the canonical
    encoding, byte for byte. An audit reads every envelope of a log.
    """
    end = len(raw) - _PLAIN_TAIL
    begin = _PLAIN_HEAD_SIZE + 1
    size = end - begin
    if size >= 0x80:
        begin += 1
        size -= 1
        length = bytes((size & 0x7F | 0x80, size >> 7)) if 0x80 <= size < 0x4000 else b""
    else:
        length = bytes((size,)) if size > 0 else b""
    if (
        not length
        or not raw.startswith(_PLAIN_HEAD)
        or raw[_PLAIN_HEAD_SIZE:begin] != length
        or raw[end : end + 4] != _PLAIN_KEY_ID
        or raw[end + 36] != _PLAIN_ALGORITHM
        or not 0 < raw[end + 37] < 0x80
        or raw[end + 38 : end + 40] != _PLAIN_SIGNATURE
    ):
        return None
    return Envelope(raw, raw[begin:end], raw[end + 4 : end + 36], raw[end + 37], raw[end + 40 :])


def _any(raw: bytes) -> Envelope:
    """Any envelope.

    Raises:
        BadInput: as `Envelope.parse`.
    """
    try:
        message = entry_pb2.Envelope.FromString(raw)
    except DecodeError:
        raise _malformed("bytes that are no protobuf message", "a serialised suyuan.v1.Envelope") from None
    if message.payload_type != PAYLOAD_TYPE:
        raise _malformed(f"payload type {message.payload_type[:80]!r}", f"payload type {PAYLOAD_TYPE!r}")
    if len(message.signatures) != 1:
        raise _malformed(f"{len(message.signatures)} signatures", "1 signature")
    signature = message.signatures[0]
    if len(signature.key_id) != 32:
        raise _malformed(f"a key id of {len(signature.key_id)} bytes", "a key id of 32 bytes")
    message.DiscardUnknownFields()
    if message.SerializeToString() != raw:
        raise _malformed("another encoding of it, or unknown fields", "the canonical encoding")
    return Envelope(raw, message.payload, signature.key_id, signature.algorithm, signature.signature)


def algorithm_name(number: int) -> str:
    """A name for an algorithm's number, also for one that this version does not know."""
    try:
        return Algorithm(number).name
    except ValueError:
        return f"algorithm {number}"


def _malformed(given: str, expected: str) -> BadInput:
    return BadInput(Reason.MALFORMED_ENVELOPE, "envelope", given=given, expected=expected)
