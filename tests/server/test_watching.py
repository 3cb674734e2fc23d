"""WatchEvents of a real service: order, resumption, slow readers, limits, and how it ends."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import grpc
import pytest
from filling import long_scan, record
from grpc_status import rpc_status
from world import MERCHANT, ORIGIN, PARCEL, TEA, City, signing_key

from ledger.chain_key import ChainKey
from ledger.checkpoint import open_checkpoint
from ledger.merkle import EMPTY_ROOT, leaf_hash, verify_consistency, verify_inclusion
from ledger.note import NoteSigner, VerifierKey
from server.arrivals import Arrivals
from server.config import Settings
from server.service import Service
from server.store import queries
from server.store.store import Store
from server.writer import Writer
from suyuan.v1 import event_pb2 as ev
from suyuan.v1 import ledger_service_pb2 as pb
from suyuan.v1.ledger_service_pb2_grpc import LedgerServiceStub


def watch(stub, start=0, **request):
    """A stream of answers; with a deadline, that a test never hangs."""
    return stub.WatchEvents(pb.WatchEventsRequest(start=start, **request), timeout=120)


def read(stub, until, start=0, **request):
    """Indexes of what is delivered before the log was looked through as far as `until`."""
    call = watch(stub, start, **request)
    indexes = []
    for answer in call:
        indexes += [entry.index for entry in answer.entries]
        if answer.next >= until:
            call.cancel()
            return indexes
    raise AssertionError


def size_of(service):
    return service.append(service.city.scan(ev.SHIPMENT_STAGE_ARRIVED)).results[0].receipt.index + 1


def parcel(number):
    return ChainKey(f"waybill/sf/SF{number:013d}")


def test_every_answer_is_proven_and_continues_the_one_before(service):
    key = VerifierKey.parse(service.vkey)
    call = watch(service.ledger)
    size, root, seen = 0, EMPTY_ROOT, 0
    for number in range(5):
        service.append(service.city.scan(ev.SHIPMENT_STAGE_ARRIVED, parcel(number)))
        answer = next(call)
        head = open_checkpoint(answer.checkpoint.note, ORIGIN, [key])
        verify_consistency(size, root, head.size, head.root, answer.checkpoint.consistency_proof)
        for entry in answer.entries:
            assert entry.index == seen
            verify_inclusion(leaf_hash(entry.entry), entry.index, head.size, entry.inclusion_proof, head.root)
            seen += 1
        assert answer.next == seen == head.size
        size, root = head.size, head.root
    call.cancel()


def test_nothing_is_lost_or_doubled_while_others_write(service):
    """Three writers, and four watchers of whom two break off and resume after every answer."""
    start, writers, rounds = size_of(service), 3, 25
    end = start + writers * rounds

    def write(writer):
        for number in range(rounds):
            service.append(service.city.scan(ev.SHIPMENT_STAGE_ARRIVED, parcel(1_000 * writer + number)))

    def follow(breaking):
        indexes, next_ = [], start
        while next_ < end:
            call = watch(service.ledger, next_, omit_proofs=True)
            for answer in call:
                indexes += [entry.index for entry in answer.entries]
                next_ = answer.next
                if breaking or next_ >= end:
                    break
            call.cancel()
        return indexes

    with ThreadPoolExecutor(writers + 4) as workers:
        followers = [workers.submit(follow, breaking) for breaking in (False, False, True, True)]
        for writing in [workers.submit(write, writer) for writer in range(writers)]:
            writing.result()
        for follower in followers:
            assert follower.result() == list(range(start, end))


def test_what_is_filtered_out_moves_next_on(service):
    size = size_of(service)
    [first] = [next(watch(service.ledger, chains=[parcel(777)]))]
    assert (list(first.entries), first.next) == ([], size)
    assert read(service.ledger, size, kinds=["genesis"]) == [0]


def test_proofs_are_left_out_where_nobody_wants_them(service):
    entry = next(watch(service.ledger, omit_proofs=True)).entries[0]
    assert entry.entry
    assert not entry.inclusion_proof


@pytest.mark.parametrize(
    ("request_", "message"),
    [
        ({"start": 2**64 - 1}, "start: given 18446744073709551615, expected at most "),
        ({"chains": ["tea"]}, "chain key"),
        ({"kinds": ["gift"]}, "kind: given gift, "),
        ({"parties": [MERCHANT] * 101}, "parties: given 101, expected at most 100"),
    ],
)
def test_what_cannot_be_watched(service, request_, message):
    with pytest.raises(grpc.RpcError) as caught:
        next(watch(service.ledger, **request_))
    assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert caught.value.details().startswith(message)


def memory_kb(pid):
    [line] = [line for line in Path(f"/proc/{pid}/status").read_text().splitlines() if "VmRSS" in line]
    return int(line.split()[1])


def test_readers_that_take_nothing_hold_up_no_writer_and_no_memory(service):
    """Twenty of them, and 20 MB more for each than they have taken."""
    start = size_of(service)
    calls = [watch(service.ledger, start, omit_proofs=True) for _ in range(20)]
    for call in calls:
        next(call)
    before = memory_kb(service.process.pid)
    for number in range(12):
        batch = [long_scan(service.city, parcel(50_000 + number)) for _ in range(50)]
        results = service.append(*batch).results
        assert all(result.HasField("receipt") for result in results)
    assert memory_kb(service.process.pid) - before < 200_000
    # Whoever comes back to the oldest of these streams finds everything there.
    indexes = [entry.index for answer in take(calls[0], start + 600) for entry in answer.entries]
    assert indexes == list(range(start, start + 600))
    for call in calls:
        call.cancel()


def take(call, until):
    for answer in call:
        yield answer
        if answer.next >= until:
            return


def test_another_process_writes(service, tmp_path):
    """A process of its own on the same database shows what this one commits."""
    ready = tmp_path / "ready"
    process = subprocess.Popen(
        [sys.executable, "-m", "server", "serve", "--database", service.database, "--log-key", service.log_key,
         "--listen", "127.0.0.1:0", "--ready-file", ready],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        deadline = time.monotonic() + 60
        while not ready.exists():
            assert process.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.05)
        start = size_of(service)
        with grpc.insecure_channel(ready.read_text().strip()) as channel:
            call = watch(LedgerServiceStub(channel), start)
            assert next(call).next == start
            for number in range(3):
                service.append(service.city.scan(ev.SHIPMENT_STAGE_ARRIVED, parcel(90_000 + number)))
                assert [entry.index for entry in next(call).entries] == [start + number]
            call.cancel()
    finally:
        process.terminate()
        assert process.wait(60) == 0


@contextmanager
def served(store, signer, **settings):
    """A service in this process, on an event loop of its own; gives a plain stub, and what stops it and tells how long
    that took."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()

    def run(work):
        return asyncio.run_coroutine_threadsafe(work, loop).result(60)

    async def made():
        service = Service(Settings(listen="127.0.0.1:0", **settings), store, [signer])
        await service.start()
        return service

    service = run(made())
    stopped = []

    def stop():
        if not stopped:
            began = time.monotonic()
            run(service.stop())
            stopped.append(time.monotonic() - began)
        return stopped[0]

    try:
        with grpc.insecure_channel(service.address) as channel:
            yield LedgerServiceStub(channel), stop
    finally:
        stop()
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


@pytest.fixture(scope="module")
def log_signer():
    return NoteSigner(ORIGIN, signing_key("log")._key)


@pytest.fixture(scope="module")
def filled(tmp_path_factory, log_signer):
    """The writer of a log with 31 MB of entries, its store, and who has said all that."""
    store, city = Store.create(str(tmp_path_factory.mktemp("filled") / "log.db")), City()
    writer = Writer(store, log_signer)
    writer.load()
    founding = city.founding()
    record(writer, founding[0])
    record(writer, *founding[1:])
    for _ in range(19):
        record(writer, *(long_scan(city) for _ in range(50)))
    yield writer, store, city
    store.close()


def test_only_so_many_watch_at_once_and_who_goes_makes_room(filled, log_signer):
    with served(filled[1], log_signer, watchers=2) as (stub, _):
        calls = [watch(stub, kinds=["genesis"]) for _ in range(2)]
        for call in calls:
            next(call)
        with pytest.raises(grpc.RpcError) as caught:
            next(watch(stub))
        assert caught.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
        assert caught.value.details() == "watchers: given 3, expected at most 2"
        assert len(rpc_status.from_call(caught.value).details) == 2  # the reason, and when to come back
        calls[0].cancel()
        deadline = time.monotonic() + 30
        while True:
            again = watch(stub, kinds=["genesis"])
            try:
                next(again)
                break
            except grpc.RpcError:
                assert time.monotonic() < deadline
                time.sleep(0.05)
        again.cancel()


def test_a_service_that_stops_sends_watchers_away(filled, log_signer):
    with served(filled[1], log_signer, stop_seconds=60) as (stub, stop):
        call = watch(stub, kinds=["genesis"])
        next(call)
        stuck = watch(stub, omit_proofs=True)  # takes one page, and then nothing while there are 31 MB
        next(stuck)
        assert stop() < 30
        with pytest.raises(grpc.RpcError) as caught:
            list(call)
        assert caught.value.code() is grpc.StatusCode.UNAVAILABLE
        assert caught.value.details() == (
            "service: given a watch, expected another call, from where this one ends"
        )


def test_an_entry_of_a_chain_is_found_by_looking_at_few_others(filled):
    writer, store, city = filled
    record(writer, city.listing())
    with store.snapshot() as connection:
        size = queries.head(connection).size
        whole = [entry.index for entry in queries.chain_entries(connection, PARCEL, size=size)]
        for start in (0, whole[0], whole[0] + 1, whole[500], whole[-1]):
            expected = min(index for index in whole if index >= start)
            assert queries.next_of_chains(connection, [PARCEL, parcel(1)], start) == expected
        assert queries.next_of_chains(connection, [PARCEL], whole[-1] + 1) is None
        assert queries.next_of_chains(connection, [PARCEL, TEA], whole[-1] + 1) == size - 1


def test_who_waits_is_woken_by_the_commits_of_others(database, writer, city):
    record(writer, city.founding()[0])
    store = Store.open(database, read_only=True)

    async def size():
        with store.snapshot() as connection:
            return queries.head(connection).size

    async def waited():
        arrivals = Arrivals(size, poll_s=0.01)
        arrivals.start()
        waiting = asyncio.create_task(arrivals.beyond(1, 60))
        await asyncio.sleep(0.05)
        assert not waiting.done()
        record(writer, *city.founding()[1:])
        await waiting
        await arrivals.beyond(1, 0)  # known by now
        await arrivals.stop()

    asyncio.run(waited())
    store.close()
