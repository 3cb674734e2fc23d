from __future__ import annotations

import json
import os
import shutil
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import grpc
import pytest

from suyuan.v1 import ledger_service_pb2 as pb

FIELDS = [
    "name", "backend", "entries", "in_flight", "value", "unit", "p50_ms", "p99_ms", "ceiling", "ratio", "server_rss_mb",
]  # fmt: skip

pytestmark = [
    pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="looks for memory in /proc"),
    pytest.mark.xdist_group("benchmarks"),
]


@pytest.fixture
def bench(monkeypatch, capsys):
    """Runs `scripts/bench` on a ceiling that is measured for an instant: how fast this machine is, is not asked."""
    monkeypatch.syspath_prepend(Path(__file__).parents[2] / "scripts")
    # So that the processes that sign and verify find it too.
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[2] / "scripts"))
    from benchmarks import __main__ as command
    from benchmarks import ceiling

    monkeypatch.setattr(ceiling, "SECONDS", 0.01)

    def run(*arguments):
        status = command.main(["--format", "json", "--jobs", "1", *map(str, arguments)])
        output = capsys.readouterr()
        return status, [json.loads(line) for line in output.out.splitlines()], output.err

    yield run
    for name in [name for name in sys.modules if name.partition(".")[0] == "benchmarks"]:
        del sys.modules[name]


def test_every_benchmark_but_the_soak_prints_its_figures(bench, tmp_path):
    status, lines, said = bench("--entries", 1_000, "--events", 100, "--plot", tmp_path / "rate.svg")
    assert status == 0
    assert [(line["name"], line["in_flight"]) for line in lines] == [
        ("append_batched", 4), ("append_single", 1), ("append_single", 64), ("append_single", 256),
        ("append_stream", 20), ("history", 1), ("trace", 1), ("watch_lag", None), ("audit", None),
    ]  # fmt: skip
    for line in lines:
        of_a_service = line["name"] != "audit"
        of_events = line["unit"] in {"events/s", "entries/s"}
        assert list(line) == FIELDS
        assert line["entries"] == 1_000
        assert line["value"] > 0
        assert line["backend"] == ("sqlite" if of_a_service else None)
        assert (line["p50_ms"] is not None and line["p50_ms"] <= line["p99_ms"]) == of_a_service
        assert (line["server_rss_mb"] is not None) == of_a_service
        assert (line["ceiling"] is not None) == of_events
        assert line["ratio"] == (round(line["value"] / line["ceiling"], 4) if of_events else None)
    assert " 10 entries, " in said, "an audit of what is new"
    assert (tmp_path / "rate.svg").read_text().startswith("<?xml")


def test_a_soak_proves_that_all_is_there_and_leaves_its_log_for_the_next_time(bench, tmp_path):
    asked = ("soak", "--entries", 1_000, "--rate", 100, "--seconds", 1, "--cache", tmp_path)
    status, [line], said = bench(*asked)
    assert status == 0
    assert list(line) == FIELDS
    assert "100 of 100 events acknowledged" in said
    assert " 0 acknowledged events are not in the log\n" in said
    assert "the audit: verified" in said
    kept = (tmp_path / "sqlite-1000" / "log.db").read_bytes()
    status, _, said = bench(*asked)
    assert status == 0
    assert "growing the log" not in said
    assert "100 of 100 events acknowledged" in said
    assert (tmp_path / "sqlite-1000" / "log.db").read_bytes() == kept


def test_a_scan_tells_outcomes_beside_each_reader_alone(bench, tmp_path):
    from PIL import Image

    from scanner.labels import write_label

    for number in ("6901234567892", "6901234567908"):
        write_label(tmp_path / f"{number}.png", number)
    Image.new("L", (300, 200), 255).save(tmp_path / "white.png")
    images = [
        {"file": "6901234567892.png", "symbology": "EAN-13", "expected": "6901234567892"},
        {"file": "6901234567908.png", "symbology": "EAN-13", "expected": "6901234567892"},
        {"file": "white.png", "symbology": "none (false-positive test)", "expected": None},
    ]
    (tmp_path / "MANIFEST.json").write_text(json.dumps({"images": images}))
    chart = tmp_path / "outcomes.svg"
    status, lines, _ = bench("scan", "--pictures", tmp_path, "--rounds", 1, "--events", 100, "--plot", chart)
    assert status == 1, "a wrong number was agreed on, as the manifest has it"
    *outcomes, rate = lines
    counted = [list(line.values())[:8] for line in outcomes if line["reader"] != "zbar"]
    assert counted == [
        ["EAN-13", "suyuan", 2, 1, 0, 1, 0, 1],
        ["EAN-13", "zxing-cpp", 2, 1, 0, 1, 0, 0],
        ["no code", "suyuan", 1, 0, 0, 0, 1, 0],
        ["no code", "zxing-cpp", 1, 0, 0, 0, 1, 0],
        ["all with a code", "suyuan", 2, 1, 0, 1, 0, 1],
        ["all with a code", "zxing-cpp", 2, 1, 0, 1, 0, 0],
    ]
    assert list(outcomes[0]) == [
        "symbology", "reader", "pictures", "right", "disputed", "wrong", "nothing", "agreed_wrong",
        "p50_ms", "p95_ms", "ratio",
    ]  # fmt: skip
    assert outcomes[1]["ratio"] == 1.0
    assert (rate["jobs"], rate["files"]) == (1, 100)
    assert rate["files_per_s"] > 0
    assert chart.read_text().startswith("<?xml")


def test_pictures_without_a_manifest(bench, tmp_path):
    with pytest.raises(SystemExit) as ended:
        bench("scan", "--pictures", tmp_path)
    assert (
        ended.value.code == f"pictures {tmp_path}: given No such file or directory, expected a MANIFEST.json"
    )


class Forgetful(grpc.GenericRpcHandler):
    """Stands before a service, and keeps back one message of events, for which it makes up receipts."""

    def __init__(self, target, made_up):
        self._real = grpc.insecure_channel(target)
        self._made_up = made_up
        self.forgotten = 0

    def service(self, call):
        """Pass all on, unread."""
        if call.method.endswith("/StreamAppend"):
            real = self._real.stream_stream(call.method)
            return grpc.stream_stream_rpc_method_handler(lambda messages, _: real(messages, timeout=60))
        real = self._real.unary_unary(call.method)

        def handle(message, _):
            if call.method.endswith("/AppendEvents") and not self.forgotten:
                events = pb.AppendEventsRequest.FromString(message).envelopes
                self.forgotten = len(events)
                return self._made_up(len(events)).SerializeToString()
            return real(message, timeout=60)

        return grpc.unary_unary_rpc_method_handler(handle)


def receipts(*indexes):
    """An answer with receipts for these places."""
    made_up = [pb.AppendReceipt(index=index, entry_hash=bytes(32)) for index in indexes]
    return pb.AppendEventsResponse(results=[pb.AppendResult(receipt=one) for one in made_up])


def test_a_soak_fails_whose_service_acknowledges_what_it_does_not_record(bench, monkeypatch):
    from benchmarks import __main__ as command

    made, serving = [], command.serving

    @contextmanager
    def forgetful(*where):
        with serving(*where) as real:
            made.append(Forgetful(real.target, lambda count: receipts(*range(count))))
            front = grpc.server(ThreadPoolExecutor(16), handlers=made)
            port = front.add_insecure_port("127.0.0.1:0")
            front.start()
            yield replace(real, target=f"127.0.0.1:{port}")
            front.stop(0).wait()

    monkeypatch.setattr(command, "serving", forgetful)
    status, _, said = bench("soak", "--entries", 1_000, "--rate", 100, "--seconds", 1)
    assert status == 1
    assert made[0].forgotten
    assert f" {made[0].forgotten} acknowledged events are not in the log\n" in said
    assert "the audit: verified" in said, "what is in the log is whole"


def test_a_log_on_postgresql(bench):
    if shutil.which("initdb") is None and not list(Path("/usr/lib/postgresql").glob("*/bin/initdb")):
        message = "there is no PostgreSQL on this machine"
        if os.environ.get("CI") == "true":
            pytest.fail(message)
        pytest.skip(message)
    status, [line], _ = bench(
        "append_batched", "--backend", "postgresql", "--entries", 1_000, "--events", 100
    )
    assert status == 0
    assert (line["name"], line["backend"]) == ("append_batched", "postgresql")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ["append_fast"],
            "given append_fast, expected one of append_batched, append_single, append_stream, ",
        ),
        (["--entries", "10"], "argument --entries: given 10, expected a number from 1000 on"),
        (["--entries", "1000,"], "argument --entries: given , expected a number from 1000 on"),
        (["--events", "-5"], "argument --events: "),
        (["--backend", "oracle"], "argument --backend: invalid choice: 'oracle'"),
        (["scan", "history"], "scan: given further NAMEs, expected it alone"),
        (["--plot", "rate.png"], "--plot: given rate.png, expected a file .svg in a folder that exists"),
    ],
)
def test_what_is_not_understood_is_refused(bench, capsys, arguments, message):
    with pytest.raises(SystemExit) as ended:
        bench(*arguments)
    assert ended.value.code == 2
    assert message in capsys.readouterr().err


def test_two_receipts_for_one_place_are_a_contradiction(bench):
    from benchmarks import soak
    from benchmarks.soak import Sent

    sent = Sent()
    message = soak.request([b"one"])
    for entry_hash in (b"\1" * 32, b"\1" * 32, b"\2" * 32):
        receipt = pb.AppendReceipt(index=7, entry_hash=entry_hash)
        answer = pb.AppendEventsResponse(results=[pb.AppendResult(receipt=receipt)]).SerializeToString()
        sent.take(0.0, message, answer)
    assert list(sent.acknowledged) == [7]
    assert sent.contradictions == 1
