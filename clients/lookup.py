"""Looking up parties, keys, listings and sales: the service's views, held against the entries that they rest on."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from clients import registry
from clients.answers import VerifiedKey, VerifiedParty, VerifiedSale
from clients.read import entry_at, history, require_hash, trace_sale
from clients.session import Session
from clients.verify import VerifiedEntry, broken_chain, introduced_key, mismatch, registered_party, within
from ledger.chain_key import ChainKey
from ledger.errors import BadInput, Conflict, Reason
from ledger.event import Kind
from ledger.keys import key_id_of
from ledger.state import Listed, Party
from suyuan.v1 import event_pb2
from suyuan.v1 import registry_service_pb2 as pb

LIST_PAGE = 100
"""Parties or listings that are asked for at a time."""

LOOK_UP_PAGE = 200
"""Chains that are looked up at a time."""

LOOK_UP_MOST = 60
"""Entries that one answer of them has at most; where it has as many, chains may be missing."""


def party(session: Session, name: ChainKey) -> VerifiedParty:
    """As `LedgerClient.party`."""
    answer, checkpoint = session.ask(session.transport.registry.GetParty, pb.GetPartyRequest(party=name))
    [registration] = session.attribute([answer.registration], checkpoint)
    if registered_party(registration.event) != name:
        raise mismatch("registration answered", _told(registration), f"that of {name}, as asked")
    entries = _life(session, name)
    verified = registry.replay_party(name, entries, session.ring_with(entries), checkpoint)
    registry.require_party(answer.party, verified.party)
    registry.require_keys(answer.keys, verified.keys, name)
    return verified


def parties(session: Session, role: int) -> Iterator[Party]:
    """As `LedgerClient.parties`; role 0 is any."""
    after = ""
    while True:
        wanted = event_pb2.PartyRole.ValueType(role)
        request = pb.ListPartiesRequest(role=wanted, page_size=LIST_PAGE, after=after)
        answer = session.transport.call(session.transport.registry.ListParties, request)
        if len(answer.parties) > LIST_PAGE:
            raise mismatch("parties on a page", len(answer.parties), f"at most {LIST_PAGE}")
        for listed in answer.parties:
            if listed.party <= after:
                raise mismatch("next party listed", ascii(listed.party[:128]), f"one after {after or 'none'}")
            after = listed.party
            try:
                verified = party(session, ChainKey.parse(listed.party)).party
            except (BadInput, Conflict) as error:
                raise within("party listed", error) from error
            if role not in (0, verified.role):
                raise mismatch(f"role of {verified.party}", verified.role, f"{role}, as asked")
            registry.require_same_registration(listed, verified)
            yield verified
        if not answer.parties:
            return


def key(session: Session, key_id: bytes) -> VerifiedKey:
    """As `LedgerClient.key`."""
    require_hash("key id", key_id)
    answer, checkpoint = session.ask(session.transport.registry.GetKey, pb.GetKeyRequest(key_id=key_id))
    [registration] = session.attribute([answer.registration], checkpoint)
    event = registration.event
    if event.kind is Kind.SALE or key_id_of(introduced_key(event)) != key_id:
        raise mismatch("introduction answered", _told(registration), f"that of key {key_id.hex()}, as asked")
    holder = ChainKey.parse(registered_party(event) or event.chain)
    entries = _life(session, holder)
    verified = registry.replay_party(holder, entries, session.ring_with(entries), checkpoint)
    found = next((one for one in verified.keys if one.key_id == key_id), None)
    if found is None:
        raise mismatch(f"chain of {holder}", f"no key {key_id.hex()}", f"entry {registration.index} in it")
    registry.require_key(answer.key, found)
    return VerifiedKey(found, registration, checkpoint)


def listings(session: Session, chain: ChainKey) -> Iterator[Listed]:
    """As `LedgerClient.listings`."""
    after = ""
    while True:
        request = pb.ListListingsRequest(chain=chain, page_size=LIST_PAGE, after=after)
        answer = session.transport.call(session.transport.registry.ListListings, request)
        if len(answer.listings) > LIST_PAGE:
            raise mismatch("listings on a page", len(answer.listings), f"at most {LIST_PAGE}")
        for record in answer.listings:
            if record.merchant <= after:
                given, expected = ascii(record.merchant[:128]), f"one after {after or 'none'}"
                raise mismatch("merchant of the next listing", given, expected)
            after = record.merchant
            try:
                listed = registry.replay_listing(entry_at(session, record.index))
            except (BadInput, Conflict) as error:
                raise within("listing", error) from error
            if listed.chain != chain:
                raise mismatch(
                    f"chain of the listing at entry {listed.index}", listed.chain, f"{chain}, as asked"
                )
            registry.require_listing(record, listed)
            yield listed
        if not answer.listings:
            return


def look_up(session: Session, chains: Iterable[ChainKey]) -> dict[ChainKey, tuple[VerifiedEntry, ...]]:
    """As `LedgerClient.look_up`."""
    wanted = list(dict.fromkeys(chains))
    found: dict[ChainKey, list[VerifiedEntry]] = {chain: [] for chain in wanted}
    for start in range(0, len(wanted), LOOK_UP_PAGE):
        page = wanted[start : start + LOOK_UP_PAGE]
        request = pb.LookUpChainsRequest(chains=page, with_registrations=True)
        answer, checkpoint = session.ask(session.transport.registry.LookUpChains, request)
        if len(answer.entries) > LOOK_UP_MOST:
            raise mismatch("entries of chains looked up", len(answer.entries), f"at most {LOOK_UP_MOST}")
        entries = session.attribute(answer.entries, checkpoint, answer.registrations)
        for entry in entries:
            chain = entry.event.chain
            if chain not in page:
                raise mismatch(f"chain of entry {entry.index}", chain, "one of those asked about")
            found[chain].append(entry)
        for chain in page:
            is_known = session.heads.find(chain) is not None and len(entries) < LOOK_UP_MOST
            _require_shown(chain, found[chain], is_known=is_known)
        session.heads.note(entries)
    return {chain: tuple(entries) for chain, entries in found.items() if entries}


def _require_shown(chain: ChainKey, entries: Sequence[VerifiedEntry], *, is_known: bool) -> None:
    """Refuse an answer without a chain that is known, or with entries that are neither its listings nor its first."""
    if is_known and not entries:
        raise broken_chain(f"entries of {chain}", "none", "one: some were seen before")
    if all(entry.event.kind is Kind.LISTING for entry in entries):
        return
    if len(entries) != 1 or entries[0].entry.chain_seq:
        told = ", ".join(map(_told, entries))
        raise mismatch(f"entries that show {chain}", told, "its listings, or its first entry")


def sale(
    session: Session, *, event_id: bytes | None = None, buyer_key_id: bytes | None = None
) -> VerifiedSale:
    """As `LedgerClient.sale`; exactly one of the arguments is given."""
    if event_id is not None:
        require_hash("event id of a sale", event_id)
        request = pb.GetSaleRequest(event_id=event_id)
    else:
        buyer_key_id = buyer_key_id or b""
        require_hash("id of a purchase key", buyer_key_id)
        request = pb.GetSaleRequest(buyer_key_id=buyer_key_id)
    answer, checkpoint = session.ask(session.transport.registry.GetSale, request)
    [entry] = session.attribute([answer.entry], checkpoint)
    if entry.event.kind is not Kind.SALE:
        raise mismatch("entry of a sale", _told(entry), "a sale")
    buyer = key_id_of(entry.event.message.sale.buyer_key)
    for what, found, asked in (("sale", entry.event.id, event_id), ("purchase key", buyer, buyer_key_id)):
        if asked is not None and found != asked:
            raise mismatch(f"{what} answered", found.hex(), f"{asked.hex()}, as asked")
    verified = registry.replay_sale(entry, trace_sale(session, entry.event.id).entries, checkpoint)
    registry.require_sale(answer.sale, verified)
    return verified


def _life(session: Session, name: ChainKey) -> tuple[VerifiedEntry, ...]:
    """Everything that made a party what it is: its chain, and the genesis before it for the root regulator."""
    genesis = session.genesis()
    if registered_party(genesis.event) != name:
        return history(session, name).entries
    try:
        return (genesis, *history(session, name).entries)
    except Conflict as error:
        if error.reason is not Reason.NOT_FOUND:
            raise
        return (genesis,)


def _told(entry: VerifiedEntry) -> str:
    return (
        f"entry {entry.index}, a {entry.event.kind or 'kind unknown to this version'} on {entry.event.chain}"
    )
