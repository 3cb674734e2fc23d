"""From the shelf to the buyer's hands: listing, sale, shipment, receipt."""

from __future__ import annotations

from dataclasses import replace

from ledger.errors import BadInput, Conflict, NotAuthorized, Reason
from ledger.form import malformed
from ledger.keys import key_id_of
from ledger.rules.case import Case, Judgement
from ledger.rules.signer import role_name
from ledger.state import Dispatched, Listed, PartyKey, PurchaseKey, Sold
from suyuan.v1 import event_pb2 as pb

SALES_PURCHASE_KEY = "the purchase key of the sale"


def listing(case: Case, body: pb.Listing) -> Judgement:
    """上架: a merchant offers a product; a later listing of the same product replaces the title."""
    merchant = case.signer.require_role(pb.PARTY_ROLE_MERCHANT)
    return Judgement((Listed(merchant.party, str(case.chain), case.event.id, case.index, body.title),))


def sale(case: Case, body: pb.Sale) -> Judgement:
    """销售: a merchant sold what it has listed, and names the buyer's one-time key."""
    merchant = case.signer.require_role(pb.PARTY_ROLE_MERCHANT)
    listed = listing_of(case, merchant.party)
    if listed is None:
        chains = dict.fromkeys((case.chain, case.chain.product_chain))
        raise Conflict(
            Reason.LISTING_MISSING,
            "listing",
            given=f"no listing of {case.chain} by {merchant.party}",
            expected=f"its own listing of {' or of '.join(chains)}",
        )
    key_id = key_id_of(body.buyer_key)
    if case.state.get(PartyKey, key_id) is not None or case.state.get(PurchaseKey, key_id) is not None:
        raise Conflict(
            Reason.KEY_IN_USE, "buyer_key", given=key_id.hex(), expected="a key that was never used"
        )
    sold = Sold(
        event_id=case.event.id,
        index=case.index,
        chain=str(case.chain),
        merchant=merchant.party,
        listing_index=listed.index,
        buyer_key_id=key_id,
        quantity=body.quantity,
        occurred_us=case.event.occurred_us,
        receipt=b"",
        buyer_review=b"",
        merchant_review=b"",
    )
    key = PurchaseKey(key_id, body.buyer_key, case.event.id, case.index)
    return Judgement((sold, key), sale=case.event.id)


def shipment(case: Case, body: pb.Shipment) -> Judgement:
    """配送: a step of the way; the dispatch binds a sale to a parcel."""
    carrier = case.signer.require_role(pb.PARTY_ROLE_MERCHANT, pb.PARTY_ROLE_COURIER)
    if not case.event.message.HasField("place"):
        raise malformed("place", "none", "where the step happened")
    dispatched = body.stage == pb.SHIPMENT_STAGE_DISPATCHED
    if case.chain.is_parcel:
        if dispatched:
            raise BadInput(
                Reason.WRONG_CHAIN,
                "chain of a dispatch",
                given=str(case.chain),
                expected="the product's chain, naming the sale and the parcel",
            )
        if body.sale or body.parcel:
            raise malformed("shipment on a parcel's chain", "a sale or a parcel", "neither")
        return Judgement()
    if not body.sale:
        raise malformed("sale", "none", "event id of the sale that is shipped")
    if dispatched != bool(body.parcel):
        expected = "the parcel's chain key" if dispatched else "none: only the dispatch names the parcel"
        raise malformed("parcel", body.parcel or "none", expected)
    sold = case.sold(body.sale)
    if carrier.role == pb.PARTY_ROLE_MERCHANT:
        require_merchant(case, sold)
    return Judgement.of(sold, *_dispatch(case, body))


def receipt(case: Case, body: pb.Receipt) -> Judgement:
    """签收: once per sale, by the buyer, or by a courier who says so."""
    sold = case.sold(body.sale)
    if case.signer.purchase is not None:
        require_buyer(case, sold)
    else:
        case.signer.require_role(pb.PARTY_ROLE_COURIER, otherwise=SALES_PURCHASE_KEY)
    if body.proxy != (case.signer.purchase is None):
        expected = "false from the buyer, true from a courier who signs for the buyer"
        raise malformed("proxy", str(body.proxy).lower(), expected)
    if sold.receipt:
        raise Conflict(
            Reason.RECEIPT_EXISTS,
            f"receipt of sale {sold.event_id.hex()}",
            given="a second receipt",
            expected=f"one only, which is {sold.receipt.hex()}",
        )
    return Judgement.of(sold, replace(sold, receipt=case.event.id))


def listing_of(case: Case, merchant: str) -> Listed | None:
    """A merchant's newest listing of what the event is about: of the very lot or unit, else of the product."""
    for chain in (case.chain, case.chain.product_chain):
        listed = case.state.get(Listed, (merchant, str(chain)))
        if listed is not None:
            return listed
    return None


def has_listed(case: Case, merchant: str) -> bool:
    """Whether a merchant offers what the event is about."""
    return listing_of(case, merchant) is not None


def require_buyer(case: Case, sold: Sold) -> None:
    """Refuse a signer other than the buyer of this sale.

    Raises:
        NotAuthorized: `WRONG_ROLE` for a party, `WRONG_PURCHASE_KEY` for the buyer of another sale.
    """
    purchase = case.signer.purchase
    if purchase is None:
        raise NotAuthorized(
            Reason.WRONG_ROLE,
            "signer",
            given=f"{role_name(case.signer.role)} {case.signer.name}",
            expected=SALES_PURCHASE_KEY,
        )
    if purchase.sale != sold.event_id:
        raise NotAuthorized(
            Reason.WRONG_PURCHASE_KEY,
            "purchase key",
            given=f"that of sale {purchase.sale.hex()}",
            expected=f"that of sale {sold.event_id.hex()}",
        )


def require_merchant(case: Case, sold: Sold, *, otherwise: str = "") -> None:
    """Refuse a signer other than the merchant of this sale, or a member of it.

    Args:
        case: what is judged.
        sold: the sale.
        otherwise: as in `Signer.require_role`.

    Raises:
        NotAuthorized: `WRONG_ROLE` for another role, `NOT_OWNER` for another merchant.
    """
    merchant = case.signer.require_role(pb.PARTY_ROLE_MERCHANT, otherwise=otherwise)
    if merchant.party != sold.merchant:
        raise NotAuthorized(Reason.NOT_OWNER, "merchant", given=merchant.party, expected=sold.merchant)


def _dispatch(case: Case, body: pb.Shipment) -> tuple[Dispatched, ...]:
    """The binding that a dispatch makes; saying it twice binds once."""
    if not body.parcel or case.state.get(Dispatched, (body.parcel, body.sale)) is not None:
        return ()
    return (Dispatched(body.parcel, body.sale, case.index),)
