"""`operator backup` and `operator restore`, with a service and its witness at work."""

from __future__ import annotations

import json
import sqlite3
import time
from contextlib import closing
from types import SimpleNamespace

from running import new_log, running_service
from typer.testing import CliRunner
from witnessing import running_witness
from world import MERCHANT

from ledger.chain_key import ChainKey
from ledger.errors import LedgerError
from server.commands import app
from suyuan.v1 import ledger_service_pb2 as pb

PATIENCE_S = 60


def run(*args):
    """What a command prints that must succeed; in this process, for each of its own takes its time to start."""
    done = CliRunner().invoke(app, [*map(str, args)])
    assert done.exit_code == 0, done.exception or done.output
    return done.stdout


def refused(*args):
    """What a command that must fail raises."""
    error = CliRunner().invoke(app, [*map(str, args)]).exception
    assert isinstance(error, LedgerError), error
    return f"{error} [{error.reason}]"


def listing(service, number):
    return service.city.listing(ChainKey.serial("06901234567892", f"R{number}"), by=MERCHANT)


def wait_for_witness(service, size):
    """Wait until the witness has cosigned at least so many entries."""
    deadline = time.monotonic() + PATIENCE_S
    while True:
        with sqlite3.connect(service.database) as connection:
            [(published,)] = connection.execute("SELECT size FROM published").fetchall() or [(0,)]
        if published >= size:
            return
        assert time.monotonic() < deadline, service.log()
        time.sleep(0.05)


def test_a_drill(tmp_path):
    """A backup is taken while the service goes on, and the log grows on; then the database is lost."""
    origin_log = new_log(tmp_path / "served")
    stopped = closing(SimpleNamespace(close=origin_log.stop))
    with running_witness(tmp_path / "witness", logs=[origin_log.vkey]) as witness, stopped:
        policy = tmp_path / "witnesses.policy"
        policy.write_text(f"witness w1 {witness.vkey} {witness.url}\nquorum w1\n")
        origin_log.flags = ("--witness-policy", str(policy), "--witness-interval", "0.1")
        origin_log.start()
        origin_log.append(*origin_log.founding)
        files = ("--database", origin_log.database, "--log-key", origin_log.log_key)

        backup = tmp_path / "monday.backup"
        taken = json.loads(run("backup", *files, "--out", backup, "--format", "json"))
        assert (taken["file"], taken["origin"]) == (str(backup), "ledger.test/city")
        assert taken["bytes"] == backup.stat().st_size
        expected = f"file {backup}: given a file that exists, expected a new file [INVALID_REQUEST]"
        assert refused("backup", *files, "--out", backup) == expected

        origin_log.append(listing(origin_log, 1), listing(origin_log, 2))
        wait_for_witness(origin_log, taken["entries"] + 2)
        newest = origin_log.ledger.GetCheckpoint(pb.GetCheckpointRequest()).checkpoint.note
        assert origin_log.stop() == 0

        new = tmp_path / "restored.db"
        vkey = ("--vkey", origin_log.vkey)
        restore = ("restore", "--from", backup, "--database", new)
        why = refused(*restore, *vkey, "--witness-policy", policy)
        fewer = f"{taken['entries']} entries, 2 fewer than the witness w1 has seen"
        assert why.startswith(f"backup: given {fewer}, expected at least")
        assert why.endswith("a newer backup [ROLLBACK]")
        seen = tmp_path / "newest"
        seen.write_bytes(newest)
        assert refused(*restore, *vkey, "--seen", seen).endswith("[ROLLBACK]")
        assert not new.exists(), "nothing was made"

        told = run(*restore, *vkey, "--witness-policy", policy, "--accept-rollback")
        first, rolled_back, *_ = told.splitlines()
        assert first == f"Restored {taken['entries']} entries of ledger.test/city into {new}"
        assert rolled_back.startswith("ROLLED BACK: the witness w1 has seen 2 entries more.")
        assert told.endswith(f"`serve` needs the one of {origin_log.vkey}\n")
        run("check", "--database", new, "--log-key", origin_log.log_key)
        assert refused(*restore, *vkey).startswith("database: given a log, expected a new one")

    there = ("restore", "--from", backup, "--database", tmp_path / "x.db", "--vkey", origin_log.vkey)
    why = refused(*there, "--witness-policy", policy)
    assert "witnesses: given no answer of enough of them for a quorum: w1 (" in why
    assert why.endswith("[UNREACHABLE]")


def test_a_restored_log_is_served_and_goes_on(tmp_path):
    with running_service(tmp_path / "served") as service:
        files = ("--database", service.database, "--log-key", service.log_key)
        told = run("backup", *files, "--out", tmp_path / "log.backup")
        assert "The log's signing key is not in it" in told
        before = service.ledger.GetCheckpoint(pb.GetCheckpointRequest()).checkpoint.note
        service.stop()
        service.database.rename(tmp_path / "lost.db")
        told = run("restore", "--from", tmp_path / "log.backup", *files)
        assert "Nobody was asked whether the log was longer than this" in told
        service.start()
        assert service.ledger.GetCheckpoint(pb.GetCheckpointRequest()).checkpoint.note == before
        assert service.append(*service.founding).results[0].receipt.already_recorded
        assert service.append(listing(service, 3)).results[0].HasField("receipt")


def test_the_key_of_another_log(tmp_path):
    log = new_log(tmp_path / "log")
    other = log.vkey.replace("ledger.test/city", "ledger.test/other")
    taking = ("backup", "--database", log.database, "--out", tmp_path / "log.backup")
    assert refused(*taking, "--vkey", other).endswith("[BAD_KEY]")
    run(*taking, "--vkey", log.vkey)
    restoring = ("restore", "--from", tmp_path / "log.backup", "--database", tmp_path / "new.db")
    assert refused(*restoring, "--vkey", other).endswith("[BAD_KEY]")
    assert not (tmp_path / "new.db").exists()
