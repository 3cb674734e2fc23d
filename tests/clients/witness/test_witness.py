from __future__ import annotations

from dataclasses import replace

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.mldsa import MLDSA44PrivateKey
from witnessing import SmallLog

from clients.witness.memory import Memory, origin_hash
from clients.witness.witness import Witness
from ledger.checkpoint import Checkpoint, sign_checkpoint
from ledger.cosignature import Cosigner, cosignatures_of
from ledger.errors import BrokenProof, Conflict, LedgerError, Reason, ServiceFault
from ledger.note import SignedNote
from ledger.witness import AddCheckpoint, known_logs

LOG, FORK = SmallLog(), SmallLog(since=20, branch="fork")
LOGS = known_logs([(LOG.origin, LOG.vkey)])
ED = Cosigner("witness.example/w1", Ed25519PrivateKey.from_private_bytes(b"w" * 32))
ML = Cosigner("witness.example/w1", MLDSA44PrivateKey.from_seed_bytes(b"w" * 32))
HASHED = origin_hash(LOG.origin)


class Clock:
    """Shows what it is set to."""

    now_s = 1000

    def __call__(self):
        return self.now_s


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def memory(tmp_path):
    opened = Memory(tmp_path / "witness.db", busy_s=0.1)
    yield opened
    opened.close()


@pytest.fixture
def witness(memory, clock):
    return Witness((ED, ML), LOGS, memory, clock)


def submission(old, new, log=LOG):
    return AddCheckpoint.parse(log.request(old, new)).open(LOGS)


def times(lines, size, log=LOG, keys=(ED, ML)):
    note = SignedNote.parse(log.note(size)).with_signatures(*lines)
    return [one.time_s for one in cosignatures_of(note, [key.vkey for key in keys])]


def refused(witness, old, new, log=LOG):
    with pytest.raises(LedgerError) as caught:
        witness.cosign(submission(old, new, log))
    return caught.value.reason


def test_it_remembers_what_it_cosigned(witness, memory):
    lines = witness.cosign(submission(0, 10))
    assert times(lines, 10) == [1000, 1000]
    latest = memory.latest(HASHED)
    assert latest.checkpoint == LOG.checkpoint(10)
    assert latest.note == SignedNote.parse(LOG.note(10)).with_signatures(*lines)


def test_its_time_never_goes_back(witness, clock):
    witness.cosign(submission(0, 10))
    clock.now_s = 400
    assert times(witness.cosign(submission(10, 20)), 20) == [1000, 1000]
    clock.now_s = 1001
    assert times(witness.cosign(submission(20, 20)), 20) == [1001, 1001]


@pytest.mark.parametrize("now_s", [0, -5])
def test_a_clock_that_was_never_set(now_s, witness, clock):
    clock.now_s = now_s
    assert times(witness.cosign(submission(0, 10)), 10) == [1, 1]


def test_a_repetition_within_a_second_is_the_same_answer(witness, clock):
    first = witness.cosign(submission(0, 10))
    assert witness.cosign(submission(10, 10)) == first
    clock.now_s += 1
    again = witness.cosign(submission(10, 10))
    assert times(again, 10) == [1001, 1001]


def test_a_repetition_after_a_change_of_keys_is_cosigned_with_the_new_ones(witness, memory):
    witness.cosign(submission(0, 10))
    other = Cosigner("witness.example/w1", Ed25519PrivateKey.from_private_bytes(b"n" * 32))
    renewed = replace(witness, cosigners=(other,))
    assert times(renewed.cosign(submission(10, 10)), 10, keys=[other]) == [1000]
    assert memory.latest(HASHED).note.signatures_of(ED.vkey) == ()
    both = replace(witness, cosigners=(other, ML))
    assert times(both.cosign(submission(10, 10)), 10, keys=[other, ML]) == [1000, 1000]


def test_extension_lines_that_change_are_cosigned_anew(witness):
    def extended(*lines):
        checkpoint = Checkpoint(LOG.origin, 10, LOG.checkpoint(10).root, lines)
        return AddCheckpoint(10, (), sign_checkpoint(checkpoint, LOG.signer)).open(LOGS)

    first = witness.cosign(submission(0, 10))
    assert witness.cosign(extended("more"))[0] != first[0]


def test_stale_sizes_are_no_evidence(witness, memory):
    witness.cosign(submission(0, 30))
    assert refused(witness, 0, 40) is Reason.STALE_SIZE
    assert refused(witness, 20, 40, FORK) is Reason.STALE_SIZE
    assert memory.evidence() == []


def test_a_fork_is_evidence_whatever_old_size_it_comes_with(witness, memory):
    witness.cosign(submission(0, 30))
    assert refused(witness, 10, 30, FORK) is Reason.STALE_SIZE
    [one] = memory.evidence()
    assert (one.conclusive, one.refused) == (True, FORK.note(30))
    assert one.cosigned == memory.latest(HASHED).note.encode()


def test_a_proof_that_does_not_hold_may_be_a_client_s_mistake(witness, memory):
    witness.cosign(submission(0, 30))
    assert refused(witness, 30, 40, FORK) is Reason.BAD_CONSISTENCY_PROOF
    assert [one.conclusive for one in memory.evidence()] == [False]
    # Now the log shows the very same size to the witness, rightly proven: that settles it.
    witness.cosign(submission(30, 40))
    assert refused(witness, 40, 40, FORK) is Reason.FORK
    [one] = memory.evidence()
    assert (one.conclusive, one.seen_s) == (True, 1000)


def test_an_empty_tree_with_a_root_is_evidence_by_itself(witness, memory):
    bad = AddCheckpoint(0, (), sign_checkpoint(Checkpoint(LOG.origin, 0, bytes(32)), LOG.signer)).open(LOGS)
    with pytest.raises(BrokenProof):
        witness.cosign(bad)
    [one] = memory.evidence()
    assert (one.conclusive, one.cosigned) == (True, None)


def test_nothing_is_cosigned_that_cannot_be_recorded(witness, memory, tmp_path):
    other = Memory(tmp_path / "witness.db")
    with other.writing(), pytest.raises(ServiceFault):
        witness.cosign(submission(0, 10))
    assert memory.latest(HASHED) is None
    other.close()


def test_two_witnesses_on_one_file_are_one(witness, clock, tmp_path):
    memory = Memory(tmp_path / "witness.db")
    twin = Witness((ED, ML), LOGS, memory, clock)
    witness.cosign(submission(0, 10))
    with pytest.raises(Conflict):
        twin.cosign(submission(0, 10, SmallLog(branch="fork")))
    twin.cosign(submission(10, 20))
    assert refused(witness, 10, 30) is Reason.STALE_SIZE
    memory.close()
