"""The wire format of protocol buffers, as far as it takes to read what this version does not know in full.

A message that is known in full is canonical if it serialises to the same bytes again. One with unknown fields in it
does not: parsers put them last, and differ in what they forgive on the way. So that all verifiers draw the same line,
such a message is read here byte by byte (docs/format.md §1, §9).
"""

from __future__ import annotations

from google.protobuf.descriptor import Descriptor, FieldDescriptor

from ledger.errors import BadInput
from ledger.form import malformed

_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
_FIXED_SIZE = {_FIXED64: 8, _FIXED32: 4}
_MAX_FIELD_NUMBER = 2**29 - 1
_MAX_VARINT_BYTES = 10

_MOST = {
    FieldDescriptor.TYPE_BOOL: 1,
    FieldDescriptor.TYPE_ENUM: 2**32 - 1,
    FieldDescriptor.TYPE_UINT32: 2**32 - 1,
    FieldDescriptor.TYPE_SINT32: 2**32 - 1,
    FieldDescriptor.TYPE_INT64: 2**64 - 1,
    FieldDescriptor.TYPE_UINT64: 2**64 - 1,
}
"""The integer types in use, and what their varints can say at most."""


def has_unknown_fields(raw: bytes, descriptor: Descriptor) -> bool:
    """Whether a message holds fields, at any depth, that its descriptor does not list with their wire types.

    Those may stand anywhere, but have no groups among them and no varint that is longer than it needs to be. Without
    them the message must be in its one encoding. That texts are UTF-8 is left to parsers, which agree on it.

    Raises:
        BadInput: `MALFORMED_EVENT`: it is not.
    """
    found = False
    last = position = 0
    chosen = set()
    while position < len(raw):
        tag, position = _varint(raw, position)
        number, wire_type = tag >> 3, tag & 7
        value, start = 0, position
        if wire_type in {_VARINT, _BYTES}:
            value, start = _varint(raw, position)
        position = start + (value if wire_type == _BYTES else _FIXED_SIZE.get(wire_type, 0))
        if (
            not 1 <= number <= _MAX_FIELD_NUMBER
            or wire_type not in {_VARINT, _FIXED64, _BYTES, _FIXED32}
            or position > len(raw)
        ):
            raise _not_canonical()
        field = descriptor.fields_by_number.get(number)
        if field is None or wire_type != (_VARINT if field.type in _MOST else _BYTES):
            found = True
            continue
        oneof = field.containing_oneof
        if number < last or (number == last and not field.is_repeated) or (oneof and oneof.name in chosen):
            raise _not_canonical()
        last = number
        if oneof:
            chosen.add(oneof.name)
        if field.message_type is not None:
            found |= has_unknown_fields(raw[start:position], field.message_type)
        elif not 1 <= value <= _MOST.get(field.type, len(raw)):
            raise _not_canonical()
    return found


def _varint(raw: bytes, position: int) -> tuple[int, int]:
    """The varint that stands there, which must be as short as possible, and where it ends."""
    value = 0
    for count, byte in enumerate(raw[position : position + _MAX_VARINT_BYTES]):
        value |= (byte & 0x7F) << 7 * count
        if byte < 0x80:
            if (count and not byte) or value >= 2**64:
                break
            return value, position + count + 1
    raise _not_canonical()


def _not_canonical() -> BadInput:
    return malformed("event", "another encoding of it", "the canonical encoding")
