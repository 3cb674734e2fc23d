"""A clock that goes back: told once, counted, and never seen in the log."""

import asyncio

import pytest
from filling import NOW, record
from structlog.testing import capture_logs

from ledger.chain_key import ChainKey
from ledger.entry import Entry
from ledger.sequence import Submission
from server.clock import WatchedClock
from server.sequencer import Sequencer
from server.store import queries

SECOND = 1_000_000
HOUR = 3_600 * SECOND


class Hands:
    """A clock that a test sets."""

    def __init__(self, now_us=NOW):
        self.now_us = now_us

    def __call__(self):
        return self.now_us


def told(clock, hands, *readings):
    """What is logged over some readings, each with the time of the log's last entry."""
    with capture_logs() as logs:
        for now_us, recorded_at_us in readings:
            hands.now_us = now_us
            assert clock.now_us(recorded_at_us) == now_us
    return [(one["event"], one["log_level"], one["seconds"]) for one in logs]


def test_a_jump_is_told_once_and_the_next_one_again():
    hands = Hands()
    clock = WatchedClock(hands)
    back = [(NOW - HOUR + step * SECOND, NOW) for step in range(5)]
    assert told(clock, hands, (NOW, 0), *back) == [("clock_went_back", "warning", 3600.0)]
    assert (clock.jumps, clock.behind_us) == (1, HOUR - 4 * SECOND)
    assert told(clock, hands, (NOW - 2 * HOUR, NOW)) == [("clock_went_back", "warning", 3604.0)]
    assert told(clock, hands, (NOW + 1, NOW), (NOW - HOUR, NOW + 1)) == [
        ("clock_went_back", "warning", 3600.0)
    ]
    assert clock.jumps == 3


def test_a_clock_that_was_set_back_while_nobody_read_it():
    hands = Hands()
    clock = WatchedClock(hands)
    assert len(told(clock, hands, (NOW - HOUR, NOW), (NOW - HOUR + SECOND, NOW))) == 1


def test_small_steps_are_nobodys_business():
    hands = Hands()
    clock = WatchedClock(hands)
    assert told(clock, hands, (NOW, 0), (NOW - SECOND, NOW), (NOW - SECOND // 2, NOW)) == []
    assert clock.jumps == 0


@pytest.mark.sqlite_only
def test_recorded_times_never_decrease_through_a_jump_back(writer, store, city):
    record(writer, *city.founding())
    hands = Hands()

    async def through_a_jump():
        sequencer = Sequencer(writer, clock=hands)
        sequencer.start()
        for number, now_us in enumerate((NOW, NOW + HOUR, NOW, NOW + SECOND, NOW + HOUR, NOW + 2 * HOUR)):
            hands.now_us = now_us
            listing = city.listing(ChainKey.serial("06901234567892", f"C{number}"))
            await sequencer.append([Submission.read(listing.raw)])
        await sequencer.stop()
        return sequencer.clock

    with capture_logs() as logs:
        clock = asyncio.run(through_a_jump())
    assert [one["seconds"] for one in logs if one["event"] == "clock_went_back"] == [3600.0]
    assert (clock.jumps, clock.behind_us) == (1, 0)
    with store.snapshot() as connection:
        entries = queries.entries_from(connection, 0, 1_000)
    times = [Entry.parse(entry.data).recorded_at_us for entry in entries]
    assert times == sorted(times)
    assert times[-6:] == [NOW, NOW + HOUR, NOW + HOUR, NOW + HOUR, NOW + HOUR, NOW + 2 * HOUR]
