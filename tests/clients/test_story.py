from __future__ import annotations

import pytest
from lying import head_of, prove
from world import CARRIER_MEMBER, CUP, MERCHANT, OTHER_MERCHANT, PARCEL, TEA, City, Log, event_id

from clients.story import Story
from clients.verify import verify_entries, verify_introductions
from ledger.chain_key import ChainKey
from ledger.envelope import Envelope
from ledger.errors import BrokenProof, Reason
from suyuan.v1 import event_pb2 as pb

LOT = ChainKey.lot("6901234567892", "L7")
OTHER_PARCEL = ChainKey("waybill/yto/YT9876543210987")


class Tale:
    """A log in which several stories are told, and its entries by what they are called."""

    def __init__(self):
        self.city, self.log, self.names = City(), Log(), {}
        self.log.append(*self.city.founding())

    def tell(self, name, envelope, *, forged=False):
        """Record an event under a name; returns its envelope, to be referred to."""
        if forged:
            self.log.forge(envelope)
        else:
            verdict = self.log.only(envelope)
            assert verdict in self.log.entries, verdict
        self.names[name] = len(self.log.entries) - 1
        return envelope

    def entries(self, *names):
        indexes = sorted(self.names[name] for name in names)
        head, known = head_of(self.log), [0, 1, 2, 3, 4, 5]
        known += [self.names[sale] for sale in ("sale", "other sale", "sale of the lot")]
        ring = verify_introductions([prove(self.log, index) for index in known], head)
        return verify_entries([prove(self.log, index) for index in indexes], head, ring)


@pytest.fixture(scope="module")
def tale():
    tale = Tale()
    city, tell = tale.city, tale.tell
    tell("listing", city.listing())
    tell("listing of cups", city.listing(CUP, by=OTHER_MERCHANT, title="杯"))
    tell("listing of tea by another", city.listing(by=OTHER_MERCHANT))
    sale = tell("sale", city.sale("buyer"))
    other = tell("other sale", city.sale("somebody"))
    tell("dispatch", city.dispatch(sale))
    tell("other dispatch", city.dispatch(other, OTHER_PARCEL))
    for number, stage in enumerate((pb.SHIPMENT_STAGE_PICKED_UP, pb.SHIPMENT_STAGE_ARRIVED), 1):
        tell(f"scan {number}", city.scan(stage))
        tell(f"other scan {number}", city.scan(stage, OTHER_PARCEL))
    scanned = tell("wrong scan", city.scan(pb.SHIPMENT_STAGE_LOST))
    body = pb.Correction(event=event_id(scanned), reason=pb.CORRECTION_REASON_WRONG_STAGE)
    tell("correction of a scan", city.say(CARRIER_MEMBER, PARCEL, body))
    tell("receipt", city.receipt(sale))
    review = tell("review", city.review(sale))
    tell("follow-up", city.say("buyer", TEA, pb.FollowUp(review=event_id(review), rating=4)))
    complaint = tell("complaint", city.complaint(sale))
    tell("reply", city.reply(complaint))
    resolution = tell("resolution", city.resolution(complaint))
    body = pb.Correction(event=event_id(resolution), reason=pb.CORRECTION_REASON_OTHER)
    tell("correction", city.say(MERCHANT, TEA, body))
    tell("other receipt", city.receipt(other, by="somebody"))
    other_review = tell("other review", city.review(other, by="somebody"))
    tell("other follow-up", city.say("somebody", TEA, pb.FollowUp(review=event_id(other_review), rating=1)))
    other_complaint = tell("other complaint", city.complaint(other, by="somebody"))
    tell("other reply", city.reply(other_complaint))
    tell("other resolution", city.resolution(other_complaint))
    body = pb.Correction(event=event_id(other_complaint), reason=pb.CORRECTION_REASON_OTHER)
    tell("other correction", city.say("somebody", TEA, body))
    tell("recall", city.say(MERCHANT, TEA, pb.Recall(reason=pb.RECALL_REASON_SAFETY)))
    tell("later listing", city.listing(title="茶"))
    tell("listing of the lot", city.listing(LOT))
    of_lot = tell("sale of the lot", city.sale("third", LOT))
    tell("dispatch of the lot", city.dispatch(of_lot, OTHER_PARCEL))
    raw = city.event(TEA, pb.Listing(title="茶", category=pb.PRODUCT_CATEGORY_FOOD)).raw + b"\x9a\x06\x01x"
    tell("news about tea", Envelope.seal(raw, city.key(MERCHANT)), forged=True)
    raw = city.event(CUP, pb.Listing(title="杯", category=pb.PRODUCT_CATEGORY_GENERAL)).raw + b"\x9a\x06\x01x"
    tell("news about cups", Envelope.seal(raw, city.key(OTHER_MERCHANT)), forged=True)
    tale.sale, tale.other = event_id(sale), event_id(other)
    return tale


OF_THE_PARCEL = ["scan 1", "scan 2", "wrong scan", "correction of a scan"]
OF_THE_SALE = [
    "listing", "sale", "dispatch", *OF_THE_PARCEL, "receipt", "review", "follow-up", "complaint", "reply",
    "resolution", "correction", "recall",
]  # fmt: skip
STRANGERS = [
    "listing of tea by another", "later listing",
    "listing of cups", "other sale", "other dispatch", "other scan 1", "other scan 2", "other receipt", "other review",
    "other follow-up", "other complaint", "other reply", "other resolution", "other correction", "listing of the lot",
    "sale of the lot", "dispatch of the lot", "news about cups",
]  # fmt: skip


def of_sale(tale, names):
    entries = tale.entries(*names)
    return Story.of_sale(tale.sale, entries).verify(entries)


def of_chain(tale, chain, names):
    entries = tale.entries(*names)
    return Story.of_chain(chain, entries).verify(entries)


def refusal(attempt, reason=Reason.BAD_ENTRY):
    with pytest.raises(BrokenProof) as caught:
        attempt()
    assert caught.value.reason is reason
    return str(caught.value)


def test_the_story_of_a_sale(tale):
    chains = of_sale(tale, OF_THE_SALE)
    assert list(chains) == [PARCEL]
    assert [entry.index for entry in chains[PARCEL]] == [tale.names[name] for name in OF_THE_PARCEL]


def test_a_story_that_has_just_begun(tale):
    assert of_sale(tale, ["sale"]) == {}
    assert of_sale(tale, ["sale", "dispatch"]) == {PARCEL: []}


def test_the_story_of_a_parcel(tale):
    chains = of_chain(tale, PARCEL, OF_THE_SALE)
    assert [entry.index for entry in chains[PARCEL]] == [tale.names[name] for name in OF_THE_PARCEL]
    assert list(of_chain(tale, PARCEL, OF_THE_PARCEL)) == [PARCEL]


def test_the_story_of_a_lot(tale):
    names = ["listing of the lot", "sale of the lot", "dispatch of the lot", "other scan 1", "other scan 2"]
    chains = of_chain(tale, LOT, names)
    assert {chain: len(entries) for chain, entries in chains.items()} == {LOT: 3, OTHER_PARCEL: 2}
    of_chain(tale, LOT, [*names, "listing", "later listing", "recall"])
    with_another = [*names, "listing of tea by another"]
    assert "expected an entry of this story" in refusal(lambda: of_chain(tale, LOT, with_another))


def test_news_of_the_goods_belongs_to_every_story(tale):
    of_sale(tale, [*OF_THE_SALE, "news about tea"])


@pytest.mark.parametrize("stranger", STRANGERS)
def test_an_entry_of_another_story(tale, stranger):
    [entry] = tale.entries(stranger)
    kind = entry.event.kind or "kind unknown to this version"
    assert refusal(lambda: of_sale(tale, [*OF_THE_SALE, stranger])) == (
        f"entry {entry.index} of the trace: given a {kind} on {entry.event.chain}, "
        "expected an entry of this story"
    )


@pytest.mark.parametrize("stranger", [*OF_THE_PARCEL, "receipt", "review", "other complaint", "other sale"])
def test_an_entry_of_another_lot(tale, stranger):
    names = ["listing of the lot", "sale of the lot", stranger]
    assert "expected an entry of this story" in refusal(lambda: of_chain(tale, LOT, names))


def test_a_sale_that_is_in_another_parcel(tale):
    names = [*OF_THE_SALE, "other sale", "other dispatch"]
    assert "expected an entry of this story" in refusal(lambda: of_chain(tale, PARCEL, names))


@pytest.mark.parametrize("missing", OF_THE_PARCEL[:-1])
def test_a_parcel_with_a_step_left_out(tale, missing):
    names = [name for name in OF_THE_SALE if name != missing]
    assert "chain_seq of entry " in refusal(lambda: of_sale(tale, names), Reason.BROKEN_CHAIN)


def test_a_lot_with_an_entry_left_out(tale):
    names = ["listing of the lot", "dispatch of the lot"]
    refusal(lambda: of_chain(tale, LOT, names), Reason.BROKEN_CHAIN)


def test_a_story_without_its_sale(tale):
    names = [name for name in OF_THE_SALE if name != "sale"]
    refusal(lambda: of_sale(tale, names))
    assert refusal(lambda: of_sale(tale, ["dispatch", *OF_THE_PARCEL])) == (
        f"entry of sale {tale.sale.hex()} in the trace: given none, expected the entry that recorded it"
    )
    assert refusal(lambda: of_chain(tale, PARCEL, ["dispatch", *OF_THE_PARCEL])) == (
        f"entry of sale {tale.sale.hex()} in the trace: given none, expected the entry that recorded it"
    )


def test_a_story_without_the_dispatch(tale):
    names = [name for name in OF_THE_SALE if name != "dispatch"]
    assert "expected an entry of this story" in refusal(lambda: of_sale(tale, names))


def test_a_follow_up_to_a_review_that_is_not_told(tale):
    names = [name for name in OF_THE_SALE if name != "review"]
    assert "a follow_up on" in refusal(lambda: of_sale(tale, names))


def test_something_else_in_place_of_the_sale(tale):
    entries = tale.entries(*OF_THE_SALE)
    refusal(lambda: Story.of_sale(tale.other, entries).verify(entries))
