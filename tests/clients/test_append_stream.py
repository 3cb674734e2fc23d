"""Appending through a stream, and through one that breaks."""

from __future__ import annotations

import contextlib
import socket
import threading

import pytest
from running import running_service
from world import CARRIER_MEMBER, PARCEL

from clients import append_stream
from clients.answers import Appended
from clients.convert import Refused
from clients.sdk import LedgerClient
from ledger.errors import Reason, ServiceFault
from suyuan.v1 import event_pb2 as ev


class Line:
    """A port that leads to wherever a service is now, and can be cut."""

    def __init__(self, service):
        self._service = service
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.target = f"127.0.0.1:{self._listener.getsockname()[1]}"
        self.calls = 0
        self._ends, self._threads = [], []
        self._start(self._accept)

    def cut(self):
        for end in self._ends:
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    def close(self):
        self._listener.shutdown(socket.SHUT_RDWR)
        self.cut()
        for thread in self._threads:
            thread.join()
        for end in (self._listener, *self._ends):
            end.close()

    def _accept(self):
        while True:
            try:
                near, _ = self._listener.accept()
            except OSError:
                return
            self.calls += 1
            host, _, port = self._service.target.rpartition(":")
            try:
                far = socket.create_connection((host, int(port)))
            except OSError:
                near.close()
                continue
            self._ends += near, far
            self._start(_pass_on, near, far)
            self._start(_pass_on, far, near)

    def _start(self, target, *args):
        thread = threading.Thread(target=target, args=args, daemon=True)
        self._threads.append(thread)
        thread.start()


def _pass_on(here, there):
    with contextlib.suppress(OSError):
        while read := here.recv(65_536):
            there.sendall(read)
    for end in (here, there):
        with contextlib.suppress(OSError):
            end.shutdown(socket.SHUT_RDWR)


@pytest.fixture(scope="module")
def service(tmp_path_factory):
    with running_service(tmp_path_factory.mktemp("service")) as running:
        yield running


@pytest.fixture
def line(service):
    made = Line(service)
    yield made
    made.close()


def scans(service, count, **more):
    return [service.city.scan(ev.SHIPMENT_STAGE_IN_TRANSIT, PARCEL, **more) for _ in range(count)]


def test_outcomes_come_in_order_each_proven_or_refused(service, monkeypatch):
    monkeypatch.setattr(append_stream, "MESSAGE_EVENTS", 7)
    monkeypatch.setattr(append_stream, "WINDOW", 2)
    taken = []

    def giving(envelopes):
        for envelope in envelopes:
            taken.append(envelope)
            yield envelope

    said = scans(service, 50)
    said.insert(20, *scans(service, 1, by="nobody"))
    with LedgerClient(service.target, service.vkey) as client:
        outcomes = client.append_stream(giving(said))
        first = next(outcomes)
        # A window of two messages, and the first event of the one behind them.
        assert len(taken) <= 3 * 7 + 1
        outcomes = [first, *outcomes]
        assert client.append_one(said[-1]).already_recorded
    assert isinstance(outcomes[20], Refused)
    assert outcomes[20].reason is Reason.UNKNOWN_KEY
    recorded = [outcome for outcome in outcomes if isinstance(outcome, Appended)]
    assert len(recorded) == 50
    assert [one.chain_seq - recorded[0].chain_seq for one in recorded] == list(range(50))
    assert [one.index for one in recorded] == list(range(recorded[0].index, recorded[0].index + 50))


def test_nothing_to_send(service):
    with LedgerClient(service.target, service.vkey) as client:
        assert list(client.append_stream([])) == []


def test_a_stream_goes_on_where_it_broke(service, line, monkeypatch):
    monkeypatch.setattr(append_stream, "MESSAGE_EVENTS", 5)
    said, heard = scans(service, 400), []
    with LedgerClient(line.target, service.vkey, timeout_s=60) as client:
        for outcome in client.append_stream(said):
            heard.append(outcome)
            if len(heard) == 23:
                line.cut()
            if len(heard) == 150:  # more than a window later, when the cut has been noticed
                service.process.kill()
                service.process.wait(30)
                service.start()
        assert line.calls >= 3
        assert [one.event_id for one in heard] == [one.event_id for one in client.append(said)]
        history = client.history(PARCEL).entries
    assert [one.chain_seq - heard[0].chain_seq for one in heard] == list(range(400))
    assert len({entry.event.id for entry in history}) == len(history)
    assert history[-1].index == heard[-1].index


def test_who_leaves_early_leaves_nothing_running(service):
    with LedgerClient(service.target, service.vkey) as client:
        outcomes = client.append_stream(scans(service, 300))
        next(outcomes)
        outcomes.close()
        assert client.append_one(*scans(service, 1)).chain_seq > 0
    assert not [one for one in threading.enumerate() if one.name == "append-stream" and _outlives(one)]


def _outlives(thread):
    thread.join(30)
    return thread.is_alive()


def test_a_service_that_is_not_there(line, service):
    with (
        LedgerClient("127.0.0.1:1", service.vkey, timeout_s=0.5) as client,
        pytest.raises(ServiceFault) as caught,
    ):
        list(client.append_stream(scans(service, 1, by=CARRIER_MEMBER)))
    assert caught.value.reason is Reason.UNREACHABLE


def test_a_closed_client_is_not_tried_again(service):
    client = LedgerClient(service.target, service.vkey, timeout_s=600)
    client.close()
    with pytest.raises(ServiceFault, match="given a closed client"):
        list(client.append_stream(scans(service, 1)))
