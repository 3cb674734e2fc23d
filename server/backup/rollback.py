"""What outsiders have seen of a log before it is restored: a state older than that would be a fork from its first append.

Witnesses tell the newest checkpoint that they have cosigned (`GET <prefix>/<hex sha256(origin)>/checkpoint`), and
whoever has kept one of the log's checkpoints can give it. Each is signed by the log, so it proves what it says, whoever
tells it.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from ledger.checkpoint import Checkpoint, open_checkpoint
from ledger.errors import BadInput, BrokenProof, LedgerError, Reason, ServiceFault
from ledger.note import VerifierKey
from ledger.policy import Policy, printable_name
from server.witnessing.endpoint import Endpoint, endpoints_of
from server.witnessing.exchange import MAX_ANSWER_BYTES, Exchange
from server.witnessing.pace import Pace

_ASKED_AT_ONCE = 10


@dataclass(frozen=True, slots=True)
class Seen:
    """What somebody outside has seen of the log."""

    by: str
    """Who tells: a witness, a file."""
    checkpoint: Checkpoint


@dataclass(frozen=True, slots=True)
class Outside:
    """What is known outside of a log."""

    seen: tuple[Seen, ...] = ()
    silent: tuple[str, ...] = ()
    """Witnesses that have not told, and why, for people."""
    silent_quorum: bool = False
    """Whether those alone could have cosigned what nobody else has seen."""

    @property
    def newest(self) -> Seen | None:
        """The largest."""
        return max(self.seen, key=lambda one: one.checkpoint.size, default=None)

    def older_by(self, size: int) -> int:
        """How many entries a log of this size lacks of what outsiders have seen."""
        return 0 if self.newest is None else max(0, self.newest.checkpoint.size - size)

    def require_not_older(self, size: int) -> None:
        """Refuse a log of this size if outsiders have seen more of it, or may have.

        Raises:
            BrokenProof: `ROLLBACK`.
            ServiceFault: `UNREACHABLE`: witnesses that have not told could be a quorum on their own.
        """
        if self.newest is not None and self.older_by(size):
            raise BrokenProof(
                Reason.ROLLBACK,
                "backup",
                given=f"{size} entries, {self.older_by(size)} fewer than {self.newest.by} has seen",
                expected=f"at least {self.newest.checkpoint.size}: a newer backup",
            )
        if self.silent_quorum:
            raise ServiceFault(
                Reason.UNREACHABLE,
                "witnesses",
                given=f"no answer of enough of them for a quorum: {'; '.join(self.silent)}",
                expected="answers that tell how long the log was",
            )


def ask_outside(
    policy: Policy | None, files: Sequence[Path], vkeys: Sequence[VerifierKey], pace: Pace | None = None
) -> Outside:
    """Ask the witnesses of a policy, and read what was kept in files.

    Args:
        policy: names the witnesses; None: none are asked.
        files: checkpoints of the log, signed notes.
        vkeys: the log's keys, one of which has to have signed each checkpoint.
        pace: how long to wait.

    Raises:
        BadInput: as `endpoints_of` says, or a file cannot be read.
        BrokenProof: a file holds no checkpoint that one of the keys has signed.
    """
    seen = [Seen(str(path), _in_file(path, vkeys)) for path in files]
    if policy is None:
        return Outside(tuple(seen))
    endpoints = endpoints_of(policy)
    with ThreadPoolExecutor(_ASKED_AT_ONCE) as threads:
        answers = list(threads.map(lambda one: _ask(one, vkeys, pace or Pace()), endpoints))
    silent: list[str] = []
    names: set[str] = set()
    for endpoint, answer in zip(endpoints, answers, strict=True):
        if isinstance(answer, LedgerError):
            silent.append(f"{endpoint.label} ({answer})")
            names.update(endpoint.names)
        elif answer is not None:
            seen.append(Seen(f"the witness {endpoint.label}", answer))
    # One that is not asked, for want of a URL, does not tell either.
    asked = {name for endpoint in endpoints for name in endpoint.names}
    for witness in policy.witnesses:
        if witness.name not in asked:
            silent.append(f"{printable_name(witness.name)} (no URL)")
            names.add(witness.name)
    return Outside(tuple(seen), tuple(silent), policy.satisfied_by(names))


def _ask(endpoint: Endpoint, vkeys: Sequence[VerifierKey], pace: Pace) -> Checkpoint | LedgerError | None:
    """The newest checkpoint that a witness has cosigned; None if it has none of this log, or why it does not tell."""
    origin = vkeys[0].name
    exchange = Exchange(endpoint.url, connect_s=pace.connect_s, total_s=pace.exchange_s)
    with closing(exchange):
        try:
            answer = exchange.get(f"/{sha256(origin.encode()).hexdigest()}/checkpoint")
            if answer.status == 404:
                return None
            if answer.status != 200:
                return ServiceFault(
                    Reason.UNREACHABLE, "answer", given=f"status {answer.status}", expected="a checkpoint"
                )
            return open_checkpoint(answer.body, origin, vkeys)
        except LedgerError as error:
            return error


def _in_file(path: Path, vkeys: Sequence[VerifierKey]) -> Checkpoint:
    try:
        with path.open("rb") as file:
            note = file.read(MAX_ANSWER_BYTES + 1)
    except OSError as error:
        raise BadInput(
            Reason.INVALID_REQUEST,
            f"checkpoint {path}",
            given=error.strerror or "no file",
            expected="a signed note",
        ) from error
    return open_checkpoint(note, vkeys[0].name, vkeys)
