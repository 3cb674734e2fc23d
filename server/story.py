"""Which entries tell the story of a sale, a parcel or a unit, and which introduced the keys that signed them."""

from __future__ import annotations

from collections.abc import Iterable

from sqlalchemy import Connection

from ledger.chain_key import ChainKey, ChainKind
from ledger.entry import Entry
from ledger.envelope import Envelope
from ledger.errors import BadInput, Conflict, Reason
from ledger.state import Dispatched, Listed, PartyKey, PurchaseKey, Recalled, Sold
from server.store import queries
from server.store.queries import StoredEntry
from server.store.records import load, records_of
from server.store.tables import RECORDS

MAX_STORY = 10_000
"""Entries that one story may have."""


def of_sale(connection: Connection, sale: bytes, *, size: int) -> list[int]:
    """Indexes of the entries that tell of one sale: its listing, itself, its parcels, what followed, recalls.

    Raises:
        Conflict: `SALE_UNKNOWN`.
        BadInput: `INVALID_REQUEST` if there are too many.
    """
    sold = load(connection, Sold, [sale]).get(sale)
    if sold is None or sold.index >= size:
        raise Conflict(Reason.SALE_UNKNOWN, "sale", given=sale.hex(), expected="event id of a recorded sale")
    indexes = set(queries.indexes_of_sales(connection, [sale], size=size, limit=MAX_STORY + 1))
    indexes |= _offers(connection, [sold])
    dispatches = RECORDS[Dispatched].c
    for dispatched in records_of(connection, Dispatched, dispatches.sale == sale):
        indexes |= set(
            queries.indexes_of_chain(connection, dispatched.parcel, size=size, limit=MAX_STORY + 1)
        )
    return _told(indexes, size)


def of_chain(connection: Connection, chain: ChainKey, *, size: int) -> list[int]:
    """Indexes of the entries that tell of a parcel with the sales in it, or of a lot, serial or drug unit.

    Raises:
        BadInput: `INVALID_REQUEST` for another kind of chain, or if there are too many entries.
        Conflict: `NOT_FOUND` if the chain has no entries.
    """
    indexes = set(queries.indexes_of_chain(connection, str(chain), size=size, limit=MAX_STORY + 1))
    if not indexes:
        raise Conflict(Reason.NOT_FOUND, "chain", given=str(chain), expected="a chain with entries")
    if chain.is_parcel:
        in_parcel = RECORDS[Dispatched].c.parcel == str(chain)
        sales = [one.sale for one in records_of(connection, Dispatched, in_parcel) if one.index < size]
        indexes |= set(queries.indexes_of_sales(connection, sales, size=size, limit=MAX_STORY + 1))
        indexes |= _offers(connection, load(connection, Sold, sales).values())
    elif chain.kind in (ChainKind.LOT, ChainKind.SERIAL, ChainKind.DRUG):
        sold = records_of(connection, Sold, RECORDS[Sold].c.chain == str(chain), limit=MAX_STORY + 1)
        indexes |= _offers(connection, sold) | _recalls(connection, chain)
        sales = [one.event_id for one in sold]
        for parcel in _parcels(connection, sales):
            indexes |= set(queries.indexes_of_chain(connection, parcel, size=size, limit=MAX_STORY + 1))
    else:
        raise BadInput(
            Reason.INVALID_REQUEST,
            "chain of a trace",
            given=str(chain),
            expected="a parcel, lot, serial or drug unit; or name a sale",
        )
    return _told(indexes, size)


def introductions(connection: Connection, told: Iterable[StoredEntry], *, size: int) -> list[StoredEntry]:
    """The entries that introduced the keys which signed these, and those of their accreditors up to the genesis."""
    found: dict[int, StoredEntry] = {}
    asking = list(told)
    while asking:
        key_ids = {Envelope.parse(Entry.parse(entry.data).envelope).key_id for entry in asking}
        keys = load(connection, PartyKey, key_ids)
        purchases = load(connection, PurchaseKey, key_ids - keys.keys())
        indexes = {key.added_index for key in keys.values()} | {key.added_index for key in purchases.values()}
        asking = queries.entries_at(connection, {i for i in indexes if i < size} - found.keys())
        found |= {entry.index: entry for entry in asking}
    return [found[index] for index in sorted(found)]


def _offers(connection: Connection, sales: Iterable[Sold]) -> set[int]:
    """The listings that sales rest on, and the recalls of what was sold."""
    indexes: set[int] = set()
    for sold in sales:
        chain = ChainKey.parse(sold.chain)
        keys = [(sold.merchant, str(one)) for one in (chain, chain.product_chain)]
        indexes |= {listed.index for listed in load(connection, Listed, keys).values()}
        indexes |= _recalls(connection, chain)
    return indexes


def _recalls(connection: Connection, chain: ChainKey) -> set[int]:
    recalls = RECORDS[Recalled].c.chain
    return {
        r.index for r in records_of(connection, Recalled, recalls.in_([str(chain), str(chain.product_chain)]))
    }


def _parcels(connection: Connection, sales: Iterable[bytes]) -> set[str]:
    dispatches = RECORDS[Dispatched].c
    return {
        dispatched.parcel
        for sale in sales
        for dispatched in records_of(connection, Dispatched, dispatches.sale == sale)
    }


def _told(indexes: set[int], size: int) -> list[int]:
    told = sorted(index for index in indexes if index < size)
    if len(told) > MAX_STORY:
        raise BadInput(
            Reason.INVALID_REQUEST,
            "story",
            given=f"more than {MAX_STORY} entries",
            expected=f"at most {MAX_STORY}; read the chains one by one",
        )
    return told
