"""Signatures checked in processes: the same answers as without, whatever becomes of the processes."""

import asyncio
import os
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest
from misbehaving import eventually
from world import START_US, altered, p256_key, signing_key, told

from ledger.envelope import signed_bytes
from ledger.errors import Reason
from ledger.sequence import Submission
from server.admission import Admission, PublicKeys
from server.limits import Limits
from server.verifying import FEWEST, WORTH_STARTING, SignatureProcesses
from server.writer import Writer
from suyuan.v1 import event_pb2 as pb

NOW = START_US + 3_600_000_000

KEYS = [signing_key("one"), p256_key("two")]


def claims(count, *, spoiled=()):
    """So many claims, by turns by an Ed25519 and a P-256 key; in those that are spoiled something else was signed."""
    made = []
    for number in range(count):
        key, payload = KEYS[number % 2], b"event %d" % number
        signature = key.sign(signed_bytes(b"another" if number in spoiled else payload))
        made.append((key.public_key.spki, signature, payload))
    return made


@pytest.fixture(scope="module")
def running():
    with_two = SignatureProcesses(2)
    start(with_two, 2)
    yield with_two
    with_two.close()


def start(processes, count):
    """Ask often enough that processes are started, and wait until all of them answer."""
    many = claims(FEWEST) * (WORTH_STARTING // FEWEST)
    assert processes.check(many) is None
    eventually(lambda: processes.idle == count, "the start of the processes")


def alive(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def test_each_claim_has_its_answer(running):
    assert running.check(claims(100, spoiled={0, 41, 99})) == [
        number not in {0, 41, 99} for number in range(100)
    ]


def test_what_is_no_key_or_has_another_length_does_not_hold(running):
    spki, signature, payload = claims(1)[0]
    assert running.check([(b"no key", signature, payload)] * FEWEST) == [False] * FEWEST
    assert running.check([(spki, signature, b"")] * FEWEST) == [False] * FEWEST
    assert running.check([(spki, bytes(64), payload)] * FEWEST) == [False] * FEWEST


def test_large_questions_and_many_threads_at_once(running):
    key = KEYS[0]
    payload = bytes(40_000)
    large = [(key.public_key.spki, key.sign(signed_bytes(payload)), payload)] * 64
    with ThreadPoolExecutor(2) as threads:
        answers = list(threads.map(lambda number: running.check(large[number % 2 :]), range(20)))
    assert all(answer is None or all(answer) for answer in answers)
    assert any(answer is not None for answer in answers)


def test_few_are_no_question(running):
    assert running.check(claims(FEWEST - 1)) is None


def test_none_is_started_before_it_is_worth_it():
    processes = SignatureProcesses(2)
    assert processes.check(claims(FEWEST)) is None
    assert processes.processes == []
    processes.close()


def test_one_that_dies_is_replaced_and_whoever_asked_looks_for_itself(monkeypatch):
    monkeypatch.setattr("server.verifying.RESTART_S", 0)
    processes = SignatureProcesses(1)
    start(processes, 1)
    (first,) = processes.processes
    os.kill(first, signal.SIGKILL)
    assert processes.check(claims(FEWEST)) is None
    eventually(lambda: processes.check(claims(FEWEST)) == [True] * FEWEST, "a new process")
    assert processes.processes != [first]
    processes.close()


STARTS_TWO = """
import time
from server.verifying import WORTH_STARTING, SignatureProcesses
processes = SignatureProcesses(2)
while processes.idle < 2:
    processes.check([(b"no key", bytes(64), b"")] * WORTH_STARTING)
    time.sleep(0.05)
print(*processes.processes, flush=True)
time.sleep(600)
"""


def test_they_end_with_whoever_started_them():
    """Even if that is killed."""
    with subprocess.Popen([sys.executable, "-c", STARTS_TWO], stdout=subprocess.PIPE) as parent:
        pids = [int(pid) for pid in parent.stdout.readline().split()]
        parent.kill()
    assert len(pids) == 2
    eventually(lambda: not any(map(alive, pids)), "their end")


def test_admission_says_the_same_with_and_without(running, store, signer, city):
    """Forged, unreadable, of an unknown key, and sound ones."""
    Writer(store, signer).write([Submission.read(one.raw) for one in city.founding()], NOW)
    sound = [city.listing(), *[city.scan(pb.SHIPMENT_STAGE_IN_TRANSIT) for _ in range(FEWEST)]]
    forged = [altered(one, signature=bytes(64)) for one in sound[:3]]
    short = altered(sound[3], signature=bytes(63))
    unknown = altered(sound[4], key_id=bytes(32))
    envelopes = [one.raw for one in (*sound, *forged, short, unknown)] + [b"rubbish"]

    def admitted(processes):
        with ThreadPoolExecutor(1) as workers:
            admission = Admission(PublicKeys(store), workers, 1, Limits(), processes=processes)
            return [outcome(one) for one in asyncio.run(admission.admit(envelopes))]

    def outcome(one):
        return (one.event.id, one.verified_by) if isinstance(one, Submission) else told(one)

    alone = admitted(None)
    assert admitted(running) == alone
    assert sum(isinstance(one[0], Reason) for one in alone) == 5  # refused
