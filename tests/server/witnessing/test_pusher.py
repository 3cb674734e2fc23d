"""Checkpoints pushed to witnesses of every kind, over real HTTP."""

import hashlib
import time
from contextlib import contextmanager

import pytest
import structlog
from damaging import SQLITE_ONLY
from filling import record
from misbehaving import (
    SIZE_TYPE,
    ScriptedWitness,
    answering,
    closing,
    dripping,
    eventually,
    hanging,
    honest,
    scripted,
    send,
    signing_as,
)
from world import ORIGIN, signing_key

from ledger.checkpoint import Checkpoint
from ledger.note import NoteSigner, SignedNote
from ledger.policy import Policy
from server.published import read_published
from server.witnessing.pace import Pace
from server.witnessing.publication import take_up
from server.witnessing.pusher import Pusher
from server.writer import Writer

# What a round does with the database, the tests of publication try on both kinds.
pytestmark = SQLITE_ONLY

LOG = NoteSigner(ORIGIN, signing_key("log")._key)
NEXT = NoteSigner(ORIGIN, signing_key("next log")._key)
QUICK = Pace(interval_s=0.02, connect_s=60, exchange_s=60, first_pause_s=0.02, longest_pause_s=0.05)
SHORT = Pace(interval_s=0.02, connect_s=60, exchange_s=0.3, first_pause_s=0.02, longest_pause_s=0.05)


@pytest.fixture
def log(writer, city):
    """The writer of a log that has its founding."""
    record(writer, *city.founding())
    return writer


@pytest.fixture
def trio():
    """Three honest witnesses."""
    with scripted("a", "b", "c", log_keys=[LOG.vkey]) as witnesses:
        yield witnesses


def policy(quorum, *witnesses):
    names = " ".join(
        name for one in witnesses for name in [one.name, *([f"{one.name}1"] if one.cosigners[1:] else [])]
    )
    lines = "".join(one.line for one in witnesses)
    return Policy.parse(f"{lines}group g {quorum} {names}\nquorum g\n".encode())


@contextmanager
def pushing(store, rules, *signers, pace=QUICK):
    """A pusher at work; ends with the block. Gives what it logs."""
    signers = signers or (LOG,)
    pusher = Pusher(store, rules, tuple(one.vkey for one in signers), pace)
    with structlog.testing.capture_logs() as logs:
        pusher.start(take_up(store, signers, rules))
        try:
            yield logs
        finally:
            pusher.stop()
    assert not [thread for thread in pusher._threads if thread.is_alive()]
    assert not [line for line in logs if "crashed" in line["event"]], logs


def published(store):
    """What a quorum has cosigned; None before there is one."""
    with store.snapshot() as connection:
        found = read_published(connection)
    return found if found is not None and found.has_quorum else None


def size_of(store):
    found = published(store)
    return found.checkpoint.size if found else 0


def cosigners_of(store, rules):
    """Who cosigned what is published, each signature verified, the log's included."""
    note = published(store).note
    note.verify([LOG.vkey])
    return rules.names_of(rules.require_quorum(note))


def events(logs, event, witness):
    return [line for line in logs if line["event"] == event and line["witness"] == witness.name]


def grow(log, city, upto=1):
    for _ in range(upto):
        record(log, city.listing(title=str(city.said)))


class TestHonest:
    def test_a_quorum_is_published(self, store, log, trio):
        rules = policy("all", *trio)
        with pushing(store, rules):
            eventually(lambda: published(store), "publication")
        assert size_of(store) == log.head.size == 6
        assert cosigners_of(store, rules) == ("a", "b", "c")
        assert published(store).note.encode().startswith(log.head.checkpoint)

    def test_each_new_head_is_offered_with_the_right_proof(self, store, log, city, trio):
        rules = policy("all", *trio)
        with pushing(store, rules):
            for _ in range(5):
                grow(log, city, 3)
                eventually(lambda: size_of(store) == log.head.size, "publication")
        for witness in trio:
            assert witness.newest.size == log.head.size
            assert [one.old for one in witness.asked[1:]] == [
                one.checkpoint.size for one in witness.asked[:-1]
            ]
            assert witness.most_at_work == 1

    def test_a_head_that_has_not_moved_is_not_offered_again(self, store, log, trio):
        witness = trio[0]
        with pushing(store, policy("any", witness)):
            eventually(lambda: published(store), "publication")
            time.sleep(0.3)  # fifteen looks at the head, on a machine that is not busy
        assert len(witness.asked) == 1

    def test_cosignatures_are_renewed_after_a_while(self, store, log, trio):
        witness = trio[0]
        rules = policy("any", witness)
        with pushing(store, rules, pace=Pace(interval_s=0.02, refresh_s=0.05)):
            eventually(lambda: published(store), "publication")
            first = rules.cosignatures(published(store).note)[0].time_s
            eventually(lambda: rules.cosignatures(published(store).note)[0].time_s > first + 2, "renewal")
        assert {one.checkpoint.size for one in witness.asked} == {6}

    def test_a_witness_with_two_keys_is_asked_once(self, store, log):
        witness = ScriptedWitness("a", LOG.vkey, post_quantum=True)
        try:
            rules = policy("all", witness)
            with pushing(store, rules):
                eventually(lambda: published(store), "publication")
            assert cosigners_of(store, rules) == ("a", "a1")
            assert len(witness.asked) == 1
        finally:
            witness.close()

    def test_with_quorum_none_cosignatures_are_welcome(self, store, log, trio):
        rules = Policy.parse(f"{trio[0].line}quorum none\n".encode())
        trio[0].behave = hanging
        with pushing(store, rules):
            eventually(lambda: size_of(store) == 6, "publication")
            assert cosigners_of(store, rules) == ()
            trio[0].behave = honest
            trio[0].let_go.set()
            eventually(lambda: cosigners_of(store, rules) == ("a",), "a cosignature")


class TestSizes:
    def test_a_witness_that_has_an_older_checkpoint_tells_its_size(self, store, log, city, trio):
        with pushing(store, policy("all", *trio)):
            eventually(lambda: published(store), "publication")
        grow(log, city, 4)
        with store.transaction() as connection:
            connection.exec_driver_sql("DELETE FROM published")
        with pushing(store, policy("all", *trio)):
            eventually(lambda: size_of(store) == 10, "publication")
        assert [one.old for one in trio[0].asked] == [0, 0, 6]

    def test_after_a_restart_the_published_size_is_where_it_goes_on(self, store, log, city, trio):
        with pushing(store, policy("all", *trio)):
            eventually(lambda: published(store), "publication")
        grow(log, city, 4)
        with pushing(store, policy("all", *trio)):
            eventually(lambda: size_of(store) == 10, "publication")
        assert [one.old for one in trio[0].asked] == [0, 6]

    def test_after_a_restart_nobody_is_asked_again_for_what_is_published(self, store, log, trio):
        rules = policy("2", *trio[:2])
        with pushing(store, rules):
            eventually(lambda: published(store), "publication")
        before = published(store)
        more = policy("2", *trio)
        with pushing(store, more):
            eventually(lambda: len(cosigners_of(store, more)) == 3, "the third cosignature")
        assert [len(one.asked) for one in trio] == [1, 1, 1]
        assert published(store).note.signatures[:3] == before.note.signatures

    def test_a_witness_that_has_lost_its_memory(self, store, log, city, trio):
        witness = trio[0]
        with pushing(store, policy("any", witness)):
            eventually(lambda: published(store), "publication")
            witness.newest = None
            grow(log, city)
            eventually(lambda: size_of(store) == 7, "publication")
        assert [one.old for one in witness.asked] == [0, 6, 0]

    def test_a_witness_that_has_seen_a_longer_log_is_alarming(self, store, log, city, trio):
        a, b, _ = trio
        a.newest = Checkpoint(ORIGIN, 1_000, bytes(32))
        with pushing(store, policy("any", a, b)) as logs:
            eventually(lambda: len(events(logs, "witness_saw_a_longer_log", a)) > 1, "the alarm")
            eventually(lambda: published(store), "publication")
        alarm = events(logs, "witness_saw_a_longer_log", a)[0]
        assert alarm["log_level"] == "error"
        assert alarm["error"] == ("checkpoint that the witness a has: given size 1000, expected at most 6")
        assert [one.old for one in a.asked[:2]] == [0, 6]

    def test_a_witness_that_has_seen_another_history_is_alarming(self, store, log, city, trio):
        a, b, _ = trio
        a.newest = Checkpoint(ORIGIN, 3, bytes(32))
        with pushing(store, policy("any", a, b)) as logs:
            eventually(lambda: len(events(logs, "witness_saw_another_history", a)) > 1, "the alarm")
            eventually(lambda: published(store), "publication")
        alarm = events(logs, "witness_saw_another_history", a)[0]
        assert (alarm["log_level"], alarm["size"]) == ("error", 6)
        assert cosigners_of(store, policy("any", a, b)) == ("b",)

    def test_another_pusher_that_is_ahead_is_not_alarming(self, store, log, city, trio):
        a = trio[0]

        def behave(witness, handler, body):
            """Somebody else has offered it a head that the log has by now."""
            if len(witness.asked) == 1:
                grow(log, city)
                witness.newest = Checkpoint(ORIGIN, 7, log.head.root)
            honest(witness, handler, body)

        a.behave = behave
        with pushing(store, policy("any", a)) as logs:
            eventually(lambda: size_of(store) == 7, "publication")
        assert not [line for line in logs if line["log_level"] == "error"]
        assert events(logs, "witness_failed", a)[0]["reason"] == "STALE_SIZE"


BAD = {
    "closing": closing,
    "500": answering(500, "text/plain", b"no\n"),
    "404": answering(404, "text/plain", b"unknown log\n"),
    "403": answering(403, "text/plain", b"no\n"),
    "201": answering(201, "text/plain", b"ok\n"),
    "409 of another type": answering(409, "text/plain", b"3\n"),
    "409 without a size": answering(409, SIZE_TYPE, b"three\n"),
    "409 with the size that was offered": lambda w, h, body: send(
        h, (409, SIZE_TYPE, b"%d\n" % w.asked[-1].old)
    ),
    "409 with another size each time": lambda w, h, body: send(
        h, (409, SIZE_TYPE, b"%d\n" % (len(w.asked) % 5 + 1))
    ),
    "junk": answering(200, "text/plain", b"\x00\xffjunk"),
    "nothing": answering(200, "text/plain", b""),
    "garbage": lambda w, h, body: send(h, (200, "text/plain", w.cosign("x\n1\n" + "A" * 43 + "=\n"))),
    "somebody else's": signing_as("b"),
    "huge": answering(200, "text/plain", b"x" * 1_000_000),
    "redirect": answering(308, "text/plain", b"", "location: /witness/add-checkpoint"),
    "gzip": answering(200, "text/plain", b"\x1f\x8b", "content-encoding: gzip"),
}


class TestMisbehaving:
    @pytest.mark.parametrize("kind", BAD)
    def test_it_is_left_alone_and_the_others_are_a_quorum(self, store, log, trio, kind):
        a = trio[0]
        a.behave = BAD[kind]
        rules = policy("2", *trio)
        with pushing(store, rules) as logs:
            eventually(lambda: published(store), "publication")
            eventually(lambda: len(events(logs, "witness_failed", a)) > 1, "a second try")
            assert cosigners_of(store, rules) == ("b", "c")
            a.behave = honest
            eventually(lambda: len(cosigners_of(store, rules)) == 3, "its return")
        assert a.most_at_work == 1
        if kind.startswith("409 with another"):
            assert len(a.asked) > 3 * 2
        failure = events(logs, "witness_failed", a)[0]
        assert set(failure) >= {"witness", "size", "ms", "again_in_s", "reason", "error"}
        assert failure["log_level"] == "warning"

    @pytest.mark.parametrize(
        "kind", [hanging, dripping(b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n", b"")]
    )
    def test_one_that_hangs_is_given_up_and_asked_again(self, store, log, city, trio, kind):
        a = trio[0]
        a.behave = kind
        rules = policy("2", *trio)
        with pushing(store, rules, pace=SHORT) as logs:
            eventually(lambda: len(events(logs, "witness_failed", a)) > 1, "a second try")
            a.behave = honest
            grow(log, city)
            eventually(lambda: size_of(store) == 7 and "a" in cosigners_of(store, rules), "its return")
        back = events(logs, "witness_cosigned", a)[0]
        assert (back["log_level"], back["failures_before"] > 1) == ("info", True)

    def test_one_that_is_down_comes_back(self, store, log, city, trio):
        a, b, _ = trio
        rules = policy("all", *trio)
        a.close()
        with pushing(store, rules) as logs:
            eventually(lambda: events(logs, "witness_failed", a), "a failure")
            assert "refused" in events(logs, "witness_failed", a)[0]["error"]
            grow(log, city, 2)
            eventually(lambda: b.newest and b.newest.size == 8, "the newest head at b")
            assert published(store) is None
            back = ScriptedWitness("a", LOG.vkey, port=a.port)
            try:
                eventually(lambda: size_of(store) == 8, "publication")
            finally:
                back.close()
        assert cosigners_of(store, rules) == ("a", "b", "c")

    def test_a_slow_one_holds_up_nobody_and_is_added_late(self, store, log, city, trio):
        c = trio[2]
        rules = policy("2", *trio)
        c.behave = hanging
        with pushing(store, rules):
            eventually(lambda: c.at_work and published(store), "publication")
            for size in (7, 8, 9):
                grow(log, city)
                eventually(lambda: size_of(store) == size, "publication")  # noqa: B023 - called at once
            assert len(c.asked) == 1
            c.behave = honest
            c.let_go.set()
            eventually(lambda: len(cosigners_of(store, rules)) == 3, "the late cosignature")
        assert size_of(store) == 9
        assert [one.checkpoint.size for one in c.asked] == [6, 9]

    def test_two_slow_ones_that_are_needed_meet_in_one_round(self, store, log, city, trio):
        """The log grows on and on; witnesses that answer after times of their own must not miss each other for ever."""
        rules = policy("all", *trio)
        for witness, wait_s in zip(trio, (0.0, 0.05, 0.13), strict=True):
            witness.behave = _slow(wait_s)
        with pushing(store, rules):
            for _ in range(3):
                before = size_of(store)

                def moved(before=before):
                    grow(log, city)
                    return size_of(store) > before

                eventually(moved, "publication")

    def test_while_all_hang_the_log_grows(self, store, log, city, trio):
        for witness in trio:
            witness.behave = hanging
        with pushing(store, policy("any", *trio)):
            eventually(lambda: all(one.at_work for one in trio), "requests")
            grow(log, city, 20)
            assert [one.at_work for one in trio] == [1, 1, 1]
            assert published(store) is None
        assert log.head.size == 26


def _when_let_go(witness, handler, body):
    witness.let_go.wait()
    honest(witness, handler, body)


def _slow(wait_s):
    def behave(witness, handler, body):
        witness.let_go.wait(wait_s)
        honest(witness, handler, body)

    return behave


class TestDamage:
    def test_a_head_that_the_log_has_not_signed_is_offered_to_nobody(self, store, log, trio):
        good = log.head.checkpoint
        stranger = NoteSigner(ORIGIN, signing_key("stranger")._key)
        forged = SignedNote.sign(SignedNote.parse(good).text, stranger).encode()
        with store.transaction() as connection:
            connection.exec_driver_sql("UPDATE log_head SET checkpoint = ?", (forged,))
        with pushing(store, policy("any", *trio)) as logs:
            eventually(
                lambda: [line for line in logs if line["event"] == "witnessing_failed"], "the complaint"
            )
            assert not any(one.asked for one in trio)
            with store.transaction() as connection:
                connection.exec_driver_sql("UPDATE log_head SET checkpoint = ?", (good,))
            eventually(lambda: published(store), "publication")

    def test_what_cannot_be_stored_now_is_stored_later(self, store, log, trio):
        def rename(old, new):
            with store.transaction() as connection:
                connection.exec_driver_sql(f"ALTER TABLE {old} RENAME TO {new}")

        a = trio[0]
        a.behave = _when_let_go
        with pushing(store, policy("any", a)) as logs:
            eventually(lambda: a.at_work, "a request")
            rename("published", "hidden")
            a.let_go.set()
            eventually(
                lambda: [line for line in logs if line["event"] == "witnessing_failed"], "the complaint"
            )
            rename("hidden", "published")
            eventually(lambda: published(store), "publication")
        assert len(a.asked) == 1

    def test_a_damaged_tile_gives_no_proof_but_harms_nothing_else(self, store, log, city, trio):
        a, b, _ = trio
        a.newest = Checkpoint(ORIGIN, 3, hashlib.sha256().digest())
        with store.transaction() as connection:
            connection.exec_driver_sql("UPDATE tiles SET data = x'00'")
        with pushing(store, policy("any", a, b)) as logs:
            eventually(lambda: events(logs, "witness_failed", a), "the complaint")
            eventually(lambda: published(store), "publication")


class TestKeys:
    def test_a_witness_that_knows_both_keys_through_the_whole_change(self, store, log, city):
        with scripted("a", log_keys=[LOG.vkey, NEXT.vkey]) as [witness]:
            rules = policy("any", witness)
            with pushing(store, rules):
                eventually(lambda: published(store), "publication")
            changing = Writer(store, LOG, NEXT)
            changing.load()
            changing.sign_anew()
            with pushing(store, rules, LOG, NEXT):
                assert set(published(store).note.verify([LOG.vkey, NEXT.vkey])) == {LOG.vkey, NEXT.vkey}
                grow(changing, city)
                eventually(lambda: size_of(store) == 7, "publication")
                assert set(published(store).note.verify([LOG.vkey, NEXT.vkey])) == {LOG.vkey, NEXT.vkey}
            changed = Writer(store, NEXT)
            changed.load()
            with pushing(store, rules, NEXT):
                grow(changed, city)
                eventually(lambda: size_of(store) == 8, "publication")
            assert published(store).note.verify([LOG.vkey, NEXT.vkey]) == (NEXT.vkey,)
            assert [one.old for one in witness.asked] == [0, 6, 7]

    def test_the_newest_head_signed_anew_while_it_is_pushed(self, store, log, trio):
        rules = policy("any", trio[0])
        with pushing(store, rules, LOG, NEXT):
            eventually(lambda: published(store), "publication")
            changing = Writer(store, LOG, NEXT)
            changing.load()
            changing.sign_anew()
            eventually(lambda: len(published(store).note.signatures) == 3, "both signatures")
        assert len(trio[0].asked) == 1
