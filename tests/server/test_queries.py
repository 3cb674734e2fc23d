"""Pages that end before they are too long, and load no more than they have."""

import pytest
from filling import long_scan, record
from sqlalchemy import event
from world import PARCEL

from server.store import queries

LONG = 8


@pytest.fixture
def connection(store, writer, city):
    record(writer, *city.founding())
    record(writer, *(long_scan(city) for _ in range(LONG)))
    with store.snapshot() as connection:
        yield connection


@pytest.fixture
def length(connection):
    """Bytes of one of the long entries; they differ by a few."""
    return max(len(entry.data) for entry in queries.entries_from(connection, 6, 6 + LONG))


def test_entries_end_before_they_pass_the_bytes(connection, length):
    found = queries.entries_from(connection, 6, 6 + LONG, most_bytes=3 * length)
    assert [entry.index for entry in found] == [6, 7, 8]
    assert queries.entries_from(connection, 6, 6 + LONG)[:3] == found


def test_a_chain_ends_before_it_passes_the_bytes(connection, length):
    def page(start_seq, **limits):
        found = queries.chain_entries(connection, PARCEL, size=6 + LONG, start_seq=start_seq, **limits)
        return [entry.index for entry in found]

    assert page(0, most_bytes=3 * length) == [6, 7, 8]
    assert page(3, most_bytes=3 * length, limit=2) == [9, 10]
    assert page(6, most_bytes=3 * length) == [12, 13]
    assert page(LONG, most_bytes=3 * length) == []
    assert page(0) == list(range(6, 6 + LONG))


def test_a_page_has_at_least_one_entry(connection):
    assert len(queries.entries_from(connection, 6, 6 + LONG, most_bytes=1)) == 1
    assert len(queries.chain_entries(connection, PARCEL, size=6 + LONG, most_bytes=1)) == 1


def test_entries_of_the_log_that_the_caller_sees(connection):
    found = queries.chain_entries(connection, PARCEL, size=8)
    assert [entry.index for entry in found] == [6, 7]


def test_bytes_are_counted_without_loading(connection):
    statements = []
    event.listen(connection, "before_cursor_execute", lambda *told: statements.append(told[2]))
    found = queries.entries_from(connection, 0, 6 + LONG)
    assert queries.bytes_of_entries(connection, range(6 + LONG)) == sum(len(entry.data) for entry in found)
    assert queries.bytes_of_entries(connection, []) == 0
    assert "sum(length(entries.data))" in statements[1]


def test_no_more_indexes_than_asked_for(connection):
    chains = [f"waybill/sf/SF{number:010}" for number in range(600)] + [PARCEL]
    assert queries.indexes_of_chains(connection, chains, size=6 + LONG, limit=100) == list(range(6, 6 + LONG))
    assert len(queries.indexes_of_chains(connection, chains, size=6 + LONG, limit=3)) == 3
    assert queries.indexes_of_sales(connection, [], size=6 + LONG, limit=3) == []
