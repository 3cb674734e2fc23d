"""`suyuan consumer`: what a buyer says, with the purchase token and nothing else."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from clients.cli.commands import command, group
from clients.cli.forms import number
from clients.cli.given import buying
from clients.cli.inputs import commitment_to
from clients.cli.options import ConditionOption, TextFileOption, TextOption, word_option
from clients.cli.recording import Draft, record
from clients.cli.session import Buying
from clients.cli.words import Condition, Grievance, Remedy
from ledger.chain_key import ChainKey
from ledger.errors import BadInput, Conflict, Reason
from suyuan.v1 import event_pb2 as pb

if TYPE_CHECKING:
    from clients.answers import VerifiedSale

app = group(
    "Receive, review and complain with a purchase token: no account, no name. The token comes with the parcel; "
    "who holds it speaks as the buyer."
)

RatingOption = Annotated[
    int, typer.Option("--rating", min=1, max=5, metavar="1-5", help="1 is worst, 5 best.")
]


def _aspect(name: str, what: str) -> typer.models.OptionInfo:
    option: typer.models.OptionInfo = typer.Option(
        f"--{name}",
        min=0,
        max=5,
        metavar="1-5",
        help=f"The same for the {what} alone; 0, the default, says nothing of it.",
        show_default=False,
    )
    return option


@command(app, given=buying)
def receive(
    session: Buying,
    *,
    condition: ConditionOption = Condition.INTACT,
) -> None:
    """Confirm that the goods are in your hands (签收).

    Example:
      suyuan consumer receive --token slip.jpg
    """
    sale = _sale(session)
    body = pb.Receipt(sale=sale.event_id, condition=number(condition))
    record(session, [Draft.write(session, f"receipt, {condition}", ChainKey.parse(sale.chain), body)])


@command(app, given=buying)
def review(
    session: Buying,
    *,
    rating: RatingOption,
    product: Annotated[int, _aspect("product", "product")] = 0,
    description: Annotated[int, _aspect("description", "description")] = 0,
    delivery: Annotated[int, _aspect("delivery", "delivery")] = 0,
    text: TextOption = None,
    text_file: TextFileOption = None,
) -> None:
    """Review the purchase (评价), once; then `follow-up`.

    Example:
      suyuan consumer review --token slip.jpg --rating 4 --text "Fine tea, slow delivery."
    """
    words = commitment_to(text, text_file)
    sale = _sale(session)
    body = pb.Review(
        sale=sale.event_id,
        rating=rating,
        product_rating=product,
        description_rating=description,
        delivery_rating=delivery,
        text_commitment=words.digest if words else b"",
    )
    record(session, [Draft.write(session, f"review, {rating} of 5", ChainKey.parse(sale.chain), body, words)])


@command(app, given=buying, name="follow-up")
def follow_up(
    session: Buying,
    *,
    rating: Annotated[
        int,
        typer.Option(
            "--rating",
            min=0,
            max=5,
            metavar="1-5",
            help="A new rating; by default it stands.",
            show_default=False,
        ),
    ] = 0,
    text: TextOption = None,
    text_file: TextFileOption = None,
) -> None:
    """Add to your review (追评).

    Example:
      suyuan consumer follow-up --token slip.jpg --text "Still fresh after a month."
    """
    words = commitment_to(text, text_file)
    sale = _sale(session)
    if not sale.buyer_review:
        raise Conflict(
            Reason.REVIEW_UNKNOWN,
            f"review of sale {sale.event_id.hex()}",
            given="none by the buyer",
            expected="a review before a follow-up",
        )
    body = pb.FollowUp(
        review=sale.buyer_review, rating=rating, text_commitment=words.digest if words else b""
    )
    record(session, [Draft.write(session, "follow-up", ChainKey.parse(sale.chain), body, words)])


@command(app, given=buying)
def complain(
    session: Buying,
    *,
    category: Annotated[Grievance, word_option("--category", Grievance, "What is wrong")],
    remedy: Annotated[Remedy, word_option("--remedy", Remedy, "What you ask for")],
    text: TextOption = None,
    text_file: TextFileOption = None,
) -> None:
    """Complain (投诉).

    The event's id, which is printed, is what answers refer to.

    Example:
      suyuan consumer complain --token slip.jpg --category damaged --remedy refund
    """
    words = commitment_to(text, text_file)
    sale = _sale(session)
    body = pb.Complaint(
        sale=sale.event_id,
        category=number(category),
        remedy=number(remedy),
        text_commitment=words.digest if words else b"",
    )
    record(session, [Draft.write(session, f"complaint, {category}", ChainKey.parse(sale.chain), body, words)])


def _sale(session: Buying) -> VerifiedSale:
    """The sale that the token is for.

    Raises:
        BadInput: `BAD_KEY` if the token's key is not the one that the sale names.
    """
    token = session.token
    sale = session.client.sale(event_id=token.sale)
    key_id = token.key.public_key.key_id
    if sale.buyer_key_id != key_id:
        raise BadInput(
            Reason.BAD_KEY,
            "purchase key in the token",
            given=key_id.hex(),
            expected=f"{sale.buyer_key_id.hex()}, which sale {sale.event_id.hex()} names",
        )
    return sale
