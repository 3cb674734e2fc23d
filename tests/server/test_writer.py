"""The one writer: durable batches, compare-and-swap, and what happens when a commit's outcome is unknown."""

import asyncio
import sqlite3
from contextlib import contextmanager

import pytest
from damaging import SQLITE_ONLY, tamper
from sqlalchemy import select
from world import COURIER, CUP, MERCHANT, ORIGIN, REGULATOR, START_US, TEA, City, event_id, signing_key

from ledger.checkpoint import open_checkpoint
from ledger.envelope import Envelope
from ledger.errors import BadInput, Conflict, Reason, ServiceFault
from ledger.merkle import verify_inclusion
from ledger.note import NoteSigner
from ledger.sequence import Resent, Sequenced, Submission
from ledger.state import Party, PartyKey
from server.sequencer import Sequencer
from server.store import queries
from server.store.commit import LogMovedError
from server.store.records import load
from server.store.store import Store
from server.store.tables import entries
from server.writer import Writer
from suyuan.v1 import event_pb2 as pb

NOW = START_US + 3_600_000_000


def submit(writer, *envelopes, now=NOW):
    return writer.write([Submission.read(envelope.raw) for envelope in envelopes], now)


def found(writer, city):
    return submit(writer, *city.founding())


def stored_leaves(store):
    with store.snapshot() as connection:
        return [entry.data for entry in queries.entries_from(connection, 0, 10_000)]


class TestWriting:
    def test_a_batch_is_stored_signed_and_provable(self, store, writer, signer, city):
        committed = found(writer, city)
        life = submit(writer, *city.life())
        with store.snapshot() as connection:
            head = queries.head(connection)
        assert head == life.head
        checkpoint = open_checkpoint(head.checkpoint, ORIGIN, [signer.vkey])
        assert (checkpoint.size, checkpoint.root) == (head.size, head.root)
        for entry in life.batch.entries:
            proof = life.paths.proof(entry.recorded.index)
            verify_inclusion(entry.hash, entry.recorded.index, head.size, proof, head.root)
        assert stored_leaves(store) == [
            entry.data for batch in (committed, life) for entry in batch.batch.entries
        ]

    def test_a_new_writer_takes_up_where_the_old_one_ended(self, store, writer, signer, city):
        found(writer, city)
        second = Writer(store, signer)
        second.load()
        assert second.head == writer.head
        assert all(isinstance(verdict, Sequenced) for verdict in submit(second, *city.life()).batch.verdicts)

    def test_events_sent_again_get_their_first_entry(self, writer, city):
        found(writer, city)
        life = city.life()
        first = submit(writer, *life)
        again = submit(writer, *life, life[0], now=NOW + 1)
        assert again.head == first.head
        assert not again.batch.entries
        for submission, verdict, entry in zip(life, again.batch.verdicts, first.batch.entries, strict=False):
            assert isinstance(verdict, Resent)
            assert verdict.recorded == entry.recorded
            data = again.resent[entry.recorded.index]
            assert verdict.entry_of(data, Submission.read(submission.raw)) == entry.entry

    def test_a_batch_with_nothing_to_record_moves_nothing(self, store, writer, city):
        found(writer, city)
        before = writer.head
        [verdict] = submit(writer, city.sale()).batch.verdicts
        assert verdict.reason is Reason.LISTING_MISSING
        assert writer.head == before
        with store.snapshot() as connection:
            assert queries.head(connection) == before

    def test_without_a_genesis_nothing_can_be_recorded(self, writer, city):
        city.genesis()
        with pytest.raises(ServiceFault, match="no genesis"):
            submit(writer, city.listing())


class TestTwoWriters:
    def test_the_second_finds_the_log_moved_reloads_and_goes_on(self, store, writer, signer, city):
        found(writer, city)
        other = Writer(store, signer)
        other.load()
        submit(other, city.listing())
        sale = city.sale()
        [verdict] = submit(writer, sale).batch.verdicts
        assert isinstance(verdict, Sequenced)
        assert verdict.recorded.index == 7
        assert writer.head.size == 8

    def test_the_swap_alone_refuses_a_stale_head(self, store, writer, signer, city):
        found(writer, city)
        stale = Writer(store, signer)
        stale.load()
        submit(writer, city.listing())
        with pytest.raises(LogMovedError):
            stale._write([Submission.read(city.listing().raw)], NOW)
        assert len(stored_leaves(store)) == 7

    def test_a_party_suspended_by_the_other_writer_is_not_served_from_the_cache(
        self, store, writer, signer, city
    ):
        found(writer, city)
        submit(writer, city.listing())
        other = Writer(store, signer)
        other.load()
        body = pb.PartyStatusChange(status=pb.PARTY_STATUS_SUSPENDED, reason=pb.STATUS_REASON_VIOLATION)
        submit(other, city.say(REGULATOR, MERCHANT, body))
        [verdict] = submit(writer, city.sale()).batch.verdicts
        assert verdict.reason is Reason.PARTY_NOT_ACTIVE


def fail(now, message):
    """Fail as a database driver does."""
    if now:
        raise sqlite3.OperationalError(message)


class TestFaults:
    """A connection that fails where it is told to, around a real database."""

    @contextmanager
    def failing(self, writer, where):
        real = writer._store.transaction
        calls = []

        @contextmanager
        def transaction():
            calls.append(where)
            if len(calls) > 1:
                with real() as connection:
                    yield connection
                return
            try:
                with real() as connection:
                    yield connection
                    fail(where == "before commit", "disk I/O error")
                fail(where == "after commit", "connection lost")
            except sqlite3.OperationalError as error:
                raise ServiceFault(Reason.STORE_UNAVAILABLE, "database", given=str(error)) from error

        writer._store.transaction = transaction
        yield calls
        writer._store.transaction = real

    def test_a_commit_that_failed_is_done_again(self, store, writer, city):
        found(writer, city)
        with self.failing(writer, "before commit") as calls:
            committed = submit(writer, city.listing())
        assert len(calls) == 2
        [verdict] = committed.batch.verdicts
        assert isinstance(verdict, Sequenced)
        assert len(stored_leaves(store)) == 7

    def test_a_commit_whose_answer_was_lost_is_found_and_not_doubled(self, store, writer, city):
        found(writer, city)
        listing = city.listing()
        with self.failing(writer, "after commit"):
            committed = submit(writer, listing)
        [verdict] = committed.batch.verdicts
        assert isinstance(verdict, Resent)
        assert verdict.recorded.event_id == event_id(listing)
        assert committed.head.size == 7
        assert len(stored_leaves(store)) == 7

    def test_a_database_that_stays_away_is_told_and_later_found_again(self, writer, city):
        found(writer, city)
        real = writer._store.transaction

        @contextmanager
        def gone():
            raise ServiceFault(Reason.STORE_UNAVAILABLE, "database", given="no answer")
            yield

        writer._store.transaction = gone
        with pytest.raises(ServiceFault, match="no answer"):
            submit(writer, city.listing())
        writer._store.transaction = real
        assert isinstance(submit(writer, city.listing()).batch.verdicts[0], Sequenced)


class TestTakingUp:
    def test_a_changed_tile_is_noticed_at_the_start(self, store, writer, signer, city):
        found(writer, city)
        tamper(store, "UPDATE tiles SET data = zeroblob(length(data))")
        with pytest.raises(
            ServiceFault, match=r"^log ledger.test/city in the database: root by the tiles: given "
        ) as caught:
            Writer(store, signer).load()
        assert caught.value.reason is Reason.STORE_DAMAGED

    def test_a_checkpoint_by_another_key_is_noticed_at_the_start(self, store, writer, city):
        found(writer, city)
        stranger = NoteSigner(ORIGIN, signing_key("stranger")._key)
        with pytest.raises(
            ServiceFault, match="in the database: signatures of the note: given 1 by unknown keys"
        ):
            Writer(store, stranger).load()

    @pytest.mark.parametrize(
        ("change", "message"),
        [
            ("root = x'00'", "root by the tiles: given "),
            ("size = -1", "in the database: size of a frontier: given -1"),
            *(
                pytest.param(*one, marks=SQLITE_ONLY)
                for one in (
                    (
                        "checkpoint = CAST(checkpoint AS TEXT)",
                        "checkpoint of log_head: given a value of type str",
                    ),
                    ("root = 'abc'", "root of log_head: given a value of type str, expected bytes"),
                    ("size = 'abc'", "size of log_head: given a value of type str, expected int"),
                    (
                        "recorded_at_us = 1.5",
                        "recorded_at_us of log_head: given a value of type float, expected int",
                    ),
                )
            ),
        ],
    )
    def test_a_head_of_any_type_is_damage(self, store, writer, signer, change, message):
        found(writer, City())
        tamper(store, f"UPDATE log_head SET {change}")
        with pytest.raises(ServiceFault, match=message) as caught:
            Writer(store, signer).load()
        assert caught.value.reason is Reason.STORE_DAMAGED

    def test_a_clock_that_jumps_back_does_not_take_the_log_with_it(self, writer, city):
        found(writer, city)
        committed = submit(writer, city.listing(), now=NOW - 3_600_000_000 + 600_000_000)
        assert committed.batch.entries[0].entry.recorded_at_us == NOW


class TestRecords:
    def test_what_the_rules_put_is_what_the_tables_give_back(self, store, writer, city):
        founding = found(writer, city)
        with store.snapshot() as connection:
            party = load(connection, Party, [str(COURIER)])
            keys = load(connection, PartyKey, [city.key(TEA).public_key.key_id])
            rows = connection.execute(select(entries.c.idx)).scalars().all()
        [found_party] = party.values()
        assert found_party.name == "顺丰速运"
        assert found_party.licence_until == "2028-12-31"
        assert keys == {}
        assert rows == [entry.recorded.index for entry in founding.batch.entries]

    def test_a_conflicting_duplicate_is_refused(self, writer, city):
        found(writer, city)
        listing = city.listing()
        submit(writer, listing)
        other = Envelope.seal(listing.payload, city.key("party/913501033155024580"))
        committed = submit(writer, other)
        [verdict] = committed.batch.verdicts
        with pytest.raises(Conflict, match=r"given other envelope bytes, expected those recorded at index 6"):
            verdict.entry_of(committed.resent[6], Submission.read(other.raw))


def test_a_store_made_by_another_version_is_refused(tmp_path):
    path = tmp_path / "log.db"
    store = Store.create(str(path))
    with store.transaction() as connection:
        connection.exec_driver_sql("UPDATE alembic_version SET version_num = '0099'")
    store.close()
    with pytest.raises(
        BadInput, match="given version 99, expected at most version 4: this software is older"
    ):
        Store.open(str(path))


def test_a_file_that_is_no_database_is_refused(tmp_path):
    path = tmp_path / "log.db"
    path.write_text("not a database, only a text that is long enough to be read as one" * 20)
    with pytest.raises(BadInput, match="given none, expected version 4"):
        Store.open(str(path))


class TestSecondWriterAnswers:
    """Two services on one database: what records nothing must still be answered from where the log is."""

    def test_what_the_other_one_recorded_is_found_as_sent_again(self, store, writer, signer, city):
        found(writer, city)
        other = Writer(store, signer)
        other.load()
        listing = city.listing()
        first = submit(other, listing)
        again = submit(writer, listing)
        [verdict] = again.batch.verdicts
        assert isinstance(verdict, Resent)
        assert again.head == first.head
        assert 6 in again.resent

    def test_a_refusal_is_answered_with_the_newest_head(self, store, writer, signer, city):
        found(writer, city)
        other = Writer(store, signer)
        other.load()
        newest = submit(other, city.listing()).head
        refused = submit(writer, city.listing(by=COURIER))
        assert refused.batch.verdicts[0].reason is Reason.WRONG_ROLE
        assert refused.head == newest


class TestTime:
    def test_a_head_whose_time_is_not_its_last_entrys_is_not_taken_up(self, store, writer, signer, city):
        found(writer, city)
        with store.transaction() as connection:
            connection.exec_driver_sql("UPDATE log_head SET recorded_at_us = recorded_at_us + 1")
        with pytest.raises(ServiceFault, match="time of the head"):
            Writer(store, signer).load()

    def test_far_behind_the_log_nothing_is_recorded(self, writer, city):
        found(writer, city)
        with pytest.raises(ServiceFault, match="the service's clock"):
            submit(writer, city.listing(), now=NOW - 3 * 3_600_000_000)


def test_a_database_of_somebody_else_is_left_alone(tmp_path):
    path = tmp_path / "theirs.db"
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE customers (name TEXT)")
    connection.close()
    with pytest.raises(BadInput, match="given a table customers, expected a new file"):
        Store.create(str(path))
    with sqlite3.connect(path) as connection:
        assert connection.execute("SELECT count(*) FROM sqlite_master").fetchone() == (1,)
    connection.close()


def test_a_damaged_entry_hurts_only_who_touches_it(store, writer, city):
    found(writer, city)
    listing = city.listing()
    submit(writer, listing, city.listing(CUP))
    tamper(store, "UPDATE entries SET data = x'ff' WHERE idx = 6")
    correction = city.say(
        MERCHANT, TEA, pb.Correction(event=event_id(listing), reason=pb.CORRECTION_REASON_OTHER)
    )

    async def both():
        sequencer = Sequencer(writer, clock=lambda: NOW)
        waiting = [
            asyncio.ensure_future(sequencer.append([Submission.read(one.raw)]))
            for one in (correction, city.listing(CUP))
        ]
        await asyncio.sleep(0)
        sequencer.start()
        answers = await asyncio.gather(*waiting, return_exceptions=True)
        await sequencer.stop()
        return answers

    damaged, sound = asyncio.run(both())
    assert damaged.verdicts[0].reason is Reason.STORE_DAMAGED
    assert isinstance(sound.verdicts[0], Sequenced)
