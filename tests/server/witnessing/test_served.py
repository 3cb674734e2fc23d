"""The service with real witnesses, all of them processes: what is published, asked for, and looked at."""

import json
import signal
import socket

import grpc
import pytest
from google.rpc import error_details_pb2
from grpc_status import rpc_status
from misbehaving import cosigner, eventually
from running import RunningService, new_log, operator
from witnessing import running_witness
from world import ORIGIN

from ledger.errors import BadInput
from ledger.merkle import verify_consistency
from ledger.note import SignedNote, VerifierKey
from ledger.policy import Policy
from server.config import read_witness_policy
from suyuan.v1 import ledger_service_pb2 as pb


def witnessed(service: RunningService, known_size=0):
    return service.ledger.GetCheckpoint(
        pb.GetCheckpointRequest(witnessed=True, known_size=known_size), timeout=30
    ).checkpoint


def open_witnessed(service, rules):
    checkpoint, cosignatures = rules.open(witnessed(service).note, ORIGIN)
    return checkpoint, rules.names_of(cosignatures)


def refused(service):
    """The status of a request for a checkpoint with cosignatures."""
    with pytest.raises(grpc.RpcError) as caught:
        witnessed(service)
    info = error_details_pb2.ErrorInfo()
    rpc_status.from_call(caught.value).details[0].Unpack(info)
    return caught.value.code(), info.reason, caught.value.details()


NOT_YET = (
    grpc.StatusCode.UNAVAILABLE,
    "NO_QUORUM",
    "checkpoint with cosignatures: given none, expected a quorum of witnesses",
)


def put_policy(path, log_vkeys, quorum, *witnesses):
    """Write a policy, and read it."""
    lines = [f"log {vkey}" for vkey in log_vkeys]
    lines += [f"witness {name} {vkey} {url}" for name, vkey, url in witnesses]
    path.write_text(
        "\n".join([*lines, f"group g {quorum} {' '.join(name for name, *_ in witnesses)}", "quorum g", ""])
    )
    return Policy.parse(path.read_bytes())


def files(service, *more):
    return ("--database", service.database, "--log-key", service.log_key, *more)


def test_a_quorum_of_two_real_witnesses_while_the_third_is_down(tmp_path):
    service = new_log(tmp_path / "log")
    path = tmp_path / "witnesses.policy"
    second = ("--ml-dsa-key", str(tmp_path / "first" / "ml-dsa.pem"))
    with (
        socket.socket() as unused,
        running_witness(tmp_path / "first", *second, logs=[service.vkey], name="first.test/w") as first,
        running_witness(tmp_path / "second", logs=[service.vkey], name="second.test/w") as other,
    ):
        unused.bind(("127.0.0.1", 0))
        nobody = f"http://127.0.0.1:{unused.getsockname()[1]}"
        down = ("down", cosigner("down").vkey, nobody)
        one, one_pq, two = (
            ("one", first.vkeys[0], first.url),
            ("one-pq", first.vkeys[1], first.url),
            ("two", other.vkey, other.url),
        )
        rules = put_policy(path, [service.vkey], 3, one, one_pq, two, down)
        service.flags = ("--witness-policy", str(path), "--witness-interval", "0.1")
        try:
            service.start()
            assert all(one.HasField("receipt") for one in service.append(*service.founding).results)
            eventually(lambda: '"event": "published"' in service.log(), "publication")
            eventually(lambda: open_witnessed(service, rules)[0].size == 6, "the newest head")
            assert open_witnessed(service, rules)[1] == ("one", "one-pq", "two")

            # Proofs lead from what the caller knows, if that is not larger.
            old, _ = open_witnessed(service, rules)
            service.append(service.city.listing())
            eventually(lambda: open_witnessed(service, rules)[0].size == 7, "the next head")
            answer = witnessed(service, known_size=old.size)
            new, _ = rules.open(answer.note, ORIGIN)
            verify_consistency(old.size, old.root, new.size, new.root, list(answer.consistency_proof))
            assert list(witnessed(service, known_size=8).consistency_proof) == []

            # The witnesses hold what the log shows.
            for witness in (first, other):
                assert witness.stop() == 0
            service.append(service.city.listing(title="new"))
            head = service.ledger.GetCheckpoint(pb.GetCheckpointRequest()).checkpoint.note
            assert SignedNote.parse(head).text.startswith(f"{ORIGIN}\n8\n")
            assert open_witnessed(service, rules)[0].size == 7
            done = operator("witnesses", *files(service, "--witness-policy", path))
            lines = done.stdout.splitlines()
            assert lines[0] == "Published: size 7; the log has 8 entries"
            assert [line.split(":")[0] for line in lines[1:]] == ["one", "one-pq", "two", "down", "QUORUM"]
            assert lines[4:] == ["down: no cosignature", "QUORUM: 3 of (one, one-pq, two, down)"]

            # What is published stays so over a crash.
            service.stop(signal.SIGKILL)
            service.start()
            assert open_witnessed(service, rules)[0].size == 7
            assert service.stop() == 0
        finally:
            service.stop()

    # By another policy it is no quorum; and without a policy nothing is published.
    service.flags = ()
    put_policy(path, [service.vkey], "all", one, one_pq, two, down)
    done = operator("witnesses", *files(service, "--witness-policy", path, "--format", "json"), check=False)
    told = json.loads(done.stdout)
    assert (done.returncode, told["quorum"], told["published"], told["size"]) == (1, False, 7, 8)
    assert [(one["name"], one["cosigned_at"] is not None) for one in told["witnesses"]] == [
        ("one", True), ("one-pq", True), ("two", True), ("down", False),
    ]  # fmt: skip
    try:
        service.start()
        assert refused(service) == NOT_YET
    finally:
        assert service.stop() == 0
    assert "published_dropped" in service.log()
    done = operator("witnesses", *files(service, "--witness-policy", path), check=False)
    assert (done.returncode, done.stdout.splitlines()[0]) == (1, "Published: nothing; the log has 8 entries")


def test_the_log_changes_its_key_before_a_witness_that_knows_both(tmp_path):
    """The procedure of docs/log-keys.md."""
    service = new_log(tmp_path / "log")
    path, new = tmp_path / "witnesses.policy", tmp_path / "log-2.pem"
    operator("init", "--genesis", service.folder / "genesis.bin", *files(service, "--log-key", new))
    vkeys = operator("vkey", *files(service, "--log-key", new)).stdout.split()
    old_key, new_key = map(VerifierKey.parse, vkeys)
    with running_witness(tmp_path / "witness", logs=vkeys) as witness:
        rules = put_policy(path, vkeys, "any", ("w", witness.vkey, witness.url))
        flags = ("--witness-policy", str(path), "--witness-interval", "0.1")

        def served(*more):
            """Serve with these flags, say something, and return the keys below what is then published."""
            service.flags = (*flags, *more)
            service.start()
            try:
                before = service.ledger.GetCheckpoint(pb.GetCheckpointRequest()).checkpoint.note
                size = int(SignedNote.parse(before).text.split("\n")[1])
                saying = service.founding if size == 1 else [service.city.listing(title=str(size))]
                assert all(one.HasField("receipt") for one in service.append(*saying).results)
                eventually(lambda: published_size() > size, "publication")
                return rules.open(witnessed(service).note, ORIGIN) and signers(witnessed(service).note)
            finally:
                assert service.stop() == 0

        def published_size():
            try:
                return open_witnessed(service, rules)[0].size
            except grpc.RpcError:
                return 0

        def signers(note):
            return set(SignedNote.parse(note).verify([old_key, new_key]))

        assert served() == {old_key}
        assert served("--log-key", str(new)) == {old_key, new_key}
        assert operator("check", *files(service, "--log-key", new)).stdout.startswith("OK: ")
        service.log_key.unlink()
        new.rename(service.log_key)
        operator("rebuild", *files(service))
        assert served() == {new_key}


class TestRefused:
    def test_policies_that_the_log_cannot_be_served_with(self, tmp_path):
        log = new_log(tmp_path / "log")
        path, own = tmp_path / "policy", VerifierKey.parse(log.vkey)
        other = VerifierKey.of("ledger.test/other", bytes(32))

        def said(*args):
            done = operator(*args, *files(log), check=False)
            assert "Traceback" not in done.stderr
            return done.returncode, done.stderr

        path.write_text(f"log {other}\nquorum none\n")
        status, text = said("serve", "--listen", "127.0.0.1:0", "--witness-policy", path)
        assert (status != 0, f"given {other.label}, expected this log, {own.label}" in text) == (True, True)
        status, text = said("witnesses")
        assert (status, "--witness-policy says whose cosignatures count" in text) == (2, True)

    def test_a_policy_that_cannot_be_read(self, tmp_path):
        for text, said in [
            (None, "given No such file or directory, expected a policy as C2SP tlog-policy has it"),
            ("", "policy: given no quorum line, expected exactly one"),
            ("quorum x\n", "policy, line 1: quorum: given x, expected none, or a name defined above"),
        ]:
            if text is not None:
                (tmp_path / "policy").write_text(text)
            with pytest.raises(BadInput) as caught:
                read_witness_policy(tmp_path / "policy", [])
            assert str(caught.value).endswith(said)
