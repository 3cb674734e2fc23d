"""What a service that wants to deceive may try, lie by lie, against the SDK over a real connection."""

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
from google.protobuf import any_pb2
from google.rpc import error_details_pb2, status_pb2
from grpc_status import rpc_status
from lying import LyingService, head_of, log_signer, lying_service, prove, prove_growth, signed
from town import LOT, OTHER_PARCEL, running_town
from world import (
    CARRIER_MEMBER,
    CUP,
    MERCHANT,
    ORIGIN,
    OTHER_MERCHANT,
    PARCEL,
    PLATFORM,
    REGULATOR,
    TEA,
    Log,
    event_id,
    signing_key,
)

from clients.sdk import FileTrust, LedgerClient, MemoryTrust
from ledger.checkpoint import Checkpoint
from ledger.entry import Entry
from ledger.errors import BrokenProof, Conflict, LedgerError, Reason, ServiceFault
from ledger.merkle import leaf_hash
from ledger.note import NoteSigner, VerifierKey
from ledger.sequence import Sequenced
from suyuan.v1 import event_pb2 as ev
from suyuan.v1 import ledger_service_pb2 as pb
from suyuan.v1 import registry_service_pb2 as registry_pb

UNKNOWN_SALE = b"\x07" * 32


@pytest.fixture(scope="module")
def town(tmp_path_factory):
    with running_town(tmp_path_factory.mktemp("town")) as town:
        yield town


@pytest.fixture
def liar(town):
    with lying_service(town.service.target) as liar:
        yield liar


@pytest.fixture
def trust():
    return MemoryTrust()


@pytest.fixture
def client(town, liar, trust):
    with LedgerClient(liar.target, town.service.vkey, trust=trust, timeout_s=20) as client:
        yield client


@pytest.fixture
def honest(town):
    """The same service without the liar."""
    with LedgerClient(town.service.target, town.service.vkey) as client:
        yield client


@pytest.fixture(scope="module")
def signer(town):
    return log_signer(town.service.log_key)


def refusal(attempt, reason=Reason.BAD_ENTRY):
    with pytest.raises(BrokenProof) as caught:
        attempt()
    assert caught.value.reason is reason, caught.value
    return str(caught.value)


def copy_of(client):
    """The log as a client can read it: to be forged in memory."""
    log = Log()
    for data, hash_ in client.entries():
        log.entries.append(Sequenced(Entry.parse(data), data, hash_, None))
    return log


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


# Histories


def test_a_history_without_a_middle_entry(liar, client, town):
    def lie(_, answer):
        del answer.entries[1]

    liar.tell("GetHistory", lie)
    assert refusal(lambda: client.history(PARCEL), Reason.BROKEN_CHAIN) == (
        f"chain_seq of entry {town.indexes['delivered']} in {PARCEL}: given 2, expected 1"
    )


def test_a_history_without_its_first_entry(liar, client, town):
    def lie(_, answer):
        del answer.entries[0]

    liar.tell("GetHistory", lie)
    assert refusal(lambda: client.history(PARCEL), Reason.BROKEN_CHAIN) == (
        f"chain_seq of entry {town.indexes['arrived']} in {PARCEL}: given 1, expected 0"
    )


def test_a_history_without_its_end(liar, client):
    def lie(request, answer):
        if request.start_seq:
            del answer.entries[:]
        else:
            del answer.entries[-1]

    liar.tell("GetHistory", lie)
    assert refusal(lambda: client.history(PARCEL), Reason.BROKEN_CHAIN) == (
        f"entries of {PARCEL}: given 2, expected 3, as the answer says"
    )


def test_a_history_that_is_shorter_than_last_time(liar, client, town):
    """Without its end, and with a word for it: no proof shows that, but whoever has seen more knows better."""

    def lie(_, answer):
        del answer.entries[-1]
        answer.chain_length -= 1

    size = client.checkpoint().size
    before = client.history(PARCEL)
    liar.tell("GetHistory", lie)
    assert refusal(lambda: client.history(PARCEL), Reason.BROKEN_CHAIN) == (
        f"length of {PARCEL} in the log's first {size} entries: given 2, "
        f"expected at least 3: entry {before.entries[-1].index} was seen before"
    )


def test_a_history_without_the_event_just_appended(liar, client, town):
    def lie(_, answer):
        del answer.entries[-1]
        answer.chain_length -= 1

    chain = "waybill/sf/SF1111111111111"
    client.append(
        [town.city.scan(ev.SHIPMENT_STAGE_PICKED_UP, chain), town.city.scan(ev.SHIPMENT_STAGE_LOST, chain)]
    )
    liar.tell("GetHistory", lie)
    assert "given 1, expected at least 2" in refusal(lambda: client.history(chain), Reason.BROKEN_CHAIN)


@pytest.mark.parametrize("ask", [lambda it: it.history(PARCEL), lambda it: it.trace(chain=PARCEL)])
def test_a_chain_that_was_seen_is_said_not_to_exist(liar, client, ask):
    client.history(PARCEL)
    for method in ("GetHistory", "GetTrace"):
        liar.tell(method, lambda *_: refusing("NOT_FOUND", grpc.StatusCode.NOT_FOUND))
    message = refusal(lambda: ask(client), Reason.BROKEN_CHAIN)
    assert message.endswith(f" of {PARCEL}: given none, expected entries: some were seen before")


def test_a_history_of_nothing(liar, client):
    def lie(_, answer):
        del answer.entries[:]
        answer.chain_length = 0

    liar.tell("GetHistory", lie)
    assert refusal(lambda: client.history(PARCEL), Reason.BROKEN_CHAIN) == (
        f"entries of {PARCEL}: given 0, expected at least 1, as the answer says"
    )


def other_answer(town, method, request):
    """The true answer to another question."""
    stub = town.service.registry if hasattr(town.service.registry, method) else town.service.ledger
    return getattr(stub, method)(request, timeout=20)


def test_the_history_of_another_chain(liar, client, town):
    request = pb.GetHistoryRequest(chain=OTHER_PARCEL, with_registrations=True)
    liar.tell("GetHistory", lambda *_: other_answer(town, "GetHistory", request))
    assert refusal(lambda: client.history(PARCEL), Reason.BROKEN_CHAIN) == (
        f"chain of entry {town.indexes['other_scan']}: given {OTHER_PARCEL}, expected {PARCEL}"
    )


def test_a_history_with_an_entry_of_another_chain(liar, client, town):
    request = pb.GetEntryRequest(index=town.indexes["other_scan"])

    def lie(_, answer):
        answer.entries[1].CopyFrom(other_answer(town, "GetEntry", request).entry)

    liar.tell("GetHistory", lie)
    assert refusal(lambda: client.history(PARCEL), Reason.BROKEN_CHAIN) == (
        f"chain of entry {town.indexes['other_scan']}: given {OTHER_PARCEL}, expected {PARCEL}"
    )


def test_a_history_out_of_order(liar, client, town):
    def lie(_, answer):
        entries = list(answer.entries)[::-1]
        del answer.entries[:]
        answer.entries.extend(entries)

    liar.tell("GetHistory", lie)
    assert refusal(lambda: client.history(PARCEL)) == (
        f"index of an entry in the order of the log: given {town.indexes['arrived']}, "
        f"expected more than {town.indexes['delivered']}"
    )


def test_a_longer_page_than_was_asked_for(liar, client):
    def lie(_, answer):
        answer.entries.extend([answer.entries[0]] * 100)

    liar.tell("GetHistory", lie)
    assert refusal(lambda: client.history(PARCEL)) == ("entries on a page: given 103, expected at most 100")


def test_a_history_that_begins_again_on_each_page(liar, client, town):
    """Without an end, it would keep a client busy for ever."""
    first = pb.GetHistoryRequest(chain=PARCEL, with_registrations=True)

    def lie(*_):
        answer = other_answer(town, "GetHistory", first)
        answer.chain_length = 2**63
        return answer

    liar.tell("GetHistory", lie)
    assert refusal(lambda: client.history(PARCEL), Reason.BROKEN_CHAIN) == (
        f"chain_seq of entry {town.indexes['picked_up']} in {PARCEL}: given 0, expected 3"
    )


def test_entries_proven_in_another_tree(liar, client, town):
    """Each entry has a proof, but for an older and smaller tree than the one that is signed."""
    old = other_answer(town, "GetHistory", pb.GetHistoryRequest(chain=PARCEL, with_registrations=True))
    client.append_one(town.city.listing())

    def lie(_, answer):
        del answer.entries[:]
        answer.entries.extend(old.entries)

    liar.tell("GetHistory", lie)
    refusal(lambda: client.history(PARCEL), Reason.BAD_INCLUSION_PROOF)


# Who signed


def test_signers_are_introduced_though_the_service_is_silent(liar, client):
    liar.tell("GetHistory", lambda _, answer: answer.ClearField("registrations"))
    entries = client.history(PARCEL).entries
    assert [entry.signer for entry in entries] == [CARRIER_MEMBER] * 3
    assert len(liar.calls("GetKey")) == 3


def test_a_signer_whom_the_service_does_not_know(liar, client, town):
    liar.tell("GetHistory", lambda _, answer: answer.ClearField("registrations"))
    for method in ("GetKey", "GetSale"):
        liar.tell(method, lambda *_: refusing("NOT_FOUND", grpc.StatusCode.NOT_FOUND))
    key_id = town.city.key(CARRIER_MEMBER).public_key.key_id.hex()
    assert refusal(lambda: client.history(PARCEL)) == (
        f"introduction of key {key_id}: given none: the service knows no such key, expected an entry of the log"
    )


def test_the_introduction_of_another_key(liar, client, town):
    liar.tell("GetHistory", lambda _, answer: answer.ClearField("registrations"))
    request = registry_pb.GetKeyRequest(key_id=town.city.key(MERCHANT).public_key.key_id)
    liar.tell("GetKey", lambda *_: other_answer(town, "GetKey", request))
    key_id = town.city.key(CARRIER_MEMBER).public_key.key_id.hex()
    assert refusal(lambda: client.history(PARCEL)) == (
        f"introduction of key {key_id}: given entry 2, a party_registration on {MERCHANT}, "
        "expected the entry that introduced it"
    )


def test_the_registration_of_another_party(liar, client, town):
    """The company of a member that a regulator registered: nothing but its registration leads to it."""
    request = registry_pb.GetPartyRequest(party=PLATFORM)
    liar.tell("GetParty", lambda *_: other_answer(town, "GetParty", request))
    assert refusal(lambda: client.entry(index=town.indexes["lot"])) == (
        f"registration of {MERCHANT}: given entry 1, a party_registration on {PLATFORM}, "
        "expected the entry that introduced it"
    )


def test_another_entry_than_the_genesis(liar, client, town):
    request = pb.GetEntryRequest(index=1)
    liar.tell("GetEntry", lambda *_: other_answer(town, "GetEntry", request))
    assert refusal(lambda: client.party(MERCHANT)) == (
        "entry 0: given entry 1, a party_registration, expected the genesis"
    )


def test_introductions_without_end(liar, client, town, monkeypatch):
    """A log may hold a long row of keys that introduced each other; a client does not ask for all of them."""
    monkeypatch.setattr("clients.session.MAX_FETCHED", 2)
    liar.tell("GetHistory", lambda _, answer: answer.ClearField("registrations"))
    assert refusal(lambda: client.history(PARCEL)) == (
        f"signer of entry {town.indexes['picked_up']}: given more than 2 introductions, "
        "expected a shorter way to the genesis"
    )


def test_keys_that_are_forgotten_are_asked_for_again(client, town, monkeypatch):
    monkeypatch.setattr("clients.session.MAX_KEYS_KEPT", 2)
    for _ in range(2):
        assert len(client.history(PARCEL).entries) == 3
        assert client.party(MERCHANT).party.name == "闽茶坊"
        assert client.sale(event_id=town.id("sale")).parcels == (PARCEL,)


@pytest.mark.parametrize("method", ["GetKey", "GetSale"])
def test_a_refusal_to_introduce_is_passed_on(liar, client, method):
    """What the service says of itself is no lie about the log."""
    liar.tell("GetHistory", lambda _, answer: answer.ClearField("registrations"))
    liar.tell("GetKey", lambda *_: refusing("NOT_FOUND", grpc.StatusCode.NOT_FOUND))
    liar.tell(method, lambda *_: refusing("RULES_VERSION", grpc.StatusCode.FAILED_PRECONDITION))
    with pytest.raises(Conflict) as caught:
        client.history(PARCEL)
    assert caught.value.reason is Reason.RULES_VERSION


def test_a_registration_that_the_tree_does_not_hold(liar, client):
    def lie(_, answer):
        answer.registrations[-1].entry = answer.registrations[-1].entry[:-1] + b"\x00"

    liar.tell("GetHistory", lie)
    refusal(lambda: client.history(PARCEL), Reason.BAD_INCLUSION_PROOF)


def test_a_registration_that_is_in_the_log_and_was_made_by_the_operator(liar, client, town, signer):
    """An operator with the log's key can put anything into its log, but nobody's signature under it."""
    thief = "party/91350100MA347Q2M6Q"
    city = replace(town.city, keys=dict(town.city.keys))
    fork = copy_of(client)
    entries = [
        city.register(thief, ev.PARTY_ROLE_MERCHANT, "自封", by=thief),
        city.say(thief, PARCEL, ev.Shipment(stage=ev.SHIPMENT_STAGE_LOST)),
    ]
    links = [(0, b""), (3, client.history(PARCEL).entries[-1].hash)]
    for envelope, link in zip(entries, links, strict=True):
        entry = Entry(*link, fork.entries[-1].entry.recorded_at_us, envelope.raw)
        fork.entries.append(Sequenced(entry, entry.encode(), leaf_hash(entry.encode()), None))

    def lie(request, answer):
        indexes = [entry.index for entry in answer.entries] + [len(fork.entries) - 1]
        introductions = [entry.index for entry in answer.registrations] + [len(fork.entries) - 2]
        answer.Clear()
        answer.entries.extend(prove(fork, index) for index in indexes)
        answer.registrations.extend(prove(fork, index) for index in introductions)
        answer.chain_length = len(indexes)
        answer.checkpoint.CopyFrom(signed(head_of(fork), signer, prove_growth(fork, request.known_size)))

    liar.tell("GetHistory", lie)
    liar.tell("GetKey", lambda *_: refusing("NOT_FOUND", grpc.StatusCode.NOT_FOUND))
    liar.tell("GetSale", lambda *_: refusing("NOT_FOUND", grpc.StatusCode.NOT_FOUND))
    key_id = city.key(thief).public_key.key_id.hex()
    assert refusal(lambda: client.history(PARCEL)) == (
        f"introduction of key {key_id}: given none: the service knows no such key, expected an entry of the log"
    )

    def introduces_itself(request, answer):
        answer.Clear()
        answer.registration.CopyFrom(prove(fork, len(fork.entries) - 2))
        answer.checkpoint.CopyFrom(signed(head_of(fork), signer, prove_growth(fork, request.known_size)))

    liar.tell("GetKey", introduces_itself)
    index = len(fork.entries) - 2
    assert refusal(lambda: client.history(PARCEL)) == (
        f"introduction of what signed entry {index}: given entry {index}, expected an earlier entry"
    )


# Traces


def trace_of_sale(client, town):
    return lambda: client.trace(sale=town.id("sale"))


def test_the_trace_of_another_sale(liar, client, town):
    request = pb.GetTraceRequest(sale=town.id("other_sale"), with_registrations=True)
    liar.tell("GetTrace", lambda *_: other_answer(town, "GetTrace", request))
    assert refusal(trace_of_sale(client, town)).endswith(", expected an entry of this story")


def test_a_trace_with_an_entry_of_another_story(liar, client, town):
    request = pb.GetEntryRequest(index=town.indexes["other_sale"])

    def lie(_, answer):
        stranger = other_answer(town, "GetEntry", request).entry
        entries = sorted([*answer.entries, stranger], key=lambda entry: entry.index)
        del answer.entries[:]
        answer.entries.extend(entries)

    liar.tell("GetTrace", lie)
    assert refusal(trace_of_sale(client, town)) == (
        f"entry {town.indexes['other_sale']} of the trace: given a sale on {TEA}, expected an entry of this story"
    )


def test_a_trace_with_another_merchants_listing(liar, client, town):
    request = pb.GetEntryRequest(index=town.indexes["other_tea"])

    def lie(_, answer):
        stranger = other_answer(town, "GetEntry", request).entry
        entries = sorted([*answer.entries, stranger], key=lambda entry: entry.index)
        del answer.entries[:]
        answer.entries.extend(entries)

    liar.tell("GetTrace", lie)
    assert refusal(trace_of_sale(client, town)) == (
        f"entry {town.indexes['other_tea']} of the trace: given a listing on {TEA}, expected an entry of this story"
    )


def test_the_trace_of_a_sale_that_is_none(liar, client, town):
    """Somebody asks for the story of a listing, and is told it as if it were a sale."""

    def lie(_, answer):
        answer.checkpoint.CopyFrom(other_answer(town, "GetCheckpoint", pb.GetCheckpointRequest()).checkpoint)
        request = pb.GetEntryRequest(index=town.indexes["listing"])
        answer.entries.append(other_answer(town, "GetEntry", request).entry)

    liar.tell("GetTrace", lie)
    assert refusal(lambda: client.trace(sale=town.id("listing"))) == (
        f"entry {town.indexes['listing']} of the trace: given a listing on {TEA}, expected an entry of this story"
    )


@pytest.mark.parametrize(
    ("missing", "expected"),
    [
        ("sale", "a listing on"),
        ("dispatch", "a shipment on"),
        ("review", "a follow_up on"),
        ("complaint", "a complaint_reply on"),
    ],
)
def test_a_trace_without_what_others_refer_to(liar, client, town, missing, expected):
    def lie(_, answer):
        kept = [entry for entry in answer.entries if entry.index != town.indexes[missing]]
        del answer.entries[:]
        answer.entries.extend(kept)

    liar.tell("GetTrace", lie)
    assert f": given {expected}" in refusal(trace_of_sale(client, town))


@pytest.mark.parametrize("missing", ["picked_up", "arrived"])
def test_a_trace_with_a_step_of_the_parcel_left_out(liar, client, town, missing):
    def lie(_, answer):
        kept = [entry for entry in answer.entries if entry.index != town.indexes[missing]]
        del answer.entries[:]
        answer.entries.extend(kept)

    liar.tell("GetTrace", lie)
    assert f" in {PARCEL}: given " in refusal(trace_of_sale(client, town), Reason.BROKEN_CHAIN)


def test_a_trace_without_the_last_step_that_was_seen(liar, client, town):
    client.history(PARCEL)

    def lie(_, answer):
        kept = [entry for entry in answer.entries if entry.index != town.indexes["delivered"]]
        del answer.entries[:]
        answer.entries.extend(kept)

    liar.tell("GetTrace", lie)
    assert refusal(trace_of_sale(client, town), Reason.BROKEN_CHAIN).startswith(
        f"length of {PARCEL} in the log's"
    )


def test_an_empty_trace(liar, client, town):
    liar.tell("GetTrace", lambda _, answer: answer.ClearField("entries"))
    assert refusal(trace_of_sale(client, town)) == (
        f"entry of sale {town.id('sale').hex()} in the trace: given none, expected the entry that recorded it"
    )
    assert refusal(lambda: client.trace(chain=LOT)) == (
        f"entries of {LOT} in its trace: given none, expected at least one"
    )


# Single entries


def test_another_entry_than_was_asked_for(liar, client, town):
    liar.tell("GetEntry", lambda *_: other_answer(town, "GetEntry", pb.GetEntryRequest(index=6)))
    assert (
        refusal(lambda: client.entry(index=5)) == "index of the entry answered: given 6, expected 5, as asked"
    )


def test_another_event_than_was_asked_for(liar, client, town):
    request = pb.GetEntryRequest(event_id=town.id("listing"))
    liar.tell("GetEntry", lambda *_: other_answer(town, "GetEntry", request))
    assert refusal(lambda: client.entry(event_id=town.id("sale"))) == (
        f"id of the event answered: given {town.id('listing').hex()}, expected {town.id('sale').hex()}, as asked"
    )


def test_another_entry_under_the_index_that_was_asked_for(liar, client, town):
    def lie(request, answer):
        answer.CopyFrom(other_answer(town, "GetEntry", pb.GetEntryRequest(index=6)))
        answer.entry.index = request.index

    liar.tell("GetEntry", lie)
    refusal(lambda: client.entry(index=5), Reason.BAD_INCLUSION_PROOF)


def test_an_entry_that_is_in_the_tree_is_said_not_to_exist(liar, client):
    liar.tell("GetEntry", lambda *_: refusing("NOT_FOUND", grpc.StatusCode.NOT_FOUND))
    with pytest.raises(Conflict):  # nothing is known yet that contradicts it
        client.entry(index=5)
    size = client.checkpoint().size
    assert refusal(lambda: client.entry(index=5)) == (
        f"entry 5: given none, expected one of the {size} of a checkpoint seen before"
    )


def test_no_entry(liar, client):
    liar.tell("GetEntry", lambda _, answer: answer.ClearField("entry"))
    refusal(lambda: client.entry(index=0), Reason.BAD_INCLUSION_PROOF)


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


# The registry


def test_another_party_than_was_asked_for(liar, client, town):
    request = registry_pb.GetPartyRequest(party=OTHER_MERCHANT)
    liar.tell("GetParty", lambda *_: other_answer(town, "GetParty", request))
    assert refusal(lambda: client.party(MERCHANT)) == (
        f"registration answered: given entry 3, a party_registration on {OTHER_MERCHANT}, "
        f"expected that of {MERCHANT}, as asked"
    )


@pytest.mark.parametrize(
    ("name", "lie", "told"),
    [
        ("name", "别的名字", "'\\u522b\\u7684\\u540d\\u5b57'"),
        ("role", ev.PARTY_ROLE_REGULATOR, "1"),
        ("status", ev.PARTY_STATUS_SUSPENDED, "2"),
        ("licence_until", "2099-12-31", "'2099-12-31'"),
        ("accreditor", REGULATOR, f"'{REGULATOR}'"),
        ("registered_index", 3, "3"),
        ("party", OTHER_MERCHANT, f"'{OTHER_MERCHANT}'"),
    ],
)
def test_a_party_that_is_described_otherwise(liar, client, name, lie, told):
    liar.tell("GetParty", lambda _, answer: setattr(answer.party, name, lie))
    message = refusal(lambda: client.party(MERCHANT))
    assert message.startswith(f"{name} of party {MERCHANT}: given {told}, expected ")
    assert message.endswith(", by its entries")


def test_a_key_that_a_party_does_not_have(liar, client, town):
    thief = signing_key("thief").public_key

    def lie(_, answer):
        answer.keys.add(key_id=thief.key_id, public_key=thief.spki, party=MERCHANT, added_index=2)

    liar.tell("GetParty", lie)
    message = refusal(lambda: client.party(MERCHANT))
    assert message.startswith(f"keys of {MERCHANT}: given ")
    assert thief.key_id.hex() in message


def test_more_keys_than_can_be_shown(liar, client):
    def lie(_, answer):
        for number in range(1000):
            answer.keys.add(key_id=number.to_bytes(2, "big") * 1000)

    liar.tell("GetParty", lie)
    assert len(refusal(lambda: client.party(MERCHANT))) < 2_000


def test_a_key_that_is_left_out(liar, client):
    def lie(_, answer):
        del answer.keys[1]

    liar.tell("GetParty", lie)
    assert refusal(lambda: client.party(MERCHANT)).startswith(f"keys of {MERCHANT}: given ")


@pytest.mark.parametrize("number", [0, 1])
def test_a_revocation_that_never_was_and_one_that_is_hidden(liar, client, number):
    def lie(_, answer):
        answer.keys[number].revoked_at_us = 0 if answer.keys[number].revoked_at_us else 1_800_000_000_000_000

    liar.tell("GetParty", lie)
    assert refusal(lambda: client.party(MERCHANT)).startswith("revoked_at_us of key ")


def test_a_revocation_that_is_cut_off_the_partys_chain(liar, client):
    """The registry and the chain agree, but this client has seen the chain go further."""
    client.history(MERCHANT)

    def hide(_, answer):
        answer.keys[1].revoked_at_us = 0

    def cut(_, answer):
        del answer.entries[-1]
        answer.chain_length -= 1

    liar.tell("GetParty", hide)
    liar.tell("GetHistory", cut)
    assert refusal(lambda: client.party(MERCHANT), Reason.BROKEN_CHAIN).startswith(f"length of {MERCHANT} in")


def test_a_root_regulator_without_a_chain_of_its_own(liar, client):
    """Until it adds a key, the genesis is all there is of it."""

    def lie(_, answer):
        del answer.keys[1]

    liar.tell("GetParty", lie)
    liar.tell("GetHistory", lambda *_: refusing("NOT_FOUND", grpc.StatusCode.NOT_FOUND))
    regulator = client.party(REGULATOR)
    assert [key.added_index for key in regulator.keys] == [0]
    liar.tell("GetHistory", lambda *_: refusing("RULES_VERSION", grpc.StatusCode.FAILED_PRECONDITION))
    with pytest.raises(Conflict) as caught:
        client.party(REGULATOR)
    assert caught.value.reason is Reason.RULES_VERSION


def test_another_key_than_was_asked_for(liar, client, town):
    request = registry_pb.GetKeyRequest(key_id=town.city.key(PLATFORM).public_key.key_id)
    asked = town.city.key(MERCHANT).public_key.key_id
    client.history(TEA)  # the keys are known, so that only one question is answered by the lie
    liar.tell("GetKey", lambda *_: other_answer(town, "GetKey", request))
    assert refusal(lambda: client.key(asked)) == (
        f"introduction answered: given entry 1, a party_registration on {PLATFORM}, "
        f"expected that of key {asked.hex()}, as asked"
    )


@pytest.mark.parametrize("name", ["party", "added_index", "revoked_at_us", "key_id", "public_key"])
def test_a_key_that_is_described_otherwise(liar, client, town, name):
    lies = {
        "party": OTHER_MERCHANT,
        "added_index": 3,
        "revoked_at_us": 5,
        "key_id": bytes(32),
        "public_key": b"x",
    }
    client.history(TEA)
    liar.tell("GetKey", lambda _, answer: setattr(answer.key, name, lies[name]))
    key_id = town.city.key(MERCHANT).public_key.key_id
    assert refusal(lambda: client.key(key_id)).startswith(f"{name} of key {key_id.hex()}: given ")


def test_a_party_in_the_list_that_is_none(liar, client):
    def lie(_, answer):
        answer.parties[-1].party = "party/91350100MA347Q2M6Q"

    liar.tell("ListParties", lie)
    with pytest.raises(BrokenProof) as caught:
        list(client.parties())
    assert caught.value.reason is Reason.BAD_ENTRY


@pytest.mark.parametrize("name", ["party/1", "", "\x1b[31m", "ledger", TEA])
def test_a_party_in_the_list_that_has_no_name(liar, client, name):
    def lie(_, answer):
        answer.parties[0].party = name

    liar.tell("ListParties", lie)
    refusal(lambda: list(client.parties()))


def test_a_party_in_the_list_that_is_described_otherwise(liar, client):
    def lie(_, answer):
        answer.parties[1].name = "别的名字"

    liar.tell("ListParties", lie)
    assert refusal(lambda: list(client.parties())).startswith("name of party ")


def test_a_list_of_parties_of_another_role(liar, client, town):
    request = registry_pb.ListPartiesRequest(role=ev.PARTY_ROLE_MERCHANT)
    liar.tell("ListParties", lambda *_: other_answer(town, "ListParties", request))
    assert refusal(lambda: list(client.parties(ev.PARTY_ROLE_COURIER))) == (
        f"role of {MERCHANT}: given 3, expected 4, as asked"
    )


def test_a_list_of_parties_that_never_ends(liar, client, town):
    request = registry_pb.ListPartiesRequest()
    liar.tell("ListParties", lambda *_: other_answer(town, "ListParties", request))
    message = refusal(lambda: list(client.parties()))
    assert message.startswith("next party listed: given 'party/")
    assert "expected one after party/" in message


def test_longer_lists_than_were_asked_for(liar, client):
    def more_parties(_, answer):
        answer.parties.extend([answer.parties[0]] * 100)

    def more_listings(_, answer):
        answer.listings.extend([answer.listings[0]] * 100)

    liar.tell("ListParties", more_parties)
    liar.tell("ListListings", more_listings)
    assert "expected at most 100" in refusal(lambda: list(client.parties()))
    assert "expected at most 100" in refusal(lambda: list(client.listings(TEA)))


def test_the_listings_of_another_product(liar, client, town):
    request = registry_pb.ListListingsRequest(chain=CUP)
    liar.tell("ListListings", lambda *_: other_answer(town, "ListListings", request))
    assert refusal(lambda: list(client.listings(TEA))) == (
        f"chain of the listing at entry {town.indexes['cups']}: given {CUP}, expected {TEA}, as asked"
    )


@pytest.mark.parametrize(
    ("name", "lie"),
    [("title", "cheap tea"), ("event_id", bytes(32)), ("chain", CUP), ("merchant", PLATFORM)],
)
def test_a_listing_that_is_described_otherwise(liar, client, name, lie):
    liar.tell("ListListings", lambda _, answer: setattr(answer.listings[0], name, lie))
    assert refusal(lambda: list(client.listings(TEA))).startswith(f"{name} of listing at entry ")


def test_a_listing_that_is_a_sale(liar, client, town):
    def lie(_, answer):
        answer.listings[0].index = town.indexes["sale"]

    liar.tell("ListListings", lie)
    assert refusal(lambda: list(client.listings(TEA))) == (
        f"entry {town.indexes['sale']}: given a sale, expected a listing"
    )


def test_a_listing_that_is_not_there(liar, client, honest):
    def lie(_, answer):
        answer.listings[0].index = 10_000_000

    liar.tell("ListListings", lie)
    assert refusal(lambda: list(client.listings(TEA))).startswith("listing: entry: given 10000000, expected ")


def test_listings_that_never_end(liar, client, town):
    request = registry_pb.ListListingsRequest(chain=TEA)
    liar.tell("ListListings", lambda *_: other_answer(town, "ListListings", request))
    assert refusal(lambda: list(client.listings(TEA))) == (
        f"merchant of the next listing: given '{MERCHANT}', expected one after {OTHER_MERCHANT}"
    )


def test_another_sale_than_was_asked_for(liar, client, town):
    request = registry_pb.GetSaleRequest(event_id=town.id("other_sale"))
    client.history(TEA)
    liar.tell("GetSale", lambda *_: other_answer(town, "GetSale", request))
    assert refusal(lambda: client.sale(event_id=town.id("sale"))) == (
        f"sale answered: given {town.id('other_sale').hex()}, expected {town.id('sale').hex()}, as asked"
    )
    given, asked = (town.city.key(name).public_key.key_id for name in ("somebody", "buyer"))
    assert refusal(lambda: client.sale(buyer_key_id=asked)) == (
        f"purchase key answered: given {given.hex()}, expected {asked.hex()}, as asked"
    )


def test_something_else_than_a_sale(liar, client, town):
    def lie(_, answer):
        answer.entry.CopyFrom(other_answer(town, "GetEntry", pb.GetEntryRequest(index=5)).entry)

    liar.tell("GetSale", lie)
    assert refusal(lambda: client.sale(event_id=town.id("sale"))) == (
        f"entry of a sale: given entry 5, a party_registration on {CARRIER_MEMBER}, expected a sale"
    )


@pytest.mark.parametrize(
    ("name", "lie"),
    [
        ("index", 5),
        ("chain", CUP),
        ("merchant", OTHER_MERCHANT),
        ("quantity", 2),
        ("buyer_key_id", bytes(32)),
        ("event_id", UNKNOWN_SALE),
        ("receipt", b""),
        ("receipt", UNKNOWN_SALE),
        ("buyer_review", b""),
        ("merchant_review", UNKNOWN_SALE),
        ("parcels", []),
        ("parcels", [PARCEL, OTHER_PARCEL]),
        ("complaints", []),
        ("complaints", [UNKNOWN_SALE]),
    ],
)
def test_a_sale_that_is_described_otherwise(liar, client, town, name, lie):
    def alter(_, answer):
        answer.sale.ClearField(name)
        if isinstance(lie, list):
            getattr(answer.sale, name).extend(lie)
        else:
            setattr(answer.sale, name, lie)

    client.history(TEA)
    liar.tell("GetSale", alter)
    message = refusal(lambda: client.sale(event_id=town.id("sale")))
    assert message.startswith(f"{name} of sale {town.id('sale').hex()}: given ")


# Answers that are none


def refusing(reason, code, **metadata):
    """A refusal that the service makes up."""
    status = status_pb2.Status(code=code.value[0], message="thing: given no")
    info = error_details_pb2.ErrorInfo(
        reason=reason, domain="suyuan", metadata={"subject": "thing", "given": "no", **metadata}
    )
    packed = any_pb2.Any()
    packed.Pack(info)
    status.details.append(packed)
    return rpc_status.to_status(status)


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
