"""Whatever anyone says, in whatever order: what the project accepts verifies, and what it refuses is found."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from functools import cache

import pytest
from agreement import NOWHERE, agree, first
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from world import (
    CARRIER_MEMBER,
    CHINA,
    COURIER,
    CUP,
    DISTRICT,
    MERCHANT,
    MERCHANT_MEMBER,
    OTHER_MERCHANT,
    PARCEL,
    PLATFORM,
    REGULATOR,
    TEA,
    City,
    Log,
    p256_key,
)

from ledger.chain_key import LEDGER, ChainKey
from ledger.envelope import Envelope
from ledger.event import Event, Kind, moment
from ledger.sequence import Sequenced
from suyuan.v1 import event_pb2 as pb

LOT, ITEM, PACK, UNIT = f"{TEA}/10/L1", f"{TEA}/21/A1", "drug/81234567890123456789", "00/006901234567892125"
REGULATOR_MEMBER, DISTRICT_MEMBER = ChainKey(f"{REGULATOR}/desk-1"), ChainKey(f"{DISTRICT}/desk-1")
PARTIES = [REGULATOR, DISTRICT, PLATFORM, MERCHANT, OTHER_MERCHANT, COURIER]
MEMBERS = [CARRIER_MEMBER, MERCHANT_MEMBER, REGULATOR_MEMBER, DISTRICT_MEMBER]
BUYERS = ["buyer", "second buyer", "stranger"]
GOODS = [TEA, CUP, LOT, ITEM, PACK]
CHAINS = [*GOODS, PARCEL, UNIT, LEDGER, *PARTIES, *MEMBERS]
ROLE = dict(zip(PARTIES, (1, 1, 2, 3, 3, 4), strict=True))
MINUTE = 60_000_000


@cache
def founded() -> Log:
    """Parties of all roles with keys of both algorithms, one lapsed and one suspended; a listing, sales, and what came of them."""
    city, log = City(keys=keys()), Log()
    log.accept(
        *city.founding(), city.register(MERCHANT_MEMBER, 3, by=MERCHANT), city.listing(), city.listing(ITEM)
    )
    log.accept(
        city.register(DISTRICT, 1, "鼓楼区市场监督管理局"), city.register(DISTRICT_MEMBER, 1, by=DISTRICT)
    )
    sale, other = city.sale(), city.sale("second buyer", ITEM, MERCHANT_MEMBER)
    log.accept(sale, other, city.receipt(sale), city.review(sale), city.complaint(other, "second buyer"))
    log.accept(
        city.say(REGULATOR, COURIER, pb.PartyStatusChange(status=1, reason=3, licence_until="2026-05-03"))
    )
    log.accept(city.say(PLATFORM, OTHER_MERCHANT, pb.PartyStatusChange(status=2, reason=2)))
    return log


def keys():
    return {name: p256_key(name) for name in (PLATFORM, CARRIER_MEMBER, MERCHANT_MEMBER, "second buyer")}


@dataclass
class Teller:
    """Draws events that may follow from those recorded, or may not."""

    draw: Callable
    log: Log
    city: City

    def pick(self, likely, other=(), odds: int = 4):
        """One of the likely choices, or, against these odds to one, any other."""
        likely, other = list(likely), list(other)
        weights = odds * max(1, len(other)), max(1, len(likely))
        return self.draw(st.sampled_from([*likely * weights[0], *other * weights[1]]))

    def ref(self, *kinds: Kind) -> tuple[bytes, str]:
        """An event of these kinds and its chain, as a rule."""
        recorded = [entry.recorded for entry in self.log.entries]
        events = [(r.event_id, r.chain) for r in recorded]
        likely = [event for event, r in zip(events, recorded, strict=True) if r.kind in kinds]
        return self.pick(likely, [*events[-2:], (NOWHERE, TEA)], odds=10)

    def signer(self, *likely: str) -> str:
        return self.pick(likely, [*PARTIES, *MEMBERS, *BUYERS], odds=6)

    def event(self) -> Envelope:
        kind = self.pick(list(Kind)[2:], list(Kind)[:2], odds=30)
        who, chain, body = getattr(self, kind)()
        chain = self.pick([chain], CHAINS, odds=15)
        ago = self.pick(
            [1, MINUTE], [60 * MINUTE, 60 * MINUTE + 1, 0, -10 * MINUTE, -10 * MINUTE - 1], odds=8
        )
        at = moment(self.log.clock_us + 1_000_000 - ago).astimezone(CHINA)
        return self.city.say(who, ChainKey(chain), body, at=at, region=self.pick(["350102"], [""], odds=8))

    def genesis(self):
        return REGULATOR, LEDGER, Event.parse(City().genesis().payload).body

    def rules_adoption(self):
        return self.signer(REGULATOR), LEDGER, pb.RulesAdoption(rules_version=self.pick([2], [1, 3]))

    def party_registration(self):
        member = f"{self.pick(PARTIES)}/m-{self.city.said}"
        who = ChainKey(self.pick([member], [*PARTIES, *MEMBERS]))
        key = self.city.key(self.pick([who], BUYERS)).public_key.spki
        name = self.pick(["" if who != who.company else "名"], ["", "名"])
        role = self.pick([ROLE[who.company]], [1, 2, 3, 4], odds=10)
        until = self.pick([""], ["2026-05-03", "2026-05-04", "2026-05-05"])
        body = pb.PartyRegistration(role=role, name=name, public_key=key, licence_until=until)
        return self.signer(REGULATOR, who.company), who, body

    def key_addition(self):
        whose = self.pick([*PARTIES, *MEMBERS])
        key = self.city.key(self.pick([f"spare {self.city.said}"], [*BUYERS, MERCHANT])).public_key.spki
        return self.signer(whose, REGULATOR, whose.company), whose, pb.KeyAddition(public_key=key)

    def key_revocation(self):
        whose = self.pick([*PARTIES, *MEMBERS])
        key_id = self.city.key(self.pick([whose], [*BUYERS, MERCHANT])).public_key.key_id
        return self.signer(whose, REGULATOR, DISTRICT), whose, pb.KeyRevocation(key_id=key_id, reason=1)

    def party_status_change(self):
        whose = self.pick([*PARTIES, *MEMBERS])
        until = self.pick([""], ["2026-05-03", "2026-05-04", "9999-12-31"])
        body = pb.PartyStatusChange(status=self.pick([1, 2]), reason=1, licence_until=until)
        return self.signer(REGULATOR, DISTRICT, PLATFORM, whose.company), whose, body

    def listing(self):
        return (
            self.signer(MERCHANT, OTHER_MERCHANT, MERCHANT_MEMBER),
            self.pick(GOODS),
            pb.Listing(title="茶", category=1),
        )

    def sale(self):
        key = self.city.key(self.pick(["stranger"], ["buyer", COURIER])).public_key.spki
        return (
            self.signer(MERCHANT, OTHER_MERCHANT, MERCHANT_MEMBER),
            self.pick(GOODS),
            pb.Sale(buyer_key=key, quantity=1),
        )

    def shipment(self):
        stage, (sale, chain) = self.pick([1, 2, 3]), self.ref(Kind.SALE)
        if self.pick([True, False]):
            body = pb.Shipment(
                stage=self.pick([2, 3], [1]), sale=self.pick([b""], [sale]), parcel=self.pick([""], [UNIT])
            )
            return self.signer(COURIER, CARRIER_MEMBER, MERCHANT_MEMBER), self.pick([PARCEL, UNIT]), body
        body = pb.Shipment(
            stage=stage, sale=sale, parcel=self.pick([PARCEL if stage == 1 else ""], ["", PARCEL])
        )
        return self.signer(MERCHANT, OTHER_MERCHANT, COURIER), chain, body

    def receipt(self):
        (sale, chain), proxy = self.ref(Kind.SALE), self.pick([True, False])
        who = self.signer(*[CARRIER_MEMBER, COURIER] if proxy else BUYERS)
        return who, chain, pb.Receipt(sale=sale, proxy=proxy, condition=1)

    def review(self):
        sale, chain = self.ref(Kind.SALE)
        body = pb.Review(
            sale=sale, rating=3, product_rating=self.pick([0], [1]), delivery_rating=self.pick([0], [5])
        )
        return self.signer(*BUYERS, MERCHANT, MERCHANT_MEMBER), chain, body

    def follow_up(self):
        review, chain = self.ref(Kind.REVIEW)
        return self.signer(*BUYERS, MERCHANT, MERCHANT_MEMBER), chain, pb.FollowUp(review=review)

    def complaint(self):
        sale, chain = self.ref(Kind.SALE)
        return self.signer(*BUYERS), chain, pb.Complaint(sale=sale, category=1, remedy=1)

    def complaint_reply(self):
        complaint, chain = self.ref(Kind.COMPLAINT)
        return (
            self.signer(MERCHANT, PLATFORM, REGULATOR),
            chain,
            pb.ComplaintReply(complaint=complaint, stance=1),
        )

    def complaint_resolution(self):
        complaint, chain = self.ref(Kind.COMPLAINT)
        body = pb.ComplaintResolution(complaint=complaint, outcome=3)
        return self.signer(MERCHANT_MEMBER, PLATFORM, REGULATOR), chain, body

    def recall(self):
        return (
            self.signer(MERCHANT, OTHER_MERCHANT, REGULATOR),
            self.pick([TEA, CUP, LOT]),
            pb.Recall(reason=1),
        )

    def correction(self):
        event, chain = self.ref(*list(Kind)[2:])
        signers = {entry.recorded.event_id: entry.recorded.signer for entry in self.log.entries}
        who = self.signer(signers.get(event) or self.pick(BUYERS), PLATFORM, REGULATOR)
        return who, chain, pb.Correction(event=event, reason=1)


@given(st.data())
# Without shrinking: each try costs the verification of whole logs.
@settings(max_examples=40, deadline=None, phases=[Phase.explicit, Phase.reuse, Phase.generate])
def test_what_anyone_may_say(data):
    teller = Teller(data.draw, founded().fork(), City(said=1_000, keys=keys()))
    log = teller.log
    for _ in range(data.draw(st.integers(1, 12))):
        envelope = teller.pick([teller.event()], [Envelope.parse(log.entries[-1].entry.envelope)], odds=20)
        size = log.head.size
        log.clock_us += teller.pick([0], [1, MINUTE, 24 * 60 * MINUTE])
        verdict = log.only(envelope)
        if isinstance(verdict, Sequenced):
            continue
        fork = log.fork()
        fork.forge(envelope)
        found = agree(fork.leaves)
        # No service records rules that it does not know, but the log may hold their adoption.
        adopted = Event.parse(envelope.payload).kind is Kind.RULES_ADOPTION and found.verified
        assert adopted or first(found) == size
    assert agree(log.leaves).verified


def at(us: int):
    return moment(us).astimezone(CHINA)


@pytest.mark.parametrize("after", [-1, 0])
def test_a_licence_holds_to_the_end_of_its_last_day_in_china(after):
    city, log = City(keys=keys()), founded().fork()
    midnight = int(datetime(2026, 5, 6, tzinfo=CHINA).timestamp()) * 1_000_000
    log.accept(
        city.say(REGULATOR, MERCHANT, pb.PartyStatusChange(status=1, reason=3, licence_until="2026-05-05"))
    )
    log.set_clock(midnight + after)
    log.accept(city.say(MERCHANT, TEA, pb.Listing(title="茶", category=1), at=at(midnight - 1)))
    assert agree(log.leaves).entries[-1].flags == ["LICENCE_LAPSED"] * (after == 0)
    member = city.register(ChainKey(f"{MERCHANT}/till-9"), 3, by=MERCHANT)
    log.forge(member)
    assert first(agree(log.leaves)) == (log.head.size - 1 if after == 0 else None)


def test_flags_turn_at_the_microsecond():
    city, log = City(keys=keys()), founded().fork()
    now = log.clock_us + 1_000_000
    for ago, flags in (
        (60 * MINUTE + 1, ["LATE"]),
        (60 * MINUTE, []),
        (0, []),
        (-1, ["CLOCK_AHEAD"]),
        (-10 * MINUTE, ["CLOCK_AHEAD"]),
    ):
        log.set_clock(now)
        log.accept(city.say(MERCHANT, CUP, pb.Listing(title="杯", category=1), at=at(now - ago)))
        assert agree(log.leaves).entries[-1].flags == flags
    for ago, flags in ((2, []), (5, ["OUT_OF_ORDER"]), (3, ["OUT_OF_ORDER"]), (2, []), (1, [])):
        log.set_clock(now)
        log.accept(city.scan(2, by=COURIER, at=at(now - ago)))
        assert agree(log.leaves).entries[-1].flags == [*flags, "LICENCE_LAPSED"]


def test_one_review_a_side_and_one_receipt_a_sale():
    city, log = City(said=1_000, keys=keys()), founded().fork()
    sale = next(
        Envelope.parse(entry.entry.envelope) for entry in log.entries if entry.recorded.kind == Kind.SALE
    )
    log.accept(city.review(sale, MERCHANT_MEMBER))
    for again in (
        city.review(sale),
        city.review(sale, MERCHANT),
        city.receipt(sale),
        city.review(sale, OTHER_MERCHANT),
    ):
        fork = log.fork()
        fork.forge(again)
        assert first(agree(fork.leaves)) == log.head.size


def test_what_is_seldom_said():
    city, log = City(said=1_000, keys=keys()), founded().fork()
    ids = {entry.recorded.kind: entry.recorded.event_id for entry in log.entries}
    suspended = pb.PartyStatusChange(status=2, reason=2)
    log.accept(city.say(REGULATOR, COURIER, suspended), city.sale("new", LOT))
    for envelope, allowed in (
        (city.register(REGULATOR_MEMBER, 1, by=REGULATOR), True),
        (city.register(REGULATOR_MEMBER, 1, by=DISTRICT), False),
        (city.register(ChainKey(f"{PLATFORM}/m"), 2, by=REGULATOR), True),
        (city.register(ChainKey(f"{PLATFORM}/m"), 2, by=PLATFORM), False),
        (city.scan(2, by=CARRIER_MEMBER), False),
        (city.say(DISTRICT, REGULATOR, suspended), False),
        (city.say(DISTRICT, PLATFORM, suspended), True),
        (city.say(DISTRICT_MEMBER, PLATFORM, suspended), False),
        (city.say("buyer", TEA, pb.Correction(event=ids[Kind.REVIEW], reason=1)), True),
        (city.say("buyer", CUP, pb.Correction(event=ids[Kind.REVIEW], reason=1)), False),
        (city.say("second buyer", TEA, pb.Correction(event=ids[Kind.REVIEW], reason=1)), False),
        (city.say(MERCHANT, LOT, pb.Recall(reason=1)), True),
        (city.say(MERCHANT, CUP, pb.Recall(reason=1)), False),
    ):
        fork = log.fork()
        fork.forge(envelope)
        assert first(agree(fork.leaves)) == (None if allowed else log.head.size)
