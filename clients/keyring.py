"""Whose key is it? The answer from the log itself, up to the genesis.

A key means something because an entry of the log introduced it: the genesis (the root regulator's first key), a
registration or key addition (a party's), or a sale (its buyer's). Each introduction but the genesis is signed by a key
that an earlier entry introduced. A `KeyRing` takes introductions that are proven to be in one log, verifies each under
the keys that it holds already, and asks the rules whether that signer may introduce that key. So whatever it knows
leads back to the genesis at index 0, which has to name the origin of the log that the caller means.

Three things cannot be seen from introductions alone and are taken for granted: that the parties were active and their
licences in force at the time, that keys were not revoked yet, and that a merchant had listed what it sold. The service
has checked them, and an audit checks the service.
"""

from __future__ import annotations

import threading
from dataclasses import replace
from typing import TypeAlias

from clients.verified import VerifiedEntry, mismatch, within
from ledger.chain_key import LEDGER, ChainKey, ChainKind
from ledger.errors import Conflict, LedgerError, Reason
from ledger.event import Event, Kind
from ledger.keys import PublicKey
from ledger.rules import Judgement, Signer, identify, judge
from ledger.state import Listed, Party, PartyKey, PurchaseKey, Sold, State
from suyuan.v1 import event_pb2

Need: TypeAlias = "bytes | str"
"""What a ring lacks to verify an entry: the introduction of a key (its id), or a party's registration (chain key)."""

_INTRODUCTIONS = frozenset({Kind.GENESIS, Kind.PARTY_REGISTRATION, Kind.KEY_ADDITION, Kind.SALE})
_ON_PARTIES = frozenset(
    {Kind.PARTY_REGISTRATION, Kind.KEY_ADDITION, Kind.KEY_REVOCATION, Kind.PARTY_STATUS_CHANGE}
)
_PARTIES = frozenset({ChainKind.PARTY, ChainKind.MEMBER})


class KeyRing:
    """Keys and their holders in one log. Safe to share among threads; it only ever grows."""

    def __init__(self, origin: str) -> None:
        """An empty ring.

        Args:
            origin: the log that the caller means; its genesis has to name it.
        """
        self._origin = origin
        self._state = State()
        self._keys: dict[bytes, PublicKey] = {}
        self._taken: set[int] = set()
        self._lock = threading.Lock()

    def __len__(self) -> int:
        """Introductions taken in."""
        return len(self._taken)

    def needs(self, entry: VerifiedEntry) -> Need | None:
        """What must be added before this entry can be; None if nothing is missing."""
        event, key_id = entry.event, entry.envelope.key_id
        if event.kind is Kind.GENESIS:
            return None
        key = self._state.get(PartyKey, key_id)
        if key is None:
            return key_id if self._state.get(PurchaseKey, key_id) is None else None
        parties = [str(ChainKey.parse(key.party).company)]
        if event.kind in _ON_PARTIES and event.chain.kind in _PARTIES:
            registering = event.kind is Kind.PARTY_REGISTRATION
            if not registering:
                parties.append(str(event.chain))
            elif event.chain.kind is ChainKind.MEMBER:
                parties.append(str(event.chain.company))
        return next((party for party in parties if self._state.get(Party, party) is None), None)

    def add(self, entry: VerifiedEntry) -> None:
        """Take in an introduction; entries that introduce no key are passed over.

        Raises:
            BrokenProof: `BAD_ENTRY` if its signature does not hold under a key of the ring that was introduced before
                it, or if that signer may not introduce this key.
            Conflict: `RULES_VERSION` if the log is under rules that this version does not know.
        """
        if entry.event.kind not in _INTRODUCTIONS or entry.index in self._taken:
            return
        signed = self.attribute(entry)
        with self._lock:
            if entry.index in self._taken:
                return
            # Parties come before their keys in the changes, so that who reads meanwhile never sees a key alone.
            for record in self._judge(signed).changes:
                if isinstance(record, Party):
                    self._state.put(replace(record, licence_until=""))
                else:
                    self._state.put(record)
            self._taken.add(entry.index)

    def attribute(self, entry: VerifiedEntry) -> VerifiedEntry:
        """The same entry with its signer, after the signature has been verified.

        Raises:
            BrokenProof: `BAD_ENTRY` if the ring does not hold the key, or the signature does not verify under it, or
                the key was introduced later than it is used, or it is a purchase key and speaks of another sale.
        """
        where = f"entry {entry.index}"
        if entry.event.kind is Kind.GENESIS:
            self._require_genesis(entry)
        try:
            signer = identify(entry.event, entry.envelope.key_id, self._state)
            key = self._keys.get(signer.key_id) or PublicKey.parse(signer.public_key)
            entry.envelope.verify(key)
        except LedgerError as error:
            raise within(where, error) from error
        self._keys[signer.key_id] = key
        if entry.event.kind is not Kind.GENESIS:
            self._require_introduced(entry)
        if signer.purchase is not None:
            self._require_own_sale(entry, signer.purchase)
        return replace(entry, signer=signer.name, public_key=key, signature_verified=True)

    def require_allowed(self, entry: VerifiedEntry) -> None:
        """Ask the rules whether the signer of a change to a party may make it.

        Raises:
            BrokenProof: `BAD_ENTRY`.
            Conflict: `RULES_VERSION`, as `add`.
        """
        self._judge(entry)

    def _judge(self, entry: VerifiedEntry) -> Judgement:
        event, where = entry.event, f"entry {entry.index}"
        if event.kind is Kind.PARTY_REGISTRATION and entry.entry.chain_seq:
            # A party's chain begins with its registration. A second one, however well signed, is a takeover.
            raise mismatch(f"{where}: chain_seq of a registration", entry.entry.chain_seq, 0)
        state = State(self._state)
        try:
            signer = identify(event, entry.envelope.key_id, state)
            if event.kind is Kind.SALE:
                _take_listing_for_granted(event, signer, state)
            return judge(event, signer, state, index=entry.index, recorded_at_us=entry.entry.recorded_at_us)
        except LedgerError as error:
            if isinstance(error, Conflict) and error.reason is Reason.RULES_VERSION:
                raise
            raise within(f"{where}, recorded against the rules", error) from error

    def _require_genesis(self, entry: VerifiedEntry) -> None:
        if entry.index != 0 or entry.entry.chain_seq != 0 or entry.event.chain != LEDGER:
            given = f"entry {entry.index}, chain_seq {entry.entry.chain_seq} of {entry.event.chain}"
            raise mismatch("genesis", given, f"entry 0, chain_seq 0 of {LEDGER}")
        origin = entry.event.message.genesis.origin
        if origin != self._origin:
            raise mismatch("origin in the genesis", origin, self._origin)

    def _require_introduced(self, entry: VerifiedEntry) -> None:
        key_id = entry.envelope.key_id
        key = self._state.get(PartyKey, key_id) or self._state.get(PurchaseKey, key_id)
        if key is not None and key.added_index >= entry.index:
            raise mismatch(
                f"entry {entry.index}: introduction of key {key_id.hex()}",
                f"entry {key.added_index}",
                "an earlier entry",
            )

    def _require_own_sale(self, entry: VerifiedEntry, purchase: PurchaseKey) -> None:
        event, where = entry.event, f"entry {entry.index}: sale of a purchase key"
        named = named_sale(event) or purchase.sale
        if named != purchase.sale:
            raise mismatch(where, named.hex(), purchase.sale.hex())
        sold = self._state.get(Sold, purchase.sale)
        if sold is not None and str(event.chain) != sold.chain:
            raise mismatch(where, f"an event on {event.chain}", f"on {sold.chain}")


def introduced_key(event: Event) -> bytes:
    """DER SubjectPublicKeyInfo of the key that an event introduces; empty if it introduces none."""
    message = event.message
    spki: dict[Kind | None, bytes] = {
        Kind.GENESIS: message.genesis.regulator_key,
        Kind.PARTY_REGISTRATION: message.party_registration.public_key,
        Kind.KEY_ADDITION: message.key_addition.public_key,
        Kind.SALE: message.sale.buyer_key,
    }
    return spki.get(event.kind, b"")


def registered_party(event: Event) -> str:
    """Chain key of the party that an event registers; empty if it registers none."""
    if event.kind is Kind.GENESIS:
        return event.message.genesis.regulator
    return str(event.chain) if event.kind is Kind.PARTY_REGISTRATION else ""


def named_sale(event: Event) -> bytes:
    """Event id of the sale that an event's body names; empty if it names none."""
    message = event.message
    sales: dict[Kind | None, bytes] = {
        Kind.SHIPMENT: message.shipment.sale,
        Kind.RECEIPT: message.receipt.sale,
        Kind.REVIEW: message.review.sale,
        Kind.COMPLAINT: message.complaint.sale,
    }
    return sales.get(event.kind, b"")


def company_of(entry: VerifiedEntry) -> str:
    """Chain key of the company that the signer of an attributed entry is or belongs to; empty for a buyer."""
    return str(ChainKey.parse(entry.signer).company) if entry.signer else ""


def _take_listing_for_granted(event: Event, signer: Signer, state: State) -> None:
    if signer.company is not None and signer.role == event_pb2.PARTY_ROLE_MERCHANT:
        state.put(Listed(signer.company.party, str(event.chain), b"", 0, ""))
