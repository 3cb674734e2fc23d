from __future__ import annotations

from dataclasses import replace

import pytest
from lying import head_of, prove
from world import PARCEL, TEA, City, Log

from clients.heads import ChainHeads
from clients.verify import VerifiedEntry, verify_entries
from ledger.errors import BrokenProof, Reason
from ledger.merkle import leaf_hash


@pytest.fixture(scope="module")
def entries():
    city, log = City(), Log()
    log.append(*city.founding())
    log.append(*city.life())
    return verify_entries([prove(log, index) for index in range(18)], head_of(log))


@pytest.fixture
def tea(entries):
    return [entry for entry in entries if entry.event.chain == TEA]


@pytest.fixture
def heads():
    return ChainHeads()


def refusal(attempt):
    with pytest.raises(BrokenProof) as caught:
        attempt()
    assert caught.value.reason is Reason.BROKEN_CHAIN
    return str(caught.value)


def test_the_furthest_entry_is_remembered(heads, tea):
    assert heads.find(TEA) is None
    heads.note(tea[:4])
    heads.note(tea[:2])
    head = heads.find(TEA)
    assert (head.index, head.chain_seq, head.hash) == (13, 3, tea[3].hash)
    heads.note(tea)
    assert heads.find(TEA).chain_seq == 7
    assert heads.find(PARCEL) is None


def test_entries_may_come_in_any_order(heads, entries):
    heads.note(entries[::-1])
    heads.note(entries[::3])
    assert (heads.find(TEA).chain_seq, heads.find(PARCEL).chain_seq) == (7, 3)


def test_a_history_as_long_as_before_or_longer(heads, tea):
    heads.note(tea[:4])
    heads.require_whole(TEA, tea[:4], 18)
    heads.require_whole(TEA, tea, 18)
    heads.require_whole(PARCEL, [], 18)


def test_a_history_that_is_shorter_than_last_time(heads, tea):
    heads.note(tea[:4])
    assert refusal(lambda: heads.require_whole(TEA, tea[:3], 18)) == (
        f"length of {TEA} in the log's first 18 entries: given 3, "
        "expected at least 4: entry 13 was seen before"
    )


def test_a_history_from_before_the_entry_was_recorded(heads, tea):
    heads.note(tea[:4])
    heads.require_whole(TEA, tea[:3], 13)
    refusal(lambda: heads.require_whole(TEA, tea[:3], 14))


def again(entry, *, index=None, **changed):
    """An entry as an operator might record it elsewhere."""
    other = replace(entry.entry, **changed)
    data = other.encode()
    return VerifiedEntry.open(entry.index if index is None else index, data, (), leaf_hash(data))


def test_two_entries_at_one_place(heads, tea):
    heads.note(tea[:4])
    lie = again(tea[3], index=17, recorded_at_us=tea[7].entry.recorded_at_us + 1)
    assert refusal(lambda: heads.note([lie])) == (
        f"chain_seq 3 of {TEA}: given entry 17, expected entry 13, which was seen there before"
    )


def test_a_link_past_what_was_seen(heads, tea):
    heads.note(tea[:4])
    lie = again(tea[4], previous=bytes(32))
    assert refusal(lambda: heads.note([lie])) == (
        f"previous of chain_seq 4 of {TEA}: given {'00' * 32}, expected {tea[3].hash.hex()}, seen before it"
    )


def test_a_place_that_goes_against_the_log(heads, tea):
    heads.note(tea[:4])
    assert refusal(lambda: heads.note([again(tea[5], index=12)])) == (
        f"index of chain_seq 5 of {TEA}: given 12, expected one after 13, the index of chain_seq 3"
    )
    assert refusal(lambda: heads.note([again(tea[1], index=14)])) == (
        f"index of chain_seq 1 of {TEA}: given 14, expected one before 13, the index of chain_seq 3"
    )


def test_what_is_refused_is_not_remembered(heads, tea):
    heads.note(tea[:4])
    refusal(lambda: heads.note([again(tea[4], previous=bytes(32))]))
    assert heads.find(TEA).chain_seq == 3


def test_chains_not_seen_for_long_are_forgotten(entries, tea):
    heads = ChainHeads(limit=2)
    heads.note(tea)
    heads.note(entries[:2])
    assert heads.find(TEA) is None
    assert heads.find("ledger").chain_seq == 0
