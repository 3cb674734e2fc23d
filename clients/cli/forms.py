"""Between the messages of the protocol and what people and programs read: words for enums, hexadecimal for bytes."""

from __future__ import annotations

from enum import StrEnum
from typing import Any, Final

from google.protobuf.descriptor import EnumDescriptor
from google.protobuf.message import Message

from clients.cli import words
from clients.cli.output import utc_text
from clients.verify import VerifiedEntry
from ledger.checkpoint import Checkpoint
from suyuan.v1 import event_pb2, flags_pb2

_ENUMS: Final[dict[type[StrEnum], EnumDescriptor]] = {
    words.Role: event_pb2.PartyRole.DESCRIPTOR,
    words.Revocation: event_pb2.RevocationReason.DESCRIPTOR,
    words.StatusReason: event_pb2.StatusReason.DESCRIPTOR,
    words.Category: event_pb2.ProductCategory.DESCRIPTOR,
    words.Stage: event_pb2.ShipmentStage.DESCRIPTOR,
    words.Condition: event_pb2.GoodsCondition.DESCRIPTOR,
    words.Grievance: event_pb2.ComplaintCategory.DESCRIPTOR,
    words.Remedy: event_pb2.Remedy.DESCRIPTOR,
    words.Stance: event_pb2.ReplyStance.DESCRIPTOR,
    words.Outcome: event_pb2.ComplaintOutcome.DESCRIPTOR,
    words.RecallReason: event_pb2.RecallReason.DESCRIPTOR,
}
"""Which enum of the protocol each set of words stands for."""


def number(word: StrEnum) -> Any:
    """The value of the protocol's enum that a word stands for."""
    enum = _ENUMS[type(word)]
    return enum.values_by_name[_prefix(enum) + word.name].number


def word(enum: EnumDescriptor, value: int) -> str | None:
    """What a value of an enum is called here; None for the one that says nothing."""
    if value == 0:
        return None
    known = enum.values_by_number.get(value)
    if known is None:
        return f"unknown-{value}"
    name: str = known.name.removeprefix(_prefix(enum))
    return name.lower().replace("_", "-")


def role_word(value: int) -> str:
    """What a role is called."""
    return word(event_pb2.PartyRole.DESCRIPTOR, value) or "buyer"


def status_word(value: int) -> str:
    """What a party's status is called."""
    return word(event_pb2.PartyStatus.DESCRIPTOR, value) or "unknown"


def flag_words(flags: tuple[int, ...]) -> list[str]:
    """What an entry's flags are called."""
    return [word(flags_pb2.EventFlag.DESCRIPTOR, flag) or "" for flag in flags]


def body_record(body: Message) -> dict[str, Any]:
    """A body for programs: every field, `None` where it says nothing."""
    return {field.name: _value(field, getattr(body, field.name)) for field in body.DESCRIPTOR.fields}


def checkpoint_record(checkpoint: Checkpoint) -> dict[str, Any]:
    """A checkpoint for programs."""
    return {"origin": checkpoint.origin, "size": checkpoint.size, "root": checkpoint.root.hex()}


def entry_record(entry: VerifiedEntry) -> dict[str, Any]:
    """An entry for programs."""
    event = entry.event
    message = event.message
    return {
        "index": entry.index,
        "chain": str(event.chain),
        "chain_seq": entry.entry.chain_seq,
        "kind": event.kind,
        "event": event.id.hex(),
        "entry_hash": entry.hash.hex(),
        "occurred_at": utc_text(event.occurred_us),
        "utc_offset_minutes": message.occurred_at.utc_offset_minutes,
        "recorded_at": utc_text(entry.entry.recorded_at_us),
        "place": message.place.region or None,
        "gln": message.place.gln or None,
        "signer": entry.signer or None,
        "key_id": entry.envelope.key_id.hex(),
        "signature_verified": entry.signature_verified,
        "flags": flag_words(entry.flags),
        "evidence": [
            {"sha256": item.sha256.hex(), "media_type": item.media_type, "uri": item.uri or None}
            for item in message.evidence
        ],
        "body": None if event.kind is None else body_record(event.body),
    }


def _value(field: Any, value: Any) -> Any:
    if field.enum_type is not None:
        return word(field.enum_type, value)
    if isinstance(value, bytes):
        return value.hex() or None
    if isinstance(value, str):
        return value or None
    return value


def _prefix(enum: EnumDescriptor) -> str:
    return enum.values_by_number[0].name.removesuffix("UNSPECIFIED")
