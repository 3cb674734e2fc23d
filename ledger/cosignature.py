"""Cosignatures: a witness's timestamped word that a checkpoint continues everything that it saw of a log before.

Source: C2SP tlog-cosignature. A cosignature is one more signature line below a checkpoint, by a key of a type of its
own (`ledger.note.COSIGNATURE_ED25519`, `COSIGNATURE_ML_DSA_44`); its signature bytes are

    time, 8 bytes, big-endian seconds since 1970-01-01T00:00:00Z ‖ signature over the message

where the message of an Ed25519 key is text, the checkpoint's own below two lines,

    cosignature/v1
    time 1679315147
    example.com/behind-the-sofa
    20852163
    CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=

and that of an ML-DSA-44 key (FIPS 204, safe from quantum computers) is a structure of witness, time, origin, size and
root. Only checkpoints are cosigned here, no subtrees; so the time is never 0.

As in every signed note, a line that bears the name and id of a known key has to verify, or the note is refused.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.mldsa import MLDSA44PrivateKey, MLDSA44PublicKey

from ledger.checkpoint import Checkpoint
from ledger.errors import BadInput, BrokenProof, Reason
from ledger.note import COSIGNATURE_ED25519, COSIGNATURE_ML_DSA_44, NoteSignature, SignedNote, VerifierKey

COSIGNATURE_TYPES = (COSIGNATURE_ED25519, COSIGNATURE_ML_DSA_44)
"""Key types of witnesses."""

MAX_TIME_S = 2**63 - 1

_SIGNATURE_SIZES = {COSIGNATURE_ED25519: 64, COSIGNATURE_ML_DSA_44: 2420}
_TIME_BYTES = 8


@dataclass(frozen=True, slots=True)
class Cosignature:
    """A cosignature that was verified."""

    key: VerifierKey
    """Whose it is."""
    time_s: int
    """When it was made, by the witness's clock: seconds since 1970-01-01T00:00:00Z."""
    signature: NoteSignature
    """The line itself, to be carried to another copy of the same checkpoint."""


@dataclass(frozen=True, slots=True)
class Cosigner:
    """One key of a witness, which cosigns under a name.

    A witness that cosigns with both types has two of these, under one name and with two different keys.
    """

    name: str
    private_key: Ed25519PrivateKey | MLDSA44PrivateKey

    @property
    def vkey(self) -> VerifierKey:
        """The public half.

        Raises:
            BadInput: the name is none for a key (`BAD_KEY`).
        """
        post_quantum = isinstance(self.private_key, MLDSA44PrivateKey)
        key_type = COSIGNATURE_ML_DSA_44 if post_quantum else COSIGNATURE_ED25519
        return VerifierKey.of(self.name, self.private_key.public_key().public_bytes_raw(), key_type)

    def cosign(self, text: str, time_s: int) -> NoteSignature:
        """The signature line for a checkpoint.

        Whoever calls this promises that the checkpoint continues all that were cosigned before for its origin.

        Args:
            text: the checkpoint's text, as `SignedNote.text` has it.
            time_s: seconds since 1970-01-01T00:00:00Z; not 0.

        Raises:
            BadInput: a time that no cosignature can have (`INVALID_REQUEST`), or a bad name (`BAD_KEY`).
            BrokenProof: the text is no checkpoint's (`BAD_CHECKPOINT`).
        """
        if not 0 < time_s <= MAX_TIME_S:
            raise BadInput(
                Reason.INVALID_REQUEST,
                "time of a cosignature",
                given=time_s,
                expected="1 to 2**63 - 1 seconds",
            )
        vkey = self.vkey
        signature = self.private_key.sign(_message(vkey, text, time_s))
        return NoteSignature(self.name, vkey.key_id, time_s.to_bytes(_TIME_BYTES, "big") + signature)


def cosignatures_of(note: SignedNote, keys: Iterable[VerifierKey]) -> tuple[Cosignature, ...]:
    """The cosignatures below a checkpoint by these keys, each verified; one for each key, its newest.

    Args:
        note: the checkpoint's note. That the log has signed it is for `ledger.checkpoint.open_checkpoint` to say.
        keys: of witnesses; lines by other keys are ignored.

    Raises:
        BrokenProof: a line that bears the name and id of one of the keys does not verify (`BAD_NOTE`), or the text is
            no checkpoint's (`BAD_CHECKPOINT`).
        BadInput: a key that is no witness's (`UNSUPPORTED_ALGORITHM`).
    """
    found = []
    for key in keys:
        if key.key_type not in COSIGNATURE_TYPES:
            subject, given = f"key of a witness {key.label}", f"type 0x{key.key_type:02x}"
            expected = "0x04 (Ed25519 cosignature) or 0x06 (ML-DSA-44 cosignature)"
            raise BadInput(Reason.UNSUPPORTED_ALGORITHM, subject, given=given, expected=expected)
        made = [_verified(note.text, line, key) for line in note.signatures_of(key)]
        if made:
            found.append(max(made, key=lambda cosignature: cosignature.time_s))
    return tuple(found)


def _verified(text: str, line: NoteSignature, key: VerifierKey) -> Cosignature:
    subject = f"cosignature by {key.label}"
    given, expected = len(line.signature), _TIME_BYTES + _SIGNATURE_SIZES[key.key_type]
    if given != expected:
        raise BrokenProof(Reason.BAD_NOTE, subject, given=f"{given} bytes", expected=f"{expected} bytes")
    time_s = int.from_bytes(line.signature[:_TIME_BYTES], "big")
    if not 0 < time_s <= MAX_TIME_S:
        raise BrokenProof(
            Reason.BAD_NOTE, f"time of the {subject}", given=time_s, expected="1 to 2**63 - 1 seconds"
        )
    if not _is_signed(key, line.signature[_TIME_BYTES:], _message(key, text, time_s)):
        raise BrokenProof(Reason.BAD_NOTE, subject, given="one that does not verify")
    return Cosignature(key, time_s, line)


def _is_signed(key: VerifierKey, signature: bytes, message: bytes) -> bool:
    try:
        if key.key_type == COSIGNATURE_ED25519:
            Ed25519PublicKey.from_public_bytes(key.public_key).verify(signature, message)
        else:
            MLDSA44PublicKey.from_public_bytes(key.public_key).verify(signature, message)
    except InvalidSignature:
        return False
    return True


def _message(key: VerifierKey, text: str, time_s: int) -> bytes:
    checkpoint = Checkpoint.parse(text)
    if key.key_type == COSIGNATURE_ED25519:
        return f"cosignature/v1\ntime {time_s}\n{text}".encode()
    # tlog-cosignature, "ML-DSA-44 signed message", in the encoding of RFC 8446 §3
    return b"".join(
        (
            b"subtree/v1\n\x00",
            _opaque("name of a witness", key.name),
            time_s.to_bytes(8, "big"),
            _opaque("origin of a checkpoint", checkpoint.origin),
            (0).to_bytes(8, "big"),
            checkpoint.size.to_bytes(8, "big"),
            checkpoint.root,
        )
    )


def _opaque(subject: str, text: str) -> bytes:
    encoded = text.encode()
    if not 1 <= len(encoded) <= 255:
        raise BrokenProof(
            Reason.BAD_CHECKPOINT, subject, given=f"{len(encoded)} bytes", expected="1 to 255 bytes"
        )
    return bytes([len(encoded)]) + encoded
