"""Checkpoints: signed heads of the log's tree.

Source: C2SP tlog-checkpoint. A checkpoint is a signed note (`ledger.note`) whose text says which log it is (the
*origin*), how many leaves the tree has and what its root is:

    example.com/behind-the-sofa
    20852163
    CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=

    — example.com/behind-the-sofa Az3grlgtzPICa5OS8npVmf1Myq/5IZniMp+ZJurmRDeOoRDe4URYN7u5/Zhcyv2q1gGzGku9nTo+zyWE+xeMcTOAYQ8=

Further lines are extensions, opaque here. The log signs with a key whose name is the origin.

A log never signs two checkpoints unless a consistency proof leads from one to the other (`ledger.merkle`).
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from ledger.errors import BadInput, BrokenProof, Reason
from ledger.merkle import EMPTY_ROOT, HASH_SIZE, MAX_TREE_SIZE
from ledger.note import ED25519, NoteSigner, SignedNote, VerifierKey, decode_base64, encode_base64

_SIZE = re.compile(r"0|[1-9][0-9]{0,18}")
_LINE = re.compile(r"[^\x00-\x1f\ud800-\udfff]+")


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """Which tree a log vouches for; itself no proof of anything until its note is verified.

    Attributes:
        origin: name of the log; one line.
        size: leaves of the tree, less than 2**63.
        root: the root over them; 32 bytes.
        extensions: further lines, opaque; each not empty, without its newline.

    Raises:
        BrokenProof: no checkpoint says this (`BAD_CHECKPOINT`).
    """

    origin: str
    size: int
    root: bytes
    extensions: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        reason = Reason.BAD_CHECKPOINT
        for subject, line in (("origin", self.origin), *(("extension", line) for line in self.extensions)):
            if not _LINE.fullmatch(line):
                given = repr(line[:64])
                expected = "a line that is not empty, without control characters"
                raise BrokenProof(reason, f"{subject} of a checkpoint", given=given, expected=expected)
        if not 0 <= self.size <= MAX_TREE_SIZE:
            raise BrokenProof(reason, "size of a checkpoint", given=self.size, expected="0 to 2**63 - 1")
        if len(self.root) != HASH_SIZE:
            given, expected = f"{len(self.root)} bytes", f"{HASH_SIZE} bytes"
            raise BrokenProof(reason, "root of a checkpoint", given=given, expected=expected)

    @classmethod
    def parse(cls, text: str) -> Checkpoint:
        """The checkpoint that the text of a note spells; `text()` gives it back unchanged.

        Raises:
            BrokenProof: it spells none (`BAD_CHECKPOINT`).
        """
        reason = Reason.BAD_CHECKPOINT
        lines = text.split("\n")
        if len(lines) < 4 or lines[-1]:
            expected = "lines of origin, size and root, each ending in a newline"
            raise BrokenProof(reason, "form of a checkpoint", given=repr(text[:64]), expected=expected)
        origin, size, root, *extensions = lines[:-1]
        if not _SIZE.fullmatch(size):
            expected = "decimal digits without leading zeros, less than 2**63"
            raise BrokenProof(reason, "size of a checkpoint", given=repr(size[:64]), expected=expected)
        decoded = decode_base64(root)
        if decoded is None:
            raise BrokenProof(
                reason, "root of a checkpoint", given=repr(root[:64]), expected="canonical base64"
            )
        return cls(origin, int(size), decoded, tuple(extensions))

    def text(self) -> str:
        """The text of its note: a line each for origin, size, root and every extension."""
        lines = (self.origin, str(self.size), encode_base64(self.root), *self.extensions)
        return "".join(f"{line}\n" for line in lines)


def sign_checkpoint(checkpoint: Checkpoint, *signers: NoteSigner) -> bytes:
    """The signed note of a checkpoint, by the log's own signers: one, or several while the log changes its key.

    Whoever calls this promises that the tree extends every tree signed before.

    Raises:
        BrokenProof: a signer's name is not the origin (`BAD_CHECKPOINT`), or there is no signer (`BAD_NOTE`).
        BadInput: the name is none for a key (`BAD_KEY`).
    """
    for signer in signers:
        if signer.name != checkpoint.origin:
            subject, given = "signer of a checkpoint", repr(signer.name)
            raise BrokenProof(Reason.BAD_CHECKPOINT, subject, given=given, expected=repr(checkpoint.origin))
    return SignedNote.sign(checkpoint.text(), *signers).encode()


def open_checkpoint(note: bytes, origin: str, keys: Iterable[VerifierKey]) -> Checkpoint:
    """The checkpoint of the log `origin`, after its signature has been verified.

    Args:
        note: the signed note.
        origin: the log that the caller means.
        keys: keys that the caller trusts. Those that count are the log's own: Ed25519, and named like the origin.
            Others, such as those of witnesses, are passed over; they have their own rules.

    Raises:
        BadInput: none of the keys is the log's (`BAD_KEY`).
        BrokenProof: the note is malformed or not signed by the log (`BAD_NOTE`), or what it says is no checkpoint of
            this log (`BAD_CHECKPOINT`).
    """
    own = [key for key in keys if key.name == origin and key.key_type == ED25519]
    if not own:
        raise BadInput(
            Reason.BAD_KEY,
            f"keys to verify checkpoints of {origin}",
            given="none",
            expected="an Ed25519 key of this name",
        )
    signed = SignedNote.parse(note)
    signed.verify(own)
    checkpoint = Checkpoint.parse(signed.text)
    if checkpoint.origin != origin:
        subject, given = "origin of a checkpoint", repr(checkpoint.origin[:64])
        raise BrokenProof(Reason.BAD_CHECKPOINT, subject, given=given, expected=repr(origin))
    if checkpoint.size == 0 and checkpoint.root != EMPTY_ROOT:
        subject, given = "root of a checkpoint of size 0", checkpoint.root.hex()
        raise BrokenProof(Reason.BAD_CHECKPOINT, subject, given=given, expected=EMPTY_ROOT.hex())
    return checkpoint
