"""What can go wrong, by whose fault it is.

Every refusal and every failed proof is a `LedgerError`. It names what it speaks of, what was given and what was
expected, and it carries a `Reason`: a stable word that programs may act on. The words are those of the enum
`suyuan.v1.ErrorReason`, where each is documented.

The families tell whose move it is:

- `BadInput`: the caller sent something that can never be right; sending it again will not help.
- `NotAuthorized`: well formed, but this signer may not say it.
- `Conflict`: well formed and permitted, but the ledger's state does not allow it (yet, or any more).
- `BrokenProof`: somebody's arithmetic does not hold. Never retry, never ignore: keep the evidence.
- `ServiceFault`: the service cannot answer now; try again later.
"""

from __future__ import annotations

from enum import StrEnum


class Reason(StrEnum):
    """Stable words for why something was refused; documented in `suyuan.v1.ErrorReason`."""

    # The caller's input
    MALFORMED_ENVELOPE = "MALFORMED_ENVELOPE"
    MALFORMED_EVENT = "MALFORMED_EVENT"
    EVENT_TOO_LARGE = "EVENT_TOO_LARGE"
    UNKNOWN_KIND = "UNKNOWN_KIND"
    BAD_CHAIN_KEY = "BAD_CHAIN_KEY"
    BAD_IDENTIFIER = "BAD_IDENTIFIER"
    AMBIGUOUS_CODE = "AMBIGUOUS_CODE"
    BAD_KEY = "BAD_KEY"
    UNSUPPORTED_ALGORITHM = "UNSUPPORTED_ALGORITHM"
    OCCURRED_IN_FUTURE = "OCCURRED_IN_FUTURE"
    WRONG_CHAIN = "WRONG_CHAIN"
    INVALID_REQUEST = "INVALID_REQUEST"
    # The caller's authority
    UNKNOWN_KEY = "UNKNOWN_KEY"
    BAD_SIGNATURE = "BAD_SIGNATURE"
    KEY_REVOKED = "KEY_REVOKED"
    PARTY_NOT_ACTIVE = "PARTY_NOT_ACTIVE"
    WRONG_ROLE = "WRONG_ROLE"
    NOT_ACCREDITOR = "NOT_ACCREDITOR"
    NOT_OWNER = "NOT_OWNER"
    WRONG_PURCHASE_KEY = "WRONG_PURCHASE_KEY"
    # The state of the ledger
    DUPLICATE_EVENT = "DUPLICATE_EVENT"
    PARTY_EXISTS = "PARTY_EXISTS"
    PARTY_UNKNOWN = "PARTY_UNKNOWN"
    KEY_IN_USE = "KEY_IN_USE"
    KEY_UNKNOWN = "KEY_UNKNOWN"
    LISTING_MISSING = "LISTING_MISSING"
    SALE_UNKNOWN = "SALE_UNKNOWN"
    RECEIPT_EXISTS = "RECEIPT_EXISTS"
    RECEIPT_MISSING = "RECEIPT_MISSING"
    REVIEW_EXISTS = "REVIEW_EXISTS"
    REVIEW_UNKNOWN = "REVIEW_UNKNOWN"
    COMPLAINT_UNKNOWN = "COMPLAINT_UNKNOWN"
    EVENT_UNKNOWN = "EVENT_UNKNOWN"
    RULES_VERSION = "RULES_VERSION"
    NOT_FOUND = "NOT_FOUND"
    STALE_SIZE = "STALE_SIZE"
    # A broken proof
    BAD_NOTE = "BAD_NOTE"
    BAD_CHECKPOINT = "BAD_CHECKPOINT"
    BAD_INCLUSION_PROOF = "BAD_INCLUSION_PROOF"
    BAD_CONSISTENCY_PROOF = "BAD_CONSISTENCY_PROOF"
    BAD_ENTRY = "BAD_ENTRY"
    BROKEN_CHAIN = "BROKEN_CHAIN"
    FORK = "FORK"
    ROLLBACK = "ROLLBACK"
    UNWITNESSED = "UNWITNESSED"
    # The service
    OVERLOADED = "OVERLOADED"
    STOPPING = "STOPPING"
    STORE_UNAVAILABLE = "STORE_UNAVAILABLE"
    STORE_DAMAGED = "STORE_DAMAGED"
    UNREACHABLE = "UNREACHABLE"
    NO_QUORUM = "NO_QUORUM"
    RATE_LIMITED = "RATE_LIMITED"
    STANDBY = "STANDBY"


class LedgerError(Exception):
    """A refusal: what it speaks of, what was given, what was expected.

    `str()` reads `<subject>: given <given>, expected <expected>`, leaving out what was not told.
    """

    def __init__(
        self, reason: Reason, subject: str, *, given: object = None, expected: object = None
    ) -> None:
        self.reason = reason
        self.subject = subject
        self.given = None if given is None else str(given)
        self.expected = None if expected is None else str(expected)
        parts = []
        if self.given is not None:
            parts.append(f"given {self.given}")
        if self.expected is not None:
            parts.append(f"expected {self.expected}")
        super().__init__(f"{subject}: {', '.join(parts)}" if parts else subject)


class BadInput(LedgerError):
    """The caller's input can never be right."""

    candidates: tuple[str, ...] = ()
    """What a code that can mean several things may be, each spelled so that it can be given back."""


class NotAuthorized(LedgerError):
    """The signer may not say this."""


class Conflict(LedgerError):
    """The ledger's state does not allow this."""


class BrokenProof(LedgerError):
    """A proof does not hold: a bug or a lie, never a hiccup."""

    evidence: str | None = None
    """Where the evidence is kept, if two signed checkpoints contradict each other (`ledger.contradiction`)."""


class ServiceFault(LedgerError):
    """The service cannot answer now."""

    retry_after_s: float | None = None
    """Seconds after which to come back, where the service knows."""
