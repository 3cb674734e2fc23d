from __future__ import annotations

from enum import StrEnum

import pytest
from world import City, example

from clients.cli import words
from clients.cli.forms import _ENUMS, body_record, entry_record, flag_words, number, role_word, word
from clients.verify import VerifiedEntry
from ledger.entry import Entry
from ledger.event import Kind
from ledger.merkle import leaf_hash
from suyuan.v1 import event_pb2 as pb
from suyuan.v1 import flags_pb2

WORDS = [
    one
    for one in vars(words).values()
    if isinstance(one, type) and issubclass(one, StrEnum) and one is not StrEnum
]
OTHERS = {words.KeyKind, words.LabelKind}
"""Words that stand for nothing in the protocol."""


def test_every_set_of_words_stands_for_an_enum():
    assert set(_ENUMS) | OTHERS == set(WORDS)


@pytest.mark.parametrize("one", _ENUMS, ids=lambda one: one.__name__)
def test_every_value_of_an_enum_has_its_word(one):
    enum = _ENUMS[one]
    by_word = {word(enum, value.number): value.number for value in enum.values if value.number}
    if one is words.Stage:
        assert by_word.pop("dispatched") == pb.SHIPMENT_STAGE_DISPATCHED, "the merchant's own command"
    assert {str(member): number(member) for member in one} == by_word


@pytest.mark.parametrize("one", WORDS, ids=lambda one: one.__name__)
def test_a_word_is_its_name(one):
    assert all(member.value == member.name.lower().replace("_", "-") for member in one)


def test_values_that_say_nothing_and_unknown_ones():
    assert word(pb.Remedy.DESCRIPTOR, 0) is None
    assert word(pb.Remedy.DESCRIPTOR, 99) == "unknown-99"
    assert role_word(0) == "buyer"
    assert flag_words((1, 3, 77)) == ["late", "proxy-receipt", "unknown-77"]


@pytest.mark.parametrize("kind", Kind)
def test_every_body_for_programs(kind):
    body = example(kind)
    record = body_record(body)
    assert list(record) == [field.name for field in body.DESCRIPTOR.fields]
    assert all(value is None or isinstance(value, str | int) for value in record.values())
    assert record != body_record(type(body)())


def test_bytes_are_hexadecimal_and_nothing_is_null():
    assert body_record(pb.Review(sale=b"\x01\xff" * 16, rating=4)) == {
        "sale": "01ff" * 16,
        "rating": 4,
        "product_rating": 0,
        "description_rating": 0,
        "delivery_rating": 0,
        "text_commitment": None,
    }


def test_an_event_of_a_kind_unknown_to_this_version():
    city = City()
    envelope = city.listing()
    event = pb.Event.FromString(envelope.payload)
    event.ClearField("listing")
    # Field 99, of length 1.
    raw = event.SerializeToString() + bytes.fromhex("9a0601ff")
    from ledger.envelope import Envelope
    from ledger.keys import Signer

    signer: Signer = city.key("merchant")
    entry = Entry(0, b"", 1, Envelope.seal(raw, signer).raw)
    data = entry.encode()
    verified = VerifiedEntry.open(7, data, (flags_pb2.EVENT_FLAG_LATE,), leaf_hash(data))
    record = entry_record(verified)
    assert (record["index"], record["kind"], record["body"], record["flags"]) == (7, None, None, ["late"])
    assert record["signature_verified"] is False
