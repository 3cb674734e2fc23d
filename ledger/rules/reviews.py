"""What buyer and merchant think of each other: reviews of real purchases, and follow-ups."""

from __future__ import annotations

from dataclasses import replace

from ledger.errors import Conflict, NotAuthorized, Reason
from ledger.form import malformed
from ledger.rules.case import Case, Judgement
from ledger.rules.trade import SALES_PURCHASE_KEY, require_buyer, require_merchant
from ledger.state import Reviewed, Sold
from suyuan.v1 import event_pb2 as pb


def review(case: Case, body: pb.Review) -> Judgement:
    """评价: after the receipt, one review a side."""
    sold = case.sold(body.sale)
    by_buyer = _require_side(case, sold)
    if not sold.receipt:
        raise Conflict(
            Reason.RECEIPT_MISSING,
            f"receipt of sale {sold.event_id.hex()}",
            given="a review and no receipt",
            expected="a receipt before any review",
        )
    earlier = sold.buyer_review if by_buyer else sold.merchant_review
    if earlier:
        raise Conflict(
            Reason.REVIEW_EXISTS,
            f"review of sale {sold.event_id.hex()}",
            given="a second review by this side",
            expected=f"one only, which is {earlier.hex()}, or a follow-up to it",
        )
    if not by_buyer and (body.product_rating or body.description_rating or body.delivery_rating):
        raise malformed(
            "ratings of product, description and delivery", "by the merchant", "by the buyer only"
        )
    reviewed = Reviewed(case.event.id, sold.event_id, by_buyer)
    if by_buyer:
        changed = replace(sold, buyer_review=case.event.id)
    else:
        changed = replace(sold, merchant_review=case.event.id)
    return Judgement.of(sold, changed, reviewed)


def follow_up(case: Case, body: pb.FollowUp) -> Judgement:
    """追评: the side that wrote a review adds to it."""
    reviewed = case.state.get(Reviewed, body.review)
    if reviewed is None:
        raise Conflict(
            Reason.REVIEW_UNKNOWN, "review", given=body.review.hex(), expected="event id of a recorded review"
        )
    sold = case.sold(reviewed.sale)
    if _require_side(case, sold) != reviewed.by_buyer:
        author = "buyer" if reviewed.by_buyer else "merchant"
        raise NotAuthorized(
            Reason.NOT_OWNER, "author of the review", given="the other side", expected=f"the {author}"
        )
    return Judgement.of(sold)


def _require_side(case: Case, sold: Sold) -> bool:
    """Whether the signer is the buyer; else it must be the merchant."""
    if case.signer.purchase is not None:
        require_buyer(case, sold)
        return True
    require_merchant(case, sold, otherwise=SALES_PURCHASE_KEY)
    return False
