from __future__ import annotations

import hashlib
from datetime import datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st
from world import (
    COURIER,
    CUP,
    MERCHANT,
    PARCEL,
    TEA,
    City,
    Log,
    example,
    respellings,
    signing_key,
    varint,
    wire,
)

from ledger.chain_key import ChainKey
from ledger.envelope import Envelope
from ledger.errors import BadInput, Reason
from ledger.event import MAX_EVENT_BYTES, Event, Kind, moment, unix_us
from ledger.form import LAST_US
from ledger.sequence import Submission
from suyuan.v1 import event_pb2 as pb

CHINA = timezone(timedelta(hours=8))
NONCE = bytes(range(16))
WHEN = datetime(2026, 5, 4, 9, 0, 0, 123_456, tzinfo=CHINA)
HASH = hashlib.sha256(b"seen").digest()
FILE = pb.Evidence(sha256=HASH, media_type="image/jpeg", uri="https://files.example/7.jpg")
OTHER_ENCODING = "event: given another encoding of it, expected the canonical encoding"
NO_MESSAGE = "event: given bytes that are no protobuf message, expected a serialised suyuan.v1.Event"


def of_kind(kind, **more):
    """An event of this kind with every field that an event can have."""
    more = {"region": "350102", "gln": "6901234567892", "evidence": [FILE, FILE], "seen_head": HASH} | more
    return Event.write(TEA, example(kind), occurred_at=WHEN, nonce=NONCE, **more)


def refusal_of(raw, reason=Reason.MALFORMED_EVENT):
    with pytest.raises(BadInput) as refused:
        Event.parse(raw)
    assert refused.value.reason is reason
    return str(refused.value)


LISTED = of_kind(Kind.LISTING)
HEADER = LISTED.raw[: LISTED.raw.index(wire(32, LISTED.body.SerializeToString()))]
LISTING = wire(32, LISTED.body.SerializeToString())

# What an event is


@pytest.mark.parametrize("kind", Kind)
def test_an_event_of_each_kind_is_written_and_read(kind):
    event = of_kind(kind)
    assert Event.parse(event.raw) == event
    assert event.id == hashlib.sha256(event.raw).digest()
    assert (event.chain, event.kind, event.body) == (TEA, kind, example(kind))
    assert event.message.nonce == NONCE
    assert event.message.place == pb.Place(region="350102", gln="6901234567892")
    assert list(event.message.evidence) == [FILE, FILE]
    assert event.message.seen_head == HASH
    assert event.occurred_at == WHEN
    assert event.occurred_at.utcoffset() == timedelta(hours=8)
    assert event.message.SerializeToString() == event.raw


def test_kinds_are_the_bodies_of_the_contract():
    bodies = pb.Event.DESCRIPTOR.oneofs_by_name["body"].fields
    assert [*Kind] == [field.name for field in bodies]
    assert min(field.number for field in bodies) == 16


def test_the_bytes_of_an_event():
    occurred = wire(1, unix_us(WHEN)) + wire(2, 2 * 480)
    assert of_kind(Kind.LISTING, evidence=[], gln="", seen_head=b"").raw == (
        wire(1, TEA.encode()) + wire(2, occurred) + wire(3, wire(1, b"350102")) + wire(4, NONCE) + LISTING
    )


def test_a_body_that_says_nothing_is_there_all_the_same():
    # No kind may be empty by its form, so the form is what refuses it, not a missing body.
    with pytest.raises(BadInput) as refused:
        Event.write(TEA, pb.Recall(), occurred_at=WHEN, nonce=NONCE)
    assert refused.value.subject == "reason"


MORE = st.fixed_dictionaries(
    {"nonce": st.binary(min_size=16, max_size=16)},
    optional={
        "region": st.sampled_from(["350102", "DE"]),
        "gln": st.just("6901234567892"),
        "evidence": st.lists(st.just(FILE), max_size=3),
        "seen_head": st.just(HASH),
    },
).filter(lambda more: "region" in more or "gln" not in more)


@given(
    st.sampled_from([TEA, CUP, PARCEL, COURIER]),
    st.sampled_from(Kind),
    st.integers(1, LAST_US),
    st.integers(-840, 840),
    MORE,
)
def test_what_is_written_is_what_is_read(chain, kind, us, offset, more):
    at = moment(us).astimezone(timezone(timedelta(minutes=offset)))
    event = Event.write(chain, example(kind), occurred_at=at, **more)
    assert Event.parse(event.raw) == event
    assert event.occurred_us == us
    assert (event.occurred_at, event.occurred_at.utcoffset()) == (at, at.utcoffset())
    assert event.message.HasField("place") == ("region" in more)


@pytest.mark.parametrize("minutes", [-840, -30, 0, 345, 840])
@pytest.mark.parametrize("us", [1, LAST_US])
def test_every_moment_can_be_shown_at_every_offset(us, minutes):
    message = pb.Event()
    message.CopyFrom(LISTED.message)
    message.occurred_at.unix_us, message.occurred_at.utc_offset_minutes = us, minutes
    event = Event.parse(message.SerializeToString())
    shown = event.occurred_at
    assert unix_us(shown) == us
    assert shown.utcoffset() == timedelta(minutes=minutes)


def test_a_time_without_an_offset_is_refused():
    with pytest.raises(BadInput) as refused:
        Event.write(TEA, example(Kind.LISTING), occurred_at=WHEN.replace(tzinfo=None), nonce=NONCE)
    assert refused.value.reason is Reason.MALFORMED_EVENT
    assert str(refused.value) == (
        "occurred_at: given 2026-05-04T09:00:00.123456 without an offset, expected a time with an offset"
    )


def test_a_location_needs_its_region():
    with pytest.raises(BadInput) as refused:
        of_kind(Kind.LISTING, region="", gln="6901234567892")
    assert refused.value.reason is Reason.BAD_IDENTIFIER
    assert str(refused.value) == (
        "region: given an empty text, expected six digits (GB/T 2260) or two capital letters (ISO 3166-1)"
    )


@given(st.integers(1, LAST_US))
def test_moments_are_exact_to_the_microsecond(us):
    assert unix_us(moment(us)) == us


# What no event is


@pytest.mark.parametrize("kind", Kind)
def test_every_other_encoding_of_an_event_is_refused(kind):
    event = of_kind(kind)
    spelled = respellings(event.message)
    assert len(spelled) > 50
    for name, raw in spelled.items():
        assert raw != event.raw
        assert refusal_of(raw) == OTHER_ENCODING, name


def test_every_other_encoding_of_an_event_with_no_more_than_it_needs_is_refused():
    spelled = respellings(of_kind(Kind.RECALL, region="", gln="", evidence=[], seen_head=b"").message)
    assert "seen_head said to be nothing" in spelled
    for name, raw in spelled.items():
        assert refusal_of(raw) == OTHER_ENCODING, name


SALE = wire(33, example(Kind.SALE).SerializeToString())


@pytest.mark.parametrize(
    "bodies", [LISTING + SALE, SALE + LISTING, LISTING + LISTING, LISTING + wire(32, b"")]
)
def test_two_bodies_are_refused(bodies):
    assert refusal_of(HEADER + bodies) == OTHER_ENCODING


def test_no_body_is_refused():
    assert refusal_of(HEADER) == "event: given no body, expected one body"


def test_numbers_beyond_their_type_are_refused():
    """A lenient reader cuts them to 32 bits, and reads what was not written."""
    body = wire(1, b"title") + wire(2, 3)
    assert Event.parse(HEADER + wire(32, body)).kind is Kind.LISTING
    for category in (3 + 2**32, 3 + 2**63):
        assert refusal_of(HEADER + wire(32, wire(1, b"title") + wire(2, category))) == OTHER_ENCODING
    assert refusal_of(HEADER + wire(32, body + wire(3, 2**32 + 5))) == OTHER_ENCODING


def test_a_truth_value_is_0_or_1():
    receipt = wire(1, HASH), wire(3, 1)
    assert Event.parse(HEADER + wire(35, receipt[0] + wire(2, 1) + receipt[1])).body.proxy
    assert refusal_of(HEADER + wire(35, receipt[0] + wire(2, 2) + receipt[1])) == OTHER_ENCODING


@pytest.mark.parametrize(
    "raw",
    [
        b"\x0a",
        HEADER + b"\xff",
        HEADER + LISTING[:-1],
        HEADER + varint(99 << 3 | 3),  # a group that is not ended
        HEADER + varint(99 << 3 | 4),  # a group that was not begun
        HEADER + varint(99 << 3 | 6) + b"\0",  # no such wire type
        HEADER + varint(0) + b"\0",  # no such field
        HEADER + wire(32, wire(1, b"\xff\xfe")),  # not UTF-8
        HEADER + wire(32, wire(1, "\ud800".encode("utf-8", "surrogatepass"))),
        (varint(99 << 3 | 3) * 5_000) + (varint(99 << 3 | 4) * 5_000),  # nested beyond any depth
    ],
)
def test_what_is_no_protobuf_message_is_refused(raw):
    assert refusal_of(raw) == NO_MESSAGE


def test_every_beginning_of_an_event_is_refused():
    for kind in Kind:
        raw = of_kind(kind).raw
        for length in range(len(raw)):
            with pytest.raises(BadInput) as refused:
                Event.parse(raw[:length])
            assert refused.value.reason in {Reason.MALFORMED_EVENT, Reason.BAD_CHAIN_KEY}, length


@given(st.binary(max_size=300))
def test_random_bytes_are_no_event(junk):
    with pytest.raises(BadInput):
        Event.parse(junk)


@given(st.data())
def test_damaged_events_are_refused_or_read_and_nothing_else_happens(data):
    raw = bytearray(of_kind(data.draw(st.sampled_from(Kind))).raw)
    for _ in range(data.draw(st.integers(1, 3))):
        raw[data.draw(st.integers(0, len(raw) - 1))] = data.draw(st.integers(0, 255))
    try:
        event = Event.parse(bytes(raw))
    except BadInput:
        return
    assert event.raw == bytes(raw)
    event.occurred_at  # noqa: B018 - that it can be shown


@pytest.mark.parametrize(
    ("chain", "message"),
    [
        ("01/06901234567890", "GTIN 06901234567890 check digit in chain key: given 0, expected 2"),
        ("00/106141412345678907", "SSCC 106141412345678907 check digit in chain key: given 7, expected 8"),
        (
            "party/91350102MA2XW1QL3X",
            "USCC 91350102MA2XW1QL3X check character in chain key: given X, expected Y",
        ),
        ("01/6901234567892", None),
        ("01/06901234567892/", None),
        (" 01/06901234567892", None),
        ("01/0690123456789２", None),
    ],
)
def test_a_chain_key_in_another_spelling_or_with_a_wrong_check_digit_is_refused(chain, message):
    raw = wire(1, chain.encode()) + LISTED.raw[len(wire(1, TEA.encode())) :]
    refusal = refusal_of(raw, Reason.BAD_CHAIN_KEY)
    if message is not None:
        assert refusal == message


# What this version does not know

UNKNOWN = {
    "a body": HEADER + wire(99, b"\x08\x01"),
    "a body beside a known one": LISTED.raw + wire(99, b"\x08\x01"),
    "a field of every event": HEADER + LISTING + wire(7, 5),
    "a field of the body": HEADER + wire(32, LISTED.body.SerializeToString() + wire(9, 1)),
    "a field of the place": LISTED.raw.replace(
        wire(3, LISTED.message.place.SerializeToString()),
        wire(3, LISTED.message.place.SerializeToString() + wire(3, b"x")),
    ),
    "a field of evidence": LISTED.raw.replace(
        wire(5, FILE.SerializeToString()), wire(5, FILE.SerializeToString() + wire(9, b"x")), 1
    ),
    "a known number of another type": HEADER + wire(32, 5),
}


@pytest.mark.parametrize("name", UNKNOWN)
def test_an_event_that_says_more_than_this_version_knows_is_read_and_has_no_kind(name):
    event = Event.parse(UNKNOWN[name])
    assert event.kind is None
    assert event.chain == TEA
    assert event.id == hashlib.sha256(UNKNOWN[name]).digest()
    assert event.occurred_at == WHEN
    with pytest.raises(BadInput) as refused:
        event.body  # noqa: B018 - that it cannot be had
    assert refused.value.reason is Reason.UNKNOWN_KIND
    assert str(refused.value) == "event: given a kind unknown to this version, expected a known kind"


@pytest.mark.parametrize("name", UNKNOWN)
def test_an_event_that_says_more_than_this_version_knows_is_not_submitted(name):
    envelope = Envelope.seal(UNKNOWN[name], signing_key("anybody"))
    with pytest.raises(BadInput) as refused:
        Submission.read(envelope.raw)
    assert refused.value.reason is Reason.UNKNOWN_KIND
    assert str(refused.value) == "event: given a kind or field unknown to this version, expected known ones"


def test_what_every_event_says_must_hold_for_unknown_kinds_too():
    header = HEADER.replace(wire(4, NONCE), wire(4, NONCE[1:]))
    assert refusal_of(header + wire(99, b"")) == "nonce: given 15 bytes, expected 16 bytes"


# Length


def test_the_longest_event():
    room = MAX_EVENT_BYTES - len(HEADER) - len(wire(99, bytes(40_000))) + 40_000
    assert len(HEADER + wire(99, bytes(room))) == 49_152
    assert Event.parse(HEADER + wire(99, bytes(room))).kind is None
    message = "event: given 49153 bytes, expected at most 49152 bytes"
    assert refusal_of(HEADER + wire(99, bytes(room + 1)), Reason.EVENT_TOO_LARGE) == message


def test_no_known_event_comes_near_the_greatest_length():
    long = pb.Evidence(sha256=HASH, media_type=f"a/{'b' * 125}", uri=f"https:{'x' * 1018}")
    event = of_kind(Kind.PARTY_REGISTRATION, evidence=[long] * 32)
    assert 38_000 < len(event.raw) < MAX_EVENT_BYTES - 10_000


# Refused where they are submitted, with nothing recorded, and found by an auditor who meets them in a log


@pytest.fixture(scope="module")
def city_and_log():
    city, log = City(), Log()
    log.append(*city.founding())
    return city, log


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        (HEADER, Reason.MALFORMED_EVENT),
        (HEADER + LISTING + SALE, Reason.MALFORMED_EVENT),
        (LISTED.raw[:-1], Reason.MALFORMED_EVENT),
        (b"", Reason.BAD_CHAIN_KEY),
        (LISTED.raw.replace(TEA.encode(), b"01/06901234567890"), Reason.BAD_CHAIN_KEY),
        (
            LISTED.raw.replace(b"6901234567892", b"6901234567890").replace(
                b"01/06901234567890", TEA.encode()
            ),
            Reason.BAD_IDENTIFIER,
        ),
        (HEADER + wire(99, bytes(50_000)), Reason.EVENT_TOO_LARGE),
        (HEADER + wire(33, wire(1, b"no key") + wire(2, 1)), Reason.BAD_KEY),
    ],
)
def test_a_bad_event_is_refused_and_found(city_and_log, raw, reason):
    city, log = city_and_log
    assert log.refusal(Envelope.seal(raw, city.key(MERCHANT))).reason is reason


@pytest.mark.parametrize("raw", [b"", b"\x0a", bytes(65_001)])
def test_a_bad_envelope_is_refused_and_found(city_and_log, raw):
    refusal = city_and_log[1].refusal(raw)
    assert refusal.reason in {Reason.MALFORMED_ENVELOPE, Reason.EVENT_TOO_LARGE}


def test_ledger_is_a_chain_for_events():
    event = Event.write(ChainKey("ledger"), example(Kind.GENESIS), occurred_at=WHEN, nonce=NONCE)
    assert event.chain == "ledger"
