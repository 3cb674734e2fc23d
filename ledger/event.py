"""One signed statement about one chain.

An event is the canonical protobuf encoding of `suyuan.v1.Event`, and its id is the SHA-256 of those bytes. Its body is
the generated message itself: the messages are the signed format, and a second set of classes would only repeat it.

`Event.parse` accepts what format version 1 allows and nothing else, with one exception: an event that says something
this version does not know (a new body, a new field) is parsed with `kind` None, so that a verifier can still check
signature, chain and tree, and say so. `Event.write` makes the bytes of a new event.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import field
from datetime import UTC, datetime, timedelta, timezone
from enum import StrEnum

from google.protobuf.message import DecodeError

from ledger.chain_key import ChainKey
from ledger.errors import BadInput, Reason
from ledger.form import Body, check_body, check_common, malformed
from ledger.value import value
from ledger.wire import has_unknown_fields
from suyuan.v1 import event_pb2

MAX_EVENT_BYTES = 49_152
"""48 KiB."""

NONCE_BYTES = 16


class Kind(StrEnum):
    """What an event says; the names are those of the body fields of `suyuan.v1.Event`."""

    GENESIS = "genesis"
    RULES_ADOPTION = "rules_adoption"
    PARTY_REGISTRATION = "party_registration"
    KEY_ADDITION = "key_addition"
    KEY_REVOCATION = "key_revocation"
    PARTY_STATUS_CHANGE = "party_status_change"
    LISTING = "listing"
    SALE = "sale"
    SHIPMENT = "shipment"
    RECEIPT = "receipt"
    REVIEW = "review"
    FOLLOW_UP = "follow_up"
    COMPLAINT = "complaint"
    COMPLAINT_REPLY = "complaint_reply"
    COMPLAINT_RESOLUTION = "complaint_resolution"
    RECALL = "recall"
    CORRECTION = "correction"


_KINDS = {str(kind): kind for kind in Kind}
_KIND_OF_BODY = {
    getattr(event_pb2, field.message_type.name): Kind(field.name)
    for field in event_pb2.Event.DESCRIPTOR.oneofs_by_name["body"].fields
    if field.message_type is not None
}


@value(frozen=True, slots=True)
class Event:
    """A parsed event; equal to another if its bytes are."""

    id: bytes
    """SHA-256 of `raw`."""
    raw: bytes
    """The bytes that were signed."""
    chain: ChainKey
    """What the event is about."""
    kind: Kind | None
    """What it says; None if this version does not know."""
    occurred_us: int = field(compare=False, repr=False)
    """When it happened, microseconds since 1970-01-01T00:00:00Z."""
    message: event_pb2.Event = field(compare=False, repr=False)
    """The parsed message."""

    @classmethod
    def parse(cls, raw: bytes) -> Event:
        """Read an event's bytes.

        Raises:
            BadInput: `EVENT_TOO_LARGE`; `MALFORMED_EVENT` if they are not canonical or a field's value is not allowed;
                `BAD_CHAIN_KEY`, `BAD_IDENTIFIER` or `BAD_KEY` if one of those is what is wrong.
        """
        if len(raw) > MAX_EVENT_BYTES:
            raise BadInput(
                Reason.EVENT_TOO_LARGE,
                "event",
                given=f"{len(raw)} bytes",
                expected=f"at most {MAX_EVENT_BYTES} bytes",
            )
        try:
            message = event_pb2.Event.FromString(raw)
        except DecodeError:
            raise malformed(
                "event", "bytes that are no protobuf message", "a serialised suyuan.v1.Event"
            ) from None
        message.DiscardUnknownFields()
        known = message.SerializeToString() == raw
        if not known and not has_unknown_fields(raw, event_pb2.Event.DESCRIPTOR):
            raise malformed("event", "another encoding of it", "the canonical encoding")
        chain = ChainKey.parse(message.chain)
        check_common(message)
        name = message.WhichOneof("body")
        if name is None and known:
            raise malformed("event", "no body", "one body")
        kind = _KINDS[name] if name is not None and known else None
        if kind is not None:
            check_body(getattr(message, kind))
        return cls(hashlib.sha256(raw).digest(), raw, chain, kind, message.occurred_at.unix_us, message)

    @classmethod
    def write(
        cls,
        chain: ChainKey,
        body: Body,
        *,
        occurred_at: datetime,
        nonce: bytes,
        region: str = "",
        gln: str = "",
        evidence: Sequence[event_pb2.Evidence] = (),
        seen_head: bytes = b"",
    ) -> Event:
        """Make a new event.

        Args:
            chain: what it is about.
            body: what it says, a message of one of the kinds.
            occurred_at: when it happened, with an offset from UTC.
            nonce: 16 random bytes.
            region: GB/T 2260 or ISO 3166-1 code of where it happened, or empty.
            gln: Global Location Number of where it happened, or empty.
            evidence: files that support it.
            seen_head: hash of the chain's last entry that the signer saw, or empty.

        Raises:
            BadInput: as `parse`; `MALFORMED_EVENT` if `occurred_at` has no offset.
        """
        offset = occurred_at.utcoffset()
        if offset is None:
            raise malformed(
                "occurred_at", f"{occurred_at.isoformat()} without an offset", "a time with an offset"
            )
        message = event_pb2.Event(chain=str(chain), nonce=nonce, evidence=evidence, seen_head=seen_head)
        message.occurred_at.unix_us = unix_us(occurred_at)
        message.occurred_at.utc_offset_minutes = int(offset.total_seconds() // 60)
        if region or gln:
            message.place.region = region
            message.place.gln = gln
        getattr(message, _KIND_OF_BODY[type(body)].value).CopyFrom(body)
        # A body whose fields are all defaults must still be there.
        getattr(message, _KIND_OF_BODY[type(body)].value).SetInParent()
        return cls.parse(message.SerializeToString())

    @property
    def body(self) -> Body:
        """The body's message; only where `kind` is known."""
        if self.kind is None:
            raise BadInput(
                Reason.UNKNOWN_KIND, "event", given="a kind unknown to this version", expected="a known kind"
            )
        body: Body = getattr(self.message, self.kind)
        return body

    @property
    def occurred_at(self) -> datetime:
        """When it happened, with the offset that the signer's clock showed."""
        offset = timezone(timedelta(minutes=self.message.occurred_at.utc_offset_minutes))
        return moment(self.occurred_us).astimezone(offset)


def unix_us(at: datetime) -> int:
    """Microseconds since 1970-01-01T00:00:00Z of a time with an offset."""
    return (at - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)


def moment(us: int) -> datetime:
    """The time in UTC of microseconds since 1970-01-01T00:00:00Z."""
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=us)
