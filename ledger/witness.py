"""What a witness decides: whether a checkpoint continues all that it has cosigned of a log before.

Source: C2SP tlog-witness. A log, or anybody who has its signed checkpoint, sends to `add-checkpoint`

    old 20852014
    PlRNCrwHpqhGrupue0L7gxbjbMiKA9temvuZZDDpkaw=
    jrJZDmY8Y7SyJE0MWLpLozkIVMSMZcD5kvuKxPC3swk=

    example.com/behind-the-sofa
    20852163
    CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=

    — example.com/behind-the-sofa Az3grlgtzPICa5OS8npVmf1Myq/5IZniMp+ZJurmRDeOoRDe4URYN7u5/Zhcyv2q1gGzGku9nTo+zyWE+xeMcTOAYQ8=

that is: the size of the checkpoint that it believes to be the witness's latest, the consistency proof from there, an
empty line, the checkpoint. The checks, in the specification's order, and the status that each refusal has in HTTP:

| refused | as | status |
|---|---|---|
| another form | `BadInput` | 400 |
| an origin that is not watched | `Conflict`, `NOT_FOUND` | 404 |
| no signature by a key of the log, or one that does not verify | `NotAuthorized`, `BAD_SIGNATURE` | 403 |
| an old size above the checkpoint's | `BadInput` | 400 |
| an old size that is not the latest cosigned one's | `Conflict`, `STALE_SIZE` | 409, and the right one |
| the empty tree with a root that is not its own | `BrokenProof`, `BAD_CHECKPOINT` | 422 |
| the latest size again with another root | `BrokenProof`, `FORK` | 422 |
| a proof that does not hold | `BrokenProof`, `BAD_CONSISTENCY_PROOF` | 422 |

Nothing here remembers anything. Whoever asks must read the latest cosigned checkpoint and record the new one in one
step that nobody else can come between, and before it gives the cosignature away.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TypeAlias

from ledger.checkpoint import Checkpoint
from ledger.errors import BadInput, BrokenProof, Conflict, LedgerError, NotAuthorized, Reason, ServiceFault
from ledger.merkle import EMPTY_ROOT, HASH_SIZE, MAX_TREE_SIZE, verify_consistency
from ledger.note import ED25519, SignedNote, VerifierKey, decode_base64, encode_base64

MAX_REQUEST_BYTES = 131_072
"""Bytes of the longest request that is read: room for 16 signatures of 5 kB and the longest proof."""

MAX_PROOF_HASHES = 63
"""Most lines of a consistency proof that a client may send."""

STALE_SIZE_TYPE = "text/x.tlog.size"
"""Content type of the answer that tells the latest cosigned size; a 409 without it tells nothing."""

MAX_ORIGIN_BYTES = 255
"""Bytes of the longest origin that can be cosigned with either type of key (tlog-cosignature, ML-DSA-44)."""

KnownLogs: TypeAlias = Mapping[str, tuple[VerifierKey, ...]]
"""The keys of each log that is watched, by its origin; several while a log changes its key."""

_OLD = re.compile(r"old (0|[1-9][0-9]{0,18})")


def known_logs(keys: Iterable[tuple[str, VerifierKey]]) -> dict[str, tuple[VerifierKey, ...]]:
    """The logs to watch, from their origins and keys; an origin that comes again has one more key.

    Raises:
        BadInput: a key of a type that logs do not sign with (`UNSUPPORTED_ALGORITHM`), two keys that signatures cannot
            tell apart (`BAD_KEY`), or an origin that no checkpoint has or none can be cosigned of (`INVALID_REQUEST`).
    """
    logs: dict[str, tuple[VerifierKey, ...]] = {}
    for origin, key in keys:
        if key.key_type != ED25519:
            subject, given = f"key of the log {key.label}", f"type 0x{key.key_type:02x}"
            raise BadInput(Reason.UNSUPPORTED_ALGORITHM, subject, given=given, expected="0x01 (Ed25519)")
        try:
            Checkpoint(origin, 0, EMPTY_ROOT)
            fits = len(origin.encode()) <= MAX_ORIGIN_BYTES
        except BrokenProof:
            fits = False
        if not fits:
            expected = f"a line of 1 to {MAX_ORIGIN_BYTES} bytes"
            raise BadInput(
                Reason.INVALID_REQUEST, "origin of a log", given=repr(origin[:64]), expected=expected
            )
        known = logs.get(origin, ())
        if any(other.label == key.label and other != key for other in known):
            subject, given = f"key of the log {key.label}", "two different keys of this name and id"
            raise BadInput(Reason.BAD_KEY, subject, given=given, expected="one")
        if key not in known:
            logs[origin] = (*known, key)
    return logs


@dataclass(frozen=True, slots=True)
class AddCheckpoint:
    """A request to cosign a checkpoint; nothing of it is verified.

    Attributes:
        old_size: leaves of the tree that the proof starts from.
        proof: the consistency proof from there to the checkpoint; 32 bytes each.
        note: the checkpoint, signed.

    Raises:
        BadInput: no request says this (`INVALID_REQUEST`).
    """

    old_size: int
    proof: tuple[bytes, ...]
    note: bytes

    def __post_init__(self) -> None:
        if not 0 <= self.old_size <= MAX_TREE_SIZE:
            raise _wrong("old size", self.old_size, "0 to 2**63 - 1")
        if len(self.proof) > MAX_PROOF_HASHES:
            raise _wrong("consistency proof", f"{len(self.proof)} hashes", f"at most {MAX_PROOF_HASHES}")
        if any(len(one) != HASH_SIZE for one in self.proof):
            raise _wrong("consistency proof", "a hash of another length", f"hashes of {HASH_SIZE} bytes")

    @classmethod
    def parse(cls, body: bytes) -> AddCheckpoint:
        """The request that the body spells; `encode` gives it back unchanged.

        The note is left for `open` to read.

        Raises:
            BadInput: it spells none (`INVALID_REQUEST`).
        """
        if len(body) > MAX_REQUEST_BYTES:
            raise _wrong("body", f"more than {MAX_REQUEST_BYTES} bytes", f"at most {MAX_REQUEST_BYTES}")
        head, separator, note = body.partition(b"\n\n")
        try:
            old, *hashes = head.decode("ascii").split("\n")
        except UnicodeDecodeError as error:
            given = f"byte 0x{head[error.start]:02x}"
            raise _wrong("lines above the checkpoint", given, "ASCII") from error
        match = _OLD.fullmatch(old)
        if match is None:
            raise _wrong("old size line", repr(old[:64]), "old <decimal digits without leading zeros>")
        if not separator:
            raise _wrong("form", "no empty line", "old size, proof, an empty line, a checkpoint")
        proof = []
        for line in hashes[: MAX_PROOF_HASHES + 1]:
            decoded = decode_base64(line)
            if decoded is None:
                raise _wrong("consistency proof", repr(line[:64]), "base64 of a hash")
            proof.append(decoded)
        return cls(int(match[1]), tuple(proof), note)

    def encode(self) -> bytes:
        """The body of the request."""
        lines = (f"old {self.old_size}", *map(encode_base64, self.proof), "", "")
        return "\n".join(lines).encode() + self.note

    def open(self, logs: KnownLogs) -> Submission:
        """The checkpoint, after its log's signature has been verified.

        Raises:
            BadInput: the note holds no checkpoint, or one of a tree smaller than the old size (`INVALID_REQUEST`).
            Conflict: its log is not watched (`NOT_FOUND`).
            NotAuthorized: no key of the log signed it, or a signature that bears the name and id of one does not
                verify (`BAD_SIGNATURE`).
        """
        checkpoint = _checkpoint_in(self.note)
        keys = logs.get(checkpoint.origin)
        if keys is None:
            given = repr(checkpoint.origin[:64])
            raise Conflict(Reason.NOT_FOUND, "unknown log", given=given, expected="a log watched here")
        try:
            note = SignedNote.parse(self.note)
            signers = note.verify(keys)
        except BrokenProof as error:
            # Signature lines that spell no signature are none by a key of the log either.
            raise NotAuthorized(
                Reason.BAD_SIGNATURE,
                f"invalid signature: {error.subject}",
                given=error.given,
                expected=error.expected,
            ) from error
        if self.old_size > checkpoint.size:
            expected = f"at most {checkpoint.size}, the size of the checkpoint"
            raise _wrong("old size", self.old_size, expected)
        # One line for each key: whatever else stands there is nobody's word.
        lines = tuple(note.signatures_of(key)[0] for key in signers)
        return Submission(checkpoint, SignedNote(note.text, lines), self.old_size, self.proof)


@dataclass(frozen=True, slots=True)
class Submission:
    """A checkpoint that its log has signed, and the proof that it is said to continue an older one by."""

    checkpoint: Checkpoint
    note: SignedNote
    """Its text with the log's verified signatures, and no others."""
    old_size: int
    proof: tuple[bytes, ...]

    def require_continues(self, latest: Checkpoint | None) -> None:
        """Refuse the checkpoint unless it continues the latest one that was cosigned for its origin.

        Args:
            latest: that one; None if none ever was.

        Raises:
            Conflict: the old size is not the latest one's (`STALE_SIZE`); `expected` is that size, in decimal.
            BrokenProof: it does not continue it (`FORK`, `BAD_CHECKPOINT`, `BAD_CONSISTENCY_PROOF`).
        """
        size, root = (0, EMPTY_ROOT) if latest is None else (latest.size, latest.root)
        new = self.checkpoint
        if self.old_size != size:
            raise Conflict(
                Reason.STALE_SIZE, f"old size for {new.origin}", given=self.old_size, expected=size
            )
        if new.size == 0 and new.root != EMPTY_ROOT:
            subject = f"root of {new.origin} at size 0"
            given, expected = new.root.hex(), EMPTY_ROOT.hex()
            raise BrokenProof(Reason.BAD_CHECKPOINT, subject, given=given, expected=expected)
        if self.contradicts(latest):
            subject = f"root of {new.origin} at size {size}"
            raise BrokenProof(Reason.FORK, subject, given=new.root.hex(), expected=root.hex())
        verify_consistency(size, root, new.size, new.root, self.proof)

    def contradicts(self, latest: Checkpoint | None) -> bool:
        """Whether the checkpoint, as its log has signed it, proves that the log misbehaved.

        It does if no tree has that root, or if it has the size of the one cosigned and another root. A consistency
        proof that does not hold shows nothing: anybody may have sent it.
        """
        new = self.checkpoint
        if new.size == 0:
            return new.root != EMPTY_ROOT
        return latest is not None and new.size == latest.size and new.root != latest.root


def http_status(error: LedgerError) -> int:
    """The HTTP status that a refusal of this module has (the table above); 503 for a fault of the witness itself."""
    if isinstance(error, ServiceFault):
        return 503
    if isinstance(error, Conflict):
        return 409 if error.reason is Reason.STALE_SIZE else 404
    if isinstance(error, NotAuthorized):
        return 403
    return 422 if isinstance(error, BrokenProof) else 400


def _checkpoint_in(note: bytes) -> Checkpoint:
    """The checkpoint that a note's text spells, whatever its signature lines are."""
    text, separator, _ = note.rpartition(b"\n\n")  # as `SignedNote` divides it: a text may have empty lines
    if not separator:
        raise _wrong("checkpoint", "no empty line", "text, an empty line and signature lines")
    try:
        return Checkpoint.parse(f"{text.decode()}\n")
    except UnicodeDecodeError as error:
        raise _wrong("checkpoint", f"byte 0x{text[error.start]:02x}", "UTF-8") from error
    except BrokenProof as error:
        raise BadInput(
            Reason.INVALID_REQUEST, error.subject, given=error.given, expected=error.expected
        ) from error


def _wrong(subject: str, given: object, expected: object) -> BadInput:
    return BadInput(
        Reason.INVALID_REQUEST, f"{subject} of an add-checkpoint request", given=given, expected=expected
    )
