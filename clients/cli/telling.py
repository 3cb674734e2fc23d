"""What an event says, in words: a headline and the particulars below it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final

from clients.cli.forms import flag_words, role_word, status_word, word
from clients.cli.places import place_name
from ledger.event import Event, Kind
from ledger.keys import key_id_of
from suyuan.v1 import event_pb2 as pb

_STARS: Final = "★"


@dataclass(slots=True)
class Told:
    """An event in words."""

    headline: str
    particulars: list[str] = field(default_factory=list)
    alarming: bool = False
    """Whether nobody should miss it."""


def tell_event(event: Event) -> Told:
    """What an event says; of a kind unknown to this version, only that."""
    if event.kind is None:
        return Told("said something that this version does not know")
    told = _TELLERS[event.kind](event.body, event.occurred_at.year)
    told.particulars += [
        f"evidence {item.media_type} sha256 {item.sha256.hex()[:16]}…{f' {item.uri}' if item.uri else ''}"
        for item in event.message.evidence
    ]
    return told


def tell_flags(flags: tuple[int, ...]) -> str:
    """Flags in words."""
    return ", ".join(name.replace("-", " ") for name in flag_words(flags))


def _genesis(body: pb.Genesis, _: int) -> Told:
    return Told(
        f"log {body.origin} founded",
        [f"format {body.format_version}, rules {body.rules_version}", f"regulator {body.regulator_name}"],
    )


def _rules_adoption(body: pb.RulesAdoption, _: int) -> Told:
    return Told(f"rules version {body.rules_version} adopted")


def _registration(body: pb.PartyRegistration, _: int) -> Told:
    licence = " ".join(
        filter(None, [body.licence_number, body.licence_until and f"until {body.licence_until}"])
    )
    return Told(
        f"registered as {role_word(body.role)}",
        [*filter(None, [body.name, licence and f"licence {licence}"]), _key(key_id_of(body.public_key))],
    )


def _key_addition(body: pb.KeyAddition, _: int) -> Told:
    return Told("key added", [_key(key_id_of(body.public_key))])


def _key_revocation(body: pb.KeyRevocation, _: int) -> Told:
    return Told(f"key revoked: {_word(pb.RevocationReason, body.reason)}", [_key(body.key_id)])


def _status_change(body: pb.PartyStatusChange, _: int) -> Told:
    until = [f"licence until {body.licence_until}"] if body.licence_until else []
    return Told(f"{status_word(body.status)}: {_word(pb.StatusReason, body.reason)}", until)


def _listing(body: pb.Listing, year: int) -> Told:
    about = [_word(pb.ProductCategory, body.category)]
    if body.gross_weight_g:
        about.append(f"{body.gross_weight_g} g")
    if body.origin_region:
        about.append(f"from {place_name(body.origin_region, year)}")
    return Told("listed", [body.title, ", ".join(about)])


def _sale(body: pb.Sale, _: int) -> Told:
    return Told(f"sold, {body.quantity} {'unit' if body.quantity == 1 else 'units'}")


def _shipment(body: pb.Shipment, _: int) -> Told:
    particulars = [f"in {body.parcel}"] if body.parcel else []
    if body.weight_g:
        particulars.append(f"weighed {body.weight_g} g")
    return Told(_word(pb.ShipmentStage, body.stage), particulars)


def _receipt(body: pb.Receipt, _: int) -> Told:
    by_proxy = ", by a courier for the buyer" if body.proxy else ""
    return Told(f"received, {_word(pb.GoodsCondition, body.condition)}{by_proxy}")


def _review(body: pb.Review, _: int) -> Told:
    aspects = {
        "product": body.product_rating,
        "description": body.description_rating,
        "delivery": body.delivery_rating,
    }
    said = ", ".join(f"{name} {rating}" for name, rating in aspects.items() if rating)
    return Told(
        f"reviewed, {_rating(body.rating)}", [*filter(None, [said]), *_committed(body.text_commitment)]
    )


def _follow_up(body: pb.FollowUp, _: int) -> Told:
    rating = f", now {_rating(body.rating)}" if body.rating else ""
    return Told(f"added to the review{rating}", _committed(body.text_commitment))


def _complaint(body: pb.Complaint, _: int) -> Told:
    asked = f"asks for {_word(pb.Remedy, body.remedy)}"
    return Told(
        f"complained: {_word(pb.ComplaintCategory, body.category)}",
        [asked, *_committed(body.text_commitment)],
    )


def _reply(body: pb.ComplaintReply, _: int) -> Told:
    return Told(
        f"answered the complaint: {_word(pb.ReplyStance, body.stance)}",
        [_about("complaint", body.complaint), *_committed(body.text_commitment)],
    )


def _resolution(body: pb.ComplaintResolution, _: int) -> Told:
    given = f", {_word(pb.Remedy, body.remedy)}" if body.remedy else ""
    return Told(
        f"ended the complaint: {_word(pb.ComplaintOutcome, body.outcome)}{given}",
        [_about("complaint", body.complaint), *_committed(body.text_commitment)],
    )


def _recall(body: pb.Recall, _: int) -> Told:
    return Told(
        f"RECALLED: {_word(pb.RecallReason, body.reason)}", _committed(body.text_commitment), alarming=True
    )


def _correction(body: pb.Correction, _: int) -> Told:
    particulars = [_about("event", body.event)]
    if body.replacement:
        particulars.append(f"right is event {body.replacement.hex()[:16]}…")
    return Told(f"corrected: {_word(pb.CorrectionReason, body.reason)}", particulars)


_TELLERS: Final[dict[Kind, Callable[[Any, int], Told]]] = {
    Kind.GENESIS: _genesis,
    Kind.RULES_ADOPTION: _rules_adoption,
    Kind.PARTY_REGISTRATION: _registration,
    Kind.KEY_ADDITION: _key_addition,
    Kind.KEY_REVOCATION: _key_revocation,
    Kind.PARTY_STATUS_CHANGE: _status_change,
    Kind.LISTING: _listing,
    Kind.SALE: _sale,
    Kind.SHIPMENT: _shipment,
    Kind.RECEIPT: _receipt,
    Kind.REVIEW: _review,
    Kind.FOLLOW_UP: _follow_up,
    Kind.COMPLAINT: _complaint,
    Kind.COMPLAINT_REPLY: _reply,
    Kind.COMPLAINT_RESOLUTION: _resolution,
    Kind.RECALL: _recall,
    Kind.CORRECTION: _correction,
}


def _word(enum: Any, value: int) -> str:
    return (word(enum.DESCRIPTOR, value) or "not said").replace("-", " ")


def _rating(rating: int) -> str:
    return f"{_STARS * rating} {rating} of 5"


def _key(key_id: bytes) -> str:
    return f"key {key_id.hex()}"


def _about(what: str, event_id: bytes) -> str:
    return f"about {what} {event_id.hex()[:16]}…"


def _committed(commitment: bytes) -> list[str]:
    return ["with a text, kept elsewhere"] if commitment else []
