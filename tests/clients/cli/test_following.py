from __future__ import annotations

import json
import signal
from contextlib import contextmanager

import pytest
from world import MERCHANT


@pytest.fixture
def follow(online):
    """Follows in a process of its own; gives the process."""

    @contextmanager
    def run(*options):
        with online.process("regulator", "events", "--format", "json", *options) as process:
            try:
                yield process
            finally:
                process.kill()

    return run


def test_the_whole_log_once(online):
    done = online.json("regulator", "events", "--once")
    assert done.status == 0, done.err
    assert [record["index"] for record in done.records] == list(range(len(done.records)))
    assert done.records[0]["kind"] == "genesis"
    assert all(record["signature_verified"] for record in done.records)


def test_filters_and_a_line_for_people(online, sell, goods):
    sale, _ = sell()
    done = online.json(
        "regulator", "events", "--once", "--chain", goods, "--kind", "sale", "--kind", "recall"
    )
    assert [record["event"] for record in done.records] == [sale]
    index = done.record["index"]
    done = online("regulator", "events", "--once", "--party", str(MERCHANT), "--from", index)
    [line, *_] = done.out.splitlines()
    assert f"  {index}  sold" in line
    assert line.endswith(f"  01/0{goods}  by {MERCHANT}")
    done = online.json("regulator", "events", "--once", "--party", "113501020036046057", "--from", index)
    assert (done.status, done.out) == (0, "")


def test_what_is_recorded_while_it_follows_is_a_line_at_once(follow, online, keys, waybill):
    size = online.json("regulator", "checkpoint").record["size"]
    with follow("--from", str(size), "--chain", waybill) as process:
        for stage in ("picked-up", "arrived"):
            online("courier", "scan", stage, waybill, "--key", keys["courier"])
            record = json.loads(process.stdout.readline())
            assert (record["kind"], record["body"]["stage"]) == ("shipment", stage)
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0
        assert process.stderr.read() == ""


def test_ctrl_c(follow):
    with follow() as process:
        process.stdout.readline()
        process.send_signal(signal.SIGINT)
        assert process.wait(30) == 130
        assert process.stderr.read() == ""


def test_a_reader_that_stops(follow):
    with follow() as process:
        process.stdout.readline()
        process.stdout.close()
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) in (0, 141)


def test_nobody_answers(online):
    done = online("regulator", "events", "--once", "--server", "127.0.0.1:1")
    assert done.status == 3
    assert "[UNREACHABLE]" in done.err


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--kind", "gift"], "--kind: given gift, expected one of genesis, rules-adoption, "),
        (["--new", "--once"], "--new goes with neither --from nor --once"),
        (["--chain", "no such thing"], "code: given no such thing"),
        (["--party", "91350102MA2XW1QL3Z"], "USCC"),
        (["--once", "--from", str(2**62)], "start: given 4611686018427387904, expected at most "),
    ],
)
def test_wrong_usage(online, options, message):
    done = online("regulator", "events", *options)
    assert done.status == 2
    assert message in done.err
