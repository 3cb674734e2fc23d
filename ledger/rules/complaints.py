"""What went wrong with a sale: the complaint, the answers, the end."""

from __future__ import annotations

from ledger.errors import Conflict, Reason
from ledger.rules.case import Case, Judgement
from ledger.rules.trade import require_buyer, require_merchant
from ledger.state import Complained
from suyuan.v1 import event_pb2 as pb


def complaint(case: Case, body: pb.Complaint) -> Judgement:
    """投诉: the buyer complains, received or not."""
    sold = case.sold(body.sale)
    require_buyer(case, sold)
    return Judgement.of(sold, Complained(case.event.id, sold.event_id, case.index))


def reply(case: Case, body: pb.ComplaintReply) -> Judgement:
    """The sale's merchant, a platform or a regulator answers."""
    return _answer(case, body.complaint)


def resolution(case: Case, body: pb.ComplaintResolution) -> Judgement:
    """The sale's merchant, a platform or a regulator ends it."""
    return _answer(case, body.complaint)


def _answer(case: Case, complaint_id: bytes) -> Judgement:
    answering = case.signer.require_role(
        pb.PARTY_ROLE_MERCHANT, pb.PARTY_ROLE_PLATFORM, pb.PARTY_ROLE_REGULATOR
    )
    complained = case.state.get(Complained, complaint_id)
    if complained is None:
        raise Conflict(
            Reason.COMPLAINT_UNKNOWN,
            "complaint",
            given=complaint_id.hex(),
            expected="event id of a recorded complaint",
        )
    sold = case.sold(complained.sale)
    if answering.role == pb.PARTY_ROLE_MERCHANT:
        require_merchant(case, sold)
    return Judgement.of(sold)
