"""What a service may try that wants to deceive about the log itself: checkpoints, receipts, proofs, silence."""

from __future__ import annotations

import socket
import threading
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address

import grpc
import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID
from lying import (
    LyingService,
    copy_of,
    head_of,
    lying_service,
    other_answer,
    prove,
    prove_growth,
    refusal,
    refusing,
    signed,
)
from world import (
    CUP,
    MERCHANT,
    ORIGIN,
    PARCEL,
    TEA,
    event_id,
    signing_key,
)

from clients.sdk import FileTrust, LedgerClient
from ledger.checkpoint import Checkpoint
from ledger.entry import Entry
from ledger.errors import BrokenProof, LedgerError, Reason, ServiceFault
from ledger.merkle import leaf_hash
from ledger.note import NoteSigner, VerifierKey
from ledger.sequence import Sequenced
from suyuan.v1 import ledger_service_pb2 as pb

# The checkpoint


def test_no_checkpoint(liar: LyingService, client):
    liar.tell("GetCheckpoint", lambda _, answer: answer.ClearField("checkpoint"))
    assert refusal(client.checkpoint, Reason.BAD_NOTE).startswith("form of a note: given ''")


def test_a_checkpoint_that_another_key_signed(liar, client, town):
    impostor = NoteSigner(ORIGIN, signing_key("impostor")._key)

    def lie(_, answer):
        answer.checkpoint.CopyFrom(signed(Checkpoint(ORIGIN, 3, bytes(32)), impostor))

    liar.tell("GetCheckpoint", lie)
    assert refusal(client.checkpoint, Reason.BAD_NOTE) == (
        "signatures of the note: given 1 by unknown keys, "
        f"expected one by {VerifierKey.parse(town.service.vkey).label}"
    )


def test_a_checkpoint_whose_signature_does_not_hold(liar, client):
    def lie(_, answer):
        answer.checkpoint.note = answer.checkpoint.note.replace(b"\n", b"\n9", 1)

    liar.tell("GetCheckpoint", lie)
    assert refusal(client.checkpoint, Reason.BAD_NOTE).endswith("given one that does not verify")


def test_an_old_checkpoint(liar, client, town):
    old = []
    liar.tell("GetCheckpoint", lambda _, answer: old.append(answer.SerializeToString()))
    size = client.checkpoint().size
    newest = client.append_one(town.city.listing()).checkpoint.size
    liar.tell("GetCheckpoint", lambda *_: old[0])
    assert refusal(client.checkpoint, Reason.ROLLBACK) == (
        f"size of the log {ORIGIN}: given {size} entries, "
        f"expected at least the {newest} of a checkpoint seen before"
    )


def test_an_old_checkpoint_in_the_next_process(liar, client, town, tmp_path):
    old = []
    liar.tell("GetCheckpoint", lambda _, answer: old.append(answer.SerializeToString()))
    client.checkpoint()
    with LedgerClient(town.service.target, town.service.vkey, trust=FileTrust(tmp_path)) as before:
        before.append_one(town.city.listing())
    liar.tell("GetCheckpoint", lambda *_: old[0])
    with LedgerClient(liar.target, town.service.vkey, trust=FileTrust(tmp_path)) as after:
        refusal(after.checkpoint, Reason.ROLLBACK)


def test_a_forked_checkpoint_of_the_same_size(liar, client, signer):
    seen = client.checkpoint()

    def lie(_, answer):
        answer.checkpoint.CopyFrom(signed(replace(seen, root=bytes(32)), signer))

    liar.tell("GetCheckpoint", lie)
    assert refusal(client.checkpoint, Reason.FORK) == (
        f"root of the first {seen.size} entries of the log {ORIGIN}: given {'00' * 32}, "
        f"expected {seen.root.hex()}, of a checkpoint seen before"
    )
    assert client.checkpoint_note.startswith(f"{ORIGIN}\n{seen.size}\n".encode())


@pytest.mark.parametrize("from_index", [10, 0])
def test_a_forked_checkpoint_that_grew(liar, client, signer, from_index):
    """The operator rewrites history from some entry on, and signs all of it anew."""
    seen = client.checkpoint()
    fork = copy_of(client)
    for index in range(from_index, len(fork.entries)):
        data = fork.entries[index].data + b"\x00"
        fork.entries[index] = Sequenced(fork.entries[index].entry, data, leaf_hash(data), None)
    fork.entries.append(fork.entries[-1])

    def lie(request, answer):
        answer.checkpoint.CopyFrom(signed(head_of(fork), signer, prove_growth(fork, request.known_size)))

    liar.tell("GetCheckpoint", lie)
    message = refusal(client.checkpoint, Reason.FORK)
    assert message.startswith(
        f"old root by the consistency proof from {seen.size} to {seen.size + 1} leaves: given "
    )


def test_a_larger_checkpoint_without_a_proof(liar, client, town):
    seen = client.checkpoint()
    liar.tell("AppendEvents", lambda _, answer: answer.checkpoint.ClearField("consistency_proof"))
    message = refusal(lambda: client.append_one(town.city.listing()), Reason.FORK)
    assert message.startswith(
        f"hashes in the consistency proof from {seen.size} to {seen.size + 1} leaves: given 0"
    )


def test_two_answers_at_once_that_continue_different_histories(liar, client, town, signer):
    """Both continue what was known when they were asked for."""
    seen = client.checkpoint()
    fork = copy_of(client)
    fork.forge(town.city.listing())
    reached, released = threading.Event(), threading.Event()

    def lie(request, answer):
        answer.checkpoint.CopyFrom(signed(head_of(fork), signer, prove_growth(fork, request.known_size)))
        reached.set()
        assert released.wait(20)

    liar.tell("GetCheckpoint", lie)
    caught = []

    def ask():
        with pytest.raises(BrokenProof) as one:
            client.checkpoint()
        caught.append(one.value)

    asking = threading.Thread(target=ask)
    asking.start()
    assert reached.wait(20)
    newest = client.append_one(town.city.listing()).checkpoint
    released.set()
    asking.join()
    assert [error.reason for error in caught] == [Reason.FORK]
    assert newest.size == seen.size + 1
    assert client.checkpoint_note.startswith(f"{ORIGIN}\n{newest.size}\n".encode())


def overtaken(liar, client, town):
    """An answer that is honest and overtaken, so that the client asks for a proof of its own; what it does then."""
    client.checkpoint()
    town.service.append(town.city.listing())
    reached, released = threading.Event(), threading.Event()

    def delay(*_):
        reached.set()
        assert released.wait(20)

    liar.tell("GetCheckpoint", delay)
    outcome = []

    def ask():
        try:
            outcome.append(client.checkpoint())
        except LedgerError as error:
            outcome.append(error)

    asking = threading.Thread(target=ask)
    asking.start()
    assert reached.wait(20)
    newest = client.append_one(town.city.listing()).checkpoint
    released.set()
    asking.join()
    return outcome[0], newest


def test_an_honest_answer_that_was_overtaken_is_no_lie(liar, client, town):
    checkpoint, newest = overtaken(liar, client, town)
    assert checkpoint.size == newest.size - 1
    assert client.checkpoint_note.startswith(f"{ORIGIN}\n{newest.size}\n".encode())
    [request] = liar.calls("GetConsistencyProof")
    assert (request.old_size, request.new_size) == (checkpoint.size, newest.size)


def test_a_proof_that_is_none_for_what_was_overtaken(liar, client, town):
    liar.tell("GetConsistencyProof", lambda _, answer: answer.ClearField("proof"))
    error, _ = overtaken(liar, client, town)
    assert (type(error), error.reason) == (BrokenProof, Reason.FORK)


def test_a_proof_that_is_refused_for_what_was_overtaken(liar, client, town):
    liar.tell("GetConsistencyProof", lambda *_: refusing("INVALID_REQUEST", grpc.StatusCode.INVALID_ARGUMENT))
    error, newest = overtaken(liar, client, town)
    assert (type(error), error.reason) == (BrokenProof, Reason.FORK)
    assert str(error) == (
        f"consistency proof from {newest.size - 1} to {newest.size} leaves: given a refusal: thing: given no, "
        "expected a proof"
    )


def test_no_answer_about_what_was_overtaken(liar, client, town):
    """Neither believed nor called a lie: it can be asked again."""
    liar.tell("GetConsistencyProof", lambda *_: refusing("STOPPING", grpc.StatusCode.UNAVAILABLE))
    with pytest.raises(ServiceFault) as caught:
        raise overtaken(liar, client, town)[0]
    assert caught.value.reason is Reason.STOPPING


def test_a_proof_to_another_size_for_what_was_overtaken(liar, client, town):
    def lie(_, answer):
        answer.new_size -= 1

    liar.tell("GetConsistencyProof", lie)
    error, newest = overtaken(liar, client, town)
    assert (type(error), error.reason) == (BrokenProof, Reason.BAD_CONSISTENCY_PROOF)
    assert str(error) == (
        f"consistency proof from {newest.size - 1} to {newest.size} leaves: "
        f"given a proof to {newest.size - 1} leaves, expected {newest.size}"
    )


def test_every_question_names_what_is_known(liar, client, town):
    size = client.checkpoint().size
    client.history(PARCEL)
    client.trace(chain=PARCEL)
    client.entry(index=3)
    client.party(MERCHANT)
    client.key(town.city.key(MERCHANT).public_key.key_id)
    client.sale(event_id=town.id("sale"))
    list(client.entries(0, 3))
    client.append([town.city.sale("nobody", CUP)])
    asked = [
        (name, request) for name, request in liar.asked if "known_size" in request.DESCRIPTOR.fields_by_name
    ]
    assert {name for name, _ in asked} == {
        "GetCheckpoint", "GetHistory", "GetTrace", "GetEntry", "GetParty", "GetKey", "GetSale", "ListEntries",
        "AppendEvents",
    }  # fmt: skip
    assert [request.known_size for _, request in asked] == [0] + [size] * (len(asked) - 1)


# Appending


def test_the_receipts_of_two_events_swapped(liar, client, town):
    def lie(_, answer):
        first, second = answer.results
        kept = pb.AppendResult()
        kept.CopyFrom(first)
        first.CopyFrom(second)
        second.CopyFrom(kept)

    liar.tell("AppendEvents", lie)
    message = refusal(lambda: client.append([town.city.listing(), town.city.listing()]))
    assert message.startswith("entry hash in the receipt for index ")
    assert message.endswith(", of the envelope that was sent")


def test_a_receipt_for_an_event_that_was_not_recorded(liar, client, town):
    """All fits together, but the tree does not hold it."""
    envelope = town.city.listing()
    link = client.history(TEA).entries[-1]
    entry = Entry(link.entry.chain_seq + 1, link.hash, link.entry.recorded_at_us + 1, envelope.raw)

    def lie(_, answer):
        del answer.results[:]
        size = int(answer.checkpoint.note.split(b"\n")[1])
        answer.results.add().receipt.CopyFrom(
            pb.AppendReceipt(
                index=size - 1,
                chain_seq=entry.chain_seq,
                previous=entry.previous,
                recorded_at_us=entry.recorded_at_us,
                entry_hash=leaf_hash(entry.encode()),
                inclusion_proof=[bytes(32)] * 5,
            )
        )

    liar.tell("AppendEvents", lie)
    refusal(lambda: client.append_one(envelope), Reason.BAD_INCLUSION_PROOF)


def test_a_receipt_at_the_index_of_another(liar, client, town):
    def lie(_, answer):
        answer.results[0].receipt.index -= 1

    liar.tell("AppendEvents", lie)
    refusal(lambda: client.append_one(town.city.listing()), Reason.BAD_INCLUSION_PROOF)


@pytest.mark.parametrize("number", [0, 1, 3])
def test_more_or_less_results_than_events(liar, client, town, number):
    def lie(_, answer):
        results = [answer.results[0]] * number
        del answer.results[:]
        answer.results.extend(results)

    liar.tell("AppendEvents", lie)
    assert refusal(lambda: client.append([town.city.listing(), town.city.listing()])) == (
        f"results of an append: given {number}, expected 2, one for each event"
    )


def test_neither_a_receipt_nor_a_refusal(liar, client, town):
    liar.tell("AppendEvents", lambda _, answer: answer.results[0].Clear())
    assert refusal(lambda: client.append_one(town.city.listing())) == (
        "result of an append: given neither a receipt nor a refusal, expected one of them"
    )


def test_an_event_that_is_recorded_at_a_place_that_is_taken(client, town, liar, signer):
    """The operator lets two entries of one chain have the same place in it."""
    first = town.city.listing()
    appended = client.append_one(first)
    second = town.city.listing()
    fork = copy_of(client)
    twin = replace(fork.entries[appended.index].entry, envelope=second.raw)
    data = twin.encode()
    fork.entries.append(Sequenced(twin, data, leaf_hash(data), None))

    def lie(request, answer):
        index = len(fork.entries) - 1
        answer.Clear()
        answer.checkpoint.CopyFrom(signed(head_of(fork), signer, prove_growth(fork, request.known_size)))
        answer.results.add().receipt.CopyFrom(
            pb.AppendReceipt(
                index=index,
                chain_seq=twin.chain_seq,
                previous=twin.previous,
                recorded_at_us=twin.recorded_at_us,
                entry_hash=leaf_hash(data),
                inclusion_proof=prove(fork, index).inclusion_proof,
            )
        )

    liar.tell("AppendEvents", lie)
    assert refusal(lambda: client.append_one(second), Reason.BROKEN_CHAIN) == (
        f"chain_seq {appended.chain_seq} of {TEA}: given entry {appended.index + 1}, "
        f"expected entry {appended.index}, which was seen there before"
    )


# Raw entries: an auditor's, and still not without an end or a shape


@pytest.mark.parametrize(
    "lie",
    [
        lambda _, answer: answer.ClearField("entries"),
        lambda _, answer: answer.ClearField("leaf_hashes"),
        lambda _, answer: answer.leaf_hashes.pop() and None,
        lambda _, answer: answer.entries.append(b""),
    ],
)
def test_raw_entries_that_do_not_go_with_their_hashes(liar, client, lie):
    liar.tell("ListEntries", lie)
    assert refusal(lambda: list(client.entries(0, 5))).startswith("entries from 0: given ")


def test_more_raw_entries_than_were_asked_for(liar, client):
    def lie(_, answer):
        answer.entries.append(b"")
        answer.leaf_hashes.append(bytes(32))

    liar.tell("ListEntries", lie)
    assert refusal(lambda: list(client.entries(0, 5))) == (
        "entries from 0: given 6 entries and 6 leaf hashes, expected 1 to 5 and as many"
    )


def test_no_raw_entries_at_all(liar, client):
    def lie(_, answer):
        answer.ClearField("entries")
        answer.ClearField("leaf_hashes")

    liar.tell("ListEntries", lie)
    assert refusal(lambda: list(client.entries(2))) == (
        "entries from 2: given 0 entries and 0 leaf hashes, expected 1 to 1000 and as many"
    )


def test_a_leaf_hash_that_is_none(liar, client):
    def lie(_, answer):
        answer.leaf_hashes[1] = b"short"

    liar.tell("ListEntries", lie)
    assert refusal(lambda: list(client.entries(0, 5))) == "leaf hash 1: given 5 bytes, expected 32 bytes"


# Proofs


def test_an_inclusion_proof_of_another_leaf(liar, client, town):
    request = pb.GetInclusionProofRequest(index=6)
    liar.tell("GetInclusionProof", lambda *_: other_answer(town, "GetInclusionProof", request))
    refusal(lambda: client.inclusion_proof(5), Reason.BAD_INCLUSION_PROOF)


@pytest.mark.parametrize("size", [0, 20])
def test_an_inclusion_proof_in_another_tree(liar, client, town, size):
    request = pb.GetInclusionProofRequest(index=5, size=19)
    liar.tell("GetInclusionProof", lambda *_: other_answer(town, "GetInclusionProof", request))
    newest = client.checkpoint().size
    assert refusal(lambda: client.inclusion_proof(5, size), Reason.BAD_INCLUSION_PROOF) == (
        f"tree size of the inclusion proof of leaf 5: given 19, expected {size or newest} of the checkpoint's {newest}"
    )


def test_an_inclusion_proof_in_a_tree_that_never_was(liar, client):
    def lie(_, answer):
        answer.proof[-1] = bytes(32)

    liar.tell("GetInclusionProof", lie)
    refusal(lambda: client.inclusion_proof(5, 19), Reason.BAD_CONSISTENCY_PROOF)
    refusal(lambda: client.inclusion_proof(5), Reason.BAD_INCLUSION_PROOF)


def test_a_forked_checkpoint_beside_a_proof(liar, client, signer):
    seen = client.checkpoint()
    fork = copy_of(client)
    fork.entries.append(fork.entries[0])
    fork.entries[7] = fork.entries[0]

    def lie(request, answer):
        if isinstance(request, pb.GetConsistencyProofRequest) and request.new_size:
            # The client asks whether the forked checkpoint continues what it knows. It does not.
            return refusing("INVALID_REQUEST", grpc.StatusCode.INVALID_ARGUMENT)
        return answer.checkpoint.CopyFrom(signed(head_of(fork), signer))

    for method in ("GetInclusionProof", "GetConsistencyProof"):
        liar.tell(method, lie)
    for attempt in (lambda: client.inclusion_proof(5), lambda: client.consistency_proof(5)):
        message = refusal(attempt, Reason.FORK)
        assert message.startswith(
            f"consistency proof from {seen.size} to {seen.size + 1} leaves: given a refusal: "
        )


def test_an_old_checkpoint_beside_a_proof(liar, client, town):
    old = []
    liar.tell("GetInclusionProof", lambda _, answer: old.append(answer.SerializeToString()))
    client.inclusion_proof(5)
    client.append_one(town.city.listing())
    liar.tell("GetInclusionProof", lambda *_: old[0])
    refusal(lambda: client.inclusion_proof(5), Reason.ROLLBACK)


def test_a_consistency_proof_between_other_trees(liar, client, town):
    request = pb.GetConsistencyProofRequest(old_size=4, new_size=9)
    answer = other_answer(town, "GetConsistencyProof", request)
    liar.tell("GetConsistencyProof", lambda request, _: answer if request.old_size == 5 else None)
    refusal(lambda: client.consistency_proof(5, 9), Reason.BAD_CONSISTENCY_PROOF)


def test_a_consistency_proof_to_another_size(liar, client):
    def lie(_, answer):
        answer.new_size = 8

    liar.tell("GetConsistencyProof", lie)
    newest = client.checkpoint().size
    assert refusal(lambda: client.consistency_proof(5, 9), Reason.BAD_CONSISTENCY_PROOF) == (
        f"tree size of the consistency proof from 5 leaves: given 8, expected 9 of the checkpoint's {newest}"
    )


# Answers that are none


def test_an_answer_that_is_too_large(liar, client):
    def lie(_, answer):
        answer.entries[0].entry = bytes(33 * 1024 * 1024)

    liar.tell("GetHistory", lie)
    with pytest.raises(ServiceFault) as caught:
        client.history(PARCEL)
    assert caught.value.reason is Reason.UNREACHABLE
    assert f"service at {liar.target}: given RESOURCE_EXHAUSTED: " in str(caught.value)


def test_an_answer_that_is_no_message(liar, client):
    liar.tell("GetCheckpoint", lambda *_: b"\xff\xff\xff")
    with pytest.raises(ServiceFault) as caught:
        client.checkpoint()
    assert caught.value.reason is Reason.UNREACHABLE


@pytest.mark.parametrize("method", ["GetCheckpoint", "GetHistory", "GetParty", "ListParties"])
def test_no_answer_in_time(liar, town, method):
    released = threading.Event()
    liar.tell(method, lambda *_: released.wait(60) and None)
    asks = {
        "GetCheckpoint": lambda it: it.checkpoint(),
        "GetHistory": lambda it: it.history(PARCEL),
        "GetParty": lambda it: it.party(MERCHANT),
        "ListParties": lambda it: list(it.parties()),
    }
    with LedgerClient(liar.target, town.service.vkey, timeout_s=0.3) as client:
        with pytest.raises(ServiceFault) as caught:
            asks[method](client)
        released.set()
    assert caught.value.reason is Reason.UNREACHABLE
    assert str(caught.value).startswith(f"service at {liar.target}: given DEADLINE_EXCEEDED: ")


def test_somebody_who_listens_and_says_nothing(town):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        target = f"127.0.0.1:{silent.getsockname()[1]}"
        with (
            LedgerClient(target, town.service.vkey, timeout_s=0.3) as client,
            pytest.raises(ServiceFault) as caught,
        ):
            client.checkpoint()
    assert caught.value.reason is Reason.UNREACHABLE
    assert str(caught.value).startswith(f"service at {target}: given ")


def test_nobody_there(town):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        target = f"127.0.0.1:{taken.getsockname()[1]}"
    with LedgerClient(target, town.service.vkey) as client, pytest.raises(ServiceFault) as caught:
        client.append_one(town.city.listing())
    assert caught.value.reason is Reason.UNREACHABLE
    assert str(caught.value).startswith(f"service at {target}: given UNAVAILABLE: ")


def certificate(name):
    """A certificate that signs itself, and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder(subject, subject, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, SHA256())
    )
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return made.public_bytes(Encoding.PEM), pem


def test_who_shows_another_certificate(town):
    shown, key = certificate("service")
    expected, _ = certificate("somebody else")
    with lying_service(town.service.target, grpc.ssl_server_credentials([(key, shown)])) as liar:
        with LedgerClient(liar.target, town.service.vkey, root_certificates=shown) as client:
            assert client.checkpoint().size
        for roots in (expected, None):
            with (
                LedgerClient(liar.target, town.service.vkey, root_certificates=roots) as client,
                pytest.raises(ServiceFault) as caught,
            ):
                client.checkpoint()
            assert caught.value.reason is Reason.UNREACHABLE
    assert [name for name, _ in liar.asked] == ["GetCheckpoint"]


def test_a_refusal_for_a_reason_that_nobody_knows(liar, client):
    liar.tell("GetCheckpoint", lambda *_: refusing("TIRED", grpc.StatusCode.UNAVAILABLE))
    with pytest.raises(ServiceFault) as caught:
        client.checkpoint()
    assert str(caught.value) == (
        "refusal by the service: given UNAVAILABLE for the reason TIRED: thing: given no, "
        "expected a reason known to this version"
    )


def test_a_verification_that_failed_is_not_tried_again(liar, client):
    liar.tell("GetHistory", lambda _, answer: answer.entries.pop(0) and None)
    refusal(lambda: client.history(PARCEL), Reason.BROKEN_CHAIN)
    assert len(liar.calls("GetHistory")) == 1


def test_after_a_lie_the_truth_is_believed_again(liar, client):
    liar.tell("GetHistory", lambda _, answer: answer.entries.pop(0) and None)
    refusal(lambda: client.history(PARCEL), Reason.BROKEN_CHAIN)
    liar.lies.clear()
    assert len(client.history(PARCEL).entries) == 3


def test_the_wrong_log_altogether(town):
    stranger = NoteSigner("elsewhere.test/log", signing_key("elsewhere")._key).vkey
    with LedgerClient(town.service.target, stranger) as client:
        message = refusal(client.checkpoint, Reason.BAD_NOTE)
    assert message == f"signatures of the note: given 1 by unknown keys, expected one by {stranger.label}"


def test_what_was_appended_is_what_is_read(client, town):
    """The liar says nothing but the truth: everything holds."""
    envelope = town.city.listing()
    appended = client.append_one(envelope)
    assert client.history(TEA).entries[-1].event.id == event_id(envelope) == appended.event_id
