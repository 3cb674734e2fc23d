"""What a log says to a witness, and what the witness answers (C2SP tlog-witness, add-checkpoint).

The request is the size that the witness is thought to have, a consistency proof from there, and the checkpoint:

    old 20852014
    PlRNCrwHpqhGrupue0L7gxbjbMiKA9temvuZZDDpkaw=
    …

    example.com/behind-the-sofa
    20852163
    CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=

    — example.com/behind-the-sofa Az3grlgtzPICa5OS8npVmf1Myq/5IZniMp+ZJurmRDeOoRDe4URYN7u5/Zhcyv2q1gGzGku9nTo+zyWE…

The answer is a signature line for each of the witness's keys (200), or the size that it has (409). Answers are
hostile until they are verified, and read strictly.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from ledger.cosignature import Cosignature, cosignatures_of
from ledger.errors import BrokenProof, Reason
from ledger.note import NoteSignature, SignedNote, VerifierKey, encode_base64

PATH = "/add-checkpoint"
"""Below a submission prefix."""

SIZE_TYPE = "text/x.tlog.size"
"""The media type of a 409 that tells a size; any other 409 is somebody else's conflict."""

_SIZE = re.compile(rb"(0|[1-9][0-9]{0,18})\n")


def submission(old_size: int, proof: Sequence[bytes], note: SignedNote) -> bytes:
    """The request's body.

    Args:
        old_size: size of the newest checkpoint that the witness has; 0 if it has none, or if that is not known.
        proof: from there to the checkpoint (RFC 6962 §2.1.2).
        note: the checkpoint, signed by the log.
    """
    lines = (f"old {old_size}", *map(encode_base64, proof), "", "")
    return "\n".join(lines).encode() + note.encode()


def read_size(content_type: str, body: bytes) -> int | None:
    """The size that a 409 tells; None if it tells none."""
    media_type, _, _ = content_type.partition(";")
    match = _SIZE.fullmatch(body) if media_type.strip().lower() == SIZE_TYPE else None
    return int(match[1]) if match else None


def read_cosignatures(body: bytes, note: SignedNote, keys: Sequence[VerifierKey]) -> tuple[Cosignature, ...]:
    """The cosignatures in a 200, each verified; at least one. Those by unknown keys are ignored.

    Raises:
        BrokenProof: `BAD_NOTE`: not signature lines, one that does not verify, or none by these keys.
    """
    try:
        *lines, rest = body.decode("utf-8").split("\n")
    except UnicodeDecodeError as error:
        raise _bad(f"{error.reason} at byte {error.start}", "UTF-8") from error
    if rest or not lines:
        raise _bad(ascii(rest)[:80] if rest else "nothing", "signature lines, each ending in a newline")
    # A note has a bounded number of lines, so this bounds what there is to verify.
    answer = SignedNote(note.text, tuple(map(NoteSignature.parse, lines)))
    cosignatures = cosignatures_of(answer, keys)
    if not cosignatures:
        raise _bad(f"{len(lines)} by other keys", f"one by {' or '.join(key.label for key in keys)}")
    return cosignatures


def _bad(given: object, expected: str) -> BrokenProof:
    return BrokenProof(Reason.BAD_NOTE, "answer of a witness", given=given, expected=expected)
