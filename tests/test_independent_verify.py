"""The outsider's verifier and the project's own auditor say the same of every log, good or bad.

Each comparison looks first whether both call the log verified; then at which entry the first finding is; and, of a
verified log, what each entry is: event, chain, kind, signer and flags.
"""

from __future__ import annotations

import json
import re
import string
import subprocess
import sys
from base64 import b64decode, b64encode
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from hashlib import sha256
from itertools import pairwise
from pathlib import Path

import independent_verify as outsider
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import example as such_as
from hypothesis import given, settings
from hypothesis import strategies as st
from identifier_strategies import carriers, gtins, lots, members, s10_numbers, ssccs, usccs, waybill_numbers
from world import (
    CARRIER_MEMBER,
    CHINA,
    COURIER,
    CUP,
    DISTRICT,
    MERCHANT,
    MERCHANT_MEMBER,
    ORIGIN,
    OTHER_MERCHANT,
    PARCEL,
    PLATFORM,
    REGULATOR,
    START_US,
    TEA,
    City,
    Log,
    altered,
    event_id,
    example,
    fields,
    p256_key,
    respellings,
    signing_key,
    varint,
    wire,
)

from ledger.audit import Auditor
from ledger.chain_key import LEDGER, ChainKey
from ledger.checkpoint import Checkpoint, open_checkpoint, sign_checkpoint
from ledger.entry import Entry
from ledger.envelope import Envelope
from ledger.errors import BadInput, LedgerError
from ledger.event import Event, Kind, moment
from ledger.form import LAST_US
from ledger.merkle import leaf_hash, root_of
from ledger.note import NoteSigner, SignedNote, VerifierKey
from ledger.sequence import Sequenced
from ledger.state import Recorded
from suyuan.v1 import event_pb2 as pb
from suyuan.v1 import flags_pb2

LOG_SECRET = Ed25519PrivateKey.from_private_bytes(sha256(b"log").digest())
VKEY = str(NoteSigner(ORIGIN, LOG_SECRET).vkey)
NOWHERE = sha256(b"nowhere").digest()
unhurried = settings(deadline=None)


# One log: what both say of it


def note_over(leaves, origin: str = ORIGIN) -> bytes:
    """The log's own checkpoint over these entries."""
    signer = NoteSigner(origin, LOG_SECRET)
    return sign_checkpoint(
        Checkpoint(origin, len(leaves), root_of([leaf_hash(data) for data in leaves])), signer
    )


def audited(origin, vkey, note, leaves, seen) -> Auditor | None:
    """An auditor that has read what the checkpoint vouches for; None if a note does not verify."""
    try:
        keys = [VerifierKey.parse(vkey)]
        checkpoint, *known = [open_checkpoint(raw, origin, keys) for raw in (note, *seen)]
    except LedgerError:
        return None
    auditor = Auditor(origin, known=known)
    for data in leaves[: checkpoint.size]:
        auditor.read(data)
    auditor.conclude(checkpoint)
    return auditor


def agree(leaves, note=None, seen=(), *, origin=ORIGIN, vkey=None) -> outsider.Report:
    """The outsider's report, after a look that the auditor says the same."""
    note = note_over(leaves) if note is None else note
    vkey = VKEY if vkey is None else vkey
    mine, auditor = (
        outsider.verify(origin, vkey, note, leaves, seen),
        audited(origin, vkey, note, leaves, seen),
    )
    if auditor is None:
        assert not mine.verified
        return mine
    theirs = auditor.report
    assert mine.verified == theirs.verified, (mine.findings, theirs.findings)
    assert first(mine) == first(theirs), (mine.findings, theirs.findings)
    if mine.verified:
        assert (len(mine.entries), mine.root) == (theirs.size, theirs.root)
        assert (len(mine.unknown_kinds), len(mine.unjudged)) == (theirs.unknown_kinds, theirs.unjudged)
        assert mine_of(mine) == theirs_of(auditor)
    return mine


def first(report) -> int | None:
    """The first entry that something is wrong with."""
    findings = [
        found if isinstance(found, tuple) else (found.index, found.message) for found in report.findings
    ]
    return min((index for index, _ in findings if index is not None), default=None)


def mine_of(report: outsider.Report) -> list[tuple]:
    return [
        (e.id, e.chain, e.name, e.signer if e.signer.startswith("party") else "", e.flags)
        for e in report.entries
    ]


def theirs_of(auditor: Auditor) -> list[tuple]:
    records = sorted((r for r in auditor.state.changes() if isinstance(r, Recorded)), key=lambda r: r.index)
    return [(r.event_id, r.chain, r.kind or "unknown", r.signer, names(r.flags)) for r in records]


def names(flags) -> list[str]:
    return [flags_pb2.EventFlag.Name(flag).removeprefix("EVENT_FLAG_") for flag in flags]


# One event: its form


def event_of(body, chain=None, **common) -> pb.Event:
    """A message that is well formed but for what is given."""
    kind = type(body).__name__
    name = next(
        f.name for f in pb.Event.DESCRIPTOR.oneofs_by_name["body"].fields if f.message_type.name == kind
    )
    message = pb.Event(
        chain=chain or TEA, nonce=bytes(16), occurred_at=pb.OccurredAt(unix_us=START_US), **common
    )
    getattr(message, name).CopyFrom(body)
    getattr(message, name).SetInParent()
    return message


def well_formed() -> list[pb.Event]:
    """An event of each kind that says all it can, and one that says as little as it can."""
    place, evidence = (
        pb.Place(region="350102", gln="6901234567892"),
        [pb.Evidence(sha256=NOWHERE, media_type="a/b")],
    )
    full = {"place": place, "evidence": evidence * 2, "seen_head": NOWHERE}
    return [
        *(event_of(example(kind), **full) for kind in Kind),
        event_of(pb.Receipt(sale=NOWHERE, condition=1)),
    ]


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


NUMBERS = [
    0,
    -1,
    -840,
    -841,
    840,
    841,
    LAST_US,
    LAST_US + 1,
    1,
    2,
    3,
    4,
    5,
    6,
    7,
    8,
    9,
    11,
    12,
    2**31 - 1,
    2**31,
    2**32 - 1,
]
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
TEXTS = [
    *(
        "",
        " ",
        "a",
        "a" * 64,
        "a" * 65,
        "a" * 127,
        "a" * 128,
        "a" * 129,
        "a" * 200,
        "a" * 201,
        "茶" * 66,
        "茶" * 67,
    ),
    *(
        "a b",
        " a",
        "a ",
        "\u3000a",
        "a\u3000",
        "a\u3000b",
        "a+b",
        "350102",
        "050102",
        "35010",
        "3501020",
        "CN",
        "cn",
    ),
    *(
        "2028-02-29",
        "2027-02-29",
        "0001-01-01",
        "0000-01-01",
        "9999-12-31",
        "20280229",
        "2028-W01-1",
        "2028-2-29",
    ),
    *(
        "10000-01-01",
        "2028-02-29T",
        "２028-02-29",
        "6901234567892",
        "6901234567893",
        "690123456789",
        "٦901234567892",
    ),
    *(
        "ledger",
        TEA,
        CUP,
        PARCEL,
        "00/006901234567892122",
        REGULATOR,
        CARRIER_MEMBER,
        "drug/81234567890123456789",
    ),
    *(
        "a/b",
        "A/b",
        "a/b;c=d",
        "a/" + "b" * 125,
        "a/" + "b" * 126,
        "a/b/c",
        "+/b",
        "a/b\n",
        "x:",
        "x:y",
        "X:y",
        "x:é",
    ),
    *(
        "x:" + "y" * 1022,
        "x:" + "y" * 1023,
        "1:y",
        "x-1.+:y",
        "x:%zz",
        "x:<y>",
        "x:y\n",
        'x:"',
        "x:[]@!$&'()*+,;=#?~",
    ),
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
        evidence = [pb.Evidence(sha256=NOWHERE, media_type="a/b")] * count
        assert bool(both_read(event_of(example(Kind.RECALL), evidence=evidence).SerializeToString())) == (
            count < 33
        )


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


@given(
    st.text(
        st.one_of(st.characters(exclude_categories=["Cs"]), st.sampled_from([*EDGES, *"+/: "])), max_size=70
    )
)
@such_as("a" * 201)
@unhurried
def test_texts(text):
    read_texts(text)


def read_texts(text: str) -> None:
    """Read events that hold the text as title, name, licence number, origin, and in every other field of text."""
    genesis = example(Kind.GENESIS)
    genesis.origin = text
    regulator = example(Kind.GENESIS)
    regulator.regulator_name = text
    registration = example(Kind.PARTY_REGISTRATION)
    registration.licence_number = text
    named = example(Kind.PARTY_REGISTRATION)
    named.name = text
    listing = pb.Listing(title=text, category=1)
    for body in (genesis, regulator, registration, named, listing):
        both_read(event_of(body).SerializeToString())
    evidence = [pb.Evidence(sha256=NOWHERE, media_type="a/b", uri=f"x:{text}")]
    both_read(event_of(example(Kind.RECALL), evidence=evidence).SerializeToString())


@given(st.from_regex(r"[a-zA-Z0-9!#$&^_.+/;= -]{0,6}/[a-z0-9!#$&^_.+/;= -]{0,6}"))
@such_as("a/b\n")
@such_as("a/" + "b" * 125)
@such_as("a/" + "b" * 126)
@unhurried
def test_media_types(media_type):
    evidence = [pb.Evidence(sha256=NOWHERE, media_type=media_type)]
    both_read(event_of(example(Kind.RECALL), evidence=evidence).SerializeToString())


@given(st.from_regex(r"[a-zA-Z0-9+.-]{0,3}:[!-~]{0,8}"))
@such_as("a:b\n")
@such_as("a:" + "b" * 1022)
@such_as("a:" + "b" * 1023)
@unhurried
def test_uris(uri):
    evidence = [pb.Evidence(sha256=NOWHERE, media_type="a/b", uri=uri)]
    both_read(event_of(example(Kind.RECALL), evidence=evidence).SerializeToString())


@given(
    st.one_of(
        st.dates().map(str), st.from_regex(r"[0-9]{3,5}-?[0-9W]{1,3}-?[0-3][0-9]?", fullmatch=True), st.text()
    )
)
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
    both_read(event_of(example(Kind.RECALL), key).SerializeToString())
    if data is None:
        return
    # One character more, less or other.
    place = data.draw(st.integers(0, len(key) - 1))
    instead = data.draw(st.text(string.printable + "٣ａ", max_size=2))
    both_read(event_of(example(Kind.RECALL), key[:place] + instead + key[place + 1 :]).SerializeToString())


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
        # In the message that stands there, or in the middle of what is none.
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


# Whole logs


def vectors() -> dict:
    return json.loads((Path(__file__).parent / "vectors" / "city.json").read_text(encoding="utf-8"))


def test_the_city_of_the_vectors():
    city = vectors()
    leaves = [bytes.fromhex(entry["entry"]) for entry in city["entries"]]
    report = agree(leaves, city["checkpoint"].encode(), origin=city["origin"], vkey=city["vkey"])
    assert report.verified
    for read, entry, leaf in zip(report.entries, city["entries"], leaves, strict=True):
        told = [read.id.hex(), read.chain, read.name, leaf_hash(leaf).hex()]
        assert told == [entry[name] for name in ("event_id", "chain", "kind", "hash")]
        assert read.flags == names(entry["flags"])


def test_the_worked_example():
    page = (Path(__file__).parent.parent / "docs" / "format.md").read_text(encoding="utf-8")
    entries = re.findall(r"^entry \(\d+ bytes\)\n((?:    [0-9a-f]+\n)+)", page, re.MULTILINE)
    leaves = [bytes.fromhex("".join(digits.split())) for digits in entries]
    vkey, note = re.findall(rf"^```\n({ORIGIN}[+\n].*?)```", page, re.MULTILINE | re.DOTALL)
    report = agree(leaves, note.encode(), vkey=vkey.strip())
    assert report.verified
    assert [entry.name for entry in report.entries] == ["genesis", "party_registration"]


def test_the_command(tmp_path):
    command = [sys.executable, outsider.__file__]
    good = Path(__file__).parent / "vectors" / "city.json"
    city = vectors() | {"origin": "ledger.test/village"}
    (tmp_path / "bad.json").write_text(json.dumps(city), encoding="utf-8")
    for arguments, status, said in (
        ([good], 0, "VERIFIED\n"),
        ([tmp_path / "bad.json"], 1, "TAMPERED\nentry 0: the genesis is of another origin\n"),
        ([], 2, ""),
    ):
        done = subprocess.run([*command, *arguments], capture_output=True, text=True, check=False)
        assert (done.returncode, done.stdout[: len(said)]) == (status, said)


@cache
def story() -> Log:
    """A ledger with all kinds of events, all flags, both algorithms, and all that parties undergo."""
    city = City(keys={name: p256_key(name) for name in (COURIER, MERCHANT_MEMBER, "second buyer", "spare")})
    log = Log()
    log.accept(*city.founding(), city.register(MERCHANT_MEMBER, pb.PARTY_ROLE_MERCHANT, by=MERCHANT))
    log.accept(city.register(DISTRICT, pb.PARTY_ROLE_REGULATOR, "鼓楼区市场监督管理局"))
    log.accept(*city.life()[:1])
    sale, other = city.sale(by=MERCHANT_MEMBER), city.sale("second buyer")
    log.accept(sale, other, city.dispatch(sale), city.dispatch(other, by=MERCHANT_MEMBER))
    # The way: in order, before what was said of it, ahead of the clock.
    log.accept(city.scan(2), city.scan(3, at=moment(START_US).astimezone(CHINA)), city.scan(4, by=COURIER))
    log.accept(city.scan(5, at=moment(log.clock_us + 300_000_000).astimezone(CHINA)))
    # Both receipts, then a step that came too late.
    log.accept(city.receipt(sale), city.receipt(other, CARRIER_MEMBER, proxy=True))
    late = pb.Shipment(stage=pb.SHIPMENT_STAGE_RETURNED, sale=event_id(sale))
    log.accept(city.say(CARRIER_MEMBER, TEA, late))
    review, answer = city.review(sale, product_rating=5), city.review(sale, by=MERCHANT, rating=4)
    log.accept(review, answer, city.review(other, "second buyer"))
    log.accept(city.say("buyer", TEA, pb.FollowUp(review=event_id(review), rating=2)))
    log.accept(city.say(MERCHANT_MEMBER, TEA, pb.FollowUp(review=event_id(answer))))
    complaint = city.complaint(other, "second buyer")
    log.accept(
        complaint,
        city.reply(complaint),
        city.reply(complaint, PLATFORM),
        city.resolution(complaint, DISTRICT),
    )
    log.accept(city.say(MERCHANT, TEA, pb.Recall(reason=1)), city.say(DISTRICT, CUP, pb.Recall(reason=1)))
    # Corrections: of one's own event, by who registered the signer, by the buyer; the last long before the sale.
    log.accept(city.say("buyer", TEA, pb.Correction(event=event_id(review), reason=1)))
    log.accept(city.say(PLATFORM, TEA, pb.Correction(event=event_id(answer), reason=1)))
    old = moment(START_US - 3_600_000_000).astimezone(CHINA)
    log.accept(
        city.say(
            MERCHANT_MEMBER, TEA, pb.Correction(event=event_id(sale), reason=1, replacement=NOWHERE), at=old
        )
    )
    # A key that comes and goes, a party that is suspended and comes back, and licences that run out.
    spare = city.key("spare")
    added = city.say(MERCHANT, MERCHANT, pb.KeyAddition(public_key=spare.public_key.spki))
    log.accept(added, Envelope.seal(city.event(CUP, pb.Listing(title="杯", category=1)).raw, spare))
    log.accept(city.say(REGULATOR, MERCHANT, pb.KeyRevocation(key_id=spare.public_key.key_id, reason=1)))
    log.accept(city.say(DISTRICT, OTHER_MERCHANT, pb.PartyStatusChange(status=2, reason=1)))
    refused = [
        city.listing(CUP, OTHER_MERCHANT),
        Envelope.seal(city.event(CUP, example(Kind.LISTING)).raw, spare),
    ]
    assert [first(forged(log, envelope)) for envelope in refused] == [log.head.size] * 2
    log.accept(
        city.say(
            PLATFORM, OTHER_MERCHANT, pb.PartyStatusChange(status=1, reason=2, licence_until="2026-05-03")
        )
    )
    log.accept(city.say(OTHER_MERCHANT, CUP, pb.Listing(title="杯", category=1)))
    log.accept(
        city.say(REGULATOR, COURIER, pb.PartyStatusChange(status=1, reason=3, licence_until="2026-05-03"))
    )
    log.accept(city.scan(6))
    # No service records rules that it does not know, but a log may hold their adoption.
    log.forge(city.say(REGULATOR, LEDGER, pb.RulesAdoption(rules_version=2)))
    return log


def test_a_ledger_with_everything():
    report = agree(story().leaves)
    assert report.verified
    assert {entry.name for entry in report.entries} == set(Kind)
    assert {flag for entry in report.entries for flag in entry.flags} == set(
        names(flags_pb2.EventFlag.values()[1:])
    )
    assert {entry.signature["algorithm"] for entry in report.entries} == {1, 2}


@cache
def small() -> tuple[bytes, ...]:
    """A genesis, a merchant with a P-256 key, its listing, and a sale."""
    city, log = City(keys={MERCHANT: p256_key("merchant")}), Log()
    genesis, merchant = city.genesis(), city.register(MERCHANT, pb.PARTY_ROLE_MERCHANT, "闽茶坊")
    log.accept(genesis, merchant, city.listing(), city.sale())
    return tuple(log.leaves)


def test_no_byte_can_be_changed():
    leaves, unnoticed = small(), 0
    note = note_over(leaves)
    for number, leaf in enumerate(leaves):
        for place in range(len(leaf)):
            changed = bytearray(leaf)
            changed[place] ^= 1 << (place + number) % 8
            report = agree([*leaves[:number], bytes(changed), *leaves[number + 1 :]], note)
            assert not report.verified
            unnoticed += first(report) is None
    # Only the tree tells when the end of a chain was recorded.
    assert 0 < unnoticed < 20


def test_no_entry_can_be_dropped_swapped_or_sent_twice():
    leaves = [bytes.fromhex(entry["entry"]) for entry in vectors()["entries"]]
    note, size = note_over(leaves), len(leaves)
    for n, m in [*pairwise(range(size)), *zip(range(size - 4), range(4, size), strict=True), (0, size - 1)]:
        dropped = leaves[:n] + leaves[n + 1 :]
        swapped = [*leaves[:n], leaves[m], *leaves[n + 1:m], leaves[n], *leaves[m + 1:]]
        twice = [*leaves[:m], leaves[n], *leaves[m:]]
        for changed in (dropped, swapped, twice):
            # By the checkpoint from before, which has seen all; and by one that the log has signed over this.
            assert not agree(changed, note).verified
            agree(changed)
        assert not agree(twice).verified


def test_entries_beyond_the_checkpoint_are_not_read():
    assert agree([*small(), b"anything"], note_over(small())).verified
    assert not agree([*small(), b"anything"]).verified
    assert not agree([b"anything"], note_over([])).verified


def test_history_that_was_rewritten_is_not_what_was_seen():
    leaves = story().leaves
    seen = [note_over(leaves[:size]) for size in range(0, len(leaves), 5)]
    assert agree(leaves, seen=seen).verified
    assert not agree(leaves[:12], seen=seen).verified
    for kept in (8, 14, 15):
        city, fork = City(said=100), Log()
        for data in leaves[:kept]:
            fork.set_clock(Entry.parse(data).recorded_at_us)
            fork.accept(Entry.parse(data).envelope)
        fork.accept(*(city.listing() for _ in range(10)))
        assert agree(fork.leaves, seen=seen[: 1 + kept // 5]).verified
        assert not agree(fork.leaves, seen=seen[: 2 + kept // 5]).verified
    assert not agree(leaves, seen=[seen[1].replace(b"\n5\n", b"\n6\n")]).verified


# The checkpoint's note


@pytest.mark.parametrize("place", range(len(note_over(b""))))
def test_no_byte_of_the_note_can_be_changed(place):
    for bit in range(8):
        note = bytearray(note_over(small()))
        note[place % len(note)] ^= 1 << bit
        assert not agree(small(), bytes(note)).verified


def signed(text: str, *signers: NoteSigner) -> bytes:
    return SignedNote.sign(text, NoteSigner(ORIGIN, LOG_SECRET), *signers).encode()


def test_what_a_note_may_be():
    text = note_over(small()).decode().split("\n\n")[0] + "\n"
    origin, size, root, _ = text.split("\n")
    other = Ed25519PrivateKey.from_private_bytes(bytes(32))
    assert agree(small(), signed(text)).verified
    assert agree(small(), signed(text + "an extension\nand another\n")).verified
    assert agree(
        small(), signed(text, NoteSigner("witness.test/w", other), NoteSigner(ORIGIN, other))
    ).verified
    for bad in (
        *(
            f"{origin}\n{other_size}\n{root}\n"
            for other_size in ("04", "+4", "-4", "4 ", "４", "0x4", "5", "3", "")
        ),
        *(
            f"{origin}\n{size}\n{other_root}\n"
            for other_root in ("", root[:-1], root[:-2] + "0=", root[4:], root + " ")
        ),
        *(f"{other_origin}\n{size}\n{root}\n" for other_origin in (f"{ORIGIN}/", ORIGIN[1:], "")),
        *(
            f"{origin}\n{size}\n",
            text + "\n",
            text + "an extension\n\n",
            "\n" + text,
            text.replace("\n", "\r\n") + "\n",
        ),
    ):
        with suppress(LedgerError):
            assert not agree(small(), signed(bad)).verified
    note = signed(text)
    line = note.splitlines(keepends=True)[-1]
    spoilt = f"— {ORIGIN} ".encode() + b64encode(b64decode(line.split()[2])[:4] + bytes(64)) + b"\n"
    for bad in (
        note + spoilt,
        note + b"\n",
        note[:-1],
        note + b"x\n",
        note.replace(b"\n\n", b"\n"),
        b"",
        b"\xff" + note,
    ):
        assert not agree(small(), bad).verified
    assert agree(small(), note + line).verified


def test_another_log():
    other = NoteSigner(ORIGIN, Ed25519PrivateKey.from_private_bytes(bytes(32)))
    elsewhere = "ledger.test/village"
    name, key_id, key = VKEY.split("+", 2)
    assert not agree(small(), origin=elsewhere).verified
    assert not agree(
        small(),
        note_over(small(), elsewhere),
        origin=elsewhere,
        vkey=str(NoteSigner(elsewhere, LOG_SECRET).vkey),
    ).verified
    for vkey in (
        str(other.vkey),
        str(NoteSigner(elsewhere, LOG_SECRET).vkey),
        f"{name}+{key_id.upper()}+{key}",
        f"{name}+{int(key_id, 16) ^ 1:08x}+{key}",
        f"{name}+{key_id}+{key[:-4]}",
        f"{name}+{key_id}",
        str(VerifierKey.of(ORIGIN, LOG_SECRET.public_key().public_bytes_raw(), key_type=4)),
    ):
        assert not agree(small(), vkey=vkey).verified


# What a verifier does not know


def with_more(envelope: Envelope, more: bytes, key) -> Envelope:
    """The event with something behind it, properly signed."""
    return Envelope.seal(envelope.payload + more, key)


def forged(log: Log, *envelopes: Envelope | bytes) -> outsider.Report:
    """What both say of the log if these are recorded in it, whatever the rules say."""
    fork = log.fork()
    for envelope in envelopes:
        fork.forge(envelope)
    return agree(fork.leaves)


@pytest.mark.parametrize(
    "more",
    [
        wire(99, b"new"),
        wire(99, 1),
        wire(7, b""),
        wire(43, b"") + wire(99, b""),
        varint(99 << 3 | 1) + bytes(8),
        varint(99 << 3 | 5) + bytes(4),
        varint(42 << 3) + b"\1",
        wire(99, 0) + wire(7, b"new"),
    ],
)
def test_an_unknown_event_is_no_fault(more):
    city, log = City(keys={MERCHANT: p256_key("merchant")}), Log()
    log.accept(*city.founding())
    assert first(forged(log, with_more(city.listing(), wire(42, b"") + more, city.key(MERCHANT)))) == 6
    strange = with_more(city.listing(), more, city.key(MERCHANT))
    later = city.listing()
    report = forged(log, strange, later)
    assert report.verified
    assert report.unknown_kinds == [6]
    assert list(outsider.lines_of(report)) == ["VERIFIED", "entry 6: kind unknown to this version"]
    assert first(forged(log, later, strange, strange)) == 8
    assert first(forged(log, with_more(city.listing(), more, city.key("stranger")))) == 6
    assert first(forged(log, with_more(city.listing(), more + b"\x0b", city.key(MERCHANT)))) == 6
    assert first(forged(log, altered(strange, signature=bytes(64)))) == 6
    assert first(forged(log, altered(strange, algorithm=1))) == 6
    genesis = with_more(city.genesis(), more, city.key(REGULATOR))
    assert first(forged(Log(), genesis)) == 0
    assert forged(log, with_more(city.genesis(), more, city.key(REGULATOR))).verified


@pytest.mark.parametrize("chain", ["party", "01/06901234567893", "ledger", TEA])
@pytest.mark.parametrize("nonce", [15, 16])
@pytest.mark.parametrize("time", [0, 1, LAST_US, LAST_US + 1])
def test_an_unknown_event_must_have_a_head(chain, nonce, time):
    city, log = City(), Log()
    log.accept(*city.founding())
    message = event_of(pb.Recall(), chain)
    message.nonce, message.occurred_at.unix_us = bytes(nonce), time
    raw = message.SerializeToString() + wire(99, b"new")
    good = chain in {"ledger", TEA} and nonce == 16 and 1 <= time <= LAST_US
    assert forged(log, Envelope.seal(raw, city.key(COURIER))).verified == good


def test_what_an_unknown_event_establishes():
    city, log, item = City(), Log(), ChainKey(f"{TEA}/21/A1")
    log.accept(*city.founding(), city.listing())
    strange = with_more(city.listing(item, title="x"), wire(99, b""), city.key(MERCHANT))
    before = city.say(
        MERCHANT, item, pb.Listing(title="x", category=1), at=moment(START_US).astimezone(CHINA)
    )
    assert forged(log, strange, before).entries[-1].flags == ["OUT_OF_ORDER", "LATE"][::-1]
    for who, allowed in ((MERCHANT, True), (PLATFORM, True), (REGULATOR, False), (OTHER_MERCHANT, False)):
        correction = city.say(who, item, pb.Correction(event=event_id(strange), reason=1))
        assert forged(log, strange, correction).verified == allowed
    # It lists nothing and introduces no key, whatever its body seems to say.
    listing = with_more(city.listing(CUP), wire(99, b""), city.key(MERCHANT))
    assert first(forged(log, listing, city.sale(chain=CUP))) == 8
    sale = with_more(city.sale("new"), wire(99, b""), city.key(MERCHANT))
    assert first(forged(log, sale, city.receipt(sale, "new"))) == 8
    # Rules are not applied to it: not those about keys, parties and clocks.
    fork = log.fork()
    fork.accept(city.say(REGULATOR, MERCHANT, pb.PartyStatusChange(status=2, reason=2)))
    assert forged(fork, strange).verified
    assert first(forged(fork, city.listing())) == 8
    fork.accept(
        city.say(REGULATOR, COURIER, pb.KeyRevocation(key_id=city.key(COURIER).public_key.key_id, reason=1))
    )
    ahead = city.say(COURIER, LEDGER, pb.Recall(reason=1), at=moment(LAST_US).astimezone(CHINA))
    assert forged(fork, with_more(ahead, wire(99, b""), city.key(COURIER))).verified


def adoption(city: City, version: int = 2, by: str = REGULATOR, chain=LEDGER) -> Envelope:
    return city.say(by, chain, pb.RulesAdoption(rules_version=version))


def test_unknown_rules():
    city, log = City(keys={COURIER: p256_key("courier")}), Log()
    log.accept(*city.founding(), city.register(DISTRICT, pb.PARTY_ROLE_REGULATOR, "鼓楼区市场监督管理局"))
    for version in (0, 1, 3, 2**32 - 1):
        with suppress(BadInput):
            assert first(forged(log, adoption(city, version))) == 7
    assert first(forged(log, adoption(city, by=DISTRICT))) == 7
    assert first(forged(log, adoption(city, by=MERCHANT))) == 7
    assert first(forged(log, adoption(city, chain=TEA))) == 7
    log.forge(adoption(city))
    assert forged(log).unjudged == []
    # No rules: not about keys, signers, chains or times; what is not known cannot be checked.
    anything = [
        city.sale(),
        city.receipt(city.sale(), "stranger"),
        city.listing(by=COURIER),
        adoption(city, 9, COURIER, TEA),
        city.register(MERCHANT, 4, by="stranger"),
        city.say(
            "stranger", REGULATOR, pb.Listing(title="x", category=1), at=moment(LAST_US).astimezone(CHINA)
        ),
        with_more(city.listing(by=COURIER), wire(99, b""), city.key(COURIER)),
        with_more(city.listing(), wire(99, b""), city.key("stranger")),
        altered(city.listing(by="stranger"), signature=b"x" * 64),
    ]
    report = forged(log, *anything)
    assert report.verified
    assert report.unjudged == list(range(8, 17))
    assert report.unknown_kinds == [14, 15]
    assert not any(entry.flags for entry in report.entries[8:])
    # All else is checked as before.
    for bad in (
        altered(city.listing(), signature=b"x" * 64),
        altered(city.listing(), algorithm=2),
        Envelope.seal(city.event(TEA, pb.Listing(title="x", category=1)).raw[:-1], city.key("stranger")),
        b"",
    ):
        assert first(forged(log, *anything[:3], bad)) == 11
    assert first(forged(log, anything[0], anything[0])) == 9


def test_under_unknown_rules_envelopes_are_still_envelopes_and_the_genesis_is_the_first_entry():
    city, log = City(), Log()
    log.accept(*city.founding())
    log.forge(adoption(city))
    stranger = city.listing(by="stranger")
    for bad in (
        altered(stranger, algorithm=3),
        altered(stranger, algorithm=0),
        altered(stranger, signature=b"x"),
        city.genesis(),
    ):
        assert first(forged(log, bad)) == 7


@pytest.mark.parametrize("versions", [(2, 1), (1, 2), (2**32 - 1, 1), (1, 2**32 - 1), (2, 2)])
def test_an_unknown_version_in_the_genesis(versions):
    city = City()
    body = pb.Genesis.FromString(example(Kind.GENESIS).SerializeToString())
    body.format_version, body.rules_version = versions
    body.regulator_key = city.key(REGULATOR).public_key.spki
    report = forged(Log(), city.say(REGULATOR, LEDGER, body))
    assert [index for index, _ in report.findings] == [0]
    assert report.findings[0][1].endswith("is unknown to this verifier: nothing was verified")


def test_a_genesis_that_is_none():
    city = City()
    for bad in (
        city.genesis("ledger.test/village"),
        altered(city.genesis(), key_id=NOWHERE),
        altered(city.genesis(), algorithm=2),
        city.say(
            "stranger",
            LEDGER,
            pb.Genesis.FromString(Event.parse(city.genesis().payload).body.SerializeToString()),
        ),
        city.say(
            REGULATOR,
            TEA,
            pb.Genesis.FromString(Event.parse(city.genesis().payload).body.SerializeToString()),
        ),
        city.listing(),
    ):
        assert first(forged(Log(), bad)) == 0
    log = Log()
    log.accept(city.genesis())
    assert first(forged(log, city.genesis())) == 1


# What anyone may come to say


LOT, ITEM, PACK, UNIT = f"{TEA}/10/L1", f"{TEA}/21/A1", "drug/81234567890123456789", "00/006901234567892125"
REGULATOR_MEMBER, DISTRICT_MEMBER = ChainKey(f"{REGULATOR}/desk-1"), ChainKey(f"{DISTRICT}/desk-1")
PARTIES = [REGULATOR, DISTRICT, PLATFORM, MERCHANT, OTHER_MERCHANT, COURIER]
MEMBERS = [CARRIER_MEMBER, MERCHANT_MEMBER, REGULATOR_MEMBER, DISTRICT_MEMBER]
BUYERS = ["buyer", "second buyer", "stranger"]
GOODS = [TEA, CUP, LOT, ITEM, PACK]
CHAINS = [*GOODS, PARCEL, UNIT, LEDGER, *PARTIES, *MEMBERS]
ROLE = dict(zip(PARTIES, (1, 1, 2, 3, 3, 4), strict=True))
MINUTE = 60_000_000


@cache
def founded() -> Log:
    """Parties of all roles with keys of both algorithms, one lapsed and one suspended; a listing, sales, and what came of them."""
    city, log = City(keys=keys()), Log()
    log.accept(
        *city.founding(), city.register(MERCHANT_MEMBER, 3, by=MERCHANT), city.listing(), city.listing(ITEM)
    )
    log.accept(
        city.register(DISTRICT, 1, "鼓楼区市场监督管理局"), city.register(DISTRICT_MEMBER, 1, by=DISTRICT)
    )
    sale, other = city.sale(), city.sale("second buyer", ITEM, MERCHANT_MEMBER)
    log.accept(sale, other, city.receipt(sale), city.review(sale), city.complaint(other, "second buyer"))
    log.accept(
        city.say(REGULATOR, COURIER, pb.PartyStatusChange(status=1, reason=3, licence_until="2026-05-03"))
    )
    log.accept(city.say(PLATFORM, OTHER_MERCHANT, pb.PartyStatusChange(status=2, reason=2)))
    return log


def keys():
    return {name: p256_key(name) for name in (PLATFORM, CARRIER_MEMBER, MERCHANT_MEMBER, "second buyer")}


@dataclass
class Teller:
    """Draws events that may follow from those recorded, or may not."""

    draw: Callable
    log: Log
    city: City

    def pick(self, likely, other=()):
        """One of the likely choices, or one time in five any other."""
        likely, other = list(likely), list(other)
        return self.draw(st.sampled_from([*likely * (4 * max(1, len(other))), *other * max(1, len(likely))]))

    def ref(self, *kinds: Kind) -> tuple[bytes, str]:
        """An event of these kinds and its chain, as a rule."""
        recorded = [entry.recorded for entry in self.log.entries]
        events = [(r.event_id, r.chain) for r in recorded]
        likely = [event for event, r in zip(events, recorded, strict=True) if r.kind in kinds]
        return self.pick(likely, [*events[-2:], (NOWHERE, TEA)])

    def signer(self, *likely: str) -> str:
        return self.pick(likely, [*PARTIES, *MEMBERS, *BUYERS])

    def event(self) -> Envelope:
        kind = self.pick(list(Kind)[2:], list(Kind)[:2])
        who, chain, body = getattr(self, kind)()
        chain = self.pick([chain] * 2, CHAINS)
        ago = self.pick([1, MINUTE], [60 * MINUTE, 60 * MINUTE + 1, 0, -10 * MINUTE, -10 * MINUTE - 1])
        at = moment(self.log.clock_us + 1_000_000 - ago).astimezone(CHINA)
        return self.city.say(who, ChainKey(chain), body, at=at, region=self.pick(["350102"], [""]))

    def genesis(self):
        return REGULATOR, LEDGER, Event.parse(City().genesis().payload).body

    def rules_adoption(self):
        return self.signer(REGULATOR), LEDGER, pb.RulesAdoption(rules_version=self.pick([2], [1, 3]))

    def party_registration(self):
        who = self.pick([DISTRICT, *MEMBERS], PARTIES)
        key = self.city.key(self.pick([who], BUYERS)).public_key.spki
        name = self.pick([["名", ""], ["", "名"]]["/" in who[6:]])
        role = self.pick([ROLE[who.company]], [1, 2, 3, 4])
        until = self.pick([""], ["2026-05-03", "2026-05-04", "2026-05-05"])
        body = pb.PartyRegistration(role=role, name=name, public_key=key, licence_until=until)
        return self.signer(REGULATOR, DISTRICT, PLATFORM, who.company), who, body

    def key_addition(self):
        whose = self.pick([*PARTIES, *MEMBERS])
        key = self.city.key(self.pick([f"spare {self.city.said}"], [*BUYERS, MERCHANT])).public_key.spki
        return self.signer(whose, REGULATOR, whose.company), whose, pb.KeyAddition(public_key=key)

    def key_revocation(self):
        whose = self.pick([*PARTIES, *MEMBERS])
        key_id = self.city.key(self.pick([whose], [*BUYERS, MERCHANT])).public_key.key_id
        return self.signer(whose, REGULATOR, DISTRICT), whose, pb.KeyRevocation(key_id=key_id, reason=1)

    def party_status_change(self):
        whose = self.pick([*PARTIES, *MEMBERS])
        until = self.pick([""], ["2026-05-03", "2026-05-04", "9999-12-31"])
        body = pb.PartyStatusChange(status=self.pick([1, 2]), reason=1, licence_until=until)
        return self.signer(REGULATOR, DISTRICT, PLATFORM, whose.company), whose, body

    def listing(self):
        return (
            self.signer(MERCHANT, OTHER_MERCHANT, MERCHANT_MEMBER),
            self.pick(GOODS),
            pb.Listing(title="茶", category=1),
        )

    def sale(self):
        key = self.city.key(self.pick(["stranger"], ["buyer", COURIER])).public_key.spki
        return (
            self.signer(MERCHANT, OTHER_MERCHANT, MERCHANT_MEMBER),
            self.pick(GOODS),
            pb.Sale(buyer_key=key, quantity=1),
        )

    def shipment(self):
        stage, (sale, chain) = self.pick([1, 2, 3]), self.ref(Kind.SALE)
        if self.pick([True, False]):
            body = pb.Shipment(
                stage=self.pick([2, 3], [1]), sale=self.pick([b""], [sale]), parcel=self.pick([""], [UNIT])
            )
            return self.signer(COURIER, CARRIER_MEMBER, MERCHANT_MEMBER), self.pick([PARCEL, UNIT]), body
        body = pb.Shipment(
            stage=stage, sale=sale, parcel=self.pick([PARCEL if stage == 1 else ""], ["", PARCEL])
        )
        return self.signer(MERCHANT, OTHER_MERCHANT, COURIER), chain, body

    def receipt(self):
        (sale, chain), proxy = self.ref(Kind.SALE), self.pick([True, False])
        who = self.signer(*[CARRIER_MEMBER, COURIER] if proxy else BUYERS)
        return who, chain, pb.Receipt(sale=sale, proxy=proxy, condition=1)

    def review(self):
        sale, chain = self.ref(Kind.SALE)
        body = pb.Review(
            sale=sale, rating=3, product_rating=self.pick([0], [1]), delivery_rating=self.pick([0], [5])
        )
        return self.signer(*BUYERS, MERCHANT, MERCHANT_MEMBER), chain, body

    def follow_up(self):
        review, chain = self.ref(Kind.REVIEW)
        return self.signer(*BUYERS, MERCHANT, MERCHANT_MEMBER), chain, pb.FollowUp(review=review)

    def complaint(self):
        sale, chain = self.ref(Kind.SALE)
        return self.signer(*BUYERS), chain, pb.Complaint(sale=sale, category=1, remedy=1)

    def complaint_reply(self):
        complaint, chain = self.ref(Kind.COMPLAINT)
        return (
            self.signer(MERCHANT, PLATFORM, REGULATOR),
            chain,
            pb.ComplaintReply(complaint=complaint, stance=1),
        )

    def complaint_resolution(self):
        complaint, chain = self.ref(Kind.COMPLAINT)
        body = pb.ComplaintResolution(complaint=complaint, outcome=3)
        return self.signer(MERCHANT_MEMBER, PLATFORM, REGULATOR), chain, body

    def recall(self):
        return (
            self.signer(MERCHANT, OTHER_MERCHANT, REGULATOR),
            self.pick([TEA, CUP, LOT]),
            pb.Recall(reason=1),
        )

    def correction(self):
        event, chain = self.ref(*Kind)
        return self.signer(MERCHANT, PLATFORM, *BUYERS), chain, pb.Correction(event=event, reason=1)


@given(st.data())
@settings(max_examples=40, deadline=None)
def test_what_anyone_may_say(data):
    teller = Teller(data.draw, founded().fork(), City(said=1_000, keys=keys()))
    log = teller.log
    for _ in range(data.draw(st.integers(1, 12))):
        envelope = teller.pick([teller.event()], [Envelope.parse(log.entries[-1].entry.envelope)])
        size = log.head.size
        log.clock_us += teller.pick([0], [1, MINUTE, 24 * 60 * MINUTE])
        verdict = log.only(envelope)
        if isinstance(verdict, Sequenced):
            continue
        fork = log.fork()
        fork.forge(envelope)
        found = agree(fork.leaves)
        # No service records rules that it does not know, but the log may hold their adoption.
        adopted = Event.parse(envelope.payload).kind is Kind.RULES_ADOPTION and found.verified
        assert adopted or first(found) == size
    assert agree(log.leaves).verified
