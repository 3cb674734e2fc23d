"""Tables of an older version become those of the newest, with what is in them; nothing else is touched."""

import json
import threading

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from filling import record
from misbehaving import eventually
from running import operator
from sqlalchemy import inspect, select

from ledger.errors import BadInput
from server.rebuild import check
from server.store.database import Database
from server.store.engine import open_engine
from server.store.migrate import OLDEST, Migrated, migrate, upgrade
from server.store.store import Store
from server.store.tables import SCHEMA_VERSION, entries, metadata
from server.store.version import revisions
from server.writer import Writer

STEPS = Migrated(
    2,
    (
        "0003: From here on the version of the tables stands where Alembic keeps it.",
        "0004: Processes that serve one log take turns at writing it.",
    ),
)


@pytest.fixture
def empty(database):
    """A database with nothing in it, without the tables that another test may have left."""
    store = Store(open_engine(Database.parse(database), create=True))
    with store.transaction() as connection:
        for name in inspect(connection).get_table_names():
            connection.exec_driver_sql(f"DROP TABLE {name}")
    yield store
    store.close()


@pytest.fixture
def old(empty):
    """The tables as version 2 made them, before there was Alembic."""
    with empty.transaction() as connection:
        upgrade(connection, None, OLDEST)
        revisions.drop(connection)
    return empty


def differences(store):
    with store.snapshot() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        return compare_metadata(context, metadata)


def columns(store):
    """Of each table: names, types, whether they may be null, and the key."""
    with store.snapshot() as connection:
        there = inspect(connection)
        return {
            name: (
                [(one["name"], str(one["type"]), one["nullable"]) for one in there.get_columns(name)],
                there.get_pk_constraint(name)["constrained_columns"],
                sorted(one["name"] for one in there.get_indexes(name)),
                sorted(one["name"] for one in there.get_unique_constraints(name)),
            )
            for name in there.get_table_names()
            if name != revisions.name
        }


def test_the_revisions_lead_to_the_tables(empty):
    with empty.transaction() as connection:
        upgrade(connection, None)
    assert differences(empty) == []
    migrated = columns(empty)
    with empty.transaction() as connection:
        metadata.drop_all(connection)
        revisions.drop(connection)
        metadata.create_all(connection)
    assert migrated == columns(empty)


def test_a_log_of_the_oldest_version_goes_on_and_still_audits(old, database, signer, city):
    writer = Writer(old, signer)
    record(writer, *city.founding(), city.listing())
    with pytest.raises(BadInput) as caught:
        Store.open(database)
    assert str(caught.value) == (
        f"schema of {Database.parse(database)}: given version 2, expected version {SCHEMA_VERSION}: "
        "stop the service, then run `suyuan operator migrate`"
    )
    assert migrate(Database.parse(database), check_only=True) == STEPS
    assert migrate(Database.parse(database)) == STEPS
    assert migrate(Database.parse(database)) == Migrated(SCHEMA_VERSION, ())
    store = Store.open(database)
    assert check(store, [signer.vkey]).none
    assert record(Writer(store, signer), city.sale()) == [7]
    assert check(store, [signer.vkey]).none
    store.close()


def test_of_two_at_once_one_does_it(old, database):
    done = []
    threads = [
        threading.Thread(target=lambda: done.append(migrate(Database.parse(database)))) for _ in range(2)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert sorted(done, key=lambda one: one.before) == [STEPS, Migrated(SCHEMA_VERSION, ())]


def test_who_looks_at_a_version_while_it_changes_sees_the_old_or_the_new(old, database):
    opened = []
    looking = threading.Thread(
        target=lambda: opened.append(Store.open(database, read_only=True, of_any_version=True))
    )
    with old.transaction() as connection:
        upgrade(connection, OLDEST)
        looking.start()
        # SQLite reads what was; PostgreSQL waits for the table that is about to be gone.
        eventually(lambda: not looking.is_alive() or waiting(connection), "the look to end, or to wait")
    looking.join(60)
    (store,) = opened
    store.close()


def waiting(connection):
    return connection.dialect.name == "postgresql" and bool(
        connection.exec_driver_sql("SELECT count(*) FROM pg_locks WHERE NOT granted").scalar()
    )


def test_a_database_of_newer_software_is_left_alone(store, database):
    with store.transaction() as connection:
        connection.exec_driver_sql("UPDATE alembic_version SET version_num = '0099'")
    for use in (Store.open, Store.create, lambda given: migrate(Database.parse(given))):
        with pytest.raises(
            BadInput, match=r"given version 99, expected at most version \d+: this software is older"
        ):
            use(database)


def test_a_database_of_somebody_else_is_left_alone(empty, database):
    with empty.transaction() as connection:
        connection.exec_driver_sql("CREATE TABLE customers (name TEXT)")
    for use in (Store.create, lambda given: migrate(Database.parse(given))):
        with pytest.raises(BadInput):
            use(database)
    with empty.snapshot() as connection:
        assert inspect(connection).get_table_names() == ["customers"]


def test_a_new_database_is_of_the_newest_version(empty, database):
    Store.create(database).close()
    assert migrate(Database.parse(database), check_only=True) == Migrated(SCHEMA_VERSION, ())
    with empty.snapshot() as connection:
        assert connection.execute(select(entries)).all() == []


def test_the_command(old, database):
    shown = Database.parse(database)
    steps = list(STEPS.steps)
    checked = operator("migrate", "--check", "--database", database, check=False)
    assert checked.returncode == 1
    assert checked.stdout == f"{shown} is at version 2; to do until version {SCHEMA_VERSION}:\n" + "".join(
        f"{step}\n" for step in steps
    )
    done = operator("migrate", "--database", database, "--format", "json")
    assert json.loads(done.stdout) == {
        "database": str(shown), "before": 2, "newest": SCHEMA_VERSION, "steps": steps, "changed": True,
    }  # fmt: skip
    again = operator("migrate", "--database", database)
    assert again.stdout == f"{shown} is at version {SCHEMA_VERSION}: nothing to do\n"


@pytest.mark.parametrize("command", [("migrate",), ("restore", "--from", "no.backup")])
def test_a_password_in_the_command_line_is_refused(command):
    refused = operator(*command, "--database", "postgresql://u:hunter2@127.0.0.1:1/x", check=False)
    assert refused.returncode == 2
    assert "a password" in refused.stderr
    assert "hunter2" not in refused.stderr
