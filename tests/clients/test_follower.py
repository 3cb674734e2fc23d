from __future__ import annotations

import threading
from dataclasses import replace

import pytest
from lying import CITY_SIGNER, head_of, prove_growth, signed
from world import ORIGIN, TEA, City, Log, signing_key

from clients.follower import Follower
from clients.trust import MemoryTrust
from ledger.checkpoint import Checkpoint, sign_checkpoint
from ledger.errors import BrokenProof, Reason, ServiceFault
from ledger.merkle import EMPTY_ROOT
from ledger.note import NoteSigner
from ledger.policy import Policy

POLICY = Policy.of(CITY_SIGNER.vkey)


@pytest.fixture(scope="module")
def log():
    city, log = City(), Log()
    log.append(*city.founding())
    log.append(*city.life())
    return log


@pytest.fixture(scope="module")
def fork(log):
    """The first ten entries are the same, what follows is another story."""
    city, fork = City(), Log()
    fork.append(*city.founding())
    fork.append(*city.life()[:4])
    for number in range(8):
        fork.append(city.listing(TEA, title=f"另一个 {number}"))
    assert head_of(fork, 10) == head_of(log, 10)
    assert len(fork.entries) == len(log.entries)
    return fork


class Asked(list):
    """What was asked for, and the answers of a log."""

    def __init__(self, log):
        super().__init__()
        self.log = log

    def __call__(self, old, new):
        self.append((old, new))
        return prove_growth(self.log, old, new)


@pytest.fixture
def asked(log):
    return Asked(log)


@pytest.fixture
def trust():
    return MemoryTrust()


@pytest.fixture
def follower(trust, asked):
    return Follower(POLICY, trust, asked)


def answer(log, size, known=0):
    """A checkpoint with the proof that it continues the one of size `known`."""
    return signed(head_of(log, size), proof=prove_growth(log, known, size))


def remember(trust, log, size):
    """What another process does that follows the same log honestly."""
    assert trust.replace(ORIGIN, trust.newest(ORIGIN), signed(head_of(log, size)).note)


def test_the_first_checkpoint_is_remembered(follower, trust, log, asked):
    assert follower.newest() is None
    assert follower.accept(answer(log, 5), None) == head_of(log, 5)
    assert follower.newest() == head_of(log, 5)
    assert follower.note() == trust.newest(ORIGIN) == answer(log, 5).note
    assert asked == []


def test_growth_by_the_answers_own_proof(follower, log, asked):
    known = None
    for size in range(1, 19):
        assert follower.accept(answer(log, size, known.size if known else 0), known) == head_of(log, size)
        known = follower.newest()
        assert known == head_of(log, size)
    assert asked == []


def test_the_same_checkpoint_again(follower, log, asked):
    follower.accept(answer(log, 5), None)
    assert follower.accept(answer(log, 5, 5), follower.newest()) == head_of(log, 5)
    assert asked == []


def test_a_checkpoint_without_a_proof_is_asked_about(follower, log, asked):
    follower.accept(answer(log, 5), None)
    known = follower.newest()
    assert follower.accept(signed(head_of(log, 9)), known, has_proof=False) == head_of(log, 9)
    assert asked == [(5, 9)]
    assert follower.newest() == head_of(log, 9)


def test_an_answer_that_was_overtaken_is_used_and_not_remembered(follower, log, asked):
    follower.accept(answer(log, 5), None)
    known = follower.newest()
    follower.accept(answer(log, 12, 5), known)
    assert follower.accept(answer(log, 9, 5), known) == head_of(log, 9)
    assert asked == [(9, 12)]
    assert follower.newest() == head_of(log, 12)
    # Proven once is proven for good.
    assert follower.accept(answer(log, 9, 5), known) == head_of(log, 9)
    assert asked == [(9, 12)]


def test_an_answer_that_is_newer_than_what_another_process_saw(follower, trust, log, asked):
    follower.accept(answer(log, 5), None)
    known = follower.newest()
    remember(trust, log, 9)
    assert follower.accept(answer(log, 12, 5), known) == head_of(log, 12)
    assert asked == [(9, 12)]
    assert follower.newest() == head_of(log, 12)


def test_nothing_was_known_and_another_process_saw_something(follower, trust, log, asked):
    remember(trust, log, 9)
    assert follower.accept(answer(log, 12), None) == head_of(log, 12)
    assert follower.accept(answer(log, 7), None) == head_of(log, 7)
    assert asked == [(9, 12), (7, 12)]
    assert follower.newest() == head_of(log, 12)


def test_who_loses_the_race_to_remember_tries_again(trust, log, asked):
    class Contended(MemoryTrust):
        def replace(self, origin, old, new):
            if super().newest(origin) == answer(log, 5).note:
                super().replace(origin, old, answer(log, 9).note)
            return super().replace(origin, old, new)

    follower = Follower(POLICY, Contended(), asked)
    follower.accept(answer(log, 5), None)
    assert follower.accept(answer(log, 12, 5), follower.newest()) == head_of(log, 12)
    assert asked == [(9, 12)]
    assert follower.newest() == head_of(log, 12)


def test_many_threads_end_with_the_largest(follower, log):
    follower.accept(answer(log, 1), None)
    known = follower.newest()
    failures = []

    def follow(sizes):
        try:
            for size in sizes:
                assert follower.accept(answer(log, size, 1), known) == head_of(log, size)
        except BaseException as error:
            failures.append(error)
            raise

    threads = [threading.Thread(target=follow, args=(range(start, 19, 3),)) for start in range(2, 8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures
    assert follower.newest() == head_of(log, 18)


# Lies


def refused(attempt, reason):
    with pytest.raises(BrokenProof) as caught:
        attempt()
    assert caught.value.reason is reason
    return str(caught.value)


@pytest.mark.parametrize("has_proof", [True, False])
def test_a_rollback(follower, log, has_proof):
    follower.accept(answer(log, 9), None)
    lie = answer(log, 5)
    message = refused(lambda: follower.accept(lie, follower.newest(), has_proof=has_proof), Reason.ROLLBACK)
    assert message == (
        "size of the log ledger.test/city: given 5 entries, expected at least the 9 of a checkpoint seen before"
    )
    assert follower.newest() == head_of(log, 9)


@pytest.mark.parametrize("has_proof", [True, False])
def test_a_fork_of_the_same_size(follower, log, fork, has_proof):
    follower.accept(answer(log, 12), None)
    lie = signed(head_of(fork, 12))
    message = refused(lambda: follower.accept(lie, follower.newest(), has_proof=has_proof), Reason.FORK)
    assert message == (
        "root of the first 12 entries of the log ledger.test/city: "
        f"given {head_of(fork, 12).root.hex()}, expected {head_of(log, 12).root.hex()}, of a checkpoint seen before"
    )
    assert follower.newest() == head_of(log, 12)


def test_a_fork_that_grew(follower, log, fork):
    follower.accept(answer(log, 12), None)
    lie = answer(fork, 15, 12)
    message = refused(lambda: follower.accept(lie, follower.newest()), Reason.FORK)
    assert message.startswith("old root by the consistency proof from 12 to 15 leaves: given ")
    assert follower.newest() == head_of(log, 12)


def test_a_fork_that_grew_and_no_proof(follower, log, fork):
    follower.accept(answer(log, 12), None)
    refused(
        lambda: follower.accept(signed(head_of(fork, 15)), follower.newest(), has_proof=False), Reason.FORK
    )


@pytest.mark.parametrize(("shown_to_one", "shown_to_other"), [(12, 15), (15, 12), (14, 14)])
def test_two_histories_for_two_questions(follower, log, fork, shown_to_one, shown_to_other):
    """Both continue what was known when they were asked; only one can continue what is known by now."""
    follower.accept(answer(log, 10), None)
    known = follower.newest()
    follower.accept(answer(log, shown_to_one, 10), known)
    refused(lambda: follower.accept(answer(fork, shown_to_other, 10), known), Reason.FORK)
    assert follower.newest() == head_of(log, shown_to_one)


@pytest.mark.parametrize("others", [12, 15])
def test_two_histories_for_two_processes(follower, trust, log, fork, others):
    follower.accept(answer(log, 10), None)
    known = follower.newest()
    remember(trust, fork, others)
    refused(lambda: follower.accept(answer(log, 14, 10), known), Reason.FORK)
    assert follower.newest() == head_of(fork, others)


def test_a_branch_that_lost_the_race_is_not_taken_for_proven(log, fork, asked):
    """It continues what was known, yet what won the race is another branch."""

    class Overtaken(MemoryTrust):
        def replace(self, origin, old, new):
            if super().newest(origin) == answer(log, 10).note:
                super().replace(origin, old, answer(log, 12).note)
            return super().replace(origin, old, new)

    follower = Follower(POLICY, Overtaken(), asked)
    follower.accept(answer(log, 10), None)
    known = follower.newest()
    for _ in range(2):
        refused(lambda: follower.accept(answer(fork, 15, 10), known), Reason.FORK)
    assert follower.newest() == head_of(log, 12)


def test_the_note_of_another_key(follower, log):
    impostor = NoteSigner(ORIGIN, signing_key("impostor")._key)
    message = refused(lambda: follower.accept(signed(head_of(log, 5), impostor), None), Reason.BAD_NOTE)
    assert (
        message
        == f"signatures of the note: given 1 by unknown keys, expected one by {CITY_SIGNER.vkey.label}"
    )


def test_the_checkpoint_of_another_log(follower, log):
    elsewhere = Checkpoint("elsewhere.test/log", 5, bytes(32))
    note = CITY_SIGNER.sign(elsewhere.text())
    lie = signed(head_of(log, 5))
    lie.note = f"{elsewhere.text()}\n{note}\n".encode()
    message = refused(lambda: follower.accept(lie, None), Reason.BAD_CHECKPOINT)
    assert message == "origin of a checkpoint: given 'elsewhere.test/log', expected 'ledger.test/city'"


@pytest.mark.parametrize("note", [b"", b"\xff", b"hello", b"a\n1\nx\n\n"])
def test_no_note_at_all(follower, log, note):
    lie = signed(head_of(log, 5))
    lie.note = note
    refused(lambda: follower.accept(lie, None), Reason.BAD_NOTE)
    assert follower.newest() is None


def test_a_proof_that_is_none(log, trust):
    follower = Follower(POLICY, trust, lambda old, new: [bytes(32)])
    follower.accept(answer(log, 5), None)
    message = refused(
        lambda: follower.accept(signed(head_of(log, 9)), follower.newest(), has_proof=False), Reason.FORK
    )
    assert message == "hashes in the consistency proof from 5 to 9 leaves: given 1, expected 5"


def test_a_service_that_cannot_be_asked_is_not_called_a_liar(log, trust):
    def unreachable(old, new):
        raise ServiceFault(Reason.UNREACHABLE, "service", given="nothing", expected="an answer")

    follower = Follower(POLICY, trust, unreachable)
    follower.accept(answer(log, 5), None)
    with pytest.raises(ServiceFault):
        follower.accept(signed(head_of(log, 9)), follower.newest(), has_proof=False)
    assert follower.newest() == head_of(log, 5)


def test_an_empty_log_grows_without_a_proof(follower, log, asked):
    empty = Checkpoint(ORIGIN, 0, EMPTY_ROOT)
    assert follower.accept(signed(empty), None) == empty
    assert follower.accept(signed(head_of(log, 5)), follower.newest(), has_proof=False) == head_of(log, 5)
    assert asked == []


def test_what_is_remembered_was_signed_by_another_key(trust, log, asked):
    note = sign_checkpoint(head_of(log, 5), NoteSigner(ORIGIN, signing_key("old key")._key))
    assert trust.replace(ORIGIN, None, note)
    message = refused(Follower(POLICY, trust, asked).newest, Reason.BAD_NOTE)
    assert message == (
        "remembered checkpoint of ledger.test/city: signatures of the note: given 1 by unknown keys, "
        f"expected one by {CITY_SIGNER.vkey.label}"
    )


# Glances


def test_a_glance_believes_nothing(follower, log):
    follower.accept(answer(log, 5), None)
    follower.glance(signed(head_of(log, 9)), 5)
    follower.glance(signed(head_of(log, 5)), 5)
    assert follower.newest() == head_of(log, 5)


def test_a_glance_sees_the_plainest_lies(follower, log):
    follower.accept(answer(log, 9), None)
    message = refused(lambda: follower.glance(signed(head_of(log, 5)), 7), Reason.ROLLBACK)
    assert message == "size of the log ledger.test/city: given 5 entries, expected at least 7"
    other = replace(head_of(log, 9), root=bytes(32))
    refused(lambda: follower.glance(signed(other), 9), Reason.FORK)


def test_only_so_many_checkpoints_are_kept_as_proven(follower, log, asked, monkeypatch):
    monkeypatch.setattr("clients.follower.MAX_AGREED", 2)
    follower.accept(answer(log, 12), None)
    for size in (5, 6, 5):
        assert follower.accept(answer(log, size), None) == head_of(log, size)
    assert asked == [(5, 12), (6, 12), (5, 12)]
