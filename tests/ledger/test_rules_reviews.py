"""Reviews and follow-ups: of real purchases, after the receipt, one a side."""

from __future__ import annotations

import pytest
from world import (
    COURIER,
    MERCHANT,
    MERCHANT_MEMBER,
    OTHER_MERCHANT,
    PLATFORM,
    TEA,
    event_id,
    founded,
    told,
)

from ledger.errors import Reason
from ledger.state import Reviewed, Sold
from suyuan.v1 import event_pb2 as pb

NOWHERE = bytes(32)


def sold_tea(*, received=True):
    city, log = founded()
    sale = city.sale()
    log.accept(city.listing(), sale)
    if received:
        log.accept(city.receipt(sale))
    return city, log, sale


def follow_up(city, review, by):
    return city.say(by, TEA, pb.FollowUp(review=event_id(review)))


@pytest.mark.parametrize("by", ["buyer", MERCHANT])
def test_a_review_without_a_receipt(by):
    city, log, sale = sold_tea(received=False)
    assert told(log.refusal(city.review(sale, by))) == (
        Reason.RECEIPT_MISSING,
        f"receipt of sale {event_id(sale).hex()}: given a review and no receipt, expected a receipt before any review",
    )


@pytest.mark.parametrize("by", ["buyer", MERCHANT])
def test_a_review_without_a_sale(by):
    city, log, _ = sold_tea()
    assert told(log.refusal(city.say(by, TEA, pb.Review(sale=NOWHERE, rating=1)))) == (
        Reason.SALE_UNKNOWN,
        f"sale: given {NOWHERE.hex()}, expected event id of a recorded sale",
    )


def test_a_proxy_receipt_is_a_receipt():
    city, log, sale = sold_tea(received=False)
    log.accept(city.receipt(sale, COURIER, proxy=True))
    log.accept(city.review(sale), city.review(sale, MERCHANT))


def test_both_sides_review_in_either_order():
    city, log, sale = sold_tea()
    theirs, ours = city.review(sale, MERCHANT), city.review(sale, "buyer")
    log.accept(theirs, ours)
    sold = log.state.get(Sold, event_id(sale))
    assert (sold.buyer_review, sold.merchant_review) == (event_id(ours), event_id(theirs))
    assert log.state.get(Reviewed, event_id(ours)) == Reviewed(event_id(ours), event_id(sale), by_buyer=True)
    assert log.state.get(Reviewed, event_id(theirs)) == Reviewed(
        event_id(theirs), event_id(sale), by_buyer=False
    )


@pytest.mark.parametrize(
    ("first", "second"), [("buyer", "buyer"), (MERCHANT, MERCHANT), (MERCHANT, MERCHANT_MEMBER)]
)
def test_a_side_reviews_once(first, second):
    city, log, sale = sold_tea()
    log.accept(city.register(MERCHANT_MEMBER, pb.PARTY_ROLE_MERCHANT, by=MERCHANT))
    review = city.review(sale, first)
    log.accept(review)
    assert told(log.refusal(city.review(sale, second, rating=1))) == (
        Reason.REVIEW_EXISTS,
        (
            f"review of sale {event_id(sale).hex()}: given a second review by this side, "
            f"expected one only, which is {event_id(review).hex()}, or a follow-up to it"
        ),
    )


@pytest.mark.parametrize("field", ["product_rating", "description_rating", "delivery_rating"])
def test_a_merchant_rates_the_buyer_and_nothing_else(field):
    city, log, sale = sold_tea()
    assert told(log.refusal(city.review(sale, MERCHANT, **{field: 5}))) == (
        Reason.MALFORMED_EVENT,
        "ratings of product, description and delivery: given by the merchant, expected by the buyer only",
    )
    log.accept(city.review(sale, "buyer", **{field: 5}))


def test_a_review_by_another_merchant():
    city, log, sale = sold_tea()
    assert told(log.refusal(city.review(sale, OTHER_MERCHANT))) == (
        Reason.NOT_OWNER,
        f"merchant: given {OTHER_MERCHANT}, expected {MERCHANT}",
    )


@pytest.mark.parametrize(
    ("by", "given"), [(COURIER, f"courier {COURIER}"), (PLATFORM, f"platform {PLATFORM}")]
)
def test_a_review_by_another_role(by, given):
    city, log, sale = sold_tea()
    assert told(log.refusal(city.review(sale, by))) == (
        Reason.WRONG_ROLE,
        f"signer: given {given}, expected merchant or the purchase key of the sale",
    )


def test_a_review_with_the_purchase_key_of_another_sale():
    city, log, sale = sold_tea()
    another = city.sale("another buyer")
    log.accept(another, city.receipt(another, "another buyer"))
    assert told(log.refusal(city.review(sale, "another buyer"))) == (
        Reason.WRONG_PURCHASE_KEY,
        f"purchase key: given that of sale {event_id(another).hex()}, expected that of sale {event_id(sale).hex()}",
    )


# Follow-ups


def test_follow_ups_are_as_many_as_their_author_likes():
    city, log, sale = sold_tea()
    log.accept(city.register(MERCHANT_MEMBER, pb.PARTY_ROLE_MERCHANT, by=MERCHANT))
    ours, theirs = city.review(sale, "buyer"), city.review(sale, MERCHANT)
    log.accept(ours, theirs)
    recorded = log.accept(
        follow_up(city, ours, "buyer"),
        follow_up(city, ours, "buyer"),
        follow_up(city, theirs, MERCHANT),
        follow_up(city, theirs, MERCHANT_MEMBER),
    )
    assert {it.sale for it in recorded} == {event_id(sale)}


def test_a_follow_up_by_the_other_side():
    city, log, sale = sold_tea()
    ours, theirs = city.review(sale, "buyer"), city.review(sale, MERCHANT)
    log.accept(ours, theirs)
    for review, by, author in ((ours, MERCHANT, "buyer"), (theirs, "buyer", "merchant")):
        assert told(log.refusal(follow_up(city, review, by))) == (
            Reason.NOT_OWNER,
            f"author of the review: given the other side, expected the {author}",
        )


def test_a_follow_up_to_nothing():
    city, log, sale = sold_tea()
    for reviewed in (NOWHERE, event_id(sale)):
        assert told(log.refusal(city.say("buyer", TEA, pb.FollowUp(review=reviewed)))) == (
            Reason.REVIEW_UNKNOWN,
            f"review: given {reviewed.hex()}, expected event id of a recorded review",
        )


def test_a_follow_up_to_a_follow_up():
    city, log, sale = sold_tea()
    review = city.review(sale)
    first = follow_up(city, review, "buyer")
    log.accept(review, first)
    assert log.refusal(follow_up(city, first, "buyer")).reason is Reason.REVIEW_UNKNOWN
