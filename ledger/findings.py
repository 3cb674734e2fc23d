"""What an audit found: a report, and one finding for each thing that does not hold.

Findings are words, for people and to be kept: who goes on with an audit another day has them as they were told. One of
them is told again in other words where the end shows what the beginning could not, see `absolve`.
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass, field
from typing import Final

from ledger.checkpoint import Checkpoint
from ledger.errors import Reason

MAX_FINDINGS = 1_000
"""Findings that are kept; further ones are counted."""

_DIFFERS: Final = re.compile(
    r"leaf hash: given bytes that hash to ([0-9a-f]{64}), expected ([0-9a-f]{64}), which the tree holds"
)


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that does not hold."""

    index: int | None
    """The entry that it is about; None if it is about the log as a whole."""
    reason: Reason
    message: str

    def __str__(self) -> str:
        """For people: where, what, why."""
        where = "log" if self.index is None else f"entry {self.index}"
        return f"{where}: {self.message} [{self.reason}]"


@dataclass(slots=True)
class AuditReport:
    """What an audit found."""

    origin: str
    size: int = 0
    """Entries read."""
    root: bytes = b""
    """Root over the entries as they were read."""
    chains: int = 0
    parties: int = 0
    signatures: int = 0
    """Signatures that were checked."""
    kinds: Counter[str] = field(default_factory=Counter)
    """Entries by kind of event."""
    flagged: int = 0
    """Entries with at least one flag."""
    unknown_kinds: int = 0
    """Entries whose kind this version does not know: signature, chain and tree were checked, the rules were not."""
    unjudged: int = 0
    """Entries under rules that this version does not know."""
    contradicted: list[Checkpoint] = field(default_factory=list)
    """Checkpoints seen before that the log does not continue."""
    findings: list[Finding] = field(default_factory=list)
    more_findings: int = 0
    """Findings beyond those kept."""

    @property
    def verified(self) -> bool:
        """Whether everything holds."""
        return not self.findings

    def find(self, index: int | None, reason: Reason, message: str) -> None:
        """Note something that does not hold."""
        if len(self.findings) < MAX_FINDINGS:
            self.findings.append(Finding(index, reason, message))
        else:
            self.more_findings += 1

    def find_difference(self, index: int, entry_hash: bytes, tree_hash: bytes) -> None:
        """Note that the tree holds another hash than an entry has.

        Which of the two was changed shows at the end. As long as it does not, it is the entry that is named: whoever
        reads it must not rely on it.
        """
        message = f"leaf hash: given bytes that hash to {entry_hash.hex()}, expected {tree_hash.hex()}, which the tree holds"
        self.find(index, Reason.BAD_ENTRY, message)

    def find_duplicate(self, index: int, event_id: bytes) -> None:
        """Note that the event of an entry was recorded before."""
        self.find(index, Reason.DUPLICATE_EVENT, f"event {event_id.hex()} is recorded twice")

    def absolve(self) -> None:
        """Say of each difference that it is the tree which holds another hash: the entries are those that were signed.

        For whoever has found that the entries, as they were read, lead to the signed root.
        """
        for place, finding in enumerate(self.findings):
            if (differs := _DIFFERS.fullmatch(finding.message)) is not None:
                entry_hash, tree_hash = differs.groups()
                message = f"hash in the tree: given {tree_hash}, expected {entry_hash}, which the entry has"
                self.findings[place] = Finding(finding.index, Reason.BAD_INCLUSION_PROOF, message)
