"""`suyuan regulator audit URL`: the whole log from its tiles, judged again, with a memory.

Checkpoints that were verified before, over gRPC or over HTTP, are compared with what is read, and the audited one is
remembered with them if all holds.
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from clients.audit.distant import DistantAudit, Progress
from clients.audit.memory import AuditMemory, forget, path_of
from clients.audit.signatures import Verifiers, processors
from clients.cli.auditing import keep_evidence, remember, report_lines, report_record
from clients.cli.inputs import read_input
from clients.cli.output import error_record, shown
from clients.cli.session import Session
from clients.cli.status import Status, verdict_of
from clients.tiles.fetch import Site
from clients.tiles.log import TiledLog
from ledger.checkpoint import Checkpoint, open_checkpoint
from ledger.contradiction import Contradiction
from ledger.errors import BrokenProof, Reason
from ledger.findings import AuditReport


@dataclass(frozen=True, slots=True)
class Audited:
    """What one audit came to."""

    url: str
    report: AuditReport
    begun_at: int
    """Entries that earlier audits have read."""
    known: list[Checkpoint]
    kept: dict[str, Reason]
    """Where evidence against the log was kept, and of what."""
    is_missing: bool
    """Whether the log could not show something that it has signed for."""

    @property
    def status(self) -> Status:
        """The exit status that tells it."""
        # Entries that were changed after they were signed are no fork: only two signatures are.
        return Status.OK if self.report.verified else verdict_of(self.kept.values() or [Reason.BAD_ENTRY])

    def record(self) -> dict[str, Any]:
        """For programs: as of an audit over gRPC, with what was read this time."""
        return {
            **report_record(self.report, self.known, self.kept),
            "url": self.url,
            "begun_at": self.begun_at,
            "new_entries": self.report.size - self.begun_at,
        }

    def lines(self) -> list[str]:
        """For people."""
        lines = report_lines(self.report, self.known, self.kept)
        if self.begun_at:
            new = self.report.size - self.begun_at
            lines.append(f"  {new} of the entries are new; earlier audits have read the others")
        return lines


def audit(
    session: Session, url: str, files: Iterable[Path], *, jobs: int | None, from_scratch: bool
) -> Status:
    """Audit the log, print the report and remember the checkpoint if all holds; the exit status that tells it.

    Args:
        session: whom to believe.
        url: where the tiles are.
        files: signed checkpoints that the log must still continue.
        jobs: processes that check signatures; None: one for each processor.
        from_scratch: forget what earlier audits read and found.

    Raises:
        ServiceFault: the log does not answer.
        BadInput: a file, the URL or the memory cannot be used.
    """
    if from_scratch:
        forget(_memory_of(session))
    try:
        with session.out.progress("Auditing") as progress:
            audited = audit_once(session, url, files, jobs=jobs, progress=progress)
    except BrokenProof as error:
        kept = [f"  evidence against the log was kept: {shown(error.evidence)}"] if error.evidence else []
        session.out.result(
            {"verified": False, "origin": session.origin, "url": url, "error": error_record(error)},
            [f"NOT VERIFIED  {session.origin}", f"  {shown(str(error))} [{error.reason}]", *kept],
        )
        return verdict_of([error.reason])
    session.out.result(audited.record(), audited.lines())
    return audited.status


def audit_once(
    session: Session, url: str, files: Iterable[Path], *, jobs: int | None, progress: Progress
) -> Audited:
    """Audit what is new, and remember the checkpoint if all holds.

    Raises:
        BrokenProof: the checkpoint is not believed, or a remembered one, or one in the files, is not signed by the log.
        LedgerError: as `audit`.
    """
    origin = session.origin
    remembered = session.trust.newest(origin)
    notes = {}
    for note in (*([remembered] if remembered else []), *(read_input(path, "checkpoint") for path in files)):
        notes[open_checkpoint(note, origin, session.vkeys)] = note
    certificates = None if session.ca is None else str(session.ca)
    with (
        Site(url, timeout_s=session.timeout_s, root_certificates=certificates) as site,
        Verifiers(jobs or processors()) as verifiers,
        AuditMemory(_memory_of(session), origin) as memory,
    ):
        distant = DistantAudit(
            TiledLog(site),
            memory,
            lambda note: session.policy.open(note, origin)[0],
            origin=origin,
            verifiers=verifiers,
            known=notes,
        )
        notes |= distant.seen_before
        try:
            report = distant.run(progress)
        except BrokenProof as error:
            _keep(session, error, distant)
            raise
        kept = keep_evidence(session, report, notes, distant.note)
    if report.verified:
        remember(session, remembered, distant.note)
    return Audited(url, report, distant.begun_at, distant.known, kept, distant.is_missing)


def _memory_of(session: Session) -> Path:
    return path_of(session.settings.state / "audits", session.origin)


def _keep(session: Session, error: BrokenProof, distant: DistantAudit) -> None:
    """Keep the two checkpoints that contradict each other, if that is what an error is about."""
    if distant.contradiction is not None:
        at_us = time.time_ns() // 1_000
        found = Contradiction(session.origin, error.reason, str(error), at_us, distant.contradiction)
        error.evidence = session.trust.keep(found)
