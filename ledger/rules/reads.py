"""Which records the rules will ask for: a hint for those who keep records far away.

A store that loads these for a whole batch at once spares the rules many single look-ups. The hint may be incomplete
or too broad: the rules ask for what they need all the same.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any, TypeAlias

from ledger.chain_key import ChainKey, ChainKind
from ledger.event import Event, Kind
from ledger.keys import key_id_of
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

_PARTIES = frozenset({ChainKind.PARTY, ChainKind.MEMBER})


def first_reads(event: Event, key_id: bytes) -> Iterator[Wanted]:
    """What an event's own fields name."""
    yield Recorded, event.id
    yield ChainHead, str(event.chain)
    yield PartyKey, key_id
    if event.chain.kind in _PARTIES:
        yield Party, str(event.chain)
        yield Party, str(event.chain.company)
    yield from body_reads(event)


def body_reads(event: Event) -> Iterable[Wanted]:
    """What an event's body names."""
    named = _NAMED.get(event.kind)
    return () if named is None else named(event.body)


def second_reads(event: Event, key_id: bytes, known: Reader) -> Iterator[Wanted]:
    """What the records of the first reads name.

    Args:
        event: the event.
        key_id: id of the key that signed it.
        known: what the first reads have found, and nothing else.
    """
    key = known.get(PartyKey, key_id)
    if key is None:
        yield PurchaseKey, key_id
    else:
        company = str(ChainKey.parse(key.party).company)
        yield Party, key.party
        yield Party, company
        if event.kind in (Kind.SALE, Kind.RECALL) and event.chain.is_product:
            yield Listed, (company, str(event.chain))
            yield Listed, (company, str(event.chain.product_chain))
    message = event.message
    if event.kind is Kind.FOLLOW_UP:
        reviewed = known.get(Reviewed, message.follow_up.review)
        if reviewed is not None:
            yield Sold, reviewed.sale
    elif event.kind in (Kind.COMPLAINT_REPLY, Kind.COMPLAINT_RESOLUTION):
        reply = event.kind is Kind.COMPLAINT_REPLY
        complaint = message.complaint_reply.complaint if reply else message.complaint_resolution.complaint
        complained = known.get(Complained, complaint)
        if complained is not None:
            yield Sold, complained.sale


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
