"""What each field of an event may hold: the form, which needs no ledger to be judged.

The comments of proto/suyuan/v1/event.proto say it to people; this module says it to machines. Whether a well-formed
event may be recorded is for the rules.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import date
from functools import cache
from typing import Any, TypeAlias

from ledger.chain_key import ChainKey, ChainKind
from ledger.errors import BadInput, Reason
from ledger.identifiers import parse_gln, parse_region, printable
from ledger.keys import PublicKey
from suyuan.v1 import event_pb2 as pb

Body: TypeAlias = (
    pb.Genesis
    | pb.RulesAdoption
    | pb.PartyRegistration
    | pb.KeyAddition
    | pb.KeyRevocation
    | pb.PartyStatusChange
    | pb.Listing
    | pb.Sale
    | pb.Shipment
    | pb.Receipt
    | pb.Review
    | pb.FollowUp
    | pb.Complaint
    | pb.ComplaintReply
    | pb.ComplaintResolution
    | pb.Recall
    | pb.Correction
)
"""The message of one kind of event."""

HASH_BYTES = 32
NONCE_BYTES = 16
MAX_EVIDENCE = 32
MAX_NAME_BYTES = 200

MAX_MEDIA_TYPE_BYTES = 127
MAX_URI_BYTES = 1_024

LAST_US = 253_402_250_399_999_999
"""9999-12-31T09:59:59.999999Z: the last moment that calendars can show at every offset from UTC, up to 14 hours."""

_MEDIA_TYPE = re.compile(r"[a-z0-9][a-z0-9!#$&^_.+-]*/[a-z0-9][a-z0-9!#$&^_.+-]*")
# The characters of RFC 3986 and no others, so that a URI can be shown as it is.
_URI = re.compile(r"[a-z][a-z0-9+.-]*:[A-Za-z0-9._~:/?#\[\]@!$&'()*+,;=%-]+")
_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
# A fixed list, since Unicode's own categories grow from version to version: controls, invisible and direction-changing
# characters, blanks other than U+0020 and U+3000, surrogates, private use, noncharacters (docs/format.md §4).
_NOT_IN_TEXT = re.compile(
    r"[\x00-\x1f\x7f-\xa0\xad\u061c\u1680\u180e\u2000-\u200f\u2028-\u202f\u205f-\u206f"
    r"\ud800-\uf8ff\ufeff\ufff0-\uffff\U000e0000-\U0010ffff]"
)
_BLANKS = " \u3000"
_ORIGIN = re.compile(rf"[^{_BLANKS}+]+")


def malformed(subject: str, given: object, expected: object) -> BadInput:
    """A `MALFORMED_EVENT`, to be raised."""
    return BadInput(Reason.MALFORMED_EVENT, subject, given=given, expected=expected)


def check_common(event: pb.Event) -> None:
    """Check the fields that every event has, except the chain key.

    Raises:
        BadInput: `MALFORMED_EVENT` or `BAD_IDENTIFIER`.
    """
    occurred_at = event.occurred_at
    unix_us, offset = occurred_at.unix_us, occurred_at.utc_offset_minutes
    if not 1 <= unix_us <= LAST_US:
        raise malformed("occurred_at.unix_us", unix_us, f"1 to {LAST_US}")
    if not -840 <= offset <= 840:
        raise malformed("occurred_at.utc_offset_minutes", offset, "-840 to 840")
    if len(event.nonce) != NONCE_BYTES:
        raise malformed("nonce", f"{len(event.nonce)} bytes", f"{NONCE_BYTES} bytes")
    _hash_or_empty("seen_head", event.seen_head)
    if event.HasField("place"):
        place = event.place
        parse_region(place.region)
        if place.gln:
            parse_gln(place.gln)
    if event.evidence:
        _check_evidence(event)


def check_body(body: Body) -> None:
    """Check the fields of a body.

    Raises:
        BadInput: `MALFORMED_EVENT`, `BAD_CHAIN_KEY`, `BAD_IDENTIFIER` or `BAD_KEY`.
    """
    _CHECKS[type(body)](body)


def _check_evidence(event: pb.Event) -> None:
    if len(event.evidence) > MAX_EVIDENCE:
        raise malformed("evidence", f"{len(event.evidence)} files", f"at most {MAX_EVIDENCE}")
    for item in event.evidence:
        _hash("evidence.sha256", item.sha256)
        if len(item.media_type) > MAX_MEDIA_TYPE_BYTES or not _MEDIA_TYPE.fullmatch(item.media_type):
            expected = f"a media type in lower case, of at most {MAX_MEDIA_TYPE_BYTES} bytes"
            raise malformed("evidence.media_type", printable(item.media_type), expected)
        if item.uri and (len(item.uri) > MAX_URI_BYTES or not _URI.fullmatch(item.uri)):
            expected = f"an absolute URI of at most {MAX_URI_BYTES} ASCII characters (RFC 3986)"
            raise malformed("evidence.uri", printable(item.uri), expected)


def _genesis(body: pb.Genesis) -> None:
    if len(body.origin.encode()) > 128 or not _ORIGIN.fullmatch(body.origin):
        raise malformed("origin", repr(body.origin[:80]), "1 to 128 bytes without spaces or '+'")
    _text("origin", body.origin, 1, 128)
    if not body.format_version:
        raise malformed("format_version", 0, "1 or more")
    if not body.rules_version:
        raise malformed("rules_version", 0, "1 or more")
    if ChainKey.parse(body.regulator).kind is not ChainKind.PARTY:
        raise malformed("regulator", body.regulator, "party/<USCC>")
    _text("regulator_name", body.regulator_name, 1, MAX_NAME_BYTES)
    PublicKey.parse(body.regulator_key)


def _rules_adoption(body: pb.RulesAdoption) -> None:
    if not body.rules_version:
        raise malformed("rules_version", 0, "1 or more")


def _party_registration(body: pb.PartyRegistration) -> None:
    _enum("role", body.role, pb.PartyRole)
    _text("name", body.name, 0, MAX_NAME_BYTES)
    _text("licence_number", body.licence_number, 0, 64)
    _date("licence_until", body.licence_until)
    PublicKey.parse(body.public_key)


def _key_addition(body: pb.KeyAddition) -> None:
    PublicKey.parse(body.public_key)


def _key_revocation(body: pb.KeyRevocation) -> None:
    _hash("key_id", body.key_id)
    _enum("reason", body.reason, pb.RevocationReason)


def _party_status_change(body: pb.PartyStatusChange) -> None:
    _enum("status", body.status, pb.PartyStatus)
    _enum("reason", body.reason, pb.StatusReason)
    _date("licence_until", body.licence_until)


def _listing(body: pb.Listing) -> None:
    _text("title", body.title, 1, MAX_NAME_BYTES)
    _enum("category", body.category, pb.ProductCategory)
    if body.origin_region:
        parse_region(body.origin_region)


def _sale(body: pb.Sale) -> None:
    PublicKey.parse(body.buyer_key)
    if not body.quantity:
        raise malformed("quantity", 0, "1 or more")
    _hash_or_empty("order_commitment", body.order_commitment)


def _shipment(body: pb.Shipment) -> None:
    _enum("stage", body.stage, pb.ShipmentStage)
    _hash_or_empty("sale", body.sale)
    if body.parcel and not ChainKey.parse(body.parcel).is_parcel:
        raise malformed("parcel", body.parcel, "chain key of a waybill or an SSCC")


def _receipt(body: pb.Receipt) -> None:
    _hash("sale", body.sale)
    _enum("condition", body.condition, pb.GoodsCondition)


def _review(body: pb.Review) -> None:
    _hash("sale", body.sale)
    if not 1 <= body.rating <= 5:
        raise malformed("rating", body.rating, "1 to 5")
    for name in ("product_rating", "description_rating", "delivery_rating"):
        if getattr(body, name) > 5:
            raise malformed(name, getattr(body, name), "0 to 5")
    _hash_or_empty("text_commitment", body.text_commitment)


def _follow_up(body: pb.FollowUp) -> None:
    _hash("review", body.review)
    if body.rating > 5:
        raise malformed("rating", body.rating, "0 to 5")
    _hash_or_empty("text_commitment", body.text_commitment)


def _complaint(body: pb.Complaint) -> None:
    _hash("sale", body.sale)
    _enum("category", body.category, pb.ComplaintCategory)
    _enum("remedy", body.remedy, pb.Remedy)
    _hash_or_empty("text_commitment", body.text_commitment)


def _complaint_reply(body: pb.ComplaintReply) -> None:
    _hash("complaint", body.complaint)
    _enum("stance", body.stance, pb.ReplyStance)
    _hash_or_empty("text_commitment", body.text_commitment)


def _complaint_resolution(body: pb.ComplaintResolution) -> None:
    _hash("complaint", body.complaint)
    _enum("outcome", body.outcome, pb.ComplaintOutcome)
    refused = body.outcome == pb.COMPLAINT_OUTCOME_REFUSED
    if refused != (body.remedy == pb.REMEDY_UNSPECIFIED):
        given = f"{pb.Remedy.Name(body.remedy) if body.remedy in pb.Remedy.values() else body.remedy}"
        expected = "no remedy where the complaint is refused, one where it is not"
        raise malformed("remedy", given, expected)
    if not refused:
        _enum("remedy", body.remedy, pb.Remedy)
    _hash_or_empty("text_commitment", body.text_commitment)


def _recall(body: pb.Recall) -> None:
    _enum("reason", body.reason, pb.RecallReason)
    _hash_or_empty("text_commitment", body.text_commitment)


def _correction(body: pb.Correction) -> None:
    _hash("event", body.event)
    _enum("reason", body.reason, pb.CorrectionReason)
    _hash_or_empty("replacement", body.replacement)


_CHECKS: dict[type[Any], Callable[[Any], None]] = {
    pb.Genesis: _genesis,
    pb.RulesAdoption: _rules_adoption,
    pb.PartyRegistration: _party_registration,
    pb.KeyAddition: _key_addition,
    pb.KeyRevocation: _key_revocation,
    pb.PartyStatusChange: _party_status_change,
    pb.Listing: _listing,
    pb.Sale: _sale,
    pb.Shipment: _shipment,
    pb.Receipt: _receipt,
    pb.Review: _review,
    pb.FollowUp: _follow_up,
    pb.Complaint: _complaint,
    pb.ComplaintReply: _complaint_reply,
    pb.ComplaintResolution: _complaint_resolution,
    pb.Recall: _recall,
    pb.Correction: _correction,
}


def _hash(name: str, value: bytes) -> None:
    if len(value) != HASH_BYTES:
        raise malformed(name, f"{len(value)} bytes", f"{HASH_BYTES} bytes")


def _hash_or_empty(name: str, value: bytes) -> None:
    if value and len(value) != HASH_BYTES:
        raise malformed(name, f"{len(value)} bytes", f"{HASH_BYTES} bytes, or none")


def _enum(name: str, value: int, enum: Any) -> None:
    """Refuse 0, which says nothing, and numbers that this version has no word for."""
    if value == 0 or value not in _values(enum):
        names = ", ".join(word for word in enum.keys() if enum.Value(word))  # noqa: SIM118 - not a dict
        raise malformed(name, value, f"one of {names}")


@cache
def _values(enum: Any) -> frozenset[int]:
    return frozenset(enum.values())


def _text(name: str, value: str, least: int, most: int) -> None:
    """Refuse texts that are too long, blank at an end, or hold what does not show or changes the direction."""
    if not least <= len(value.encode()) <= most:
        raise malformed(name, f"{len(value.encode())} bytes", f"{least} to {most} bytes")
    if value != value.strip(_BLANKS) or _NOT_IN_TEXT.search(value):
        expected = "text without control or invisible characters, or blanks at its ends"
        raise malformed(name, ascii(value[:80]), expected)


def _date(name: str, value: str) -> None:
    if not value:
        return
    try:
        if not _DATE.fullmatch(value):
            raise ValueError  # noqa: TRY301 - one message for both
        date.fromisoformat(value)
    except ValueError:
        raise malformed(name, repr(value[:20]), "a date such as 2027-03-31") from None
