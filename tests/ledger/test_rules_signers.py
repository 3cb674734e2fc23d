"""Whose word counts at all: known, unrevoked keys of active parties, good signatures, clocks that are nearly right."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest
from world import (
    CARRIER_MEMBER,
    CHINA,
    COURIER,
    DISTRICT,
    MERCHANT,
    MERCHANT_MEMBER,
    PARCEL,
    PLATFORM,
    REGULATOR,
    START,
    START_US,
    TEA,
    City,
    Log,
    altered,
    event_id,
    founded,
    p256_key,
    signing_key,
    told,
)

from ledger.errors import Conflict, Reason
from ledger.event import Event, moment, unix_us
from ledger.rules import identify
from ledger.state import Party, PartyKey, State
from suyuan.v1 import event_pb2 as pb
from suyuan.v1 import flags_pb2

MINUTE = 60_000_000


# Keys and signatures


def test_a_key_that_nobody_has_registered():
    city, log = founded()
    key = city.key("nobody").public_key
    assert told(log.refusal(city.listing(by="nobody"))) == (
        Reason.UNKNOWN_KEY,
        f"signing key: given {key.key_id.hex()}, expected a key of a registered party or of a purchase",
    )


def test_a_signature_that_does_not_hold():
    city, log = founded()
    envelope = city.listing()
    key_id = envelope.key_id.hex()
    for signature in (city.listing().signature, bytes(64)):
        assert told(log.refusal(altered(envelope, signature=signature))) == (
            Reason.BAD_SIGNATURE,
            f"signature: given 64 bytes that do not verify, expected ED25519 signature by key {key_id}",
        )
    assert told(log.refusal(altered(envelope, signature=envelope.signature[1:]))) == (
        Reason.BAD_SIGNATURE,
        "signature: given 63 bytes, expected 64 bytes",
    )
    log.accept(envelope)


def test_a_signature_by_another_key_than_the_one_named():
    city, log = founded()
    envelope = altered(city.listing(by=PLATFORM), key_id=city.key(MERCHANT).public_key.key_id)
    assert log.refusal(envelope).reason is Reason.BAD_SIGNATURE


@pytest.mark.parametrize(
    ("number", "given"), [(0, "algorithm 0"), (2, "ECDSA_P256_SHA256"), (3, "algorithm 3")]
)
def test_an_algorithm_that_is_not_the_keys(number, given):
    city, log = founded()
    assert told(log.refusal(altered(city.listing(), algorithm=number))) == (
        Reason.UNSUPPORTED_ALGORITHM,
        f"signature algorithm: given {given}, expected ED25519",
    )


def test_keys_of_either_algorithm_sign():
    city, log = founded()
    city.keys[CARRIER_MEMBER] = p256_key("a phone")
    addition = pb.KeyAddition(public_key=city.key(CARRIER_MEMBER).public_key.spki)
    log.accept(city.say(COURIER, CARRIER_MEMBER, addition))
    (recorded,) = log.accept(city.scan(pb.SHIPMENT_STAGE_IN_TRANSIT))
    assert recorded.key_id == p256_key("a phone").public_key.key_id
    assert recorded.signer == CARRIER_MEMBER


# Revocation


def revocation(city, party, by=None, key=None):
    key = key or city.key(party)
    body = pb.KeyRevocation(key_id=key.public_key.key_id, reason=pb.REVOCATION_REASON_COMPROMISED)
    return city.say(by or party, party, body)


def test_a_revoked_key_says_nothing_more():
    city, log = founded()
    (before,) = log.accept(city.listing())
    (revoked,) = log.accept(revocation(city, MERCHANT, by=PLATFORM))
    key_id = city.key(MERCHANT).public_key.key_id
    message = (
        f"key {key_id.hex()} of {MERCHANT}: given a key revoked at {moment(revoked.recorded_at_us).isoformat()}, "
        "expected a key that is not revoked"
    )
    # However long ago it happened: the time that counts is the service's.
    for envelope in (city.listing(), city.say(MERCHANT, TEA, pb.Listing(title="x", category=1), at=START)):
        assert told(log.refusal(envelope)) == (Reason.KEY_REVOKED, message)
    assert log.audit().verified, "what was recorded before stays valid"
    assert before.recorded_at_us < revoked.recorded_at_us


def test_a_key_revoked_earlier_in_the_batch_is_revoked():
    city, log = founded()
    verdicts = log.append(city.listing(), revocation(city, MERCHANT), city.listing()).verdicts
    assert [type(verdict).__name__ for verdict in verdicts] == ["Sequenced", "Sequenced", "NotAuthorized"]
    assert verdicts[2].reason is Reason.KEY_REVOKED


def test_a_party_goes_on_with_its_other_key():
    city, log = founded()
    old, new = city.key(MERCHANT), signing_key("the merchant's new key")
    log.accept(city.say(MERCHANT, MERCHANT, pb.KeyAddition(public_key=new.public_key.spki)))
    log.accept(revocation(city, MERCHANT))
    city.keys[MERCHANT] = new
    (recorded,) = log.accept(city.listing())
    assert (recorded.signer, recorded.key_id) == (MERCHANT, new.public_key.key_id)
    assert log.state.get(PartyKey, old.public_key.key_id).revoked_at_us > 0
    assert log.state.get(PartyKey, new.public_key.key_id).revoked_at_us == 0


def test_a_revoked_key_adds_no_key():
    city, log = founded()
    log.accept(revocation(city, MERCHANT, by=PLATFORM))
    addition = pb.KeyAddition(public_key=signing_key("the thief's").public_key.spki)
    assert log.refusal(city.say(MERCHANT, MERCHANT, addition)).reason is Reason.KEY_REVOKED


def test_revoking_a_key_again_changes_nothing():
    city, log = founded()
    log.accept(revocation(city, MERCHANT, by=PLATFORM))
    key_id = city.key(MERCHANT).public_key.key_id
    first = log.state.get(PartyKey, key_id)
    log.accept(revocation(city, MERCHANT, by=REGULATOR))
    assert log.state.get(PartyKey, key_id) == first


# Suspension


def status(city, party, to, by, **more):
    reason = pb.STATUS_REASON_VIOLATION if to == pb.PARTY_STATUS_SUSPENDED else pb.STATUS_REASON_REINSTATED
    return city.say(by, party, pb.PartyStatusChange(status=to, reason=reason, **more))


def suspended(party):
    return Reason.PARTY_NOT_ACTIVE, f"{party}: given a suspended party, expected an active party"


def test_a_suspended_party_says_nothing():
    city, log = founded()
    log.accept(status(city, MERCHANT, pb.PARTY_STATUS_SUSPENDED, by=PLATFORM))
    assert told(log.refusal(city.listing())) == suspended(MERCHANT)
    addition = pb.KeyAddition(public_key=signing_key("new").public_key.spki)
    assert told(log.refusal(city.say(MERCHANT, MERCHANT, addition))) == suspended(MERCHANT)


def test_a_member_of_a_suspended_company_says_nothing():
    city, log = founded()
    log.accept(status(city, COURIER, pb.PARTY_STATUS_SUSPENDED, by=REGULATOR))
    assert told(log.refusal(city.scan(pb.SHIPMENT_STAGE_IN_TRANSIT, by=CARRIER_MEMBER))) == suspended(COURIER)
    assert told(log.refusal(city.scan(pb.SHIPMENT_STAGE_IN_TRANSIT, by=COURIER))) == suspended(COURIER)


def test_a_suspended_member_leaves_its_company_alone():
    city, log = founded()
    log.accept(status(city, CARRIER_MEMBER, pb.PARTY_STATUS_SUSPENDED, by=COURIER))
    assert told(log.refusal(city.scan(pb.SHIPMENT_STAGE_IN_TRANSIT))) == suspended(CARRIER_MEMBER)
    log.accept(city.scan(pb.SHIPMENT_STAGE_IN_TRANSIT, by=COURIER))


def test_a_suspended_accreditor_accredits_nobody_and_its_merchants_go_on():
    city, log = founded()
    log.accept(status(city, PLATFORM, pb.PARTY_STATUS_SUSPENDED, by=REGULATOR))
    another = city.register("party/91350104MA31K2A705", pb.PARTY_ROLE_MERCHANT, "新", by=PLATFORM)
    assert told(log.refusal(another)) == suspended(PLATFORM)
    log.accept(city.listing())


def test_a_suspended_regulator_is_no_authority():
    city, log = founded()
    log.accept(city.register(DISTRICT, pb.PARTY_ROLE_REGULATOR, "鼓楼区市场监督管理局"))
    log.accept(status(city, DISTRICT, pb.PARTY_STATUS_SUSPENDED, by=REGULATOR))
    recall = city.say(DISTRICT, TEA, pb.Recall(reason=pb.RECALL_REASON_SAFETY))
    assert told(log.refusal(recall)) == suspended(DISTRICT)


def test_a_party_that_is_reinstated_speaks_again():
    city, log = founded()
    log.accept(status(city, MERCHANT, pb.PARTY_STATUS_SUSPENDED, by=PLATFORM))
    log.accept(status(city, MERCHANT, pb.PARTY_STATUS_ACTIVE, by=REGULATOR), city.listing())


def test_a_buyer_speaks_though_the_merchant_is_suspended():
    city, log = founded()
    sale = city.sale()
    log.accept(city.listing(), sale)
    log.accept(status(city, MERCHANT, pb.PARTY_STATUS_SUSPENDED, by=PLATFORM))
    log.accept(city.receipt(sale), city.review(sale), city.complaint(sale))


# Licences: the merchant's ends with 31 March 2027 in China, the courier's with 31 December 2028

MIDNIGHT = unix_us(datetime(2027, 4, 1, tzinfo=CHINA))


def listing_at(city, us):
    return city.say(
        MERCHANT, TEA, pb.Listing(title="x", category=1), at=datetime(2027, 3, 31, 23, 59, tzinfo=CHINA)
    )


@pytest.mark.parametrize(("us", "lapsed"), [(MIDNIGHT - 1, False), (MIDNIGHT, True)])
def test_a_licence_holds_to_the_end_of_its_last_day_in_china(us, lapsed):
    city, log = founded()
    log.set_clock(us)
    city.now = datetime(2027, 3, 31, 23, 58, tzinfo=CHINA)
    (recorded,) = log.accept(city.listing())
    assert recorded.flags == ((flags_pb2.EVENT_FLAG_LICENCE_LAPSED,) if lapsed else ())


def test_a_lapsed_courier_and_its_rider_are_only_flagged():
    city, log = founded()
    city.now = START + timedelta(days=1000)
    log.set_clock(unix_us(city.now) + 10 * MINUTE)
    scans = [city.scan(pb.SHIPMENT_STAGE_IN_TRANSIT, by=by) for by in (COURIER, CARRIER_MEMBER)]
    for recorded in log.accept(*scans):
        assert recorded.flags == (flags_pb2.EVENT_FLAG_LICENCE_LAPSED,)


def test_a_members_own_licence_lapses_too():
    city, log = founded()
    renewal = status(city, CARRIER_MEMBER, pb.PARTY_STATUS_ACTIVE, by=COURIER, licence_until="2026-05-03")
    log.accept(renewal)
    (recorded,) = log.accept(city.scan(pb.SHIPMENT_STAGE_IN_TRANSIT))
    assert recorded.flags == (flags_pb2.EVENT_FLAG_LICENCE_LAPSED,)


@pytest.mark.parametrize(("us", "lapsed"), [(MIDNIGHT - 1, False), (MIDNIGHT, True)])
def test_a_lapsed_accreditor_accredits_nobody(us, lapsed):
    city, log = founded()
    log.set_clock(us)
    member = city.register(MERCHANT_MEMBER, pb.PARTY_ROLE_MERCHANT, by=MERCHANT)
    if not lapsed:
        log.accept(member)
        return
    assert told(log.refusal(member)) == (
        Reason.PARTY_NOT_ACTIVE,
        f"{MERCHANT}: given a licence that ended on 2027-03-31, expected a licence in force",
    )


def test_a_lapsed_accreditor_has_no_authority_over_whom_it_registered():
    city, log = founded()
    log.accept(city.register(MERCHANT_MEMBER, pb.PARTY_ROLE_MERCHANT, by=MERCHANT))
    log.set_clock(MIDNIGHT)
    for envelope in (
        status(city, MERCHANT_MEMBER, pb.PARTY_STATUS_SUSPENDED, by=MERCHANT),
        revocation(city, MERCHANT_MEMBER, by=MERCHANT),
        city.say(MERCHANT, MERCHANT_MEMBER, pb.KeyAddition(public_key=signing_key("x").public_key.spki)),
    ):
        assert told(log.refusal(envelope)) == (
            Reason.PARTY_NOT_ACTIVE,
            f"{MERCHANT}: given a licence that ended on 2027-03-31, expected a licence in force",
        )


def test_a_lapsed_party_changes_its_own_keys():
    city, log = founded()
    log.set_clock(MIDNIGHT)
    addition = pb.KeyAddition(public_key=signing_key("new").public_key.spki)
    log.accept(city.say(MERCHANT, MERCHANT, addition), revocation(city, MERCHANT))


def test_a_renewed_licence_is_in_force():
    city, log = founded()
    log.set_clock(MIDNIGHT)
    log.accept(status(city, MERCHANT, pb.PARTY_STATUS_ACTIVE, by=PLATFORM, licence_until="2028-03-31"))
    assert log.state.get(Party, MERCHANT).licence_until == "2028-03-31"
    city.now = datetime(2027, 4, 1, tzinfo=CHINA)
    log.set_clock(MIDNIGHT + 2 * MINUTE)
    (recorded,) = log.accept(city.listing())
    assert recorded.flags == ()


# Clocks


def test_ten_minutes_ahead_are_flagged_and_a_microsecond_more_is_refused():
    city, log = founded()
    now = START_US + 3 * 60 * MINUTE
    then = START + timedelta(hours=3, minutes=10)
    envelope = city.say(CARRIER_MEMBER, PARCEL, pb.Shipment(stage=pb.SHIPMENT_STAGE_IN_TRANSIT), at=then)
    log.set_clock(now - 1)
    assert told(log.refusal(envelope)) == (
        Reason.OCCURRED_IN_FUTURE,
        (
            f"occurred_at: given {then.isoformat()}, "
            f"expected at most ten minutes after {moment(now - 1).isoformat()}, when it would be recorded"
        ),
    )
    log.set_clock(now)
    (recorded,) = log.accept(envelope)
    assert recorded.flags == (flags_pb2.EVENT_FLAG_CLOCK_AHEAD,)


def test_a_genesis_far_in_the_future_is_refused_too():
    city, log = City(now=START + timedelta(days=1)), Log()
    verdict = log.only(city.genesis())
    assert verdict.reason is Reason.OCCURRED_IN_FUTURE
    assert log.head.size == 0


def test_the_past_is_never_too_long_ago():
    city, log = founded()
    envelope = city.say(
        MERCHANT, TEA, pb.Listing(title="x", category=1), at=datetime(1970, 1, 2, tzinfo=CHINA)
    )
    (recorded,) = log.accept(envelope)
    assert recorded.flags == (flags_pb2.EVENT_FLAG_LATE,)


def test_who_signed_is_recorded():
    city, log = founded()
    sale = city.sale()
    listing, sold, received = log.accept(city.listing(), sale, city.receipt(sale))
    assert (listing.signer, listing.key_id, listing.sale) == (
        MERCHANT,
        city.key(MERCHANT).public_key.key_id,
        b"",
    )
    assert (sold.signer, sold.sale) == (MERCHANT, event_id(sale))
    assert (received.signer, received.key_id) == ("", city.key("buyer").public_key.key_id)
    assert received.sale == event_id(sale)


def test_a_key_of_a_party_that_is_nowhere():
    """No log leads to such a state, a damaged database does: it is said, and nothing is judged."""
    city, log = founded()
    key = city.key(CARRIER_MEMBER).public_key
    state = State()
    state.put(log.state.get(PartyKey, key.key_id))
    event = Event.parse(city.scan(pb.SHIPMENT_STAGE_IN_TRANSIT).payload)
    for missing in (CARRIER_MEMBER, COURIER):
        with pytest.raises(Conflict) as refused:
            identify(event, key.key_id, state)
        assert told(refused.value) == (
            Reason.PARTY_UNKNOWN,
            f"party: given {missing}, expected a registered party",
        )
        state.put(log.state.get(Party, missing))
