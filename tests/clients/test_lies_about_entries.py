"""What a service may try that wants to deceive about entries: chains, signers, stories."""

from __future__ import annotations

from dataclasses import replace

import grpc
import pytest
from lying import (
    copy_of,
    head_of,
    other_answer,
    prove,
    prove_growth,
    refusal,
    refusing,
    signed,
)
from town import LOT, OTHER_PARCEL
from world import (
    CARRIER_MEMBER,
    MERCHANT,
    PARCEL,
    PLATFORM,
    TEA,
)

from ledger.entry import Entry
from ledger.errors import Conflict, Reason
from ledger.merkle import leaf_hash
from ledger.sequence import Sequenced
from suyuan.v1 import event_pb2 as ev
from suyuan.v1 import ledger_service_pb2 as pb
from suyuan.v1 import registry_service_pb2 as registry_pb

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
