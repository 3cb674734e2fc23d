"""`suyuan regulator audit`: the whole log from a service, judged again from its raw entries.

What the service cannot show, although it has signed for it, is a finding like any other, and the audit goes on with
what can be had. Checkpoints that were verified before come in as what they are, claims to be compared: the connection
of the audit itself remembers nothing, so that a rewritten history is read to its end and not only refused.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from clients.cli.inputs import read_input
from clients.cli.output import Progress, shown
from clients.cli.session import Local, Session
from clients.cli.status import Status, status_of, verdict_of
from clients.trust import MemoryTrust
from ledger.audit import Auditor
from ledger.checkpoint import Checkpoint, open_checkpoint
from ledger.contradiction import Contradiction
from ledger.errors import BrokenProof, LedgerError, Reason
from ledger.findings import AuditReport
from ledger.note import SignedNote

_PAGE: Final = 1_000

MAX_MISSING: Final = 1_000
"""Entries in a row that a service cannot show before the audit gives up on the rest."""


def audit(session: Session, files: Iterable[Path]) -> Status:
    """Audit the log, print the report and remember the checkpoint if all holds; the exit status that tells it.

    Args:
        session: whom to ask.
        files: signed checkpoints that the log must still continue.

    Raises:
        ServiceFault: the service does not answer.
        BrokenProof: a remembered checkpoint, or one in the files, is not signed by the log's key.
        BadInput: a file cannot be read.
    """
    origin = session.origin
    remembered = session.trust.newest(origin)
    notes = [*([remembered] if remembered else []), *(read_input(path, "checkpoint") for path in files)]
    known = [open_checkpoint(note, origin, session.vkeys) for note in notes]
    audit_of_log = _Audit(session, known)
    with session.out.progress("Auditing") as progress:
        report = audit_of_log.run(progress)
    kept = audit_of_log.evidence | keep_evidence(
        session, report, dict(zip(known, notes, strict=True)), audit_of_log.note
    )
    tell(session, report, known, kept)
    if report.verified:
        remember(session, remembered, audit_of_log.note)
        return Status.OK
    # Entries that were changed after they were signed are no fork: only two signatures are.
    unwitnessed = [finding.reason for finding in report.findings if finding.reason is Reason.UNWITNESSED]
    return verdict_of([*kept.values(), *unwitnessed, Reason.BAD_ENTRY])


def keep_evidence(
    session: Session, report: AuditReport, notes: Mapping[Checkpoint, bytes], note: bytes
) -> dict[str, Reason]:
    """Keep the signed checkpoints that the audited one contradicts; returns where, and of what they are evidence.

    If the entries do not even lead to the audited checkpoint, somebody changed them after it was signed: then it is
    they that contradict what was seen before, and no two signatures do.
    """
    audited = Checkpoint.parse(SignedNote.parse(note).text) if report.contradicted else None
    kept = {}
    for before in report.contradicted:
        if audited is not None and (before.size > audited.size or report.root == audited.root):
            reason = Reason.ROLLBACK if before.size > audited.size else Reason.FORK
            message = f"an audit of {report.size} entries does not continue a checkpoint of {before.size} seen before"
            at_us = time.time_ns() // 1_000
            found = Contradiction(session.origin, reason, message, at_us, (notes[before], note))
            kept[session.trust.keep(found)] = reason
    return kept


class _Audit:
    """One reading of the log."""

    def __init__(self, session: Session, known: list[Checkpoint]) -> None:
        self._session = session
        self._auditor = Auditor(session.origin, known=known)
        self._client = session.connect(MemoryTrust(session.trust))
        self.evidence: dict[str, Reason] = {}
        """Where evidence against the log was kept on the way, and of what."""
        self.note = b""
        """The signed note of the checkpoint up to which the log was read."""

    def run(self, progress: Progress) -> AuditReport:
        """Read all that can be had.

        Raises:
            ServiceFault: the service does not answer.
        """
        auditor = self._auditor
        try:
            checkpoint = self._client.checkpoint()
        except LedgerError as error:
            self._find(None, error)
            return auditor.report
        self.note = self._client.checkpoint_note
        missing = 0
        for is_there in self._read(checkpoint.size):
            missing = 0 if is_there else missing + 1
            if missing == MAX_MISSING:
                break
            progress(auditor.size, checkpoint.size)
        return auditor.conclude(checkpoint)

    def _read(self, size: int) -> Iterator[bool]:
        """Have the auditor read page by page, and where a page cannot be had, entry by entry; whether one could."""
        auditor, page, contradicted_at = self._auditor, _PAGE, -1
        while auditor.size < size:
            stop = min(auditor.size + page, size)
            try:
                for data, leaf_hash in self._client.entries(auditor.size, stop):
                    auditor.read(data, leaf_hash)
            except LedgerError as error:
                if isinstance(error, BrokenProof) and contradicted_at != auditor.size:
                    # The service contradicts what it said before. A client that knows nothing can still read on.
                    self._find(None, error)
                    self._client, contradicted_at = (
                        self._session.connect(MemoryTrust(self._session.trust)),
                        auditor.size,
                    )
                elif stop - auditor.size > 1:
                    self._require_answer(error)
                    page = 1
                else:
                    self._miss(error)
                    yield False
            else:
                page = min(page * 2, _PAGE)
                yield True

    def _miss(self, error: LedgerError) -> None:
        """Go on behind an entry that cannot be had."""
        self._find(self._auditor.size, error)
        findings = self._auditor.report.findings
        told = len(findings)
        self._auditor.read(b"")
        # What it says of the entry that stands in adds nothing.
        del findings[told:]

    def _find(self, index: int | None, error: LedgerError) -> None:
        self._require_answer(error)
        if isinstance(error, BrokenProof) and error.evidence:
            self.evidence[error.evidence] = error.reason
        what = "" if index is None else "the service cannot show it: "
        self._auditor.find(index, error.reason, f"{what}{error}")

    def _require_answer(self, error: LedgerError) -> None:
        """No answer is no finding."""
        if status_of(error) is Status.UNREACHABLE:
            raise error


def tell(session: Local, report: AuditReport, known: list[Checkpoint], kept: Iterable[str]) -> None:
    """Print the report."""
    session.out.result(report_record(report, known, kept), report_lines(report, known, kept))


def report_record(report: AuditReport, known: list[Checkpoint], kept: Iterable[str]) -> dict[str, Any]:
    """The report for programs.

    Args:
        report: what was found.
        known: checkpoints that the log was compared with.
        kept: where evidence against the log was kept.
    """
    findings = [
        {"index": finding.index, "reason": str(finding.reason), "message": finding.message}
        for finding in report.findings
    ]
    return {
        "verified": report.verified,
        "origin": report.origin,
        "entries": report.size,
        "root": report.root.hex() or None,
        "chains": report.chains,
        "parties": report.parties,
        "signatures": report.signatures,
        "kinds": dict(sorted(report.kinds.items())),
        "flagged": report.flagged,
        "unknown_kinds": report.unknown_kinds,
        "unjudged": report.unjudged,
        "compared_with": [checkpoint.size for checkpoint in known],
        "findings": findings,
        "more_findings": report.more_findings,
        "evidence": list(kept),
    }


def report_lines(report: AuditReport, known: list[Checkpoint], kept: Iterable[str]) -> list[str]:
    """The report for people: what was found, the verdict, what was read."""
    total = len(report.findings) + report.more_findings
    verdict = (
        f"VERIFIED  {report.origin}"
        if report.verified
        else f"TAMPERED  {report.origin}: {total} {'finding' if total == 1 else 'findings'}"
    )
    lines = [*_counts(report, known), *(f"evidence against the log was kept: {path}" for path in kept)]
    return [*_finding_lines(report), verdict, *(f"  {line}" for line in lines)]


def _finding_lines(report: AuditReport) -> Iterator[str]:
    yield from (shown(str(finding)) for finding in report.findings)
    if report.more_findings:
        yield f"and {report.more_findings} more findings"


def _counts(report: AuditReport, known: list[Checkpoint]) -> Iterator[str]:
    yield (
        f"{report.size} entries, {report.chains} chains, {report.parties} parties, "
        f"{report.signatures} signatures checked"
    )
    kinds = ", ".join(f"{kind.replace('_', ' ')} {count}" for kind, count in report.kinds.most_common())
    if kinds:
        yield f"by kind: {kinds}"
    if report.root:
        yield f"root {report.root.hex()}"
    for checkpoint in known:
        yield f"compared with a checkpoint of {checkpoint.size} entries, verified before"
    if report.unknown_kinds:
        yield f"{report.unknown_kinds} entries are of kinds unknown to this version: their rules were not checked"
    if report.unjudged:
        yield f"{report.unjudged} entries are under rules unknown to this version: their rules were not checked"


def remember(session: Session, before: bytes | None, note: bytes) -> None:
    """Remember the audited checkpoint, unless a larger one is remembered, or another process was faster."""
    if before is None or _size(before) < _size(note):
        session.trust.replace(session.origin, before, note)


def _size(note: bytes) -> int:
    return Checkpoint.parse(SignedNote.parse(note).text).size
