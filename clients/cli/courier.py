"""`suyuan courier`: parcels on their way."""

from __future__ import annotations

from typing import Annotated

import typer

from clients.cli.codes import is_parcel, parse_hash, read_subjects
from clients.cli.commands import command, group
from clients.cli.forms import number
from clients.cli.given import signing
from clients.cli.options import CarrierOption, ConditionOption, OptionalParcelsArgument, WeightOption
from clients.cli.parties import (
    MemberArgument,
    OptionalMemberArgument,
    OwnPartyOption,
    PublicKeyOption,
    add_own_key,
    register_member,
)
from clients.cli.recording import Draft, record
from clients.cli.session import Signing
from clients.cli.words import Condition, Role, Stage
from ledger.chain_key import ChainKey
from ledger.errors import Conflict, Reason
from ledger.event import Kind
from suyuan.v1 import event_pb2 as pb

app = group("Scan parcels on their way and hand them over.")

OfSaleOption = Annotated[
    str | None,
    typer.Option(
        "--sale",
        metavar="SALE",
        help="Event id of a sale whose goods travel without a parcel: instead of BARCODE.",
    ),
]


@command(app, given=signing)
def register(
    session: Signing, *, member: MemberArgument, public_key: PublicKeyOption, party: OwnPartyOption = None
) -> None:
    """Register a courier of your own company, with a key of its own.

    Example:
      suyuan courier register k-0017 --public-key k-0017.pem.pub
    """
    register_member(session, member, Role.COURIER, public_key, party)


@command(app, given=signing, name="add-key")
def add_a_key(
    session: Signing,
    *,
    member: OptionalMemberArgument = None,
    public_key: PublicKeyOption,
    party: OwnPartyOption = None,
) -> None:
    """Add a key to your own company or a member of it, beside those that are there: before one is lost.

    Example:
      suyuan courier add-key --public-key second.pem.pub
      suyuan courier add-key k-0017 --public-key k-0017-second.pem.pub
    """
    add_own_key(session, member, public_key, party)


@command(app, given=signing)
def scan(
    session: Signing,
    *,
    stage: Annotated[Stage, typer.Argument(metavar="STAGE", help=f"What happened: {', '.join(Stage)}.")],
    parcels: OptionalParcelsArgument = None,
    weight: WeightOption = 0,
    carrier: CarrierOption = None,
    sale: OfSaleOption = None,
) -> None:
    """Record a step of parcels' way (配送).

    Example:
      suyuan courier scan picked-up SF1234567890123 SF1234567890124 --place 350102
      suyuan courier scan delivered photo.jpg --evidence doorstep.jpg
    """
    session.require_place()
    _require_one_of(parcels, sale)
    if sale is not None:
        event_id = parse_hash("sale", sale)
        chain = ChainKey.parse(session.client.sale(event_id=event_id).chain)
        body = pb.Shipment(stage=number(stage), sale=event_id, weight_g=weight)
        record(session, [Draft.write(session, stage, chain, body)])
        return
    subjects = read_subjects(parcels or (), is_parcel, carrier=carrier or session.settings.text("carrier"))
    session.confirm(subjects)
    body = pb.Shipment(stage=number(stage), weight_g=weight)
    record(session, [Draft.write(session, stage, subject.chain, body) for subject in subjects])


@command(app, given=signing)
def receive(
    session: Signing,
    *,
    parcels: OptionalParcelsArgument = None,
    condition: ConditionOption = Condition.INTACT,
    carrier: CarrierOption = None,
    sale: OfSaleOption = None,
) -> None:
    """Sign for the buyer (代收).

    With the buyer's consent, and marked as a receipt by proxy. It is recorded for every sale that was dispatched in the parcels and not yet received.

    Example:
      suyuan courier receive SF1234567890123
    """
    _require_one_of(parcels, sale)
    if sale is not None:
        event_id = parse_hash("sale", sale)
        sales = {event_id: ChainKey.parse(session.client.sale(event_id=event_id).chain)}
    else:
        subjects = read_subjects(
            parcels or (), is_parcel, carrier=carrier or session.settings.text("carrier")
        )
        session.confirm(subjects)
        sales = {}
        for subject in subjects:
            sales |= _sales_in(session, subject.chain)
    drafts = [
        Draft.write(
            session,
            f"receipt by proxy, {condition}",
            chain,
            pb.Receipt(sale=event_id, proxy=True, condition=number(condition)),
        )
        for event_id, chain in sales.items()
    ]
    record(session, drafts)


def _sales_in(session: Signing, parcel: ChainKey) -> dict[bytes, ChainKey]:
    """The sales that were dispatched in a parcel and not yet received, with their chains.

    Raises:
        Conflict: `NOT_FOUND` if none was, `RECEIPT_EXISTS` if all were received.
    """
    entries = session.client.trace(chain=parcel).entries
    received = {entry.event.message.receipt.sale for entry in entries if entry.event.kind is Kind.RECEIPT}
    dispatched = {
        entry.event.message.shipment.sale: entry.event.chain
        for entry in entries
        if entry.event.kind is Kind.SHIPMENT and entry.event.message.shipment.parcel == parcel
    }
    waiting = {sale: chain for sale, chain in dispatched.items() if sale not in received}
    if not dispatched:
        raise Conflict(
            Reason.NOT_FOUND, f"sales in {parcel}", given="none", expected="one that was dispatched in it"
        )
    if not waiting:
        raise Conflict(
            Reason.RECEIPT_EXISTS,
            f"sales in {parcel}",
            given=f"{len(dispatched)}, all received",
            expected="one that was not received yet",
        )
    return waiting


def _require_one_of(parcels: list[str] | None, sale: str | None) -> None:
    if bool(parcels) == (sale is not None):
        raise typer.BadParameter("name parcels by BARCODE, or a sale by --sale")
