"""The drill: an operator shows two histories to two people, under one key, with the very software that we ship.

It is caught in each of the three ways that there are: by the witness, which does not cosign the second history; by the
memory of a client that has seen the first; and by two people who compare what they were shown, though neither of them
knows of any witness. Each time there is evidence that convinces a stranger.
"""

from __future__ import annotations

import copy
import shutil
import time
from contextlib import contextmanager
from pathlib import Path

import pytest
from lying import refusal
from running import RunningService, running_service
from witnessing import running_witness
from world import ORIGIN, TEA

from clients.cli.main import main
from clients.sdk import FileTrust, LedgerClient, Policy
from ledger.contradiction import Contradiction, is_fork
from ledger.errors import BrokenProof, Reason
from ledger.note import VerifierKey

pytestmark = pytest.mark.xdist_group("fork drill")
"""In one process: what these share takes long to make."""

WAIT_S = 60
"""How long a checkpoint may take to be cosigned, at the very most."""


@contextmanager
def served(folder, city, *flags):
    """A log in a folder, served by whoever has its key."""
    service = RunningService(folder, city, flags=flags)
    service.start()
    try:
        yield service
    finally:
        service.stop()


@pytest.fixture(scope="module")
def drill(tmp_path_factory):
    """A log that a witness has cosigned, and then two services with a history each: `truth` and `lie`."""
    folder = tmp_path_factory.mktemp("drill")
    with running_service(folder / "log") as log:
        vkey = log.vkey
    with running_witness(folder / "witness", logs=[vkey]) as witness:
        policy = folder / "policy"
        policy.write_text(f"log {vkey}\nwitness one {witness.vkey} {witness.url}\nquorum one\n")
        flags = ("--witness-policy", str(policy), "--witness-interval", "0.1")
        with served(folder / "log", log.city, *flags) as service:
            wait_for_cosignature(service, Policy.parse(policy.read_bytes()), 6)
        shutil.copytree(folder / "log", folder / "copy")
        city, other_city = log.city, copy.deepcopy(log.city)
        with (
            served(folder / "log", city, *flags) as truth,
            served(folder / "copy", other_city, *flags) as lie,
        ):
            recorded(truth, city.listing(TEA, title="茉莉花茶"))
            wait_for_cosignature(truth, Policy.parse(policy.read_bytes()), 7)
            recorded(lie, other_city.listing(TEA, title="别的茶"), other_city.listing(TEA, title="还有茶"))
            yield truth, lie, Policy.parse(policy.read_bytes()), witness, vkey


def recorded(service, *envelopes):
    results = service.append(*envelopes).results
    assert all(result.HasField("receipt") for result in results), results


def wait_for_cosignature(service, policy, size):
    with LedgerClient(service.target, policy, witness_timeout_s=WAIT_S) as client:
        client.witnessed_checkpoint(size)


def test_the_witness_does_not_cosign_the_second_history(drill):
    _, lie, policy, witness, _ = drill
    with LedgerClient(lie.target, policy, witness_timeout_s=3) as client:
        assert refusal(lambda: client.history(TEA), Reason.UNWITNESSED).startswith(
            f"cosigned checkpoint of {ORIGIN}: given one of 6 entries, expected one of at least "
        )
        assert client.entry(index=5).index == 5, "what the witness has seen is the same in both"
    # It was asked to, time and again, and says so to its own operator.
    deadline = time.monotonic() + WAIT_S
    while "refused" not in witness.log() and time.monotonic() < deadline:
        time.sleep(0.1)
    assert "refused" in witness.log()


def test_the_witnesses_of_the_first_history_are_believed(drill):
    truth, _, policy, _, _ = drill
    with LedgerClient(truth.target, policy) as client:
        [entry] = client.history(TEA).entries
        assert entry.event.message.listing.title == "茉莉花茶"


def test_whoever_has_seen_the_first_history_remembers(drill, tmp_path):
    truth, lie, _, _, vkey = drill
    with LedgerClient(truth.target, vkey, trust=FileTrust(tmp_path)) as client:
        assert client.history(TEA).entries
    with (
        LedgerClient(lie.target, vkey, trust=FileTrust(tmp_path)) as client,
        pytest.raises(BrokenProof) as caught,
    ):
        client.history(TEA)
    assert caught.value.reason is Reason.FORK
    evidence = Contradiction.parse(Path(caught.value.evidence).read_bytes())
    one, other = evidence.verify([VerifierKey.parse(vkey)])
    assert (one.size, other.size) == (7, 8)


def test_two_people_compare_what_they_were_shown(drill, tmp_path, monkeypatch, capsys):
    truth, lie, _, _, vkey = drill
    monkeypatch.chdir(tmp_path)
    recorded(truth, truth.city.listing(TEA, title="新茶"))
    for name, service in (("alice", truth), ("bob", lie)):
        monkeypatch.setenv("SUYUAN_STATE", str(tmp_path / name))
        arguments = ["--out", f"{name}.checkpoint", "--server", service.target, "--vkey", vkey]
        assert main(["regulator", "checkpoint", *arguments]) == 0
    assert main(["regulator", "compare", "alice.checkpoint", "--offline", "--vkey", vkey]) == 6
    [kept] = (tmp_path / "bob" / "trust" / "evidence").iterdir()
    assert is_fork(*Contradiction.parse(kept.read_bytes()).verify([VerifierKey.parse(vkey)]))
    assert "two trees of 8 entries are signed" in capsys.readouterr().out
