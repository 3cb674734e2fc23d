"""Far more calls than can be served: bounded memory, accepted calls answered, the rest told to come back, then all well.

How much can be served is measured in the same run. `SUYUAN_SOAK=1` floods for a minute.
"""

import socket
import threading
import time
from collections import Counter
from contextlib import ExitStack
from statistics import median
from urllib.parse import urlsplit

import grpc
import pytest
from google.rpc import error_details_pb2
from grpc_status import rpc_status
from running import running_service
from soaking import tell, times
from world import START

from server.limits import Limits
from suyuan.v1 import event_pb2 as ev
from suyuan.v1 import ledger_service_pb2 as pb
from suyuan.v1.ledger_service_pb2_grpc import LedgerServiceStub

SECONDS = times(2, 60)
CALIBRATION_S = times(1, 10)
EVENTS = 100
"""Of a call."""
MOST_TIMES = 4 * (Limits().queued_events // EVENTS)
"""How many times longer than a lone one an accepted call may take: twice as long as those take, one after the other, that
may be looked at before it and those that may wait to be written. A lone one counts as what it takes of a busy service
where that is longer."""
MOST_GROWTH_BYTES = 512 * 1024 * 1024
LONGEST_S = 120
"""Against hanging."""


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
    """Calls that go out at a pace of their own, whatever becomes of those before: as from very many callers."""

    def __init__(self, stub, requests):
        self._stub, self._requests = stub, requests
        self._lock, self.sent, self.under_way = threading.Lock(), 0, 0
        self._less = threading.Condition(self._lock)
        self.told, self.hints, self.latencies = Counter(), 0, []

    def send(self):
        with self._lock:
            request = self._requests[self.sent % len(self._requests)]
            self.sent += 1
            self.under_way += 1
        began = time.monotonic()
        call = self._stub.AppendEvents.future(request, timeout=LONGEST_S)
        call.add_done_callback(lambda done: self._answered(done, time.monotonic() - began))

    def wait(self, most):
        """Until so many are under way at most."""
        with self._less:
            assert self._less.wait_for(lambda: self.under_way <= most, LONGEST_S)

    @property
    def accepted(self):
        return self.told[grpc.StatusCode.OK]

    def _answered(self, call, seconds):
        code = call.code()
        status = None if code is grpc.StatusCode.OK else rpc_status.from_call(call)
        with self._less:
            self.under_way -= 1
            self.told[code] += 1
            if code is grpc.StatusCode.OK:
                self.latencies.append(seconds)
            elif status is not None:
                self.hints += any(one.Is(error_details_pb2.RetryInfo.DESCRIPTOR) for one in status.details)
            self._less.notify_all()


def sustained(service, pool):
    """How many calls a second the service answers that always has a few before it."""
    load, began = Flood(service.ledger, pool), time.monotonic()
    while time.monotonic() < began + CALIBRATION_S:
        load.send()
        load.wait(7)
    load.wait(0)
    assert load.accepted == load.sent
    return load.accepted / (time.monotonic() - began)


def unloaded(service, pool):
    """How long a lone call takes, in the middle."""
    load = Flood(service.ledger, pool)
    for _ in range(10):
        load.send()
        load.wait(0)
    assert load.accepted == load.sent
    return median(load.latencies)


def test_a_flood_of_appends_ten_times_what_can_be_sustained(service):
    pool = [pb.AppendEventsRequest(envelopes=[one.raw for one in scans(service, EVENTS)]) for _ in range(20)]
    alone_s, rate = unloaded(service, pool), sustained(service, pool)
    bound_s = MOST_TIMES * max(alone_s, 1 / rate)
    before, peak, done = service.resident, 0, threading.Event()

    def look():
        nonlocal peak
        while not done.wait(0.1):
            peak = max(peak, service.resident - before)

    looking = threading.Thread(target=look)
    looking.start()
    try:
        flood, began = Flood(service.ledger, pool), time.monotonic()
        # If all were let in, nine seconds of waiting would come to each that the flood lasts: by hand, too much for the last.
        seconds = max(SECONDS, times(0, 1) * bound_s / 6)
        while (now := time.monotonic()) < began + seconds:
            for _ in range(int((now - began) * 10 * rate) - flood.sent):
                flood.send()
            time.sleep(0.005)
        paced = flood.sent / seconds / rate
        flood.wait(0)
    finally:
        done.set()
        looking.join()
    longest_s = max(flood.latencies)
    tell(
        f"alone {alone_s * 1000:.0f} ms, {rate:.0f} calls a second; flooded with {paced:.1f} times as many for {seconds:.1f} s: "
        f"{dict(flood.told)}, {flood.hints} hints, longest {longest_s:.2f} s of {bound_s:.0f}, grown by {peak >> 20} MiB"
    )
    assert set(flood.told) <= {grpc.StatusCode.OK, grpc.StatusCode.RESOURCE_EXHAUSTED}
    assert flood.accepted
    assert flood.told[grpc.StatusCode.RESOURCE_EXHAUSTED], "no flood"
    assert flood.hints
    assert longest_s < bound_s
    assert peak < MOST_GROWTH_BYTES
    assert unloaded(service, pool) < bound_s
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
