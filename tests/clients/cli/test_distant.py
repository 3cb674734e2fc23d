from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
from contextlib import closing, suppress
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from tiled import VKEY, files_for, long_log, note_for, serving
from world import ORIGIN, signing_key

from clients.audit.memory import path_of
from ledger.note import COSIGNATURE_ED25519, NoteSigner, VerifierKey


@pytest.fixture
def server():
    with serving(files_for(long_log(600))) as server:
        yield server


@pytest.fixture
def auditing(suyuan, monkeypatch):
    monkeypatch.setenv("SUYUAN_VKEY", VKEY)
    return suyuan


def memory(suyuan):
    return path_of(suyuan.state / "suyuan" / "audits", ORIGIN)


def test_audit_from_tiles(auditing, server):
    done = auditing("regulator", "audit", server.url)
    assert (done.status, done.err) == (0, "")
    lines = done.out.splitlines()
    assert lines[:2] == [
        f"VERIFIED  {ORIGIN}",
        "  600 entries, 8 chains, 6 parties, 600 signatures checked",
    ]
    server.files = files_for(long_log(700))
    again = auditing("regulator", "audit", server.url)
    assert again.status == 0
    assert again.out.splitlines()[-2:] == [
        "  compared with a checkpoint of 600 entries, verified before",
        "  100 of the entries are new; earlier audits have read the others",
    ]
    [remembered] = (auditing.state / "suyuan" / "trust").glob("*.checkpoint")
    assert remembered.read_bytes() == server.files["checkpoint"]


def test_audit_from_tiles_for_programs(auditing, server):
    record = auditing.json("regulator", "audit", server.url).record
    assert record["verified"] is True
    assert (record["url"], record["begun_at"], record["new_entries"]) == (server.url, 0, 600)
    assert record["entries"] == record["signatures"] == sum(record["kinds"].values()) == 600
    assert (record["compared_with"], record["findings"], record["evidence"]) == ([], [], [])


def test_a_tampered_log_stays_so_until_one_starts_from_scratch(auditing, server):
    honest = dict(server.files)
    bundle = bytearray(server.files["tile/entries/000"])
    bundle[-1] ^= 1
    server.files["tile/entries/000"] = bytes(bundle)
    done = auditing("regulator", "audit", server.url)
    assert done.status == 1
    assert done.out.startswith("entry 255: leaf hash: given bytes that hash to ")
    assert f"TAMPERED  {ORIGIN}: " in done.out
    server.files = honest
    assert auditing("regulator", "audit", server.url).status == 1
    assert auditing("regulator", "audit", server.url, "--from-scratch").status == 0


def test_a_fork_has_its_own_status_and_leaves_evidence(auditing, server):
    assert auditing("regulator", "audit", server.url).status == 0
    mine = server.files["checkpoint"]
    server.files = files_for(long_log(600)[::-1])
    done = auditing("regulator", "audit", server.url)
    assert done.status == 6
    [evidence] = (auditing.state / "suyuan" / "trust" / "evidence").iterdir()
    assert json.loads(evidence.read_text())["checkpoints"] == [
        mine.decode(),
        server.files["checkpoint"].decode(),
    ]


def test_a_rollback_has_its_own_status(auditing, server):
    assert auditing("regulator", "audit", server.url).status == 0
    server.files = files_for(long_log(599))
    done = auditing.json("regulator", "audit", server.url)
    assert (done.status, done.err) == (7, "")
    assert done.record["verified"] is False
    error = done.record["error"]
    assert (error["reason"], error["given"]) == ("ROLLBACK", "599 entries")
    assert error["evidence"]


def test_a_checkpoint_that_no_witness_has_seen(auditing, server, tmp_path):
    witness = VerifierKey.of(
        "witness.test/w", signing_key("witness").public_key.spki[-32:], COSIGNATURE_ED25519
    )
    policy = tmp_path / "policy"
    policy.write_text(f"log {VKEY}\nwitness one {witness}\nquorum one\n")
    done = auditing("regulator", "audit", server.url, "--policy", policy)
    assert (done.status, done.err) == (8, "")
    assert done.out.startswith(f"NOT VERIFIED  {ORIGIN}\n")
    assert "[UNWITNESSED]" in done.out
    assert auditing("regulator", "audit", server.url).status == 0, "and is nothing that sticks to the log"


def test_nobody_there(auditing):
    done = auditing("regulator", "audit", "http://127.0.0.1:1", "--timeout", "0.2")
    assert (done.status, done.out) == (3, "")
    assert done.err.startswith("Error: http://127.0.0.1:1/checkpoint: given connection refused")


@pytest.mark.parametrize(
    "arguments", [["ftp://a"], ["http://a", "--jobs", "0"], ["--jobs", "2"], ["--from-scratch"]]
)
def test_wrong_usage(auditing, arguments):
    assert auditing("regulator", "audit", *arguments).status == 2


def test_a_memory_that_is_none(auditing, server):
    path = memory(auditing)
    path.parent.mkdir(parents=True)
    path.write_text("something else " * 1_000)
    done = auditing("regulator", "audit", server.url)
    assert done.status == 2
    assert "--from-scratch makes a new one" in done.err
    assert auditing("regulator", "audit", server.url, "--from-scratch").status == 0


def test_a_memory_that_another_audit_has_open(auditing, server):
    assert auditing("regulator", "audit", server.url).status == 0
    with closing(sqlite3.connect(memory(auditing), isolation_level=None)) as other:
        other.execute("PRAGMA locking_mode = EXCLUSIVE")
        other.execute("BEGIN IMMEDIATE")
        done = auditing("regulator", "audit", server.url)
    assert done.status == 3
    assert "in use by another audit" in done.err


START = """
import sys
from clients.audit import signatures
from clients.cli.main import main
if __name__ == "__main__":
    signatures.WORTH_STARTING = 1
    sys.exit(main())
"""


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="looks for processes in /proc")
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT, signal.SIGTERM])
def test_an_audit_that_is_ended_from_outside(auditing, server, tmp_path, number):
    """It leaves no process behind, and the next one goes on."""
    held = server.files.pop("tile/entries/002.p/88")
    server.tricks["tile/entries/002"] = lambda _: server.released.wait(60)
    script = tmp_path / "start.py"
    script.write_text(START)
    with subprocess.Popen(
        [sys.executable, script, "regulator", "audit", server.url, "--timeout", "60", "--jobs", "2"],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True,
    ) as process:  # fmt: skip
        deadline = time.monotonic() + 60
        while "tile/entries/002" not in server.asked or len(group(process.pid)) < 3:
            assert time.monotonic() < deadline
            assert process.poll() is None, process.stderr.read()
            time.sleep(0.02)
        if number == signal.SIGINT:
            os.killpg(process.pid, number)
        else:
            process.send_signal(number)
        assert process.wait(30) == (130 if number == signal.SIGINT else -number)
        while group(process.pid):
            assert time.monotonic() < deadline, "a process is left"
            time.sleep(0.02)
        assert "Traceback" not in process.stderr.read()
    server.files["tile/entries/002.p/88"] = held
    server.tricks.clear()
    assert auditing("regulator", "audit", server.url).status == 0


def group(session):
    """The processes of a session that still run."""
    found = []
    for entry in Path("/proc").iterdir():
        with suppress(OSError):  # it has just ended, or is none
            fields = (entry / "stat").read_text().rpartition(")")[2].split()
            if int(fields[3]) == session and fields[0] != "Z":
                found.append(int(entry.name))
    return found


def test_the_log_changes_its_key(auditing, server, monkeypatch):
    assert auditing("regulator", "audit", server.url).status == 0
    after = NoteSigner(ORIGIN, Ed25519PrivateKey.from_private_bytes(bytes(range(32))))
    server.files = files_for(long_log(700))
    server.files["checkpoint"] = note_for(long_log(700), signer=after)
    assert auditing("regulator", "audit", server.url).status == 1, (
        "nobody has said that this key is the log's"
    )
    monkeypatch.setenv("SUYUAN_VKEY", f"{VKEY} {after.vkey}")
    assert auditing.json("regulator", "audit", server.url).record["begun_at"] == 600
