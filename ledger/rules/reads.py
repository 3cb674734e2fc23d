"""Which records the rules will ask for: a hint for those who keep records far away.

A store that loads these for a whole batch at once spares the rules many single look-ups. The hint may be incomplete
or too broad: the rules ask for what they need all the same.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any, TypeAlias

from ledger.chain_key import ChainKind
from ledger.event import Event, Kind
from ledger.keys import key_id_of
from ledger.rules.signer import company_of
from ledger.state import (
    ChainHead,
    Complained,
    Dispatched,
    Key,
    Listed,
    Party,
    PartyKey,
    PurchaseKey,
    Reader,
    Recorded,
    Reviewed,
    Sold,
)
from suyuan.v1 import event_pb2 as pb

Wanted: TypeAlias = "tuple[type[Any], Key]"
"""A type of record and a key."""

Wants: TypeAlias = "dict[type[Any], set[Key]]"
"""Keys by type of record."""

Asked: TypeAlias = tuple[Event, bytes]
"""An event to be judged, and the id of the key that signed it."""

_PARTIES = frozenset({ChainKind.PARTY, ChainKind.MEMBER})
_OF_LISTED = frozenset({Kind.SALE, Kind.RECALL})
_OF_A_SALE_BEFORE = frozenset({Kind.FOLLOW_UP, Kind.COMPLAINT_REPLY, Kind.COMPLAINT_RESOLUTION})


def first_reads(asked: Iterable[Asked]) -> Wants:
    """What the events' own fields name."""
    recorded: set[Key] = set()
    heads: set[Key] = set()
    keys: set[Key] = set()
    wants: Wants = {Recorded: recorded, ChainHead: heads, PartyKey: keys}
    for event, key_id in asked:
        recorded.add(event.id)
        heads.add(str(event.chain))
        keys.add(key_id)
        if event.chain.kind in _PARTIES:
            wants.setdefault(Party, set()).update((str(event.chain), str(event.chain.company)))
        for record_type, key in body_reads(event):
            wants.setdefault(record_type, set()).add(key)
    return wants


def body_reads(event: Event) -> Iterable[Wanted]:
    """What an event's body names."""
    named = _NAMED.get(event.kind)
    return () if named is None else named(event.body)


def second_reads(asked: Iterable[Asked], known: Reader) -> Wants:
    """What the records of the first reads name.

    Args:
        asked: the events, and the ids of the keys that signed them.
        known: what the first reads have found, and nothing else.
    """
    purchases: set[Key] = set()
    parties: set[Key] = set()
    listings: set[Key] = set()
    sales: set[Key] = set()
    for event, key_id in asked:
        key = known.get(PartyKey, key_id)
        if key is None:
            purchases.add(key_id)
        else:
            company = company_of(key.party)
            parties.add(key.party)
            parties.add(company)
            if event.kind in _OF_LISTED and event.chain.is_product:
                listings.add((company, str(event.chain)))
                listings.add((company, str(event.chain.product_chain)))
        if event.kind in _OF_A_SALE_BEFORE:
            sales.update(_sale_before(event, known))
    return {PurchaseKey: purchases, Party: parties, Listed: listings, Sold: sales}


def _sale_before(event: Event, known: Reader) -> Iterator[Key]:
    """The sale of the review or complaint that an event refers to."""
    message = event.message
    if event.kind is Kind.FOLLOW_UP:
        reviewed = known.get(Reviewed, message.follow_up.review)
        if reviewed is not None:
            yield reviewed.sale
        return
    reply = event.kind is Kind.COMPLAINT_REPLY
    complaint = message.complaint_reply.complaint if reply else message.complaint_resolution.complaint
    complained = known.get(Complained, complaint)
    if complained is not None:
        yield complained.sale


def _of_new_key(spki: bytes) -> Iterator[Wanted]:
    key_id = key_id_of(spki)
    yield PartyKey, key_id
    yield PurchaseKey, key_id


def _of_shipment(body: pb.Shipment) -> Iterator[Wanted]:
    if body.sale:
        yield Sold, body.sale
    if body.parcel:
        yield Dispatched, (body.parcel, body.sale)


_NAMED: dict[Kind | None, Callable[[Any], Iterable[Wanted]]] = {
    Kind.PARTY_REGISTRATION: lambda body: _of_new_key(body.public_key),
    Kind.KEY_ADDITION: lambda body: _of_new_key(body.public_key),
    Kind.SALE: lambda body: _of_new_key(body.buyer_key),
    Kind.SHIPMENT: _of_shipment,
    Kind.RECEIPT: lambda body: [(Sold, body.sale)],
    Kind.REVIEW: lambda body: [(Sold, body.sale)],
    Kind.FOLLOW_UP: lambda body: [(Reviewed, body.review)],
    Kind.COMPLAINT: lambda body: [(Sold, body.sale)],
    Kind.COMPLAINT_REPLY: lambda body: [(Complained, body.complaint)],
    Kind.COMPLAINT_RESOLUTION: lambda body: [(Complained, body.complaint)],
    Kind.CORRECTION: lambda body: [(Recorded, body.event)],
}
"""What the body of an event names."""
