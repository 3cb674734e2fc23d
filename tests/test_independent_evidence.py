"""The outsider's verifier and the project's own say the same of every evidence file, good or bad."""

from __future__ import annotations

import json
import os
import random
import re
from functools import cache

import independent_evidence as outsider
import pytest
from evidences import BELIEVED, evidence_of, spelled
from hypothesis import given, settings
from hypothesis import strategies as st
from independent_verify import Refused
from lying import CITY_SIGNER
from world import (
    CARRIER_MEMBER,
    COURIER,
    CUP,
    MERCHANT,
    MERCHANT_MEMBER,
    OTHER_MERCHANT,
    PARCEL,
    PLATFORM,
    REGULATOR,
    TEA,
    City,
    Log,
    event_id,
)

from clients.evidence_check import check_evidence
from ledger.chain_key import LEDGER, ChainKey
from ledger.envelope import Envelope
from ledger.errors import LedgerError
from ledger.evidence import Evidence
from suyuan.v1 import event_pb2 as pb

LOT = ChainKey.lot("6901234567892", "L7")
OTHER_PARCEL = ChainKey("waybill/yto/YT9876543210987")


def agree(raw: bytes) -> dict[str, int] | None:
    """What both say of a file: the chains that are whole, or None if it does not hold."""
    try:
        ours: dict[str, int] | None = dict(check_evidence(Evidence.parse(raw), BELIEVED).chains)
    except LedgerError as error:
        ours, why = None, str(error)
    else:
        why = "it holds"
    try:
        theirs: dict[str, int] | None = outsider.verify(raw, str(CITY_SIGNER.vkey))
    except Refused as refused:
        theirs, because = None, str(refused)
    else:
        because = "it holds"
    assert ours == theirs, f"we: {why}; they: {because}"
    return ours


@cache
def town() -> tuple[Log, dict[str, bytes]]:
    """A log with several stories, and the ids of its sales."""
    city, log = City(), Log()
    log.append(*city.founding(), city.register(MERCHANT_MEMBER, pb.PARTY_ROLE_MERCHANT, by=MERCHANT))
    sale = city.sale("buyer")
    other = city.sale("somebody", by=MERCHANT_MEMBER)
    review, complaint = city.review(sale), city.complaint(sale)
    second = city.key("second").public_key
    key = pb.KeyAddition(public_key=second.spki)
    lost = pb.KeyRevocation(key_id=second.key_id, reason=pb.REVOCATION_REASON_LOST)
    lot_sale = city.sale("third", LOT, by="second")
    scans = [city.scan(stage) for stage in (pb.SHIPMENT_STAGE_PICKED_UP, pb.SHIPMENT_STAGE_DELIVERED)]
    wrong = city.scan(pb.SHIPMENT_STAGE_LOST, OTHER_PARCEL)
    mistake = pb.Correction(event=event_id(wrong), reason=pb.CORRECTION_REASON_WRONG_STAGE)
    listing = city.event(TEA, pb.Listing(title="茶", category=pb.PRODUCT_CATEGORY_FOOD))
    verdicts = log.append(
        city.listing(), city.listing(CUP, by=OTHER_MERCHANT, title="杯"), city.listing(by=OTHER_MERCHANT),
        sale, other, city.dispatch(sale), city.dispatch(other, OTHER_PARCEL), *scans, wrong,
        city.say(CARRIER_MEMBER, OTHER_PARCEL, mistake), city.receipt(sale), review, city.review(sale, by=MERCHANT),
        city.say("buyer", TEA, pb.FollowUp(review=event_id(review), rating=4)), complaint, city.reply(complaint),
        city.resolution(complaint, by=PLATFORM), city.say(MERCHANT, MERCHANT, key),
        city.say("second", LOT, pb.Listing(title="lot", category=pb.PRODUCT_CATEGORY_FOOD)), lot_sale,
        city.say("second", LOT, pb.Recall(reason=pb.RECALL_REASON_SAFETY)), city.say(PLATFORM, MERCHANT, lost),
        city.dispatch(lot_sale, OTHER_PARCEL), city.say(REGULATOR, TEA, pb.Recall(reason=pb.RECALL_REASON_DEFECT)),
    ).verdicts  # fmt: skip
    assert all(verdict in log.entries for verdict in verdicts), verdicts
    log.forge(Envelope.seal(listing.raw + b"\x9a\x06\x01x", city.key(MERCHANT)))
    return log, {"sale": event_id(sale), "other": event_id(other), "lot sale": event_id(lot_sale)}


def subjects():
    return [
        TEA,
        CUP,
        LOT,
        PARCEL,
        OTHER_PARCEL,
        LEDGER,
        MERCHANT,
        COURIER,
        CARRIER_MEMBER,
        *town()[1].values(),
    ]


@cache
def parts(subject):
    """What the log holds of a subject, told by the page's own rule, and all introductions that are left."""
    log, _ = town()
    everything = list(range(len(log.entries)))
    told = everything
    while True:
        # Whoever does not belong is named, so that a story is found by asking often enough.
        try:
            chains = _chains(subject, told)
        except Refused as refused:
            stranger = int(re.fullmatch(r"entry ([0-9]+) does not belong here", str(refused))[1])
            told = [index for index in told if index != stranger]
            continue
        break
    introducing = [
        index
        for index in everything
        if index not in told
        and log.entries[index].recorded
        and str(log.entries[index].recorded.chain) not in chains
        and index in _introducing()
    ]
    return told, introducing


@cache
def _introducing():
    log, _ = town()
    return {
        index
        for index, entry in enumerate(log.entries)
        if outsider.take_apart(entry.data, index).number in outsider.INTRODUCING
    }


def _chains(subject, told):
    log, _ = town()
    verifier, events = outsider.Verifier("ledger.test/city"), []
    for index, entry in enumerate(log.entries):
        event = outsider.take_apart(entry.data, index)
        outsider.attribute(event, index, verifier)
        if index in told:
            events.append((index, entry.hash, event))
    named = {"chain": str(subject)} if isinstance(subject, ChainKey) else {"sale": subject.hex()}
    return outsider.check_story(named, events)


@pytest.mark.parametrize("number", range(12))
def test_good_files(number):
    subject = subjects()[number]
    told, introductions = parts(subject)
    chains = agree(evidence_of(town()[0], subject, told, introductions).encode())
    assert chains is not None
    assert chains or not isinstance(subject, ChainKey)


@settings(max_examples=1_000 if os.environ.get("SUYUAN_SOAK") else 50, deadline=None)
@given(st.data())
def test_files_in_which_entries_are_missing_or_too_many(data):
    log, _ = town()
    subject = data.draw(st.sampled_from(subjects()))
    told, introductions = parts(subject)
    rest = [index for index in range(len(log.entries)) if index not in told]
    dropped = data.draw(st.sets(st.sampled_from(told), max_size=2))
    added = data.draw(st.sets(st.sampled_from(rest), max_size=1))
    forgotten = data.draw(st.sets(st.sampled_from([*introductions, *told]), max_size=1))
    entries = sorted((set(told) - dropped) | added)
    others = sorted((set(introductions) | (dropped & _introducing())) - forgotten - set(entries))
    if entries:
        agree(evidence_of(log, subject, entries, others).encode())


@pytest.mark.parametrize("subject", [TEA, PARCEL, LEDGER])
def test_files_on_another_subject(subject):
    log, _ = town()
    told, introductions = parts(subject)
    for other in subjects():
        chains = agree(evidence_of(log, other, told, introductions).encode())
        assert (chains is None) or other == subject or subject in (PARCEL, LEDGER)


def test_files_that_are_spoilt():
    """Any key, number, list or text of a file put in the place of another."""
    content = json.loads(evidence_of(town()[0], LOT, *parts(LOT)).encode())
    random_ = random.Random(7)
    for _ in range(2_000 if os.environ.get("SUYUAN_SOAK") else 300):
        spoilt = json.loads(json.dumps(content))
        holders = list(_holders(spoilt))
        holder, key = random_.choice(holders)
        other, other_key = random_.choice(holders)
        holder[key] = json.loads(json.dumps(other[other_key]))
        agree(spelled(spoilt))


def _holders(value):
    for key in range(len(value)) if isinstance(value, list) else list(value):
        yield value, key
        if isinstance(value[key], list | dict):
            yield from _holders(value[key])


def test_the_same_event_twice():
    """An operator that records an event again makes it look as if it had been said twice."""
    city, log = City(), Log()
    log.append(*city.founding())
    listing = city.listing()
    log.forge(listing)
    log.forge(listing)
    assert agree(evidence_of(log, TEA, [6, 7], [0, 1, 2]).encode()) is None
