from __future__ import annotations

from datetime import timedelta
from functools import cache
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from world import (
    CARRIER_MEMBER,
    COURIER,
    CUP,
    DISTRICT,
    MERCHANT,
    MERCHANT_MEMBER,
    ORIGIN,
    REGULATOR,
    START,
    START_US,
    TEA,
    City,
    Log,
    altered,
    audit,
    chain_of,
    event_id,
    founded,
    signing_key,
    told,
)

from ledger.chain_key import ChainKey
from ledger.checkpoint import Checkpoint
from ledger.entry import MAX_ENTRY_BYTES, Entry
from ledger.envelope import MAX_ENVELOPE_BYTES, Envelope
from ledger.errors import Conflict, LedgerError, Reason
from ledger.event import Event
from ledger.form import LAST_US
from ledger.frontier import Frontier
from ledger.merkle import (
    consistency_proof,
    inclusion_proof,
    leaf_hash,
    root_of,
    verify_consistency,
    verify_inclusion,
)
from ledger.sequence import LogHead, Resent, Sequenced, Submission, next_link, sequence
from ledger.state import ChainHead, Party, Recorded, State
from suyuan.v1 import entry_pb2
from suyuan.v1 import event_pb2 as pb
from suyuan.v1.flags_pb2 import EVENT_FLAG_LATE

NOW_US = START_US + 2 * 3_600_000_000


def run(log, envelopes, now_us=NOW_US):
    """Sequence one batch at a given time."""
    log.set_clock(now_us)
    return log.append(*envelopes)


def kinds_of(batch):
    return [type(verdict).__name__ for verdict in batch.verdicts]


def everything(log):
    """All that a log consists of."""
    return log.head, log.leaves, list(log.state.changes())


# Entries


def test_an_accepted_event_becomes_the_next_entry():
    city, log = founded()
    before = log.head
    envelope = city.listing()
    verdict = run(log, [envelope]).verdicts[0]
    assert isinstance(verdict, Sequenced)
    assert verdict.entry == Entry(0, b"", NOW_US, envelope.raw)
    assert verdict.data == verdict.entry.encode()
    assert verdict.hash == leaf_hash(verdict.data)
    assert verdict.recorded == Recorded(
        event_id=event_id(envelope),
        index=6,
        chain=TEA,
        chain_seq=0,
        kind="listing",
        signer=MERCHANT,
        key_id=city.key(MERCHANT).public_key.key_id,
        sale=b"",
        recorded_at_us=NOW_US,
        flags=(EVENT_FLAG_LATE,),
    )
    assert log.head == LogHead(before.frontier.append(verdict.hash), NOW_US)
    assert log.state.get(Recorded, event_id(envelope)) == verdict.recorded
    occurred_us = Event.parse(envelope.payload).occurred_us
    assert log.state.get(ChainHead, TEA) == ChainHead(TEA, 1, verdict.hash, occurred_us)


def test_the_links_of_every_chain_are_leaf_hashes():
    city, log = City(), Log()
    run(log, city.founding() + city.life())
    assert log.head.frontier.root() == root_of([leaf_hash(data) for data in log.leaves])
    chains = {}
    for sequenced in log.entries:
        chain = chains.setdefault(sequenced.recorded.chain, [])
        assert sequenced.entry.chain_seq == len(chain)
        assert sequenced.entry.previous == (chain[-1] if chain else b"")
        chain.append(leaf_hash(sequenced.data))
    assert len(chains[TEA]) == 8
    for name, hashes in chains.items():
        assert next_link(name, log.state) == (len(hashes), hashes[-1])
    assert next_link(CUP, log.state) == (0, b"")


def test_a_batch_of_nothing_changes_nothing():
    _, log = founded()
    before = everything(log)
    batch = run(log, [])
    assert (batch.verdicts, batch.entries, batch.completed) == ([], [], {})
    assert batch.head == before[0]
    assert everything(log) == before


def test_a_state_in_front_of_another_holds_what_the_batch_changed():
    city, log = founded()
    batch_state = State(log.state)
    submissions = [Submission.read(envelope.raw) for envelope in city.life()]
    before = list(log.state.changes())
    sequence(submissions, batch_state, log.head, NOW_US)
    assert list(log.state.changes()) == before
    changed = list(batch_state.changes())
    assert {type(record).__name__ for record in changed} == {
        "ChainHead", "Recorded", "Listed", "Sold", "PurchaseKey", "Dispatched", "Reviewed", "Complained",
    }  # fmt: skip
    assert len({(type(record), record.key) for record in changed}) == len(changed), (
        "each once, in its newest version"
    )
    for record in changed:
        assert batch_state.get(type(record), record.key) == record


# Each its own verdict


def refused_ones(city):
    """One of every sort of refusal: each is refused whenever it comes."""
    stranger = pb.PartyRegistration(role=pb.PARTY_ROLE_COURIER, public_key=signing_key("x").public_key.spki)
    return [
        city.listing(by="nobody"),
        city.listing(by=COURIER),
        altered(city.listing(), signature=bytes(64)),
        altered(city.listing(), algorithm=2),
        city.sale("cup buyer", CUP),
        city.say(
            REGULATOR,
            COURIER,
            pb.PartyRegistration(role=4, name="x", public_key=city.key("y").public_key.spki),
        ),
        city.say(CARRIER_MEMBER, ChainKey(f"{COURIER}/k-0018"), stranger),
        city.say(REGULATOR, TEA, pb.KeyAddition(public_key=city.key("z").public_key.spki)),
        city.say(MERCHANT, TEA, pb.Correction(event=bytes(32), reason=1)),
        city.genesis(),
    ]


@cache
def story():
    """The founding, a life after it, and what is refused whenever it comes."""
    city = City()
    founding, life = city.founding(), city.life()
    return founding, life, refused_ones(city)


def test_refused_ones_are_refused():
    _, log = founded()
    reasons = [log.refusal(envelope).reason for envelope in story()[2]]
    assert reasons == [
        Reason.UNKNOWN_KEY,
        Reason.WRONG_ROLE,
        Reason.BAD_SIGNATURE,
        Reason.UNSUPPORTED_ALGORITHM,
        Reason.LISTING_MISSING,
        Reason.PARTY_EXISTS,
        Reason.WRONG_ROLE,
        Reason.WRONG_CHAIN,
        Reason.EVENT_UNKNOWN,
        Reason.WRONG_CHAIN,
    ]


@given(st.lists(st.tuples(st.integers(0, 12), st.integers(0, 9)), max_size=12))
def test_a_refused_submission_leaves_no_trace(places):
    founding, life, refused = story()
    plain, mixed = Log(), Log()
    run(plain, founding)
    run(plain, life)
    run(mixed, founding)
    batch = [(envelope, True) for envelope in life]
    for place, which in places:
        batch.insert(place, (refused[which], False))
    result = run(mixed, [envelope for envelope, _ in batch])
    assert everything(mixed) == everything(plain)
    assert [isinstance(verdict, Sequenced) for verdict in result.verdicts] == [good for _, good in batch]
    assert all(isinstance(verdict, (Sequenced, LedgerError)) for verdict in result.verdicts)
    assert [verdict.recorded.index for verdict in result.entries] == list(range(6, 6 + len(life)))


def test_a_batch_of_refusals_leaves_the_head_where_it_was():
    _, log = founded()
    before = everything(log)
    batch = run(log, story()[2], now_us=NOW_US + 10**12)
    assert batch.entries == []
    assert everything(log) == before
    assert log.head.recorded_at_us == before[0].recorded_at_us, (
        "the time of the last entry, not of the attempt"
    )


def test_what_is_refused_now_may_be_accepted_later():
    city, log = founded()
    sale = city.sale()
    assert log.refusal(sale).reason is Reason.LISTING_MISSING
    log.accept(city.listing(), sale)


def test_the_state_within_a_batch_is_that_of_its_own_events():
    city, log = founded()
    sale = city.sale()
    receipt, review = city.receipt(sale), city.review(sale)
    listing = city.listing()
    batch = run(log, [review, sale, listing, receipt, sale, review, receipt, review])
    assert [getattr(verdict, "reason", None) for verdict in batch.verdicts] == [
        Reason.UNKNOWN_KEY,
        Reason.LISTING_MISSING,
        None,
        Reason.UNKNOWN_KEY,
        None,
        Reason.RECEIPT_MISSING,
        None,
        None,
    ]


def test_a_key_registered_earlier_in_the_batch_signs_later_in_it():
    city, log = founded()
    member = city.register(MERCHANT_MEMBER, pb.PARTY_ROLE_MERCHANT, by=MERCHANT)
    listing = city.listing(by=MERCHANT_MEMBER)
    assert kinds_of(run(log.fork(), [listing, member])) == ["NotAuthorized", "Sequenced"]
    log.accept(member, listing)


def test_a_whole_log_in_one_batch():
    city, log = City(), Log()
    batch = run(log, city.founding() + city.life())
    assert kinds_of(batch) == ["Sequenced"] * 18
    assert log.audit().verified


# Sent again


def test_an_event_sent_again_is_its_first_record():
    city, log = founded()
    listing = city.listing()
    first = run(log, [listing]).verdicts[0]
    before = everything(log)
    again = run(log, [listing, listing]).verdicts
    assert again == [Resent(first.recorded), Resent(first.recorded)]
    assert again[0].entry_of(first.data, Submission.read(listing.raw)) == first.entry
    assert everything(log) == before


def test_an_event_sent_twice_in_one_batch_is_recorded_once():
    city, log = founded()
    listing = city.listing()
    batch = run(log, [listing, city.listing(), listing])
    assert kinds_of(batch) == ["Sequenced", "Sequenced", "Resent"]
    assert batch.verdicts[2].recorded == batch.verdicts[0].recorded
    assert [entry.recorded.index for entry in batch.entries] == [6, 7]


def test_an_event_is_its_first_record_though_it_would_be_refused_now():
    """The answer to a retry does not depend on what happened since."""
    city, log = founded()
    listing = city.listing()
    (recorded,) = log.accept(listing)
    body = pb.PartyStatusChange(status=pb.PARTY_STATUS_SUSPENDED, reason=pb.STATUS_REASON_VIOLATION)
    log.accept(city.say(REGULATOR, MERCHANT, body))
    assert log.refusal(city.listing()).reason is Reason.PARTY_NOT_ACTIVE
    assert run(log, [listing]).verdicts == [Resent(recorded)]


def resealed(city, envelope, how):
    """The same event under other envelope bytes."""
    if how == "another key of the signer":
        return Envelope.seal(envelope.payload, city.key("the merchant's other key"))
    if how == "another party that may say it":
        return Envelope.seal(envelope.payload, city.key(MERCHANT_MEMBER))
    if how == "a key that nobody has":
        return Envelope.seal(envelope.payload, city.key("nobody"))
    if how == "an altered signature":
        return altered(envelope, signature=envelope.signature[:-1] + bytes([envelope.signature[-1] ^ 1]))
    return altered(envelope, algorithm=3)


@pytest.mark.parametrize(
    "how",
    [
        "another key of the signer",
        "another party that may say it",
        "a key that nobody has",
        "an altered signature",
        "another algorithm",
    ],
)
def test_the_same_event_under_other_bytes_is_a_duplicate(how):
    city, log = founded()
    key = pb.KeyAddition(public_key=city.key("the merchant's other key").public_key.spki)
    log.accept(
        city.say(MERCHANT, MERCHANT, key), city.register(MERCHANT_MEMBER, pb.PARTY_ROLE_MERCHANT, by=MERCHANT)
    )
    listing = city.listing()
    (recorded,) = log.accept(listing)
    before = everything(log)
    other = resealed(city, listing, how)
    assert other.raw != listing.raw
    (verdict,) = run(log, [other]).verdicts
    assert verdict == Resent(recorded)
    assert everything(log) == before
    with pytest.raises(Conflict) as refused:
        verdict.entry_of(log.leaves[recorded.index], Submission.read(other.raw))
    assert told(refused.value) == (
        Reason.DUPLICATE_EVENT,
        f"event {event_id(listing).hex()}: given other envelope bytes, expected those recorded at index {recorded.index}",
    )


def test_an_extra_signature_does_not_get_so_far():
    city, log = founded()
    listing = city.listing()
    log.accept(listing)
    message = entry_pb2.Envelope.FromString(listing.raw)
    message.signatures.add().CopyFrom(message.signatures[0])
    assert told(log.refusal(message.SerializeToString())) == (
        Reason.MALFORMED_ENVELOPE,
        "envelope: given 2 signatures, expected 1 signature",
    )


# Signatures that were checked before


def test_a_signature_is_checked_once():
    city, log = founded()
    submission = Submission.read(city.listing().raw)
    submission.verify(city.key(MERCHANT).public_key)
    assert submission.verified_by == city.key(MERCHANT).public_key
    assert isinstance(sequence([submission], log.state, log.head, NOW_US).verdicts[0], Sequenced)


def test_what_does_not_verify_is_not_remembered_as_verified():
    city, _ = founded()
    submission = Submission.read(altered(city.listing(), signature=bytes(64)).raw)
    with pytest.raises(LedgerError):
        submission.verify(city.key(MERCHANT).public_key)
    assert submission.verified_by is None


def test_a_signature_that_was_checked_under_another_key_is_checked_again():
    city, log = founded()
    bad = Submission.read(altered(city.listing(), signature=bytes(64)).raw)
    bad.verified_by = city.key(COURIER).public_key
    (verdict,) = sequence([bad], log.state, log.head, NOW_US).verdicts
    assert verdict.reason is Reason.BAD_SIGNATURE


def test_the_auditor_takes_nobodys_word_for_a_signature():
    city, log = founded()
    bad = Submission.read(altered(city.listing(), signature=bytes(64)).raw)
    bad.verified_by = city.key(MERCHANT).public_key
    batch = sequence([bad], log.state, log.head, NOW_US)
    report = audit([*log.leaves, batch.entries[0].data], Checkpoint(ORIGIN, 7, batch.head.frontier.root()))
    assert [(finding.index, finding.reason) for finding in report.findings] == [(6, Reason.BAD_SIGNATURE)]


def test_the_longest_envelope_makes_an_entry_that_fits_a_bundle():
    entry = Entry(2**64 - 1, bytes(32), LAST_US, bytes(MAX_ENVELOPE_BYTES))
    assert len(entry.encode()) <= MAX_ENTRY_BYTES


# Time


def test_the_time_of_a_batch_is_that_of_all_its_entries():
    city, log = founded()
    batch = run(log, city.life())
    assert {entry.entry.recorded_at_us for entry in batch.entries} == {NOW_US}
    assert log.head.recorded_at_us == NOW_US


@pytest.mark.parametrize("back", [0, 1, 3_600_000_000, NOW_US - 1])
def test_where_the_clock_jumps_back_the_last_time_stands(back):
    city, log = founded()
    run(log, [city.listing()], NOW_US + 1)
    (verdict,) = run(log, [city.listing()], NOW_US + 1 - back).verdicts
    assert verdict.entry.recorded_at_us == NOW_US + 1
    assert log.head.recorded_at_us == NOW_US + 1
    assert log.audit().verified


def test_what_is_too_far_ahead_is_so_by_the_time_that_is_recorded():
    city, log = founded()
    run(log, [city.listing()], NOW_US)
    later = city.say(
        MERCHANT, TEA, pb.Listing(title="x", category=1), at=START + timedelta(hours=2, minutes=10)
    )
    assert Event.parse(later.payload).occurred_us == NOW_US + 600_000_000
    (verdict,) = run(log, [later], NOW_US - 10**9).verdicts
    assert isinstance(verdict, Sequenced), verdict


# However the queue is cut into batches


def cut(things, marks):
    edges = [0, *sorted(marks), len(things)]
    return [things[begin:end] for begin, end in pairwise(edges)]


@cache
def queue():
    """Everything of the story in an order that a day may bring, with some of it sent again."""
    founding, life, refused = story()
    mixed = [
        *founding,
        *life[:4],
        *refused[:5],
        *life[2:6],
        *founding[2:3],
        *life[6:],
        *refused[5:],
        *life[-2:],
    ]
    return mixed, run_in([mixed], [NOW_US])


def run_in(batches, times):
    log, verdicts = Log(), []
    for batch, now_us in zip(batches, times, strict=True):
        verdicts += run(log, batch, now_us).verdicts
    return log, verdicts


MARKS = st.lists(st.integers(0, 33), max_size=10)


@given(MARKS)
def test_any_cut_gives_the_same_log(marks):
    """With the clock standing still, byte for byte."""
    mixed, (log, verdicts) = queue()
    assert len(mixed) == 33
    batches = cut(mixed, marks)
    other, others = run_in(batches, [NOW_US] * len(batches))
    assert everything(other) == everything(log)
    assert [str(verdict) for verdict in others] == [str(verdict) for verdict in verdicts]


@given(MARKS, st.lists(st.integers(-(10**9), 10**9), min_size=11, max_size=11))
def test_any_cut_and_any_clock_give_the_same_entries_apart_from_time(marks, drift):
    mixed, (log, verdicts) = queue()
    batches = cut(mixed, marks)
    times = [NOW_US + 1_200_000_000 + moved for _, moved in zip(batches, drift, strict=False)]
    other, others = run_in(batches, times)

    def timeless(entries):
        return [
            (it.entry.chain_seq, it.entry.envelope, it.recorded.index, it.recorded.chain) for it in entries
        ]

    assert timeless(other.entries) == timeless(log.entries)
    assert [type(verdict) for verdict in others] == [type(verdict) for verdict in verdicts]
    assert [getattr(it, "reason", None) for it in others] == [getattr(it, "reason", None) for it in verdicts]
    recorded = [it.entry.recorded_at_us for it in other.entries]
    assert recorded == sorted(recorded)
    assert other.audit().verified


@settings(max_examples=50)
@given(st.permutations(range(18)), MARKS)
def test_in_whatever_order_it_comes_what_is_recorded_verifies(order, marks):
    founding, life, _ = story()
    shuffled = [(founding + life)[number] for number in order]
    log, verdicts = run_in(
        batches := cut(shuffled, [mark for mark in marks if mark <= 18]), [NOW_US] * len(batches)
    )
    assert all(isinstance(verdict, (Sequenced, LedgerError)) for verdict in verdicts)
    assert log.audit().verified
    assert len(log.entries) == sum(isinstance(verdict, Sequenced) for verdict in verdicts)
    # What was refused for coming too early is accepted when it is sent until nothing changes.
    for _ in range(18):
        run(log, shuffled)
    assert len(log.entries) == 18
    assert log.audit().verified


# Proofs


@pytest.mark.parametrize("size", [1, 2, 3, 6, 7, 8, 12])
def test_old_frontier_and_completed_subtrees_give_all_proofs_of_a_batch(size):
    founding, life, _ = story()
    log = Log()
    run(log, [*founding, *life][:size])
    old = log.head.frontier
    batch = run(log, [*founding, *life][size:])
    new = batch.head.frontier
    nodes = {**old.complete_subtrees(), **batch.completed}

    def node(level, index):
        return nodes[level, index]

    proof = consistency_proof(old.size, new.size, node)
    verify_consistency(old.size, old.root(), new.size, new.root(), proof)
    assert len(batch.entries) == 18 - size
    for entry in batch.entries:
        proof = inclusion_proof(entry.recorded.index, new.size, node)
        verify_inclusion(entry.hash, entry.recorded.index, new.size, proof, new.root())


def test_the_completed_subtrees_are_those_of_the_batch():
    founding, life, _ = story()
    log = Log()
    run(log, founding)
    batch = run(log, life)
    whole: dict = {}
    Frontier().extend([leaf_hash(data) for data in log.leaves], whole)
    assert batch.completed == {
        (level, index): node for (level, index), node in whole.items() if (index + 1) << level > 6
    }


# What is read


def test_a_submission_is_an_envelope_and_its_event():
    city = City()
    genesis = city.genesis()
    submission = Submission.read(genesis.raw)
    assert submission.envelope == genesis
    assert submission.event == Event.parse(genesis.payload)
    assert submission.event.chain == chain_of(genesis) == "ledger"
    assert submission.verified_by is None


def test_a_registry_grows_as_the_log_does():
    city, log = founded()
    assert log.state.get(Party, DISTRICT) is None
    log.accept(city.register(DISTRICT, pb.PARTY_ROLE_REGULATOR, "鼓楼区市场监督管理局"))
    assert log.state.get(Party, DISTRICT).registered_index == 6
