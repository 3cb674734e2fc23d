"""Whatever the order in which appends meet: consecutive indexes, unbroken chains, one consistent log."""

import asyncio
import tempfile
import threading
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from world import ORIGIN, START_US, City, signing_key

from ledger.audit import Auditor
from ledger.chain_key import ChainKey
from ledger.checkpoint import open_checkpoint
from ledger.errors import Reason, ServiceFault
from ledger.merkle import verify_consistency
from ledger.note import NoteSigner, VerifierKey
from ledger.sequence import Resent, Sequenced, Submission
from server.limits import Limits
from server.sequencer import Sequencer
from server.store import queries
from server.store.store import Store
from server.writer import Writer
from suyuan.v1 import event_pb2 as ev
from suyuan.v1 import ledger_service_pb2 as pb

NOW = START_US + 36_000_000_000
SIGNER = NoteSigner(ORIGIN, signing_key("log")._key)
PARCELS = [ChainKey(f"waybill/sf/SF900000000000{number}") for number in range(3)]


def audit(leaves, note, vkey=SIGNER.vkey):
    auditor = Auditor(ORIGIN)
    for leaf in leaves:
        auditor.read(leaf)
    return auditor.conclude(open_checkpoint(note, ORIGIN, [vkey]))


async def append_all(writer, requests, pauses):
    """Send each client's requests one after the other, all clients at once."""
    sequencer = Sequencer(writer, clock=lambda: NOW)
    sequencer.start()

    async def client(own):
        answers = []
        for request in own:
            for _ in range(pauses.pop() if pauses else 0):
                await asyncio.sleep(0)
            answers.append(await sequencer.append([Submission.read(raw) for raw in request]))
        return answers

    answers = await asyncio.gather(*(client(own) for own in requests))
    await sequencer.stop()
    return answers


@settings(max_examples=25, deadline=None)
@given(
    clients=st.lists(
        st.lists(st.lists(st.integers(0, 2), min_size=1, max_size=5), min_size=1, max_size=4),
        min_size=1,
        max_size=6,
    ),
    pauses=st.lists(st.integers(0, 5), max_size=30),
    again=st.booleans(),
)
def test_any_interleaving_gives_one_consistent_log(clients, pauses, again):
    city = City()
    founding = [Submission.read(envelope.raw) for envelope in city.founding()]
    requests = [
        [
            [city.scan(ev.SHIPMENT_STAGE_IN_TRANSIT, PARCELS[parcel]).raw for parcel in request]
            for request in own
        ]
        for own in clients
    ]
    if again:  # a client that repeats what another one says at the same time
        requests.append([request for own in requests for request in own])
    with tempfile.TemporaryDirectory() as folder:
        store = Store.create(str(Path(folder) / "log.db"))
        writer = Writer(store, SIGNER)
        writer.write(founding, NOW)
        answers = asyncio.run(append_all(writer, requests, pauses))
        with store.snapshot() as connection:
            leaves = [entry.data for entry in queries.entries_from(connection, 0, 10_000)]
            head = queries.head(connection)
        store.close()
    verdicts = [verdict for own in answers for answer in own for verdict in answer.verdicts]
    recorded = [verdict.recorded.index for verdict in verdicts if isinstance(verdict, Sequenced)]
    events = sum(len(request) for own in clients for request in own)
    assert sorted(recorded) == list(range(len(founding), len(founding) + events))
    assert len([verdict for verdict in verdicts if isinstance(verdict, Resent)]) == (events if again else 0)
    report = audit(leaves, head.checkpoint)
    assert report.verified, report.findings
    assert report.size == head.size == len(founding) + events
    for own in answers:  # each client saw its own requests in its own order
        indexes = [v.recorded.index for answer in own for v in answer.verdicts if isinstance(v, Sequenced)]
        assert indexes == sorted(indexes)


def test_many_threads_on_one_service_see_one_log(service):
    checkpoints, errors, lock = [], [], threading.Lock()
    vkey = VerifierKey.parse(service.vkey)
    parcels = [
        [service.city.scan(ev.SHIPMENT_STAGE_ARRIVED, PARCELS[i % 3]).raw for i in range(20)]
        for _ in range(8)
    ]

    def client(own):
        try:
            for start in range(0, len(own), 4):
                answer = service.append(*own[start : start + 4])
                assert all(result.HasField("receipt") for result in answer.results)
                with lock:
                    checkpoints.append(open_checkpoint(answer.checkpoint.note, ORIGIN, [vkey]))
        except Exception as error:  # noqa: BLE001 - it is told in the test's own thread
            errors.append(error)

    threads = [threading.Thread(target=client, args=(own,)) for own in parcels]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not errors
    checkpoints.sort(key=lambda checkpoint: checkpoint.size)
    for old, new in pairwise(checkpoints):
        request = pb.GetConsistencyProofRequest(old_size=old.size, new_size=new.size)
        proof = list(service.ledger.GetConsistencyProof(request).proof)
        verify_consistency(old.size, old.root, new.size, new.root, proof)
    answer = service.ledger.ListEntries(pb.ListEntriesRequest())
    assert audit(answer.entries, answer.checkpoint.note, vkey).verified


def full_queue(writer, city):
    """A sequencer that has not begun, with all that its queue takes."""
    return Sequencer(writer, limits=Limits(queued_events=3, queued_bytes=10**6)), city.founding()


def test_a_full_queue_tells_to_come_back_and_recovers(writer, city):
    async def story():
        sequencer, founding = full_queue(writer, city)
        submissions = [Submission.read(envelope.raw) for envelope in founding]
        waiting = [asyncio.ensure_future(sequencer.append([one])) for one in submissions[:3]]
        await asyncio.sleep(0)
        with pytest.raises(ServiceFault, match="given 4 events") as caught:
            await sequencer.append([submissions[3]])
        assert caught.value.reason is Reason.OVERLOADED
        sequencer.start()
        await asyncio.gather(*waiting)
        assert isinstance((await sequencer.append([submissions[3]])).verdicts[0], Sequenced)
        await sequencer.stop()
        with pytest.raises(ServiceFault) as caught:
            await sequencer.append([submissions[4]])
        assert caught.value.reason is Reason.STOPPING

    asyncio.run(story())


def test_too_many_bytes_are_too_many(writer, city):
    async def story():
        sequencer = Sequencer(writer, limits=Limits(queued_bytes=100))
        with pytest.raises(ServiceFault, match="at most 20000 events, 100 bytes"):
            await sequencer.append([Submission.read(city.genesis().raw)])

    asyncio.run(story())


def test_a_caller_that_went_away_does_not_hold_up_the_others(writer, city):
    async def story():
        sequencer = Sequencer(writer)
        first, second = (Submission.read(envelope.raw) for envelope in city.founding()[:2])
        gone = asyncio.ensure_future(sequencer.append([first]))
        stays = asyncio.ensure_future(sequencer.append([second]))
        await asyncio.sleep(0)
        gone.cancel()
        sequencer.start()
        assert isinstance((await stays).verdicts[0], Sequenced)
        await sequencer.stop()

    asyncio.run(story())
    assert writer.head.size == 2


def test_a_batch_waits_for_those_who_are_about_to_come(writer, city):
    async def story():
        submissions = [Submission.read(envelope.raw) for envelope in city.founding()]
        sequencer, loop = Sequencer(writer), asyncio.get_running_loop()
        others = []
        came = threading.Event()

        def come():
            others.extend(asyncio.ensure_future(sequencer.append([one])) for one in submissions[1:])
            loop.call_soon(came.set)  # behind the first steps of these calls

        def coming():
            if came.is_set():
                return 0
            loop.call_soon_threadsafe(come)
            assert came.wait(60)
            return len(submissions)

        sequencer.coming = coming
        sequencer.start()
        first = await sequencer.append(submissions[:1])
        assert {answer.committed.head.size for answer in await asyncio.gather(*others)} == {
            first.committed.head.size
        }
        await sequencer.stop()

    asyncio.run(story())
    assert writer.head.size == 6


def test_who_never_comes_is_not_waited_for_for_ever(writer, city):
    async def story():
        sequencer = Sequencer(writer)
        sequencer.coming = lambda: 1_000
        sequencer.start()
        for envelope in city.founding():
            await sequencer.append([Submission.read(envelope.raw)])
        await sequencer.stop()

    asyncio.run(story())
    assert writer.head.size == 6


def test_a_writer_whose_queue_is_sent_away_goes_on(writer, city):
    async def story():
        founding = [Submission.read(envelope.raw) for envelope in city.founding()]
        sequencer = Sequencer(writer)
        refused = threading.Event()

        def coming():
            if not refused.is_set():
                refused.set()
                sequencer.refuse(ServiceFault(Reason.STANDBY, "append", given="a test", expected="a turn"))
            return 0

        sequencer.coming = coming
        sequencer.start()
        with pytest.raises(ServiceFault) as caught:
            await sequencer.append(founding[:1])
        assert caught.value.reason is Reason.STANDBY
        sequencer.admit()
        assert isinstance((await sequencer.append(founding[:1])).verdicts[0], Sequenced)
        await sequencer.stop()

    asyncio.run(story())
