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


def test_events_whose_ids_begin_alike_are_told_apart(connection):
    first = next(record for record in life().state.changes() if isinstance(record, Recorded))
    alike = replace(first, event_id=first.event_id[:8] + bytes(24), index=7)
    state = StoredState(connection)
    state.put(first)
    state.put(alike)
    state.save()
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
