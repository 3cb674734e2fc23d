"""`suyuan operator` as a process: right and wrong input, and run twice."""

import json
import sqlite3
import stat

import pytest
from running import new_log, operator
from world import City


@pytest.fixture
def log(tmp_path):
    """A log with its genesis, not served."""
    return new_log(tmp_path / "log")


def files(log):
    return ("--database", log.database, "--log-key", log.log_key)


def refused(*args):
    """What a command that must fail says."""
    done = operator(*args, check=False)
    assert done.returncode != 0
    assert "Traceback" not in done.stderr
    return done.stderr.strip()


class TestInit:
    def test_it_makes_a_key_that_only_its_owner_can_read(self, log):
        assert stat.S_IMODE(log.log_key.stat().st_mode) == 0o600

    def test_a_second_run_changes_nothing(self, log):
        key, database = log.log_key.read_bytes(), log.database.read_bytes()
        done = operator("init", "--genesis", log.folder / "genesis.bin", *files(log))
        assert done.stdout.startswith("There already is the log ledger.test/city in ")
        assert log.vkey in done.stdout
        assert (log.log_key.read_bytes(), log.database.read_bytes()) == (key, database)

    def test_another_origin_is_refused(self, log):
        other = log.folder / "other.bin"
        other.write_bytes(City().genesis("ledger.test/other").raw)
        assert "given genesis of ledger.test/other, expected that of ledger.test/city" in refused(
            "init", "--genesis", other, *files(log)
        )

    def test_another_genesis_of_the_same_origin_is_refused(self, log):
        city = City()
        city.said = 7
        other = log.folder / "other.bin"
        other.write_bytes(city.genesis().raw)
        assert "given another genesis of ledger.test/city" in refused("init", "--genesis", other, *files(log))

    def test_something_else_than_a_genesis_is_refused(self, log, tmp_path):
        other = tmp_path / "other.bin"
        other.write_bytes(log.founding[0].raw)
        assert "given a party_registration, expected a signed genesis" in refused(
            "init", "--genesis", other, *files(log)
        )
        other.write_bytes(b"junk")
        assert "envelope: given bytes that are no protobuf message" in refused(
            "init", "--genesis", other, *files(log)
        )
        assert "given No such file or directory" in refused(
            "init", "--genesis", tmp_path / "none", *files(log)
        )

    def test_as_json(self, log):
        done = operator("init", "--genesis", log.folder / "genesis.bin", *files(log), "--format", "json")
        assert json.loads(done.stdout) == {
            "origin": "ledger.test/city", "vkey": log.vkey, "vkeys": [log.vkey],
            "database": str(log.database), "made": False,
        }  # fmt: skip


class TestLogKey:
    def test_a_key_that_others_can_read_is_refused(self, log):
        log.log_key.chmod(0o644)
        assert "given mode 0644, expected mode 0600" in refused("vkey", *files(log))

    def test_a_key_that_is_not_there(self, log):
        log.log_key.unlink()
        assert "given No such file or directory, expected an Ed25519 key as PKCS#8 PEM" in refused(
            "vkey", *files(log)
        )

    def test_something_else(self, log):
        log.log_key.write_text("junk")
        assert "given something else, expected an Ed25519 key" in refused("vkey", *files(log))

    def test_the_key_of_another_log_does_not_serve(self, log, tmp_path):
        other = new_log(tmp_path / "other")
        done = operator("serve", "--database", log.database, "--log-key", other.log_key, "--listen", "127.0.0.1:0",
                        check=False)  # fmt: skip
        assert done.returncode != 0
        assert "log key: given ledger.test/city+" in done.stderr
        assert "expected a key that has signed the newest checkpoint, ledger.test/city+" in done.stderr
        assert "stopped" not in done.stderr


class TestServe:
    def test_no_database(self, log, tmp_path):
        assert "given no file" in refused(
            "serve", "--database", tmp_path / "none.db", "--log-key", log.log_key
        )

    def test_an_address_that_cannot_be_had(self, log):
        assert "expected host:port that is free to listen on" in refused(
            "serve", *files(log), "--listen", "203.0.113.1:1"
        )

    @pytest.mark.parametrize(
        "address", ["127.0.0.1:65536", "127.0.0.1:99999", "nonsense", "127.0.0.1:", ":7443", "1:2:3"]
    )
    def test_something_that_is_no_address(self, log, address):
        assert f"address: given {address}, expected HOST:PORT" in refused(
            "serve", *files(log), "--listen", address
        )

    def test_a_certificate_that_is_none(self, log, tmp_path):
        (tmp_path / "c.pem").write_text("junk")
        (tmp_path / "k.pem").write_text("junk")
        flags = ("--tls-cert", tmp_path / "c.pem", "--tls-key", tmp_path / "k.pem")
        said = refused("serve", *files(log), "--listen", "127.0.0.1:0", *flags)
        assert f"TLS files {tmp_path / 'c.pem'} and {tmp_path / 'k.pem'}: given something else" in said
        assert "stopp" not in said

    def test_tls_needs_both_files(self, log):
        assert "--tls-cert and --tls-key go together" in refused("serve", *files(log), "--tls-cert", "x.pem")

    def test_a_tls_file_that_is_not_there(self, log, tmp_path):
        flags = ("--tls-cert", tmp_path / "c.pem", "--tls-key", tmp_path / "k.pem")
        assert "expected a PEM file" in refused("serve", *files(log), "--listen", "127.0.0.1:0", *flags)


def change(log, statement):
    with sqlite3.connect(log.database) as connection:
        connection.execute(statement)
    connection.close()


class TestLookingAfter:
    def test_rebuild_and_check(self, log):
        assert operator("rebuild", *files(log)).stdout == "Rebuilt all views from 1 entries.\n"
        done = operator("check", *files(log), "--format", "json")
        assert json.loads(done.stdout) == {
            "ok": True,
            "entries": 1,
            "findings": [],
            "more_findings": 0,
            "rows": [],
        }

    def test_check_finds_damage_and_says_so_by_its_status(self, log):
        change(log, "UPDATE parties SET name = 'x'")
        done = operator("check", *files(log), check=False)
        assert done.returncode == 1
        assert done.stdout.splitlines() == [
            "parties party party/11350100003604566X: given other values of name", "DAMAGED: 1 entries",
        ]  # fmt: skip
        operator("rebuild", *files(log))
        assert operator("check", *files(log)).stdout == "OK: 1 entries\n"

    @pytest.mark.parametrize(
        ("statement", "finding"),
        [
            ("DELETE FROM log_head", "log_head row: log_head: given no row, expected the head of a log"),
            ("UPDATE log_head SET checkpoint = x'00'", "log_head row: form of a note: given "),
            ("DELETE FROM alembic_version", "schema of {database}: given no version, expected version 4"),
            ("DELETE FROM entries", "entry 0 in {database}: given none, expected a genesis"),
            ("UPDATE entries SET data = x'00'", "entry 0 in {database}: entry: given "),
            ("DROP TABLE entries", "database: given no such table: entries"),
            ("DROP TABLE recalls", "recalls: given no table, expected one"),
        ],
    )
    def test_check_reports_any_damage_as_damage(self, log, statement, finding):
        change(log, statement)
        done = operator("check", *files(log), check=False)
        assert done.returncode == 1, done.stderr
        *findings, verdict = done.stdout.splitlines()
        assert findings[0].startswith(finding.format(database=log.database)), done.stdout
        assert verdict.startswith("DAMAGED: ")

    def test_check_with_the_key_of_another_log_is_no_damage(self, log, tmp_path):
        other = new_log(tmp_path / "other")
        for command in ("check", "rebuild"):
            said = refused(command, "--database", log.database, "--log-key", other.log_key)
            assert "expected a key that has signed the newest checkpoint" in said

    def test_rebuild_makes_a_dropped_view_again(self, log):
        change(log, "DROP TABLE recalls")
        operator("rebuild", *files(log))
        assert operator("check", *files(log)).stdout == "OK: 1 entries\n"
