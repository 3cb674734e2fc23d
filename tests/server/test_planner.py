"""SQLite's plans: what an answer costs does not grow with the log, only with what is asked for."""

from __future__ import annotations

import re
import sqlite3
from contextlib import closing

import pytest
from filling import record
from sqlalchemy import event
from world import MERCHANT, ORIGIN, PARCEL, TEA, City, signing_key

from ledger.note import NoteSigner
from server import story
from server.store import queries, registry
from server.store.planner import missing_statistics, tell_planner
from server.store.store import Store
from server.writer import Writer
from suyuan.v1 import event_pb2 as pb


@pytest.fixture
def path(tmp_path):
    return str(tmp_path / "log.db")


@pytest.fixture
def store(path):
    """A log with a sale in it, on SQLite."""
    with closing(Store.create(path)) as made:
        writer, city = Writer(made, NoteSigner(ORIGIN, signing_key("log")._key)), City()
        writer.load()
        record(writer, *city.founding(), city.listing(), sale := city.sale(), city.dispatch(sale),
               city.scan(pb.SHIPMENT_STAGE_PICKED_UP))  # fmt: skip
        yield made


def forget(path):
    """Make it a database that was made before anybody told the planner anything."""
    with closing(sqlite3.connect(path)) as theirs, theirs:
        theirs.execute("DROP TABLE sqlite_stat1")


def planned(store, read):
    """The plans of the statements that this executes."""
    plans = []

    def explain(connection, _cursor, statement, parameters, *_):
        if statement.startswith("SELECT"):
            cursor = connection.connection.cursor()
            plans.extend(row[3] for row in cursor.execute(f"EXPLAIN QUERY PLAN {statement}", parameters))

    with store.snapshot() as connection:
        event.listen(connection, "before_cursor_execute", explain)
        read(connection, queries.head(connection).size)
        event.remove(connection, "before_cursor_execute", explain)
    assert plans
    return plans


READS = {
    "length of a chain": lambda it, size: queries.chain_length(it, PARCEL, size=size),
    "entries of a chain": lambda it, size: queries.chain_entries(it, PARCEL, size=size, limit=100),
    "chains": lambda it, size: queries.indexes_of_chains(it, [PARCEL, TEA], size=size, limit=10_001),
    "sales": lambda it, size: queries.indexes_of_sales(it, [bytes(32), b"1" * 32], size=size, limit=10_001),
    "many sales": lambda it, size: queries.indexes_of_sales(
        it, [number.to_bytes(32) for number in range(500)], size=size, limit=10_001
    ),
    "tiles": lambda it, _: queries.tiles_at(it, 0, [0]),
    "entries": lambda it, size: queries.entries_at(it, range(size)),
    "dispatches of sales": lambda it, _: registry.dispatches_of_sales(
        it, [bytes(32), b"1" * 32], limit=10_001
    ),
    "dispatches in a parcel": lambda it, _: registry.dispatches_in_parcel(it, PARCEL, limit=10_001),
    "sales on a chain": lambda it, _: registry.sales_on_chain(it, TEA, limit=10_001),
    "keys of a party": lambda it, _: registry.keys_of_party(it, str(MERCHANT), limit=10_001),
    "listings of a product": lambda it, _: registry.listings_after(it, TEA, "", limit=100),
    "complaints of a sale": lambda it, _: registry.complaints_of_sale(it, bytes(32), limit=10_001),
    "recalls": lambda it, _: registry.recalls_on_chains(it, [TEA, PARCEL], limit=10_001),
    "a story": lambda it, size: story.of_chain(it, PARCEL, size=size, go_on=lambda: None),
}


@pytest.mark.parametrize("name", READS)
def test_no_table_is_read_from_end_to_end(store, name):
    for plan in planned(store, READS[name]):
        assert re.search(r"\(shard=\? AND \w+[=>]|log_head|TEMP B-TREE|LIST SUBQUERY|CONSTANT ROW", plan), (
            plan
        )


def test_without_being_told_the_planner_would_read_the_whole_log(store, path):
    forget(path)
    assert any("(shard=? AND idx<?)" in plan for plan in planned(store, READS["length of a chain"]))


def test_a_database_that_was_made_before_is_told_when_it_is_opened_for_writing(store, path):
    forget(path)
    with closing(Store.open(path, read_only=True)) as reading, reading.snapshot() as connection:
        assert missing_statistics(connection)
    with closing(Store.open(path)) as opened, opened.snapshot() as connection:
        assert missing_statistics(connection) == []
    # And connections that were open before take it up.
    assert not any("idx<?" in plan for plan in planned(store, READS["length of a chain"]))


def test_what_an_operator_has_had_analysed_is_left_as_it_is(store, path):
    with closing(sqlite3.connect(path)) as theirs, theirs:
        theirs.execute("DELETE FROM sqlite_stat1 WHERE idx <> 'entries_of_sale'")
        theirs.execute("UPDATE sqlite_stat1 SET stat = '7 7 3 1' WHERE idx = 'entries_of_sale'")
    with store.transaction() as connection:
        tell_planner(connection)
        said = dict(connection.exec_driver_sql("SELECT idx, stat FROM sqlite_stat1").all())
    assert said["entries_of_sale"] == "7 7 3 1"
    assert said["dispatches_of_sale"] == "1000000 1000000 20"
    assert said["sqlite_autoindex_entries_1"] == "1000000 1000000 1"
