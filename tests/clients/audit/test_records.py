from __future__ import annotations

import sqlite3
from contextlib import closing
from dataclasses import replace
from functools import cache

import pytest
from hypothesis import given
from hypothesis import strategies as st
from world import City, Log

from clients.audit.records import StoredState
from ledger.chain_key import ChainKey
from ledger.entry import Entry
from ledger.envelope import Envelope
from ledger.event import Event
from ledger.state import ChainHead, Listed, Recorded, Reviewed, State


@cache
def life():
    """Every record that the life of a product leaves behind, in all its versions."""
    city, log = City(), Log()
    for envelope in (*city.founding(), *city.life()):
        log.append(envelope)
    return log


@pytest.fixture
def connection():
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as connection:
        yield connection


def test_records_come_back_as_they_were(connection):
    records = list(life().state.changes())
    assert len({type(record) for record in records}) >= 9
    state = StoredState(connection, near=0)
    for record in records:
        state.put(record)
    state.save()
    other = StoredState(connection)
    for record in records:
        found = other.get(type(record), record.key)
        assert found == record
        assert type(found) is type(record)
    assert other.get(Listed, ("party/nobody", "01/06901234567892")) is None
    assert other.get(Recorded, bytes(32)) is None


def test_what_is_of_another_type_stays_so(connection):
    state = StoredState(connection, near=0)
    state.put(Reviewed(bytes(32), bytes(32), by_buyer=True))
    state.save()
    assert StoredState(connection).get(Reviewed, bytes(32)).by_buyer is True


def test_of_an_event_that_was_recorded_twice_the_later_one_counts(connection):
    first = next(record for record in life().state.changes() if isinstance(record, Recorded))
    later = replace(first, index=1_000)
    state = StoredState(connection)
    state.put(first)
    state.save()
    state.put(later)
    assert state.get(Recorded, first.event_id) == later
    state.save()
    assert state.get(Recorded, first.event_id) == later
    assert StoredState(connection).get(Recorded, first.event_id) == later


def test_an_event_that_is_recorded_again_after_it_was_saved_shows_when_it_is_saved_again(connection):
    first = next(record for record in life().state.changes() if isinstance(record, Recorded))
    state = StoredState(connection)
    state.put(first)
    assert state.save() == []
    second, third = replace(first, index=1_000), replace(first, index=1_001)
    assert not state.is_recorded_again(first.event_id), "nobody has looked on the disk"
    state.put(second)
    assert state.is_recorded_again(first.event_id)
    state.put(third)
    assert state.save() == [second], "the third was found when it came"
    assert not state.is_recorded_again(first.event_id)
    state.put(replace(first, index=1_002))
    assert state.save() == [replace(first, index=1_002)]


def test_a_chain_of_any_length_that_an_entry_can_say(connection):
    state = StoredState(connection, near=0)
    heads = [
        ChainHead(f"waybill/sf/SF{length}", length, bytes(32), 0) for length in (2**63 - 1, 2**63, 2**64)
    ]
    for head in heads:
        state.put(head)
    state.save()
    assert [StoredState(connection).get(ChainHead, head.chain) for head in heads] == heads


def test_events_whose_ids_begin_alike_are_told_apart(connection):
    first = next(record for record in life().state.changes() if isinstance(record, Recorded))
    alike = replace(first, event_id=first.event_id[:8] + bytes(24), index=7)
    state = StoredState(connection)
    state.put(first)
    state.put(alike)
    assert state.save() == []
    later = replace(first, event_id=first.event_id[:8] + bytes(23) + b"\x01", index=1_000)
    state.put(later)
    assert state.save() == [], "they begin alike, and are not the same"
    assert state.get(Recorded, later.event_id) == later
    assert state.get(Recorded, first.event_id) == first
    assert state.get(Recorded, alike.event_id) == alike
    assert state.get(Recorded, first.event_id[:9] + bytes(23)) is None


@given(st.lists(st.tuples(st.sampled_from(["put", "get", "save", "prefetch", "reopen"]), st.integers(0, 8)), max_size=60),
       st.integers(0, 4))  # fmt: skip
def test_it_knows_what_a_state_in_memory_knows(steps, near):
    chains = [f"waybill/sf/SF{number}" for number in range(9)]
    events = [(Event.parse(parsed.payload), parsed.key_id) for parsed in envelopes()]
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as connection:
        stored, expected = StoredState(connection, near=near), State()
        for step, (what, number) in enumerate(steps):
            if what == "put":
                head = ChainHead(chains[number], step, bytes(32), step)
                stored.put(head)
                expected.put(head)
            elif what == "get":
                assert stored.get(ChainHead, chains[number]) == expected.get(ChainHead, chains[number])
            elif what == "prefetch":
                stored.prefetch(events[: number + 1])
            else:
                stored.save()
                assert stored.held <= 2 * (near + len(steps) + 100)
                if what == "reopen":
                    stored = StoredState(connection, near=near)
        for chain in chains:
            assert stored.get(ChainHead, chain) == expected.get(ChainHead, chain)


@cache
def envelopes():
    return [Envelope.parse(Entry.parse(data).envelope) for data in life().leaves]


def test_a_judge_on_the_disk_comes_to_the_same_state(connection):
    stored = StoredState(connection, near=1)
    for record in life().state.changes():
        stored.put(record)
        stored.save()
    stored.prefetch([(Event.parse(one.payload), one.key_id) for one in envelopes()])
    for record in life().state.changes():
        assert stored.get(type(record), record.key) == record
    assert stored.get(ChainHead, ChainKey("waybill/sf/SF99")) is None
