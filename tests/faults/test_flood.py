"""Far more calls than can be served: bounded memory, accepted calls answered, the rest told to come back, then all well.

`SUYUAN_SOAK=1` floods for a minute.
"""

import socket
import threading
import time
from collections import Counter
from contextlib import ExitStack
from urllib.parse import urlsplit

import grpc
import pytest
from google.rpc import error_details_pb2
from grpc_status import rpc_status
from running import running_service
from soaking import tell, times
from world import START

from suyuan.v1 import event_pb2 as ev
from suyuan.v1 import ledger_service_pb2 as pb
from suyuan.v1.ledger_service_pb2_grpc import LedgerServiceStub

SECONDS = times(4, 60)
IN_FLIGHT = 600
"""Calls that are always under way, of 100 events each: three times what the service looks at together."""
MOST_GROWTH_BYTES = 512 * 1024 * 1024
LONGEST_S = 60
"""How long an accepted call may take on any machine; what it took is told."""


@pytest.fixture(scope="module")
def service(tmp_path_factory):
    with running_service(tmp_path_factory.mktemp("flood"), "--http", "127.0.0.1:0") as running:
        yield running
        assert running.process.poll() is None
        assert "crashed" not in running.log()


def scans(service, count):
    return [service.city.scan(ev.SHIPMENT_STAGE_IN_TRANSIT, at=START) for _ in range(count)]


def require_as_ever(service):
    """One call by somebody else is answered."""
    assert service.append(*scans(service, 1)).results[0].HasField("receipt")


class Flood:
    """Calls that follow each other whatever becomes of them."""

    def __init__(self, stub, requests, seconds):
        self._stub, self._requests = stub, requests
        self._until = time.monotonic() + seconds
        self._lock, self._under_way = threading.Lock(), 0
        self.over = threading.Event()
        self.told, self.hints, self.latencies = Counter(), 0, []

    def send(self):
        with self._lock:
            self._under_way += 1
            request = self._requests[(self._under_way + sum(self.told.values())) % len(self._requests)]
        began = time.monotonic()
        call = self._stub.AppendEvents.future(request, timeout=LONGEST_S)
        call.add_done_callback(lambda done: self._answered(done, time.monotonic() - began))

    def _answered(self, call, seconds):
        code = call.code()
        with self._lock:
            self._under_way -= 1
            self.told[code] += 1
            if code is grpc.StatusCode.OK:
                self.latencies.append(seconds)
            elif (status := rpc_status.from_call(call)) is not None:
                self.hints += any(one.Is(error_details_pb2.RetryInfo.DESCRIPTOR) for one in status.details)
            more = time.monotonic() < self._until
            if not more and not self._under_way:
                self.over.set()
        if more:
            self.send()


def test_a_flood_of_appends(service):
    pool = [pb.AppendEventsRequest(envelopes=[one.raw for one in scans(service, 100)]) for _ in range(20)]
    before, peak = service.resident, 0
    flood = Flood(service.ledger, pool, SECONDS)
    for _ in range(IN_FLIGHT):
        flood.send()
    while not flood.over.wait(0.1):
        peak = max(peak, service.resident - before)
    tell(
        f"{dict(flood.told)}, {flood.hints} hints, longest {max(flood.latencies):.2f} s, grown by {peak >> 20} MiB"
    )
    assert set(flood.told) <= {grpc.StatusCode.OK, grpc.StatusCode.RESOURCE_EXHAUSTED}
    assert flood.told[grpc.StatusCode.OK]
    assert flood.told[grpc.StatusCode.RESOURCE_EXHAUSTED], "no flood"
    assert flood.hints
    assert peak < MOST_GROWTH_BYTES
    require_as_ever(service)
    for request in pool[:3]:  # whatever was answered or not: all of it can be had once
        results = service.ledger.AppendEvents(request, timeout=LONGEST_S).results
        assert all(result.HasField("receipt") for result in results)


def test_connections_that_say_nothing(service):
    parts = urlsplit(f"http://{service.target}")
    before = service.resident
    with ExitStack() as held:
        for number in range(times(300, 5_000)):
            connection = held.enter_context(
                socket.create_connection((parts.hostname, parts.port), timeout=LONGEST_S)
            )
            if number % 2:
                connection.sendall(
                    b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\x00\x00\x00\x04\x00\x00\x00\x00\x00"
                )
        require_as_ever(service)
        grown = service.resident - before
    tell(f"grown by {grown >> 20} MiB")
    assert grown < MOST_GROWTH_BYTES


def test_streams_whose_answers_nobody_reads(service):
    before, hold = service.resident, threading.Event()
    request = pb.AppendEventsRequest(envelopes=[one.raw for one in scans(service, 100)])

    def requests():
        for _ in range(times(200, 5_000)):
            if hold.is_set():
                return
            yield request

    with grpc.insecure_channel(service.target) as channel:
        calls = [LedgerServiceStub(channel).StreamAppend(requests(), timeout=LONGEST_S) for _ in range(20)]
        time.sleep(times(2, 30))
        require_as_ever(service)
        grown = service.resident - before
        hold.set()
        for call in calls:
            call.cancel()
    tell(f"grown by {grown >> 20} MiB")
    assert grown < MOST_GROWTH_BYTES
    require_as_ever(service)
