"""Exit statuses that scripts can trust."""

from __future__ import annotations

from collections.abc import Iterable
from enum import IntEnum

from ledger.errors import BadInput, BrokenProof, LedgerError, Reason, ServiceFault


class Status(IntEnum):
    """How a command ended."""

    OK = 0
    NEGATIVE = 1
    """The command was carried out and its answer is no: nothing found, not verified, tampered with."""
    USAGE = 2
    """The command line, a file or the configuration is wrong; nothing was done."""
    UNREACHABLE = 3
    """The service does not answer, or cannot now."""
    REFUSED = 4
    """The ledger refused an event."""
    BROKEN_PROOF = 5
    """An answer of the service did not verify."""
    FORK = 6
    """The log has signed two histories."""
    ROLLBACK = 7
    """The log shows less than it has shown before."""
    UNWITNESSED = 8
    """Not enough witnesses have cosigned what the log shows."""
    INTERNAL = 70
    """Something that nobody foresaw (sysexits.h: EX_SOFTWARE)."""
    INTERRUPTED = 130
    """Ctrl-C."""
    PIPE_CLOSED = 141
    """Whoever read the results has stopped."""


EXIT_STATUSES = """Exit status:
  0  done
  1  the answer is no: nothing found, not verified, tampered with
  2  wrong usage, file or configuration
  3  the service does not answer
  4  the ledger refused an event
  5  an answer of the service did not verify
  6  the log has signed two histories (a fork)
  7  the log shows less than it has shown before (a rollback)
  8  not enough witnesses have cosigned what it shows"""
"""For help texts."""

_OWN = {
    Reason.FORK: Status.FORK,
    Reason.ROLLBACK: Status.ROLLBACK,
    Reason.UNWITNESSED: Status.UNWITNESSED,
    Reason.NO_QUORUM: Status.UNWITNESSED,
}
"""What has a status of its own, also where a command gives a verdict: each calls for something else."""


def status_of(error: LedgerError) -> Status:
    """The exit status that tells of an error which ended a command.

    What the ledger refused to record is not told by an exception, so bad input here is the user's own.
    """
    if error.reason in _OWN:
        return _OWN[error.reason]
    if isinstance(error, BrokenProof) or error.reason is Reason.STORE_DAMAGED:
        return Status.BROKEN_PROOF
    if isinstance(error, ServiceFault):
        return Status.UNREACHABLE
    if isinstance(error, BadInput):
        return Status.USAGE
    return Status.NEGATIVE if error.reason is Reason.NOT_FOUND else Status.REFUSED


def verdict_of(reasons: Iterable[Reason]) -> Status:
    """The exit status of a command that gives a verdict: `OK` if there is nothing to find fault with."""
    found = set(reasons)
    if not found:
        return Status.OK
    return next((status for reason, status in _OWN.items() if reason in found), Status.NEGATIVE)
