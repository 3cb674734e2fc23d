"""Calls whose messages never end, from senders who are slow or mean it: bounded memory, and others are served.

`SUYUAN_SOAK=1` sends for a minute, with calls made anew for those that were ended.
"""

import asyncio
import queue
import re
import threading
import time
from contextlib import ExitStack, suppress

import grpc
import pytest
from half_sent import HalfSender
from running import running_service
from soaking import tell, times
from takeover import until
from world import START

from ledger.errors import Reason, ServiceFault
from server.grpc.receiving import LOOK_S, SLOW_LOOKS, Arriving
from server.limits import Limits
from suyuan.v1 import event_pb2 as ev
from suyuan.v1 import ledger_service_pb2 as pb

APPEND = "/suyuan.v1.LedgerService/AppendEvents"
OTHERS = (
    "/suyuan.v1.LedgerService/WatchEvents",
    "/suyuan.v1.LedgerService/GetHistory",
    "/grpc.health.v1.Health/Check",
    "/grpc.health.v1.Health/Watch",
    "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo",
)
LARGEST = 4 * 1024 * 1024
CALLS, CONNECTIONS = 1_000, 4
"""Calls: as many as the service works on at once."""
SERVED, SECONDS = 5, times(0, 60)
"""It goes on until so many others are served, and for so long."""
MOST_GROWTH_BYTES = 1024 * 1024 * 1024
"""Far less than a thousand of the largest messages: 256 MiB that are received, 128 MiB that wait, and what the allocator
keeps for itself."""
LONGEST_S = 60


@pytest.fixture(scope="module")
def service(tmp_path_factory):
    with running_service(tmp_path_factory.mktemp("half-sent")) as running:
        yield running
        assert running.process.poll() is None
        assert "crashed" not in running.log()


def append_until_served(service):
    """Append as a client does that is told to come back; returns how long that took."""
    began = time.monotonic()
    envelope = service.city.scan(ev.SHIPMENT_STAGE_IN_TRANSIT, at=START)
    while True:
        try:
            assert service.append(envelope).results[0].HasField("receipt")
        except grpc.RpcError as error:
            assert error.code() is grpc.StatusCode.RESOURCE_EXHAUSTED, error  # noqa: PT017 - it alone is borne
            assert time.monotonic() < began + LONGEST_S
            time.sleep(0.05)
        else:
            return time.monotonic() - began


def test_a_thousand_messages_that_never_end(service):
    before, peak, waits, over = service.resident, 0, [], threading.Event()
    began = time.monotonic()

    def send(sender):
        calls = []
        while not over.is_set() and not sender.closed:
            calls = [call for call in calls if call not in sender.ended]
            calls += sender.call(APPEND, CALLS // CONNECTIONS - len(calls))
            sender.send(calls, LARGEST, LARGEST - 1, time.monotonic() + 0.5)

    with ExitStack() as held:
        senders = [held.enter_context(HalfSender(service.target)) for _ in range(CONNECTIONS)]
        threads = [threading.Thread(target=send, args=[sender]) for sender in senders]
        for thread in threads:
            thread.start()
        held.callback(over.set)
        ended = 0
        while len(waits) < SERVED or time.monotonic() < began + SECONDS:
            assert time.monotonic() < began + SECONDS + LONGEST_S
            waits.append(append_until_served(service))
            peak = max(peak, service.resident - before)
            ended = sum(len(sender.ended) for sender in senders)
            time.sleep(0.05)
        over.set()
        for thread in threads:
            thread.join(LONGEST_S)
    tell(
        f"{ended} calls ended, {len(waits)} others served in at most {max(waits):.1f} s, grown by {peak >> 20} MiB"
    )
    assert peak < MOST_GROWTH_BYTES
    append_until_served(service)


def test_messages_of_every_method_that_never_end(service):
    """All but those of a stream of appends, which may rest."""
    requests = queue.SimpleQueue()
    answers = service.ledger.StreamAppend(iter(requests.get, None), timeout=LONGEST_S)
    room = Limits().arrivals + Limits().waiting_arrivals
    with HalfSender(service.target) as sender:
        calls = [call for method in OTHERS for call in sender.call(method, 150)]
        sender.send(calls, 1_000, 100, time.monotonic() + LONGEST_S)
        until(lambda: len(sender.ended) >= len(calls) - room, "the end of all that are too many")
        append_until_served(service)
        assert not sender.closed
    said = service.city.scan(ev.SHIPMENT_STAGE_IN_TRANSIT, at=START)
    requests.put(pb.AppendEventsRequest(envelopes=[said.raw]))
    assert next(answers).results[0].HasField("receipt")
    requests.put(None)
    assert not list(answers)


def test_a_call_without_a_message_is_told_so(service):
    method = service._channel().stream_unary(APPEND)
    with pytest.raises(grpc.RpcError) as caught:
        method(iter(()), timeout=LONGEST_S)
    assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert caught.value.details() == "a call without a request"


class TestArriving:
    def test_a_message_that_takes_too_long_ends_its_call(self):
        async def run():
            arriving = Arriving(Limits(arrival_s=0.1))
            async with asyncio.timeout(LONGEST_S):
                await arriving.message("a", asyncio.Event().wait)

        with pytest.raises(ServiceFault) as caught:
            asyncio.run(run())
        assert caught.value.reason is Reason.OVERLOADED
        assert re.fullmatch(
            r"request: given not all of it in \d+\.\d s, expected all of it in 0\.1 s, or sooner while others wait",
            str(caught.value),
        )

    def test_a_connection_that_has_less_gets_its_turn_for_the_latest_slow_message_of_another(self):
        async def run():
            arriving, come = Arriving(Limits(arrivals=4)), asyncio.Event()
            async with asyncio.timeout(LONGEST_S):
                ours = [asyncio.create_task(arriving.message("a", come.wait)) for _ in range(6)]
                await asyncio.sleep(2 * LOOK_S * SLOW_LOOKS)
                assert not any(one.done() for one in ours), "nobody else waits"
                other = asyncio.create_task(arriving.message("b", lambda: asyncio.sleep(0, "b")))
                assert await other == "b"
                ended, _ = await asyncio.wait(ours[2:4])
                assert {one.exception().reason for one in ended} == {Reason.OVERLOADED}
                assert not any(one.done() for one in (*ours[:2], *ours[4:]))
                come.set()
                assert await asyncio.gather(*ours[:2], *ours[4:]) == [True] * 4
            assert not arriving._messages
            assert not arriving._waiting
            assert not arriving._received

        asyncio.run(run())

    def test_of_too_many_that_wait_those_end_of_which_most_do(self):
        async def run():
            arriving, come = Arriving(Limits(arrivals=1, waiting_arrivals=3)), asyncio.Event()
            async with asyncio.timeout(LONGEST_S):
                ours = [asyncio.create_task(arriving.message("a", come.wait)) for _ in range(4)]
                others = [asyncio.create_task(arriving.message("b", come.wait)) for _ in range(2)]
                await asyncio.wait(ours[1:3])
                assert {one.exception().reason for one in ours[1:3]} == {Reason.OVERLOADED}
                come.set()
                assert await asyncio.gather(ours[0], ours[3], *others) == [True] * 4

        asyncio.run(run())

    def test_a_caller_who_goes_away_while_it_is_cut_off_is_told_nothing(self):
        async def run():
            arriving = Arriving(Limits())
            waiting = asyncio.create_task(arriving.message("a", asyncio.Event().wait))
            await asyncio.sleep(0)
            next(iter(arriving._messages)).cut_off = True
            waiting.cancel()
            waiting.cancel()
            with suppress(asyncio.CancelledError):
                await waiting
            assert waiting.cancelled()
            assert not arriving._messages

        asyncio.run(run())


def test_half_sent_messages_hold_up_no_end(service):
    """Last of all: the service is gone afterwards."""
    with HalfSender(service.target) as sender:
        sender.send(sender.call(APPEND, 10), LARGEST, 100_000, time.monotonic() + 5)
        process = service.process
        assert service.stop() == 0
        assert process.poll() == 0
        assert "stopped" in service.log()
        service.start()
