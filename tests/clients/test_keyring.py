from __future__ import annotations

import pytest
from lying import head_of, prove
from world import (
    CARRIER_MEMBER,
    COURIER,
    CUP,
    MERCHANT,
    MERCHANT_MEMBER,
    ORIGIN,
    OTHER_MERCHANT,
    PARCEL,
    PLATFORM,
    REGULATOR,
    TEA,
    City,
    Log,
    event_id,
    signing_key,
)

from clients.verify import KeyRing, verify_entries, verify_introductions
from ledger.chain_key import ChainKey
from ledger.envelope import Envelope
from ledger.errors import BrokenProof, Conflict, Reason
from ledger.keys import key_id_of
from suyuan.v1 import event_pb2 as pb


@pytest.fixture
def city():
    return City()


@pytest.fixture
def log(city):
    log = Log()
    log.append(*city.founding())
    return log


def index_of(log, envelope, *, forged=False):
    """Record an envelope; by the rules, or as an operator would who keeps to none."""
    if forged:
        log.forge(envelope)
    else:
        verdict = log.only(envelope)
        assert verdict in log.entries, verdict
    return len(log.entries) - 1


def ring_of(log, *indexes):
    return verify_introductions([prove(log, index) for index in indexes], head_of(log))


def signed(log, ring, index):
    [entry] = verify_entries([prove(log, index)], head_of(log), ring)
    return entry


def refusal(log, indexes, index):
    """Why an entry is not believed by whoever knows the introductions at these indexes."""
    with pytest.raises(BrokenProof) as caught:
        signed(log, ring_of(log, *indexes), index)
    assert caught.value.reason is Reason.BAD_ENTRY
    return str(caught.value)


def test_keys_come_from_the_genesis(log):
    ring = ring_of(log, 0, 1, 2, 3, 4, 5)
    assert [signed(log, ring, index).signer for index in range(6)] == [
        REGULATOR, REGULATOR, PLATFORM, PLATFORM, REGULATOR, COURIER,
    ]  # fmt: skip
    assert len(ring) == 6


def test_taking_in_again_changes_nothing(log):
    ring = ring_of(log, 0, 1)
    verify_introductions([prove(log, 0), prove(log, 1), prove(log, 2)], head_of(log), ring)
    assert len(ring) == 3


def test_an_added_key_signs(city, log):
    second = city.key("second key of the merchant")
    spki = second.public_key.spki
    added = index_of(log, city.say(MERCHANT, MERCHANT, pb.KeyAddition(public_key=spki)))
    listed = index_of(log, city.say("second key of the merchant", TEA, listing()))
    entry = signed(log, ring_of(log, 0, 1, 2, added), listed)
    assert (entry.signer, entry.public_key.spki) == (MERCHANT, spki)


def listing():
    return pb.Listing(title="茶", category=pb.PRODUCT_CATEGORY_FOOD)


def test_a_key_added_by_who_oversees_the_party(city, log):
    spki = city.key("second").public_key.spki
    added = index_of(log, city.say(PLATFORM, MERCHANT, pb.KeyAddition(public_key=spki)))
    listed = index_of(log, city.say("second", TEA, listing()))
    assert signed(log, ring_of(log, 0, 1, 2, added), listed).signer == MERCHANT
    assert refusal(log, (0, 1, added), listed) == (
        f"entry {added}, recorded against the rules: party: given {MERCHANT}, expected a registered party"
    )


def test_the_buyer_of_a_sale_signs(city, log):
    log.append(*city.life())
    entry = signed(log, ring_of(log, 0, 1, 2, 7), 13)
    assert (entry.signer, entry.signature_verified) == ("", True)
    assert key_id_of(entry.public_key.spki) == city.key("buyer").public_key.key_id


def test_what_introduces_nothing_is_passed_over(city, log):
    listed = index_of(log, city.listing())
    assert len(ring_of(log, 0, listed)) == 1


def test_an_event_of_a_kind_unknown_to_this_version(city, log):
    raw = city.event(TEA, listing()).raw
    # Field 99: something that a later version may say.
    envelope = Envelope.seal(raw + b"\x9a\x06\x01x", city.key(MERCHANT))
    index = index_of(log, envelope, forged=True)
    entry = signed(log, ring_of(log, 0, 1, 2), index)
    assert (entry.event.kind, entry.signer, entry.signature_verified) == (None, MERCHANT, True)


def test_what_is_missing_is_named(city, log):
    index_of(log, city.listing())
    entries = verify_entries([prove(log, index) for index in range(7)], head_of(log))
    ring = KeyRing(ORIGIN)
    assert ring.needs(entries[0]) is None
    assert ring.needs(entries[6]) == city.key(MERCHANT).public_key.key_id
    ring.add(entries[0])
    assert ring.needs(entries[1]) is None
    assert ring.needs(entries[2]) == city.key(PLATFORM).public_key.key_id


def test_a_members_company_is_needed_too(city, log):
    member = index_of(log, city.register(MERCHANT_MEMBER, pb.PARTY_ROLE_MERCHANT))
    entry = verify_entries([prove(log, member)], head_of(log))[0]
    ring = ring_of(log, 0, 1)
    assert ring.needs(entry) == MERCHANT
    verify_introductions([prove(log, 2)], head_of(log), ring)
    assert ring.needs(entry) is None


# Lies


def test_a_signer_without_an_introduction(city, log):
    listed = index_of(log, city.listing())
    key_id = city.key(MERCHANT).public_key.key_id.hex()
    assert refusal(log, (0, 1), listed) == (
        f"entry 6: signing key: given {key_id}, expected a key of a registered party or of a purchase"
    )


def test_an_introduction_without_its_own(city, log):
    index_of(log, city.listing())
    key_id = city.key(PLATFORM).public_key.key_id.hex()
    assert refusal(log, (0, 2), 6) == (
        f"entry 2: signing key: given {key_id}, expected a key of a registered party or of a purchase"
    )


def test_a_signature_that_does_not_hold(city, log):
    event = city.event(TEA, listing())
    stolen = Envelope.seal(event.raw, city.key(OTHER_MERCHANT))
    message = Envelope.seal(event.raw, city.key(MERCHANT))
    raw = message.raw.replace(message.signature, stolen.signature)
    index = index_of(log, raw, forged=True)
    assert refusal(log, (0, 1, 2), index) == (
        f"entry {index}: signature: given 64 bytes that do not verify, expected ED25519 signature by key "
        f"{city.key(MERCHANT).public_key.key_id.hex()}"
    )


def test_a_party_that_registers_itself(city, log):
    impostor = ChainKey("party/91350100MA347Q2M6Q")
    made = index_of(log, city.register(impostor, pb.PARTY_ROLE_MERCHANT, "自封", by=impostor), forged=True)
    listed = index_of(log, city.listing(by=impostor), forged=True)
    key_id = city.key(impostor).public_key.key_id.hex()
    assert refusal(log, (0, made), listed) == (
        f"entry {made}: signing key: given {key_id}, expected a key of a registered party or of a purchase"
    )


def test_a_party_that_a_merchant_registers(city, log):
    friend = ChainKey("party/91350100MA347Q2M6Q")
    made = index_of(log, city.register(friend, pb.PARTY_ROLE_MERCHANT, "朋友", by=MERCHANT), forged=True)
    listed = index_of(log, city.listing(by=friend), forged=True)
    assert refusal(log, (0, 1, 2, made), listed) == (
        f"entry {made}, recorded against the rules: accreditor of a merchant: given merchant {MERCHANT}, "
        "expected a regulator, or a platform for a merchant"
    )


def test_a_second_registration_that_takes_a_party_over(city, log):
    city.keys["thief"] = signing_key("thief")
    body = pb.PartyRegistration(
        role=pb.PARTY_ROLE_COURIER, name="顺丰速运", public_key=city.key("thief").public_key.spki
    )
    made = index_of(log, city.say(REGULATOR, COURIER, body), forged=True)
    scanned = index_of(log, city.scan(pb.SHIPMENT_STAGE_PICKED_UP, by="thief"), forged=True)
    assert refusal(log, (0, made), scanned) == (
        f"entry {made}: chain_seq of a registration: given 1, expected 0"
    )


def test_a_key_that_another_party_adds(city, log):
    spki = city.key("thief").public_key.spki
    made = index_of(log, city.say(OTHER_MERCHANT, MERCHANT, pb.KeyAddition(public_key=spki)), forged=True)
    listed = index_of(log, city.say("thief", TEA, listing()), forged=True)
    assert refusal(log, (0, 1, 2, 3, made), listed) == (
        f"entry {made}, recorded against the rules: authority over {MERCHANT}: given merchant {OTHER_MERCHANT}, "
        f"expected its accreditor {PLATFORM}, its company or a regulator"
    )


def test_a_key_of_one_party_that_another_adds_as_its_own(city, log):
    spki = city.key(OTHER_MERCHANT).public_key.spki
    made = index_of(log, city.say(MERCHANT, MERCHANT, pb.KeyAddition(public_key=spki)), forged=True)
    assert refusal(log, (0, 1, 2, 3, made), 3) == (
        f"entry {made}, recorded against the rules: key: given {key_id_of(spki).hex()}, "
        "expected a key that belongs to nobody yet"
    )


def test_a_key_that_is_used_before_it_was_introduced(city, log):
    early = city.say("second", TEA, listing())
    listed = index_of(log, early, forged=True)
    spki = city.key("second").public_key.spki
    added = index_of(log, city.say(MERCHANT, MERCHANT, pb.KeyAddition(public_key=spki)))
    assert refusal(log, (0, 1, 2, added), listed) == (
        f"entry {listed}: introduction of key {key_id_of(spki).hex()}: given entry {added}, "
        "expected an earlier entry"
    )


def test_a_sale_by_a_courier(city, log):
    index_of(log, city.listing())
    sale = city.sale(by=COURIER)
    sold = index_of(log, sale, forged=True)
    received = index_of(log, city.receipt(sale), forged=True)
    assert refusal(log, (0, 4, sold), received) == (
        f"entry {sold}, recorded against the rules: signer: given courier {COURIER}, expected merchant"
    )


def test_a_buyer_who_speaks_of_another_sale(city, log):
    sale, other = city.sale("buyer"), city.sale("somebody else")
    log.append(city.listing(), sale, other)
    index = index_of(log, city.receipt(other, by="buyer"), forged=True)
    assert refusal(log, (0, 1, 2, 7, 8), index) == (
        f"entry {index}: sale of a purchase key: given {event_id(other).hex()}, expected {event_id(sale).hex()}"
    )


def test_a_buyer_who_speaks_on_another_chain(city, log):
    sale = city.sale("buyer")
    log.append(city.listing(), sale)
    body = pb.FollowUp(review=bytes(32), rating=5)
    index = index_of(log, city.say("buyer", CUP, body), forged=True)
    assert refusal(log, (0, 1, 2, 7), index) == (
        f"entry {index}: sale of a purchase key: given an event on {CUP}, expected on {TEA}"
    )


def test_the_genesis_of_another_log(city):
    log = Log()
    log.append(city.genesis("elsewhere.test/log"))
    assert refusal(log, (0,), 0) == (
        "origin in the genesis: given elsewhere.test/log, expected ledger.test/city"
    )


def test_a_genesis_that_is_not_the_first_entry(city, log):
    city.keys[REGULATOR] = signing_key("another regulator")
    index = index_of(log, city.genesis(), forged=True)
    assert refusal(log, (0,), index) == (
        f"genesis: given entry {index}, chain_seq 1 of ledger, expected entry 0, chain_seq 0 of ledger"
    )


def test_a_genesis_that_another_key_signed(city):
    log = Log()
    genesis = city.genesis()
    log.forge(Envelope.seal(genesis.payload, city.key("somebody")))
    assert refusal(log, (0,), 0) == (
        f"entry 0: signing key: given {city.key('somebody').public_key.key_id.hex()}, "
        "expected a key of a registered party or of a purchase"
    )


def test_rules_that_this_version_does_not_know(city):
    log = Log()
    body = pb.Genesis(
        origin=ORIGIN,
        format_version=1,
        rules_version=2,
        regulator=REGULATOR,
        regulator_name="市场监督管理局",
        regulator_key=city.key(REGULATOR).public_key.spki,
    )
    log.forge(city.say(REGULATOR, ChainKey("ledger"), body))
    log.forge(city.register(PLATFORM, pb.PARTY_ROLE_PLATFORM, "榕城优选"))
    with pytest.raises(Conflict) as caught:
        ring_of(log, 0, 1)
    assert caught.value.reason is Reason.RULES_VERSION
    assert str(caught.value).startswith("rules version: given 2, expected one that this version ")


def test_a_member_may_not_register(city, log):
    other = ChainKey(f"{COURIER}/k-0018")
    made = index_of(log, city.register(other, pb.PARTY_ROLE_COURIER, by=CARRIER_MEMBER), forged=True)
    scanned = index_of(log, city.scan(pb.SHIPMENT_STAGE_PICKED_UP, PARCEL, by=other), forged=True)
    assert refusal(log, (0, 4, 5, made), scanned) == (
        f"entry {made}, recorded against the rules: accreditor: given member {CARRIER_MEMBER}, "
        "expected a company's or authority's own key"
    )
