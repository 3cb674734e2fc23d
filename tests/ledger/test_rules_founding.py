"""How a log begins, and how its rules change."""

from __future__ import annotations

import pytest
from world import (
    AGAINST_RULES,
    DISTRICT,
    MERCHANT,
    ORIGIN,
    PLATFORM,
    REGULATOR,
    City,
    Log,
    founded,
    told,
)

from ledger.chain_key import ChainKey
from ledger.errors import BadInput, Conflict, Reason
from ledger.event import Event
from ledger.findings import Finding
from ledger.rules import KNOWN_RULES, LATEST_RULES, Signer, identify, judge, rules_in_force
from ledger.sequence import Sequenced
from ledger.state import Charter, Party, PartyKey, State
from suyuan.v1 import event_pb2 as pb

LEDGER = ChainKey("ledger")
WRONG_PLACE = "expected the genesis at entry 0, and nowhere else"


def genesis_with(city, **fields):
    body = pb.Event.FromString(city.genesis().payload).genesis
    for name, value in fields.items():
        setattr(body, name, value)
    return city.say(REGULATOR, LEDGER, body)


def adoption(city, version, by=REGULATOR):
    return city.say(by, LEDGER, pb.RulesAdoption(rules_version=version))


def test_a_log_begins_with_its_genesis():
    city, log = City(), Log()
    (recorded,) = log.accept(city.genesis())
    key = city.key(REGULATOR).public_key
    assert log.state.get(Charter, "ledger") == Charter("ledger", ORIGIN, 1, 1, REGULATOR)
    assert log.state.get(Party, REGULATOR) == Party(
        party=REGULATOR,
        role=pb.PARTY_ROLE_REGULATOR,
        name="福州市市场监督管理局",
        status=pb.PARTY_STATUS_ACTIVE,
        licence_until="",
        accreditor=REGULATOR,
        registered_index=0,
    )
    assert log.state.get(PartyKey, key.key_id) == PartyKey(key.key_id, key.spki, REGULATOR, 0, 0)
    assert (recorded.index, recorded.chain, recorded.chain_seq, recorded.signer) == (
        0,
        "ledger",
        0,
        REGULATOR,
    )


def test_a_genesis_is_signed_by_the_key_that_it_names():
    city, log = City(), Log()
    envelope = genesis_with(city, regulator_key=city.key("another").public_key.spki)
    key_id = city.key(REGULATOR).public_key.key_id
    assert told(log.only(envelope)) == (
        Reason.UNKNOWN_KEY,
        f"signing key: given {key_id.hex()}, expected a key of a registered party or of a purchase",
    )
    assert log.head.size == 0


def test_nothing_comes_before_the_genesis():
    city, log = City(), Log()
    verdict = log.only(city.listing())
    assert verdict.reason is Reason.UNKNOWN_KEY
    assert list(log.state.changes()) == []


def test_entry_0_is_the_genesis():
    """Before it no key is known; should one be, by a fault, the rules say it again."""
    city, log = founded()
    event = Event.parse(city.listing().payload)
    signer = identify(event, city.key(MERCHANT).public_key.key_id, log.state)
    with pytest.raises(BadInput) as refused:
        judge(event, signer, State(), index=0, recorded_at_us=log.clock_us)
    assert told(refused.value) == (Reason.WRONG_CHAIN, f"entry 0: given listing at entry 0, {WRONG_PLACE}")


def test_there_is_one_genesis():
    city, log = founded()
    message = f"genesis: given genesis at entry 6, {WRONG_PLACE}"
    for by in (REGULATOR, "a newcomer"):
        body = pb.Event.FromString(city.genesis().payload).genesis
        body.regulator_key = city.key(by).public_key.spki
        assert told(log.refusal(city.say(by, LEDGER, body))) == (Reason.WRONG_CHAIN, message)


def test_a_genesis_of_another_format():
    city, log = City(), Log()
    assert told(log.only(genesis_with(city, format_version=2))) == (
        Reason.RULES_VERSION,
        "format version: given 2, expected 1",
    )
    assert log.head.size == 0


def test_a_genesis_under_rules_that_the_service_does_not_know():
    city, log = City(), Log()
    assert told(log.only(genesis_with(city, rules_version=2))) == (
        Reason.RULES_VERSION,
        "rules version: given 2, expected one that this version of the software knows: 1",
    )
    assert log.head.size == 0


@pytest.mark.parametrize(
    ("version", "message"),
    [
        ({"format_version": 2}, "format version: given 2, expected 1"),
        (
            {"rules_version": 2},
            "rules version: given 2, expected one that this version of the software knows: 1",
        ),
    ],
)
def test_an_auditor_verifies_nothing_of_a_log_that_began_with_versions_unknown_to_it(version, message):
    city, log = City(), Log()
    log.forge(genesis_with(city, **version))
    log.forge(city.register(PLATFORM, pb.PARTY_ROLE_PLATFORM, "榕城优选"))
    first, *others = log.audit().findings
    assert first == Finding(0, Reason.RULES_VERSION, AGAINST_RULES + message)
    assert [(it.index, it.reason) for it in others] == [(1, Reason.UNKNOWN_KEY)]


# Rules


def test_the_versions_of_the_rules():
    _, log = founded()
    assert [*KNOWN_RULES] == [1]
    assert LATEST_RULES == 1
    assert rules_in_force(State()) == 1
    assert rules_in_force(log.state) == 1


@pytest.mark.parametrize("version", [1, 3, 2**32 - 1])
def test_the_next_version_only(version):
    city, log = founded()
    assert told(log.refusal(adoption(city, version))) == (
        Reason.RULES_VERSION,
        f"rules version: given {version}, expected 2, the one after that in force",
    )


def test_a_service_adopts_no_rules_that_it_does_not_know():
    city, log = founded()
    before = list(log.state.changes())
    verdict = log.only(adoption(city, 2))
    assert isinstance(verdict, Conflict)
    assert told(verdict) == (
        Reason.RULES_VERSION,
        "rules version: given 2, expected one that this version of the software knows: 1",
    )
    assert list(log.state.changes()) == before
    assert log.head.size == 6


def test_the_next_version_changes_the_charter_and_nothing_else():
    city, log = founded()
    event = Event.parse(adoption(city, 2).payload)
    signer = identify(event, city.key(REGULATOR).public_key.key_id, log.state)
    judgement = judge(event, signer, log.state, index=6, recorded_at_us=log.clock_us)
    assert judgement.changes == (Charter("ledger", ORIGIN, 1, 2, REGULATOR),)
    assert rules_in_force(log.state) == 1


@pytest.mark.parametrize("by", [DISTRICT, PLATFORM, "buyer"])
def test_only_the_root_regulator_changes_the_rules(by):
    city, log = founded()
    sale = city.sale()
    log.accept(city.register(DISTRICT, pb.PARTY_ROLE_REGULATOR, "鼓楼区市场监督管理局"), city.listing(), sale)
    given = "purchase key" if by == "buyer" else by
    assert told(log.refusal(adoption(city, 2, by))) == (
        Reason.WRONG_ROLE,
        f"signer: given {given}, expected the root regulator {REGULATOR}",
    )


def test_a_service_says_nothing_under_rules_that_it_does_not_know():
    """An old service in front of a log that a newer one has led on records nothing by the old rules."""
    city, log = founded()
    log.forge(adoption(city, 2))
    assert rules_in_force(log.state) == 2
    for envelope in (city.listing(), adoption(city, 3)):
        assert told(log.only(envelope)) == (
            Reason.RULES_VERSION,
            "rules version: given 2, expected one that this version of the software knows: 1",
        )
    assert log.head.size == 7


def test_without_a_charter_nobody_is_the_root_regulator():
    city, log = founded()
    event = Event.parse(adoption(city, 2).payload)
    party = log.state.get(Party, REGULATOR)
    signer = Signer(city.key(REGULATOR).public_key.key_id, b"", party, party)
    with pytest.raises(
        Exception, match=r"^signer: given party/11350100003604566X, expected the root regulator$"
    ):
        judge(event, signer, State(), index=6, recorded_at_us=log.clock_us)


def test_verdicts_are_the_same_whoever_asks():
    """The same submissions give the same bytes: no clock, no chance, no order of a set has a say."""
    first, second = founded()[1], founded()[1]
    assert first.leaves == second.leaves
    assert all(isinstance(entry, Sequenced) for entry in first.entries)
