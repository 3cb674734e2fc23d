"""`suyuan platform`: register merchants, read histories."""

from __future__ import annotations

import typer

from clients.cli.codes import parse_hash, parse_party, read_subject
from clients.cli.commands import command, group
from clients.cli.given import reading, signing
from clients.cli.history import fetch_chain, fetch_sale, show_history
from clients.cli.options import CarrierOption, MaybeBarcodeArgument, SaleOption
from clients.cli.parties import (
    LicenceNumberOption,
    LicenceUntilOption,
    NameOption,
    PartyArgument,
    PublicKeyOption,
    add_key,
)
from clients.cli.parties import register as register_party
from clients.cli.session import Session, Signing
from clients.cli.words import Role

app = group("Register merchants; read a product's history.")


@command(app, given=signing)
def register(
    session: Signing,
    *,
    party: PartyArgument,
    name: NameOption,
    public_key: PublicKeyOption,
    licence_number: LicenceNumberOption = "",
    licence_until: LicenceUntilOption = "",
) -> None:
    r"""Register a merchant, whose licence you have checked.

    Example:
      suyuan platform register 91350102MA2XW1QL3Y --name 闽茶坊 \
        --public-key merchant.pem.pub --licence-until 2027-03-31
    """
    register_party(
        session,
        parse_party(party),
        Role.MERCHANT,
        public_key,
        name=name,
        licence_number=licence_number,
        licence_until=licence_until,
    )


@command(app, given=signing, name="add-key")
def add_a_key(session: Signing, *, party: PartyArgument, public_key: PublicKeyOption) -> None:
    """Add a key to a merchant that you have registered, or to yourself, beside those that are there.

    Example:
      suyuan platform add-key 91350102MA2XW1QL3Y --public-key second.pem.pub
    """
    add_key(session, parse_party(party), public_key)


@command(app, given=reading)
def history(
    session: Session,
    *,
    barcode: MaybeBarcodeArgument = None,
    sale: SaleOption = None,
    carrier: CarrierOption = None,
) -> None:
    """Draw all that is recorded of a barcode, verified.

    It may be of a product, lot, item, parcel or party, or a sale.

    Example:
      suyuan platform history 6901234567892
      suyuan platform history parcel.jpg
    """
    if (barcode is None) == (sale is None):
        raise typer.BadParameter("name BARCODE, or a sale by --sale")
    if sale is not None:
        record = fetch_sale(session, parse_hash("sale", sale))
    else:
        carrier = carrier or session.settings.text("carrier")
        record = fetch_chain(session, read_subject(barcode or "", carrier=carrier).chain)
    show_history(session, record)
