"""Whatever logs, clients, clocks and crashes do: never two cosignatures on checkpoints that contradict each other.

`SUYUAN_SOAK=1` makes the random histories longer.
"""

from __future__ import annotations

import os
import random
import shutil
import signal
import sqlite3
import tempfile
import threading
import time
from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import cache
from itertools import pairwise
from pathlib import Path

import pytest
import urllib3
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given, settings
from hypothesis import strategies as st
from witnessing import SmallLog, new_witness, post

from clients.witness.memory import Memory, origin_hash
from clients.witness.witness import Witness
from ledger.checkpoint import Checkpoint
from ledger.cosignature import Cosigner, cosignatures_of
from ledger.errors import LedgerError
from ledger.note import NoteSignature, SignedNote
from ledger.witness import AddCheckpoint, http_status, known_logs

SOAK = os.environ.get("SUYUAN_SOAK") == "1"

SIZE = 120
BRANCHES = {"": 0, "early": 3, "middle": 30, "late": 90}
"""The histories that a lying log has ready, and the leaf from which each is unlike all others."""


class LyingLog:
    """A log that signs for several histories."""

    def __init__(self, origin):
        self.origin = origin
        self.branches = [
            SmallLog(origin, since=since, branch=name, size=SIZE) for name, since in BRANCHES.items()
        ]
        self.vkey = self.branches[0].vkey
        self.heads = [[branch.checkpoint(size) for size in range(SIZE + 1)] for branch in self.branches]

    def are_consistent(self, one, other):
        """Whether one history has both as its heads."""
        return any(heads[one.size] == one and heads[other.size] == other for heads in self.heads)


@cache
def lying_log(origin):
    return LyingLog(origin)


class Cosignatures:
    """Everything that was ever cosigned, as its receivers and the database know it."""

    def __init__(self, logs, keys):
        self.logs = {log.origin: log for log in logs}
        self.keys = keys
        self.seen = defaultdict(set)
        """For each origin the checkpoints that were cosigned."""
        self.answers = 0
        self._lock = threading.Lock()

    def add(self, note, lines=()):
        """Take a checkpoint and cosignatures of it, which have to verify; returns their time."""
        signed = SignedNote.parse(note).with_signatures(*lines)
        found = cosignatures_of(signed, self.keys)
        assert len(found) == len(self.keys)
        checkpoint, time_s = Checkpoint.parse(signed.text), max(one.time_s for one in found)
        with self._lock:
            self.answers += 1
            self.seen[checkpoint.origin].add(checkpoint)
        return time_s

    def largest(self, origin):
        """The largest size that was cosigned."""
        with self._lock:
            return max((checkpoint.size for checkpoint in self.seen[origin]), default=0)

    def check(self, memory):
        """What this is about; and that nothing was given away that is not on the disk."""
        for origin, log in self.logs.items():
            latest = memory.latest(origin_hash(origin))
            if latest is not None:
                self.add(latest.note.encode())
            seen = sorted(self.seen[origin], key=lambda checkpoint: checkpoint.size)
            for one, other in pairwise(seen):
                # Neighbours suffice: what continues what continues the first continues the first.
                assert log.are_consistent(one, other), (one, other)
            if seen:
                assert latest is not None
                assert latest.checkpoint == seen[-1]


# Any order of requests, on the memory itself


class Clock:
    now_s = 1000

    def __call__(self):
        return self.now_s


class Killed(Exception):
    """The process is gone."""


ED = Cosigner("witness.example/w1", Ed25519PrivateKey.from_private_bytes(b"w" * 32))

asking = st.tuples(
    st.integers(0, len(BRANCHES) - 1),
    st.integers(0, SIZE),
    st.sampled_from(["latest"] * 4 + ["any"]),
    st.sampled_from(["right"] * 4 + ["none", "another's"]),
)
steps = st.one_of(
    st.tuples(st.just("ask"), asking),
    st.tuples(st.just("ask, and the answer is lost"), asking),
    st.tuples(st.just("killed while it writes"), asking),
    st.tuples(st.just("ask again"), st.integers(0, 40)),
    st.tuples(st.just("clock"), st.integers(-500, 500)),
)


def body_of(log, asked, latest, rng):
    """What a client asks for, who may be honest, mistaken or a liar."""
    branch, new, believed, proof = asked
    old = min(latest if believed == "latest" else rng.randrange(SIZE + 1), new)
    prover = log.branches[branch if proof == "right" else rng.randrange(len(BRANCHES))]
    hashes = () if proof == "none" else prover.proof(old, new)
    return AddCheckpoint(old, hashes, log.branches[branch].note(new)).encode()


class Mortal(Memory):
    """A memory whose process may be killed in the middle of a transaction: what is left then are copies of its files."""

    heir = None
    """Where the copies go, if it is to die."""

    @contextmanager
    def writing(self):
        with super().writing():
            yield
            if self.heir is not None:
                for end in ("", "-wal"):
                    shutil.copy(f"{self._path}{end}", f"{self.heir}{end}")
                raise Killed


@given(st.lists(steps, max_size=25), st.randoms(use_true_random=False))
@settings(max_examples=1_000 if SOAK else 40)
def test_any_order_of_requests_and_crashes(history, rng):
    log, clock, bodies, lives = lying_log("lying.example"), Clock(), [], 0
    known = known_logs([(log.origin, log.vkey)])
    cosigned, times = Cosignatures([log], [ED.vkey]), []
    with tempfile.TemporaryDirectory() as folder:
        memory = Mortal(Path(folder, "0"))
        for step, what in history:
            if step == "clock":
                clock.now_s = max(0, clock.now_s + what)
                continue
            latest = memory.latest(origin_hash(log.origin))
            if step != "ask again":
                bodies.append(body_of(log, what, latest.checkpoint.size if latest else 0, rng))
            elif not bodies:
                continue
            body = bodies[what % len(bodies)] if step == "ask again" else bodies[-1]
            request, refusal = AddCheckpoint.parse(body), None
            if step == "killed while it writes":
                memory.heir = Path(folder, str(lives + 1))
            try:
                lines = Witness((ED,), known, memory, clock).cosign(request.open(known))
                if step != "ask, and the answer is lost":
                    times.append(cosigned.add(request.note, lines))
            except Killed:
                memory.close()
                lives += 1
                memory = Mortal(Path(folder, str(lives)))
                assert memory.latest(origin_hash(log.origin)) == latest
            except LedgerError as error:
                refusal = error
            assert refusal is None or http_status(refusal) in {400, 409, 422}
            memory.heir = None
            cosigned.check(memory)
        memory.close()
    assert times == sorted(times)


# Real processes, killed

# Two processes on one database are refused. What keeps their cosignatures together is the database and not that lock,
# so here they do without it, as on a file system that has none.
_UNLOCKED = """
import sys
from contextlib import nullcontext
from clients.cli.main import main
from clients.witness import serving

serving.alone = nullcontext
sys.exit(main())
"""

_DYING = """
import os, signal, sys
from contextlib import contextmanager
from clients.cli.main import main
from clients.witness import memory, serving

class DyingMemory(memory.Memory):
    @contextmanager
    def writing(self):
        with super().writing():
            yield
            if dying and moment == "before":
                os.kill(os.getpid(), signal.SIGKILL)
        if dying and moment == "after":
            os.kill(os.getpid(), signal.SIGKILL)

moment, dying = MOMENT, False
identify = memory.Memory.identify

def identified(self, *given):
    # The start is over; the next transaction is a client's.
    global dying
    told = identify(self, *given)
    dying = True
    return told

DyingMemory.identify = identified
serving.Memory = DyingMemory
sys.exit(main())
"""
"""The command, but that the process is killed in its first transaction for a client: before or after its commit."""


def test_a_process_killed_between_storing_and_answering(tmp_path):
    log = lying_log("killed.example")
    honest, fork = log.branches[0], log.branches[2]
    witness = new_witness(tmp_path, logs=[log.vkey])
    cosigned = Cosignatures([log], witness.vkeys)
    memory = Memory(witness.database)
    witness.start()
    cosigned.add(honest.note(40), lines_of(post(witness.url, honest.request(0, 40))))
    witness.stop()
    for moment, stored in (("before", 40), ("after", 50)):
        witness.program = _DYING.replace("MOMENT", repr(moment))
        witness.start()
        with pytest.raises(urllib3.exceptions.HTTPError):
            post(witness.url, honest.request(40, 50))
        assert witness.process.wait(60) == -signal.SIGKILL
        assert memory.latest(origin_hash(log.origin)).checkpoint == honest.checkpoint(stored)
    witness.program = type(witness).program
    witness.start()
    # The client asks again, as it would, and learns that its checkpoint was cosigned after all.
    stale = post(witness.url, honest.request(40, 50))
    assert (stale.status, stale.data) == (409, b"50\n")
    assert post(witness.url, fork.request(50, 50)).status == 422
    assert post(witness.url, fork.request(50, 60)).status == 422
    cosigned.add(honest.note(50), lines_of(post(witness.url, honest.request(50, 50))))
    witness.stop()
    cosigned.check(memory)
    memory.close()


def lines_of(answer):
    """The signature lines of an answer."""
    return [NoteSignature.parse(line) for line in answer.data.decode().removesuffix("\n").split("\n")]


class Client(threading.Thread):
    """Asks at random, honestly and not, whoever of the witness's processes answers."""

    def __init__(self, witnesses, logs, cosigned, seed):
        super().__init__()
        self.witnesses, self.logs, self.cosigned = witnesses, logs, cosigned
        self.rng = random.Random(seed)
        self.bodies = []
        self.statuses = set()
        self.ended = threading.Event()

    def run(self):
        # What fails here fails the test: pytest listens to threads too.
        with urllib3.PoolManager(retries=False, timeout=60) as http:
            while not self.ended.is_set():
                self.ask(http)

    def ask(self, http):
        body = self.next_body()
        url = self.rng.choice(self.witnesses).url
        try:
            answer = http.request("POST", f"{url}/add-checkpoint", body=body)
        except urllib3.exceptions.HTTPError:
            time.sleep(0.01)  # the process is gone, and comes back
            return
        self.statuses.add(answer.status)
        assert answer.status in {200, 400, 403, 404, 409, 422, 503}, answer.data
        if answer.status == 200:
            self.cosigned.add(AddCheckpoint.parse(body).note, lines_of(answer))

    def next_body(self):
        rng = self.rng
        if self.bodies and rng.random() < 0.2:
            return rng.choice(self.bodies)
        log = rng.choice(self.logs)
        latest = self.cosigned.largest(log.origin)
        new = min(SIZE, latest + rng.choice([0, 0, 1, 1, 2, 5]))
        asked = (rng.randrange(len(BRANCHES)), new, rng.choice(["latest"] * 6 + ["any"]),
                 rng.choice(["right"] * 6 + ["none", "another's"]))  # fmt: skip
        body = body_of(log, asked, latest, rng)
        if rng.random() < 0.1:
            body = body.replace(b"A", b"B", 1)
        self.bodies.append(body)
        return body


@pytest.mark.parametrize("seed", range(5 if SOAK else 1))
def test_two_processes_on_one_database_killed_at_random(seed, tmp_path):
    logs = [lying_log(f"log{number}.example") for number in range(6)]
    flags = ("--ml-dsa-key", str(tmp_path / "ml-dsa.pem"))
    witnesses = [
        new_witness(tmp_path, *flags, logs=[log.vkey for log in logs], ready=f"ready{n}") for n in range(2)
    ]
    cosigned = Cosignatures(logs, witnesses[0].vkeys)
    clients = [Client(witnesses, logs, cosigned, 1_000 * seed + number) for number in range(4)]
    rng = random.Random(seed)
    memory = Memory(tmp_path / "witness.db")
    try:
        for witness in witnesses:
            witness.program = _UNLOCKED
            witness.start()
        for client in clients:
            client.start()
        for _ in range(60 if SOAK else 3):
            answers = cosigned.answers
            deadline = time.monotonic() + 60
            # Some work is done between two deaths, however fast the machine is.
            while cosigned.answers < answers + rng.randrange(5, 25) and time.monotonic() < deadline:
                time.sleep(0.005 * rng.random())
            assert cosigned.answers > answers
            witness = rng.choice(witnesses)
            assert witness.stop(signal.SIGKILL) == -signal.SIGKILL
            for log in logs:
                promised = cosigned.largest(log.origin)
                latest = memory.latest(origin_hash(log.origin))
                assert promised <= (latest.checkpoint.size if latest else 0)
            witness.start()
    finally:
        for client in clients:
            client.ended.set()
        for client in clients:
            client.join(120)
        for witness in witnesses:
            witness.stop()
    assert {200, 409, 422} <= set.union(*(client.statuses for client in clients))
    cosigned.check(memory)
    memory.close()
    assert cosigned.answers > 20


def test_requests_at_the_same_moment(tmp_path):
    """The race that the specification tells of, between processes: the latest must not go back, nor fork."""
    log = lying_log("race.example")
    witnesses = [new_witness(tmp_path, logs=[log.vkey], ready=f"ready{n}") for n in range(2)]
    cosigned = Cosignatures([log], witnesses[0].vkeys)
    latest, door = 0, sqlite3.connect(witnesses[0].database, isolation_level=None)
    try:
        for witness in witnesses:
            witness.program = _UNLOCKED
            witness.start()
        with ThreadPoolExecutor(8) as pool:
            for _ in range(30 if SOAK else 5):
                # Nobody can write until all stand at the door.
                door.execute("BEGIN IMMEDIATE")
                asked = [(branch, latest + more) for more in (1, 3) for branch in log.branches]
                answers = [
                    pool.submit(post, witnesses[n % 2].url, branch.request(latest, size))
                    for n, (branch, size) in enumerate(asked)
                ]
                time.sleep(0.2)
                door.execute("ROLLBACK")
                for (branch, size), answered in zip(asked, answers, strict=True):
                    answer = answered.result()
                    assert answer.status in {200, 409, 422}
                    if answer.status == 200:
                        cosigned.add(branch.note(size), lines_of(answer))
                assert any(answer.result().status == 200 for answer in answers)
                latest = cosigned.largest(log.origin)
    finally:
        door.close()
        for witness in witnesses:
            witness.stop()
    memory = Memory(witnesses[0].database)
    cosigned.check(memory)
    memory.close()
