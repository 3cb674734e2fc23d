"""Two processes on one database: one writes, and the other takes over, whatever befalls the first."""

import random
import signal
import sys
import time

import grpc
import pytest
from google.rpc import error_details_pb2
from grpc_status import rpc_status
from takeover import LEASE_S, until, writer_of

from suyuan.v1 import ledger_service_pb2 as pb


def tell(figures):
    """What was measured, for whoever wants to see it (`pytest -s`)."""
    sys.stderr.write(f"\n{figures}\n")


def grows(senders, by=3):
    """Wait until every sender has had more events acknowledged; returns how long that took."""
    before = [sender.count for sender in senders]
    return until(
        lambda: all(one.failure or one.count >= had + by for one, had in zip(senders, before, strict=True)),
        "further receipts",
    )


def refusal_of(process, envelope):
    """Why an append is refused: the code, and the ErrorInfo."""
    with pytest.raises(grpc.RpcError) as caught:
        process.append(envelope)
    info = error_details_pb2.ErrorInfo()
    [detail] = rpc_status.from_call(caught.value).details
    detail.Unpack(info)
    return caught.value.code(), info.reason, dict(info.metadata)


def waits(process, writer):
    """That a process answers reads and refuses appends, and says who writes."""
    assert refusal_of(process, process.city.listing()) == (
        grpc.StatusCode.UNAVAILABLE,
        "STANDBY",
        {
            "subject": "append",
            "given": "a process that waits for its turn",
            "expected": f"the process that writes, {writer.listen}",
        },
    )
    assert process.ledger.GetEntry(pb.GetEntryRequest(index=0)).entry.index == 0


def lost_its_turn(process):
    """Wait until a process has noticed that another one took its turn."""
    until(lambda: "turn_lost" in process.log().rpartition("turn_begun")[2], "a turn that was lost")
    assert not process.writes()


def test_one_takes_over_when_the_other_is_stopped_killed_frozen_or_cut_off(on_postgresql):
    first, second = on_postgresql.begin()
    waits(second, first)
    with on_postgresql.sending() as senders:
        grows(senders)

        began = time.monotonic()
        assert first.stop() == 0
        until(second.writes, "the second one's turn")
        grows(senders, 1)
        tell(f"stopped: {time.monotonic() - began:.1f} s until every sender had a receipt again")
        first.start()
        waits(first, second)

        began = time.monotonic()
        second.stop(signal.SIGKILL)
        until(first.writes, "the first one's turn")
        grows(senders, 1)
        tell(f"killed: {time.monotonic() - began:.1f} s")
        second.start()
        waits(second, first)

        began = time.monotonic()
        first.freeze()
        until(second.writes, "the second one's turn")
        grows(senders, 1)
        tell(f"frozen: {time.monotonic() - began:.1f} s, of which {LEASE_S} are the lease")
        first.thaw()
        lost_its_turn(first)
        assert second.writes()
        grows(senders)

        began = time.monotonic()
        second.line.cut()
        until(first.writes, "the first one's turn")
        grows(senders, 1)
        tell(f"cut off: {time.monotonic() - began:.1f} s")
        until(lambda: not second.writes(), "the one that is cut off to say that it records nothing")
        second.line.mend()
        lost_its_turn(second)
        assert first.writes()
        grows(senders)


def test_the_one_that_writes_goes_on_while_both_live_and_is_followed_when_killed(on_sqlite):
    first, second = on_sqlite.begin()
    with on_sqlite.sending() as senders:
        end = time.monotonic() + 1.5 * LEASE_S
        while time.monotonic() < end:
            assert not second.writes()
            time.sleep(0.1)
        assert first.log().count("turn_begun") == 1
        began = time.monotonic()
        first.stop(signal.SIGKILL)
        until(second.writes, "the second one's turn")
        grows(senders)
        tell(f"killed, on SQLite: {time.monotonic() - began:.1f} s")


@pytest.mark.skipif("os.environ.get('SUYUAN_SOAK') != '1'", reason="long: SUYUAN_SOAK=1")
def test_whatever_befalls_them_in_whatever_order(on_postgresql):
    made = on_postgresql.made
    on_postgresql.begin()
    choice = random.Random()
    with on_postgresql.sending(4) as senders:
        for _ in range(60):
            victim, how = choice.choice(made), choice.choice(["kill", "freeze", "cut", "stop"])
            if how in {"kill", "stop"}:
                victim.stop(signal.SIGKILL if how == "kill" else signal.SIGTERM)
            elif how == "freeze":
                victim.freeze()
            else:
                victim.line.cut()
            time.sleep(choice.uniform(0.0, 2 * LEASE_S))
            if how in {"kill", "stop"}:
                victim.start()
            elif how == "freeze":
                victim.thaw()
            else:
                victim.line.mend()
            writer_of(made)
            tell(f"{how}: {grows(senders, 1):.1f} s until every sender had a receipt again")
