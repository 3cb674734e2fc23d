"""The outsider's verifier and the project's own auditor say the same of every log, good or bad."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from base64 import b64encode
from contextlib import suppress
from functools import cache
from itertools import pairwise
from pathlib import Path

import independent_verify as outsider
import pytest
from agreement import LOG_SECRET, NOWHERE, VKEY, agree, event_of, first, forged, names, note_over, with_more
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
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
    PLATFORM,
    REGULATOR,
    START_US,
    TEA,
    City,
    Log,
    altered,
    event_id,
    example,
    p256_key,
    varint,
    wire,
)

from ledger.chain_key import LEDGER, ChainKey
from ledger.entry import Entry
from ledger.envelope import Envelope
from ledger.errors import BadInput
from ledger.event import Event, Kind, moment
from ledger.form import LAST_US
from ledger.merkle import leaf_hash
from ledger.note import NoteSigner, SignedNote, VerifierKey
from suyuan.v1 import event_pb2 as pb
from suyuan.v1 import flags_pb2

# Good logs


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
    log.accept(complaint, city.reply(complaint), city.reply(complaint, PLATFORM))
    log.accept(city.resolution(complaint, DISTRICT))
    log.accept(city.say(MERCHANT, TEA, pb.Recall(reason=1)), city.say(DISTRICT, CUP, pb.Recall(reason=1)))
    # Corrections: of one's own event, by who registered the signer, by the buyer; the last long before the sale.
    log.accept(city.say("buyer", TEA, pb.Correction(event=event_id(review), reason=1)))
    log.accept(city.say(PLATFORM, TEA, pb.Correction(event=event_id(answer), reason=1)))
    old = moment(START_US - 3_600_000_000).astimezone(CHINA)
    correction = pb.Correction(event=event_id(sale), reason=1, replacement=NOWHERE)
    log.accept(city.say(MERCHANT_MEMBER, TEA, correction, at=old))
    # A key that comes and goes, a party that is suspended and comes back, and licences that run out.
    spare = city.key("spare")
    added = city.say(MERCHANT, MERCHANT, pb.KeyAddition(public_key=spare.public_key.spki))
    log.accept(added, city.listing(CUP, "spare"))
    log.accept(city.say(REGULATOR, MERCHANT, pb.KeyRevocation(key_id=spare.public_key.key_id, reason=1)))
    log.accept(city.say(DISTRICT, OTHER_MERCHANT, pb.PartyStatusChange(status=2, reason=1)))
    assert first(forged(log, city.listing(CUP, OTHER_MERCHANT))) == log.head.size
    assert first(forged(log, city.listing(CUP, "spare"))) == log.head.size
    ended = pb.PartyStatusChange(status=1, reason=2, licence_until="2026-05-03")
    log.accept(city.say(PLATFORM, OTHER_MERCHANT, ended), city.listing(CUP, OTHER_MERCHANT))
    log.accept(city.say(REGULATOR, COURIER, ended), city.scan(6))
    # No service records rules that it does not know, but a log may hold their adoption.
    log.forge(city.say(REGULATOR, LEDGER, pb.RulesAdoption(rules_version=2)))
    return log


def test_a_ledger_with_everything():
    report = agree(story().leaves)
    assert report.verified
    assert {entry.name for entry in report.entries} == set(Kind)
    flags = {flag for entry in report.entries for flag in entry.flags}
    assert flags == set(names(flags_pb2.EventFlag.values()[1:]))
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
        swapped = [*leaves[:n], leaves[m], *leaves[n + 1 : m], leaves[n], *leaves[m + 1 :]]
        twice = [*leaves[:m], leaves[n], *leaves[m:]]
        for changed in (dropped, swapped, twice):
            # By the checkpoint from before, which has seen all; and by one that the log has signed over this.
            assert not agree(changed, note).verified
            agree(changed)
        assert not agree(twice).verified


def test_entries_beyond_the_checkpoint_are_not_read():
    assert agree([*small(), b"anything"], note_over(small())).verified
    assert not agree([*small(), b"anything"]).verified
    assert agree([b"anything"], note_over([])).verified


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


def test_no_byte_of_the_note_can_be_changed():
    note = note_over(small())
    for place, byte in enumerate(note):
        changed = bytes([byte ^ 1 << place % 8])
        assert not agree(small(), note[:place] + changed + note[place + 1 :]).verified


ORIGIN_LINE, SIZE, ROOT = note_over(small()).decode().split("\n")[:3]
TEXT = f"{ORIGIN_LINE}\n{SIZE}\n{ROOT}\n"
OTHER_SECRET = Ed25519PrivateKey.from_private_bytes(bytes(32))
ELSEWHERE = "ledger.test/village"


def signed(text: str, secret=LOG_SECRET) -> bytes:
    """Any text under the log's name and key id, whether a note can have it or not."""
    key_id = bytes.fromhex(VKEY.split("+")[1])
    return f"{text}\n— {ORIGIN} {b64encode(key_id + secret.sign(text.encode())).decode()}\n".encode()


def line_of(note: bytes) -> bytes:
    return note.splitlines(keepends=True)[-1]


def by_another_name(name: str) -> bytes:
    return line_of(SignedNote.sign(TEXT, NoteSigner(name, OTHER_SECRET)).encode())


@pytest.mark.parametrize(
    "note",
    [
        signed(TEXT),
        signed(f"{TEXT}an extension\nand another\n"),
        signed(TEXT) + by_another_name("witness.test/w"),
        # Another key of the log's name has another id.
        signed(TEXT) + by_another_name(ORIGIN),
        signed(TEXT) + line_of(signed(TEXT)),
    ],
)
def test_what_a_note_may_be(note):
    assert agree(small(), note).verified


@pytest.mark.parametrize(
    "note",
    [
        *(
            signed(f"{ORIGIN}\n{size}\n{ROOT}\n")
            for size in ("04", "+4", "-4", "4 ", "４", "0x4", "3", "5", "")
        ),
        *(
            signed(f"{ORIGIN}\n4\n{root}\n")
            for root in ("", ROOT[:-1], f"{ROOT[:-2]}0=", ROOT[4:], f"{ROOT} ")
        ),
        *(signed(f"{origin}\n4\n{ROOT}\n") for origin in (f"{ORIGIN}/", ORIGIN[1:], "", f"{ORIGIN}\t")),
        signed(f"{ORIGIN}\n4\n"),
        signed(f"{TEXT}\n"),
        signed(f"{TEXT}an extension\n\n"),
        signed(f"{TEXT}an ext\x00nsion\n"),
        signed(f"\n{TEXT}"),
        signed(TEXT[:-1]),
        signed(TEXT.replace("\n", "\r\n")),
        signed(TEXT, OTHER_SECRET),
        signed(TEXT) + line_of(signed(TEXT, OTHER_SECRET)),
        signed(TEXT) + b"\n",
        signed(TEXT) + b"x\n",
        signed(TEXT)[:-1],
        signed(TEXT).replace(b"\n\n", b"\n"),
        signed(TEXT).replace("—".encode(), b"-"),
        signed(TEXT).replace(b" QXT8D", b"  QXT8D"),
        signed(TEXT).replace(b" QXT8D", b" +QXT8D"),
        TEXT.encode() + b"\n" + by_another_name(ORIGIN),
        TEXT.encode() + b"\n",
        b"\xff" + signed(TEXT),
        b"",
    ],
)
def test_what_a_note_may_not_be(note):
    assert not agree(small(), note).verified


@pytest.mark.parametrize(
    "vkey",
    [
        str(NoteSigner(ORIGIN, OTHER_SECRET).vkey),
        str(NoteSigner(ELSEWHERE, LOG_SECRET).vkey),
        str(VerifierKey.of(ORIGIN, LOG_SECRET.public_key().public_bytes_raw(), key_type=4)),
        VKEY.replace("+4174fc0f+", "+4174FC0F+"),
        VKEY.replace("+4174fc0f+", "+4174fc0e+"),
        VKEY.replace("+4174fc0f+", "+"),
        VKEY[:-4],
        VKEY + "=",
        VKEY.partition("+")[0],
        "",
    ],
)
def test_another_verifier_key(vkey):
    assert vkey != VKEY
    assert not agree(small(), vkey=vkey).verified


def test_another_log():
    vkey = str(NoteSigner(ELSEWHERE, LOG_SECRET).vkey)
    assert not agree(small(), origin=ELSEWHERE).verified
    assert not agree(small(), origin=ELSEWHERE, vkey=vkey).verified
    assert first(agree(small(), note_over(small(), ELSEWHERE), origin=ELSEWHERE, vkey=vkey)) == 0


# What a verifier does not know


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
