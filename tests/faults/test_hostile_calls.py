"""Everything that a real service and a real witness hear from the network: refused as it should be, and nothing ends.

`SUYUAN_SOAK=1` tries much longer.
"""

import socket
from contextlib import suppress
from urllib.parse import urlsplit

import grpc
import pytest
from fetching import TIMEOUT_S, fetch
from google.rpc import error_details_pb2
from grpc_status import rpc_status
from hostile import BOMBS, hostile
from hypothesis import HealthCheck, given, settings
from running import running_service
from soaking import SOAK, times
from witnessing import SmallLog, running_witness
from world import MERCHANT, PARCEL, event_id

from suyuan.v1 import ledger_service_pb2, registry_service_pb2
from suyuan.v1 import ledger_service_pb2 as pb

METHODS = [
    (f"/{service.full_name}/{method.name}", method)
    for file in (ledger_service_pb2, registry_service_pb2)
    for service in file.DESCRIPTOR.services_by_name.values()
    for method in service.methods
]
UNARY = [path for path, method in METHODS if not (method.client_streaming or method.server_streaming)]
ANSWERS = {
    grpc.StatusCode.OK,
    grpc.StatusCode.INVALID_ARGUMENT,
    grpc.StatusCode.NOT_FOUND,
    grpc.StatusCode.FAILED_PRECONDITION,
    grpc.StatusCode.UNAUTHENTICATED,
    grpc.StatusCode.PERMISSION_DENIED,
    grpc.StatusCode.ALREADY_EXISTS,
}
GROWTH_BYTES = 200 * 1024 * 1024
"""How much the service may grow while it is asked nonsense."""

LENGTHY = settings(
    max_examples=times(40, 20_000),
    suppress_health_check=list(HealthCheck) if SOAK else [HealthCheck.function_scoped_fixture],
    database=None,
)


@pytest.fixture(scope="module")
def service(tmp_path_factory):
    with running_service(tmp_path_factory.mktemp("service"), "--http", "127.0.0.1:0") as running:
        life = running.city.life()
        running.append(*life)
        running.sale = event_id(life[1])
        before = running.resident
        yield running
        assert running.process.poll() is None
        assert running.resident < before + GROWTH_BYTES
        assert "crashed" not in running.log()
        assert "Traceback" not in running.log()


def samples(service):
    """Requests that make sense to one method or another, and so may be nonsense to any."""
    return [
        pb.AppendEventsRequest(envelopes=[service.city.scan(3).raw for _ in range(2)], known_size=3).SerializeToString(),
        pb.GetHistoryRequest(chain=PARCEL, start_seq=1, page_size=5, with_registrations=True).SerializeToString(),
        pb.GetTraceRequest(sale=service.sale, with_registrations=True).SerializeToString(),
        pb.GetTraceRequest(chain=PARCEL).SerializeToString(),
        pb.GetEntryRequest(index=3).SerializeToString(),
        pb.ListEntriesRequest(start=2, page_size=7, known_size=2).SerializeToString(),
        pb.GetConsistencyProofRequest(old_size=3, new_size=9).SerializeToString(),
        registry_service_pb2.GetPartyRequest(party=MERCHANT).SerializeToString(),
        registry_service_pb2.ListPartiesRequest(role=2, page_size=2, after=MERCHANT).SerializeToString(),
        b"",
    ]  # fmt: skip


def code_of(channel, method, raw):
    """What a method answers to these bytes."""
    call = channel.unary_unary(method).future(raw, timeout=TIMEOUT_S)
    # There are no witnesses here, and to say so is an answer.
    no_quorum = call.code() is grpc.StatusCode.UNAVAILABLE and "a quorum of witnesses" in call.details()
    return grpc.StatusCode.NOT_FOUND if no_quorum else call.code()


@pytest.mark.parametrize("method", UNARY)
def test_calls_with_spoiled_requests(service, method):
    with grpc.insecure_channel(service.target) as channel:

        @LENGTHY
        @given(raw=hostile(samples(service)))
        def answers(raw):
            assert code_of(channel, method, raw) in ANSWERS

        answers()
        for bomb in BOMBS.values():
            assert code_of(channel, method, bomb) in ANSWERS


@pytest.mark.parametrize("method", ["/suyuan.v1.LedgerService/WatchEvents"])
def test_watching_with_spoiled_requests(service, method):
    with grpc.insecure_channel(service.target) as channel:

        @settings(LENGTHY, max_examples=times(15, 2_000))
        @given(raw=hostile([pb.WatchEventsRequest().SerializeToString(), *samples(service)]))
        def answers(raw):
            call = channel.unary_stream(method)(raw, timeout=0.1)
            with suppress(grpc.RpcError):
                next(call)
            call.cancel()
            assert call.code() in {*ANSWERS, grpc.StatusCode.CANCELLED, grpc.StatusCode.DEADLINE_EXCEEDED}

        answers()


def answer_to(url, raw):
    """All that a server says to these bytes, after which nothing more comes."""
    parts, received = urlsplit(url), b""
    with (
        socket.create_connection((parts.hostname, parts.port), timeout=TIMEOUT_S) as connection,
        suppress(OSError),
    ):
        connection.sendall(raw)
        connection.shutdown(socket.SHUT_WR)
        while piece := connection.recv(65_536):
            received += piece
    return received


def require_told(received):
    """An answer, or none to what is no request; never that something broke."""
    assert not received or received.startswith((b"HTTP/1.1 2", b"HTTP/1.1 3", b"HTTP/1.1 4")), received[:200]


READS = [
    b'GET /checkpoint HTTP/1.1\r\nHost: a\r\nIf-None-Match: "x"\r\n\r\n',
    b"GET /tile/0/000.p/9 HTTP/1.1\r\nHost: a\r\nAccept-Encoding: gzip;q=0.5, *\r\n\r\n",
    b"GET /tile/entries/000.p/9 HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
    b"HEAD / HTTP/1.0\r\n\r\n",
    b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
    b"GET /%74ile/0/x001/000 HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc",
]


def test_requests_to_the_read_side(service):
    @LENGTHY
    @given(raw=hostile(READS))
    def answers(raw):
        require_told(answer_to(service.http, raw))

    answers()
    for bomb in BOMBS.values():
        require_told(answer_to(service.http, bomb))
        require_told(answer_to(service.http, READS[0] + bomb))
    assert fetch(service.http, "/checkpoint").status == 200


def test_requests_to_a_witness(tmp_path):
    log = SmallLog()
    bodies = [log.request(0, 5), log.request(5, 9), log.request(3, 3)]
    posts = [
        b"POST /add-checkpoint HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body)
        for body in bodies
    ]
    with running_witness(tmp_path, logs=[log.vkey]) as witness:

        @LENGTHY
        @given(body=hostile(bodies))
        def answers_bodies(body):
            head = b"POST /add-checkpoint HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % len(body)
            require_told(answer_to(witness.url, head + body))

        @LENGTHY
        @given(raw=hostile([*posts, *READS]))
        def answers(raw):
            require_told(answer_to(witness.url, raw))

        answers_bodies()
        answers()
        for bomb in BOMBS.values():
            require_told(answer_to(witness.url, bomb))
        assert fetch(witness.url, "/").status == 200
        assert "Traceback" not in witness.log()


def test_a_refusal_of_something_huge_is_short(service):
    with pytest.raises(grpc.RpcError) as caught:
        service.ledger.GetEntry(pb.GetEntryRequest(event_id=bytes(1_000_000)), timeout=TIMEOUT_S)
    assert caught.value.code() is grpc.StatusCode.NOT_FOUND
    assert caught.value.details().startswith("entry: given 0000")
    assert len(caught.value.details().encode()) == 1_000
    info = error_details_pb2.ErrorInfo()
    rpc_status.from_call(caught.value).details[0].Unpack(info)
    assert len(info.metadata["given"].encode()) == 600
    assert info.reason == "NOT_FOUND"
