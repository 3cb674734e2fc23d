"""Naming a database; a password in the name is never shown."""

import pytest

from ledger.errors import BadInput, Reason, ServiceFault
from server.store.database import Backend, Database
from server.store.store import Store

SECRET = "hunter2"


@pytest.mark.parametrize(
    ("given", "shown"),
    [
        (
            f"postgresql://ledger:{SECRET}@db.example:5433/suyuan",
            "postgresql://ledger@db.example:5433/suyuan",
        ),
        (f"postgres://ledger:{SECRET}@db.example/suyuan", "postgresql://ledger@db.example/suyuan"),
        (f"postgresql+psycopg://db.example/suyuan?password={SECRET}", "postgresql://db.example/suyuan"),
        (f"postgresql://db/suyuan?sslpassword={SECRET}&sslmode=require", "postgresql://db/suyuan"),
        (f"postgresql:///?service=city&password={SECRET}", "postgresql:///?service=city"),
        (
            f"postgresql://u:{SECRET}@/suyuan?host=/run/postgresql",
            "postgresql://u@%2Frun%2Fpostgresql/suyuan",
        ),
    ],
)
def test_a_url_is_shown_without_its_password(given, shown):
    database = Database.parse(given)
    assert (database.backend, str(database)) == (Backend.POSTGRESQL, shown)
    assert SECRET in database.address
    assert SECRET not in repr(database)
    assert database.named_with_password


def test_a_path_and_a_url_of_sqlite():
    assert (
        Database.parse("log.db")
        == Database.parse("sqlite:///log.db")
        == Database(Backend.SQLITE, "log.db", "log.db")
    )
    assert Database.parse("sqlite:////var/log.db").address == "/var/log.db"


def test_a_file_with_the_url_in_it(tmp_path):
    file = tmp_path / "url"
    file.write_text(f"postgresql://ledger:{SECRET}@db/suyuan\n")
    database = Database.parse(f"@{file}")
    assert str(database) == "postgresql://ledger@db/suyuan"
    assert not database.named_with_password


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (f"mysql://u:{SECRET}@db/x", "database: given mysql://…, expected the path of an SQLite file"),
        (
            f"postgresql://u:{SECRET}@db:port{SECRET}/x",
            "database: given a URL with another host or port than there can be, expected",
        ),
        (
            f"postgresql://u:p@{SECRET}@db/x",
            "database: given a URL with another host or port than there can be",
        ),
        (
            f"postgresql://u:{SECRET}/9@db/x",
            "database: given a URL with another host or port than there can be",
        ),
        (f"postgresql://u%zz:{SECRET}@db/x", "database: given a URL that libpq cannot read, expected"),
        ("", "database: given '', expected the path"),
        (":memory:", "database: given ':memory:', expected the path"),
        ("a\0b", "database: given 'a\\x00b', expected the path"),
        ("@", "database in .: given Is a directory, expected a file with a URL or a path"),
        ("@/nowhere", "database in /nowhere: given No such file or directory, expected a file"),
    ],
)
def test_what_is_none(given, message):
    with pytest.raises(BadInput) as caught:
        Database.parse(given)
    assert str(caught.value).startswith(message)
    assert SECRET not in str(caught.value)


def test_a_file_that_names_a_file(tmp_path):
    file = tmp_path / "url"
    file.write_text(f"@{file}")
    with pytest.raises(BadInput, match="given @, expected a URL or a path itself"):
        Database.parse(f"@{file}")


def test_a_server_that_is_not_there_is_told_without_the_password():
    with pytest.raises(ServiceFault, match="Connection refused") as caught:
        Store.open(f"postgresql://ledger:{SECRET}@127.0.0.1:1/suyuan")
    assert SECRET not in str(caught.value)
    assert caught.value.reason is Reason.STORE_UNAVAILABLE


@pytest.mark.parametrize(
    "statement",
    ["SELECT * FROM nowhere", "SELECT nothing FROM entries", "INSERT INTO log_head (shard) VALUES (0)"],
)
def test_tables_that_are_not_as_they_were_are_damage(store, statement):
    with pytest.raises(ServiceFault, match="database: given") as caught, store.transaction() as connection:
        connection.exec_driver_sql(statement)
    assert caught.value.reason is Reason.STORE_DAMAGED
