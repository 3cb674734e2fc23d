from __future__ import annotations

import pytest
from world import TEA, example, respellings, varint, wire

from ledger.errors import BadInput
from ledger.event import Kind
from ledger.wire import has_unknown_fields
from suyuan.v1 import event_pb2 as pb

EVENT = pb.Event.DESCRIPTOR


def message(**body) -> bytes:
    event = pb.Event(
        chain=TEA, nonce=bytes(16), occurred_at=pb.OccurredAt(unix_us=1, utc_offset_minutes=-1), **body
    )
    event.evidence.add(media_type="a/b")
    event.evidence.add()
    return event.SerializeToString()


@pytest.mark.parametrize("kind", Kind)
def test_what_is_known_in_full_has_no_unknown_fields(kind):
    raw = message(**{kind: example(kind)})
    assert not has_unknown_fields(raw, EVENT)
    assert not has_unknown_fields(b"", EVENT)


@pytest.mark.parametrize(
    "more",
    [
        wire(99, b"new"),
        wire(99, b""),
        wire(99, 0),
        wire(2**29 - 1, 2**64 - 1),
        varint(99 << 3 | 1) + bytes(8),
        varint(99 << 3 | 5) + bytes(4),
        # Listed numbers, with other wire types.
        wire(1, 7),
        varint(2 << 3 | 1) + bytes(8),
    ],
)
def test_unknown_fields_may_stand_anywhere(more):
    parts = [wire(1, TEA.encode()), wire(2, wire(1, 1)), wire(4, bytes(16)), wire(35, wire(2, 1))]
    for place in range(5):
        assert has_unknown_fields(b"".join([*parts[:place], more, more, *parts[place:]]), EVENT)
    assert has_unknown_fields(
        b"".join([*parts[:3], wire(35, wire(1, b"x") + wire(9, b"") + wire(2, 1))]), EVENT
    )


NOT_CANONICAL = {
    "a group": varint(99 << 3 | 3) + varint(99 << 3 | 4),
    "the end of a group": varint(99 << 3 | 4),
    "no wire type": varint(99 << 3 | 6),
    "no number": wire(0, 1),
    "a number too large": wire(2**29, 1),
    "a long tag": varint(99 << 3, 3) + b"\1",
    "a long varint": varint(99 << 3) + varint(1, 2),
    "a varint of 65 bits": varint(99 << 3) + varint(2**64),
    "a varint of eleven bytes": varint(99 << 3) + varint(2**71),
    "a varint without an end": varint(99 << 3) + b"\x80",
    "a tag without a value": varint(99 << 3),
    "a length too large": varint(99 << 3 | 2) + b"\2\0",
    "fixed bytes cut short": varint(99 << 3 | 1) + bytes(7),
    "a default": wire(6, b""),
    "a field too early": wire(6, b"x") + wire(4, b"x"),
    "a field twice": wire(6, b"x") * 2,
    "two bodies": wire(35, b"") + wire(36, b""),
    "neither false nor true": wire(35, wire(2, 2)),
    "an enum of 33 bits": wire(35, wire(3, 2**32)),
    "a number of 33 bits": wire(36, wire(2, 2**32)),
    "an offset of 33 bits": wire(2, wire(2, 2**32)),
}


@pytest.mark.parametrize("raw", NOT_CANONICAL.values(), ids=NOT_CANONICAL)
def test_what_is_not_canonical_is_refused_beside_what_is_unknown(raw):
    for given in (raw, raw + wire(99, b""), wire(7, b"") + raw):
        with pytest.raises(BadInput) as refused:
            has_unknown_fields(given, EVENT)
        assert str(refused.value) == "event: given another encoding of it, expected the canonical encoding"


def test_every_other_encoding_of_what_is_known_is_refused():
    for raw in respellings(pb.Event.FromString(message(shipment=example(Kind.SHIPMENT)))).values():
        with pytest.raises(BadInput):
            has_unknown_fields(raw + wire(99, b"new"), EVENT)
