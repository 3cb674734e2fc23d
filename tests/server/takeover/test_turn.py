"""The lease, the fence, and what one process makes of them, on both databases."""

import asyncio
import sqlite3
import subprocess
import sys
import threading
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from world import START_US

from ledger.errors import Reason, ServiceFault
from ledger.sequence import Sequenced, Submission
from server.process_identity import is_gone, process_identity
from server.sequencer import Sequencer
from server.store import queries
from server.store.lease import Holder, clock_us, read_lease, release_lease, take_lease
from server.turn import Duties, Turn
from server.writer import Writer

NOW = START_US + 3_600_000_000
ELSEWHERE = Holder(bytes(16), "other.example:7443", "")
"""A process of another machine."""
DEADLINE_S = 60


class Told:
    """Duties that only take notes."""

    def __init__(self):
        self.refusal = self.ended = None
        self.begun = 0

    @property
    def duties(self):
        async def begin():
            self.begun += 1

        async def end():
            self.ended = True

        async def tell(refusal):
            self.refusal = refusal

        return Duties(begin, end, tell)


@asynccontextmanager
async def turn_of(store, told, seconds=60.0):
    turn = Turn(store, seconds, told.duties)
    await turn.start("here.example:7443")
    try:
        yield turn
    finally:
        await turn.stop()


async def until(holds):
    async with asyncio.timeout(DEADLINE_S):
        while not holds():  # noqa: ASYNC110 - what it waits for is in a database
            await asyncio.sleep(0.02)


def lease_of(store):
    with store.snapshot() as connection:
        return read_lease(connection)


def take_away(store, lasts_us=60_000_000):
    """Another process takes the turn, whatever anybody thinks."""
    with store.transaction() as connection:
        return take_lease(connection, read_lease(connection), ELSEWHERE, lasts_us)


def submissions(envelopes):
    return [Submission.read(envelope.raw) for envelope in envelopes]


def test_a_turn_is_taken_kept_and_given_back(store):
    async def story():
        told = Told()
        async with turn_of(store, told, seconds=0.3) as turn:
            assert (turn.writes, turn.term, told.begun, told.refusal) == (True, 1, 1, None)
            first = lease_of(store)
            assert first.holder.address == "here.example:7443"
            await until(lambda: lease_of(store).renewed_us > first.renewed_us)
        assert lease_of(store).lasts_us == 0
        async with turn_of(store, Told()) as turn:
            assert (turn.writes, turn.term) == (True, 2)

    asyncio.run(story())


def test_who_comes_second_waits_and_begins_when_the_first_ends(store):
    async def story():
        first, second = Told(), Told()
        async with turn_of(store, first) as writing:
            waiting = turn_of(store, second)
            turn = await waiting.__aenter__()
            assert (turn.writes, turn.term, second.begun) == (False, 0, 0)
            assert second.refusal.reason is Reason.STANDBY
            assert str(second.refusal) == (
                "append: given a process that waits for its turn, "
                "expected the process that writes, here.example:7443"
            )
            assert writing.writes
        await until(lambda: turn.writes)
        assert (turn.term, second.begun, second.refusal) == (2, 1, None)
        await waiting.__aexit__(None, None, None)

    asyncio.run(story())


def test_a_lease_that_does_not_change_runs_out_though_the_database_s_clock_was_set_back(store):
    with store.transaction() as connection:
        take_lease(connection, None, ELSEWHERE, 300_000)
        connection.exec_driver_sql(f"UPDATE lease SET renewed_us = {clock_us(connection) + 10**10}")

    async def story():
        async with turn_of(store, Told()) as turn:
            assert not turn.writes
            await until(lambda: turn.writes)
            assert turn.term == 2

    asyncio.run(story())


def test_a_turn_whose_beginning_fails_is_left_to_others(store):
    async def story():
        told = Told()

        async def fail():
            raise ServiceFault(Reason.STORE_DAMAGED, "log", given="this", expected="that")

        turn = Turn(store, 60, Duties(fail, told.duties.end, told.duties.tell))
        with pytest.raises(ServiceFault, match="log: given this, expected that"):
            await turn.start("here.example:7443")
        await turn.stop()

    asyncio.run(story())
    assert lease_of(store).lasts_us == 0


def test_a_writer_that_has_lost_its_turn_without_knowing_writes_nothing(store, signer, city):
    writer = Writer(store, signer)
    writer.load()
    writer.write(submissions(city.founding()), NOW)

    async def story():
        told = Told()
        async with turn_of(store, told) as turn:
            writer.fence = turn.fence
            [verdict] = writer.write(submissions([city.listing()]), NOW).batch.verdicts
            assert isinstance(verdict, Sequenced)
            before = writer.head
            taken = take_away(store)
            assert turn.writes  # as far as it knows
            with pytest.raises(ServiceFault) as caught:
                await asyncio.to_thread(writer.write, submissions([city.sale()]), NOW)
            assert caught.value.reason is Reason.STANDBY
            await until(lambda: told.ended)
            assert not turn.writes
            with store.snapshot() as connection:
                assert queries.head(connection) == before
            assert lease_of(store) == taken
            # Its new turn is another one, and the log is taken up anew.
            with store.transaction() as connection:
                release_lease(connection, taken)
            await until(lambda: turn.writes)
            assert turn.term == taken.term + 1
            [verdict] = writer.write(submissions([city.sale()]), NOW).batch.verdicts
            assert isinstance(verdict, Sequenced)

    asyncio.run(story())


def test_a_writer_that_never_rests_renews_the_lease_by_writing(store, signer, city):
    writer = Writer(store, signer)
    writer.load()
    writer.write(submissions(city.founding()), NOW)

    async def story():
        async with turn_of(store, Told(), seconds=0.6) as turn:
            turn._running.cancel()  # nobody renews it but the writer
            writer.fence = turn.fence
            first = lease_of(store)
            async with asyncio.timeout(DEADLINE_S):
                while lease_of(store).renewed_us == first.renewed_us:
                    await asyncio.sleep(0.05)
                    writer.write(submissions([city.listing()]), NOW)
            assert lease_of(store).is_turn_of(first)

    asyncio.run(story())


def test_a_database_that_lets_nobody_write_is_told_and_found_again(tmp_path, signer, city):
    from server.store.store import Store

    path = tmp_path / "log.db"
    store = Store.create(str(path))

    async def story():
        told = Told()
        async with turn_of(store, told, seconds=0.5) as turn:
            lock = sqlite3.connect(path, isolation_level=None)
            lock.execute("BEGIN IMMEDIATE")
            await until(lambda: told.refusal is not None)
            assert told.refusal.reason is Reason.STORE_UNAVAILABLE
            assert (turn.writes, turn.term) == (False, 1)
            lock.execute("ROLLBACK")
            await until(lambda: turn.writes)
            # Nobody has taken it meanwhile: it is the same turn.
            assert (turn.term, told.begun, told.ended) == (1, 1, None)
            lock.close()

    asyncio.run(story())
    store.close()


def test_a_row_that_is_no_lease_stands_in_nobody_s_way(tmp_path):
    from server.store.store import Store

    store = Store.create(str(tmp_path / "log.db"))
    with store.transaction() as connection:
        connection.exec_driver_sql("INSERT INTO lease VALUES (0, 'x', 'y', 0, 0, 'z', 9)")

    async def story():
        async with turn_of(store, Told()) as turn:
            assert (turn.writes, turn.term) == (True, 1)

    asyncio.run(story())
    store.close()


def test_who_waits_in_the_queue_or_in_a_batch_is_sent_away(writer, city):
    """A batch that hangs in the database answers nobody; `abandon` does."""
    founding = submissions(city.founding())
    hangs, entered = threading.Event(), threading.Event()

    def fence(_):
        entered.set()
        assert hangs.wait(DEADLINE_S)

    writer.fence = fence

    async def story():
        sequencer = Sequencer(writer, clock=lambda: NOW)
        sequencer.start()
        first = asyncio.create_task(sequencer.append(founding))
        await asyncio.to_thread(entered.wait, DEADLINE_S)
        second = asyncio.create_task(sequencer.append(submissions([city.listing()])))
        await asyncio.sleep(0)
        fault = ServiceFault(Reason.STANDBY, "append")
        sequencer.refuse(fault)
        with pytest.raises(ServiceFault, match="append"):
            await second
        assert not first.done()
        sequencer.refuse(ServiceFault(Reason.STORE_UNAVAILABLE, "database"), abandon=True)
        with pytest.raises(ServiceFault, match="database"):
            await first
        with pytest.raises(ServiceFault, match="database"):
            await sequencer.append(founding)
        hangs.set()
        await asyncio.to_thread(sequencer.begin_turn)
        sequencer.admit()
        again = await sequencer.append(founding)
        await sequencer.stop()
        return again

    again = asyncio.run(story())
    assert again.committed.head.size == len(founding)  # what was abandoned is there, once


def test_a_process_knows_itself_and_who_has_ended():
    assert not is_gone(process_identity())
    child = subprocess.Popen([sys.executable, "-c", "import sys; sys.stdin.read()"], stdin=subprocess.PIPE)
    began = Path(f"/proc/{child.pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[19]
    place = process_identity().rsplit("/", 2)[0]
    identity = f"{place}/{child.pid}/{began}"
    assert not is_gone(identity)
    assert is_gone(f"{place}/{child.pid}/{int(began) + 1}")  # the number was given away
    child.kill()
    while not is_gone(identity):
        pass  # ends: the process is dead, though nobody has taken note of its end
    child.communicate()
    assert is_gone(identity)
    for other in ("", "nonsense", f"{'0' * 8}-0000-0000-0000-{'0' * 12}/1/{child.pid}/{began}"):
        assert not is_gone(other)
