from __future__ import annotations

import pytest
from lying import head_of, prove
from world import (
    CARRIER_MEMBER,
    COURIER,
    MERCHANT,
    OTHER_MERCHANT,
    PLATFORM,
    REGULATOR,
    TEA,
    City,
    Log,
    event_id,
)

from clients.registry import replay_listing, replay_party, replay_sale
from clients.verify import verify_entries, verify_introductions
from ledger.errors import BrokenProof, Reason
from suyuan.v1 import event_pb2 as pb


@pytest.fixture
def city():
    return City()


@pytest.fixture
def log(city):
    log = Log()
    log.append(*city.founding())
    return log


def record(log, envelope, *, forged=False):
    if forged:
        log.forge(envelope)
    else:
        verdict = log.only(envelope)
        assert verdict in log.entries, verdict
    return len(log.entries) - 1


def replayed(log, name, *indexes, size=None):
    """A party as these entries of its chain show it, to whoever knows the founding."""
    head = head_of(log)
    ring = verify_introductions([prove(log, index) for index in range(6)], head)
    entries = verify_entries([prove(log, index) for index in indexes], head, ring)
    for entry in entries:
        ring.add(entry)
    return replay_party(name, entries, ring, head_of(log, size))


def refusal(attempt):
    with pytest.raises(BrokenProof) as caught:
        attempt()
    assert caught.value.reason is Reason.BAD_ENTRY
    return str(caught.value)


def change(status, until=""):
    return pb.PartyStatusChange(status=status, reason=pb.STATUS_REASON_VIOLATION, licence_until=until)


def revocation(city, name):
    key_id = city.key(name).public_key.key_id
    return pb.KeyRevocation(key_id=key_id, reason=pb.REVOCATION_REASON_LOST)


def test_a_party_goes_through_its_chain(city, log):
    suspended = record(log, city.say(REGULATOR, MERCHANT, change(pb.PARTY_STATUS_SUSPENDED)))
    renewed = record(log, city.say(PLATFORM, MERCHANT, change(pb.PARTY_STATUS_ACTIVE, "2030-01-31")))
    states = [
        (
            replayed(log, MERCHANT, 2, suspended, renewed, size=size).party.status,
            replayed(log, MERCHANT, 2, suspended, renewed, size=size).party.licence_until,
        )
        for size in (suspended, suspended + 1, renewed + 1)
    ]
    assert states == [
        (pb.PARTY_STATUS_ACTIVE, "2027-03-31"),
        (pb.PARTY_STATUS_SUSPENDED, "2027-03-31"),
        (pb.PARTY_STATUS_ACTIVE, "2030-01-31"),
    ]


def test_the_first_revocation_of_a_key_is_the_one_that_counts(city, log):
    spki = city.key("second").public_key.spki
    added = record(log, city.say(MERCHANT, MERCHANT, pb.KeyAddition(public_key=spki)))
    first = record(log, city.say(MERCHANT, MERCHANT, revocation(city, "second")))
    again = record(log, city.say(MERCHANT, MERCHANT, revocation(city, "second")))
    keys = replayed(log, MERCHANT, 2, added, first, again).keys
    assert [key.revoked_at_us for key in keys] == [0, log.entries[first].entry.recorded_at_us]


def test_a_correction_changes_nothing(city, log):
    body = pb.Correction(event=log.entries[2].recorded.event_id, reason=pb.CORRECTION_REASON_OTHER)
    corrected = record(log, city.say(PLATFORM, MERCHANT, body))
    assert replayed(log, MERCHANT, 2, corrected).party == replayed(log, MERCHANT, 2).party


def test_a_party_that_was_not_registered_yet(log):
    assert refusal(lambda: replayed(log, MERCHANT, 2, size=2)) == (
        f"registration of {MERCHANT}: given none in the first 2 entries, expected one"
    )


def test_a_chain_that_begins_with_something_else(log):
    assert refusal(lambda: replayed(log, MERCHANT, 3)) == (
        f"registration of {MERCHANT}: given a party_registration on {OTHER_MERCHANT}, "
        f"expected a registration on {MERCHANT}"
    )
    assert refusal(lambda: replayed(log, MERCHANT, 0)) == (
        f"registration of {MERCHANT}: given a genesis on ledger, expected a registration on {MERCHANT}"
    )


@pytest.mark.parametrize("by", [OTHER_MERCHANT, COURIER])
def test_a_status_that_somebody_changed_who_may_not(city, log, by):
    changed = record(log, city.say(by, MERCHANT, change(pb.PARTY_STATUS_SUSPENDED)), forged=True)
    assert refusal(lambda: replayed(log, MERCHANT, 2, changed)).startswith(
        f"entry {changed}, recorded against the rules: authority over {MERCHANT}: given "
    )


def test_a_merchant_who_renews_its_own_licence(city, log):
    changed = record(
        log, city.say(MERCHANT, MERCHANT, change(pb.PARTY_STATUS_ACTIVE, "2099-12-31")), forged=True
    )
    assert "recorded against the rules" in refusal(lambda: replayed(log, MERCHANT, 2, changed))


def test_a_key_that_a_rival_revoked(city, log):
    revoked = record(log, city.say(OTHER_MERCHANT, MERCHANT, revocation(city, MERCHANT)), forged=True)
    assert "recorded against the rules" in refusal(lambda: replayed(log, MERCHANT, 2, revoked))


def test_a_key_that_was_revoked_before_it_was_added(city, log):
    revoked = record(log, city.say(MERCHANT, MERCHANT, revocation(city, "second")), forged=True)
    spki = city.key("second").public_key.spki
    added = record(log, city.say(MERCHANT, MERCHANT, pb.KeyAddition(public_key=spki)))
    assert refusal(lambda: replayed(log, MERCHANT, 2, revoked, added)) == (
        f"revocation at entry {revoked}: given that of key {city.key('second').public_key.key_id.hex()}, "
        f"expected of one that {MERCHANT} has"
    )


def sold(log, *indexes, size=None):
    head = head_of(log)
    ring = verify_introductions([prove(log, index) for index in (*range(6), 7)], head)
    entries = verify_entries([prove(log, index) for index in indexes], head, ring)
    return replay_sale(entries[0], entries, head_of(log, size))


def test_a_sale_goes_through_its_story(city, log):
    log.append(*city.life())
    found = {size: sold(log, *range(7, 18), size=size) for size in range(8, 19)}
    assert [len(found[size].parcels) for size in (8, 9)] == [0, 1]
    assert [bool(found[size].receipt) for size in (13, 14)] == [False, True]
    assert [bool(found[size].buyer_review) for size in (14, 15)] == [False, True]
    assert [len(found[size].complaints) for size in (15, 16)] == [0, 1]
    assert {sale.merchant_review for sale in found.values()} == {b""}


def test_two_receipts_of_one_sale(city, log):
    sale = city.sale()
    log.append(city.listing(), sale, city.receipt(sale))
    second = record(log, city.receipt(sale, by=CARRIER_MEMBER, proxy=True), forged=True)
    assert refusal(lambda: sold(log, 7, 8, second)) == (
        f"receipts of sale {event_id(sale).hex()} by one side: given 2, expected at most 1"
    )


def test_a_listing_says_what_its_entry_says(city, log):
    listing = city.listing()
    index = record(log, listing)
    head = head_of(log)
    ring = verify_introductions([prove(log, number) for number in range(6)], head)
    [entry] = verify_entries([prove(log, index)], head, ring)
    listed = replay_listing(entry)
    assert (listed.merchant, listed.chain, listed.title) == (MERCHANT, TEA, "茉莉花茶 250 g")
    assert (listed.event_id, listed.index) == (event_id(listing), index)
    [entry] = verify_entries([prove(log, 2)], head, ring)
    assert refusal(lambda: replay_listing(entry)) == "entry 2: given a party_registration, expected a listing"
