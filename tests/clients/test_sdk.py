from __future__ import annotations

import threading
from dataclasses import replace

import pytest
from town import LOT, OTHER_PARCEL
from world import (
    CARRIER_MEMBER,
    COURIER,
    CUP,
    MERCHANT,
    MERCHANT_MEMBER,
    ORIGIN,
    OTHER_MERCHANT,
    PARCEL,
    PLATFORM,
    REGULATOR,
    TEA,
    event_id,
)

from clients.sdk import Appended, FileTrust, LedgerClient, MemoryTrust, Refused
from ledger.chain_key import ChainKey
from ledger.checkpoint import open_checkpoint
from ledger.errors import BadInput, Conflict, NotAuthorized, Reason, ServiceFault
from ledger.event import Kind
from ledger.frontier import Frontier
from ledger.keys import key_id_of
from ledger.merkle import EMPTY_ROOT, leaf_hash, verify_consistency, verify_inclusion
from ledger.note import VerifierKey
from suyuan.v1 import event_pb2 as pb
from suyuan.v1.flags_pb2 import EVENT_FLAG_LATE


@pytest.fixture
def client(town):
    with LedgerClient(town.service.target, town.service.vkey) as client:
        yield client


def told(town, *names):
    return [town.indexes[name] for name in names]


# Checkpoints


def test_the_newest_checkpoint(town, client):
    checkpoint = client.checkpoint()
    assert client.origin == checkpoint.origin == ORIGIN
    assert checkpoint.size >= town.indexes["lost"] + 1
    vkey = VerifierKey.parse(town.service.vkey)
    assert open_checkpoint(client.checkpoint_note, ORIGIN, [vkey]) == checkpoint


def test_the_note_is_asked_for_if_none_was_seen(town, client):
    assert client.checkpoint_note.startswith(f"{ORIGIN}\n".encode())


def test_the_key_may_come_parsed(town):
    with LedgerClient(town.service.target, VerifierKey.parse(town.service.vkey)) as client:
        assert client.checkpoint().size


def test_what_was_seen_is_remembered_in_files(town, tmp_path):
    trust = FileTrust(tmp_path)
    with LedgerClient(town.service.target, town.service.vkey, trust=trust) as client:
        checkpoint = client.checkpoint()
    note = trust.newest(ORIGIN)
    assert open_checkpoint(note, ORIGIN, [VerifierKey.parse(town.service.vkey)]) == checkpoint
    with LedgerClient(town.service.target, town.service.vkey, trust=FileTrust(tmp_path)) as client:
        client.append_one(town.city.listing())
        assert client.checkpoint().size > checkpoint.size
        assert client.checkpoint_note == FileTrust(tmp_path).newest(ORIGIN) != note


# Appending


def test_an_event_is_appended_with_proof(town, client):
    envelope = town.city.listing()
    appended = client.append_one(envelope)
    assert appended.event_id == event_id(envelope)
    assert appended.checkpoint.size == appended.index + 1
    assert (appended.flags, appended.already_recorded) == ((EVENT_FLAG_LATE,), False)
    entry = client.entry(index=appended.index)
    assert (entry.hash, entry.entry.chain_seq, entry.entry.recorded_at_us, entry.envelope) == (
        appended.entry_hash,
        appended.chain_seq,
        appended.recorded_at_us,
        envelope,
    )
    again = client.append_one(envelope)
    assert again == replace(appended, already_recorded=True, checkpoint=again.checkpoint)


def test_each_event_gets_its_own_verdict(town, client):
    good, bad, last = town.city.listing(), town.city.sale("nobody", CUP), town.city.listing()
    first, refused, third = client.append([good, bad, last])
    assert isinstance(first, Appended)
    assert isinstance(third, Appended)
    assert third.index == first.index + 1
    assert refused == Refused(
        reason=Reason.LISTING_MISSING,
        message=f"listing: given no listing of {CUP} by {MERCHANT}, expected its own listing of {CUP}",
        given=f"no listing of {CUP} by {MERCHANT}",
        expected=f"its own listing of {CUP}",
        code="FAILED_PRECONDITION",
        subject="listing",
    )


def test_a_refusal_of_one_event_is_raised(town, client):
    with pytest.raises(Conflict) as caught:
        client.append_one(town.city.sale("nobody", CUP))
    assert caught.value.reason is Reason.LISTING_MISSING
    assert str(caught.value) == (
        f"listing: given no listing of {CUP} by {MERCHANT}, expected its own listing of {CUP}"
    )
    with pytest.raises(NotAuthorized) as caught:
        client.append_one(town.city.listing(by="a stranger"))
    assert caught.value.reason is Reason.UNKNOWN_KEY
    with pytest.raises(BadInput) as caught:
        client.append_one(town.city.listing(TEA, title=" "))
    assert caught.value.reason is Reason.MALFORMED_EVENT


def test_nothing_to_append(client):
    assert client.append([]) == []


def test_many_events_go_out_in_several_requests(town, client):
    envelopes = [town.city.listing(title=f"茶 {number}") for number in range(1_203)]
    outcomes = client.append(envelopes)
    assert [outcome.event_id for outcome in outcomes] == [event_id(envelope) for envelope in envelopes]
    assert [outcome.index for outcome in outcomes] == list(
        range(outcomes[0].index, outcomes[0].index + 1_203)
    )


# Reading


def test_a_history(town, client):
    seen = []
    history = client.history(PARCEL, lambda done, total: seen.append((done, total)))
    assert seen == [(len(history.entries), len(history.entries))]
    assert history.chain == PARCEL
    assert [entry.index for entry in history.entries] == told(town, "picked_up", "arrived", "delivered")
    assert all(entry.signer == CARRIER_MEMBER and entry.signature_verified for entry in history.entries)
    assert history.checkpoint == client.checkpoint()


def test_a_history_of_many_pages(town, client):
    chain = "waybill/sf/SF7777777777777"
    scans = [town.city.scan(pb.SHIPMENT_STAGE_IN_TRANSIT, chain) for _ in range(250)]
    client.append(scans)
    history = client.history(chain)
    assert [entry.envelope for entry in history.entries] == scans
    assert [entry.entry.chain_seq for entry in history.entries] == list(range(250))


def test_a_chain_that_is_not_there(client):
    with pytest.raises(Conflict) as caught:
        client.history("waybill/sf/SF0000000000000")
    assert (caught.value.reason, str(caught.value)) == (
        Reason.NOT_FOUND,
        "chain: given waybill/sf/SF0000000000000, expected a chain with entries",
    )


def test_a_chain_key_that_is_none(client):
    with pytest.raises(BadInput) as caught:
        client.history("waybill/SF/1")
    assert caught.value.reason is Reason.BAD_CHAIN_KEY


def test_the_trace_of_a_sale(town, client):
    names = ["sale", "dispatch", "picked_up", "arrived", "delivered", "receipt", "review", "merchant_review",
             "follow_up", "complaint", "reply", "resolution"]  # fmt: skip
    trace = client.trace(sale=town.id("sale"))
    indexes = [entry.index for entry in trace.entries]
    assert set(told(town, *names)) <= set(indexes)
    assert indexes == sorted(indexes)
    assert all(entry.signature_verified for entry in trace.entries)


@pytest.mark.parametrize("chain", [PARCEL, OTHER_PARCEL, LOT])
def test_the_trace_of_a_chain(town, client, chain):
    trace = client.trace(chain=chain)
    assert [entry for entry in trace.entries if entry.event.chain == chain] == list(
        client.history(chain).entries
    )


def test_the_trace_of_nothing(client):
    with pytest.raises(Conflict) as caught:
        client.trace(sale=bytes(32))
    assert caught.value.reason is Reason.SALE_UNKNOWN
    with pytest.raises(Conflict) as caught:
        client.trace(chain="waybill/sf/SF0000000000000")
    assert caught.value.reason is Reason.NOT_FOUND


def test_an_entry_by_place_and_by_event(town, client):
    for name, envelope in town.said.items():
        entry = client.entry(index=town.indexes[name])
        assert entry == client.entry(event_id=event_id(envelope))
        assert entry.envelope == envelope
        assert entry.signature_verified


def test_signers_are_found_one_by_one(town, client):
    signers = {name: client.entry(index=index).signer for name, index in town.indexes.items()}
    assert signers["lot"] == MERCHANT_MEMBER
    assert signers["lot_sale"] == MERCHANT
    assert signers["receipt"] == ""
    assert signers["picked_up"] == CARRIER_MEMBER
    assert signers["reinstatement"] == REGULATOR


def test_an_entry_that_is_not_there(client):
    size = client.checkpoint().size
    for attempt in (lambda: client.entry(index=size), lambda: client.entry(event_id=bytes(32))):
        with pytest.raises(Conflict) as caught:
            attempt()
        assert caught.value.reason is Reason.NOT_FOUND


def test_raw_entries(town, client):
    checkpoint = client.checkpoint()
    everything = list(client.entries())
    assert len(everything) == checkpoint.size
    assert all(leaf_hash(data) == hash_ for data, hash_ in everything)
    assert Frontier().extend([hash_ for _, hash_ in everything]).root() == checkpoint.root
    assert list(client.entries(3, 9)) == everything[3:9]
    assert list(client.entries(checkpoint.size)) == []
    assert list(client.entries(9, 9)) == []


def test_raw_entries_of_a_tree_that_is_not_there(client):
    size = client.checkpoint().size
    with pytest.raises(BadInput) as caught:
        list(client.entries(0, size + 1))
    assert str(caught.value) == f"tree size: given {size + 1}, expected at most {size}"


# Proofs


def test_inclusion_proofs_in_every_tree(town, client):
    checkpoint = client.checkpoint()
    for size in (1, 2, 7, 8, 9, checkpoint.size - 1, checkpoint.size):
        proof = client.inclusion_proof(size // 2, size)
        verify_inclusion(proof.leaf_hash, size // 2, size, proof.hashes, proof.root)
        assert (proof.index, proof.size, proof.checkpoint) == (size // 2, size, checkpoint)
    newest = client.inclusion_proof(5)
    assert (newest.size, newest.root) == (checkpoint.size, checkpoint.root)


def test_consistency_proofs_between_every_two_trees(town, client):
    checkpoint = client.checkpoint()
    for old, new in ((0, 5), (1, 2), (4, 8), (5, 9), (7, 7), (0, 0), (6, checkpoint.size), (6, 0)):
        proof = client.consistency_proof(old, new)
        assert (proof.old_size, proof.new_size) == (old, new or checkpoint.size)
        assert (proof.old_root == EMPTY_ROOT) == (old == 0)
        verify_consistency(old, proof.old_root, proof.new_size, proof.new_root, proof.hashes)
    assert proof.new_root == checkpoint.root


# Parties, keys, listings, sales


def test_a_party_with_its_keys(town, client):
    merchant = client.party(MERCHANT)
    assert merchant.party.name == "闽茶坊"
    assert (merchant.party.role, merchant.party.status) == (pb.PARTY_ROLE_MERCHANT, pb.PARTY_STATUS_ACTIVE)
    assert (merchant.party.accreditor, merchant.party.licence_until) == (PLATFORM, "2027-03-31")
    assert merchant.party.registered_index == merchant.registration.index == 2
    first, second, third = merchant.keys
    assert [key.added_index for key in merchant.keys] == [2, *told(town, "second_key", "third_key")]
    assert first.key_id == town.city.key(MERCHANT).public_key.key_id
    revoked = client.entry(index=town.indexes["revocation"]).entry.recorded_at_us
    assert (first.revoked_at_us, second.revoked_at_us, third.revoked_at_us) == (0, revoked, 0)


def test_a_party_whose_status_changed(client):
    party = client.party(OTHER_MERCHANT).party
    assert (party.status, party.licence_until) == (pb.PARTY_STATUS_ACTIVE, "2029-01-31")


def test_the_root_regulator(town, client):
    regulator = client.party(REGULATOR)
    assert regulator.party.name == "福州市市场监督管理局"
    assert regulator.party.accreditor == REGULATOR
    assert regulator.registration.event.kind is Kind.GENESIS
    assert [key.added_index for key in regulator.keys] == [0, town.indexes["regulators_key"]]


def test_all_parties(client):
    everybody = [party.party for party in client.parties()]
    assert everybody == sorted(
        map(str, [REGULATOR, PLATFORM, MERCHANT, MERCHANT_MEMBER, OTHER_MERCHANT, COURIER, CARRIER_MEMBER])
    )
    merchants = list(client.parties(pb.PARTY_ROLE_MERCHANT))
    assert [party.party for party in merchants] == sorted(
        map(str, [MERCHANT, MERCHANT_MEMBER, OTHER_MERCHANT])
    )
    assert merchants[0] == client.party(MERCHANT).party


def test_a_party_that_is_not_there(client):
    with pytest.raises(Conflict) as caught:
        client.party("party/91350100MA347Q2M6Q")
    assert caught.value.reason is Reason.NOT_FOUND


@pytest.mark.parametrize(
    "name", [MERCHANT, "second", "third", "second of the regulator", REGULATOR, CARRIER_MEMBER]
)
def test_a_key(town, client, name):
    key_id = town.city.key(name).public_key.key_id
    found = client.key(key_id)
    assert found.key in client.party(found.key.party).keys
    assert found.key.key_id == key_id
    assert found.registration.index == found.key.added_index
    assert bool(found.key.revoked_at_us) == (name == "second")


def test_a_key_that_is_not_there(town, client):
    for key_id in (bytes(32), town.city.key("buyer").public_key.key_id):
        with pytest.raises(Conflict) as caught:
            client.key(key_id)
        assert caught.value.reason is Reason.NOT_FOUND


def test_who_offers_a_product(town, client):
    ours, theirs = client.listings(TEA)
    assert (ours.merchant, theirs.merchant) == (MERCHANT, OTHER_MERCHANT)
    assert (theirs.title, theirs.index) == ("another tea", town.indexes["other_tea"])
    assert (theirs.event_id, theirs.chain) == (town.id("other_tea"), TEA)
    assert [listed.title for listed in client.listings(LOT)] == ["lot"]
    assert list(client.listings("01/06901234567885")) == []


def test_which_chains_there_are_and_who_lists_them(town, client):
    nothing = ChainKey.product("96385074")
    found = client.look_up([nothing, PARCEL, TEA, LOT, TEA])
    assert list(found) == [PARCEL, TEA, LOT]
    # The merchant's own listing may be a later one, of another test.
    titles = {entry.signer: entry.event.message.listing.title for entry in found[TEA]}
    assert set(titles) == {MERCHANT, OTHER_MERCHANT}
    assert titles[OTHER_MERCHANT] == "another tea"
    [scan] = found[PARCEL]
    assert (scan.entry.chain_seq, scan.event.kind, scan.signer) == (0, Kind.SHIPMENT, CARRIER_MEMBER)
    assert all(entry.signature_verified for entries in found.values() for entry in entries)


def test_many_chains_are_looked_up_in_several_calls(town, liar):
    with LedgerClient(liar.target, town.service.vkey) as client:
        serials = [ChainKey.serial("6901234567892", str(number)) for number in range(300)]
        assert list(client.look_up([*serials, TEA])) == [TEA]
        assert [len(request.chains) for request in liar.calls("LookUpChains")] == [200, 101]
        assert client.look_up([]) == {}
        assert len(liar.calls("LookUpChains")) == 2
        # What signed them came along with the first answer.
        assert not liar.calls("GetKey")


def test_a_sale(town, client):
    sale = client.sale(event_id=town.id("sale"))
    assert sale == client.sale(buyer_key_id=town.city.key("buyer").public_key.key_id)
    assert (sale.index, sale.chain, sale.merchant) == (town.indexes["sale"], TEA, MERCHANT)
    assert (sale.event_id, sale.quantity, sale.parcels) == (town.id("sale"), 1, (PARCEL,))
    assert sale.buyer_key_id == key_id_of(town.city.key("buyer").public_key.spki)
    assert (sale.receipt, sale.buyer_review, sale.merchant_review) == (
        town.id("receipt"),
        town.id("review"),
        town.id("merchant_review"),
    )
    assert sale.complaints == (town.id("complaint"),)
    assert sale.entry == client.entry(index=sale.index)


def test_a_sale_of_which_nothing_came_yet(town, client):
    sale = client.sale(event_id=town.id("lot_sale"))
    assert (sale.merchant, sale.chain, sale.parcels, sale.complaints) == (MERCHANT, LOT, (), ())
    assert (sale.receipt, sale.buyer_review, sale.merchant_review) == (b"", b"", b"")


def test_a_sale_that_is_not_there(client):
    for sale in ({"event_id": bytes(32)}, {"buyer_key_id": bytes(32)}):
        with pytest.raises(Conflict) as caught:
            client.sale(**sale)
        assert caught.value.reason is Reason.NOT_FOUND


# Questions that are none


@pytest.mark.parametrize(
    ("ask", "message"),
    [
        (lambda it: it.entry(), "entry: given none, expected an index or an event id"),
        (lambda it: it.entry(index=0, event_id=b""), "entry: given both, expected an index or an event id"),
        (lambda it: it.entry(index=-1), "index: given -1, expected 0 to 2**63 - 1"),
        (lambda it: it.entry(index=2**64), f"index: given {2**64}, expected 0 to 2**63 - 1"),
        (lambda it: it.entry(event_id=b"x"), "event id: given 1 bytes, expected 32 bytes"),
        (lambda it: it.trace(), "subject of a trace: given none, expected a sale or a chain"),
        (
            lambda it: it.trace(sale=b"", chain=TEA),
            "subject of a trace: given both, expected a sale or a chain",
        ),
        (lambda it: it.trace(sale=b""), "event id of a sale: given 0 bytes, expected 32 bytes"),
        (
            lambda it: it.trace(chain=MERCHANT),
            f"chain of a trace: given {MERCHANT}, expected a parcel, lot, serial or drug unit",
        ),
        (
            lambda it: it.trace(chain=TEA),
            f"chain of a trace: given {TEA}, expected a parcel, lot, serial or drug unit; or name a sale",
        ),
        (lambda it: it.sale(), "sale: given none, expected an event id or a purchase key's id"),
        (
            lambda it: it.sale(event_id=b"", buyer_key_id=b""),
            "sale: given both, expected an event id or a purchase key's id",
        ),
        (lambda it: it.sale(event_id=b""), "event id of a sale: given 0 bytes, expected 32 bytes"),
        (lambda it: it.sale(buyer_key_id=b""), "id of a purchase key: given 0 bytes, expected 32 bytes"),
        (lambda it: it.key(b""), "key id: given 0 bytes, expected 32 bytes"),
        (lambda it: it.entries(-1), "start: given -1, expected 0 to 2**63 - 1"),
        (lambda it: it.entries(0, -1), "tree size: given -1, expected 0 to 2**63 - 1"),
        (lambda it: it.inclusion_proof(-1), "index: given -1, expected 0 to 2**63 - 1"),
        (lambda it: it.inclusion_proof(5, 5), "tree size: given 5, expected 6 to 2**63 - 1"),
        (lambda it: it.consistency_proof(-1), "old tree size: given -1, expected 0 to 2**63 - 1"),
        (lambda it: it.consistency_proof(5, 4), "new tree size: given 4, expected 5 to 2**63 - 1"),
    ],
)
def test_a_question_that_is_none(client, ask, message):
    with pytest.raises(BadInput) as caught:
        ask(client)
    assert (caught.value.reason, str(caught.value)) == (Reason.INVALID_REQUEST, message)


def test_a_proof_in_a_tree_that_is_not_there(client):
    size = client.checkpoint().size
    for attempt in (
        lambda: client.inclusion_proof(0, size + 1),
        lambda: client.consistency_proof(0, size + 1),
    ):
        with pytest.raises(BadInput) as caught:
            attempt()
        assert str(caught.value) == f"tree size: given {size + 1}, expected at most {size}"


def test_a_key_that_no_log_signs_with():
    with pytest.raises(BadInput) as caught:
        LedgerClient("127.0.0.1:1", "not a key")
    assert caught.value.reason is Reason.BAD_KEY
    cosigner = VerifierKey.of("witness.test", bytes(range(32)), 4)
    with pytest.raises(BadInput) as caught:
        LedgerClient("127.0.0.1:1", cosigner)
    assert str(caught.value) == "log's key: given type 0x04, expected 0x01 (Ed25519)"


# Threads and ends


def test_threads_share_a_client(town):
    """Writers and readers at once: every answer verifies, and none is taken for a lie because others overtook it."""
    failures = []
    trust = MemoryTrust()
    chains = [f"waybill/sf/SF55555555555{number:02}" for number in range(4)]

    def append(client, chain):
        try:
            for _ in range(12):
                client.append_one(town_scan(town, chain))
                client.history(chain)
                client.party(MERCHANT)
                client.trace(chain=PARCEL)
        except BaseException as error:
            failures.append(error)
            raise

    lock = threading.Lock()

    def town_scan(town, chain):
        with lock:
            return town.city.scan(pb.SHIPMENT_STAGE_IN_TRANSIT, chain)

    with (
        LedgerClient(town.service.target, town.service.vkey, trust=trust) as one,
        LedgerClient(town.service.target, town.service.vkey, trust=trust) as other,
    ):
        threads = [
            threading.Thread(target=append, args=(client, chain))
            for client in (one, other)
            for chain in chains
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert not failures
        assert [len(one.history(chain).entries) for chain in chains] == [24] * 4


def test_a_closed_client(town):
    client = LedgerClient(town.service.target, town.service.vkey)
    client.checkpoint()
    client.close()
    client.close()
    with pytest.raises(ServiceFault) as caught:
        client.checkpoint()
    assert (caught.value.reason, str(caught.value)) == (
        Reason.UNREACHABLE,
        f"service at {town.service.target}: given a closed client, expected an open one",
    )
