"""Evidence against a log: two checkpoints that it has signed and that do not go together.

A log signs the heads of one tree that only grows. Whoever holds two signed checkpoints that are not of one such tree
can show them to anybody who knows the log's key. What they prove depends:

- The same size and two roots: a fork. The two signatures prove it; nothing else is needed, and nothing excuses it.
- Two sizes, and no valid consistency proof from one to the other: the log owes a proof. One that cannot give it, or
  gives one that does not hold, has forked; an audit of the larger tree shows it too, since its first entries have
  another root than the smaller checkpoint says.
- A smaller one after a larger one: a rollback. The signatures prove that the log was that large once; that it shows
  less now is the word of whoever kept them.

The file is JSON in UTF-8, with these fields in this order, ending in a newline:

    format       "suyuan-contradiction/1"
    origin       the log
    reason       what was found: "FORK", "ROLLBACK" or "BAD_CONSISTENCY_PROOF"
    message      for people
    at_us        when, by the finder's clock: microseconds since 1970-01-01T00:00:00Z
    checkpoints  the two signed notes, the one that was believed first
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from ledger.checkpoint import Checkpoint, open_checkpoint
from ledger.errors import BadInput, Reason
from ledger.note import MAX_NOTE_SIZE, VerifierKey

FORMAT = "suyuan-contradiction/1"

MAX_BYTES = 4 * MAX_NOTE_SIZE

REASONS = (Reason.FORK, Reason.ROLLBACK, Reason.BAD_CONSISTENCY_PROOF)


@dataclass(frozen=True, slots=True)
class Contradiction:
    """Two signed checkpoints that do not go together; nothing of it is verified yet."""

    origin: str
    reason: Reason
    """What was found."""
    message: str
    """For people."""
    at_us: int
    """When, by the finder's clock: microseconds since 1970-01-01T00:00:00Z."""
    checkpoints: tuple[bytes, bytes]
    """The signed notes, the one that was believed first."""

    @classmethod
    def parse(cls, raw: bytes) -> Contradiction:
        """The evidence in a file; `encode` gives it back unchanged.

        Raises:
            BadInput: `INVALID_REQUEST` if it holds none.
        """
        if len(raw) > MAX_BYTES:
            raise _bad(f"{len(raw)} bytes", f"at most {MAX_BYTES} bytes")
        try:
            told = json.loads(raw)
        except (ValueError, RecursionError) as error:
            raise _bad("bytes that are no JSON", FORMAT) from error
        try:
            found = _read(told)
            faithful = found.encode() == raw
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise _bad("another file", FORMAT) from error
        if not faithful:
            raise _bad("another spelling of it", f"{FORMAT}, as it is written")
        return found

    def encode(self) -> bytes:
        """The file's bytes."""
        told = {
            "format": FORMAT,
            "origin": self.origin,
            "reason": str(self.reason),
            "message": self.message,
            "at_us": self.at_us,
            "checkpoints": [note.decode() for note in self.checkpoints],
        }
        return (json.dumps(told, ensure_ascii=False, indent=2) + "\n").encode()

    def verify(self, keys: Iterable[VerifierKey]) -> tuple[Checkpoint, Checkpoint]:
        """The two checkpoints, after the log's signatures under both have been verified.

        Raises:
            BrokenProof: the log has not signed them both (`BAD_NOTE`, `BAD_CHECKPOINT`): then they prove nothing.
            BadInput: none of the keys is the log's (`BAD_KEY`).
        """
        known = tuple(keys)
        one, other = (open_checkpoint(note, self.origin, known) for note in self.checkpoints)
        return one, other


def is_fork(one: Checkpoint, other: Checkpoint) -> bool:
    """Whether two checkpoints of a log, whose signatures hold, prove by themselves that it has forked."""
    return one.size == other.size and one.root != other.root


def _read(told: Any) -> Contradiction:
    if told["format"] != FORMAT:
        raise ValueError
    reason, at_us = Reason(told["reason"]), told["at_us"]
    one, other = told["checkpoints"]
    texts = (told["origin"], told["message"], one, other)
    if reason not in REASONS or type(at_us) is not int or not all(isinstance(text, str) for text in texts):
        raise ValueError
    return Contradiction(told["origin"], reason, told["message"], at_us, (one.encode(), other.encode()))


def _bad(given: str, expected: str) -> BadInput:
    return BadInput(Reason.INVALID_REQUEST, "evidence of a contradiction", given=given, expected=expected)
