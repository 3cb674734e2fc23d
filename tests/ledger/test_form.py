from __future__ import annotations

import re
import sys
import unicodedata
from pathlib import Path

import pytest
from hypothesis import example as for_example
from hypothesis import given
from hypothesis import strategies as st
from world import CARRIER_MEMBER, COURIER, PARCEL, TEA, example

from ledger.errors import BadInput, Reason
from ledger.event import Kind
from ledger.form import _NOT_IN_TEXT, LAST_US, check_body, check_common
from suyuan.v1 import event_pb2 as pb

PLAIN = "text without control or invisible characters, or blanks at its ends"
NO_KEY = "expected DER SubjectPublicKeyInfo of an Ed25519 key or an uncompressed P-256 key"


def refusal_of(check, message):
    with pytest.raises(BadInput) as refused:
        check(message)
    return refused.value.reason, str(refused.value)


def body_with(kind, **fields):
    body = example(kind)
    for name, value in fields.items():
        setattr(body, name, value)
    return body


def event_with(**fields):
    event = pb.Event(chain=TEA, nonce=bytes(16))
    event.occurred_at.unix_us = 1_777_856_400_000_000
    for name, value in fields.items():
        owner = event
        *path, last = name.split("__")
        for step in path:
            owner = getattr(owner, step)
        setattr(owner, last, value)
    return event


def fields_of(*types):
    """Every field of these types of every body: kind and descriptor."""
    bodies = {kind: type(example(kind)).DESCRIPTOR for kind in Kind}
    return [(kind, field) for kind, body in bodies.items() for field in body.fields if field.type in types]


def name_of(part):
    return part if isinstance(part, str) else getattr(part, "name", repr(part))


@pytest.mark.parametrize("kind", Kind)
def test_the_examples_are_well_formed(kind):
    check_body(example(kind))


# Words: every enum of every body

ENUMS = fields_of(pb.Listing.DESCRIPTOR.fields_by_name["category"].TYPE_ENUM)


def test_all_enums_are_looked_at():
    assert len(ENUMS) == 14


@pytest.mark.parametrize(("kind", "field"), ENUMS, ids=name_of)
def test_every_word_is_one_that_this_version_has(kind, field):
    words = [value.name for value in field.enum_type.values if value.number]
    for number in range(1, len(words) + 1):
        if (kind, field.name) != (Kind.COMPLAINT_RESOLUTION, "outcome"):  # which goes with the remedy
            check_body(body_with(kind, **{field.name: number}))
    for number in (len(words) + 1, 99, -1):
        reason, message = refusal_of(check_body, body_with(kind, **{field.name: number}))
        assert reason is Reason.MALFORMED_EVENT
        assert message == f"{field.name}: given {number}, expected one of {', '.join(words)}"


@pytest.mark.parametrize(("kind", "field"), ENUMS, ids=name_of)
def test_a_word_that_says_nothing_is_refused(kind, field):
    reason, message = refusal_of(check_body, body_with(kind, **{field.name: 0}))
    assert reason is Reason.MALFORMED_EVENT
    if (kind, field.name) != (Kind.COMPLAINT_RESOLUTION, "remedy"):
        assert message.startswith(f"{field.name}: given 0, expected one of ")


@pytest.mark.parametrize(
    ("outcome", "remedy", "given"),
    [
        (pb.COMPLAINT_OUTCOME_REFUSED, pb.REMEDY_REFUND, "REMEDY_REFUND"),
        (pb.COMPLAINT_OUTCOME_REFUSED, 99, "99"),
        (pb.COMPLAINT_OUTCOME_UPHELD, 0, "REMEDY_UNSPECIFIED"),
        (pb.COMPLAINT_OUTCOME_SETTLED, 0, "REMEDY_UNSPECIFIED"),
    ],
)
def test_a_remedy_is_given_exactly_where_a_complaint_is_not_refused(outcome, remedy, given):
    body = body_with(Kind.COMPLAINT_RESOLUTION, outcome=outcome, remedy=remedy)
    assert refusal_of(check_body, body) == (
        Reason.MALFORMED_EVENT,
        f"remedy: given {given}, expected no remedy where the complaint is refused, one where it is not",
    )


def test_outcomes_with_their_remedies():
    check_body(body_with(Kind.COMPLAINT_RESOLUTION, outcome=pb.COMPLAINT_OUTCOME_REFUSED, remedy=0))
    for outcome in (pb.COMPLAINT_OUTCOME_UPHELD, pb.COMPLAINT_OUTCOME_SETTLED):
        check_body(body_with(Kind.COMPLAINT_RESOLUTION, outcome=outcome, remedy=pb.REMEDY_APOLOGY))


# Hashes and keys: every bytes field of every body

KEYS = {"public_key", "regulator_key", "buyer_key"}
BYTES = fields_of(pb.Sale.DESCRIPTOR.fields_by_name["buyer_key"].TYPE_BYTES)
MAY_BE_EMPTY = {"order_commitment", "text_commitment", "replacement"}


@pytest.mark.parametrize(("kind", "field"), [it for it in BYTES if it[1].name not in KEYS], ids=name_of)
def test_every_hash_has_32_bytes(kind, field):
    optional = field.name in MAY_BE_EMPTY or (kind, field.name) == (Kind.SHIPMENT, "sale")
    expected = "32 bytes, or none" if optional else "32 bytes"
    lengths = [1, 31, 33, 64] if optional else [0, 1, 31, 33, 64]
    for length in lengths:
        assert refusal_of(check_body, body_with(kind, **{field.name: bytes(length)})) == (
            Reason.MALFORMED_EVENT,
            f"{field.name}: given {length} bytes, expected {expected}",
        )
    for length in {0, 32} - set(lengths):
        check_body(body_with(kind, **{field.name: bytes(length)}))


@pytest.mark.parametrize(("kind", "field"), [it for it in BYTES if it[1].name in KEYS], ids=name_of)
def test_every_key_is_one(kind, field):
    for spki, shown in ((b"", "0 bytes"), (b"no key", "6 bytes 6e6f206b6579")):
        assert refusal_of(check_body, body_with(kind, **{field.name: spki})) == (
            Reason.BAD_KEY,
            f"public key: given {shown}, {NO_KEY}",
        )


# Texts

TEXTS = [
    (Kind.GENESIS, "regulator_name", 1, 200),
    (Kind.PARTY_REGISTRATION, "name", 0, 200),
    (Kind.PARTY_REGISTRATION, "licence_number", 0, 64),
    (Kind.LISTING, "title", 1, 200),
]


@pytest.mark.parametrize(("kind", "field", "least", "most"), TEXTS)
def test_texts_have_their_lengths_in_bytes(kind, field, least, most):
    for text in ("x" * least, "x" * most, "茶" * (most // 3)):
        check_body(body_with(kind, **{field: text}))
    too_long = ["x" * (most + 1), "茶" * (most // 3 + 1)]
    for text in too_long + [""] * least:
        assert refusal_of(check_body, body_with(kind, **{field: text})) == (
            Reason.MALFORMED_EVENT,
            f"{field}: given {len(text.encode())} bytes, expected {least} to {most} bytes",
        )


INVISIBLE = {
    "null": "\0",
    "newline": "\n",
    "escape": "\x1b",
    "delete": "\x7f",
    "next line": "\x85",
    "soft hyphen": "\xad",
    "Arabic letter mark": "\u061c",
    "zero width space": "\u200b",
    "zero width joiner": "\u200d",
    "right-to-left mark": "\u200f",
    "line separator": "\u2028",
    "paragraph separator": "\u2029",
    "right-to-left override": "\u202e",
    "word joiner": "\u2060",
    "first strong isolate": "\u2068",
    "byte order mark": "\ufeff",
    "interlinear annotation": "\ufff9",
    "private use": "\ue000",
    "private plane": "\U000f0000",
    "last of the plane": "\uffff",
    "tag": "\U000e0041",
    "variation selector": "\U000e0100",
    "no-break space": "\u00a0",
    "wide space": "\u2003",
    "replacement character": "\ufffd",
}


@pytest.mark.parametrize("name", INVISIBLE)
@pytest.mark.parametrize(("kind", "field", "least", "most"), TEXTS)
def test_texts_show_all_that_they_hold(kind, field, least, most, name):
    text = f"tea{INVISIBLE[name]}cup"
    assert refusal_of(check_body, body_with(kind, **{field: text})) == (
        Reason.MALFORMED_EVENT,
        f"{field}: given {text!a}, expected {PLAIN}",
    )


@pytest.mark.parametrize("blank", [" ", "\u3000"])
def test_texts_have_no_blanks_at_their_ends(blank):
    check_body(body_with(Kind.LISTING, title=f"green{blank}tea"))
    for text in (f"{blank}tea", f"tea{blank}", blank):
        assert refusal_of(check_body, body_with(Kind.LISTING, title=text)) == (
            Reason.MALFORMED_EVENT,
            f"title: given {text!a}, expected {PLAIN}",
        )


@pytest.mark.parametrize(
    "title",
    [
        "茉莉花茶 250 g",
        "Crème brûlée",
        "чай",
        "شاي",
        "茶 (二级) “新”",
        "🍵",
        "\U0002ebf0",
        "\U00032000",
    ],
)
def test_texts_of_all_languages_will_do(title):
    """Also characters that the Unicode of this Python does not have yet: verdicts are the same everywhere."""
    check_body(body_with(Kind.LISTING, title=title))


def refused_characters():
    """All that may not be in a text, by number; surrogates, which no UTF-8 holds, are left out."""
    found = {number for number in range(sys.maxunicode + 1) if _NOT_IN_TEXT.search(chr(number))}
    return found - set(range(0xD800, 0xE000))


def test_the_characters_refused_are_those_of_the_format_page():
    page = " ".join((Path(__file__).parents[2] / "docs" / "format.md").read_text(encoding="utf-8").split())
    (listed,) = re.findall(r"licence numbers have none of U\+([0-9A-F–, ]+) \(", page)
    ranges = [part.split("–") for part in listed.split(", ")]
    told = {number for part in ranges for number in range(int(part[0], 16), int(part[-1], 16) + 1)}
    assert refused_characters() == told - set(range(0xD800, 0xE000))


def test_the_characters_refused_are_those_that_do_not_show():
    """The fixed list, against the Unicode of this Python, which may be older or newer.

    Format characters that do show may stay: the signs that enclose Arabic and other numbers, and those of
    hieroglyphs, shorthand and musical notation. Unassigned ones may stay too: a later Unicode may assign them.
    """
    refused = refused_characters()
    hidden = {"Cc", "Cf", "Zl", "Zp", "Co"}
    of_unicode = {
        number for number in range(sys.maxunicode + 1) if unicodedata.category(chr(number)) in hidden
    }
    numerals = {*range(0x600, 0x606), 0x6DD, 0x70F, 0x890, 0x891, 0x8E2, 0x110BD, 0x110CD}
    notation = {*range(0x13430, 0x13440), *range(0x1BCA0, 0x1BCA4), *range(0x1D173, 0x1D17B)}
    assert of_unicode - refused <= numerals | notation
    others = {
        number for number in refused - of_unicode if unicodedata.category(chr(number)) not in {"Cn", "Zs"}
    }
    assert others == {0xFFFC, 0xFFFD, *range(0xE0100, 0xE01F0)}, "stand-ins and variation selectors"


# Dates


@pytest.mark.parametrize("kind", [Kind.PARTY_REGISTRATION, Kind.PARTY_STATUS_CHANGE])
def test_dates(kind):
    for good in ("", "2027-03-31", "2028-02-29", "0001-01-01", "9999-12-31"):
        check_body(body_with(kind, licence_until=good))
    for bad in ("2027-02-29", "2027-13-01", "2027-00-10", "0000-01-01", "20270331", "2027-3-31", "2027-W05-3", "2027-03-31 ",
                "2027-03-31T00:00", "+2027-03-31", "２０２７-03-31", "٢٠٢٧-03-31", "tomorrow"):  # fmt: skip
        assert refusal_of(check_body, body_with(kind, licence_until=bad)) == (
            Reason.MALFORMED_EVENT,
            f"licence_until: given {bad[:20]!r}, expected a date such as 2027-03-31",
        )


# Numbers


@pytest.mark.parametrize(
    ("kind", "field", "low", "high"),
    [
        (Kind.REVIEW, "rating", 1, 5),
        (Kind.REVIEW, "product_rating", 0, 5),
        (Kind.REVIEW, "description_rating", 0, 5),
        (Kind.REVIEW, "delivery_rating", 0, 5),
        (Kind.FOLLOW_UP, "rating", 0, 5),
    ],
)
def test_ratings(kind, field, low, high):
    for number in range(low, high + 1):
        check_body(body_with(kind, **{field: number}))
    for number in [*range(low), high + 1, 2**32 - 1]:
        assert refusal_of(check_body, body_with(kind, **{field: number})) == (
            Reason.MALFORMED_EVENT,
            f"{field}: given {number}, expected {low} to {high}",
        )


@pytest.mark.parametrize(
    ("kind", "field"),
    [
        (Kind.GENESIS, "format_version"),
        (Kind.GENESIS, "rules_version"),
        (Kind.RULES_ADOPTION, "rules_version"),
        (Kind.SALE, "quantity"),
    ],
)
def test_numbers_of_1_or_more(kind, field):
    for number in (1, 2, 2**32 - 1):
        check_body(body_with(kind, **{field: number}))
    assert refusal_of(check_body, body_with(kind, **{field: 0})) == (
        Reason.MALFORMED_EVENT,
        f"{field}: given 0, expected 1 or more",
    )


def test_weights_may_be_left_out():
    check_body(body_with(Kind.LISTING, gross_weight_g=0))
    check_body(body_with(Kind.SHIPMENT, weight_g=2**32 - 1))


# Names of other things


@pytest.mark.parametrize("origin", ["x", "ledger.example/city", "x" * 128, "茶" * 42])
def test_origins(origin):
    check_body(body_with(Kind.GENESIS, origin=origin))


@pytest.mark.parametrize("origin", ["", "x" * 129, "茶" * 43, "a b", "a+b", "a\u3000b", " "])
def test_what_is_no_origin(origin):
    assert refusal_of(check_body, body_with(Kind.GENESIS, origin=origin)) == (
        Reason.MALFORMED_EVENT,
        f"origin: given {origin[:80]!r}, expected 1 to 128 bytes without spaces or '+'",
    )


@pytest.mark.parametrize("origin", ["led\u200bger", "led\tger", "ledger\n", "led\u00a0ger"])
def test_an_origin_shows_all_that_it_holds(origin):
    assert refusal_of(check_body, body_with(Kind.GENESIS, origin=origin)) == (
        Reason.MALFORMED_EVENT,
        f"origin: given {origin!a}, expected {PLAIN}",
    )


def test_the_regulator_is_a_company_or_authority():
    for chain in (CARRIER_MEMBER, TEA, "ledger"):
        assert refusal_of(check_body, body_with(Kind.GENESIS, regulator=chain)) == (
            Reason.MALFORMED_EVENT,
            f"regulator: given {chain}, expected party/<USCC>",
        )
    reason, message = refusal_of(check_body, body_with(Kind.GENESIS, regulator="party/11350100003604566Y"))
    assert reason is Reason.BAD_CHAIN_KEY
    assert message == "USCC 11350100003604566Y check character in chain key: given Y, expected X"


def test_a_parcel_is_a_waybill_or_a_logistic_unit():
    for chain in ("", PARCEL, "00/106141412345678908"):
        check_body(body_with(Kind.SHIPMENT, parcel=chain))
    for chain in (TEA, COURIER, "ledger"):
        assert refusal_of(check_body, body_with(Kind.SHIPMENT, parcel=chain)) == (
            Reason.MALFORMED_EVENT,
            f"parcel: given {chain}, expected chain key of a waybill or an SSCC",
        )
    reason, message = refusal_of(check_body, body_with(Kind.SHIPMENT, parcel="00/106141412345678907"))
    assert reason is Reason.BAD_CHAIN_KEY
    assert message == "SSCC 106141412345678907 check digit in chain key: given 7, expected 8"


def test_a_region_of_origin_may_be_left_out():
    for region in ("", "350102", "DE"):
        check_body(body_with(Kind.LISTING, origin_region=region))
    assert refusal_of(check_body, body_with(Kind.LISTING, origin_region="35010")) == (
        Reason.BAD_IDENTIFIER,
        "region: given 35010, expected six digits (GB/T 2260) or two capital letters (ISO 3166-1)",
    )


# What every event says


@pytest.mark.parametrize("us", [1, LAST_US])
def test_moments(us):
    check_common(event_with(occurred_at__unix_us=us))


@pytest.mark.parametrize("us", [0, -1, -(2**63), LAST_US + 1, 2**63 - 1])
def test_what_is_no_moment(us):
    assert refusal_of(check_common, event_with(occurred_at__unix_us=us)) == (
        Reason.MALFORMED_EVENT,
        f"occurred_at.unix_us: given {us}, expected 1 to 253402250399999999",
    )


def test_offsets():
    for minutes in (-840, 0, 345, 840):
        check_common(event_with(occurred_at__utc_offset_minutes=minutes))
    for minutes in (-841, 841, 2**31 - 1, -(2**31)):
        assert refusal_of(check_common, event_with(occurred_at__utc_offset_minutes=minutes)) == (
            Reason.MALFORMED_EVENT,
            f"occurred_at.utc_offset_minutes: given {minutes}, expected -840 to 840",
        )


@pytest.mark.parametrize("length", [0, 15, 17])
def test_a_nonce_has_16_bytes(length):
    assert refusal_of(check_common, event_with(nonce=bytes(length))) == (
        Reason.MALFORMED_EVENT,
        f"nonce: given {length} bytes, expected 16 bytes",
    )


def test_the_head_that_was_seen_is_a_hash_or_nothing():
    for length in (0, 32):
        check_common(event_with(seen_head=bytes(length)))
    assert refusal_of(check_common, event_with(seen_head=bytes(31))) == (
        Reason.MALFORMED_EVENT,
        "seen_head: given 31 bytes, expected 32 bytes, or none",
    )


@pytest.mark.parametrize("region", ["350102", "DE", "CN"])
def test_places(region):
    check_common(event_with(place__region=region))
    check_common(event_with(place__region=region, place__gln="6901234567892"))


@pytest.mark.parametrize("region", ["", "35010", "3501022", "050102", "de", "DEU", "３５０１０２", "350102 "])
def test_what_is_no_region(region):
    reason, message = refusal_of(check_common, event_with(place__region=region))
    assert reason is Reason.BAD_IDENTIFIER
    assert message.startswith("region: given ")


def test_a_location_number_has_its_check_digit():
    assert refusal_of(check_common, event_with(place__region="350102", place__gln="6901234567890")) == (
        Reason.BAD_IDENTIFIER,
        "GLN 6901234567890 check digit: given 0, expected 2",
    )


# Evidence


def event_with_file(**fields):
    event = event_with()
    event.evidence.add(**{"sha256": bytes(32), "media_type": "image/jpeg"} | fields)
    return event


def test_evidence_is_at_most_32_files():
    for files in (1, 32):
        event = event_with()
        event.evidence.extend([event_with_file().evidence[0]] * files)
        check_common(event)
    event.evidence.append(event.evidence[0])
    assert refusal_of(check_common, event) == (
        Reason.MALFORMED_EVENT,
        "evidence: given 33 files, expected at most 32",
    )


def test_every_file_is_looked_at():
    event = event_with_file()
    event.evidence.add(sha256=bytes(31), media_type="image/jpeg")
    assert refusal_of(check_common, event) == (
        Reason.MALFORMED_EVENT,
        "evidence.sha256: given 31 bytes, expected 32 bytes",
    )


@pytest.mark.parametrize(
    "media_type",
    [
        "image/jpeg",
        "application/pdf",
        "image/svg+xml",
        "application/vnd.ms-excel",
        "a/b",
        f"a/{'b' * 125}",
        f"{'a' * 125}/b",
    ],
)
def test_media_types(media_type):
    check_common(event_with_file(media_type=media_type))


@pytest.mark.parametrize(
    "media_type",
    [
        "",
        "image",
        "image/",
        "/jpeg",
        "image/jpeg/x",
        "Image/jpeg",
        "image/jpeg; q=1",
        " image/jpeg",
        "image/jpeg\n",
        "图/像",
        ".image/jpeg",
        f"a/{'b' * 126}",
        f"{'a' * 64}/{'b' * 63}",
    ],
)
def test_what_is_no_media_type(media_type):
    reason, message = refusal_of(check_common, event_with_file(media_type=media_type))
    assert reason is Reason.MALFORMED_EVENT
    assert message.startswith("evidence.media_type: given ")
    assert message.endswith(", expected a media type in lower case, of at most 127 bytes")


@pytest.mark.parametrize(
    "uri",
    [
        "",
        "https://files.example/7.jpg?a=b&c=%E8%8C%B6#x",
        "ipfs://bafy/7",
        "urn:uuid:0",
        "https://[2001:db8::1]/",
        "x:" + "y" * 1022,
    ],
)
def test_uris(uri):
    check_common(event_with_file(uri=uri))


@pytest.mark.parametrize(
    "uri",
    [
        "files.example",
        "/7.jpg",
        "//files.example/",
        "https:",
        "HTTPS://files.example/",
        "https://files.example/ 7",
        "https://茶.example/",
        'https://files.example/"><script>',
        "https://files.example/\\7",
        "https://files.example/\x7f",
        "https://files.example/{id}",
        "https://files.example/\n",
        "x:" + "y" * 1023,
    ],
)
def test_what_is_no_absolute_uri(uri):
    reason, message = refusal_of(check_common, event_with_file(uri=uri))
    assert reason is Reason.MALFORMED_EVENT
    assert message.startswith("evidence.uri: given ")
    assert message.endswith(", expected an absolute URI of at most 1024 ASCII characters (RFC 3986)")
    assert message.isascii() or "…" in message
    assert len(message) < 300


@given(st.sampled_from(TEXTS), st.text(max_size=300))
@for_example(TEXTS[0], "\ud800".encode("utf-16", "surrogatepass").decode("utf-16", "replace"))
def test_any_text_is_accepted_or_refused_with_its_field(case, text):
    kind, field, _, _ = case
    try:
        check_body(body_with(kind, **{field: text}))
    except BadInput as refused:
        assert refused.subject == field  # noqa: PT017 - accepted texts are fine too
