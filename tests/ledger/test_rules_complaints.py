"""Complaints, the answers to them, their end."""

from __future__ import annotations

import pytest
from world import COURIER, MERCHANT, OTHER_MERCHANT, PLATFORM, REGULATOR, TEA, event_id, founded, told

from ledger.errors import Reason
from ledger.state import Complained
from suyuan.v1 import event_pb2 as pb

NOWHERE = bytes(32)


def sold_tea():
    city, log = founded()
    sale = city.sale()
    log.accept(city.listing(), sale)
    return city, log, sale


def test_a_complaint_needs_no_receipt():
    """What never came is complained of too."""
    city, log, sale = sold_tea()
    complaint = city.complaint(sale)
    (recorded,) = log.accept(complaint)
    assert recorded.sale == event_id(sale)
    assert log.state.get(Complained, event_id(complaint)) == Complained(
        event_id(complaint), event_id(sale), recorded.index
    )


def test_a_buyer_complains_as_often_as_there_is_reason():
    city, log, sale = sold_tea()
    log.accept(city.complaint(sale), city.receipt(sale), city.complaint(sale))


def test_a_complaint_without_a_sale():
    city, log, _ = sold_tea()
    body = pb.Complaint(sale=NOWHERE, category=pb.COMPLAINT_CATEGORY_SAFETY, remedy=pb.REMEDY_APOLOGY)
    assert told(log.refusal(city.say("buyer", TEA, body))) == (
        Reason.SALE_UNKNOWN,
        f"sale: given {NOWHERE.hex()}, expected event id of a recorded sale",
    )


@pytest.mark.parametrize(
    ("by", "given"), [(MERCHANT, f"merchant {MERCHANT}"), (COURIER, f"courier {COURIER}")]
)
def test_a_complaint_by_a_party(by, given):
    city, log, sale = sold_tea()
    assert told(log.refusal(city.complaint(sale, by))) == (
        Reason.WRONG_ROLE,
        f"signer: given {given}, expected the purchase key of the sale",
    )


def test_a_complaint_with_the_purchase_key_of_another_sale():
    city, log, sale = sold_tea()
    another = city.sale("another buyer")
    log.accept(another)
    assert told(log.refusal(city.complaint(sale, "another buyer"))) == (
        Reason.WRONG_PURCHASE_KEY,
        f"purchase key: given that of sale {event_id(another).hex()}, expected that of sale {event_id(sale).hex()}",
    )


# Answers


def answers(city, complaint, by):
    return [city.reply(complaint, by), city.resolution(complaint, by)]


def test_all_who_answer_do_so_in_any_order_and_number():
    city, log, sale = sold_tea()
    complaint = city.complaint(sale)
    log.accept(complaint)
    for by in (MERCHANT, PLATFORM, REGULATOR, MERCHANT):
        for recorded in log.accept(*answers(city, complaint, by)):
            assert recorded.sale == event_id(sale)


@pytest.mark.parametrize("body", [
    pb.ComplaintReply(complaint=NOWHERE, stance=pb.REPLY_STANCE_ACCEPTED),
    pb.ComplaintResolution(complaint=NOWHERE, outcome=pb.COMPLAINT_OUTCOME_REFUSED),
])  # fmt: skip
def test_an_answer_to_no_complaint(body):
    city, log, sale = sold_tea()
    for complained in (NOWHERE, event_id(sale)):
        body.complaint = complained
        assert told(log.refusal(city.say(MERCHANT, TEA, body))) == (
            Reason.COMPLAINT_UNKNOWN,
            f"complaint: given {complained.hex()}, expected event id of a recorded complaint",
        )


def test_an_answer_by_another_merchant():
    city, log, sale = sold_tea()
    complaint = city.complaint(sale)
    log.accept(complaint)
    for answer in answers(city, complaint, OTHER_MERCHANT):
        assert told(log.refusal(answer)) == (
            Reason.NOT_OWNER,
            f"merchant: given {OTHER_MERCHANT}, expected {MERCHANT}",
        )


@pytest.mark.parametrize(("by", "given"), [(COURIER, f"courier {COURIER}"), ("buyer", "purchase key")])
def test_an_answer_by_another_role(by, given):
    city, log, sale = sold_tea()
    complaint = city.complaint(sale)
    log.accept(complaint)
    for answer in answers(city, complaint, by):
        assert told(log.refusal(answer)) == (
            Reason.WRONG_ROLE,
            f"signer: given {given}, expected merchant or platform or regulator",
        )
