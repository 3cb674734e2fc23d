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


@pytest.mark.parametrize("flags", [("--http", "127.0.0.1:0"), ("--witness-policy", "policy")])
def test_what_does_not_go_with_reading_only(both, flags):
    writer, _ = both
    done = operator("serve", "--database", writer.database, "--read-only", *flags, check=False)
    assert done.returncode == 2
    assert "--read-only goes without --http and --witness-policy" in " ".join(done.stderr.split())
