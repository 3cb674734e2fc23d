"""Which entries tell the story of a sale, a parcel or a unit, and which introduced the keys that signed them.

A story may be as long as its parties like, so that each step of putting one together is bounded: it is refused as
soon as it is too long, and its entries are measured before they are loaded.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from typing import TypeVar

from sqlalchemy import Connection

from ledger.chain_key import ChainKey, ChainKind
from ledger.entry import MAX_ENTRY_BYTES
from ledger.errors import BadInput, Conflict, Reason
from ledger.state import PartyKey, PurchaseKey, Sold
from server.store import queries, registry
from server.store.queries import StoredEntry
from server.store.records import load

MAX_STORY = 10_000
"""Entries that one story may have."""

MAX_STORY_BYTES = 16 * 1024 * 1024
"""Bytes of entries in one answer: those that were asked for, and those that introduced their signers' keys."""

_MOST = MAX_STORY + 1
"""What a query need not find more of: it is too many already."""

C = TypeVar("C", bound=Collection[object])

GoOn = Callable[[], None]
"""Asked before each step: raises if nobody waits for the answer any more."""


def of_sale(connection: Connection, sale: bytes, *, size: int, go_on: GoOn) -> list[int]:
    """Indexes of the entries that tell of one sale: its listing, itself, its parcels, what followed, recalls.

    Raises:
        Conflict: `SALE_UNKNOWN`.
        BadInput: `INVALID_REQUEST` if there are too many, or they are too long.
    """
    sold = load(connection, Sold, [sale]).get(sale)
    if sold is None or sold.index >= size:
        raise Conflict(Reason.SALE_UNKNOWN, "sale", given=sale.hex(), expected="event id of a recorded sale")
    story = _Story(connection, size, go_on)
    story.add_sales([sale])
    story.add_parcels([sale])
    story.add_offers([sold])
    return story.indexes()


def of_chain(connection: Connection, chain: ChainKey, *, size: int, go_on: GoOn) -> list[int]:
    """Indexes of the entries that tell of a parcel with the sales in it, or of a lot, serial or drug unit.

    Raises:
        BadInput: `INVALID_REQUEST` for another kind of chain, or if there are too many entries, or they are too long.
        Conflict: `NOT_FOUND` if the chain has no entries, and no sale was dispatched in the parcel.
    """
    if not (chain.is_parcel or chain.kind in (ChainKind.LOT, ChainKind.SERIAL, ChainKind.DRUG)):
        raise BadInput(
            Reason.INVALID_REQUEST,
            "chain of a trace",
            given=str(chain),
            expected="a parcel, lot, serial or drug unit; or name a sale",
        )
    story = _Story(connection, size, go_on)
    told = story.add_chains([str(chain)])
    in_parcel = registry.dispatches_in_parcel(connection, str(chain), limit=_MOST) if chain.is_parcel else []
    if not told and not in_parcel:
        raise Conflict(Reason.NOT_FOUND, "chain", given=str(chain), expected="a chain with entries")
    if chain.is_parcel:
        sales = _bounded([dispatched.sale for dispatched in in_parcel])
        story.add_sales(sales)
        story.add_offers(load(connection, Sold, sales).values())
    else:
        sold = _bounded(registry.sales_on_chain(connection, str(chain), limit=_MOST))
        story.add_parcels([one.event_id for one in sold])
        story.add_offers(sold)
        story.add_recalls([chain])
    return story.indexes()


def introductions(
    connection: Connection, told: Collection[StoredEntry], *, size: int, go_on: GoOn
) -> list[StoredEntry]:
    """The entries that introduced the keys which signed these, and those of their accreditors up to the genesis.

    Raises:
        BadInput: `INVALID_REQUEST` if with them the answer would be too long.
        ServiceFault: `STORE_DAMAGED` if a stored entry cannot be read.
    """
    found: dict[int, StoredEntry] = {}
    room = MAX_STORY_BYTES - sum(len(entry.data) for entry in told)
    asking = list(told)
    while asking:
        go_on()
        key_ids = {entry.envelope().key_id for entry in asking}
        keys = load(connection, PartyKey, key_ids)
        purchases = load(connection, PurchaseKey, key_ids - keys.keys())
        indexes = {key.added_index for key in keys.values()} | {key.added_index for key in purchases.values()}
        new = {index for index in indexes if index < size} - found.keys()
        if _may_be_too_long(new, room) and queries.bytes_of_entries(connection, new) > room:
            raise _too_long("entries with their registrations", "ask for fewer, or without registrations")
        asking = queries.entries_at(connection, new)
        room -= sum(len(entry.data) for entry in asking)
        found |= {entry.index: entry for entry in asking}
    return [found[index] for index in sorted(found)]


class _Story:
    """Indexes of the entries that were found to belong to a story."""

    def __init__(self, connection: Connection, size: int, go_on: GoOn) -> None:
        self._connection = connection
        self._size = size
        self._go_on = go_on
        self._indexes: set[int] = set()

    def indexes(self) -> list[int]:
        """All of them, in the order of the log, after a look that the entries are not too long."""
        self._go_on()
        if _may_be_too_long(self._indexes, MAX_STORY_BYTES) and (
            queries.bytes_of_entries(self._connection, self._indexes) > MAX_STORY_BYTES
        ):
            raise _too_long("story", "read the chains one by one")
        return sorted(self._indexes)

    def add_chains(self, chains: Iterable[str]) -> int:
        """Add whole chains; returns how many entries that adds."""
        return self._add(queries.indexes_of_chains(self._connection, chains, size=self._size, limit=_MOST))

    def add_sales(self, sales: Iterable[bytes]) -> None:
        """Add what is part of sales."""
        self._add(queries.indexes_of_sales(self._connection, sales, size=self._size, limit=_MOST))

    def add_parcels(self, sales: Iterable[bytes]) -> None:
        """Add the chains of the parcels in which the goods of sales went off."""
        dispatches = registry.dispatches_of_sales(self._connection, sales, limit=_MOST)
        self.add_chains({dispatched.parcel for dispatched in _bounded(dispatches)})

    def add_offers(self, sales: Collection[Sold]) -> None:
        """Add the listings that sales rest on, and the recalls of what was sold."""
        self._add(sold.listing_index for sold in sales)
        self.add_recalls({ChainKey.parse(sold.chain) for sold in sales})

    def add_recalls(self, chains: Iterable[ChainKey]) -> None:
        """Add the recalls of products, lots and units; a lot or unit is called back with its product."""
        called_back = {str(one) for chain in chains for one in (chain, chain.product_chain)}
        recalls = registry.recalls_on_chains(self._connection, called_back, limit=_MOST)
        self._add(recalled.index for recalled in recalls)

    def _add(self, indexes: Iterable[int]) -> int:
        self._go_on()
        before = len(self._indexes)
        self._indexes.update(index for index in indexes if index < self._size)
        _bounded(self._indexes)
        return len(self._indexes) - before


def _bounded(found: C) -> C:
    if len(found) > MAX_STORY:
        raise BadInput(
            Reason.INVALID_REQUEST,
            "story",
            given=f"more than {MAX_STORY} entries",
            expected=f"at most {MAX_STORY}; read the chains one by one",
        )
    return found


def _may_be_too_long(indexes: Collection[int], room: int) -> bool:
    """Whether these entries have to be measured: a few fit, however long each is."""
    return len(indexes) * MAX_ENTRY_BYTES > room


def _too_long(subject: str, instead: str) -> BadInput:
    return BadInput(
        Reason.INVALID_REQUEST,
        subject,
        given=f"more than {MAX_STORY_BYTES} bytes of entries",
        expected=f"at most {MAX_STORY_BYTES}; {instead}",
    )
