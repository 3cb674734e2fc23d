"""A database that was changed behind the log's back: nothing that would not verify leaves, and nobody sees the inside."""

import sqlite3
from contextlib import closing

import pytest
from fetching import fetch
from raw_log import RawLog

from server.store import engine, queries

DAMAGED = b"the log's database is damaged; the service's log has the details\n"


@pytest.fixture
def log(tmp_path):
    return RawLog.make(tmp_path / "log.db", 600)


@pytest.fixture
def served_log(log, served):
    with served(log.database) as url:
        yield log, url


TILE = "UPDATE tiles SET data = {} WHERE level = {} AND idx = {}"


@pytest.mark.parametrize(
    ("statement", "path", "said"),
    [
        (TILE.format("substr(data, 1, 8160)", 0, 0), "/tile/0/000", "tile 0/0: given 8160 bytes, expected 8192 to 8192"),
        (TILE.format("substr(data, 1, 8191)", 0, 0), "/tile/0/000.p/7", "tile 0/0: given 8191 bytes"),
        (TILE.format("data || data", 0, 0), "/tile/0/000.p/7", "tile 0/0: given 16384 bytes"),
        (TILE.format("x''", 0, 2), "/tile/0/002.p/88", "tile 0/2: given 0 bytes, expected 2816 to 8192 bytes"),
        ("DELETE FROM tiles WHERE level = 0 AND idx = 1", "/tile/0/001.p/3", "tile 0/1: given none"),
        (TILE.format("x'00' || substr(data, 2)", 0, 0), "/tile/0/000", "hash over tile 0/0: given "),
        (TILE.format("x'00' || substr(data, 2)", 1, 0), "/tile/0/000", "hash over tile 0/0: given "),
        ("DELETE FROM tiles WHERE level = 1", "/tile/0/000", "tile 1/0: given none"),
        (TILE.format("x'00' || substr(data, 2)", 0, 0), "/tile/entries/000", "hash of entry 0: given "),
        ("UPDATE entries SET data = x'00' WHERE idx = 599", "/tile/entries/002.p/88", "hash of entry 599: given "),
        ("UPDATE entries SET data = 'text' WHERE idx = 3", "/tile/entries/000", "hash of entry 3: given "),
        ("UPDATE entries SET data = zeroblob(65536) WHERE idx = 3", "/tile/entries/000.p/4", "hash of entry 3: given "),
        ("UPDATE entries SET data = zeroblob(20000000) WHERE idx = 3", "/tile/entries/000.p/4", "entry 3: given none"),
        ("DELETE FROM entries WHERE idx = 300", "/tile/entries/001", "entry 300: given none, expected an entry"),
        ("UPDATE log_head SET checkpoint = x'00'", "/checkpoint", "checkpoint: given form of a note"),
        ("UPDATE log_head SET root = zeroblob(32)", "/checkpoint", "checkpoint: given published checkpoint: given size 600"),
        ("UPDATE log_head SET size = 599", "/checkpoint", "expected one of the log whose head has size 599"),
        ("INSERT INTO published VALUES (0, 5, 'junk', 1)", "/checkpoint", "checkpoint: given form of a note"),
        ("UPDATE log_head SET size = 'many'", "/tile/0/000", "size of log_head: given a value of type str, expected int"),
        ("DELETE FROM log_head", "/tile/0/000", "log: given no genesis, expected a log"),
        ("UPDATE log_head SET checkpoint = x'00'", "/", "checkpoint: given form of a note"),
    ],
)  # fmt: skip
def test_what_would_not_verify_does_not_leave(served_log, capsys, statement, path, said):
    log, url = served_log
    log.execute(statement)
    capsys.readouterr()
    answer = fetch(url, path)
    assert (answer.status, answer.body, answer.headers["cache-control"]) == (500, DAMAGED, "no-store")
    logged = capsys.readouterr().out
    assert "request_failed" in logged
    assert said in logged
    assert "STORE_DAMAGED" in logged


def test_what_is_beside_the_damage_is_served(log, served):
    log.execute("DELETE FROM entries WHERE idx = 300")
    with served(log.database) as url:
        answers = [
            fetch(url, path).status for path in ("/tile/entries/000", "/tile/entries/001.p/44", "/tile/0/001")
        ]
    assert answers == [200, 200, 200]


def test_what_nobody_foresaw_is_logged_and_told_without_its_inside(log, served, monkeypatch, capsys):
    with served(log.database) as url:
        # No damage that we know of gets so far.
        monkeypatch.setattr(queries, "tile_reader", None)
        answer = fetch(url, "/tile/0/000")
    assert (answer.status, answer.body) == (500, b"internal error; the service's log has the details\n")
    logged = capsys.readouterr().out
    assert "request_crashed" in logged
    assert "Traceback" in logged


def test_a_busy_database(log, served, monkeypatch):
    monkeypatch.setattr(engine, "BUSY_TIMEOUT_MS", 50)
    with closing(sqlite3.connect(log.database, isolation_level=None)) as other:
        # With a write-ahead log readers never wait; without one they do.
        other.execute("PRAGMA journal_mode=DELETE")
        with served(log.database) as url:
            other.execute("BEGIN EXCLUSIVE")
            answer = fetch(url, "/tile/0/000")
            assert (answer.status, answer.body) == (503, b"busy; come back\n")
            assert answer.headers["retry-after"] == "1"
            assert answer.headers["cache-control"] == "no-store"
            other.execute("COMMIT")
            assert fetch(url, "/tile/0/000").status == 200


def test_a_file_that_is_kept_needs_no_database(log, served):
    with served(log.database) as url:
        before = fetch(url, "/tile/entries/000", Accept_Encoding="gzip")
        log.execute("DELETE FROM entries WHERE idx = 0")
        assert fetch(url, "/tile/entries/000", Accept_Encoding="gzip") == before
        assert fetch(url, "/tile/entries/000.p/255").status == 500
