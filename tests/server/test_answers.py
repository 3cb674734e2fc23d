"""Where answers are made: receipts apart from reads, and no further than somebody waits for them."""

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from filling import NOW, record

from ledger.errors import Reason, ServiceFault
from ledger.sequence import Resent, Submission
from server.grpc.answers import Answers
from server.grpc.appends import _data_of
from server.proofs import Proofs
from server.sequencer import Appended
from server.writer import Committed

WAIT_S = 30


@pytest.fixture
def workers():
    with ThreadPoolExecutor(1) as reading, ThreadPoolExecutor(1) as receipts:
        yield reading, receipts


@pytest.fixture
def founded(store, writer, city):
    record(writer, *city.founding())
    return store


def test_receipts_do_not_wait_behind_reads(founded, workers):
    answers, free = Answers(founded, Proofs(founded), *workers), threading.Event()

    async def run():
        slow = [asyncio.ensure_future(answers.read(lambda _: free.wait(WAIT_S))) for _ in range(3)]
        size = await answers.read(lambda view: view.size, of_append=True)
        receipt = await answers.receipts(lambda: "receipt", 1)
        assert not any(one.done() for one in slow)
        free.set()
        return size, receipt, await asyncio.gather(*slow)

    assert asyncio.run(run()) == (6, "receipt", [True, True, True])


def test_without_workers_of_their_own_receipts_are_made_by_those_of_the_reads(founded, workers):
    answers = Answers(founded, Proofs(founded), workers[0])
    name = asyncio.run(answers.receipts(lambda: threading.current_thread().name, 1))
    assert name == asyncio.run(answers.read(lambda _: threading.current_thread().name))


def test_a_read_whose_call_has_ended_is_given_up(founded, workers):
    answers = Answers(founded, Proofs(founded), *workers)
    begun, cancelled, ended, outcome = threading.Event(), threading.Event(), threading.Event(), []

    def answer(view):
        view.go_on()
        begun.set()
        cancelled.wait(WAIT_S)
        try:
            view.proven_at([0])
        except ServiceFault as fault:
            outcome.append((fault.reason, str(fault)))
            raise
        finally:
            ended.set()

    async def run():
        call = asyncio.ensure_future(answers.read(answer))
        await asyncio.to_thread(begun.wait, WAIT_S)
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
        cancelled.set()
        await asyncio.to_thread(ended.wait, WAIT_S)

    asyncio.run(run())
    assert outcome == [
        (Reason.STOPPING, "answer: given a call that has ended, expected a caller who waits"),
    ]


def test_a_receipt_for_an_entry_that_is_nowhere_is_a_fault_and_no_endless_wait(
    founded, writer, workers, city
):
    """A StopIteration from a worker would never reach the call that waits for it."""
    listing = city.listing()
    submission = [Submission.read(listing.raw)]
    writer.write(submission, NOW)
    again = writer.write(submission, NOW)
    [resent] = again.batch.verdicts
    assert isinstance(resent, Resent)
    lost = Appended(again.batch.verdicts, Committed(again.batch, again.head, again.paths))
    answers = Answers(founded, Proofs(founded), *workers)
    with pytest.raises(ServiceFault) as caught:
        asyncio.run(answers.receipts(lambda: _data_of(resent, lost), 1))
    assert caught.value.reason is Reason.STORE_DAMAGED
    assert str(caught.value) == "entry 6: given none, expected an entry"
