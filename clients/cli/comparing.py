"""`suyuan regulator checkpoint` and `compare`: what keeps a log from telling different people different things.

Who remembers a checkpoint can tell whether the log has only grown since. But a log could show each of two people a
history of its own. They find out by comparing their checkpoints: each is signed, so two that do not go together are
proof of misconduct that needs no witness and no word of anybody.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Final

from clients.cli.forms import checkpoint_record
from clients.cli.inputs import read_input
from clients.cli.output import local_text, shown
from clients.cli.session import Session
from clients.cli.status import Status, verdict_of
from clients.new_file import write_new
from clients.trust import MemoryTrust
from ledger.checkpoint import Checkpoint, open_checkpoint
from ledger.contradiction import Contradiction, is_fork
from ledger.errors import BrokenProof, Reason
from ledger.merkle import verify_consistency
from ledger.note import SignedNote
from ledger.policy import Policy, printable_name

if TYPE_CHECKING:
    from ledger.cosignature import Cosignature

_JSON: Final = b"{"

_VERDICTS: Final = ((Reason.FORK, "FORK"), (Reason.ROLLBACK, "ROLLBACK"))


def show(session: Session, out: Path | None) -> None:
    """Ask for the newest checkpoint, verify it, and print it or write it into a new file.

    Raises:
        BrokenProof: it does not continue what was seen before, or a quorum has not cosigned it.
        BadInput: the file exists.
    """
    client = session.client
    client.checkpoint()
    # What is printed is what the note says, also if another command has seen a newer one meanwhile.
    note = client.checkpoint_note
    checkpoint = _opened(session, "the service", note).checkpoint
    cosigned = session.policy.cosignatures(SignedNote.parse(note))
    if out is not None:
        write_new(out, note)
    session.out.result(
        {
            **checkpoint_record(checkpoint),
            "note": note.decode(),
            "cosignatures": [
                {"witness": name, "time_s": one.time_s} for name, one in _named(session, cosigned)
            ],
            "file": None if out is None else str(out),
        },
        [
            f"{checkpoint.origin}: {checkpoint.size} entries, root {checkpoint.root.hex()}",
            *(
                f"  cosigned by {shown(name)}, {local_text(one.time_s * 1_000_000)}"
                for name, one in _named(session, cosigned)
            ),
            *(["", note.decode().rstrip("\n")] if out is None else [f"Written to {out}"]),
        ],
    )


@dataclass(frozen=True, slots=True)
class _Signed:
    """A checkpoint whose signature holds, and where it is from."""

    source: str
    note: bytes
    checkpoint: Checkpoint


def compare(session: Session, files: Sequence[Path], *, offline: bool) -> Status:
    """Tell whether signed checkpoints are all of one log that has only grown, and print the verdict.

    What is kept as evidence proves something by itself: two trees of one size, or a checkpoint that the service has
    signed and cannot connect with another that is signed too.

    Args:
        session: whose own remembered checkpoint is compared too, and whose service proves the growth.
        files: signed checkpoints, or evidence of a contradiction as it was kept.
        offline: ask nobody: only checkpoints of one size can then be told apart.

    Raises:
        BrokenProof: the log has not signed one of them: it proves nothing.
        ServiceFault: the service does not answer.
        BadInput: a file cannot be read.
    """
    signed = list(_read(session, files))
    found = [] if offline else _contradicting_service(session, signed)
    ordered = sorted(signed, key=lambda one: one.checkpoint.size)
    found += [
        _contradiction(
            session,
            Reason.FORK,
            f"two trees of {one.checkpoint.size} entries are signed: "
            f"{one.checkpoint.root.hex()} and {other.checkpoint.root.hex()}",
            (one, other),
        )
        for one, other in pairwise(ordered)
        if is_fork(one.checkpoint, other.checkpoint)
    ]
    sizes = [one.checkpoint.size for one in ordered]
    unproven = sum(before != after for before, after in pairwise(sizes)) if offline else 0
    kept = list(dict.fromkeys(session.trust.keep(one) for one in found))
    reasons = {one.reason for one in found}
    verdict = next(
        (word for reason, word in _VERDICTS if reason in reasons),
        "NOT COMPARED" if unproven else "CONSISTENT",
    )
    session.out.result(
        {
            "consistent": not found and not unproven,
            "origin": session.origin,
            "checkpoints": [{"source": one.source, **checkpoint_record(one.checkpoint)} for one in ordered],
            "contradictions": [one.message for one in found],
            "unproven": unproven,
            "evidence": kept,
        },
        [
            f"{verdict}  {session.origin}",
            *(
                f"  {one.checkpoint.size} entries, root {one.checkpoint.root.hex()}  ({shown(one.source)})"
                for one in ordered
            ),
            *(f"  {shown(one.message)}" for one in found),
            *([f"  {unproven} of the steps need the service: leave out --offline"] if unproven else []),
            *(f"  Evidence against the log was kept: {shown(path)}" for path in kept),
        ],
    )
    if found:
        return verdict_of(reasons)
    return Status.NEGATIVE if unproven else Status.OK


def _contradicting_service(session: Session, signed: list[_Signed]) -> list[Contradiction]:
    """What the service's own newest head contradicts; that head is put to those that are compared."""
    # A client that remembers nothing: a head that goes back is to be compared, and not only refused.
    client = session.connect(MemoryTrust(session.trust), Policy.of(*session.vkeys))
    head = _opened(session, "the service, now", client.checkpoint_note)
    found = []
    for one in signed:
        old, new = one.checkpoint, head.checkpoint
        if old.size > new.size:
            message = f"the service shows {new.size} entries; the log has signed {old.size}"
            found.append(_contradiction(session, Reason.ROLLBACK, message, (one, head)))
        elif old.size < new.size:
            try:
                proof = client.growth_proof(old.size, new.size)
                verify_consistency(old.size, old.root, new.size, new.root, proof)
            except BrokenProof as error:
                message = f"the log cannot prove that the tree of {new.size} entries continues that of {old.size}: {error}"
                found.append(_contradiction(session, Reason.FORK, message, (one, head)))
    signed.append(head)
    return found


def _contradiction(
    session: Session, reason: Reason, message: str, pair: tuple[_Signed, _Signed]
) -> Contradiction:
    at_us = time.time_ns() // 1_000
    return Contradiction(session.origin, reason, message, at_us, (pair[0].note, pair[1].note))


def _read(session: Session, files: Iterable[Path]) -> Iterator[_Signed]:
    """The checkpoints to compare: those in the files, and those that this user has seen."""
    for path in files:
        raw = read_input(path, "checkpoint")
        if raw.startswith(_JSON):
            for note in Contradiction.parse(raw).checkpoints:
                yield _opened(session, str(path), note)
        else:
            yield _opened(session, str(path), raw)
    for store, source in ((session.trust, "seen before"), (session.trust.witnessed, "seen before, cosigned")):
        remembered = store.newest(session.origin)
        if remembered is not None:
            yield _opened(session, source, remembered)


def _opened(session: Session, source: str, note: bytes) -> _Signed:
    try:
        return _Signed(source, note, open_checkpoint(note, session.origin, session.vkeys))
    except BrokenProof as error:
        subject = f"checkpoint in {source}: {error.subject}"
        raise BrokenProof(error.reason, subject, given=error.given, expected=error.expected) from error


def _named(session: Session, cosigned: Iterable[Cosignature]) -> list[tuple[str, Cosignature]]:
    policy = session.policy
    return [(printable_name(*policy.names_of([one])), one) for one in cosigned]
