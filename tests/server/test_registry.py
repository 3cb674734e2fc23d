"""Lists of records: in chunks, in order, and never longer than asked for."""

import pytest
from filling import record
from world import CUP, MERCHANT, OTHER_MERCHANT, PARCEL, TEA, event_id, p256_key

from ledger.chain_key import ChainKey
from ledger.state import Complained, Dispatched, Recalled
from server.store import registry
from server.store.records import save
from suyuan.v1 import event_pb2 as pb

LOTS = [ChainKey.lot("6901234567892", f"L{number}") for number in range(1_200)]


@pytest.fixture
def founded(writer, city):
    record(writer, *city.founding())
    return writer


def test_parties_in_the_order_of_their_names(store, founded):
    with store.snapshot() as connection:
        everybody = registry.parties_after(connection, "", role=0, limit=100)
        merchants = registry.parties_after(connection, "", role=pb.PARTY_ROLE_MERCHANT, limit=100)
        first = registry.parties_after(connection, "", role=0, limit=1)
        rest = registry.parties_after(connection, first[0].party, role=0, limit=100)
    assert [party.party for party in everybody] == sorted(party.party for party in everybody)
    assert [party.party for party in merchants] == sorted([MERCHANT, OTHER_MERCHANT])
    assert first + rest == everybody
    assert len(everybody) == 6


def test_keys_of_a_party_in_the_order_of_the_log(store, founded, city):
    keys = [p256_key(f"further {number}").public_key for number in range(4)]
    additions = [city.say(MERCHANT, MERCHANT, pb.KeyAddition(public_key=key.spki)) for key in keys]
    record(founded, *additions)
    with store.snapshot() as connection:
        found = registry.keys_of_party(connection, MERCHANT, limit=10)
        assert len(registry.keys_of_party(connection, MERCHANT, limit=3)) == 3
    assert [key.key_id for key in found] == [
        city.key(MERCHANT).public_key.key_id,
        *(key.key_id for key in keys),
    ]


def test_listings_and_sales_of_one_product(store, founded, city):
    sales = [city.sale(f"buyer {number}") for number in range(3)]
    listings = [city.listing(), city.listing(by=OTHER_MERCHANT), city.listing(CUP)]
    record(founded, *listings, *sales, city.sale("of cups", CUP))
    with store.snapshot() as connection:
        listed = registry.listings_after(connection, TEA, "", limit=10)
        behind = registry.listings_after(connection, TEA, listed[0].merchant, limit=10)
        sold = registry.sales_on_chain(connection, TEA, limit=10)
        assert len(registry.sales_on_chain(connection, TEA, limit=2)) == 2
    assert [one.merchant for one in listed] == sorted([MERCHANT, OTHER_MERCHANT])
    assert behind == listed[1:]
    assert {one.event_id for one in sold} == {event_id(sale) for sale in sales}


def test_dispatches_of_many_sales(store, founded):
    sales = [number.to_bytes(32) for number in range(1_200)]
    with store.transaction() as connection:
        save(connection, [Dispatched(PARCEL, sale, 6) for sale in sales])
    with store.snapshot() as connection:
        found = registry.dispatches_of_sales(connection, reversed(sales), limit=2_000)
        assert [dispatched.sale for dispatched in found] == sales
        assert len(registry.dispatches_of_sales(connection, sales, limit=700)) == 700
        assert registry.dispatches_of_sales(connection, [], limit=700) == []
        assert len(registry.dispatches_in_parcel(connection, PARCEL, limit=2_000)) == 1_200
        assert len(registry.dispatches_in_parcel(connection, PARCEL, limit=5)) == 5


def test_recalls_of_many_lots(store, founded):
    with store.transaction() as connection:
        save(connection, [Recalled(lot, bytes(32), 6) for lot in LOTS])
    with store.snapshot() as connection:
        assert len(registry.recalls_on_chains(connection, LOTS, limit=2_000)) == 1_200
        assert len(registry.recalls_on_chains(connection, LOTS + LOTS, limit=600)) == 600
        assert [one.chain for one in registry.recalls_on_chains(connection, [LOTS[7], CUP], limit=5)] == [
            LOTS[7]
        ]


def test_complaints_in_the_order_of_the_log(store, founded):
    sale = bytes(32)
    with store.transaction() as connection:
        save(connection, [Complained((9 - number).to_bytes(32), sale, number) for number in range(5)])
    with store.snapshot() as connection:
        found = registry.complaints_of_sale(connection, sale, limit=10)
        assert [complained.index for complained in found] == list(range(5))
        assert len(registry.complaints_of_sale(connection, sale, limit=2)) == 2
