"""suyuan.v1.RegistryService."""

from __future__ import annotations

from typing import Any

import grpc

from ledger.chain_key import ChainKey
from ledger.errors import BadInput, Conflict, Reason
from ledger.state import ChainHead, Key, Listed, Party, PartyKey, PurchaseKey, R, Sold
from server import story
from server.grpc.answers import Answers, View, page_size
from server.store import queries, registry
from server.store.queries import StoredEntry
from server.store.records import load
from suyuan.v1 import event_pb2, registry_service_pb2_grpc
from suyuan.v1 import registry_service_pb2 as pb

MAX_RECORDS = 10_000
"""Keys of a party, parcels or complaints of a sale that one answer may name."""

_MOST = MAX_RECORDS + 1
"""What a query need not find more of: it is too many already."""

MAX_LOOKED_UP = 200
"""Chains that one call may look up."""

_MAX_FOUND = 60
"""Entries that it is answered with, and of each chain this many listings: with their signers' they fit into an answer."""
_LISTINGS_OF_EACH = 4

Context = grpc.aio.ServicerContext[Any, Any]


class RegistryService(registry_service_pb2_grpc.RegistryServiceServicer):
    """Who may speak, what is offered, what was sold."""

    def __init__(self, answers: Answers) -> None:
        self._answers = answers

    async def GetParty(self, request: pb.GetPartyRequest, _: Context) -> pb.GetPartyResponse:
        """One party with its keys."""
        name = str(ChainKey.parse(request.party))

        def answer(view: View) -> pb.GetPartyResponse:
            party = _one(view, Party, name, "party", name)
            keys = _all(registry.keys_of_party(view.connection, name, limit=_MOST), f"keys of {name}")
            [registration] = view.proven_at([party.registered_index])
            return pb.GetPartyResponse(
                party=_party(party),
                keys=[_key(key) for key in keys],
                registration=registration,
                checkpoint=view.checkpoint(request.known_size),
            )

        return await self._answers.read(answer)

    async def ListParties(self, request: pb.ListPartiesRequest, _: Context) -> pb.ListPartiesResponse:
        """Parties in the order of their chain keys."""
        after, limit = _after(request.after), page_size(request.page_size, 100)

        def answer(view: View) -> pb.ListPartiesResponse:
            parties = registry.parties_after(view.connection, after, role=request.role, limit=limit)
            return pb.ListPartiesResponse(parties=[_party(party) for party in parties])

        return await self._answers.read(answer)

    async def GetKey(self, request: pb.GetKeyRequest, _: Context) -> pb.GetKeyResponse:
        """One key."""

        def answer(view: View) -> pb.GetKeyResponse:
            key = _one(view, PartyKey, request.key_id, "key", request.key_id.hex())
            [registration] = view.proven_at([key.added_index])
            return pb.GetKeyResponse(
                key=_key(key), registration=registration, checkpoint=view.checkpoint(request.known_size)
            )

        return await self._answers.read(answer)

    async def ListListings(self, request: pb.ListListingsRequest, _: Context) -> pb.ListListingsResponse:
        """Who offers a product."""
        chain, after = ChainKey.parse(request.chain), _after(request.after)
        limit = page_size(request.page_size, 100)

        def answer(view: View) -> pb.ListListingsResponse:
            listings = registry.listings_after(view.connection, str(chain), after, limit=limit)
            return pb.ListListingsResponse(listings=[_listing(listed) for listed in listings])

        return await self._answers.read(answer)

    async def GetSale(self, request: pb.GetSaleRequest, _: Context) -> pb.GetSaleResponse:
        """One sale, by its event id or by the buyer's key."""
        by = request.WhichOneof("sale")
        if by is None:
            raise BadInput(
                Reason.INVALID_REQUEST, "sale", given="none", expected="an event id or a buyer's key id"
            )

        def answer(view: View) -> pb.GetSaleResponse:
            sale = request.event_id
            if by == "buyer_key_id":
                given = request.buyer_key_id
                sale = _one(view, PurchaseKey, given, "purchase key", given.hex()).sale
            sold = _one(view, Sold, sale, "sale", sale.hex())
            [entry] = view.proven_at([sold.index])
            return pb.GetSaleResponse(
                sale=_sale(view, sold), entry=entry, checkpoint=view.checkpoint(request.known_size)
            )

        return await self._answers.read(answer)

    async def LookUpChains(self, request: pb.LookUpChainsRequest, _: Context) -> pb.LookUpChainsResponse:
        """Which of these chains there are, and who lists them."""
        if not 1 <= len(request.chains) <= MAX_LOOKED_UP:
            raise BadInput(
                Reason.INVALID_REQUEST,
                "chains",
                given=len(request.chains),
                expected=f"1 to {MAX_LOOKED_UP}",
            )
        chains = [str(ChainKey.parse(chain)) for chain in request.chains]

        def answer(view: View) -> pb.LookUpChainsResponse:
            entries = queries.entries_at(view.connection, _places(view, chains))
            introductions = _introductions(view, entries) if request.with_registrations else []
            proven = view.proven([*entries, *introductions])
            return pb.LookUpChainsResponse(
                entries=proven[: len(entries)],
                checkpoint=view.checkpoint(request.known_size),
                registrations=proven[len(entries) :],
            )

        return await self._answers.read(answer)


def _places(view: View, chains: list[str]) -> list[int]:
    """Where it stands that these chains are there: their listings, or else their first entries."""
    known = load(view.connection, ChainHead, chains)
    places: list[int] = []
    for chain in dict.fromkeys(chains):
        if chain in known:
            listed = registry.listings_after(view.connection, chain, "", limit=_LISTINGS_OF_EACH)
            places += [one.index for one in listed]
            if not listed:
                first = queries.chain_entries(view.connection, chain, size=view.size, limit=1)
                places += [one.index for one in first]
        if len(places) >= _MAX_FOUND:
            break
    return places[:_MAX_FOUND]


def _introductions(view: View, entries: list[StoredEntry]) -> list[StoredEntry]:
    return story.introductions(view.connection, entries, size=view.size, go_on=view.go_on)


def _after(name: str) -> str:
    """Where a page begins: behind a party, or at the first one."""
    return str(ChainKey.parse(name)) if name else ""


def _one(view: View, record_type: type[R], key: Key, what: str, given: str) -> R:
    record = load(view.connection, record_type, [key]).get(key)
    if record is None:
        raise Conflict(Reason.NOT_FOUND, what, given=given, expected=f"a recorded {what}")
    return record


def _all(found: list[R], what: str) -> list[R]:
    """What was found, if that is all of it."""
    if len(found) == _MOST:
        raise BadInput(
            Reason.INVALID_REQUEST,
            what,
            given=f"more than {MAX_RECORDS}",
            expected=f"at most {MAX_RECORDS}; read the chain",
        )
    return found


def _party(party: Party) -> pb.Party:
    return pb.Party(
        party=party.party,
        role=event_pb2.PartyRole.ValueType(party.role),
        name=party.name,
        status=event_pb2.PartyStatus.ValueType(party.status),
        licence_until=party.licence_until,
        accreditor=party.accreditor,
        registered_index=party.registered_index,
    )


def _key(key: PartyKey) -> pb.Key:
    return pb.Key(
        key_id=key.key_id,
        public_key=key.public_key,
        party=key.party,
        added_index=key.added_index,
        revoked_at_us=key.revoked_at_us,
    )


def _listing(listed: Listed) -> pb.ListingRecord:
    return pb.ListingRecord(
        merchant=listed.merchant,
        chain=listed.chain,
        event_id=listed.event_id,
        index=listed.index,
        title=listed.title,
    )


def _sale(view: View, sold: Sold) -> pb.SaleRecord:
    of_sale = f"of sale {sold.event_id.hex()}"
    dispatches = registry.dispatches_of_sales(view.connection, [sold.event_id], limit=_MOST)
    complaints = registry.complaints_of_sale(view.connection, sold.event_id, limit=_MOST)
    return pb.SaleRecord(
        event_id=sold.event_id,
        index=sold.index,
        chain=sold.chain,
        merchant=sold.merchant,
        buyer_key_id=sold.buyer_key_id,
        quantity=sold.quantity,
        parcels=[dispatched.parcel for dispatched in _all(dispatches, f"parcels {of_sale}")],
        receipt=sold.receipt,
        buyer_review=sold.buyer_review,
        merchant_review=sold.merchant_review,
        complaints=[complained.event_id for complained in _all(complaints, f"complaints {of_sale}")],
    )
