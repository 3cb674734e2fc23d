"""What is noteworthy: each flag exactly when it should be."""

from __future__ import annotations

from datetime import timedelta

import pytest
from world import (
    CARRIER_MEMBER,
    COURIER,
    CUP,
    MERCHANT,
    PARCEL,
    PLATFORM,
    REGULATOR,
    START,
    START_US,
    TEA,
    City,
    Log,
    event_id,
    founded,
    signing_key,
)

from ledger.chain_key import ChainKey
from suyuan.v1 import event_pb2 as pb
from suyuan.v1.flags_pb2 import (
    EVENT_FLAG_AFTER_RECEIPT,
    EVENT_FLAG_CLOCK_AHEAD,
    EVENT_FLAG_LATE,
    EVENT_FLAG_LICENCE_LAPSED,
    EVENT_FLAG_OUT_OF_ORDER,
    EVENT_FLAG_PROXY_RECEIPT,
)

HOUR_US = 60 * 60 * 1_000_000
DAY = timedelta(days=1)
NOON = START + DAY
NOON_US = START_US + 24 * HOUR_US
MOMENT = timedelta(microseconds=1)
ITEM = ChainKey(f"{TEA}/21/0001")


def recorded_at_noon(log, envelope):
    """The flags of an event that is recorded at noon."""
    log.set_clock(NOON_US)
    (recorded,) = log.accept(envelope)
    return recorded.flags


def scan(city, at, chain=PARCEL, by=CARRIER_MEMBER):
    return city.say(by, chain, pb.Shipment(stage=pb.SHIPMENT_STAGE_IN_TRANSIT), at=at)


def sold_tea(at=NOON - timedelta(minutes=30)):
    city, log = founded()
    city.now = at - timedelta(minutes=2)
    listing, sale = city.listing(), city.sale()
    log.set_clock(NOON_US - 1)
    log.accept(listing, sale)
    return city, log, sale


def test_an_ordinary_life_has_no_flags():
    city, log = City(), Log()
    for recorded in log.accept(*city.founding(), *city.life()):
        assert recorded.flags == ()
    assert log.audit().flagged == 0


# LATE: more than an hour


@pytest.mark.parametrize(
    ("ago", "flags"),
    [
        (timedelta(0), ()),
        (timedelta(hours=1) - MOMENT, ()),
        (timedelta(hours=1), ()),
        (timedelta(hours=1) + MOMENT, (EVENT_FLAG_LATE,)),
        (timedelta(days=9_000), (EVENT_FLAG_LATE,)),
    ],
)
def test_late_is_more_than_an_hour(ago, flags):
    city, log = founded()
    assert recorded_at_noon(log, scan(city, NOON - ago)) == flags


# CLOCK_AHEAD: after the service's clock, up to ten minutes


@pytest.mark.parametrize(
    ("ahead", "flags"),
    [
        (timedelta(0), ()),
        (MOMENT, (EVENT_FLAG_CLOCK_AHEAD,)),
        (timedelta(minutes=10), (EVENT_FLAG_CLOCK_AHEAD,)),
    ],
)
def test_a_clock_is_ahead_from_the_first_microsecond(ahead, flags):
    city, log = founded()
    assert recorded_at_noon(log, scan(city, NOON + ahead)) == flags


# OUT_OF_ORDER: before what its chain already holds, where a chain has one order


@pytest.mark.parametrize("chain", [PARCEL, ChainKey("00/106141412345678908")])
@pytest.mark.parametrize(
    ("after", "flags"),
    [(-MOMENT, (EVENT_FLAG_OUT_OF_ORDER,)), (0 * MOMENT, ()), (MOMENT, (EVENT_FLAG_CLOCK_AHEAD,))],
)
def test_a_parcel_has_one_order(chain, after, flags):
    city, log = founded()
    assert recorded_at_noon(log, scan(city, NOON, chain)) == ()
    assert recorded_at_noon(log, scan(city, NOON + after, chain)) == flags


def test_the_latest_counts_and_not_the_last():
    city, log = founded()
    minute = timedelta(minutes=1)
    given = [recorded_at_noon(log, scan(city, NOON - ago * minute)) for ago in (5, 20, 10, 5, 4)]
    late = (EVENT_FLAG_OUT_OF_ORDER,)
    assert given == [(), late, late, (), ()]


def test_the_order_holds_within_a_batch():
    city, log = founded()
    log.set_clock(NOON_US)
    first, second = log.accept(scan(city, NOON), scan(city, NOON - MOMENT))
    assert (first.flags, second.flags) == ((), (EVENT_FLAG_OUT_OF_ORDER,))


def test_other_parcels_have_orders_of_their_own():
    city, log = founded()
    assert recorded_at_noon(log, scan(city, NOON)) == ()
    assert recorded_at_noon(log, scan(city, NOON - MOMENT, ChainKey("waybill/sf/SF1234567890124"))) == ()


def listing(city, chain, at):
    return city.say(MERCHANT, chain, pb.Listing(title="x", category=1), at=at)


@pytest.mark.parametrize("chain", [ITEM, ChainKey("drug/81234567890123456789")])
def test_a_single_item_has_one_order(chain):
    city, log = founded()
    assert recorded_at_noon(log, listing(city, chain, NOON)) == ()
    assert recorded_at_noon(log, listing(city, chain, NOON - MOMENT)) == (EVENT_FLAG_OUT_OF_ORDER,)


@pytest.mark.parametrize("chain", [TEA, ChainKey(f"{TEA}/10/A7")])
def test_a_product_of_which_many_are_sold_has_none(chain):
    city, log = founded()
    assert recorded_at_noon(log, listing(city, chain, NOON)) == ()
    assert recorded_at_noon(log, listing(city, chain, NOON - MOMENT)) == ()


@pytest.mark.parametrize("chain", [COURIER, CARRIER_MEMBER])
def test_a_party_has_one_order(chain):
    city, log = founded()
    for at, flags in ((NOON, ()), (NOON - MOMENT, (EVENT_FLAG_OUT_OF_ORDER,))):
        key = signing_key(f"key of {at}").public_key.spki
        assert recorded_at_noon(log, city.say(chain, chain, pb.KeyAddition(public_key=key), at=at)) == flags


@pytest.mark.parametrize(("after", "flags"), [(-MOMENT, (EVENT_FLAG_OUT_OF_ORDER,)), (0 * MOMENT, ())])
def test_what_is_part_of_a_sale_comes_after_it(after, flags):
    city, log, sale = sold_tea()
    sold_at = NOON - timedelta(minutes=30)
    assert pb.Event.FromString(sale.payload).occurred_at.unix_us == NOON_US - HOUR_US // 2
    at = sold_at + after
    receipt = pb.Receipt(sale=event_id(sale), condition=pb.GOODS_CONDITION_INTACT)
    complaint = pb.Complaint(sale=event_id(sale), category=1, remedy=1)
    step = pb.Shipment(stage=pb.SHIPMENT_STAGE_PICKED_UP, sale=event_id(sale))
    assert recorded_at_noon(log, city.say(CARRIER_MEMBER, TEA, step, at=at)) == flags
    assert recorded_at_noon(log, city.say("buyer", TEA, receipt, at=at)) == flags
    said = city.say("buyer", TEA, complaint, at=at)
    assert recorded_at_noon(log, said) == flags
    review = city.say("buyer", TEA, pb.Review(sale=event_id(sale), rating=5), at=at)
    assert recorded_at_noon(log, review) == flags
    follow_up = pb.FollowUp(review=event_id(review))
    assert recorded_at_noon(log, city.say("buyer", TEA, follow_up, at=at)) == flags
    reply = pb.ComplaintReply(complaint=event_id(said), stance=1)
    assert recorded_at_noon(log, city.say(MERCHANT, TEA, reply, at=at)) == flags


def test_another_sale_of_the_product_has_its_own_time():
    city, log, _ = sold_tea()
    earlier = city.say(
        MERCHANT,
        TEA,
        pb.Sale(buyer_key=city.key("earlier buyer").public_key.spki, quantity=1),
        at=NOON - timedelta(minutes=50),
    )
    assert recorded_at_noon(log, earlier) == ()
    receipt = pb.Receipt(sale=event_id(earlier), condition=pb.GOODS_CONDITION_INTACT)
    received = city.say("earlier buyer", TEA, receipt, at=NOON - timedelta(minutes=49))
    assert recorded_at_noon(log, received) == ()


def test_a_recall_has_no_order():
    city, log, _ = sold_tea()
    recall = city.say(REGULATOR, TEA, pb.Recall(reason=1), at=NOON - timedelta(minutes=59))
    assert recorded_at_noon(log, recall) == ()


# PROXY_RECEIPT


@pytest.mark.parametrize(
    ("by", "flags"),
    [("buyer", ()), (COURIER, (EVENT_FLAG_PROXY_RECEIPT,)), (CARRIER_MEMBER, (EVENT_FLAG_PROXY_RECEIPT,))],
)
def test_a_courier_signs_for_the_buyer(by, flags):
    city, log, sale = sold_tea()
    assert recorded_at_noon(log, city.receipt(sale, by, proxy=by != "buyer")) == flags


# AFTER_RECEIPT


def test_a_step_for_a_sale_that_was_received():
    city, log, sale = sold_tea()
    another = city.sale("another buyer")
    log.accept(another)
    assert recorded_at_noon(log, city.dispatch(sale)) == ()
    assert recorded_at_noon(log, city.receipt(sale)) == ()
    step = pb.Shipment(stage=pb.SHIPMENT_STAGE_DELIVERED, sale=event_id(sale))
    assert recorded_at_noon(log, city.say(CARRIER_MEMBER, TEA, step)) == (EVENT_FLAG_AFTER_RECEIPT,)
    assert recorded_at_noon(log, city.dispatch(sale)) == (EVENT_FLAG_AFTER_RECEIPT,)
    # Neither what else is said of the sale, nor another sale, nor the parcel's own chain.
    assert recorded_at_noon(log, city.complaint(sale)) == ()
    assert recorded_at_noon(log, city.dispatch(another)) == ()
    assert recorded_at_noon(log, city.scan(pb.SHIPMENT_STAGE_DELIVERED)) == ()


# LICENCE_LAPSED; its boundary is in test_rules_signers


def test_a_buyer_has_no_licence_and_its_merchants_does_not_matter():
    city, log, sale = sold_tea()
    body = pb.PartyStatusChange(
        status=pb.PARTY_STATUS_ACTIVE, reason=pb.STATUS_REASON_VIOLATION, licence_until="2026-05-01"
    )
    log.accept(city.say(PLATFORM, MERCHANT, body))
    assert recorded_at_noon(log, city.receipt(sale)) == ()
    assert recorded_at_noon(log, city.review(sale, MERCHANT)) == (EVENT_FLAG_LICENCE_LAPSED,)


def test_a_licence_without_an_end_does_not_lapse():
    city, log = founded()
    city.now = START + timedelta(days=365 * 100)
    log.set_clock(START_US + 365 * 100 * 24 * HOUR_US + 2 * 60_000_000)
    (recorded,) = log.accept(city.say(REGULATOR, CUP, pb.Recall(reason=1)))
    assert recorded.flags == ()


# Together


def test_flags_go_together_in_ascending_order():
    city, log, sale = sold_tea(NOON)
    body = pb.PartyStatusChange(
        status=pb.PARTY_STATUS_ACTIVE, reason=pb.STATUS_REASON_VIOLATION, licence_until="2026-05-01"
    )
    log.set_clock(NOON_US)
    log.accept(city.say(REGULATOR, COURIER, body))
    log.set_clock(NOON_US + 2 * HOUR_US)
    receipt = pb.Receipt(sale=event_id(sale), proxy=True, condition=pb.GOODS_CONDITION_INTACT)
    step = pb.Shipment(stage=pb.SHIPMENT_STAGE_DELIVERED, sale=event_id(sale))
    before = NOON - MOMENT
    received, shipped = log.accept(
        city.say(COURIER, TEA, receipt, at=before), city.say(COURIER, TEA, step, at=before)
    )
    assert received.flags == (
        EVENT_FLAG_LATE,
        EVENT_FLAG_OUT_OF_ORDER,
        EVENT_FLAG_PROXY_RECEIPT,
        EVENT_FLAG_LICENCE_LAPSED,
    )
    assert shipped.flags == (
        EVENT_FLAG_LATE,
        EVENT_FLAG_OUT_OF_ORDER,
        EVENT_FLAG_LICENCE_LAPSED,
        EVENT_FLAG_AFTER_RECEIPT,
    )
    assert list(received.flags) == sorted(received.flags)
    report = log.audit()
    assert report.flagged == sum(bool(entry.recorded.flags) for entry in log.entries) > 0
