"""`suyuan regulator checkpoint` and `compare`, and whom `--policy` and `--vkey` have believed."""

from __future__ import annotations

import copy
import shutil
from contextlib import contextmanager
from pathlib import Path

import pytest
from lying import cosigning as saying
from lying import lying_service
from running import RunningService, running_service
from world import ORIGIN, TEA, City, signing_key

from ledger.checkpoint import Checkpoint, open_checkpoint, sign_checkpoint
from ledger.contradiction import Contradiction
from ledger.cosignature import Cosigner
from ledger.errors import Reason
from ledger.note import NoteSigner, VerifierKey

W1 = Cosigner("witness.test/w1", signing_key("w1")._key)


@pytest.fixture
def own(suyuan, tmp_path, monkeypatch):
    """The command line, with a service of this test's own."""
    with running_service(tmp_path / "service") as running:
        monkeypatch.setenv("SUYUAN_SERVER", running.target)
        monkeypatch.setenv("SUYUAN_VKEY", running.vkey)
        suyuan.service = running
        yield suyuan


def test_a_checkpoint_for_others(online, service):
    done = online.json("regulator", "checkpoint", "--out", "monday.checkpoint")
    assert (done.status, done.err) == (0, "")
    note = Path("monday.checkpoint").read_bytes()
    checkpoint = open_checkpoint(note, ORIGIN, [VerifierKey.parse(service.vkey)])
    assert done.record == {
        "origin": ORIGIN,
        "size": checkpoint.size,
        "root": checkpoint.root.hex(),
        "note": note.decode(),
        "cosignatures": [],
        "file": "monday.checkpoint",
    }
    again = online("regulator", "checkpoint", "--out", "monday.checkpoint")
    assert again.status == 2
    assert "given a file that exists, expected a new file" in again.err


def test_a_checkpoint_on_the_screen(online):
    done = online("regulator", "checkpoint")
    assert done.status == 0
    first, empty, origin, size, *_ = done.out.splitlines()
    assert (empty, origin) == ("", ORIGIN)
    assert first.startswith(f"{ORIGIN}: {size} entries, root ")


def test_checkpoints_of_one_log(own):
    own("regulator", "checkpoint", "--out", "early")
    own.service.append(own.service.city.listing(TEA))
    own("regulator", "checkpoint", "--out", "late")
    done = own("regulator", "compare", "late", "early")
    assert done.status == 0
    lines = done.out.splitlines()
    assert lines[0] == f"CONSISTENT  {ORIGIN}"
    assert [line.split()[0] for line in lines[1:]] == ["6", "7", "7", "7"]
    assert lines[3].endswith("(seen before)")
    assert lines[4].endswith("(the service, now)")


def test_a_log_that_grows_while_it_is_compared(own):
    own("regulator", "checkpoint", "--out", "early")

    def grow(request, answer):
        own.service.append(own.service.city.listing(TEA))

    with lying_service(own.service.target) as liar:
        liar.tell("GetCheckpoint", grow)
        done = own.json("regulator", "compare", "early", "--server", liar.target)
        assert len(liar.calls("GetCheckpoint")) == 1, "its size and its signed note are of one answer"
    assert done.status == 0
    assert [one["size"] for one in done.record["checkpoints"]] == [6, 6, 6]


def test_without_the_service_sizes_cannot_be_compared(own, monkeypatch):
    own("regulator", "checkpoint", "--out", "early")
    own.service.append(own.service.city.listing(TEA))
    own("regulator", "checkpoint", "--out", "late")
    monkeypatch.setenv("SUYUAN_SERVER", "127.0.0.1:1")
    assert own("regulator", "compare", "late", "--offline").status == 0, "it is what was seen"
    done = own.json("regulator", "compare", "late", "early", "--offline")
    assert done.status == 1
    assert (done.record["consistent"], done.record["unproven"]) == (False, 1)
    assert own("regulator", "compare", "late", "early").status == 3


@pytest.fixture
def two_faced(suyuan, tmp_path, monkeypatch):
    """An operator with several histories under one key, and in files what each of three people was shown."""
    with running_service(tmp_path / "common") as log:
        monkeypatch.setenv("SUYUAN_VKEY", log.vkey)
    for name, titles in (("alice", ["茶"]), ("bob", ["别的茶"]), ("carol", ["别的茶", "还有茶"])):
        city = copy.deepcopy(log.city)
        shutil.copytree(tmp_path / "common", tmp_path / f"{name}s")
        with served(tmp_path / f"{name}s") as service:
            results = service.append(*[city.listing(TEA, title=title) for title in titles]).results
            assert all(result.HasField("receipt") for result in results)
            state = tmp_path / f"{name}s" / "state"
            done = suyuan(
                "regulator", "checkpoint", "--out", name, "--server", service.target, SUYUAN_STATE=state
            )
            assert done.status == 0, done.err
    return suyuan


@contextmanager
def served(folder):
    """A log in a folder, served again."""
    service = RunningService(folder, City())
    service.start()
    try:
        yield service
    finally:
        service.stop()


def test_two_people_find_out_that_they_were_shown_two_logs(two_faced):
    done = two_faced.json("regulator", "compare", "alice", "bob", "--offline")
    assert done.status == 6
    assert done.record["consistent"] is False
    [message] = done.record["contradictions"]
    assert message.startswith("two trees of 7 entries are signed: ")
    [kept] = done.record["evidence"]
    evidence = Contradiction.parse(Path(kept).read_bytes())
    assert {*evidence.checkpoints} == {Path("alice").read_bytes(), Path("bob").read_bytes()}

    # Whoever is given the evidence sees it too, and needs nobody for that.
    again = two_faced("regulator", "compare", kept, "--offline", SUYUAN_STATE=Path("elsewhere").resolve())
    assert again.status == 6
    assert again.out.startswith(f"FORK  {ORIGIN}\n")


def test_sizes_that_the_log_cannot_connect(two_faced, tmp_path):
    with served(tmp_path / "carols") as service:
        done = two_faced.json("regulator", "compare", "alice", "carol", "--server", service.target)
        assert done.status == 6
        [message] = done.record["contradictions"]
        assert message.startswith("the log cannot prove that the tree of 8 entries continues that of 7")
        [kept] = done.record["evidence"]
        evidence = Contradiction.parse(Path(kept).read_bytes())
        assert evidence.checkpoints == (Path("alice").read_bytes(), Path("carol").read_bytes())
        again = two_faced(
            "regulator", "compare", kept, "--server", service.target, SUYUAN_STATE=tmp_path / "x"
        )
        assert again.status == 6, "whoever is given it can have it confirmed"


def test_a_service_that_shows_less_than_was_signed(two_faced, tmp_path):
    with served(tmp_path / "common") as service:
        done = two_faced.json("regulator", "compare", "alice", "--server", service.target)
    assert done.status == 7
    assert done.record["contradictions"] == ["the service shows 6 entries; the log has signed 7"]
    [kept] = done.record["evidence"]
    assert Contradiction.parse(Path(kept).read_bytes()).reason is Reason.ROLLBACK


def test_what_the_log_has_not_signed_proves_nothing(online, service):
    impostor = NoteSigner(ORIGIN, signing_key("impostor")._key)
    Path("forged").write_bytes(sign_checkpoint(Checkpoint(ORIGIN, 3, bytes(32)), impostor))
    done = online("regulator", "compare", "forged")
    assert done.status == 5
    assert "checkpoint in forged: signatures of the note: given 1 by unknown keys" in done.err
    Path("nonsense").write_text("{}")
    assert online("regulator", "compare", "nonsense").status == 2
    assert online("regulator", "compare", "missing").status == 2


# Whom to believe


@pytest.fixture
def cosigning(online, service):
    """A service whose checkpoints w1 has cosigned, and a policy that wants that."""
    Path("policy").write_text(f"log {service.vkey}\nwitness shanghai {W1.vkey}\nquorum shanghai\n")

    with lying_service(service.target) as liar:
        liar.tell("GetCheckpoint", saying(service, W1))
        yield liar


def test_a_policy_says_whom_to_believe(online, cosigning, goods, keys, monkeypatch):
    monkeypatch.delenv("SUYUAN_VKEY")
    done = online("regulator", "checkpoint", "--policy", "policy", "--server", cosigning.target)
    assert (done.status, done.err) == (0, "")
    assert "cosigned by shanghai, 2026-09-21" in done.out
    listed = ("merchant", "list", goods, "--title", "茶", "--category", "food", "--key", keys["merchant"])
    here = ("--policy", "policy", "--server", cosigning.target)
    done = online(*listed, *here)
    assert (done.status, done.err) == (0, "Cosigned by shanghai\n")
    assert online("platform", "history", goods, *here).status == 0


def test_a_missing_cosignature_has_a_status_of_its_own(online, cosigning, service, goods, keys):
    cosigning.tell("GetCheckpoint", saying(service))
    here = ("--policy", "policy", "--server", cosigning.target)
    done = online("regulator", "checkpoint", *here)
    assert done.status == 8
    assert done.err == (
        f"Error: cosignatures of the checkpoint of {ORIGIN}: given none that count, "
        "expected a quorum: shanghai [UNWITNESSED]\n"
    )
    done = online.json("regulator", "audit", *here)
    assert done.status == 8
    assert [finding["reason"] for finding in done.record["findings"]] == ["UNWITNESSED"]
    listed = ("merchant", "list", goods, "--title", "茶", "--category", "food", "--key", keys["merchant"])
    assert online(*listed, "--server", cosigning.target).status == 0
    done = online.json("regulator", "verify", goods, *here)
    assert done.status == 8
    assert done.record["error"]["reason"] == "UNWITNESSED"
    assert online("regulator", "verify", goods, "--server", cosigning.target).status == 0


def test_what_is_recorded_but_not_cosigned(online, cosigning, service, goods, keys):
    cosigning.tell("GetCheckpoint", saying(service))
    listed = ("merchant", "list", goods, "--title", "茶", "--category", "food", "--key", keys["merchant"])
    done = online.json(*listed, "--policy", "policy", "--server", cosigning.target)
    assert done.status == 8
    assert done.record["recorded"] is True
    assert done.err.startswith(
        "It is recorded, but the witnesses that your policy asks for have not cosigned it.\n"
    )


def test_a_policy_in_the_configuration(online, cosigning, tmp_path):
    Path("config").mkdir(exist_ok=True)
    Path("config/suyuan").mkdir()
    Path("config/suyuan/policy").write_bytes(Path("policy").read_bytes())
    Path("config/suyuan/config.toml").write_text('policy = "policy"\n')
    done = online("regulator", "checkpoint", "--server", cosigning.target)
    assert "cosigned by shanghai" in done.out


@pytest.mark.parametrize(
    ("policy", "told"),
    [
        ("quorum none", "end of the policy: given b'quorum none', expected a newline"),
        ("quorum none\n", "verifier key of the log: given none, expected --vkey"),
        ("nonsense\nquorum none\n", "policy, line 1: line: given 'nonsense', expected log VKEY"),
    ],
)
def test_a_policy_that_says_nothing(suyuan, policy, told):
    Path("policy").write_text(policy)
    done = suyuan("regulator", "checkpoint", "--policy", "policy")
    assert done.status == 2
    assert told in done.err


def test_keys_of_two_logs(suyuan):
    keys = [NoteSigner(name, signing_key(name)._key).vkey for name in ("a.test", "b.test")]
    done = suyuan("regulator", "checkpoint", "--vkey", " ".join(map(str, keys)))
    assert done.status == 2
    assert "logs to believe: given a.test, b.test, expected one: say which by --vkey" in done.err


def test_the_old_key_and_the_new_one(online, service):
    new = NoteSigner(ORIGIN, signing_key("the next key")._key).vkey
    assert online("regulator", "checkpoint", "--vkey", f"{new} {service.vkey}").status == 0
    assert online("regulator", "checkpoint", "--vkey", f"{new}").status == 5
