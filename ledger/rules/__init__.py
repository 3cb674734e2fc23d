"""What may be said: the rules, the same code at append and at audit.

`judge` is pure. It is given an event whose signature holds, who signed it, the state that the log has led to, and the
place and time at which it would be recorded. It returns what recording it would change, or raises why it is refused.

Authenticity and authority are hard: what fails is refused, and nothing is recorded. Lateness is soft: an honest
courier may have been offline, so an event out of its natural order is recorded and flagged, never lost.

An entry is judged by the version of the rules in force at its index. A version is never changed once released; the
chain `ledger` adopts the next one.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ledger.chain_key import ChainKind
from ledger.errors import BadInput, Reason
from ledger.event import Event, Kind, moment
from ledger.rules import complaints, founding, parties, recalls, reviews, trade
from ledger.rules.case import Case, Judgement
from ledger.rules.flags import flags_of
from ledger.rules.founding import KNOWN_RULES, require_known
from ledger.rules.signer import Signer, identify
from ledger.state import Charter, Reader

__all__ = [
    "KNOWN_RULES",
    "LATEST_RULES",
    "MAX_CLOCK_AHEAD_US",
    "Case",
    "Judgement",
    "Signer",
    "identify",
    "judge",
    "require_genesis_first",
    "require_rules_known",
    "rules_in_force",
]

LATEST_RULES = KNOWN_RULES[-1]
"""The newest version of the rules that this code can judge by."""

MAX_CLOCK_AHEAD_US = 10 * 60 * 1_000_000
"""How far `occurred_at` may lie after the service's clock: ten minutes."""

_PRODUCTS = frozenset({ChainKind.PRODUCT, ChainKind.LOT, ChainKind.SERIAL, ChainKind.DRUG})
_PARCELS = frozenset({ChainKind.WAYBILL, ChainKind.LOGISTIC_UNIT})
_PARTIES = frozenset({ChainKind.PARTY, ChainKind.MEMBER})
_LEDGER = frozenset({ChainKind.LEDGER})

_CHAINS: dict[Kind, frozenset[ChainKind]] = {
    Kind.GENESIS: _LEDGER,
    Kind.RULES_ADOPTION: _LEDGER,
    Kind.PARTY_REGISTRATION: _PARTIES,
    Kind.KEY_ADDITION: _PARTIES,
    Kind.KEY_REVOCATION: _PARTIES,
    Kind.PARTY_STATUS_CHANGE: _PARTIES,
    Kind.LISTING: _PRODUCTS,
    Kind.SALE: _PRODUCTS,
    Kind.SHIPMENT: _PRODUCTS | _PARCELS,
    Kind.RECEIPT: _PRODUCTS,
    Kind.REVIEW: _PRODUCTS,
    Kind.FOLLOW_UP: _PRODUCTS,
    Kind.COMPLAINT: _PRODUCTS,
    Kind.COMPLAINT_REPLY: _PRODUCTS,
    Kind.COMPLAINT_RESOLUTION: _PRODUCTS,
    Kind.RECALL: frozenset({ChainKind.PRODUCT, ChainKind.LOT}),
    Kind.CORRECTION: _PRODUCTS | _PARCELS | _PARTIES,
}
"""On which kinds of chain each kind of event belongs."""

_RULES: dict[Kind, Callable[[Case, Any], Judgement]] = {
    Kind.GENESIS: founding.genesis,
    Kind.RULES_ADOPTION: founding.rules_adoption,
    Kind.PARTY_REGISTRATION: parties.registration,
    Kind.KEY_ADDITION: parties.key_addition,
    Kind.KEY_REVOCATION: parties.key_revocation,
    Kind.PARTY_STATUS_CHANGE: parties.status_change,
    Kind.LISTING: trade.listing,
    Kind.SALE: trade.sale,
    Kind.SHIPMENT: trade.shipment,
    Kind.RECEIPT: trade.receipt,
    Kind.REVIEW: reviews.review,
    Kind.FOLLOW_UP: reviews.follow_up,
    Kind.COMPLAINT: complaints.complaint,
    Kind.COMPLAINT_REPLY: complaints.reply,
    Kind.COMPLAINT_RESOLUTION: complaints.resolution,
    Kind.RECALL: recalls.recall,
    Kind.CORRECTION: recalls.correction,
}


def rules_in_force(state: Reader) -> int:
    """The version of the rules by which the next entry is judged; before the genesis, the latest."""
    charter = state.get(Charter, "ledger")
    return LATEST_RULES if charter is None else charter.rules_version


def require_rules_known(event: Event) -> None:
    """Refuse to record an event that would put rules in force by which this code cannot judge.

    Not itself a rule: only who appends must ask, because it could not go on. An auditor takes such an event as what
    it is, and says that it cannot judge the rest (docs/format.md §9).

    Raises:
        Conflict: `RULES_VERSION`.
    """
    if event.kind is Kind.RULES_ADOPTION:
        require_known(event.message.rules_adoption.rules_version)


def require_genesis_first(event: Event, index: int) -> None:
    """Refuse an entry 0 that is no genesis, and a genesis anywhere else, whatever rules are in force.

    Raises:
        BadInput: `WRONG_CHAIN`.
    """
    if (event.kind is Kind.GENESIS) != (index == 0):
        raise BadInput(
            Reason.WRONG_CHAIN,
            "entry 0" if index == 0 else "genesis",
            given=f"{event.kind} at entry {index}",
            expected="the genesis at entry 0, and nowhere else",
        )


def judge(event: Event, signer: Signer, state: Reader, *, index: int, recorded_at_us: int) -> Judgement:
    """What recording this event at this place and time would change.

    Args:
        event: well formed, its signature verified.
        signer: who holds the key that signed it.
        state: what the log before `index` has led to.
        index: the place that it would take.
        recorded_at_us: when it would be recorded, microseconds since 1970-01-01T00:00:00Z.

    Raises:
        BadInput: it can never be right: `UNKNOWN_KIND`, `WRONG_CHAIN`, `OCCURRED_IN_FUTURE`, `MALFORMED_EVENT`.
        NotAuthorized: this signer may not say it.
        Conflict: the state does not allow it; `RULES_VERSION` if this code does not know the rules in force.
    """
    if event.kind is None:
        raise BadInput(
            Reason.UNKNOWN_KIND, "event", given="a kind unknown to this version", expected="a known kind"
        )
    require_known(rules_in_force(state))
    require_genesis_first(event, index)
    if event.chain.kind not in _CHAINS[event.kind]:
        names = " or ".join(sorted(kind.name.lower() for kind in _CHAINS[event.kind]))
        raise BadInput(
            Reason.WRONG_CHAIN,
            f"chain of a {event.kind}",
            given=str(event.chain),
            expected=f"a chain of kind {names}",
        )
    if event.occurred_us > recorded_at_us + MAX_CLOCK_AHEAD_US:
        raise BadInput(
            Reason.OCCURRED_IN_FUTURE,
            "occurred_at",
            given=event.occurred_at.isoformat(),
            expected=f"at most ten minutes after {moment(recorded_at_us).isoformat()}, when it would be recorded",
        )
    signer.require_active()
    case = Case(event, signer, state, index, recorded_at_us)
    judgement = _RULES[event.kind](case, event.body)
    return judgement.flagged(flags_of(case, judgement))
