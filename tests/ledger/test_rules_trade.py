"""Listing, sale, shipment, receipt: what must have happened before; who may is in test_rules_authority."""

from __future__ import annotations

import pytest
from world import (
    CARRIER_MEMBER,
    COURIER,
    CUP,
    MERCHANT,
    OTHER_MERCHANT,
    PARCEL,
    REGULATOR,
    TEA,
    event_id,
    founded,
    told,
)

from ledger.chain_key import ChainKey
from ledger.errors import Reason
from ledger.state import Dispatched, Listed, PurchaseKey, Sold
from suyuan.v1 import event_pb2 as pb

LOT = ChainKey(f"{TEA}/10/A7")
ITEM = ChainKey(f"{TEA}/21/0001")
DRUG = ChainKey("drug/81234567890123456789")
ANOTHER_PARCEL = ChainKey("00/106141412345678908")
NOWHERE = bytes(32)


def sold_tea():
    city, log = founded()
    sale = city.sale()
    log.accept(city.listing(), sale)
    return city, log, sale


def no_sale(kind="sale"):
    return Reason.SALE_UNKNOWN, f"{kind}: given {NOWHERE.hex()}, expected event id of a recorded sale"


# Listing


def test_a_listing_is_kept_with_its_newest_title():
    city, log = founded()
    log.accept(city.listing(title="green"))
    later = city.listing(title="white")
    (recorded,) = log.accept(later)
    listed = log.state.get(Listed, (MERCHANT, TEA))
    assert listed == Listed(MERCHANT, TEA, event_id(later), recorded.index, "white")


def test_two_merchants_list_one_product():
    city, log = founded()
    log.accept(city.listing(title="ours"), city.listing(by=OTHER_MERCHANT, title="theirs"))
    assert log.state.get(Listed, (MERCHANT, TEA)).title == "ours"
    assert log.state.get(Listed, (OTHER_MERCHANT, TEA)).title == "theirs"


# Sale


@pytest.mark.parametrize(
    ("chain", "listings"), [(TEA, TEA), (LOT, f"{LOT} or of {TEA}"), (ITEM, f"{ITEM} or of {TEA}")]
)
def test_a_sale_without_a_listing(chain, listings):
    city, log = founded()
    log.accept(city.listing(CUP), city.listing(by=OTHER_MERCHANT))
    assert told(log.refusal(city.sale(chain=chain))) == (
        Reason.LISTING_MISSING,
        f"listing: given no listing of {chain} by {MERCHANT}, expected its own listing of {listings}",
    )


def test_a_listing_of_the_product_is_one_of_its_lots_and_items():
    city, log = founded()
    log.accept(city.listing(TEA))
    log.accept(city.sale("1", TEA), city.sale("2", LOT), city.sale("3", ITEM))


@pytest.mark.parametrize("listed", [LOT, ITEM])
def test_a_listing_of_a_lot_or_item_is_of_it_alone(listed):
    city, log = founded()
    log.accept(city.listing(listed))
    log.accept(city.sale("1", listed))
    for chain in {TEA, LOT, ITEM, ChainKey(f"{TEA}/10/A8")} - {listed}:
        assert log.refusal(city.sale("2", chain)).reason is Reason.LISTING_MISSING


def test_a_pack_of_medicine_is_its_own_product():
    city, log = founded()
    assert log.refusal(city.sale(chain=DRUG)).reason is Reason.LISTING_MISSING
    log.accept(city.listing(DRUG), city.sale(chain=DRUG))


def test_a_sale_names_its_buyers_key():
    city, log = founded()
    sale = city.sale(quantity=3)
    listed, recorded = log.accept(city.listing(), sale)
    key = city.key("buyer").public_key
    assert log.state.get(PurchaseKey, key.key_id) == PurchaseKey(
        key.key_id, key.spki, event_id(sale), recorded.index
    )
    assert log.state.get(Sold, event_id(sale)) == Sold(
        event_id=event_id(sale),
        index=recorded.index,
        chain=TEA,
        merchant=MERCHANT,
        listing_index=listed.index,
        buyer_key_id=key.key_id,
        quantity=3,
        occurred_us=pb.Event.FromString(sale.payload).occurred_at.unix_us,
        receipt=b"",
        buyer_review=b"",
        merchant_review=b"",
    )


def test_a_sale_rests_on_the_newest_listing_of_the_very_lot_else_of_the_product():
    city, log = founded()
    sales = [city.sale("first", LOT), city.sale("second", LOT), city.sale("third", LOT), city.sale("fourth")]
    listings = [city.listing(), city.listing(title="new"), city.listing(LOT), city.listing(title="newest")]
    foreign = city.listing(LOT, by=OTHER_MERCHANT)
    told = [
        listings[0],
        foreign,
        sales[0],
        listings[1],
        sales[1],
        listings[2],
        listings[3],
        sales[2],
        sales[3],
    ]
    places = [recorded.index for recorded in log.accept(*told)]
    rests_on = [log.state.get(Sold, event_id(sale)).listing_index for sale in sales]
    assert rests_on == [places[0], places[3], places[5], places[6]]


def test_a_purchase_key_is_for_one_sale():
    city, log, _ = sold_tea()
    key_id = city.key("buyer").public_key.key_id
    assert told(log.refusal(city.sale("buyer"))) == (
        Reason.KEY_IN_USE,
        f"buyer_key: given {key_id.hex()}, expected a key that was never used",
    )


# Shipment


def shipment(city, chain, by=COURIER, stage=pb.SHIPMENT_STAGE_IN_TRANSIT, *, place="350102", **fields):
    return city.say(by, chain, pb.Shipment(stage=stage, **fields), region=place)


DISPATCHED = pb.SHIPMENT_STAGE_DISPATCHED


@pytest.mark.parametrize("chain", [PARCEL, ANOTHER_PARCEL])
def test_a_step_happens_somewhere(chain):
    city, log, sale = sold_tea()
    nowhere = Reason.MALFORMED_EVENT, "place: given none, expected where the step happened"
    assert told(log.refusal(shipment(city, chain, place=""))) == nowhere
    assert told(log.refusal(shipment(city, TEA, place="", sale=event_id(sale)))) == nowhere
    log.accept(shipment(city, chain), shipment(city, TEA, sale=event_id(sale)))


def test_a_dispatch_is_said_of_the_product():
    city, log, sale = sold_tea()
    for fields in ({}, {"sale": event_id(sale), "parcel": PARCEL}):
        assert told(log.refusal(shipment(city, PARCEL, MERCHANT, DISPATCHED, **fields))) == (
            Reason.WRONG_CHAIN,
            f"chain of a dispatch: given {PARCEL}, expected the product's chain, naming the sale and the parcel",
        )


def test_a_step_of_a_parcel_names_neither_sale_nor_parcel():
    city, log, sale = sold_tea()
    for fields in ({"sale": event_id(sale)}, {"parcel": PARCEL}, {"parcel": ANOTHER_PARCEL}):
        assert told(log.refusal(shipment(city, PARCEL, **fields))) == (
            Reason.MALFORMED_EVENT,
            "shipment on a parcel's chain: given a sale or a parcel, expected neither",
        )


def test_a_step_of_a_product_names_its_sale():
    city, log, _ = sold_tea()
    for fields in ({}, {"stage": DISPATCHED, "parcel": PARCEL}):
        assert told(log.refusal(shipment(city, TEA, **fields))) == (
            Reason.MALFORMED_EVENT,
            "sale: given none, expected event id of the sale that is shipped",
        )
    assert told(log.refusal(shipment(city, TEA, sale=NOWHERE))) == no_sale()


def test_a_dispatch_names_its_parcel_and_no_other_step_does():
    city, log, sale = sold_tea()
    assert told(log.refusal(shipment(city, TEA, MERCHANT, DISPATCHED, sale=event_id(sale)))) == (
        Reason.MALFORMED_EVENT,
        "parcel: given none, expected the parcel's chain key",
    )
    assert told(log.refusal(shipment(city, TEA, sale=event_id(sale), parcel=PARCEL))) == (
        Reason.MALFORMED_EVENT,
        f"parcel: given {PARCEL}, expected none: only the dispatch names the parcel",
    )


def test_a_merchant_ships_its_own_sales():
    city, log, sale = sold_tea()
    log.accept(city.listing(by=OTHER_MERCHANT))
    for fields in ({"sale": event_id(sale)}, {"stage": DISPATCHED, "sale": event_id(sale), "parcel": PARCEL}):
        assert told(log.refusal(shipment(city, TEA, OTHER_MERCHANT, **fields))) == (
            Reason.NOT_OWNER,
            f"merchant: given {OTHER_MERCHANT}, expected {MERCHANT}",
        )


def test_a_dispatch_binds_a_sale_to_a_parcel_once():
    city, log, sale = sold_tea()
    (first,) = log.accept(city.dispatch(sale))
    log.accept(city.dispatch(sale), city.dispatch(sale, by=COURIER))
    assert log.state.get(Dispatched, (PARCEL, event_id(sale))) == Dispatched(
        PARCEL, event_id(sale), first.index
    )


def test_a_sale_goes_in_two_parcels_and_a_parcel_holds_two_sales():
    city, log, sale = sold_tea()
    another = city.sale("another buyer")
    log.accept(another, city.dispatch(sale), city.dispatch(sale, ANOTHER_PARCEL), city.dispatch(another))
    for parcel, of in ((PARCEL, sale), (ANOTHER_PARCEL, sale), (PARCEL, another)):
        assert log.state.get(Dispatched, (parcel, event_id(of))) is not None
    assert log.state.get(Dispatched, (ANOTHER_PARCEL, event_id(another))) is None


def test_an_honest_courier_may_be_late_and_in_no_order():
    """Lateness is soft: what arrives out of its natural order is recorded."""
    city, log, sale = sold_tea()
    stages = [stage for stage in pb.ShipmentStage.values() if stage not in {0, DISPATCHED}]
    log.accept(*(city.scan(stage) for stage in reversed(stages)))
    log.accept(city.receipt(sale), city.dispatch(sale))


# Receipt


def test_a_receipt_without_a_sale():
    city, log, _ = sold_tea()
    body = pb.Receipt(sale=NOWHERE, condition=pb.GOODS_CONDITION_INTACT)
    assert told(log.refusal(city.say("buyer", TEA, body))) == no_sale()


@pytest.mark.parametrize("by", ["buyer", COURIER, CARRIER_MEMBER])
def test_a_receipt_is_recorded_with_its_sale(by):
    city, log, sale = sold_tea()
    receipt = city.receipt(sale, by, proxy=by != "buyer")
    (recorded,) = log.accept(receipt)
    assert log.state.get(Sold, event_id(sale)).receipt == event_id(receipt)
    assert recorded.sale == event_id(sale)


def test_a_receipt_by_the_purchase_key_of_another_sale():
    city, log, sale = sold_tea()
    another = city.sale("another buyer")
    log.accept(another)
    assert told(log.refusal(city.receipt(sale, "another buyer"))) == (
        Reason.WRONG_PURCHASE_KEY,
        f"purchase key: given that of sale {event_id(another).hex()}, expected that of sale {event_id(sale).hex()}",
    )


@pytest.mark.parametrize(
    ("by", "given"), [(MERCHANT, f"merchant {MERCHANT}"), (REGULATOR, f"regulator {REGULATOR}")]
)
def test_a_receipt_by_another_role(by, given):
    city, log, sale = sold_tea()
    for proxy in (True, False):
        assert told(log.refusal(city.receipt(sale, by, proxy=proxy))) == (
            Reason.WRONG_ROLE,
            f"signer: given {given}, expected courier or the purchase key of the sale",
        )


@pytest.mark.parametrize(("by", "proxy"), [("buyer", True), (COURIER, False), (CARRIER_MEMBER, False)])
def test_who_signs_for_another_says_so(by, proxy):
    city, log, sale = sold_tea()
    assert told(log.refusal(city.receipt(sale, by, proxy=proxy))) == (
        Reason.MALFORMED_EVENT,
        f"proxy: given {str(proxy).lower()}, expected false from the buyer, true from a courier who signs for the buyer",
    )


@pytest.mark.parametrize("first", ["buyer", COURIER])
@pytest.mark.parametrize("second", ["buyer", CARRIER_MEMBER])
def test_a_sale_is_received_once(first, second):
    city, log, sale = sold_tea()
    receipt = city.receipt(sale, first, proxy=first != "buyer")
    log.accept(receipt)
    assert told(log.refusal(city.receipt(sale, second, proxy=second != "buyer"))) == (
        Reason.RECEIPT_EXISTS,
        f"receipt of sale {event_id(sale).hex()}: given a second receipt, expected one only, which is {event_id(receipt).hex()}",
    )


def test_of_two_receipts_in_one_batch_the_first_counts():
    city, log, sale = sold_tea()
    receipt, second = city.receipt(sale), city.receipt(sale, COURIER, proxy=True)
    verdicts = log.append(receipt, second).verdicts
    assert verdicts[1].reason is Reason.RECEIPT_EXISTS
    assert log.state.get(Sold, event_id(sale)).receipt == event_id(receipt)


def test_each_sale_is_received_for_itself():
    city, log, sale = sold_tea()
    another = city.sale("another buyer")
    log.accept(another, city.receipt(sale), city.receipt(another, "another buyer"))
