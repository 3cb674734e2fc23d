"""Streams of appends: order, bounded room, and how they end."""

from __future__ import annotations

import asyncio
import queue
import signal
from concurrent.futures import ThreadPoolExecutor
from contextlib import aclosing, asynccontextmanager
from itertools import count

import grpc
import pytest
from filling import NOW, record
from grpc_status import rpc_status
from running import running_service
from world import COURIER, PARCEL, TEA

from clients.convert import Refused
from ledger.chain_key import ChainKey
from ledger.errors import BadInput, Reason, ServiceFault
from server.admission import Admission, PublicKeys
from server.allowance import Allowances, KeyAllowance
from server.grpc.answers import Answers
from server.grpc.appends import Appends
from server.grpc.streams import Streams
from server.limits import Limits
from server.proofs import Proofs
from server.sequencer import Sequencer
from suyuan.v1 import event_pb2 as ev
from suyuan.v1 import ledger_service_pb2 as pb

WAIT_S = 60
"""Against hanging; nothing takes that long."""


def scan(city, parcel=PARCEL, **more):
    return city.scan(ev.SHIPMENT_STAGE_IN_TRANSIT, parcel, **more)


def message(*envelopes):
    return pb.AppendEventsRequest(envelopes=[envelope.raw for envelope in envelopes])


@asynccontextmanager
async def streams_of(store, writer, *, allowances=None, **limits):
    """Streams on the parts of a service that has no network."""
    bounds = Limits(**limits)
    sequencer = Sequencer(writer, clock=lambda: NOW)
    with ThreadPoolExecutor(2) as workers:
        proofs = Proofs(store)
        answers = Answers(store, proofs, workers)
        admission = Admission(PublicKeys(store), workers, 2, bounds, allowances=allowances)
        sequencer.start()
        try:
            async with asyncio.timeout(WAIT_S):
                yield Streams(Appends(admission, sequencer, answers, proofs), bounds)
        finally:
            await sequencer.stop()


class Sender:
    """Sends messages, and knows how many were taken."""

    def __init__(self, messages):
        self.taken = 0
        self._messages = messages

    def __aiter__(self):
        return self

    async def __anext__(self):
        if self.taken == len(self._messages):
            raise StopAsyncIteration
        self.taken += 1
        return self._messages[self.taken - 1]


async def heard(answers, into, on_each=lambda: None):
    """Read a stream's answers to its end."""
    async for answer in answers:
        into.append(answer)
        on_each()


async def settled():
    """Let everything happen that does not wait for anybody."""
    for _ in range(200):
        await asyncio.sleep(0.001)


@pytest.fixture
def founded(writer, city):
    record(writer, *city.founding())
    return writer


def test_a_sender_who_does_not_read_its_answers_is_read_no_further(store, founded, city):
    messages = [message(scan(city), scan(city)) for _ in range(30)]

    async def run():
        async with streams_of(store, founded, stream_events=6) as streams:
            sender = Sender(messages)
            async with aclosing(streams.append(sender)) as answers:
                first = await anext(answers)
                await settled()
                taken = sender.taken
                rest = [answer async for answer in answers]
            return taken, [first, *rest]

    taken, answers = asyncio.run(run())
    # One is being answered, two more have room beside it, and one was read before it was known that it has none.
    assert taken == 4
    indexes = [result.receipt.index for answer in answers for result in answer.results]
    assert indexes == list(range(6, 66))


def test_a_key_that_runs_out_is_refused_in_all_that_was_sent_before_its_sender_could_hear_of_it(
    store, founded, city
):
    """Its allowance grows meanwhile, for one event a message: what is recorded is the beginning all the same."""
    other = [scan(city, by=COURIER) for _ in range(7)]
    messages = [message(*(scan(city) for _ in range(8)), other[number]) for number in range(7)]
    hands = count(0, 0.05)  # two keys a message, each at a time of its own
    allowances = Allowances(KeyAllowance(rate=10, burst=20), clock=lambda: next(hands))

    async def run():
        heard_all = asyncio.Event()

        async def requests():
            for one in messages[:6]:
                yield one
            await heard_all.wait()
            yield messages[6]

        async with (
            streams_of(store, founded, allowances=allowances) as streams,
            aclosing(streams.append(requests())) as answers,
        ):
            first = await anext(answers)
            await settled()  # the other five are read, and none of their answers is taken
            told = [first, *[await anext(answers) for _ in range(5)]]
            again = asyncio.create_task(anext(answers))
            await settled()
            heard_all.set()
            return [*told, await again]

    answers = asyncio.run(run())
    told = [[result.WhichOneof("outcome") for result in answer.results] for answer in answers]
    assert [one[-1] for one in told] == ["receipt"] * 7
    of_key = [outcome for one in told[:6] for outcome in one[:8]]
    recorded = of_key.index("refusal")
    assert 20 <= recorded < 24
    assert of_key == ["receipt"] * recorded + ["refusal"] * (48 - recorded)
    reasons = {Refused.of(result.refusal).reason for result in answers[5].results[:8]}
    assert reasons == {Reason.RATE_LIMITED}
    assert told[6][0] == "receipt"


def test_all_streams_together_have_bounded_room_and_none_starves(store, founded, city):
    parcels = [ChainKey(f"waybill/sf/SF700000000000{number}") for number in range(3)]
    said = [[message(scan(city, parcel)) for _ in range(20)] for parcel in parcels]

    async def run():
        async with streams_of(store, founded, streamed_events=2) as streams:

            async def client(messages):
                return [answer async for answer in streams.append(Sender(messages))]

            return await asyncio.gather(*map(client, said))

    for answers in asyncio.run(run()):
        assert [answer.results[0].receipt.chain_seq for answer in answers] == list(range(20))


def test_a_message_larger_than_all_room_gets_in_alone(store, founded, city):
    messages = [message(scan(city)), message(*[scan(city) for _ in range(9)]), message(scan(city))]

    async def run():
        async with streams_of(store, founded, streamed_events=4, stream_events=3, stream_bytes=10) as streams:
            return [len(answer.results) async for answer in streams.append(Sender(messages))]

    assert asyncio.run(run()) == [1, 9, 1]


def test_a_stream_that_nobody_waits_for_gives_its_room_back(store, founded, city):
    async def run():
        async with streams_of(store, founded, streams=1, streamed_events=4) as streams:
            for _ in range(3):
                sender = Sender([message(scan(city)) for _ in range(20)])
                async with aclosing(streams.append(sender)) as answers:
                    await anext(answers)
            whole = Sender([message(scan(city)) for _ in range(5)])
            return [answer async for answer in streams.append(whole)]

    assert len(asyncio.run(run())) == 5


def test_too_many_streams(store, founded, city):
    async def run():
        async with streams_of(store, founded, streams=1) as streams:
            async with aclosing(streams.append(Sender([message(scan(city))]))) as answers:
                await anext(answers)
                with pytest.raises(ServiceFault) as caught:
                    await anext(streams.append(Sender([])))
            return caught.value

    fault = asyncio.run(run())
    assert fault.reason is Reason.OVERLOADED
    assert str(fault) == "streams of appends: given 2 at once, expected at most 1"


def test_a_service_that_stops_answers_what_it_has_read(store, founded, city):
    async def run():
        async with streams_of(store, founded) as streams:
            coming = asyncio.Queue()
            for _ in range(3):
                coming.put_nowait(message(scan(city)))

            async def endless():
                while True:
                    yield await coming.get()

            answers = []
            with pytest.raises(ServiceFault) as caught:
                await heard(streams.append(endless()), answers, lambda: len(answers) == 3 and streams.stop())
            return answers, caught.value

    answers, fault = asyncio.run(run())
    assert [answer.results[0].receipt.index for answer in answers] == [6, 7, 8]
    assert fault.reason is Reason.STOPPING


@pytest.mark.parametrize("count", [0, 1_001])
def test_a_bad_message_ends_the_stream_when_those_before_it_are_answered(store, founded, city, count):
    bad = pb.AppendEventsRequest(envelopes=[b""] * count)
    messages = [message(scan(city)), message(scan(city)), bad, message(scan(city))]

    async def run():
        answers = []
        async with streams_of(store, founded) as streams:
            with pytest.raises(BadInput) as caught:
                await heard(streams.append(Sender(messages)), answers)
        return answers, caught.value

    answers, refusal = asyncio.run(run())
    assert [answer.results[0].receipt.index for answer in answers] == [6, 7]
    assert str(refusal) == f"envelopes: given {count}, expected 1 to 1000"
    assert founded.head.size == 8


class TestOverAChannel:
    def test_messages_are_answered_in_order_each_with_its_own_verdicts(self, service):
        city, parcel = service.city, ChainKey("waybill/sf/SF7100000000001")
        said = [[scan(city, parcel) for _ in range(1 + number % 7)] for number in range(40)]
        said[5].insert(1, city.scan(ev.SHIPMENT_STAGE_IN_TRANSIT, parcel, by="nobody that is known"))
        answers = list(service.ledger.StreamAppend(iter([message(*one) for one in said]), timeout=WAIT_S))
        assert [len(answer.results) for answer in answers] == [len(one) for one in said]
        assert answers[5].results[1].refusal.message.startswith("signing key: given ")
        results = [result for answer in answers for result in answer.results if result.HasField("receipt")]
        assert [result.receipt.chain_seq for result in results] == list(range(len(results)))

    def test_bytes_that_are_no_message(self, service):
        method = service._channel().stream_stream("/suyuan.v1.LedgerService/StreamAppend")
        good = message(scan(service.city)).SerializeToString()
        call, answers = method(iter([good, b"\xff"]), timeout=WAIT_S), []
        with pytest.raises(grpc.RpcError) as caught:
            answers.extend(call)
        assert len(answers) == 1
        assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT
        assert "1 bytes that are no protobuf message" in caught.value.details()
        assert rpc_status.from_call(call).details

    def test_a_stream_that_is_cancelled_leaves_the_service_well(self, service):
        sending = queue.Queue()
        call = service.ledger.StreamAppend(iter(sending.get, None), timeout=WAIT_S)
        sending.put(message(scan(service.city)))
        assert len(next(call).results) == 1
        call.cancel()
        sending.put(None)
        assert (
            len(list(service.ledger.StreamAppend(iter([message(scan(service.city))]), timeout=WAIT_S))) == 1
        )


def test_a_stream_ends_with_stopping_and_goes_on_after_a_kill_with_each_event_once(tmp_path):
    with running_service(tmp_path) as service:
        city = service.city
        sending = queue.Queue()
        call = service.ledger.StreamAppend(iter(sending.get, None), timeout=WAIT_S)
        sending.put(message(city.listing()))
        assert len(next(call).results) == 1
        service.process.send_signal(signal.SIGTERM)
        with pytest.raises(grpc.RpcError) as caught:
            next(call)
        assert caught.value.code() is grpc.StatusCode.UNAVAILABLE
        assert caught.value.details() == "service: given an append, expected no more appends"
        sending.put(None)
        assert service.process.wait(WAIT_S) == 0
        service.stop()

        service.start()
        events = [scan(city) for _ in range(120)]
        messages = [message(*events[start : start + 3]) for start in range(0, len(events), 3)]
        call, receipts = service.ledger.StreamAppend(iter(messages), timeout=WAIT_S), []

        def hear_and_kill():
            for answer in call:
                receipts.extend(result.receipt for result in answer.results)
                if len(receipts) == 9:
                    service.process.kill()

        with pytest.raises(grpc.RpcError) as caught:
            hear_and_kill()
        assert caught.value.code() is grpc.StatusCode.UNAVAILABLE
        service.stop()

        service.start()
        again = [
            result.receipt
            for answer in service.ledger.StreamAppend(iter(messages), timeout=WAIT_S)
            for result in answer.results
        ]
        assert again[0].already_recorded
        assert [one.index for one in again[: len(receipts)]] == [one.index for one in receipts]
        assert [one.entry_hash for one in again[: len(receipts)]] == [one.entry_hash for one in receipts]
        assert [one.chain_seq for one in again] == list(range(len(events)))
        history = service.ledger.GetHistory(pb.GetHistoryRequest(chain=PARCEL, page_size=1_000), timeout=30)
        assert history.chain_length == len(events)
        assert service.ledger.GetHistory(pb.GetHistoryRequest(chain=TEA), timeout=30).chain_length == 1
