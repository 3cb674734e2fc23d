"""Recalls of goods, corrections of words."""

from __future__ import annotations

import pytest
from world import (
    CARRIER_MEMBER,
    COURIER,
    MERCHANT,
    MERCHANT_MEMBER,
    OTHER_MERCHANT,
    PARCEL,
    PLATFORM,
    REGULATOR,
    TEA,
    event_id,
    founded,
    signing_key,
    told,
)

from ledger.chain_key import ChainKey
from ledger.errors import Reason
from ledger.state import Listed, Recorded, Sold
from suyuan.v1 import event_pb2 as pb

LOT = ChainKey(f"{TEA}/10/A7")


def recall(city, chain, by):
    return city.say(by, chain, pb.Recall(reason=pb.RECALL_REASON_CONTAMINATION))


def correction(city, mistaken, by, chain=TEA, **more):
    body = pb.Correction(event=event_id(mistaken), reason=pb.CORRECTION_REASON_OTHER, **more)
    return city.say(by, chain, body)


# Recall


@pytest.mark.parametrize("chain", [TEA, LOT])
def test_a_merchant_recalls_what_it_has_listed(chain):
    city, log = founded()
    assert told(log.refusal(recall(city, chain, MERCHANT))) == (
        Reason.LISTING_MISSING,
        f"listing: given no listing of {chain} by {MERCHANT}, expected its own listing of {chain} or of {TEA}",
    )
    log.accept(city.listing(TEA), recall(city, chain, MERCHANT))


def test_a_merchant_that_lists_a_lot_recalls_that_lot():
    city, log = founded()
    log.accept(city.listing(LOT), recall(city, LOT, MERCHANT))
    assert log.refusal(recall(city, TEA, MERCHANT)).reason is Reason.LISTING_MISSING


def test_a_merchant_does_not_recall_anothers_goods():
    city, log = founded()
    log.accept(city.listing(TEA))
    assert log.refusal(recall(city, TEA, OTHER_MERCHANT)).reason is Reason.LISTING_MISSING


def test_a_regulator_recalls_what_nobody_has_listed():
    city, log = founded()
    log.accept(recall(city, LOT, REGULATOR))


@pytest.mark.parametrize(
    ("by", "given"), [(PLATFORM, f"platform {PLATFORM}"), (COURIER, f"courier {COURIER}")]
)
def test_a_recall_by_another_role(by, given):
    city, log = founded()
    assert told(log.refusal(recall(city, TEA, by))) == (
        Reason.WRONG_ROLE,
        f"signer: given {given}, expected merchant or regulator",
    )


# Correction


def test_a_correction_erases_nothing():
    city, log = founded()
    listing, sale = city.listing(), city.sale()
    log.accept(listing, sale)
    before = [
        log.state.get(Listed, (MERCHANT, TEA)),
        log.state.get(Sold, event_id(sale)),
        log.state.get(Recorded, event_id(sale)),
    ]
    (recorded,) = log.accept(correction(city, sale, MERCHANT, replacement=bytes(32)))
    assert recorded.sale == event_id(sale), "it is part of the sale"
    assert before == [
        log.state.get(Listed, (MERCHANT, TEA)),
        log.state.get(Sold, event_id(sale)),
        log.state.get(Recorded, event_id(sale)),
    ]
    log.accept(city.receipt(sale))


def test_a_correction_of_nothing():
    city, log = founded()
    listing = city.listing()
    assert told(log.refusal(correction(city, listing, MERCHANT))) == (
        Reason.EVENT_UNKNOWN,
        f"corrected event: given {event_id(listing).hex()}, expected id of an event recorded on {TEA}",
    )


def test_a_correction_by_a_stranger():
    city, log = founded()
    listing = city.listing()
    log.accept(listing)
    for by in (OTHER_MERCHANT, COURIER, REGULATOR):
        assert told(log.refusal(correction(city, listing, by))) == (
            Reason.NOT_OWNER,
            f"signer of a correction: given {by}, expected who signed the event, {MERCHANT}, or its accreditor",
        )


def test_a_correction_by_the_accreditor():
    city, log = founded()
    listing, scan = city.listing(), city.scan(pb.SHIPMENT_STAGE_IN_TRANSIT)
    log.accept(listing, scan)
    log.accept(correction(city, listing, PLATFORM), correction(city, scan, COURIER, PARCEL))


def test_a_correction_among_buyers():
    city, log = founded()
    sale, another = city.sale(), city.sale("another buyer")
    receipt = city.receipt(sale)
    log.accept(city.listing(), sale, another, receipt)
    author, stranger = (city.key(name).public_key.key_id.hex() for name in ("buyer", "another buyer"))
    for by, given in (("another buyer", f"purchase key {stranger}"), (MERCHANT, MERCHANT)):
        assert told(log.refusal(correction(city, receipt, by))) == (
            Reason.NOT_OWNER,
            f"signer of a correction: given {given}, expected who signed the event, purchase key {author}, or its accreditor",
        )
    log.accept(correction(city, receipt, "buyer"))


def test_a_correction_with_another_key_of_the_same_party():
    city, log = founded()
    listing = city.listing()
    new = signing_key("new")
    log.accept(listing, city.say(MERCHANT, MERCHANT, pb.KeyAddition(public_key=new.public_key.spki)))
    city.keys[MERCHANT] = new
    log.accept(correction(city, listing, MERCHANT))


def test_a_company_corrects_its_member_but_a_member_neither_its_company_nor_another():
    city, log = founded()
    another = ChainKey(f"{COURIER}/k-0018")
    scan, theirs = city.scan(pb.SHIPMENT_STAGE_IN_TRANSIT), city.scan(pb.SHIPMENT_STAGE_ARRIVED, by=COURIER)
    log.accept(city.register(another, pb.PARTY_ROLE_COURIER, by=COURIER), scan, theirs)
    assert log.refusal(correction(city, scan, another, PARCEL)).reason is Reason.NOT_OWNER
    assert log.refusal(correction(city, theirs, CARRIER_MEMBER, PARCEL)).reason is Reason.NOT_OWNER
    log.accept(correction(city, scan, COURIER, PARCEL))


def test_a_correction_is_corrected_and_so_is_a_registration():
    city, log = founded()
    listing = city.listing()
    mistaken = correction(city, listing, MERCHANT)
    member = city.register(MERCHANT_MEMBER, pb.PARTY_ROLE_MERCHANT, by=MERCHANT)
    log.accept(listing, mistaken, member)
    log.accept(correction(city, mistaken, MERCHANT), correction(city, member, MERCHANT, MERCHANT_MEMBER))
