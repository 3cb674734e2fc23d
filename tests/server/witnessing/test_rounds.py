"""When a round is over, and whose turn it is."""

import threading

import pytest
from misbehaving import cosigner, eventually
from world import ORIGIN, signing_key

from ledger.checkpoint import Checkpoint, sign_checkpoint
from ledger.note import NoteSigner, SignedNote
from ledger.policy import Policy
from server.witnessing.endpoint import endpoints_of
from server.witnessing.pace import Pace
from server.witnessing.rounds import Rounds

LOG = NoteSigner(ORIGIN, signing_key("log")._key)
COSIGNERS = [cosigner(name) for name in "abc"]
TIME = 1_800_000_000
FOREVER = Pace(first_pause_s=3_600, longest_pause_s=3_600)


def policy(quorum):
    lines = [f"witness {one.name} {one.vkey} http://{one.name}" for one in COSIGNERS]
    group = f"group g {quorum} {' '.join(one.name for one in COSIGNERS)}"
    return Policy.parse("\n".join([*lines, group, "quorum g\n"]).encode())


def note(size):
    return SignedNote.parse(sign_checkpoint(Checkpoint(ORIGIN, size, bytes(32)), LOG))


def begun(quorum="2", pace=FOREVER):
    """Rounds, the first of which has begun, and its witnesses."""
    rules = policy(quorum)
    endpoints = endpoints_of(rules)
    rounds = Rounds(rules, endpoints, pace)
    assert rounds.is_over
    rounds.begin(note(1))
    return rounds, endpoints


def cosign(rounds, endpoint, offered, time_s=TIME):
    by = next(one for one in COSIGNERS if one.vkey in endpoint.keys)
    line = by.cosign(offered.note.text, time_s)
    rounds.cosigned(endpoint, offered, policy("any").cosignatures(offered.note.with_signatures(line)))


def test_a_round_lasts_until_its_quorum_and_a_slow_witness_holds_up_nobody():
    rounds, (a, b, c) = begun("2")
    offered = [rounds.wait_for_turn(one) for one in (a, b, c)]
    assert len(set(offered)) == 1
    assert not rounds.is_over
    cosign(rounds, a, offered[0])
    assert not rounds.is_over
    assert rounds.wait_for_work(0) == []
    cosign(rounds, b, offered[0])
    assert rounds.is_over
    [(given, cosignatures)] = rounds.wait_for_work(0)
    assert (given, len(cosignatures)) == (note(1), 2)
    rounds.begin(note(2))
    cosign(rounds, c, offered[0])
    [(given, cosignatures)] = rounds.wait_for_work(0)
    assert (given, len(cosignatures)) == (note(1), 3)
    assert rounds.wait_for_turn(c).note == note(2)


def test_witnesses_that_a_quorum_needs_are_waited_for():
    rounds, (a, b, c) = begun("all")
    offered = [rounds.wait_for_turn(one) for one in (a, b, c)]
    cosign(rounds, a, offered[0])
    cosign(rounds, b, offered[0])
    assert not rounds.is_over
    rounds.failed(c)
    assert rounds.is_over


def test_they_are_not_waited_for_longer_than_a_request_may_take():
    rounds, (a, b, c) = begun("all", Pace(connect_s=0.0, exchange_s=0.0))
    for one in (a, b, c):
        rounds.wait_for_turn(one)
    assert rounds.is_over


def test_one_that_still_works_on_the_round_before_is_waited_for_if_it_is_needed():
    rounds, (a, b, c) = begun("2")
    late, *_ = [rounds.wait_for_turn(one) for one in (a, b, c)]
    cosign(rounds, a, late)
    cosign(rounds, b, late)
    rounds.begin(note(2))
    rounds.wait_for_turn(a)
    rounds.failed(a)
    cosign(rounds, b, rounds.wait_for_turn(b))
    assert not rounds.is_over
    cosign(rounds, c, late)
    assert not rounds.is_over
    cosign(rounds, c, rounds.wait_for_turn(c))
    assert rounds.is_over


def test_who_has_cosigned_has_no_turn_before_the_next_round():
    rounds, (a, *_) = begun("all")
    cosign(rounds, a, rounds.wait_for_turn(a))
    got = []
    waiting = threading.Thread(target=lambda: got.append(rounds.wait_for_turn(a)))
    waiting.start()
    assert not got
    rounds.begin(note(2))
    waiting.join(60)
    assert got[0].note == note(2)


def test_who_has_failed_is_left_alone_and_then_joins_the_newest_round():
    rounds, (a, *_) = begun("all", Pace(first_pause_s=0.05, longest_pause_s=0.05))
    rounds.wait_for_turn(a)
    assert 0 < rounds.failed(a) <= 0.05
    rounds.begin(note(2))
    assert rounds.wait_for_turn(a).note == note(2)


def test_what_is_known_already_is_not_asked_for():
    rules = policy("2")
    endpoints = endpoints_of(rules)
    rounds = Rounds(rules, endpoints, FOREVER)
    lines = [one.cosign(note(1).text, TIME) for one in COSIGNERS[:2]]
    rounds.begin(note(1), rules.cosignatures(note(1).with_signatures(*lines)))
    assert rounds.is_over
    assert len(rounds.wait_for_work(0)) == 1
    assert not rounds.is_news(note(1))
    both = SignedNote.sign(note(1).text, LOG, NoteSigner(ORIGIN, signing_key("next log")._key))
    assert rounds.is_news(both)
    rounds.begin(both)
    [(given, cosignatures)] = rounds.wait_for_work(0)
    assert (given, len(cosignatures)) == (both, 2)


def test_cosignatures_that_are_old_are_asked_for_again():
    rounds, (a, *_) = begun("any", Pace(refresh_s=0.0))
    first = rounds.wait_for_turn(a)
    cosign(rounds, a, first)
    assert rounds.is_news(note(1))
    rounds.begin(note(1))
    again = rounds.wait_for_turn(a)
    assert (again is first, again.cosignatures) == (False, ())


def test_with_no_quorum_asked_for_a_checkpoint_is_published_at_once():
    rules = Policy.parse(f"witness a {COSIGNERS[0].vkey} http://a\nquorum none\n".encode())
    rounds = Rounds(rules, endpoints_of(rules), FOREVER)
    rounds.begin(note(1))
    assert rounds.wait_for_work(0) == [(note(1), ())]


def test_stopping_sends_everybody_home():
    rounds, (a, *_) = begun("any")
    cosign(rounds, a, rounds.wait_for_turn(a))
    waiting = threading.Thread(target=lambda: rounds.wait_for_turn(a))
    waiting.start()
    rounds.stop()
    waiting.join(60)
    assert not waiting.is_alive()
    assert rounds.wait_for_turn(a) is None
    rounds.wait_for_work(3_600)
    assert rounds.wait_for_work(3_600) == []


@pytest.mark.parametrize(("failures", "most"), [(1, 1), (2, 2), (5, 16), (7, 60), (10_000, 60)])
def test_pauses_grow_up_to_a_minute(failures, most):
    pauses = {Pace().pause_s(failures) for _ in range(50)}
    assert most / 2 <= min(pauses) < max(pauses) <= most


def test_many_threads_get_one_round_each():
    rounds, endpoints = begun("all", Pace(first_pause_s=0.001, longest_pause_s=0.001))
    seen = {one: [] for one in endpoints}

    def work(endpoint):
        while (offered := rounds.wait_for_turn(endpoint)) is not None:
            seen[endpoint].append(offered.checkpoint.size)
            cosign(rounds, endpoint, offered)

    threads = [threading.Thread(target=work, args=[one]) for one in endpoints]
    for thread in threads:
        thread.start()
    published = []
    for size in range(2, 30):
        eventually(lambda: rounds.is_over, "a quorum")
        published += rounds.wait_for_work(0)
        rounds.begin(note(size))
    rounds.stop()
    for thread in threads:
        thread.join(60)
    assert [given for given, _ in published] == [note(size) for size in range(1, 29)]
    assert all(one[:28] == list(range(1, 29)) for one in seen.values())
