"""Signed notes: text with signature lines below.

Source: C2SP signed-note. A note is text that ends in a newline, an empty line, and one or more signature lines:

    This is an example message.

    — example.com/foo Uw2QOkn8srV1yJGh2VYRlL1Tnagv1YEq6TfXppzi2ONncAlTgK7Ztg1ERYNZXsYjOBH3mFXmRKuwHjG1Yu72IneyaQM=

The base64 of a line holds the key's id (4 bytes) and the signature over the text, its last newline included. A key is
known by its name *and* id. Its public half is passed around as a *vkey*:

    example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k

Signatures by unknown keys are ignored, so that keys can be rotated and witnesses can add theirs. One that bears the
name and id of a known key has to verify, or the whole note is refused; and so it is if no known key signed.

Strictly read: what is parsed prints back to the very same bytes. Anything in the text is worthless before `verify`.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from hashlib import sha256

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from ledger.errors import BadInput, BrokenProof, Reason

MAX_NOTE_SIZE = 1_000_000
"""Bytes of the longest note that is read."""

MAX_SIGNATURES = 100
"""Most signature lines that a note may have; the specification asks for room for 16."""

ED25519 = 0x01
"""Key type: Ed25519 over the note's text."""

COSIGNATURE_ED25519 = 0x04
"""Key type: timestamped Ed25519 cosignature of a checkpoint (C2SP tlog-cosignature)."""

COSIGNATURE_ML_DSA_44 = 0x06
"""Key type: timestamped ML-DSA-44 cosignature (C2SP tlog-cosignature)."""

_KEY_TYPES = {
    ED25519: "Ed25519",
    0x02: "ECDSA",
    COSIGNATURE_ED25519: "Ed25519 cosignature",
    0x05: "RFC 6962 tree head signature",
    COSIGNATURE_ML_DSA_44: "ML-DSA-44 cosignature",
    0xFF: "unassigned",
}

# For these types the specifications bind the id to name and key. The ids of the others follow other rules.
_KEY_SIZES = {ED25519: 32, COSIGNATURE_ED25519: 32, COSIGNATURE_ML_DSA_44: 1312}

_CONTROL = re.compile(r"[\x00-\x09\x0b-\x1f]")
_KEY_NAME = re.compile(r"[^\s+\x00-\x1f\ud800-\udfff]+")
_SIGNATURE_LINE = re.compile(r"— ([^ ]+) ([A-Za-z0-9+/=]+)")
_VKEY = re.compile(r"([^+]+)\+([0-9a-f]{8})\+([A-Za-z0-9+/=]+)")


def decode_base64(text: str) -> bytes | None:
    """The bytes that `text` spells in the standard base64 alphabet, or None if it is not the spelling of any.

    Each value has one spelling: with padding, without blanks, and with zero in the bits that the padding leaves over.
    """
    try:
        decoded = base64.b64decode(text, validate=True)
    except ValueError:
        return None
    return decoded if encode_base64(decoded) == text else None


def encode_base64(value: bytes) -> str:
    """Standard base64 with padding (RFC 4648 §4)."""
    return base64.b64encode(value).decode("ascii")


@dataclass(frozen=True, slots=True)
class VerifierKey:
    """A public key that signs notes under a name.

    Every assigned key type can be parsed and printed; `SignedNote.verify` knows Ed25519 only.

    Attributes:
        name: who signs, such as `example.com/log`; no blanks, no plus sign.
        key_id: 4 bytes that, together with the name, tell the keys apart; no cryptographic strength.
        key_type: the signature type byte, such as `ED25519`.
        public_key: as the type encodes it; for Ed25519 the 32 bytes of RFC 8032.

    Raises:
        BadInput: bad name, key of the wrong size or id that is not this key's (`BAD_KEY`), or a key type that the
            specification does not assign (`UNSUPPORTED_ALGORITHM`).
    """

    name: str
    key_id: bytes
    key_type: int
    public_key: bytes

    def __post_init__(self) -> None:
        _check_key(self.name, self.key_type)
        if len(self.key_id) != 4:
            subject = f"id of verifier key {_short(self.name)}"
            raise BadInput(Reason.BAD_KEY, subject, given=f"{len(self.key_id)} bytes", expected="4 bytes")
        if self.key_type not in _KEY_SIZES:
            return
        size = _KEY_SIZES[self.key_type]
        if len(self.public_key) != size:
            subject = f"{_KEY_TYPES[self.key_type]} key {_short(self.name)}"
            given, expected = f"{len(self.public_key)} bytes", f"{size} bytes"
            raise BadInput(Reason.BAD_KEY, subject, given=given, expected=expected)
        key_id = _key_id(self.name, self.key_type, self.public_key)
        if self.key_id != key_id:
            subject = f"id of verifier key {_short(self.name)}"
            raise BadInput(Reason.BAD_KEY, subject, given=self.key_id.hex(), expected=key_id.hex())

    @classmethod
    def of(cls, name: str, public_key: bytes, key_type: int = ED25519) -> VerifierKey:
        """The key of an Ed25519 or cosignature type, whose id follows from name, type and public key.

        Raises:
            BadInput: another type (`UNSUPPORTED_ALGORITHM`), a bad name or a key of the wrong size (`BAD_KEY`).
        """
        _check_key(name, key_type)
        if key_type not in _KEY_SIZES:
            subject, given = f"type of verifier key {_short(name)}", f"0x{key_type:02x}"
            expected = "a type whose key ids follow from the key"
            raise BadInput(Reason.UNSUPPORTED_ALGORITHM, subject, given=given, expected=expected)
        return cls(name, _key_id(name, key_type, public_key), key_type, public_key)

    @classmethod
    def parse(cls, vkey: str) -> VerifierKey:
        """The key that a vkey spells: `<name>+<id, 8 hexadecimal digits>+<base64 of type and public key>`.

        Raises:
            BadInput: it spells none (`BAD_KEY`), or one of an unassigned type (`UNSUPPORTED_ALGORITHM`).
        """
        match = _VKEY.fullmatch(vkey)
        material = match and decode_base64(match[3])
        if not match or not material:
            raise BadInput(
                Reason.BAD_KEY,
                "verifier key",
                given=_short(vkey),
                expected="<name>+<8 lowercase hexadecimal digits>+<base64>",
            )
        return cls(match[1], bytes.fromhex(match[2]), material[0], material[1:])

    def __str__(self) -> str:
        return f"{self.label}+{encode_base64(bytes([self.key_type]) + self.public_key)}"

    @property
    def label(self) -> str:
        """Name and id, as people tell keys apart: `example.com/log+530d903a`."""
        return f"{self.name}+{self.key_id.hex()}"


@dataclass(frozen=True, slots=True)
class NoteSignature:
    """One signature line of a note; it says nothing before it is verified.

    Attributes:
        name: name of the key that is said to have signed.
        key_id: its id, 4 bytes.
        signature: what the key's type makes of it; 64 bytes for Ed25519.

    Raises:
        BrokenProof: no signature line can say this (`BAD_NOTE`).
    """

    name: str
    key_id: bytes
    signature: bytes

    def __post_init__(self) -> None:
        if not _KEY_NAME.fullmatch(self.name):
            given = _short(self.name)
            raise BrokenProof(Reason.BAD_NOTE, "key name of a signature", given=given, expected=_NAMES)
        if len(self.key_id) != 4 or not self.signature:
            subject = f"signature by {_short(self.name)}"
            given = f"{len(self.key_id)} and {len(self.signature)} bytes"
            expected = "a key id of 4 bytes and a signature"
            raise BrokenProof(Reason.BAD_NOTE, subject, given=given, expected=expected)

    @classmethod
    def parse(cls, line: str) -> NoteSignature:
        """The signature that a line spells, without its newline.

        Raises:
            BrokenProof: it spells none (`BAD_NOTE`).
        """
        match = _SIGNATURE_LINE.fullmatch(line)
        decoded = match and decode_base64(match[2])
        if not match or not decoded:
            expected = "— <key name> <base64>"
            raise BrokenProof(Reason.BAD_NOTE, "signature line", given=_short(line), expected=expected)
        return cls(match[1], decoded[:4], decoded[4:])

    def __str__(self) -> str:
        return f"— {self.name} {encode_base64(self.key_id + self.signature)}"


@dataclass(frozen=True, slots=True)
class NoteSigner:
    """Signs notes with an Ed25519 key under a name."""

    name: str
    private_key: Ed25519PrivateKey

    @property
    def vkey(self) -> VerifierKey:
        """The public half.

        Raises:
            BadInput: the name is none for a key (`BAD_KEY`).
        """
        return VerifierKey.of(self.name, self.private_key.public_key().public_bytes_raw())

    def sign(self, text: str) -> NoteSignature:
        """The signature over a note's text, which ends in a newline.

        Raises:
            BadInput: the signer's name is none for a key (`BAD_KEY`).
            BrokenProof: no note can have this text (`BAD_NOTE`).
        """
        return NoteSignature(self.name, self.vkey.key_id, self.private_key.sign(_encode_text(text)))


@dataclass(frozen=True, slots=True)
class SignedNote:
    """A text and the signatures below it.

    Attributes:
        text: what is signed; ends in a newline.
        signatures: the signature lines in order; at least one, of known and unknown keys.

    Raises:
        BrokenProof: no note looks like this (`BAD_NOTE`).
    """

    text: str
    signatures: tuple[NoteSignature, ...]

    def __post_init__(self) -> None:
        _check_count(len(self.signatures))
        _encode_text(self.text)
        _check_size(self.encode())

    @classmethod
    def parse(cls, note: bytes) -> SignedNote:
        """The note that these bytes are; `encode` gives them back unchanged.

        Raises:
            BrokenProof: they are none (`BAD_NOTE`).
        """
        _check_size(note)
        try:
            decoded = note.decode("utf-8")
        except UnicodeDecodeError as error:
            subject, given = "encoding of a note", f"{error.reason} at byte {error.start}"
            raise BrokenProof(Reason.BAD_NOTE, subject, given=given, expected="UTF-8") from error
        end = decoded.rfind("\n\n") + 1  # the text goes up to the last empty line
        *lines, rest = decoded[end + 1 :].split("\n")
        if end == 0 or rest:
            expected = "text, an empty line and at least one signature line, each ending in a newline"
            raise BrokenProof(Reason.BAD_NOTE, "form of a note", given=_short(decoded), expected=expected)
        _check_count(len(lines))
        return cls(decoded[:end], tuple(NoteSignature.parse(line) for line in lines))

    @classmethod
    def sign(cls, text: str, *signers: NoteSigner) -> SignedNote:
        """The text with a signature of each signer.

        Raises:
            BadInput: a signer's name is none for a key (`BAD_KEY`).
            BrokenProof: no note can have this text, or no signer is given (`BAD_NOTE`).
        """
        return cls(text, tuple(signer.sign(text) for signer in signers))

    def encode(self) -> bytes:
        """The note as bytes."""
        return "\n".join((self.text, *map(str, self.signatures), "")).encode()

    def with_signatures(self, *signatures: NoteSignature) -> SignedNote:
        """The same note with more signature lines at its end.

        Raises:
            BrokenProof: they are too many (`BAD_NOTE`).
        """
        return replace(self, signatures=self.signatures + signatures)

    def signatures_of(self, key: VerifierKey) -> tuple[NoteSignature, ...]:
        """The signature lines that bear the name and id of this key, not yet verified."""
        return tuple(
            signature
            for signature in self.signatures
            if signature.name == key.name and signature.key_id == key.key_id
        )

    def verify(self, keys: Iterable[VerifierKey]) -> tuple[VerifierKey, ...]:
        """Verify the note by the keys that the caller trusts; which of them signed it, in the order given.

        Signatures by other keys are ignored.

        Raises:
            BrokenProof: a signature by one of the keys does not verify, or none of them signed (`BAD_NOTE`).
            BadInput: a key of a type other than Ed25519 (`UNSUPPORTED_ALGORITHM`), or two different keys of the same
                name and id (`BAD_KEY`).
        """
        known: dict[str, VerifierKey] = {}
        for key in keys:
            if key.key_type != ED25519:
                subject = f"verifying a note with {key.label}"
                given = f"key type 0x{key.key_type:02x} ({_KEY_TYPES[key.key_type]})"
                expected = f"0x{ED25519:02x} (Ed25519)"
                raise BadInput(Reason.UNSUPPORTED_ALGORITHM, subject, given=given, expected=expected)
            if known.setdefault(key.label, key) != key:
                subject = f"verifying a note with {key.label}"
                given = "two different keys of this name and id"
                raise BadInput(Reason.BAD_KEY, subject, given=given, expected="one")
        text = self.text.encode()
        verified = tuple(key for key in known.values() if self._is_signed_by(key, text))
        if not verified:
            given = f"{len(self.signatures)} by unknown keys"
            expected = f"one by {' or '.join(known) or 'a known key, but no key was given'}"
            raise BrokenProof(Reason.BAD_NOTE, "signatures of the note", given=given, expected=expected)
        return verified

    def _is_signed_by(self, key: VerifierKey, text: bytes) -> bool:
        signatures = self.signatures_of(key)
        for signature in signatures:
            try:
                Ed25519PublicKey.from_public_bytes(key.public_key).verify(signature.signature, text)
            except InvalidSignature as error:
                subject = f"signature of the note by {key.label}"
                raise BrokenProof(Reason.BAD_NOTE, subject, given="one that does not verify") from error
        return bool(signatures)


_NAMES = "a name without blanks, plus signs and control characters"


def _check_key(name: str, key_type: int) -> None:
    if not _KEY_NAME.fullmatch(name):
        raise BadInput(Reason.BAD_KEY, "name of a verifier key", given=_short(name), expected=_NAMES)
    if key_type not in _KEY_TYPES:
        subject = f"type of verifier key {_short(name)}"
        given, expected = f"0x{key_type:02x}", ", ".join(f"0x{known:02x}" for known in _KEY_TYPES)
        raise BadInput(Reason.UNSUPPORTED_ALGORITHM, subject, given=given, expected=expected)


def _key_id(name: str, key_type: int, public_key: bytes) -> bytes:
    # signed-note: key ID = SHA-256(key name || 0x0A || signature type || public key)[:4]
    return sha256(b"%s\n%c%s" % (name.encode(), key_type, public_key)).digest()[:4]


def _encode_text(text: str) -> bytes:
    found = _CONTROL.search(text)
    if not text.endswith("\n") or found:
        given = repr(found[0]) if found else repr(text[-16:])
        expected = "no control characters but newlines, the last of them at the end"
        raise BrokenProof(Reason.BAD_NOTE, "text of a note", given=given, expected=expected)
    try:
        return text.encode()
    except UnicodeEncodeError as error:
        subject, given = "text of a note", repr(error.object[error.start : error.end][:1])
        raise BrokenProof(Reason.BAD_NOTE, subject, given=given, expected="Unicode characters") from error


def _check_count(signatures: int) -> None:
    if not 1 <= signatures <= MAX_SIGNATURES:
        subject, expected = "signatures of a note", f"1 to {MAX_SIGNATURES}"
        raise BrokenProof(Reason.BAD_NOTE, subject, given=signatures, expected=expected)


def _check_size(note: bytes) -> None:
    if len(note) > MAX_NOTE_SIZE:
        given, expected = f"{len(note)} bytes", f"at most {MAX_NOTE_SIZE} bytes"
        raise BrokenProof(Reason.BAD_NOTE, "size of a note", given=given, expected=expected)


def _short(text: str) -> str:
    return repr(text if len(text) <= 64 else f"{text[:64]}…")
