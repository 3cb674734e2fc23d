"""What an operator wants to know of the witnesses."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ledger.cosignature import Cosignature
from ledger.event import moment
from ledger.note import VerifierKey
from ledger.policy import Policy, printable_name
from server.published import Published, open_published
from server.store import queries
from server.store.store import Store


@dataclass(frozen=True, slots=True)
class WitnessReport:
    """The published checkpoint beside the head of the log."""

    policy: Policy
    size: int
    """Of the log."""
    published: Published | None
    cosignatures: tuple[Cosignature, ...]
    """Of the policy's witnesses, verified."""

    @property
    def quorum(self) -> bool:
        """Whether enough witnesses have cosigned what is published."""
        return self.published is not None and self.policy.satisfied_by(
            self.policy.names_of(self.cosignatures)
        )

    def as_json(self) -> dict[str, object]:
        """For programs."""
        return {
            "size": self.size,
            "published": self.published.checkpoint.size if self.published else None,
            "quorum": self.quorum,
            "witnesses": [
                {
                    "name": printable_name(witness.name),
                    "key": witness.vkey.label,
                    "url": printable_name(witness.url) or None,
                    "cosigned_at": self._time_of(witness.vkey),
                }
                for witness in self.policy.witnesses
            ],
        }

    def as_text(self) -> str:
        """For people."""
        what = f"size {self.published.checkpoint.size}" if self.published else "nothing"
        lines = [f"Published: {what}; the log has {self.size} entries"]
        for witness in self.policy.witnesses:
            time = self._time_of(witness.vkey)
            lines.append(
                f"{printable_name(witness.name)}: {f'cosigned {time}' if time else 'no cosignature'}"
            )
        needed = self.policy.wanted
        return "\n".join([*lines, f"{'QUORUM' if self.quorum else 'NO QUORUM'}: {needed}"])

    def _time_of(self, key: VerifierKey) -> str | None:
        times = [one.time_s for one in self.cosignatures if one.key == key]
        try:
            return moment(times[0] * 1_000_000).isoformat() if times else None
        except OverflowError:
            # Past the year 9999: a witness may say so.
            return f"{times[0]} s after 1970-01-01T00:00:00Z"


def witness_report(store: Store, vkeys: Sequence[VerifierKey], policy: Policy) -> WitnessReport:
    """Look at what is published.

    Raises:
        BrokenProof: neither of the keys has signed it, or a cosignature does not verify.
        ServiceFault: `STORE_DAMAGED` if it is not a checkpoint of this log.
    """
    with store.snapshot() as connection:
        published = open_published(connection, vkeys)
        head = queries.head(connection)
    cosignatures = () if published is None else policy.cosignatures(published.note)
    return WitnessReport(policy, head.size if head else 0, published, cosignatures)
