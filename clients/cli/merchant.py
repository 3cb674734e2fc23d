"""`suyuan merchant`: list, sell, dispatch, answer complaints."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from clients.cli import selling
from clients.cli.codes import is_parcel, is_product, parse_hash, read_subject, read_subjects
from clients.cli.commands import command, group
from clients.cli.forms import number
from clients.cli.given import signing
from clients.cli.inputs import commitment_to
from clients.cli.options import (
    MOST,
    BarcodeArgument,
    CarrierOption,
    ParcelsArgument,
    SaleArgument,
    TextFileOption,
    TextOption,
    WeightOption,
    word_option,
)
from clients.cli.parties import (
    MemberArgument,
    OptionalMemberArgument,
    OwnPartyOption,
    PublicKeyOption,
    add_own_key,
    register_member,
)
from clients.cli.recalling import RecallReasonOption, recall
from clients.cli.recording import Draft, record
from clients.cli.session import Signing
from clients.cli.words import Category, Outcome, Remedy, Role, Stance
from clients.events import Commitment
from ledger.chain_key import ChainKey
from ledger.errors import BadInput, Reason
from ledger.event import Kind
from suyuan.v1 import event_pb2 as pb

app = group("List, sell, dispatch; answer complaints.")


@command(app, given=signing)
def register(
    session: Signing, *, member: MemberArgument, public_key: PublicKeyOption, party: OwnPartyOption = None
) -> None:
    """Register a member of your own company, with a key of its own.

    Example:
      suyuan merchant register till-2 --public-key till-2.pem.pub
    """
    register_member(session, member, Role.MERCHANT, public_key, party)


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
      suyuan merchant add-key --public-key second.pem.pub
      suyuan merchant add-key till-2 --public-key till-2-second.pem.pub
    """
    add_own_key(session, member, public_key, party)


@command(app, given=signing, name="list")
def list_product(
    session: Signing,
    *,
    barcode: BarcodeArgument,
    title: Annotated[str, typer.Option("--title", metavar="TEXT", help="What the product is called.")],
    category: Annotated[Category, word_option("--category", Category, "What kind of goods it is")],
    weight: Annotated[
        int,
        typer.Option(
            "--weight",
            min=0,
            max=MOST,
            metavar="GRAMS",
            help="Weight of one packed unit.",
            show_default=False,
        ),
    ] = 0,
    origin: Annotated[
        str, typer.Option("--origin", metavar="REGION", help="Region of origin, such as 350102.")
    ] = "",
) -> None:
    """Offer a product (上架); listing it again replaces the title.

    Example:
      suyuan merchant list 6901234567892 --title "茉莉花茶 250 g" --category food
    """
    subject = read_subject(barcode, is_product)
    session.confirm([subject])
    body = pb.Listing(title=title, category=number(category), gross_weight_g=weight, origin_region=origin)
    record(session, [Draft.write(session, "listing", subject.chain, body)])


@command(app, given=signing)
def sell(
    session: Signing,
    *,
    barcode: Annotated[
        str | None,
        typer.Argument(
            metavar="BARCODE", help="What was sold: digits, a GS1 string, a chain key, or a picture file."
        ),
    ] = None,
    token: Annotated[
        Path | None,
        typer.Option(
            "--token", metavar="FILE", help="Where the purchase token goes: a new file, yours alone."
        ),
    ] = None,
    qr: Annotated[
        Path | None,
        typer.Option(
            "--qr",
            metavar="FILE",
            help="Draw it as a QR code too (.png, .svg or .pdf); see also `suyuan label --token`.",
        ),
    ] = None,
    quantity: Annotated[
        int, typer.Option("--quantity", min=1, max=MOST, metavar="N", help="Units sold.")
    ] = 1,
    order: Annotated[
        str | None,
        typer.Option(
            "--order", metavar="TEXT", help="Order number. The ledger keeps only a commitment to it."
        ),
    ] = None,
    resume: Annotated[
        Path | None,
        typer.Option(
            "--resume", metavar="FILE", help="Finish a sale of which no answer came: its .pending file."
        ),
    ] = None,
) -> None:
    """Record a sale (销售), make the purchase token.

    The token is the buyer's only means to receive, review and complain. Hand it over with the parcel or on the order
    page; no copy is kept.

    Example:
      suyuan merchant sell 6901234567892 --token order-17.token --qr order-17.png
    """
    if resume is not None:
        if barcode is not None or token is not None:
            raise typer.BadParameter("--resume takes all but --qr from the file")
        selling.resume(session, resume, qr)
        return
    if barcode is None or token is None:
        raise typer.BadParameter("a sale needs BARCODE and --token FILE")
    subject = read_subject(barcode, is_product)
    session.confirm([subject])
    selling.sell(
        session,
        subject.chain,
        quantity=quantity,
        order=None if order is None else Commitment.to(order),
        token=token,
        qr=qr,
    )


@command(app, given=signing)
def dispatch(
    session: Signing,
    *,
    sale: SaleArgument,
    parcels: ParcelsArgument,
    weight: WeightOption = 0,
    carrier: CarrierOption = None,
) -> None:
    """Send a sale off (发货).

    It is bound to the parcels that it travels in.

    Example:
      suyuan merchant dispatch 5fd9…  SF1234567890123 --place 350102
      suyuan merchant dispatch 5fd9…  waybill.jpg --carrier zto --place 350102
    """
    session.require_place()
    event_id = parse_hash("sale", sale)
    subjects = read_subjects(parcels, is_parcel, carrier=carrier or session.settings.text("carrier"))
    session.confirm(subjects)
    chain = ChainKey.parse(session.client.sale(event_id=event_id).chain)
    drafts = [
        Draft.write(
            session,
            f"dispatch in {subject.chain}",
            chain,
            pb.Shipment(
                stage=pb.SHIPMENT_STAGE_DISPATCHED, sale=event_id, parcel=subject.chain, weight_g=weight
            ),
        )
        for subject in subjects
    ]
    record(session, drafts)


@command(app, given=signing)
def reply(
    session: Signing,
    *,
    complaint: Annotated[
        str, typer.Argument(metavar="COMPLAINT", help="Event id of the complaint, 64 hexadecimal digits.")
    ],
    stance: Annotated[Stance | None, word_option("--stance", Stance, "What you make of it")] = None,
    resolve: Annotated[
        Outcome | None, word_option("--resolve", Outcome, "End the complaint; how it ended")
    ] = None,
    remedy: Annotated[
        Remedy | None, word_option("--remedy", Remedy, "With --resolve, unless refused, what was given")
    ] = None,
    text: TextOption = None,
    text_file: TextFileOption = None,
) -> None:
    """Answer a complaint, end it, or both. Platforms and regulators answer with it too.

    Example:
      suyuan merchant reply 77aa… --stance accepted --text "We refund you today."
      suyuan merchant reply 77aa… --resolve settled --remedy refund
    """
    if stance is None and resolve is None:
        raise typer.BadParameter("an answer needs --stance, --resolve or both")
    if (remedy is None) == (resolve not in (None, Outcome.REFUSED)):
        raise typer.BadParameter(
            "--remedy goes with --resolve upheld and --resolve settled, and with no other"
        )
    event_id = parse_hash("complaint", complaint)
    words = commitment_to(text, text_file)
    chain = _chain_of_complaint(session, event_id)
    drafts: list[Draft] = []
    if stance is not None:
        answer = pb.ComplaintReply(
            complaint=event_id, stance=number(stance), text_commitment=words.digest if words else b""
        )
        drafts.append(Draft.write(session, f"reply, {stance}", chain, answer, words))
    if resolve is not None:
        # The words are said once.
        last = None if drafts else words
        end = pb.ComplaintResolution(
            complaint=event_id,
            outcome=number(resolve),
            remedy=number(remedy) if remedy else pb.REMEDY_UNSPECIFIED,
            text_commitment=last.digest if last else b"",
        )
        drafts.append(Draft.write(session, f"resolution, {resolve}", chain, end, last))
    record(session, drafts)


@command(app, given=signing, name="recall")
def recall_product(
    session: Signing,
    *,
    barcode: BarcodeArgument,
    reason: RecallReasonOption,
    text: TextOption = None,
    text_file: TextFileOption = None,
) -> None:
    """Call a product or a lot back (召回) that you have listed.

    Example:
      suyuan merchant recall "(01)06901234567892(10)A7" --reason contamination
    """
    recall(session, barcode, reason, commitment_to(text, text_file))


def _chain_of_complaint(session: Signing, event_id: bytes) -> ChainKey:
    entry = session.client.entry(event_id=event_id)
    if entry.event.kind is not Kind.COMPLAINT:
        raise BadInput(
            Reason.INVALID_REQUEST,
            f"event {event_id.hex()}",
            given=f"a {entry.event.kind}",
            expected="a complaint",
        )
    return entry.event.chain
