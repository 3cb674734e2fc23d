"""Whether a service is well, by itself: what is said when it is not."""

import asyncio
import threading

import pytest
from filling import record
from sqlalchemy import text

from server import health as module
from server.health import Health

pytestmark = pytest.mark.sqlite_only


def look(health):
    return asyncio.run(health.condition())


@pytest.fixture
def health(store):
    made = Health(store, writes=lambda: True)
    yield made
    made.close()


def test_before_it_starts_and_when_it_stops(health, writer, city):
    record(writer, *city.founding())
    assert look(health).lacks == ("it is starting",)
    health.started()
    condition = look(health)
    assert condition.as_json() == {"ready": True, "writes": True, "entries": writer.head.size, "lacks": []}
    health.stopping()
    condition = look(health)
    assert (condition.ready, condition.writes, condition.lacks) == (False, False, ("it is stopping",))


def test_a_database_without_a_log(health):
    health.started()
    assert look(health).lacks == ("the database holds no log",)


def test_a_database_that_fails(health, store):
    health.started()
    with store.transaction() as connection:
        connection.execute(text("DROP TABLE log_head"))
    [lack] = look(health).lacks
    assert lack.startswith("database: given no such table: log_head")


def test_a_database_that_hangs_holds_up_one_look_only(health, store, monkeypatch):
    monkeypatch.setattr(module, "ANSWER_S", 0.05)
    health.started()
    hang, began = threading.Event(), []

    def read():
        began.append(1)
        hang.wait(30)
        return 1

    monkeypatch.setattr(health, "_read", read)

    async def three_looks():
        lacks = [(await health.condition()).lacks for _ in range(2)]
        hang.set()
        await asyncio.sleep(0.05)
        deadline = asyncio.get_running_loop().time() + 30
        while not (condition := await health.condition()).ready:
            assert asyncio.get_running_loop().time() < deadline
        return lacks, condition

    lacks, condition = asyncio.run(three_looks())
    assert lacks == [("the database has not answered in 0.05 s",)] * 2
    assert condition.ready
    assert len(began) <= 2


def test_a_writer_whose_thread_has_ended(store, writer, city):
    record(writer, *city.founding())
    health = Health(store, is_alive=lambda: False, writes=lambda: True)
    health.started()
    condition = look(health)
    health.close()
    assert (condition.alive, condition.writes) == (False, False)
    assert condition.lacks == ("the thread that writes has ended",)


def test_whoever_follows_hears_of_every_change_once(health, writer, city, store, monkeypatch):
    monkeypatch.setattr(module, "LOOK_S", 0.001)
    health.started()
    heard = []

    async def follow():
        enough = asyncio.Event()

        async def tell(*, ready):
            heard.append(ready)
            if not ready:
                record(writer, *city.founding())
            else:
                enough.set()

        following = asyncio.create_task(health.follow(tell))
        await asyncio.wait_for(enough.wait(), 30)
        following.cancel()

    asyncio.run(follow())
    assert heard == [False, True]
