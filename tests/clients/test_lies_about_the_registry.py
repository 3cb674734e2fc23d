"""What a service may try that wants to deceive about parties, keys, listings and sales."""

from __future__ import annotations

import grpc
import pytest
from lying import (
    other_answer,
    refusal,
    refusing,
)
from town import OTHER_PARCEL
from world import (
    CARRIER_MEMBER,
    CUP,
    MERCHANT,
    OTHER_MERCHANT,
    PARCEL,
    PLATFORM,
    REGULATOR,
    TEA,
    signing_key,
)

from ledger.errors import BrokenProof, Conflict, Reason
from suyuan.v1 import event_pb2 as ev
from suyuan.v1 import ledger_service_pb2 as pb
from suyuan.v1 import registry_service_pb2 as registry_pb

UNKNOWN_SALE = b"\x07" * 32


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


def test_a_listing_that_is_not_there(liar, client):
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


# Looking chains up


def test_chains_that_nobody_asked_about(liar, client, town):
    request = registry_pb.LookUpChainsRequest(chains=[CUP], with_registrations=True)
    liar.tell("LookUpChains", lambda *_: other_answer(town, "LookUpChains", request))
    assert refusal(lambda: client.look_up([TEA])) == (
        f"chain of entry {town.indexes['cups']}: given {CUP}, expected one of those asked about"
    )


def test_a_sale_in_place_of_a_listing(liar, client, town):
    request = pb.GetEntryRequest(index=town.indexes["sale"])

    def lie(_, answer):
        sale = other_answer(town, "GetEntry", request)
        del answer.entries[:]
        answer.entries.append(sale.entry)
        answer.checkpoint.CopyFrom(sale.checkpoint)

    liar.tell("LookUpChains", lie)
    assert refusal(lambda: client.look_up([TEA])) == (
        f"entries that show {TEA}: given entry {town.indexes['sale']}, a sale on {TEA}, "
        "expected its listings, or its first entry"
    )


def test_a_chain_that_was_seen_and_is_gone(liar, client):
    client.history(TEA)
    liar.tell("LookUpChains", lambda _, answer: answer.ClearField("entries"))
    with pytest.raises(BrokenProof) as caught:
        client.look_up([TEA])
    assert caught.value.reason is Reason.BROKEN_CHAIN
    assert str(caught.value) == f"entries of {TEA}: given none, expected one: some were seen before"


def test_more_entries_than_one_answer_may_have(liar, client):
    liar.tell("LookUpChains", lambda _, answer: answer.entries.extend([answer.entries[0]] * 60))
    assert "expected at most 60" in refusal(lambda: client.look_up([TEA]))


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
