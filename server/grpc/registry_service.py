"""suyuan.v1.RegistryService."""

from __future__ import annotations

from typing import Any

import grpc

from ledger.chain_key import ChainKey
from ledger.errors import BadInput, Conflict, Reason
from ledger.state import Complained, Dispatched, Key, Listed, Party, PartyKey, PurchaseKey, R, Sold
from server.grpc.answers import Answers, View, page_size
from server.store.records import load, records_of
from server.store.tables import RECORDS
from suyuan.v1 import event_pb2, registry_service_pb2_grpc
from suyuan.v1 import registry_service_pb2 as pb

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
            keys = records_of(view.connection, PartyKey, RECORDS[PartyKey].c.party == name)
            [registration] = view.proven_at([party.registered_index])
            return pb.GetPartyResponse(
                party=_party(party),
                keys=[_key(key) for key in sorted(keys, key=lambda key: key.added_index)],
                registration=registration,
                checkpoint=view.checkpoint(request.known_size),
            )

        return await self._answers.read(answer)

    async def ListParties(self, request: pb.ListPartiesRequest, _: Context) -> pb.ListPartiesResponse:
        """Parties in the order of their chain keys."""
        limit = page_size(request.page_size, 100)
        columns = RECORDS[Party].c

        def answer(view: View) -> pb.ListPartiesResponse:
            where = [columns.party > request.after]
            if request.role:
                where.append(columns.role == request.role)
            parties = records_of(view.connection, Party, *where, limit=limit)
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
        chain, limit = ChainKey.parse(request.chain), page_size(request.page_size, 100)
        columns = RECORDS[Listed].c

        def answer(view: View) -> pb.ListListingsResponse:
            listings = records_of(
                view.connection,
                Listed,
                columns.chain == str(chain),
                columns.merchant > request.after,
                limit=limit,
            )
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


def _one(view: View, record_type: type[R], key: Key, what: str, given: str) -> R:
    record = load(view.connection, record_type, [key]).get(key)
    if record is None:
        raise Conflict(Reason.NOT_FOUND, what, given=given, expected=f"a recorded {what}")
    return record


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
    dispatches, complaints = RECORDS[Dispatched].c, RECORDS[Complained].c
    parcels = records_of(view.connection, Dispatched, dispatches.sale == sold.event_id)
    complained = records_of(view.connection, Complained, complaints.sale == sold.event_id)
    return pb.SaleRecord(
        event_id=sold.event_id,
        index=sold.index,
        chain=sold.chain,
        merchant=sold.merchant,
        buyer_key_id=sold.buyer_key_id,
        quantity=sold.quantity,
        parcels=[dispatched.parcel for dispatched in parcels],
        receipt=sold.receipt,
        buyer_review=sold.buyer_review,
        merchant_review=sold.merchant_review,
        complaints=[one.event_id for one in sorted(complained, key=lambda one: one.index)],
    )
