"""A process that only reads, beside the one that writes; and clients that are told of both."""

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from running import operator, running_service
from takeover import Process, free_port

from clients.cli.main import main
from clients.sdk import LedgerClient
from ledger.errors import Reason, ServiceFault
from server.service import APPEND, LEDGER, REGISTRY
from suyuan.v1 import ledger_service_pb2 as pb

SERVING = health_pb2.HealthCheckResponse.SERVING
NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING


@pytest.fixture(scope="module")
def both(tmp_path_factory):
    """The one that writes, and one that reads: it has no key of the log."""
    folder = tmp_path_factory.mktemp("read-only")
    with running_service(folder / "log") as writer:
        (folder / "reader").mkdir()
        reader = Process(folder / "reader", writer.city, flags=("--read-only",), url=str(writer.database))
        reader.start()
        try:
            yield writer, reader
        finally:
            assert reader.stop() == 0


def status_of(process, name):
    stub = health_pb2_grpc.HealthStub(process._channel())
    return stub.Check(health_pb2.HealthCheckRequest(service=name)).status


def test_health_tells_the_two_apart(both):
    writer, reader = both
    for name in ("", LEDGER, REGISTRY):
        assert (status_of(writer, name), status_of(reader, name)) == (SERVING, SERVING)
    assert status_of(writer, APPEND) == SERVING
    with pytest.raises(grpc.RpcError) as caught:
        status_of(reader, APPEND)
    assert caught.value.code() is grpc.StatusCode.NOT_FOUND


def test_it_records_nothing_and_says_so(both):
    writer, reader = both
    with LedgerClient(reader.target, writer.vkey) as client, pytest.raises(ServiceFault) as caught:
        client.append_one(writer.city.listing())
    assert caught.value.reason is Reason.STANDBY
    assert str(caught.value) == "append: given a process that only reads, expected the process that writes"


def test_a_client_of_both_appends_where_it_can_and_reads_on(both):
    writer, reader = both
    nobody = f"127.0.0.1:{free_port()}"
    listing = writer.city.listing()
    with LedgerClient(f"{nobody},{reader.target},{writer.target}", writer.vkey) as client:
        [receipt] = client.append_stream([listing])
        assert client.append_one(listing).index == receipt.index
        assert client.entry(index=receipt.index).event.id == receipt.event_id
    with LedgerClient(f"{nobody},{reader.target}", writer.vkey) as client:
        page = next(client.watch(receipt.index, patience_s=60))
        assert page.entries[0].event.id == receipt.event_id
        client.close()
        with pytest.raises(ServiceFault, match="given a closed client, expected an open one"):
            client.entry(index=0)


def test_where_none_records_the_client_gives_up_in_time(both):
    writer, reader = both
    nobody = f"127.0.0.1:{free_port()}"
    with (
        LedgerClient(f"{reader.target},{nobody}", writer.vkey, timeout_s=1) as client,
        pytest.raises(ServiceFault) as caught,
    ):
        client.append_one(writer.city.listing())
    assert caught.value.reason in {Reason.STANDBY, Reason.UNREACHABLE}


def test_the_command_line_takes_several(both, capsys, monkeypatch, tmp_path):
    writer, reader = both
    monkeypatch.setenv("SUYUAN_STATE", str(tmp_path))
    index = writer.append(writer.city.listing()).results[0].receipt.index
    asked = ["platform", "history", "6901234567892", "--vkey", writer.vkey, "--format", "json", "--server"]
    assert main([*asked, f"{reader.target},{writer.target}"]) == 0
    assert f'"index": {index}' in capsys.readouterr().out
    assert main([*asked, f"{reader.target},{writer.target}:x"]) == 2
    assert "server: given" in capsys.readouterr().err


def test_what_is_recorded_is_watched_once_although_the_first_of_several_is_dead(
    both, capsys, monkeypatch, tmp_path
):
    writer, reader = both
    monkeypatch.setenv("SUYUAN_STATE", str(tmp_path))
    index = writer.append(writer.city.listing()).results[0].receipt.index
    nobody = [f"127.0.0.1:{free_port()}" for _ in range(2)]
    asked = ["regulator", "events", "--once", "--from", str(index), "--vkey", writer.vkey, "--server"]
    assert main([*asked, ",".join([*nobody, reader.target])]) == 0
    told = capsys.readouterr()
    assert f"  {index}  " in told.out
    assert not told.err
    assert main([*asked, ",".join(nobody)]) == 3
    assert f"service at {nobody[1]}: given UNAVAILABLE" in capsys.readouterr().err


def test_a_stream_that_fails_is_laid_to_the_process_that_gave_it(both):
    writer, reader = both
    with LedgerClient(f"{reader.target},{writer.target}", writer.vkey) as client:
        transport = client._session.transport
        with transport.stream(transport.ledger.WatchEvents, pb.WatchEventsRequest()) as answers:
            assert transport.next_of(answers).entries
            transport.leave(0)  # as somebody does whose call it did not answer
            answers.call.cancel()
            with pytest.raises(ServiceFault, match=f"service at {reader.target}: given CANCELLED"):
                list(iter(lambda: transport.next_of(answers), None))
        assert transport.current == 1


def test_a_watch_ends_when_its_client_is_closed(both):
    writer, reader = both
    client = LedgerClient(f"{reader.target},{writer.target}", writer.vkey)
    pages = client.watch(on_pause=lambda *_: pytest.fail("it is asked again"))
    next(pages)
    client.close()
    with pytest.raises(ServiceFault, match="service at"):
        list(pages)


@pytest.mark.parametrize("flags", [("--http", "127.0.0.1:0"), ("--witness-policy", "policy")])
def test_what_does_not_go_with_reading_only(both, flags):
    writer, _ = both
    done = operator("serve", "--database", writer.database, "--read-only", *flags, check=False)
    assert done.returncode == 2
    assert "--read-only goes without --http and --witness-policy" in " ".join(done.stderr.split())
