"""What is noteworthy about an event that is recorded: never a reason to refuse it, always recomputable."""

from __future__ import annotations

from ledger.chain_key import ChainKind
from ledger.event import Kind
from ledger.rules.case import Case, Judgement
from ledger.state import ChainHead
from suyuan.v1 import flags_pb2 as pb

LATE_AFTER_US = 60 * 60 * 1_000_000
"""An event recorded more than an hour after it happened is late."""

_ONE_THING = frozenset(
    {
        ChainKind.SERIAL,
        ChainKind.DRUG,
        ChainKind.WAYBILL,
        ChainKind.LOGISTIC_UNIT,
        ChainKind.PARTY,
        ChainKind.MEMBER,
    }
)
"""Chains about one single thing, on which events have one natural order; sales of a product have none."""


def flags_of(case: Case, judgement: Judgement) -> tuple[int, ...]:
    """The flags of an event, ascending."""
    event = case.event
    flags: list[int] = []
    if case.recorded_at_us - event.occurred_us > LATE_AFTER_US:
        flags.append(pb.EVENT_FLAG_LATE)
    if _out_of_order(case, judgement):
        flags.append(pb.EVENT_FLAG_OUT_OF_ORDER)
    if event.kind is Kind.RECEIPT and case.signer.purchase is None:
        flags.append(pb.EVENT_FLAG_PROXY_RECEIPT)
    if case.signer.lapsed(case.recorded_at_us) is not None:
        flags.append(pb.EVENT_FLAG_LICENCE_LAPSED)
    if event.kind is Kind.SHIPMENT and judgement.sold is not None and judgement.sold.receipt:
        flags.append(pb.EVENT_FLAG_AFTER_RECEIPT)
    if event.occurred_us > case.recorded_at_us:
        flags.append(pb.EVENT_FLAG_CLOCK_AHEAD)
    return tuple(flags)


def _out_of_order(case: Case, judgement: Judgement) -> bool:
    if judgement.sold is not None and case.event.occurred_us < judgement.sold.occurred_us:
        return True
    if case.chain.kind not in _ONE_THING:
        return False
    head = case.state.get(ChainHead, str(case.chain))
    return head is not None and case.event.occurred_us < head.latest_occurred_us
