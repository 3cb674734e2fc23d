"""What a witness answers to `add-checkpoint` (C2SP tlog-witness): cosignatures, or the size that it has.

    200                                  409, text/x.tlog.size
    — witness.example/w1 CMp+6LWBU0an…   20852014
    — witness.example/w2 AWui8Sk55XjY…

Answers are hostile until they are verified, and read strictly. `ledger.witness` has the request.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from ledger.cosignature import Cosignature, cosignatures_of
from ledger.errors import BrokenProof, Reason
from ledger.note import NoteSignature, SignedNote, VerifierKey
from ledger.witness import STALE_SIZE_TYPE

_SIZE = re.compile(rb"(0|[1-9][0-9]{0,18})\n")


def read_size(content_type: str, body: bytes) -> int | None:
    """The size that a 409 tells; None if it tells none."""
    media_type, _, _ = content_type.partition(";")
    match = _SIZE.fullmatch(body) if media_type.strip().lower() == STALE_SIZE_TYPE else None
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
