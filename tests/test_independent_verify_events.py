"""The outsider's verifier and the project read the same events, and refuse the same."""

from __future__ import annotations

import string

import independent_verify as outsider
import pytest
from agreement import NOWHERE, event_of
from hypothesis import example as such_as
from hypothesis import given, settings
from hypothesis import strategies as st
from identifier_strategies import carriers, gtins, lots, members, s10_numbers, ssccs, usccs, waybill_numbers
from world import (
    CARRIER_MEMBER,
    CUP,
    PARCEL,
    REGULATOR,
    TEA,
    example,
    fields,
    p256_key,
    respellings,
    signing_key,
    varint,
    wire,
)

from ledger.chain_key import ChainKey
from ledger.errors import BadInput
from ledger.event import Event, Kind
from ledger.form import LAST_US
from suyuan.v1 import event_pb2 as pb

unhurried = settings(deadline=None)


def well_formed() -> list[pb.Event]:
    """An event of each kind that says all it can, and one that says as little as it can."""
    place, evidence = pb.Place(region="350102", gln="6901234567892"), [evidence_of()] * 2
    everything = [event_of(example(kind), place=place, evidence=evidence, seen_head=NOWHERE) for kind in Kind]
    return [*everything, event_of(pb.Receipt(sale=NOWHERE, condition=1))]


def evidence_of(media_type: str = "a/b", uri: str = "") -> pb.Evidence:
    return pb.Evidence(sha256=NOWHERE, media_type=media_type, uri=uri)


def recall(chain: str = TEA, **common) -> bytes:
    return event_of(example(Kind.RECALL), chain, **common).SerializeToString()


def both_read(raw: bytes) -> str:
    """What kind of event these bytes are, `unknown` or nothing; the same to both."""
    try:
        event = Event.parse(raw)
    except BadInput:
        theirs = ("", "", 0)
    else:
        theirs = (event.kind or "unknown", str(event.chain), event.occurred_us)
    try:
        head, number = outsider.read_event(raw, 1)
    except outsider.Refused:
        mine = ("", "", 0)
    else:
        mine = (outsider.KINDS.get(number, "unknown"), head["chain"], head["occurred_at"][0]["unix_us"])
    assert mine == theirs
    return mine[0]


NEAR = [bound + step for bound in (-840, 840, 2**31, 2**32, LAST_US) for step in (-1, 0, 1)]
NUMBERS = [*range(-1, 13), *NEAR]
ED25519, P256 = signing_key("some").public_key.spki, p256_key("some").public_key.spki
PRIME = 2**255 - 19
POINTS = [0, 1, 2, 3, 4, 5, 6, PRIME - 1, PRIME - 2, PRIME, PRIME + 1, 2**255 - 1]
OF_ORDER_8 = "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05"
KEYS = [
    *(ED25519[:12] + (y | sign << 255).to_bytes(32, "little") for y in POINTS for sign in (0, 1)),
    ED25519[:12] + bytes.fromhex(OF_ORDER_8),
    ED25519[:12] + (PRIME - int.from_bytes(bytes.fromhex(OF_ORDER_8), "little")).to_bytes(32, "little"),
    ED25519 + b"\0",
    P256,
    P256[:-1],
    P256 + b"\0",
    P256[:-1] + bytes([P256[-1] ^ 1]),
    P256[:26] + b"\x02" + P256[27:59],
    P256[:27] + bytes(64),
    P256[:27] + (2**256 - 2**224 + 2**192 + 2**96 - 1).to_bytes(32, "big") + P256[59:],
]
BYTES = [b"", *(bytes(size) for size in (1, 15, 16, 17, 31, 32, 33)), *KEYS]
WORDS = """
    350102 050102 35010 3501020 ６50102 CN cn CNN 6901234567892 6901234567893 690123456789 ٦901234567892
    2028-02-29 2027-02-29 0001-01-01 0000-01-01 9999-12-31 10000-01-01 20280229 2028-W01-1 2028-2-29 ２028-02-29
    a/b A/b a/B a/b;c=d a/b/c +/b a/+ x:y X:y 1:y x-1.+:y x:%zz x:<y> x:é x:" x:| x:[]@!$&'()*+,;=#?~ a+b
    ledger 00/006901234567892125 drug/81234567890123456789
"""
TEXTS = [
    *(letter * count for letter in "a茶" for count in (0, 1, 21, 22, 64, 65, 66, 67, 128, 129, 200, 201)),
    *("x:" + "y" * count for count in (0, 1, 1022, 1023)),
    *("a/" + "b" * count for count in (0, 1, 125, 126)),
    *(" ", "a b", " a", "a ", "\u3000a", "a\u3000", "a\u3000b", "a/b\n", "x:y\n", "2028-02-29\n", "CN\n"),
    *WORDS.split(),
    *(TEA, CUP, PARCEL, REGULATOR, CARRIER_MEMBER),
]


def pool_of(field) -> list:
    """Values at and near the bounds of anything that a field of this type may be."""
    if field.type == field.TYPE_STRING:
        return TEXTS
    if field.type == field.TYPE_BYTES:
        return BYTES
    if field.type == field.TYPE_BOOL:
        return [False, True]
    least, most = {
        field.TYPE_INT64: (-(2**63), 2**63 - 1),
        field.TYPE_UINT32: (0, 2**32 - 1),
    }.get(field.type, (-(2**31), 2**31 - 1))
    return [number for number in NUMBERS if least <= number <= most]


def parts_of(message: pb.Event) -> list:
    """The message and those in it."""
    inner = [value for field, value in message.ListFields() if field.message_type and not field.is_repeated]
    return [message, *inner, *message.evidence]


@pytest.mark.parametrize("kind", [*Kind, None])
def test_every_field_at_its_bounds(kind):
    message = well_formed()[-1 if kind is None else list(Kind).index(kind)]
    assert both_read(message.SerializeToString()) == (kind or "receipt")
    verdicts = set()
    for number, part in enumerate(parts_of(message)):
        for field in part.DESCRIPTOR.fields:
            for value in pool_of(field) if field.message_type is None else []:
                changed = pb.Event.FromString(message.SerializeToString())
                setattr(parts_of(changed)[number], field.name, value)
                verdicts.add(both_read(changed.SerializeToString()))
    assert verdicts == {kind or "receipt", ""}


def test_combinations():
    for outcome in range(5):
        for remedy in range(7):
            body = pb.ComplaintResolution(complaint=NOWHERE, outcome=outcome, remedy=remedy)
            both_read(event_of(body).SerializeToString())
    for count in (0, 31, 32, 33):
        assert bool(both_read(recall(evidence=[evidence_of()] * count))) == (count < 33)


def around(*characters: str) -> list[str]:
    """Characters and their neighbours, but for surrogates, which UTF-8 has not."""
    codes = {code for c in characters for code in range(max(0, ord(c) - 1), min(0x110000, ord(c) + 2))}
    return [chr(code) for code in sorted(codes) if not 0xD800 <= code < 0xE000]


# The ends of the ranges in docs/format.md §4, and some characters that other lists of blanks would have.
EDGES = around(
    *"\0\x1f\x20\x7f\xa0\xad\u034f\u061c\u1680\u17b4\u180e\u2000\u200f\u2028\u202f\u205f\u206f\u3000\u3164\ue000",
    *"\uf8ff\ufe00\ufeff\uffa0\ufff0\uffff\U00010000\U0001f600\U000dffff\U000e0000\U000e0fff\U000effff\U0010ffff",
)


@pytest.mark.parametrize("character", EDGES, ids=ascii)
def test_every_edge_of_what_texts_may_hold(character):
    for text in (character, f"a{character}", f"{character}a", f"a{character}b"):
        read_texts(text)


ANY_CHARACTER = st.one_of(st.characters(exclude_categories=["Cs"]), st.sampled_from([*EDGES, *"+/: "]))


@given(st.text(ANY_CHARACTER, max_size=70))
@such_as("a" * 201)
@unhurried
def test_texts(text):
    read_texts(text)


def read_texts(text: str) -> None:
    """Read events that hold the text as origin, name, licence number, title, media type and in a URI."""
    for kind, name in (
        (Kind.GENESIS, "origin"),
        (Kind.GENESIS, "regulator_name"),
        (Kind.PARTY_REGISTRATION, "name"),
        (Kind.PARTY_REGISTRATION, "licence_number"),
        (Kind.LISTING, "title"),
    ):
        body = example(kind)
        setattr(body, name, text)
        both_read(event_of(body).SerializeToString())
    both_read(recall(evidence=[evidence_of(text)]))
    both_read(recall(evidence=[evidence_of(uri=f"x:{text}")]))


@given(st.from_regex(r"[a-zA-Z0-9!#$&^_.+/;= -]{0,6}/[a-z0-9!#$&^_.+/;= -]{0,6}"))
@such_as("a/b\n")
@such_as("a/" + "b" * 125)
@such_as("a/" + "b" * 126)
@unhurried
def test_media_types(media_type):
    both_read(recall(evidence=[evidence_of(media_type)]))


@given(st.from_regex(r"[a-zA-Z0-9+.-]{0,3}:[!-~]{0,8}"))
@such_as("a:b\n")
@such_as("a:" + "b" * 1022)
@such_as("a:" + "b" * 1023)
@unhurried
def test_uris(uri):
    both_read(recall(evidence=[evidence_of(uri=uri)]))


DATE_LIKE = st.from_regex(r"[0-9]{3,5}-?[0-9W]{1,3}-?[0-3][0-9]?", fullmatch=True)


@given(st.one_of(st.dates().map(str), DATE_LIKE, st.text()))
@unhurried
def test_dates(date):
    body = example(Kind.PARTY_STATUS_CHANGE)
    body.licence_until = date
    both_read(event_of(body, REGULATOR).SerializeToString())


CHAIN_KEYS = st.one_of(
    st.just("ledger"),
    gtins.map("01/{}".format),
    st.builds(ChainKey.lot, gtins, lots),
    st.builds(ChainKey.serial, gtins, lots),
    ssccs.map("00/{}".format),
    st.builds("waybill/{}/{}".format, carriers | st.just("upu"), waybill_numbers | s10_numbers),
    st.from_regex(r"drug/[789][0-9]{18,20}", fullmatch=True),
    usccs.map("party/{}".format),
    st.builds("party/{}/{}".format, usccs, members),
)


@given(CHAIN_KEYS, st.data())
@such_as("waybill/sf/RA123456785CN", None)
@such_as("waybill/upu/RA123456785CN", None)
@such_as("waybill/sf/RA123456784CN", None)
@such_as("waybill/upu/RA123456784CN", None)
@such_as("party/91AA0102MA2XW1QL3Y", None)
@unhurried
def test_chain_keys(key, data):
    both_read(recall(key))
    if data is None:
        return
    # One character more, less or other.
    place = data.draw(st.integers(0, len(key) - 1))
    instead = data.draw(st.text(string.printable + "٣ａ", max_size=2))
    both_read(recall(key[:place] + instead + key[place + 1 :]))


def test_other_encodings_of_an_event_are_refused():
    for message in well_formed():
        assert both_read(message.SerializeToString())
        for name, raw in respellings(message).items():
            assert both_read(raw) == "", name
            # What is unknown may stand anywhere, but it is no excuse for the rest.
            assert both_read(raw + wire(99, b"new")) == "", name
            assert both_read(wire(7, b"new") + raw) == "", name


GROUPS = [
    varint(n << 3 | 3) * depth + wire(5, b"x") + varint(n << 3 | 4) * depth
    for n in (1, 7, 99)
    for depth in (1, 200)
]
VALUES = st.one_of(
    st.integers(0, 2**64 - 1).map(lambda value: (0, varint(value))),
    st.integers(0, 127).map(lambda value: (0, varint(value, 10))),
    st.binary(min_size=8, max_size=8).map(lambda value: (1, value)),
    st.binary(max_size=6).map(lambda value: (2, varint(len(value)) + value)),
    st.binary(min_size=4, max_size=4).map(lambda value: (5, value)),
    st.sampled_from([(4, b""), (6, b""), (7, b"")]),
)
FIELDS = st.one_of(
    st.builds(
        lambda number, value, longer: varint(number << 3 | value[0], longer) + value[1],
        st.sampled_from([*range(10), 15, 16, 18, 31, 32, 35, 42, 43, 99, 2**29 - 1, 2**29]),
        VALUES,
        st.sampled_from([0, 0, 0, 2, 5, 6]),
    ),
    st.sampled_from(GROUPS),
)


@pytest.mark.parametrize(
    ("body", "read"),
    [
        (wire(35, wire(1, NOWHERE) + wire(2, 1) + wire(3, 2**31)), True),
        (wire(35, wire(3, 2**32 - 1)), True),
        (wire(35, wire(3, 2**32)), False),
        (wire(35, wire(3, 2**64 - 1)), False),
        (wire(35, wire(2, 2)), False),
        (wire(35, wire(1, b"")), False),
        (wire(36, wire(2, 2**32 - 1)), True),
        (wire(36, wire(2, 2**32 + 1)), False),
        (wire(32, wire(1, b"\xff")), False),
        (wire(35, b""), True),
        (wire(35, b"") + wire(36, b""), False),
        (b"", True),
    ],
)
def test_the_body_of_an_unknown_event_is_encoded_like_any(body, read):
    head = b"".join(wire(*part) for part in fields(event_of(pb.Receipt()).SerializeToString())[:-1])
    for unknown in (wire(99, b"new"), wire(7, 0), wire(32, 7)):
        assert both_read(head + unknown + body) == ("unknown" if read else "")
        assert both_read(head + body + unknown) == ("unknown" if read else "")


@given(st.sampled_from(well_formed()), st.data())
@settings(max_examples=400, deadline=None)
def test_fields_that_should_not_be_there(message, data):
    encoded = [wire(*part) for part in fields(message.SerializeToString())]
    extra = data.draw(FIELDS)
    place = data.draw(st.integers(0, len(encoded)))
    if place < len(encoded) and data.draw(st.booleans()):
        # At the end of the message that stands there, or of what is none.
        number, value = fields(message.SerializeToString())[place]
        inner = wire(number, value + extra if isinstance(value, bytes) else value)
        both_read(b"".join([*encoded[:place], inner, *encoded[place + 1 :]]))
    both_read(b"".join([*encoded[:place], extra, *encoded[place:]]))


@given(st.sampled_from(well_formed()), st.data())
@settings(max_examples=400, deadline=None)
def test_bytes_that_are_not_as_they_were(message, data):
    raw = bytearray(message.SerializeToString())
    for _ in range(data.draw(st.integers(1, 3))):
        place = data.draw(st.integers(0, len(raw)))
        raw[place : place + data.draw(st.integers(0, 3))] = data.draw(st.binary(max_size=3))
    both_read(bytes(raw))
