"""Proofs that stand alone: an entry's place, its inclusion proof and the checkpoint, in one text.

Source: C2SP tlog-proof.

    c2sp.org/tlog-proof@v1
    index 73894
    gSKyXoYZUgZ6jduWYrkDOARinOMGJveXjgMkBTcdPlQ=
    B95lDa8R83lS8n0eG+o0buTxRKQTYFi//1U8anccXmA=

    example.com/fancylog
    109482
    sFodV/vSp5O8n9a8QpW6PRY97tfOSW5bsc2Xl/EQi08=

    — example.com/fancylog hI2DJw…

A line `extra <base64>` may stand second; what it holds is authenticated by nothing. Whoever verifies a proof has the
entry already, and knows whom to believe: the log's key and a policy of witnesses (`ledger.policy`).

Strictly read: what is parsed prints back to the very same bytes.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from ledger.errors import BrokenProof, Reason
from ledger.merkle import HASH_SIZE, MAX_TREE_SIZE
from ledger.note import MAX_NOTE_SIZE, SignedNote, decode_base64, encode_base64

HEADER = "c2sp.org/tlog-proof@v1"

MAX_HASHES = 63
"""Hashes of the longest inclusion proof."""

_INDEX = re.compile(r"index (0|[1-9][0-9]{0,18})")


@dataclass(frozen=True, slots=True)
class TlogProof:
    """That a leaf is in a log; nothing of it is verified yet.

    Attributes:
        index: place of the leaf.
        hashes: the inclusion proof, from the leaf's sibling upwards; 32 bytes each.
        checkpoint: the signed note, cosignatures and all.
        extra: opaque, and authenticated by nothing; None if the line is not there.

    Raises:
        BrokenProof: no proof says this (`BAD_INCLUSION_PROOF`, `BAD_NOTE`).
    """

    index: int
    hashes: tuple[bytes, ...]
    checkpoint: bytes
    extra: bytes | None = None

    def __post_init__(self) -> None:
        if not 0 <= self.index < MAX_TREE_SIZE:
            raise _bad("index", self.index, "0 to 2**63 - 2")
        if len(self.hashes) > MAX_HASHES:
            raise _bad("inclusion proof", f"{len(self.hashes)} hashes", f"at most {MAX_HASHES}")
        if any(len(one) != HASH_SIZE for one in self.hashes):
            raise _bad("inclusion proof", "a hash of another length", f"hashes of {HASH_SIZE} bytes")
        SignedNote.parse(self.checkpoint)

    @classmethod
    def parse(cls, raw: bytes) -> TlogProof:
        """The proof that these bytes spell; `encode` gives them back unchanged.

        Raises:
            BrokenProof: they spell none (`BAD_INCLUSION_PROOF`, `BAD_NOTE`).
        """
        if len(raw) > 2 * MAX_NOTE_SIZE:
            raise _bad("proof", f"{len(raw)} bytes", f"at most {2 * MAX_NOTE_SIZE}")
        head, separator, checkpoint = raw.partition(b"\n\n")
        try:
            lines = head.decode("ascii").split("\n")
        except UnicodeDecodeError as error:
            raise _bad("lines above the checkpoint", f"byte 0x{head[error.start]:02x}", "ASCII") from error
        if lines.pop(0) != HEADER or not separator:
            raise _bad("proof", "another text", f"{HEADER}, an index, hashes, an empty line, a checkpoint")
        extra = None
        if lines and lines[0].startswith("extra "):
            extra = decode_base64(lines.pop(0).removeprefix("extra "))
            if extra is None:
                raise _bad("extra line", "something else", "base64")
        match = _INDEX.fullmatch(lines.pop(0)) if lines else None
        if match is None:
            raise _bad("index line", "something else", "index <decimal digits without leading zeros>")
        hashes = []
        for line in lines:
            decoded = decode_base64(line)
            if decoded is None:
                raise _bad("inclusion proof", repr(line[:64]), "base64")
            hashes.append(decoded)
        return cls(int(match[1]), tuple(hashes), checkpoint, extra)

    def encode(self) -> bytes:
        """The proof as bytes; `.tlog-proof` is the usual end of such a file's name."""
        extra = [] if self.extra is None else [f"extra {encode_base64(self.extra)}"]
        lines = (HEADER, *extra, f"index {self.index}", *map(encode_base64, self.hashes), "", "")
        return "\n".join(lines).encode() + self.checkpoint


def _bad(subject: str, given: object, expected: object) -> BrokenProof:
    return BrokenProof(
        Reason.BAD_INCLUSION_PROOF, f"{subject} of a tlog-proof", given=given, expected=expected
    )
