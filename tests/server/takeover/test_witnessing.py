"""Two processes that ask witnesses in turn: what is published only grows, whoever finishes late."""

from __future__ import annotations

import threading

import grpc
from misbehaving import ScriptedWitness, honest, send
from takeover import until

from ledger.note import VerifierKey
from ledger.policy import Policy
from suyuan.v1 import ledger_service_pb2 as pb


def test_a_process_that_wakes_up_late_publishes_nothing_over_what_its_successor_has(on_sqlite, tmp_path):
    vkey = VerifierKey.parse(on_sqlite.vkey)
    witness = ScriptedWitness("w", vkey)
    path = tmp_path / "witnesses.policy"
    path.write_text(f"log {vkey}\n{witness.line}quorum w\n")
    rules = Policy.parse(path.read_bytes())
    for one in on_sqlite.made:
        one.flags += ("--witness-policy", str(path), "--witness-interval", "0.1")
    sizes = []

    def published(process):
        """How large the newest checkpoint is that the witness has cosigned, as a process shows it; verified."""
        request = pb.GetCheckpointRequest(witnessed=True)
        note = process.ledger.GetCheckpoint(request, timeout=60).checkpoint.note
        sizes.append(rules.open(note, vkey.name)[0].size)
        return sizes[-1]

    answer_now = threading.Event()

    def holding_back(witness, handler, body):
        """Cosigns at once, and tells it when it is let."""
        reply = witness.reply(body)
        answer_now.wait(60)
        send(handler, reply)

    try:
        first, second = on_sqlite.begin()
        size = 1 + len(on_sqlite.log.founding)
        until(lambda: size_or_none(published, second) == size, "publication")

        witness.behave = holding_back
        assert first.append(first.city.listing()).results[0].HasField("receipt")
        until(lambda: witness.newest.size == size + 1, "a cosignature that is held back")
        first.freeze()
        witness.behave = honest
        until(second.writes, "the second one's turn")
        assert second.append(second.city.listing(title="later")).results[0].HasField("receipt")
        until(lambda: published(second) == size + 2, "publication by the second one")

        answer_now.set()
        first.thaw()
        until(lambda: "turn_lost" in first.log().rpartition("turn_begun")[2], "a turn that was lost")
        assert second.append(second.city.listing(title="last")).results[0].HasField("receipt")
        until(lambda: published(second) == size + 3, "publication")
        assert published(first) == size + 3
        assert sizes == sorted(sizes)
        on_sqlite.look([])
    finally:
        answer_now.set()
        witness.close()


def size_or_none(published, process):
    """What is published, if a quorum has formed yet."""
    try:
        return published(process)
    except grpc.RpcError:
        return None
