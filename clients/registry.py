"""The registry's answers, computed again from the entries that they rest on.

What a service keeps of parties, keys and sales are views; the entries are the truth. A party's own chain tells its
keys, revocations and changes of status; a sale's trace tells its parcels, receipt, reviews and complaints. These
functions replay them, and compare the result with what was answered.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import fields, replace
from typing import Any

from clients.answers import VerifiedParty, VerifiedSale
from clients.verify import KeyRing, VerifiedEntry, company_of, introduced_key, mismatch
from ledger.checkpoint import Checkpoint
from ledger.event import Kind
from ledger.keys import key_id_of
from ledger.state import Listed, Party, PartyKey
from suyuan.v1 import event_pb2
from suyuan.v1 import registry_service_pb2 as pb

MAX_SHOWN = 8
"""Items of a list that an error shows."""

_PARTY_FIELDS = tuple(field.name for field in fields(Party))
_KEY_FIELDS = tuple(field.name for field in fields(PartyKey))
_LISTED_FIELDS = tuple(field.name for field in fields(Listed))
_SALE_FIELDS = (
    "event_id", "index", "chain", "merchant", "buyer_key_id", "quantity", "parcels", "receipt", "buyer_review",
    "merchant_review", "complaints",
)  # fmt: skip


def replay_party(
    name: str, entries: Sequence[VerifiedEntry], ring: KeyRing, checkpoint: Checkpoint
) -> VerifiedParty:
    """A party as its chain shows it.

    Args:
        name: its chain key.
        entries: its whole chain, verified and attributed; for the root regulator the genesis comes first.
        ring: holds what they introduced.
        checkpoint: how far to replay: later entries are left out.

    Raises:
        BrokenProof: `BAD_ENTRY` if the chain does not begin with a registration, or a change to the party was made by
            somebody who may not.
    """
    if not entries or entries[0].index >= checkpoint.size:
        raise mismatch(f"registration of {name}", f"none in the first {checkpoint.size} entries", "one")
    party = _registered(name, entries[0])
    first = _introduced(name, entries[0])
    keys = {first.key_id: first}
    for entry in entries[1:]:
        if entry.index >= checkpoint.size:
            break
        message = entry.event.message
        if entry.event.kind is Kind.KEY_ADDITION:
            added = _introduced(name, entry)
            keys[added.key_id] = added
        elif entry.event.kind is Kind.KEY_REVOCATION:
            ring.require_allowed(entry)
            key = keys.get(message.key_revocation.key_id)
            if key is None:
                given = f"that of key {message.key_revocation.key_id.hex()}"
                raise mismatch(f"revocation at entry {entry.index}", given, f"of one that {name} has")
            keys[key.key_id] = replace(key, revoked_at_us=key.revoked_at_us or entry.entry.recorded_at_us)
        elif entry.event.kind is Kind.PARTY_STATUS_CHANGE:
            ring.require_allowed(entry)
            change = message.party_status_change
            until = change.licence_until or party.licence_until
            party = replace(party, status=change.status, licence_until=until)
    return VerifiedParty(party, tuple(keys.values()), entries[0], checkpoint)


def require_party(answer: pb.Party, party: Party) -> None:
    """Refuse an answer that says anything else of a party than its chain does.

    Raises:
        BrokenProof: `BAD_ENTRY`.
    """
    _require_fields(f"party {party.party}", answer, party, _PARTY_FIELDS)


def require_same_registration(answer: pb.Party, party: Party) -> None:
    """Refuse an answer that says anything else of what no event can change about a party.

    Raises:
        BrokenProof: `BAD_ENTRY`.
    """
    _require_fields(f"party {party.party}", answer, party, ("role", "name", "accreditor", "registered_index"))


def require_key(answer: pb.Key, key: PartyKey) -> None:
    """Refuse an answer that says anything else of a key than its holder's chain does.

    Raises:
        BrokenProof: `BAD_ENTRY`.
    """
    _require_fields(f"key {key.key_id.hex()}", answer, key, _KEY_FIELDS)


def require_keys(answer: Iterable[pb.Key], keys: Iterable[PartyKey], name: str) -> None:
    """Refuse an answer that says anything else of a party's keys than its chain does.

    Raises:
        BrokenProof: `BAD_ENTRY`.
    """
    given, expected = {key.key_id: key for key in answer}, {key.key_id: key for key in keys}
    if given.keys() != expected.keys():
        told, known = (_text(tuple(sorted(keys))) for keys in (given, expected))
        raise mismatch(f"keys of {name}", told, f"{known}, by its chain")
    for key_id, key in expected.items():
        require_key(given[key_id], key)


def replay_sale(
    sale: VerifiedEntry, entries: Iterable[VerifiedEntry], checkpoint: Checkpoint
) -> VerifiedSale:
    """A sale and what became of it, as its trace shows it.

    Args:
        sale: the entry that recorded it, attributed.
        entries: its trace, verified.
        checkpoint: how far to replay: later entries are left out.
    """
    event_id = sale.event.id
    parcels: dict[str, None] = {}
    receipts, buyer_reviews, merchant_reviews, complaints = [b""], [b""], [b""], []
    for entry in entries:
        message, kind = entry.event.message, entry.event.kind
        if entry.index >= checkpoint.size:
            break
        if kind is Kind.SHIPMENT and message.shipment.sale == event_id and message.shipment.parcel:
            parcels[message.shipment.parcel] = None
        elif kind is Kind.RECEIPT and message.receipt.sale == event_id:
            receipts.append(entry.event.id)
        elif kind is Kind.REVIEW and message.review.sale == event_id:
            (merchant_reviews if entry.signer else buyer_reviews).append(entry.event.id)
        elif kind is Kind.COMPLAINT and message.complaint.sale == event_id:
            complaints.append(entry.event.id)
    for what, found in (("receipt", receipts), ("review", buyer_reviews), ("review", merchant_reviews)):
        if len(found) > 2:
            raise mismatch(f"{what}s of sale {event_id.hex()} by one side", len(found) - 1, "at most 1")
    return VerifiedSale(
        event_id=event_id,
        index=sale.index,
        chain=str(sale.event.chain),
        merchant=company_of(sale),
        buyer_key_id=key_id_of(sale.event.message.sale.buyer_key),
        quantity=sale.event.message.sale.quantity,
        parcels=tuple(parcels),
        receipt=receipts[-1],
        buyer_review=buyer_reviews[-1],
        merchant_review=merchant_reviews[-1],
        complaints=tuple(complaints),
        entry=sale,
        checkpoint=checkpoint,
    )


def require_sale(answer: pb.SaleRecord, sale: VerifiedSale) -> None:
    """Refuse an answer that says anything else of a sale than its trace does.

    Raises:
        BrokenProof: `BAD_ENTRY`.
    """
    if sorted(answer.parcels) == sorted(sale.parcels):  # in what order they are named is the service's affair
        sale = replace(sale, parcels=tuple(answer.parcels))
    _require_fields(f"sale {sale.event_id.hex()}", answer, sale, _SALE_FIELDS)


def replay_listing(entry: VerifiedEntry) -> Listed:
    """What a listing's entry establishes.

    Raises:
        BrokenProof: `BAD_ENTRY` if it is no listing.
    """
    if entry.event.kind is not Kind.LISTING:
        raise mismatch(f"entry {entry.index}", f"a {entry.event.kind}", "a listing")
    title = entry.event.message.listing.title
    return Listed(company_of(entry), str(entry.event.chain), entry.event.id, entry.index, title)


def require_listing(answer: pb.ListingRecord, listed: Listed) -> None:
    """Refuse an answer that says anything else of a listing than its entry does.

    Raises:
        BrokenProof: `BAD_ENTRY`.
    """
    _require_fields(f"listing at entry {listed.index}", answer, listed, _LISTED_FIELDS)


def _registered(name: str, entry: VerifiedEntry) -> Party:
    message = entry.event.message
    active = event_pb2.PARTY_STATUS_ACTIVE
    if entry.event.kind is Kind.GENESIS and message.genesis.regulator == name:
        regulator = message.genesis.regulator_name
        return Party(name, event_pb2.PARTY_ROLE_REGULATOR, regulator, active, "", name, entry.index)
    if entry.event.kind is not Kind.PARTY_REGISTRATION or entry.event.chain != name:
        given = f"a {entry.event.kind or 'kind unknown to this version'} on {entry.event.chain}"
        raise mismatch(f"registration of {name}", given, f"a registration on {name}")
    body = message.party_registration
    return Party(name, body.role, body.name, active, body.licence_until, entry.signer, entry.index)


def _introduced(name: str, entry: VerifiedEntry) -> PartyKey:
    spki = introduced_key(entry.event)
    return PartyKey(key_id_of(spki), spki, name, entry.index, 0)


def _require_fields(subject: str, answer: object, expected: object, names: Iterable[str]) -> None:
    for name in names:
        given, known = _plain(getattr(answer, name)), _plain(getattr(expected, name))
        if given != known:
            raise mismatch(f"{name} of {subject}", _text(given), f"{_text(known)}, by its entries")


def _plain(value: Any) -> object:
    """A value as it can be compared: repeated fields are no tuples."""
    return value if isinstance(value, str | bytes | int) else tuple(value)


def _text(value: object) -> str:
    """A value as an error may show it, short and printable whatever it is."""
    if isinstance(value, bytes):
        return value[:64].hex() or "none"
    if isinstance(value, tuple):
        more = [f"… ({len(value)})"] if len(value) > MAX_SHOWN else []
        return ", ".join([*map(_text, value[:MAX_SHOWN]), *more]) or "none"
    return ascii(value[:128]) if isinstance(value, str) else str(value)
