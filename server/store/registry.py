"""What the service reads from the records, each as one function of a connection; all are lists of bounded length."""

from __future__ import annotations

from collections.abc import Iterable

from sqlalchemy import Connection

from ledger.state import Complained, Dispatched, Listed, Party, PartyKey, R, Recalled, Sold
from server.store.records import chunks, records_of
from server.store.tables import RECORDS

_CHUNK = 500
"""Values that are looked up in one statement."""


def parties_after(connection: Connection, after: str, *, role: int, limit: int) -> list[Party]:
    """Parties in the order of their chain keys, from behind one; of any role if that is 0."""
    columns = RECORDS[Party].c
    where = [columns.party > after]
    if role:
        where.append(columns.role == role)
    return records_of(connection, Party, *where, limit=limit)


def keys_of_party(connection: Connection, party: str, *, limit: int) -> list[PartyKey]:
    """A party's keys, in the order of the log."""
    keys = records_of(connection, PartyKey, RECORDS[PartyKey].c.party == party, limit=limit)
    return sorted(keys, key=lambda key: key.added_index)


def listings_after(connection: Connection, chain: str, after: str, *, limit: int) -> list[Listed]:
    """Listings of a product in the order of their merchants' chain keys, from behind one."""
    columns = RECORDS[Listed].c
    return records_of(connection, Listed, columns.chain == chain, columns.merchant > after, limit=limit)


def sales_on_chain(connection: Connection, chain: str, *, limit: int) -> list[Sold]:
    """Sales of a product, lot or unit."""
    return records_of(connection, Sold, RECORDS[Sold].c.chain == chain, limit=limit)


def dispatches_in_parcel(connection: Connection, parcel: str, *, limit: int) -> list[Dispatched]:
    """What went off in a parcel."""
    return records_of(connection, Dispatched, RECORDS[Dispatched].c.parcel == parcel, limit=limit)


def dispatches_of_sales(connection: Connection, sales: Iterable[bytes], *, limit: int) -> list[Dispatched]:
    """In which parcels the goods of these sales went off."""
    return _among(connection, Dispatched, "sale", sales, limit)


def complaints_of_sale(connection: Connection, sale: bytes, *, limit: int) -> list[Complained]:
    """Complaints about a sale, in the order of the log."""
    found = records_of(connection, Complained, RECORDS[Complained].c.sale == sale, limit=limit)
    return sorted(found, key=lambda complained: complained.index)


def recalls_on_chains(connection: Connection, chains: Iterable[str], *, limit: int) -> list[Recalled]:
    """Recalls of these products, lots and units."""
    return _among(connection, Recalled, "chain", chains, limit)


def _among(
    connection: Connection, record_type: type[R], column: str, values: Iterable[str | bytes], limit: int
) -> list[R]:
    """The records with one of these values in a column, many values in one statement."""
    found: list[R] = []
    for chunk in chunks(sorted(set(values)), _CHUNK):
        if len(found) >= limit:
            break
        matches = RECORDS[record_type].c[column].in_(chunk)
        found += records_of(connection, record_type, matches, limit=limit - len(found))
    return found
