"""The witness itself: remembers before it cosigns, and keeps what it had to refuse."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import structlog

from clients.witness.memory import Cosigned, Memory, origin_hash
from ledger.cosignature import Cosigner
from ledger.errors import BrokenProof, Conflict, LedgerError
from ledger.note import NoteSignature
from ledger.witness import KnownLogs, Submission

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Witness:
    """A witness, ready to cosign; for one thread at a time.

    Several may share one file, in this process and in others: each looks at what the others have recorded before it
    cosigns anything.
    """

    cosigners: Sequence[Cosigner]
    """Its keys; each cosigns every checkpoint."""
    logs: KnownLogs
    memory: Memory
    clock_s: Callable[[], int]
    """Seconds since 1970-01-01T00:00:00Z."""

    def cosign(self, submission: Submission) -> tuple[NoteSignature, ...]:
        """Cosign a checkpoint, if it continues the latest one of its log.

        When this returns, the checkpoint is on the disk as the latest. A crash on the way leaves either that or the
        one before, and the client without an answer: it will ask again, and be told which of the two it is.

        Raises:
            Conflict, BrokenProof: as `Submission.require_continues` says.
            ServiceFault: as `Memory` says.
        """
        now_s = max(1, self.clock_s())
        with self.memory.writing():
            latest = self.memory.latest(origin_hash(submission.checkpoint.origin))
            try:
                submission.require_continues(None if latest is None else latest.checkpoint)
            except (Conflict, BrokenProof) as error:
                # Raised below, when what is kept of it is on the disk.
                refusal = error
                self._keep(submission, latest, error, now_s)
            else:
                return self._record(submission, latest, now_s)
        raise refusal

    def _record(
        self, submission: Submission, latest: Cosigned | None, now_s: int
    ) -> tuple[NoteSignature, ...]:
        if latest is not None:
            if now_s < latest.time_s:
                log.warning("clock_behind", origin=submission.checkpoint.origin, by_s=latest.time_s - now_s)
                now_s = latest.time_s
            again = tuple(self._ours_in(latest))
            if (now_s, submission.note.text) == (latest.time_s, latest.note.text) and len(again) == len(
                self.cosigners
            ):
                # Anybody may repeat a signed checkpoint; it costs us at most one write a second.
                return again
        lines = tuple(cosigner.cosign(submission.note.text, now_s) for cosigner in self.cosigners)
        note = submission.note.with_signatures(*lines)
        self.memory.record(Cosigned(submission.checkpoint, now_s, note))
        return lines

    def _ours_in(self, latest: Cosigned) -> Iterator[NoteSignature]:
        for cosigner in self.cosigners:
            yield from latest.note.signatures_of(cosigner.vkey)

    def _keep(self, submission: Submission, latest: Cosigned | None, error: LedgerError, now_s: int) -> None:
        checkpoint = submission.checkpoint
        conclusive = submission.contradicts(None if latest is None else latest.checkpoint)
        if not conclusive and isinstance(error, Conflict):
            return  # a client that was behind, as often happens
        evidence = self.memory.keep(
            submission.note, latest, conclusive=conclusive, reason=str(error), now_s=now_s
        )
        if evidence is not None:
            tell = log.error if conclusive else log.warning
            event = "log_misbehaved" if conclusive else "unproven_checkpoint"
            tell(event, origin=checkpoint.origin, size=checkpoint.size, evidence=evidence, why=str(error))
