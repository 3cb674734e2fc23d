"""What a writer remembers of the state, and how it looks up many keys at once."""

import pytest
from filling import record
from world import CARRIER_MEMBER

from ledger.chain_key import ChainKey
from ledger.state import ChainHead, Party, Reviewed
from server.store.lookup import rows_at
from server.store.reader import RecordCache
from server.store.tables import entries
from suyuan.v1 import event_pb2 as pb


def head(number, length=1):
    return ChainHead(f"waybill/sf/{number}", length, bytes(32), 0)


def kept(cache, numbers):
    found = {}
    missing = cache.take(ChainHead, {head(number).chain for number in numbers}, found)
    return found, missing


def test_a_cache_keeps_what_was_used_last_and_is_bounded():
    cache = RecordCache(limit=10)
    for number in range(1_000):
        cache.put(head(number))
        assert kept(cache, [0])[0]  # which is used all the time
    found, missing = kept(cache, range(1_000))
    assert head(999).chain in found
    assert head(0).chain in found
    assert len(found) <= 2 * (10 + 1)
    assert len(found) + len(missing) == 1_000


def test_a_newer_record_is_in_place_of_an_older_one_in_whichever_generation():
    cache = RecordCache(limit=2)
    for number in (0, 1, 2):  # 0 is of the old generation then
        cache.put(head(number))
    cache.put(head(0, length=2))
    assert kept(cache, [0])[0] == {head(0).chain: head(0, length=2)}
    cache.clear()
    assert kept(cache, [0]) == ({}, {head(0).chain})


def test_what_is_asked_for_once_is_not_kept():
    cache = RecordCache()
    cache.put(Reviewed(bytes(32), bytes(32), by_buyer=True))
    cache.put(Party("party/x", 1, "", 1, "", "", 0))
    found = {}
    assert cache.take(Party, {"party/x"}, found) == set()
    assert list(found) == ["party/x"]


@pytest.mark.parametrize("asked", [1, 2, 63, 64, 65, 200])
def test_tuples_of_keys_are_looked_up_however_many(store, writer, city, asked):
    parcels = [ChainKey(f"waybill/sf/SF{number:013}") for number in range(asked)]
    scans = [city.scan(pb.SHIPMENT_STAGE_IN_TRANSIT, parcel, by=CARRIER_MEMBER) for parcel in parcels]
    record(writer, *city.founding(), *scans)
    there = [(str(parcel), 0) for parcel in parcels]
    not_there = [(str(parcel), 1) for parcel in parcels] + [("waybill/sf/none", 0)]
    by = (entries.c.chain, entries.c.chain_seq)
    with store.snapshot() as connection:
        rows = rows_at(connection, (entries.c.chain_seq, entries.c.chain), by, [*not_there, *there])
    assert sorted(rows) == sorted((place, chain) for chain, place in there)
