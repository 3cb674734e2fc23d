"""What a rule is given, and what it returns."""

from __future__ import annotations

from ledger.chain_key import ChainKey
from ledger.errors import BadInput, Conflict, Reason
from ledger.event import Event
from ledger.rules.signer import Signer
from ledger.state import Reader, Record, Sold
from ledger.value import value


@value(frozen=True, slots=True)
class Case:
    """An event to be judged, with what the rules may look at."""

    event: Event
    signer: Signer
    state: Reader
    index: int
    recorded_at_us: int

    @property
    def chain(self) -> ChainKey:
        """What the event is about."""
        return self.event.chain

    def sold(self, sale: bytes) -> Sold:
        """The sale with this event id, which must be on the event's own chain.

        Raises:
            Conflict: `SALE_UNKNOWN`.
            BadInput: `WRONG_CHAIN`.
        """
        sold = self.state.get(Sold, sale)
        if sold is None:
            raise Conflict(
                Reason.SALE_UNKNOWN, "sale", given=sale.hex(), expected="event id of a recorded sale"
            )
        if sold.chain != str(self.chain):
            raise BadInput(
                Reason.WRONG_CHAIN,
                f"chain of a {self.event.kind}",
                given=str(self.chain),
                expected=sold.chain,
            )
        return sold


@value(frozen=True, slots=True)
class Judgement:
    """What recording an event changes."""

    changes: tuple[Record, ...] = ()
    """Records to put."""
    sold: Sold | None = None
    """The sale that the event is part of, as it was before."""
    sale: bytes = b""
    """Its event id; also set for the sale itself."""
    flags: tuple[int, ...] = ()
    """Values of `suyuan.v1.EventFlag`, ascending."""

    @classmethod
    def of(cls, sold: Sold, *changes: Record) -> Judgement:
        """The judgement of an event that is part of a sale."""
        return cls(changes, sold, sold.event_id)

    def flagged(self, flags: tuple[int, ...]) -> Judgement:
        """The same with these flags."""
        return Judgement(self.changes, self.sold, self.sale, flags) if flags else self
