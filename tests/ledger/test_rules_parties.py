"""Who is registered, with which keys, and in which state; who may is in test_rules_authority."""

from __future__ import annotations

import pytest
from world import (
    CARRIER_MEMBER,
    COURIER,
    DISTRICT,
    MERCHANT,
    MERCHANT_MEMBER,
    PLATFORM,
    REGULATOR,
    TEA,
    founded,
    signing_key,
    told,
)

from ledger.chain_key import ChainKey
from ledger.envelope import Envelope
from ledger.errors import Reason
from ledger.sequence import Sequenced
from ledger.state import Party, PartyKey
from suyuan.v1 import event_pb2 as pb

NEWCOMER = ChainKey("party/91350104MA31K2A705")
ITS_MEMBER = ChainKey(f"{NEWCOMER}/1")


def registration(city, chain, role, name="", *, by=REGULATOR, key="a new key", **more):
    body = pb.PartyRegistration(role=role, name=name, public_key=signing_key(key).public_key.spki, **more)
    return city.say(by, chain, body)


def suspension(city, party, by, **more):
    body = pb.PartyStatusChange(status=pb.PARTY_STATUS_SUSPENDED, reason=pb.STATUS_REASON_VIOLATION, **more)
    return city.say(by, party, body)


# Registration


def test_a_registered_party_is_what_its_registration_says():
    city, log = founded()
    envelope = registration(
        city,
        NEWCOMER,
        pb.PARTY_ROLE_MERCHANT,
        "新茶行",
        by=PLATFORM,
        licence_number="JY1",
        licence_until="2027-01-31",
    )
    (recorded,) = log.accept(envelope)
    assert log.state.get(Party, NEWCOMER) == Party(
        party=NEWCOMER,
        role=pb.PARTY_ROLE_MERCHANT,
        name="新茶行",
        status=pb.PARTY_STATUS_ACTIVE,
        licence_until="2027-01-31",
        accreditor=PLATFORM,
        registered_index=recorded.index,
    )
    key = signing_key("a new key").public_key
    assert log.state.get(PartyKey, key.key_id) == PartyKey(key.key_id, key.spki, NEWCOMER, recorded.index, 0)


def test_a_member_is_accredited_by_who_registers_it():
    city, log = founded()
    assert log.state.get(Party, CARRIER_MEMBER).accreditor == COURIER
    log.accept(registration(city, MERCHANT_MEMBER, pb.PARTY_ROLE_MERCHANT, by=REGULATOR))
    assert log.state.get(Party, MERCHANT_MEMBER).accreditor == REGULATOR


@pytest.mark.parametrize("party", [MERCHANT, REGULATOR, CARRIER_MEMBER])
def test_a_party_is_registered_once(party):
    city, log = founded()
    role, name = log.state.get(Party, party).role, log.state.get(Party, party).name
    assert told(log.refusal(registration(city, party, role, name))) == (
        Reason.PARTY_EXISTS,
        f"party: given {party}, expected a party not yet registered",
    )


def test_a_company_has_a_name_and_a_member_has_none():
    city, log = founded()
    assert told(log.refusal(registration(city, NEWCOMER, pb.PARTY_ROLE_MERCHANT))) == (
        Reason.MALFORMED_EVENT,
        "name: given '', expected the company's public name",
    )
    assert told(log.refusal(registration(city, MERCHANT_MEMBER, pb.PARTY_ROLE_MERCHANT, "王小明"))) == (
        Reason.MALFORMED_EVENT,
        "name: given '王小明', expected no name: a member is a pseudonym",
    )


def test_a_member_of_a_company_that_is_not_registered():
    city, log = founded()
    assert told(log.refusal(registration(city, ITS_MEMBER, pb.PARTY_ROLE_MERCHANT))) == (
        Reason.PARTY_UNKNOWN,
        f"company: given {NEWCOMER}, expected a registered party",
    )


@pytest.mark.parametrize("role", ["platform", "courier", "regulator"])
def test_a_member_has_its_companys_role(role):
    city, log = founded()
    number = pb.PartyRole.Value(f"PARTY_ROLE_{role.upper()}")
    for by in (MERCHANT, REGULATOR):
        assert told(log.refusal(registration(city, MERCHANT_MEMBER, number, by=by))) == (
            Reason.WRONG_ROLE,
            f"role of a member: given {role}, expected merchant",
        )


def test_who_accredits_whom_is_said():
    city, log = founded()
    courier = registration(city, NEWCOMER, pb.PARTY_ROLE_COURIER, "新快递", by=PLATFORM)
    assert told(log.refusal(courier)) == (
        Reason.WRONG_ROLE,
        f"accreditor of a courier: given platform {PLATFORM}, expected a regulator, or a platform for a merchant",
    )
    merchant = registration(city, NEWCOMER, pb.PARTY_ROLE_MERCHANT, "新茶行", by=COURIER)
    assert told(log.refusal(merchant)) == (
        Reason.WRONG_ROLE,
        f"accreditor of a merchant: given courier {COURIER}, expected a regulator, or a platform for a merchant",
    )
    member = registration(city, MERCHANT_MEMBER, pb.PARTY_ROLE_MERCHANT, by=PLATFORM)
    assert told(log.refusal(member)) == (
        Reason.NOT_ACCREDITOR,
        (
            f"accreditor of {MERCHANT_MEMBER}: given platform {PLATFORM}, "
            "expected its company, unless that is a platform, or a regulator, unless the company is one"
        ),
    )


def test_a_member_and_a_buyer_accredit_nobody():
    city, log = founded()
    log.accept(city.listing(), city.sale())
    for by, given in ((CARRIER_MEMBER, f"member {CARRIER_MEMBER}"), ("buyer", "purchase key")):
        another = registration(city, f"{COURIER}/2", pb.PARTY_ROLE_COURIER, by=by)
        assert told(log.refusal(another)) == (
            Reason.WRONG_ROLE,
            f"accreditor: given {given}, expected a company's or authority's own key",
        )


@pytest.mark.parametrize(
    "chain", ["party/91350104MA31K2A704", "party/91350104MA31K2A70I", "party/91350104ma31k2a705"]
)
def test_a_party_has_a_code_that_holds(chain):
    city, log = founded()
    raw = registration(city, NEWCOMER, pb.PARTY_ROLE_MERCHANT, "新茶行")
    envelope = Envelope.seal(raw.payload.replace(NEWCOMER.encode(), chain.encode()), city.key(REGULATOR))
    assert log.refusal(envelope).reason is Reason.BAD_CHAIN_KEY


# A key belongs to one party or purchase


@pytest.fixture
def keys():
    """A city in which a key is in use in each way; their names."""
    city, log = founded()
    city.key("bought")
    old = signing_key("the courier's old key")
    addition = pb.KeyAddition(public_key=old.public_key.spki)
    revocation = pb.KeyRevocation(key_id=old.public_key.key_id, reason=pb.REVOCATION_REASON_SUPERSEDED)
    log.accept(
        city.listing(),
        city.sale("bought"),
        city.say(COURIER, COURIER, addition),
        city.say(COURIER, COURIER, revocation),
    )
    return city, log


IN_USE = {
    "that of a party": lambda city: city.key(MERCHANT),
    "its own": lambda city: city.key(PLATFORM),
    "one that was revoked": lambda _: signing_key("the courier's old key"),
    "that of a purchase": lambda city: city.key("bought"),
}


@pytest.mark.parametrize("whose", IN_USE)
def test_a_key_in_use_is_taken_by_nobody_else(keys, whose):
    city, log = keys
    key = IN_USE[whose](city).public_key
    taken = Reason.KEY_IN_USE, f"key: given {key.key_id.hex()}, expected a key that belongs to nobody yet"
    register = city.say(
        REGULATOR,
        NEWCOMER,
        pb.PartyRegistration(role=pb.PARTY_ROLE_MERCHANT, name="新茶行", public_key=key.spki),
    )
    assert told(log.refusal(register)) == taken
    assert told(log.refusal(city.say(PLATFORM, PLATFORM, pb.KeyAddition(public_key=key.spki)))) == taken
    assert told(log.refusal(city.say(MERCHANT, TEA, pb.Sale(buyer_key=key.spki, quantity=1)))) == (
        Reason.KEY_IN_USE,
        f"buyer_key: given {key.key_id.hex()}, expected a key that was never used",
    )


def test_of_two_who_take_a_key_in_one_batch_the_first_has_it():
    city, log = founded()
    first = registration(city, NEWCOMER, pb.PARTY_ROLE_MERCHANT, "新茶行")
    second = city.say(MERCHANT, MERCHANT, pb.KeyAddition(public_key=signing_key("a new key").public_key.spki))
    verdicts = log.append(first, second).verdicts
    assert isinstance(verdicts[0], Sequenced)
    assert verdicts[1].reason is Reason.KEY_IN_USE


# Keys of a party


def test_who_may_change_keys_is_said():
    city, log = founded()
    body = pb.KeyAddition(public_key=signing_key("a new key").public_key.spki)
    assert told(log.refusal(city.say(COURIER, MERCHANT, body))) == (
        Reason.NOT_ACCREDITOR,
        (
            f"authority over {MERCHANT}: given courier {COURIER}, "
            f"expected its accreditor {PLATFORM}, its company or a regulator"
        ),
    )


@pytest.mark.parametrize("body", [
    pb.KeyAddition(public_key=signing_key("a new key").public_key.spki),
    pb.KeyRevocation(key_id=bytes(32), reason=pb.REVOCATION_REASON_LOST),
    pb.PartyStatusChange(status=pb.PARTY_STATUS_SUSPENDED, reason=pb.STATUS_REASON_VIOLATION),
])  # fmt: skip
def test_a_party_that_is_not_registered(body):
    city, log = founded()
    for by in (REGULATOR, MERCHANT, CARRIER_MEMBER):
        assert told(log.refusal(city.say(by, NEWCOMER, body))) == (
            Reason.PARTY_UNKNOWN,
            f"party: given {NEWCOMER}, expected a registered party",
        )


@pytest.mark.parametrize("whose", ["nobody", MERCHANT, "buyer"])
def test_only_a_key_of_the_party_is_revoked(whose):
    city, log = founded()
    log.accept(city.listing(), city.sale())
    key_id = city.key(whose).public_key.key_id
    body = pb.KeyRevocation(key_id=key_id, reason=pb.REVOCATION_REASON_LOST)
    assert told(log.refusal(city.say(COURIER, COURIER, body))) == (
        Reason.KEY_UNKNOWN,
        f"key: given {key_id.hex()}, expected id of a key of {COURIER}",
    )


def test_a_revocation_is_dated():
    city, log = founded()
    key_id = city.key(CARRIER_MEMBER).public_key.key_id
    before = log.state.get(PartyKey, key_id)
    body = pb.KeyRevocation(key_id=key_id, reason=pb.REVOCATION_REASON_MEMBER_LEFT)
    (recorded,) = log.accept(city.say(COURIER, CARRIER_MEMBER, body))
    after = log.state.get(PartyKey, key_id)
    assert (before.revoked_at_us, after.revoked_at_us) == (0, recorded.recorded_at_us)
    assert (after.party, after.added_index, after.public_key) == (
        before.party,
        before.added_index,
        before.public_key,
    )


# Status


def test_a_status_change_leaves_a_licence_alone_that_it_does_not_name():
    city, log = founded()
    log.accept(suspension(city, MERCHANT, by=PLATFORM))
    party = log.state.get(Party, MERCHANT)
    assert (party.status, party.licence_until) == (pb.PARTY_STATUS_SUSPENDED, "2027-03-31")
    log.accept(suspension(city, MERCHANT, by=PLATFORM, licence_until="2029-03-31"))
    assert log.state.get(Party, MERCHANT).licence_until == "2029-03-31"
    assert (party.name, party.accreditor, party.role) == ("闽茶坊", PLATFORM, pb.PARTY_ROLE_MERCHANT)


def test_nobody_changes_its_own_status():
    city, log = founded()
    assert told(log.refusal(suspension(city, COURIER, by=COURIER))) == (
        Reason.NOT_ACCREDITOR,
        (
            f"authority over {COURIER}: given courier {COURIER}, "
            f"expected its accreditor {REGULATOR}, its company or a regulator"
        ),
    )


def test_regulators_do_not_overrule_each_other():
    city, log = founded()
    another = ChainKey("party/11350103003604622E")
    log.accept(
        registration(city, DISTRICT, pb.PARTY_ROLE_REGULATOR, "鼓楼区市场监督管理局", key=DISTRICT),
        registration(city, another, pb.PARTY_ROLE_REGULATOR, "台江区市场监督管理局", key=another),
    )
    assert told(log.refusal(suspension(city, another, by=DISTRICT))) == (
        Reason.NOT_ACCREDITOR,
        (
            f"authority over {another}: given regulator {DISTRICT}, "
            f"expected its accreditor {REGULATOR}, its company or a regulator"
        ),
    )
    log.accept(suspension(city, another, by=REGULATOR))
