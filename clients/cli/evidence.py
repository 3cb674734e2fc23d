"""`suyuan regulator evidence` and `verify-evidence`: files that prove without the service what the log says of a thing."""

from __future__ import annotations

import shutil
from collections.abc import Iterable
from contextlib import suppress
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from tempfile import mkdtemp
from typing import TYPE_CHECKING, Any

from clients.cli.forms import checkpoint_record, entry_record
from clients.cli.output import error_record, shown
from clients.cli.report import Source, evidence_report, refusal_report
from clients.cli.session import Believing, Session
from clients.cli.status import Status, verdict_of
from clients.cli.verdict import Said, second_text, what_holds, what_is_not_proven
from clients.evidence_check import CheckedEvidence, check_evidence
from clients.new_file import file_refusal, write_whole
from clients.verified import VerifiedEntry
from ledger.chain_key import ChainKey
from ledger.errors import BrokenProof, Conflict, Reason
from ledger.evidence import MAX_BYTES, Evidence

if TYPE_CHECKING:
    from rich.console import RenderableType


def make(session: Session, subject: ChainKey | bytes, out: Path, report: Path | None) -> None:
    """Make a file of what the log says of a subject, and print what it proves.

    Raises:
        Conflict: `NOT_FOUND` if there is nothing.
        BadInput: a file cannot be written, or exists.
        BrokenProof: what came does not verify; nothing is written.
    """
    from clients.evidence import make_evidence  # noqa: PLC0415 - gRPC takes long to load, and checking needs none

    _require_free(out, report)
    try:
        with session.out.progress("Proving") as progress:
            raw, checked = make_evidence(session.client, session.policy, subject, progress)
    except Conflict as error:
        if error.reason is not Reason.SALE_UNKNOWN:
            raise
        raise Conflict(Reason.NOT_FOUND, error.subject, given=error.given, expected=error.expected) from error
    source = _source(out, raw)
    page = b"" if report is None else evidence_report(checked, source, datetime.now(UTC))
    write_whole(out, raw)
    if report is not None:
        write_whole(report, page)
    told = {
        "file": str(out),
        "sha256": source.sha256.hex(),
        "bytes": source.size,
        "subject": checked.evidence.subject_text,
        "entries": len(checked.entries),
        "introductions": len(checked.introductions),
        "checkpoint": checkpoint_record(checked.checkpoint),
        "report": None if report is None else str(report),
    }
    lines = [
        f"Evidence on {checked.evidence.subject_text} in {out}",
        f"  sha256 {source.sha256.hex()}, {source.size} bytes",
        *(f"  {said.english}" for said in what_holds(checked)),
        *([] if report is None else [f"Report in {report}"]),
        f"Whoever has the log's key can check it: suyuan regulator verify-evidence {out}",
    ]
    session.out.result(told, lines)


def verify(session: Believing, path: Path, extract: Path | None, report: Path | None) -> Status:
    """Check a file offline, and print what it proves and what not; the exit status that tells it.

    Raises:
        BadInput: the file cannot be read or is no evidence file, nobody told the log's key, or what is to be written
            exists already.
    """
    policy = session.policy
    _require_free(extract, report)
    raw = _read(path)
    source, now = _source(path, raw), datetime.now(UTC)
    try:
        evidence = Evidence.parse(raw)
        with session.out.progress("Verifying") as progress:
            checked = check_evidence(evidence, policy, progress)
    except BrokenProof as error:
        if report is not None:
            write_whole(report, refusal_report(error, source, now))
        told: dict[str, Any] = {"verified": False, **_file_record(path, source), "error": error_record(error)}
        why = f"{shown(str(error))} [{error.reason}]"
        session.out.result(told, [f"NOT VERIFIED  {path}", f"  {why}"])
        return verdict_of([error.reason])
    if extract is not None:
        _extract(evidence, extract)
    if report is not None:
        write_whole(report, evidence_report(checked, source, now))
    session.out.drawing(lambda: _record(checked, path, source), lambda: [_drawing(checked)])
    return Status.OK


def _record(checked: CheckedEvidence, path: Path, source: Source) -> dict[str, Any]:
    """What a file proves, for programs."""
    return {
        "verified": True,
        **_file_record(path, source),
        "subject": checked.evidence.subject_text,
        "checkpoint": checkpoint_record(checked.checkpoint),
        "signed_by": [str(key) for key in checked.signed_by],
        "cosignatures": [
            {"witness": str(one.key), "time": second_text(one.time_s)} for one in checked.cosignatures
        ],
        "quorum": checked.quorum or None,
        "chains": [{"chain": chain, "entries": length} for chain, length in checked.chains.items()],
        "entries": _entry_records(checked.entries, checked),
        "introductions": _entry_records(checked.introductions, checked),
        "checked": [said.english for said in what_holds(checked)],
        "not_proven": [said.english for said in what_is_not_proven(checked)],
    }


def _entry_records(entries: Iterable[VerifiedEntry], checked: CheckedEvidence) -> list[dict[str, Any]]:
    # Flags are not in the file: no list of them would be the truth, not even an empty one.
    return [
        {**entry_record(entry), "flags": None, "signer_name": _name(entry.signer, checked) or None}
        for entry in entries
    ]


def _file_record(path: Path, source: Source) -> dict[str, Any]:
    return {"file": str(path), "sha256": source.sha256.hex()}


def _drawing(checked: CheckedEvidence) -> RenderableType:
    from rich.console import Group  # noqa: PLC0415 - takes long to load, and programs need none of it
    from rich.text import Text  # noqa: PLC0415 - as above

    from clients.cli.timeline import Timeline  # noqa: PLC0415 - as above

    evidence = checked.evidence
    chain = str(evidence.subject) if isinstance(evidence.subject, ChainKey) else ""
    return Group(
        Text(evidence.subject_text, "bold"),
        Timeline(checked.entries, chain, lambda party: _name(party, checked)),
        Text(f"\nVERIFIED  {evidence.subject_text}", "bold green"),
        *_texts(what_holds(checked)),
        Text("Not proven by this file", "bold"),
        *_texts(what_is_not_proven(checked)),
    )


def _texts(sentences: Iterable[Said]) -> list[RenderableType]:
    from rich.padding import Padding  # noqa: PLC0415 - as above
    from rich.text import Text  # noqa: PLC0415 - as above

    return [Padding(Text(shown(said.english)), (0, 0, 0, 2), expand=False) for said in sentences]


def _name(party: str, checked: CheckedEvidence) -> str:
    """A company's public name, or a member's company with the member's pseudonym; empty for a buyer."""
    if not party:
        return ""
    chain = ChainKey.parse(party)
    name = checked.names.get(chain.company, "")
    return name if chain == chain.company or not name else f"{name} / {chain.member_name}"


def _extract(evidence: Evidence, folder: Path) -> None:
    """Write each entry with its proof into a new folder, for verifiers that know nothing of evidence files.

    Raises:
        BadInput: the folder cannot be made. A crash leaves a draft beside it at worst.
    """
    try:
        draft = Path(mkdtemp(prefix=".suyuan-draft-", dir=folder.parent))
    except OSError as error:
        raise file_refusal(folder, error.strerror, "a new folder") from error
    try:
        (draft / "checkpoint").write_bytes(evidence.checkpoint)
        for leaf in evidence.leaves():
            (draft / f"{leaf.index}.entry").write_bytes(leaf.data)
            (draft / f"{leaf.index}.tlog-proof").write_bytes(evidence.tlog_proof(leaf).encode())
        draft.chmod(0o755)
        draft.rename(folder)
    except OSError as error:
        raise file_refusal(folder, error.strerror, "a new folder") from error
    finally:
        with suppress(FileNotFoundError):
            shutil.rmtree(draft)


def _read(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            # One more than there may be, so that a longer file is told from the longest.
            return file.read(MAX_BYTES + 1)
    except OSError as error:
        raise file_refusal(path, error.strerror, "an evidence file that can be read") from error


def _source(path: Path, raw: bytes) -> Source:
    return Source(path.name, sha256(raw).digest(), len(raw))


def _require_free(*paths: Path | None) -> None:
    """Refuse at once what would be refused after all the work."""
    seen: set[Path] = set()
    for path in filter(None, paths):
        if path.exists() or path.is_symlink() or path.absolute() in seen:
            raise file_refusal(path, "a file that exists", "a new file")
        seen.add(path.absolute())
