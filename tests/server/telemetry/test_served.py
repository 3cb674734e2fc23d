"""A service that is watched, over the network: its metrics, its health, and the traces that it sends."""

from __future__ import annotations

import json
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import grpc
import pytest
import urllib3
from google.rpc import error_details_pb2
from grpc_health.v1 import health_pb2, health_pb2_grpc
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2, trace_service_pb2_grpc
from prometheus_client.parser import text_string_to_metric_families
from running import running_service
from world import MERCHANT, OTHER_MERCHANT, TEA, event_id

from clients import append_stream
from clients.convert import Refused
from clients.sdk import LedgerClient
from ledger.chain_key import ChainKey
from ledger.errors import Reason
from suyuan.v1 import event_pb2 as ev
from suyuan.v1 import ledger_service_pb2 as pb

TRACE = "0af7651916cd43dd8448eb211c80319c"
CALLER = "b7ad6b7169203331"
PATIENCE_S = 30


class Collector(trace_service_pb2_grpc.TraceServiceServicer):
    """A collector of traces that keeps what it is sent."""

    def __init__(self):
        self._came = threading.Condition()
        self._resources = []

    def Export(self, request, _):  # noqa: N802 - the protocol's name
        with self._came:
            self._resources += request.resource_spans
            self._came.notify_all()
        return trace_service_pb2.ExportTraceServiceResponse()

    def wait_for(self, sought):
        """The first span that meets a condition, once it has come, and all that have come until then."""
        with self._came:
            deadline = time.monotonic() + PATIENCE_S
            while True:
                spans = [span for one in self._resources for scope in one.scope_spans for span in scope.spans]
                found = next(filter(sought, spans), None)
                if found is not None:
                    return found, spans
                assert time.monotonic() < deadline, sorted({span.name for span in spans})
                self._came.wait(1)

    def service_names(self):
        return {
            one.value.string_value
            for resource in self._resources
            for one in resource.resource.attributes
            if one.key == "service.name"
        }


@pytest.fixture(scope="module")
def collector():
    kept = Collector()
    server = grpc.server(ThreadPoolExecutor(2))
    trace_service_pb2_grpc.add_TraceServiceServicer_to_server(kept, server)
    kept.port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    yield kept
    server.stop(0).wait()


@pytest.fixture(scope="module")
def service(tmp_path_factory, collector):
    """A service that is watched in every way, with an allowance for keys that no other test comes near."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("OTEL_BSP_SCHEDULE_DELAY", "100")
        flags = ("--metrics", "127.0.0.1:0", "--otlp-endpoint", f"http://127.0.0.1:{collector.port}")
        limits = ("--key-rate", "20", "--key-burst", "60")
        with running_service(tmp_path_factory.mktemp("watched"), *flags, *limits) as running:
            yield running


def get(service, path):
    return urllib3.request("GET", f"{service.http}{path}", retries=False, timeout=PATIENCE_S)


def samples(service):
    """Every sample by name and labels."""
    answer = get(service, "/metrics")
    assert (answer.status, answer.headers["cache-control"]) == (200, "no-store")
    return {
        (sample.name, *sorted(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(answer.data.decode())
        for sample in family.samples
    }


def wait_for(service, condition):
    """The first samples that meet a condition: a caller has its answer before the call has quite ended."""
    deadline = time.monotonic() + PATIENCE_S
    while not condition(found := samples(service)):
        assert time.monotonic() < deadline, {key: value for key, value in found.items() if "calls" in key[0]}
        time.sleep(0.05)
    return found


def serial(number):
    return ChainKey.serial("06901234567892", f"M{number}")


class TestMetrics:
    def test_what_became_of_events_is_counted_once_for_each(self, service):
        before = samples(service)
        listing = service.city.listing(serial(1))
        service.append(listing)
        service.append(listing, service.city.sale(chain=serial(2)), b"junk")
        after = samples(service)

        def more(*labels, name="suyuan_appends_total"):
            key = (name, *labels)
            return after.get(key, 0) - before.get(key, 0)

        assert more(("reason", ""), ("verdict", "recorded")) == 1
        assert more(("reason", ""), ("verdict", "already_recorded")) == 1
        assert more(("reason", "LISTING_MISSING"), ("verdict", "refused")) == 1
        assert more(("reason", "MALFORMED_ENVELOPE"), ("verdict", "refused")) == 1
        assert more(name="suyuan_batch_events_count") == 2
        assert more(name="suyuan_batch_events_sum") == 3
        assert more(name="suyuan_commit_seconds_count") == 2
        assert more(name="suyuan_verify_seconds_count") == 2

    def test_calls_are_counted_by_method_and_code(self, service):
        before = samples(service)
        with pytest.raises(grpc.RpcError):
            service.ledger.GetHistory(pb.GetHistoryRequest(chain="nonsense"))
        method = ("method", "suyuan.v1.LedgerService/GetHistory")
        key = ("suyuan_grpc_calls_total", ("code", "INVALID_ARGUMENT"), method)
        after = wait_for(service, lambda found: found.get(key, 0) == before.get(key, 0) + 1)
        assert after["suyuan_grpc_call_seconds_count", method] >= 1
        assert after["suyuan_grpc_calls_in_flight", method] == 0

    def test_a_stream_counts_as_one_call_for_as_long_as_it_lasts(self, service):
        method = ("method", "suyuan.v1.LedgerService/StreamAppend")
        go_on = threading.Event()

        def requests():
            yield pb.AppendEventsRequest(envelopes=[service.city.listing(serial(3)).raw])
            go_on.wait(PATIENCE_S)

        answers = service.ledger.StreamAppend(requests())
        next(answers)
        assert samples(service)["suyuan_grpc_calls_in_flight", method] == 1
        go_on.set()
        assert list(answers) == []
        key = ("suyuan_grpc_calls_total", ("code", "OK"), method)
        after = wait_for(service, lambda found: found.get(key) == 1)
        assert after["suyuan_grpc_calls_in_flight", method] == 0

    def test_a_stream_that_its_caller_ends_goes_on_no_more(self, service):
        method = ("method", "suyuan.v1.LedgerService/StreamAppend")
        before, go_on = samples(service), threading.Event()
        ended = sum(
            value for key, value in before.items() if key[0] == "suyuan_grpc_calls_total" and method in key
        )

        def requests():
            yield pb.AppendEventsRequest(envelopes=[service.city.listing(serial(4)).raw])
            go_on.wait(PATIENCE_S)

        answers = service.ledger.StreamAppend(requests())
        next(answers)
        answers.cancel()
        go_on.set()
        # Whether gRPC has told the service of the cancellation by the time that the stream ends is a matter of luck.
        keys = [("suyuan_grpc_calls_total", ("code", code), method) for code in ("OK", "CANCELLED")]
        after = wait_for(service, lambda found: sum(found.get(key, 0) for key in keys) == ended + 1)
        assert after["suyuan_grpc_calls_in_flight", method] == 0

    def test_where_the_log_stands(self, service):
        found = samples(service)
        assert found["suyuan_log_entries",] >= 2
        assert 0 <= found["suyuan_checkpoint_age_seconds",] < 3_600
        assert found["suyuan_database_up",] == 1
        assert found["suyuan_queue_events",] == found["suyuan_queue_bytes",] == 0
        assert found["suyuan_clock_back_total",] == found["suyuan_clock_behind_seconds",] == 0
        assert found["process_resident_memory_bytes",] > 0

    def test_nothing_else_is_there(self, service):
        assert [get(service, path).status for path in ("/", "/metrics/", "/checkpoint")] == [404] * 3


class TestHealth:
    def test_a_service_that_is_well(self, service):
        assert get(service, "/healthz").json() == {"alive": True}
        answer = get(service, "/readyz")
        size = samples(service)["suyuan_log_entries",]
        assert answer.status == 200
        assert answer.json() == {"ready": True, "writes": True, "entries": size, "lacks": []}


class TestTraces:
    def test_a_call_is_part_of_its_callers_trace_and_its_batch_is_linked_to_it(self, service, collector):
        listing = service.city.listing(serial(5), title="不应外传")
        request = pb.AppendEventsRequest(envelopes=[listing.raw])
        service.ledger.AppendEvents(request, metadata=[("traceparent", f"00-{TRACE}-{CALLER}-01")])

        def is_call(span):
            return span.trace_id.hex() == TRACE and span.parent_span_id.hex() == CALLER

        call, _ = collector.wait_for(is_call)
        assert (call.name, call.kind) == ("suyuan.v1.LedgerService/AppendEvents", 2)
        batch, _ = collector.wait_for(
            lambda span: span.name == "batch" and call.span_id in {link.span_id for link in span.links}
        )
        assert batch.links[0].trace_id == call.trace_id
        transaction, spans = collector.wait_for(
            lambda span: span.name == "database transaction" and span.parent_span_id == batch.span_id
        )
        assert transaction.end_time_unix_nano <= batch.end_time_unix_nano
        within = {span.name for span in spans if span.parent_span_id == call.span_id}
        assert within == {"admission", "queue"}
        assert collector.service_names() == {"suyuan"}

    def test_reads_show_their_database(self, service, collector):
        service.ledger.GetCheckpoint(
            pb.GetCheckpointRequest(), metadata=[("traceparent", f"00-{TRACE[::-1]}-{CALLER}-01")]
        )
        call, _ = collector.wait_for(lambda span: span.trace_id.hex() == TRACE[::-1])
        collector.wait_for(
            lambda span: span.name == "database transaction" and span.trace_id == call.trace_id
        )

    def test_nothing_of_what_events_say_is_told(self, service, collector):
        _, spans = collector.wait_for(lambda span: span.name == "batch")
        assert spans
        names = {one.key for span in spans for one in span.attributes}
        assert names <= {
            "rpc.system", "rpc.service", "rpc.method", "rpc.grpc.status_code", "db.system.name",
            "suyuan.events", "suyuan.refused", "suyuan.requests", "suyuan.recorded", "suyuan.reason",
        }  # fmt: skip
        told = b"".join(span.SerializeToString() for span in spans)
        for secret in (str(TEA), str(MERCHANT), "不应外传", "06901234567892"):
            assert secret.encode() not in told


class TestAllowance:
    def test_one_key_is_held_back_and_the_others_are_not(self, service):
        """The merchant's bucket holds 60; what goes beyond is refused for now, in order, with a time to come back."""
        many = [service.city.listing(serial(f"K{number}")) for number in range(130)]
        other = service.city.listing(TEA, by=OTHER_MERCHANT)
        results = service.append(*many, other).results
        outcomes = [result.WhichOneof("outcome") for result in results]
        granted = outcomes.index("refusal")
        assert granted <= 61
        assert outcomes == ["receipt"] * granted + ["refusal"] * (130 - granted) + ["receipt"]
        refused = Refused.of(results[granted].refusal)
        assert (refused.reason, refused.code) == (Reason.RATE_LIMITED, "RESOURCE_EXHAUSTED")
        assert 0 < refused.retry_after_s <= 60 / 20
        assert any(d.Is(error_details_pb2.RetryInfo.DESCRIPTOR) for d in results[granted].refusal.details)
        assert (
            samples(service)["suyuan_appends_total", ("reason", "RATE_LIMITED"), ("verdict", "refused")]
            >= 130 - granted
        )

    def test_a_signature_that_fails_takes_nothing_from_its_key(self, service):
        listing = service.city.listing(serial("F"), by=OTHER_MERCHANT)
        forged = bytearray(listing.raw)
        forged[-1] ^= 1
        results = service.append(*[bytes(forged)] * 200).results
        assert {Refused.of(result.refusal).reason for result in results} == {Reason.BAD_SIGNATURE}
        assert service.append(listing).results[0].HasField("receipt")

    def test_the_sdk_comes_back_until_all_is_recorded(self, service):
        many = [service.city.listing(serial(f"S{number}")) for number in range(70)]
        with LedgerClient(service.target, service.vkey, timeout_s=PATIENCE_S) as client:
            outcomes = client.append(many)
        assert not any(isinstance(outcome, Refused) for outcome in outcomes)
        indexes = [outcome.index for outcome in outcomes]
        assert indexes == sorted(indexes)

    def test_along_a_stream_too_the_sdk_comes_back_until_all_is_recorded(self, service, monkeypatch):
        monkeypatch.setattr(append_stream, "MESSAGE_EVENTS", 5)
        limited = ("suyuan_appends_total", ("reason", "RATE_LIMITED"), ("verdict", "refused"))
        before = samples(service)[limited]
        many = [service.city.scan(ev.SHIPMENT_STAGE_IN_TRANSIT) for _ in range(80)]
        with LedgerClient(service.target, service.vkey, timeout_s=PATIENCE_S) as client:
            outcomes = list(client.append_stream(many))
        assert not any(isinstance(outcome, Refused) for outcome in outcomes)
        assert [outcome.event_id for outcome in outcomes] == [event_id(one) for one in many]
        indexes = [outcome.index for outcome in outcomes]
        assert indexes == sorted(indexes)
        assert samples(service)[limited] > before


def test_grpc_health_says_the_same(service):
    stub = health_pb2_grpc.HealthStub(service._channel())
    answer = stub.Check(health_pb2.HealthCheckRequest(service="suyuan.v1.LedgerService"))
    assert answer.status == health_pb2.HealthCheckResponse.SERVING


def test_a_service_that_stops_sends_its_last_spans_and_ends_well(service, collector):
    service.ledger.GetCheckpoint(
        pb.GetCheckpointRequest(), metadata=[("traceparent", f"00-{'ab' * 16}-{CALLER}-01")]
    )
    assert service.stop() == 0
    collector.wait_for(lambda span: span.trace_id.hex() == "ab" * 16)
    assert [json.loads(line)["event"] for line in service.log().splitlines()][-1] == "stopped"
