"""Exit statuses that scripts can trust."""

from __future__ import annotations

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
  5  an answer of the service did not verify"""
"""For help texts."""


def status_of(error: LedgerError) -> Status:
    """The exit status that tells of an error which ended a command.

    What the ledger refused to record is not told by an exception, so bad input here is the user's own.
    """
    if isinstance(error, BrokenProof) or error.reason is Reason.STORE_DAMAGED:
        return Status.BROKEN_PROOF
    if isinstance(error, ServiceFault):
        return Status.UNREACHABLE
    if isinstance(error, BadInput):
        return Status.USAGE
    return Status.NEGATIVE if error.reason is Reason.NOT_FOUND else Status.REFUSED
