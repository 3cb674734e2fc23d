from __future__ import annotations

import sqlite3
import subprocess
import sys

import pytest
from witnessing import SmallLog

from clients.witness.memory import MAX_EVIDENCE, Cosigned, Memory, origin_hash
from ledger.errors import BadInput, Reason, ServiceFault
from ledger.note import SignedNote, VerifierKey

LOG = SmallLog()
HASHED = origin_hash(LOG.origin)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "witness.db"


@pytest.fixture
def memory(path):
    opened = Memory(path, busy_s=0.1)
    yield opened
    opened.close()


def cosigned(size, time_s=1000, log=LOG):
    return Cosigned(log.checkpoint(size), time_s, SignedNote.parse(log.note(size)))


def remember(memory, *all_of_them):
    for one in all_of_them:
        with memory.writing():
            memory.record(one)


def raw(path, statement, *values):
    connection = sqlite3.connect(path)
    with connection:
        rows = connection.execute(statement, values).fetchall()
    connection.close()
    return rows


def test_a_memory_is_for_its_owner_only(memory, path):
    remember(memory, cosigned(5))
    files = {file.name: file.stat().st_mode & 0o777 for file in path.parent.iterdir()}
    assert files == {"witness.db": 0o600, "witness.db-wal": 0o600, "witness.db-shm": 0o600}


# The latest checkpoints


def test_the_latest_is_what_was_recorded_last(memory, path):
    assert memory.latest(HASHED) is None
    remember(memory, cosigned(0), cosigned(5), cosigned(5, 1001), cosigned(9, 1002))
    other = cosigned(3, log=SmallLog("other.example"))
    remember(memory, other)
    assert memory.latest(HASHED) == cosigned(9, 1002)
    assert memory.latest(origin_hash("other.example")) == other
    again = Memory(path)
    assert again.latest(HASHED) == cosigned(9, 1002)
    again.close()


@pytest.mark.parametrize(
    "later",
    [cosigned(8), cosigned(9, 999), cosigned(9, log=SmallLog(branch="fork")), cosigned(0)],
    ids=["smaller", "earlier", "another root", "empty"],
)
def test_the_file_itself_allows_no_step_back(later, memory):
    remember(memory, cosigned(9))
    with pytest.raises(ServiceFault) as caught:
        remember(memory, later)
    assert caught.value.reason is Reason.STORE_UNAVAILABLE
    assert "a witnessed log only grows" in str(caught.value)
    assert memory.latest(HASHED) == cosigned(9)


def test_nothing_is_forgotten_by_hand(memory, path):
    remember(memory, cosigned(9))
    for statement in (
        "DELETE FROM latest",
        "UPDATE latest SET size = 1",
        "UPDATE latest SET origin_hash = 'x'",
    ):
        with pytest.raises(sqlite3.IntegrityError):
            raw(path, statement)


def test_what_raises_within_writing_leaves_nothing(memory):
    remember(memory, cosigned(5))

    def write():
        with memory.writing():
            memory.record(cosigned(9))
            raise KeyError

    with pytest.raises(KeyError):
        write()
    assert memory.latest(HASHED) == cosigned(5)
    remember(memory, cosigned(7))


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE latest SET note = x'00'",
        "UPDATE latest SET note = 'text'",
        "UPDATE latest SET size = size + 1",
        "UPDATE latest SET size = 'many'",
        "UPDATE latest SET root = zeroblob(32), size = size + 1",
    ],
)
def test_damage_is_told_and_never_cosigned_over(change, memory, path):
    remember(memory, cosigned(5))
    raw(path, change)
    with pytest.raises(ServiceFault) as caught:
        memory.latest(HASHED)
    assert caught.value.reason is Reason.STORE_DAMAGED


# Several processes


def test_one_writer_at_a_time(memory, path):
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(ServiceFault) as caught:
        remember(memory, cosigned(5))
    assert str(caught.value) == f"database {path}: given database is locked, expected a database that answers"
    assert memory.latest(HASHED) is None  # reading goes on
    other.execute("ROLLBACK")
    other.close()
    remember(memory, cosigned(5))


def test_the_file_is_made_once_by_whoever_is_first(path):
    program = "import sys; from pathlib import Path; from clients.witness.memory import Memory; Memory(Path(sys.argv[1]))"
    processes = [subprocess.Popen([sys.executable, "-c", program, path]) for _ in range(4)]
    assert [process.wait(120) for process in processes] == [0] * 4
    memory = Memory(path)
    remember(memory, cosigned(5))
    memory.close()


def test_a_commit_is_written_through(memory):
    [[synchronous]] = memory._connection.execute("PRAGMA synchronous").fetchall()
    [[journal]] = memory._connection.execute("PRAGMA journal_mode").fetchall()
    assert (synchronous, journal) == (2, "wal")


# Other files


@pytest.mark.parametrize(
    ("make", "given"),
    [
        (lambda path: path.write_bytes(b"no database, but long enough to be looked at" * 99), "file is not a database"),
        (lambda path: path.mkdir(), "unable to open database file"),
        (lambda path: raw(path, "CREATE TABLE entries (x)"), "a database of another kind, or of version 0"),
        (lambda path: raw(path, "PRAGMA user_version = 7"), "a database of another kind, or of version 7"),
    ],
)  # fmt: skip
def test_files_that_are_no_witness_s(make, given, path):
    make(path)
    before = path.read_bytes() if path.is_file() else None
    with pytest.raises(BadInput) as caught:
        Memory(path)
    assert (
        str(caught.value)
        == f"database {path}: given {given}, expected the database of a witness, or a new file"
    )
    assert before is None or path.read_bytes() == before


def test_a_newer_version_is_left_alone(memory, path):
    raw(path, "PRAGMA user_version = 2")
    with pytest.raises(BadInput):
        Memory(path)


# Evidence


def keep(memory, log, size, *, conclusive, latest=None):
    with memory.writing():
        return memory.keep(
            SignedNote.parse(log.note(size)), latest, conclusive=conclusive, reason=f"why {size}", now_s=size
        )


def test_what_was_refused_is_kept_once(memory):
    fork = SmallLog(branch="fork")
    first = keep(memory, fork, 9, conclusive=True, latest=cosigned(9))
    assert first is not None
    assert keep(memory, fork, 9, conclusive=True) is None
    assert keep(memory, fork, 9, conclusive=False) is None
    second = keep(memory, fork, 8, conclusive=False)
    assert second not in {None, first}
    assert [(one.id, one.conclusive, one.seen_s, one.reason) for one in memory.evidence()] == [
        (first, True, 9, "why 9"),
        (second, False, 8, "why 8"),
    ]
    assert (memory.evidence()[0].refused, memory.evidence()[0].cosigned) == (fork.note(9), LOG.note(9))
    assert memory.evidence()[1].cosigned is None


def test_a_suspicion_may_become_proof(memory):
    fork = SmallLog(branch="fork")
    first = keep(memory, fork, 9, conclusive=False)
    assert keep(memory, fork, 9, conclusive=True, latest=cosigned(9)) == first
    [one] = memory.evidence()
    assert (one.conclusive, one.cosigned) == (True, LOG.note(9))


def test_what_is_kept_is_bounded(memory):
    log = SmallLog(branch="fork", size=MAX_EVIDENCE + 10)
    kept = [keep(memory, log, size, conclusive=False) for size in range(1, MAX_EVIDENCE + 3)]
    assert kept.count(None) == 2
    # What proves nothing takes no place from what does, nor one log from another.
    assert keep(memory, log, MAX_EVIDENCE + 5, conclusive=True) is not None
    assert keep(memory, SmallLog("other.example"), 1, conclusive=False) is not None


# Keys


def test_a_change_of_keys_is_told_once(memory):
    one, two, three = (VerifierKey.of(f"w{n}", bytes([n]) * 32) for n in range(3))
    assert memory.identify([one], 1) == ()
    assert memory.identify([one], 2) == ()
    assert memory.identify([one, two], 3) == ()
    assert memory.identify([three], 4) == (str(one), str(two))
    assert memory.identify([three], 5) == ()
