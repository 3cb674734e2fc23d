"""What is taken back: goods by a recall, words by a correction."""

from __future__ import annotations

from ledger.errors import Conflict, NotAuthorized, Reason
from ledger.rules.case import Case, Judgement
from ledger.rules.trade import has_listed
from ledger.state import Party, Recalled, Recorded
from suyuan.v1 import event_pb2 as pb


def recall(case: Case, body: pb.Recall) -> Judgement:  # noqa: ARG001 - all rules are called alike
    """召回: a merchant calls back what it has listed, a regulator anything."""
    calling = case.signer.require_role(pb.PARTY_ROLE_MERCHANT, pb.PARTY_ROLE_REGULATOR)
    if calling.role == pb.PARTY_ROLE_MERCHANT and not has_listed(case, calling.party):
        raise Conflict(
            Reason.LISTING_MISSING,
            "listing",
            given=f"no listing of {case.chain} by {calling.party}",
            expected=f"its own listing of {case.chain} or of {case.chain.product_chain}",
        )
    return Judgement((Recalled(str(case.chain), case.event.id, case.index),))


def correction(case: Case, body: pb.Correction) -> Judgement:
    """更正: who signed an event, or its accreditor, declares it mistaken. Nothing is erased."""
    recorded = case.state.get(Recorded, body.event)
    if recorded is None or recorded.chain != str(case.chain):
        raise Conflict(
            Reason.EVENT_UNKNOWN,
            "corrected event",
            given=body.event.hex(),
            expected=f"id of an event recorded on {case.chain}",
        )
    if not _may_correct(case, recorded):
        author = recorded.signer or f"purchase key {recorded.key_id.hex()}"
        raise NotAuthorized(
            Reason.NOT_OWNER,
            "signer of a correction",
            given=case.signer.name or f"purchase key {case.signer.key_id.hex()}",
            expected=f"who signed the event, {author}, or its accreditor",
        )
    return Judgement(sale=recorded.sale)


def _may_correct(case: Case, recorded: Recorded) -> bool:
    if not recorded.signer:
        return case.signer.key_id == recorded.key_id
    if case.signer.name == recorded.signer:
        return True
    author = case.state.get(Party, recorded.signer)
    return author is not None and author.accreditor == case.signer.name
