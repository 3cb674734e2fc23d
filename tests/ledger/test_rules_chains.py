"""What is said where: every kind of event on every kind of chain, and no event on another chain than its sale's."""

from __future__ import annotations

from datetime import timedelta

import pytest
from world import (
    CARRIER_MEMBER,
    COURIER,
    CUP,
    MERCHANT,
    PARCEL,
    REGULATOR,
    START,
    TEA,
    City,
    Log,
    event_id,
    example,
    founded,
    told,
)

from ledger.chain_key import ChainKey, ChainKind
from ledger.errors import Reason
from ledger.event import Kind
from suyuan.v1 import event_pb2 as pb

CHAINS = {
    ChainKind.LEDGER: ChainKey("ledger"),
    ChainKind.PRODUCT: TEA,
    ChainKind.LOT: ChainKey(f"{TEA}/10/A7"),
    ChainKind.SERIAL: ChainKey(f"{TEA}/21/0001"),
    ChainKind.LOGISTIC_UNIT: ChainKey("00/106141412345678908"),
    ChainKind.WAYBILL: PARCEL,
    ChainKind.DRUG: ChainKey("drug/81234567890123456789"),
    ChainKind.PARTY: COURIER,
    ChainKind.MEMBER: CARRIER_MEMBER,
}

TABLE = """
                       ledger product lot serial drug waybill logistic_unit party member
genesis              |   x      .      .    .     .      .          .         .     .
rules_adoption       |   x      .      .    .     .      .          .         .     .
party_registration   |   .      .      .    .     .      .          .         x     x
key_addition         |   .      .      .    .     .      .          .         x     x
key_revocation       |   .      .      .    .     .      .          .         x     x
party_status_change  |   .      .      .    .     .      .          .         x     x
listing              |   .      x      x    x     x      .          .         .     .
sale                 |   .      x      x    x     x      .          .         .     .
shipment             |   .      x      x    x     x      x          x         .     .
receipt              |   .      x      x    x     x      .          .         .     .
review               |   .      x      x    x     x      .          .         .     .
follow_up            |   .      x      x    x     x      .          .         .     .
complaint            |   .      x      x    x     x      .          .         .     .
complaint_reply      |   .      x      x    x     x      .          .         .     .
complaint_resolution |   .      x      x    x     x      .          .         .     .
recall               |   .      x      x    .     .      .          .         .     .
correction           |   .      x      x    x     x      x          x         x     x
"""


def cells():
    header, *lines = TABLE.strip("\n").split("\n")
    for line in lines:
        kind, marks = line.split("|")
        for chain, mark in zip(header.split(), marks.split(), strict=True):
            yield Kind(kind.strip()), ChainKind(chain), mark == "x"


CELLS = list(cells())


def test_the_table_is_complete():
    assert {(kind, chain) for kind, chain, _ in CELLS} == {
        (kind, chain) for kind in Kind for chain in ChainKind
    }
    assert set(CHAINS) == set(ChainKind)


@pytest.mark.parametrize(
    ("kind", "chain", "belongs"), [cell for cell in CELLS if cell[0] is not Kind.GENESIS]
)
def test_where_each_kind_belongs(kind, chain, belongs):
    city, log = founded()
    kinds = sorted(at for of, at, fits in CELLS if of is kind and fits)
    refused = (
        Reason.WRONG_CHAIN,
        f"chain of a {kind}: given {CHAINS[chain]}, expected a chain of kind {' or '.join(kinds)}",
    )
    envelope = city.say(REGULATOR, CHAINS[chain], example(kind))
    if belongs:
        verdict = log.only(envelope)
        assert getattr(verdict, "reason", None) is not Reason.WRONG_CHAIN
    else:
        assert told(log.refusal(envelope)) == refused


@pytest.mark.parametrize("chain", [chain for kind, chain, fits in CELLS if kind is Kind.GENESIS and not fits])
def test_a_genesis_on_another_chain(chain):
    city = City()
    genesis = pb.Event.FromString(city.genesis().payload).genesis
    verdict = Log().only(city.say(REGULATOR, CHAINS[chain], genesis))
    assert told(verdict) == (
        Reason.WRONG_CHAIN,
        f"chain of a genesis: given {CHAINS[chain]}, expected a chain of kind ledger",
    )


# Events about a sale belong on its chain


@pytest.fixture
def two_sales():
    """A tea and a cup, each sold; the tea's sale received, reviewed and complained of."""
    city, log = founded()
    tea, cup = city.sale("tea buyer"), city.sale("cup buyer", CUP)
    review = city.review(tea, "tea buyer")
    complaint = city.complaint(tea, "tea buyer")
    receipt = city.receipt(tea, "tea buyer")
    log.accept(city.listing(TEA), city.listing(CUP), tea, cup, receipt, review, complaint)
    return city, log, tea, review, complaint


@pytest.mark.parametrize(
    ("kind", "who"),
    [
        (Kind.SHIPMENT, MERCHANT),
        (Kind.RECEIPT, "tea buyer"),
        (Kind.RECEIPT, "cup buyer"),
        (Kind.REVIEW, "tea buyer"),
        (Kind.REVIEW, MERCHANT),
        (Kind.FOLLOW_UP, "tea buyer"),
        (Kind.COMPLAINT, "tea buyer"),
        (Kind.COMPLAINT_REPLY, MERCHANT),
        (Kind.COMPLAINT_RESOLUTION, REGULATOR),
    ],
)
def test_an_event_on_another_chain_than_its_sales(two_sales, kind, who):
    city, log, tea, review, complaint = two_sales
    body = example(kind)
    for name, said in (("sale", tea), ("review", review), ("complaint", complaint)):
        if name in body.DESCRIPTOR.fields_by_name:
            setattr(body, name, event_id(said))
    if kind is Kind.RECEIPT:
        body.proxy = False
    for chain in (CUP, CHAINS[ChainKind.LOT], CHAINS[ChainKind.SERIAL]):
        assert told(log.refusal(city.say(who, chain, body))) == (
            Reason.WRONG_CHAIN,
            f"chain of a {kind}: given {chain}, expected {TEA}",
        )


def test_a_correction_on_another_chain(two_sales):
    city, log, tea, *_ = two_sales
    body = pb.Correction(event=event_id(tea), reason=pb.CORRECTION_REASON_OTHER)
    assert told(log.refusal(city.say(MERCHANT, CUP, body))) == (
        Reason.EVENT_UNKNOWN,
        f"corrected event: given {event_id(tea).hex()}, expected id of an event recorded on {CUP}",
    )


def test_a_key_of_another_party(two_sales):
    city, log, *_ = two_sales
    key_id = city.key(MERCHANT).public_key.key_id
    body = pb.KeyRevocation(key_id=key_id, reason=pb.REVOCATION_REASON_LOST)
    assert told(log.refusal(city.say(REGULATOR, COURIER, body))) == (
        Reason.KEY_UNKNOWN,
        f"key: given {key_id.hex()}, expected id of a key of {COURIER}",
    )


def test_where_nothing_was_said_before_anything_may_begin():
    """A chain needs no founding: its first entry has number 0 and no link."""
    city, log = founded()
    city.now = START + timedelta(minutes=20)
    (recorded,) = log.accept(city.listing(CHAINS[ChainKind.DRUG]))
    assert (recorded.chain, recorded.chain_seq) == (CHAINS[ChainKind.DRUG], 0)
    assert log.entries[-1].entry.previous == b""
