"""What is published: what a start keeps of it, and what replaces what."""

import pytest
from damaging import SQLITE_ONLY, tamper
from filling import record
from misbehaving import cosigner
from sqlalchemy import update
from world import ORIGIN, signing_key

from ledger.checkpoint import Checkpoint, sign_checkpoint
from ledger.errors import BrokenProof, Reason, ServiceFault
from ledger.note import NoteSigner, SignedNote
from ledger.policy import Policy
from server.published import Published, read_published, write_published
from server.rebuild import check, rebuild
from server.store.tables import published as table
from server.witnessing.publication import publish, take_up
from server.writer import Writer

A, B, C, STRANGER = (cosigner(name) for name in ("a", "b", "c", "stranger"))
LOG = NoteSigner(ORIGIN, signing_key("log")._key)
NEXT = NoteSigner(ORIGIN, signing_key("next log")._key)
TIME = 1_800_000_000


def policy(quorum="2", *, of=(A, B, C)):
    lines = [f"witness {one.name} {one.vkey}" for one in of]
    group = f"group g {quorum} {' '.join(one.name for one in of)}"
    return Policy.parse("\n".join([*lines, group, "quorum g\n"]).encode())


@pytest.fixture
def notes(store, writer, city):
    """Checkpoints of the log at several sizes, as signed."""
    record(writer, *city.founding())
    first = writer.head.checkpoint
    record(writer, city.listing())
    return [SignedNote.parse(note) for note in (first, writer.head.checkpoint)]


def by(note, *cosigners, time_s=TIME, rules=None):
    """Verified cosignatures."""
    lines = [one.cosign(note.text, time_s) for one in cosigners]
    return (rules or policy()).cosignatures(note.with_signatures(*lines))


def published(store):
    with store.snapshot() as connection:
        return read_published(connection)


def who(store):
    """Size of what is published, and who cosigned it when."""
    found = published(store)
    times = {one.key.name: one.time_s for one in policy().cosignatures(found.note)}
    return found.checkpoint.size, {name.partition(".")[0]: time for name, time in times.items()}


def put(store, note, *cosigners):
    """Write a row, whatever it says."""
    lines = [one.cosign(note.text, TIME) for one in cosigners]
    with store.transaction() as connection:
        write_published(connection, Published.parse(note.with_signatures(*lines).encode()))


class TestPublish:
    def test_the_first(self, store, notes):
        assert publish(store, policy(), notes[0], by(notes[0], A, B))
        assert who(store) == (6, {"a": TIME, "b": TIME})
        assert published(store).note.encode().startswith(notes[0].encode())

    def test_a_larger_one_replaces_it_and_not_the_other_way_round(self, store, notes):
        assert publish(store, policy(), notes[0], by(notes[0], A, B))
        assert publish(store, policy(), notes[1], by(notes[1], B, C))
        assert not publish(store, policy(), notes[0], by(notes[0], A, B, C))
        assert who(store) == (7, {"b": TIME, "c": TIME})

    def test_cosignatures_that_come_later_are_added(self, store, notes):
        assert publish(store, policy(), notes[0], by(notes[0], A, B))
        assert publish(store, policy(), notes[0], by(notes[0], C))
        assert who(store) == (6, {"a": TIME, "b": TIME, "c": TIME})
        assert not publish(store, policy(), notes[0], by(notes[0], A, C))

    def test_the_newer_of_two_by_one_key_stays(self, store, notes):
        assert publish(store, policy(), notes[0], by(notes[0], A, B))
        assert publish(store, policy(), notes[0], by(notes[0], A, time_s=TIME + 5))
        assert not publish(store, policy(), notes[0], by(notes[0], A, time_s=TIME + 3))
        assert who(store) == (6, {"a": TIME + 5, "b": TIME})

    def test_another_signature_of_the_log_is_taken_over(self, store, notes):
        assert publish(store, policy(), notes[0], by(notes[0], A, B))
        both = SignedNote.sign(notes[0].text, LOG, NEXT)
        assert publish(store, policy(), both, by(notes[0], C))
        assert who(store) == (6, {"a": TIME, "b": TIME, "c": TIME})
        published(store).note.verify([NEXT.vkey])
        assert len(published(store).note.signatures) == 5

    def test_another_checkpoint_of_the_same_size_does_not_replace_it(self, store, notes):
        other = SignedNote.parse(sign_checkpoint(Checkpoint(ORIGIN, 6, bytes(32)), LOG))
        assert publish(store, policy(), notes[0], by(notes[0], A, B))
        assert not publish(store, policy(), other, by(other, A, B, C))
        assert published(store).note.text == notes[0].text

    @pytest.mark.parametrize("junk", [b"junk", b"\xff", b"a\nb\nc\n\n"])
    def test_what_cannot_be_read_is_replaced(self, store, notes, junk):
        publish(store, policy(), notes[0], by(notes[0], A, B))
        with store.transaction() as connection:
            connection.execute(update(table).values(checkpoint=junk))
        assert publish(store, policy(), notes[0], by(notes[0], A, B))
        assert who(store) == (6, {"a": TIME, "b": TIME})


class TestTakeUp:
    def test_until_the_first_quorum_the_head_is_shown_as_it_stood_then(self, store, notes):
        shown = take_up(store, (LOG,), policy())
        assert shown == published(store)
        assert (shown.note, shown.has_quorum) == (notes[1], False)

    def test_without_a_policy_and_without_a_row(self, store, notes):
        assert take_up(store, (LOG,), None) is None
        assert published(store) is None

    def test_a_quorum_is_kept(self, store, notes):
        put(store, notes[0], A, C)
        before = published(store)
        assert take_up(store, (LOG,), policy()) == before == published(store)

    def test_without_a_policy_it_goes(self, store, notes):
        put(store, notes[0], A, C)
        assert take_up(store, (LOG,), None) is None
        assert published(store) is None

    def test_what_is_no_quorum_of_another_policy_stays_and_says_so(self, store, notes):
        put(store, notes[0], A, C)
        shown = take_up(store, (LOG,), policy("all"))
        assert shown == published(store)
        assert not shown.has_quorum
        assert who(store) == (6, {"a": TIME, "c": TIME})

    def test_what_is_a_quorum_of_another_policy_stays_without_strangers(self, store, notes):
        put(store, notes[0], A, STRANGER)
        assert take_up(store, (LOG,), policy("any")) == published(store)
        assert published(store).note == notes[0].with_signatures(A.cosign(notes[0].text, TIME))

    def test_a_new_key_of_the_log_signs_it_too(self, store, notes):
        put(store, notes[0], A, B)
        take_up(store, (LOG, NEXT), policy())
        assert set(published(store).note.verify([LOG.vkey, NEXT.vkey])) == {LOG.vkey, NEXT.vkey}
        assert who(store) == (6, {"a": TIME, "b": TIME})
        take_up(store, (NEXT,), policy())
        published(store).note.verify([NEXT.vkey])
        assert len(published(store).note.signatures) == 3

    def test_what_none_of_the_keys_has_signed_goes(self, store, notes):
        put(store, notes[0], A, B)
        shown = take_up(store, (NEXT,), policy())
        assert (shown.checkpoint.size, shown.has_quorum) == (7, False)

    def test_a_cosignature_that_does_not_verify_takes_all_with_it(self, store, notes):
        put(store, notes[0], A, B)
        bad = A.cosign(notes[1].text, TIME)
        with store.transaction() as connection:
            write_published(connection, Published.parse(notes[0].with_signatures(bad).encode()))
        shown = take_up(store, (LOG,), policy("any"))
        assert (shown.note, shown.has_quorum) == (notes[0], False)

    @pytest.mark.parametrize(
        ("size", "said"),
        [
            (6, "root of the published checkpoint of size 6: given 0000"),
            (8, "given 8, expected at most 7"),
        ],
    )
    @pytest.mark.parametrize("rules", [policy(), None])
    def test_another_history_is_kept_as_evidence(self, store, notes, size, said, rules):
        other = SignedNote.parse(sign_checkpoint(Checkpoint(ORIGIN, size, bytes(32)), LOG))
        put(store, other, A, B)
        with pytest.raises(ServiceFault, match=said):
            take_up(store, (LOG,), rules)
        assert published(store).note.text == other.text


class TestLookingAfter:
    def test_check_looks_at_it_and_rebuild_leaves_it_alone(self, store, notes):
        put(store, notes[0], A, B)
        before = published(store)
        assert check(store, [LOG.vkey]).none
        rebuild(store, [LOG.vkey])
        assert published(store) == before

    def test_check_tells_what_is_wrong_with_it(self, store, notes):
        other = SignedNote.parse(sign_checkpoint(Checkpoint(ORIGIN, 6, bytes(32)), LOG))
        put(store, other, A, B)
        assert check(store, [LOG.vkey]).rows[0].startswith("published row: root of the published checkpoint")
        put(store, notes[0], A)
        tamper(store, "UPDATE published SET size = 3")
        assert check(store, [LOG.vkey]).rows == [
            "published row: size by the published row: given 3, expected 6"
        ]
        tamper(store, "UPDATE published SET checkpoint = 'x'")
        assert check(store, [LOG.vkey]).rows[0].startswith("published row: form of a note: given ")

    @pytest.mark.parametrize("junk", ["'x'", "x'ff'", pytest.param("7", marks=SQLITE_ONLY)])
    def test_a_row_that_is_none_is_damage(self, store, notes, junk):
        put(store, notes[0], A, B)
        tamper(store, f"UPDATE published SET checkpoint = {junk}")
        with pytest.raises(BrokenProof) as caught:
            published(store)
        assert caught.value.reason is Reason.BAD_NOTE
        assert check(store, [LOG.vkey]).rows[0].startswith("published row: ")
        assert take_up(store, (LOG,), policy()).checkpoint.size == 7
        assert not published(store).has_quorum

    def test_a_writer_goes_on_as_if_it_were_not_there(self, store, notes, city):
        put(store, notes[0], A)
        writer = Writer(store, LOG)
        writer.load()
        assert record(writer, city.listing(title="new")) == [7]
