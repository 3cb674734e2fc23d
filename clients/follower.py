"""Following one log: every checkpoint that is believed continues those believed before.

The rules, for a checkpoint that comes with an answer:

1. It is signed by the log, for the origin that the caller means.
2. It is not smaller than what was remembered when the question was asked: `ROLLBACK`.
3. It continues what was remembered then, by the consistency proof of the answer: else `FORK`.
4. It agrees with what is remembered by now. Other threads and processes may have seen larger ones in the meantime, or
   smaller ones that are newer than what the question knew. Either way the log has to prove that one continues the
   other, or it is a `FORK`: this is what keeps a service from showing different histories to each.
5. If it is the largest, it is remembered, in place of exactly the one that it was proven to continue.

An answer that is overtaken by a newer one is honest: it may be used, and is not remembered.

Where the policy asks for witnesses, a checkpoint that a quorum has cosigned is remembered apart. It may be older than
the newest one that the log has signed, and has to agree with it: both are trees of one log.

Two checkpoints that the log has signed and that contradict each other are evidence: they are kept beside what is
remembered, and the error says where.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TypeAlias

from clients.trust import TrustStore
from clients.verify import verify_growth
from ledger.checkpoint import Checkpoint, open_checkpoint
from ledger.contradiction import REASONS, Contradiction
from ledger.errors import BadInput, BrokenProof, Reason
from ledger.policy import Policy
from suyuan.v1 import ledger_service_pb2 as pb

ConsistencyProver: TypeAlias = Callable[[int, int], Sequence[bytes]]
"""Asks the log for the consistency proof from the first size to the second."""

MAX_AGREED = 1_024
"""Checkpoints that are kept in memory as proven to agree with the remembered one."""


class Follower:
    """Decides which checkpoints of a log to believe. Safe to share among threads."""

    def __init__(self, policy: Policy, trust: TrustStore, prove: ConsistencyProver) -> None:
        """Follow the one log that this policy names.

        Args:
            policy: the log's keys, named like its origin, and the witnesses.
            trust: remembers the newest checkpoint.
            prove: for what an answer's own proof does not cover.

        Raises:
            BadInput: `INVALID_REQUEST` if the policy names no log or several.
        """
        if len(policy.origins) != 1:
            given = ", ".join(policy.origins) or "none"
            raise BadInput(Reason.INVALID_REQUEST, "logs to follow", given=given, expected="one")
        self.policy = policy
        [self.origin] = policy.origins
        self._trust = trust
        self._prove = prove
        self._agreed: dict[int, bytes] = {}
        self._lock = threading.Lock()

    def note(self) -> bytes | None:
        """The signed note of the newest checkpoint; None if none was seen yet."""
        return self._trust.newest(self.origin)

    def newest(self) -> Checkpoint | None:
        """The newest checkpoint; None if none was seen yet.

        Raises:
            BrokenProof: `BAD_NOTE` if what is remembered was not signed by the log's key.
        """
        return self._read(self.note())

    def accept(
        self, proven: pb.ProvenCheckpoint, known: Checkpoint | None, *, has_proof: bool = True
    ) -> Checkpoint:
        """Believe a checkpoint, or raise.

        Args:
            proven: what came with an answer.
            known: `newest()` from before the question was asked.
            has_proof: whether the question named the size of `known`, so that the answer proves the growth since.

        Raises:
            BrokenProof: `BAD_NOTE`, `BAD_CHECKPOINT`, `ROLLBACK`, `FORK`, `BAD_CONSISTENCY_PROOF`.
            ServiceFault: a further proof was needed, and the log could not be asked for it.
        """
        seen = self._open(proven.note)
        agreed = None
        with self._keeping_evidence(self._trust, proven.note):
            if has_proof:
                verify_growth(known, seen, proven.consistency_proof)
                agreed = known
            elif known is not None and seen.size <= known.size:
                verify_growth(known, seen, ())
            self._remember(seen, proven.note, agreed)
        return seen

    def witnessed(self) -> Checkpoint | None:
        """The newest checkpoint that a quorum of witnesses has cosigned; None if none was seen yet.

        Raises:
            BrokenProof: `BAD_NOTE` if what is remembered was not signed by the log's key.
        """
        return self._read(self.witnessed_note())

    def witnessed_note(self) -> bytes | None:
        """Its signed note, with the cosignatures.

        What was remembered under another policy counts only if it satisfies this one too.
        """
        note = self._trust.witnessed.newest(self.origin)
        return note if note is not None and self._has_quorum(note) else None

    def _has_quorum(self, note: bytes) -> bool:
        try:
            self.policy.require_quorum(note)
        except BrokenProof:
            return False
        return True

    def accept_witnessed(self, note: bytes, known: Checkpoint | None) -> Checkpoint:
        """Believe a checkpoint that witnesses have cosigned, or raise.

        Args:
            note: what came with an answer.
            known: `witnessed()` from before the question was asked.

        Raises:
            BrokenProof: `UNWITNESSED` if they are no quorum, and as `accept`.
            ServiceFault: as `accept`.
        """
        seen = self._open(note)
        self.policy.require_quorum(note)
        store = self._trust.witnessed
        with self._keeping_evidence(store, note):
            if known is not None and seen.size <= known.size:
                verify_growth(known, seen, ())
        with self._keeping_evidence(self._trust, note):
            # All that is remembered is of one log from here on, so sizes tell which is the older one.
            self._remember(seen, note, None)
        while True:
            before_note = store.newest(self.origin)
            before = self._read(before_note)
            overtaken = before is not None and before.size >= seen.size
            # The same checkpoint with other cosignatures may satisfy a policy that what is remembered does not.
            if overtaken and not (_same_tree(seen, before) and self.witnessed_note() is None):
                return seen
            if store.replace(self.origin, before_note, note):
                return seen

    def glance(self, proven: pb.ProvenCheckpoint, size: int) -> None:
        """Look at a checkpoint that nothing will rest on, for the lies that show without another question.

        Args:
            proven: what came with an answer.
            size: of a tree that the log has proven to have.

        Raises:
            BrokenProof: `BAD_NOTE`, `BAD_CHECKPOINT`, `ROLLBACK`, `FORK`.
        """
        seen = self._open(proven.note)
        if seen.size < size:
            raise BrokenProof(
                Reason.ROLLBACK,
                f"size of the log {seen.origin}",
                given=f"{seen.size} entries",
                expected=f"at least {size}",
            )
        now = self.newest()
        if now is not None and now.size == seen.size:
            with self._keeping_evidence(self._trust, proven.note):
                verify_growth(now, seen, ())

    def _remember(self, seen: Checkpoint, its_note: bytes, agreed: Checkpoint | None) -> None:
        """Remember a checkpoint if it is the largest, after a look that it agrees with what is remembered.

        Args:
            seen: signed by the log.
            its_note: its note.
            agreed: what it is known to agree with already.
        """
        while True:
            note = self.note()
            now = self._read(note)
            if now is not None and not _same_tree(now, agreed):
                self._require_agreement(now, seen)
                agreed = now
            if now is not None and now.size >= seen.size:
                self._keep_agreed(now, seen)
                return
            if self._trust.replace(self.origin, note, its_note):
                self._keep_agreed(seen)
                return

    @contextmanager
    def _keeping_evidence(self, store: TrustStore, note: bytes) -> Iterator[None]:
        """Keep the two checkpoints that contradict each other, if that is what an error is about."""
        try:
            yield
        except BrokenProof as error:
            before = store.newest(self.origin)
            if before is not None and before != note and error.reason in REASONS:
                at_us = time.time_ns() // 1_000
                found = Contradiction(self.origin, error.reason, str(error), at_us, (before, note))
                error.evidence = self._trust.keep(found)
            raise

    def _require_agreement(self, one: Checkpoint, other: Checkpoint) -> None:
        smaller, larger = sorted((one, other), key=lambda checkpoint: checkpoint.size)
        with self._lock:
            agreed = all(self._agreed.get(tree.size) == tree.root for tree in (smaller, larger))
        if agreed:
            return
        needs_proof = 0 < smaller.size < larger.size
        verify_growth(smaller, larger, self._prove(smaller.size, larger.size) if needs_proof else ())

    def _keep_agreed(self, *checkpoints: Checkpoint) -> None:
        """Keep checkpoints that need no proof when they are met again.

        Only what was remembered, or what such a one continues, may come here: all these are beginnings of one log.
        What merely continues one of them may be one of two branches, until it is remembered itself.
        """
        with self._lock:
            for checkpoint in checkpoints:
                self._agreed.setdefault(checkpoint.size, checkpoint.root)
            while len(self._agreed) > MAX_AGREED:
                del self._agreed[next(iter(self._agreed))]

    def _open(self, note: bytes) -> Checkpoint:
        return open_checkpoint(note, self.origin, self.policy.keys_of(self.origin))

    def _read(self, note: bytes | None) -> Checkpoint | None:
        if note is None:
            return None
        try:
            return self._open(note)
        except BrokenProof as error:
            subject = f"remembered checkpoint of {self.origin}: {error.subject}"
            raise BrokenProof(error.reason, subject, given=error.given, expected=error.expected) from error


def _same_tree(one: Checkpoint, other: Checkpoint | None) -> bool:
    return other is not None and (one.size, one.root) == (other.size, other.root)
