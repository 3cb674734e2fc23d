"""A verifier for Suyuan logs, written from docs/format.md alone.

It shares no code with the project and needs Python's standard library and `cryptography` only, so that a
mistake in the project's own auditor, or in the page, shows as a difference. "§" names the page's sections.

    python tests/independent_verify.py VECTORS.json

prints VERIFIED or TAMPERED and what was found; the exit status is 0, 1, or 2 for wrong usage.
"""

from __future__ import annotations

import base64
import json
import re
import sys
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import date, timedelta
from functools import lru_cache
from hashlib import sha256
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ec import ECDSA, SECP256R1, EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256

FORMAT_VERSION = RULES_VERSION = 1
PAYLOAD_TYPE = "application/vnd.suyuan.event.v1+protobuf"
MINUTE, HOUR, DAY = 60_000_000, 3_600_000_000, 86_400_000_000
REGULATOR, PLATFORM, MERCHANT, COURIER = 1, 2, 3, 4


class Refused(Exception):
    """The bytes or what they say are not as the page has it."""


class UnknownVersion(Refused):
    """The genesis names a version of the format or the rules that is not known here (§9)."""


def need(ok: object, otherwise: str) -> None:
    if not ok:
        raise Refused(otherwise)


def digest(data: bytes) -> bytes:
    """The page's H(x)."""
    return sha256(data).digest()


# §1: messages and their one encoding


class Field(NamedTuple):
    """A field: its type (a name, or the message it holds) and what §4 to §6 demand of its value."""

    name: str
    type: str | Message
    check: Callable[[Any], object] = lambda _: True
    repeated: bool = False

    @property
    def wire(self) -> int:
        return 2 if isinstance(self.type, dict) or self.type in {"text", "bytes"} else 0

    @property
    def default(self) -> Any:
        """What stands for a field that is left out; None for a submessage that is not set."""
        return [] if self.repeated else None if isinstance(self.type, dict) else DEFAULTS[self.type]

    def submessages(self, value: Any) -> list[Values]:
        if not isinstance(self.type, dict) or value is None:
            return []
        return value if self.repeated else [value]


Message = dict[int, Field]  # by ascending number
Values = dict[str, Any]  # by field name

FROM_VARINT: dict[str, Callable[[int], int]] = {
    "uint32": lambda raw: raw % 2**32,
    "uint64": lambda raw: raw,
    "int64": lambda raw: raw - 2**64 if raw >> 63 else raw,
    "sint32": lambda raw: (raw % 2**32 >> 1) ^ -(raw & 1),
    "bool": bool,
}
DEFAULTS = dict.fromkeys(FROM_VARINT, 0) | {"text": "", "bytes": b""}


def read_varint(data: bytes, pos: int) -> tuple[int, int]:
    """The varint at pos, of at most ten bytes, and the position after it."""
    value = 0
    for shift in range(0, 70, 7):
        need(pos < len(data), "a varint is cut short")
        byte, pos = data[pos], pos + 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value % 2**64, pos
    raise Refused("a varint is too long")


def read_fields(data: bytes) -> Iterator[tuple[int, int, Any]]:
    """The number, wire type and value of each field; a group is one field without a value."""
    pos, groups = 0, []
    while pos < len(data):
        tag, pos = read_varint(data, pos)
        number, wire, raw, outside = tag >> 3, tag & 7, b"", not groups
        need(0 < number < 2**29, "a field has a number that is none")
        if wire == 0:
            raw, pos = read_varint(data, pos)
        elif wire in {1, 2, 5}:
            length, pos = read_varint(data, pos) if wire == 2 else (8 if wire == 1 else 4, pos)
            raw, pos = data[pos : pos + length], pos + length
            need(pos <= len(data), "a field is cut short")
        elif wire == 3:
            groups.append(number)
        else:
            need(wire == 4 and groups and groups.pop() == number, "a field has a wire type that is none")
        if outside:
            yield number, wire, raw
    need(not groups, "a group is cut short")


def decode(data: bytes, schema: Message, unknown: list[int], old: Values | None = None) -> Values:
    """The values as protobuf parsers read them: the last one holds, submessages are merged into `old`."""
    values = old or {item.name: item.default for item in schema.values()}
    for number, wire, raw in read_fields(data):
        item = schema.get(number)
        if item is None or wire != item.wire:
            unknown.append(number)
        elif item.repeated:
            values[item.name].append(decode(raw, item.type, unknown))
        elif isinstance(item.type, dict):
            values[item.name] = decode(raw, item.type, unknown, values[item.name])
        elif item.type == "text":
            try:
                values[item.name] = raw.decode()
            except UnicodeDecodeError:
                raise Refused(f"{item.name} is not UTF-8") from None
        else:
            values[item.name] = FROM_VARINT.get(item.type, bytes)(raw)
    return values


def varint(value: int) -> bytes:
    """The shortest varint."""
    out, value = bytearray(), value % 2**64
    while value >= 0x80:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*out, value])


def encode(values: Values, schema: Message) -> bytes:
    """The one encoding."""
    out = bytearray()
    for number, item in schema.items():
        value, tag = values[item.name], varint(number << 3 | item.wire)
        for part in item.submessages(value):
            raw = encode(part, item.type)
            out += tag + varint(len(raw)) + raw
        if isinstance(item.type, dict) or not value:
            continue
        if item.wire == 0:
            out += tag + varint(value << 1 ^ value >> 31 if item.type == "sint32" else value)
        else:
            raw = value.encode() if item.type == "text" else value
            out += tag + varint(len(raw)) + raw
    return bytes(out)


def check(values: Values, schema: Message) -> None:
    """Refuse values that are not as the tables of §4 to §6 say they must be."""
    for item in schema.values():
        need(item.check(values[item.name]), f"{item.name} is not as it must be")
        for part in item.submessages(values[item.name]):
            check(part, item.type)


def read_message(data: bytes, schema: Message) -> Values:
    """An entry's or envelope's values: §9 allows unknown fields in events only."""
    unknown: list[int] = []
    values = decode(data, schema, unknown)
    need(not unknown and encode(values, schema) == data, "an entry or envelope is not in its one encoding")
    check(values, schema)
    return values


# §2: keys and signatures

ED25519, ECDSA_P256 = 1, 2
ED25519_PREFIX = bytes.fromhex("302a300506032b6570032100")
P256_PREFIX = bytes.fromhex("3059301306072a8648ce3d020106082a8648ce3d03010703420004")
P = 2**255 - 19
D = -121665 * pow(121666, -1, P) % P


def is_ed25519_point(encoded: bytes) -> bool:
    """Whether y is below 2^255-19 and not that of a point of order 1, 2, 4 or 8."""
    y = int.from_bytes(encoded, "little") % 2**255
    of_order_8 = (D * y**4 + 2 * y**2 - 1) % P == 0  # doubled, it has y = 0, which is of order 4
    return y < P and y not in {0, 1, P - 1} and not of_order_8


@lru_cache(maxsize=65536)
def load_key(spki: bytes) -> tuple[int, Any] | None:
    """The number of a key's algorithm, and the key; None if these bytes are not a public key."""
    if len(spki) == 44 and spki.startswith(ED25519_PREFIX) and is_ed25519_point(spki[12:]):
        return ED25519, Ed25519PublicKey.from_public_bytes(spki[12:])
    if len(spki) == 91 and spki.startswith(P256_PREFIX):
        try:
            return ECDSA_P256, EllipticCurvePublicKey.from_encoded_point(SECP256R1(), spki[26:])
        except ValueError:  # not on the curve
            return None
    return None


def is_signed(spki: bytes, algorithm: int, signature: bytes, data: bytes) -> bool:
    """Whether the key has that algorithm and the signature is its over the data."""
    key = load_key(spki)
    if key is None or key[0] != algorithm or len(signature) != 64:
        return False
    try:
        if algorithm == ED25519:
            key[1].verify(signature, data)
        else:
            r, s = int.from_bytes(signature[:32], "big"), int.from_bytes(signature[32:], "big")
            key[1].verify(encode_dss_signature(r, s), data, ECDSA(SHA256()))
    except (InvalidSignature, ValueError):
        return False
    return True


# §3: chain keys

PLAIN = r"[A-Za-z0-9._-]"  # what stands for itself in a lot or serial
ESCAPED = re.compile(r"""[!"%&'()*+,/:;<=>?]""")  # the rest of GS1 character set 82
USCC = "0123456789ABCDEFGHJKLMNPQRTUWXY"


def is_gs1(digits: str) -> bool:
    """Whether the last digit checks the others: weights 3, 1, 3, … from the digit left of it."""
    total = sum(int(digit) * (3, 1)[i % 2] for i, digit in enumerate(reversed(digits[:-1])))
    return (total + int(digits[-1])) % 10 == 0


def is_batch(gtin: str, text: str) -> bool:
    """Whether a GTIN is followed by a lot or serial in its one spelling."""
    characters = re.findall(rf"%[0-9A-F]{{2}}|{PLAIN}", text)
    escaped = [chr(int(c[1:], 16)) for c in characters if len(c) == 3]
    complete = "".join(characters) == text and 1 <= len(characters) <= 20
    return is_gs1(gtin) and complete and all(map(ESCAPED.match, escaped))


def is_waybill(carrier: str, number: str) -> bool:
    """Whether the check digit is right, if it is a UPU S10 identifier."""
    if carrier != "upu" or not re.fullmatch(r"[A-Z]{2}[0-9]{9}[A-Z]{2}", number):
        return carrier != "upu"
    rest = 11 - sum(int(c) * w for c, w in zip(number[2:10], (8, 6, 4, 2, 3, 5, 9, 7), strict=True)) % 11
    return int(number[10]) == {10: 0, 11: 5}.get(rest, rest)


def is_uscc(text: str) -> bool:
    """Whether the last of the eighteen characters checks the others."""
    return USCC[-sum(USCC.index(c) * 3**i for i, c in enumerate(text[:17])) % 31] == text[17]


CHAINS: list[tuple[str, str, Callable[..., bool]]] = [
    ("ledger", r"ledger", lambda: True),
    ("product", r"01/([0-9]{14})", is_gs1),
    ("lot", r"01/([0-9]{14})/10/(.+)", is_batch),
    ("item", r"01/([0-9]{14})/21/(.+)", is_batch),
    ("logistic unit", r"00/([0-9]{18})", is_gs1),
    ("waybill", r"waybill/([a-z0-9][a-z0-9-]{0,15})/([A-Z0-9][A-Z0-9-]{2,30}[A-Z0-9])", is_waybill),
    ("medicine pack", r"drug/8[0-9]{19}", lambda: True),
    ("party", rf"party/([{USCC}]{{18}})", is_uscc),
    ("member", rf"party/([{USCC}]{{18}})/[A-Za-z0-9][A-Za-z0-9._-]{{0,31}}", is_uscc),
]
PRODUCT_CHAINS = {"product", "lot", "item", "medicine pack"}
PARCEL_CHAINS = {"logistic unit", "waybill"}
PARTY_CHAINS = {"party", "member"}


@lru_cache(maxsize=65536)
def chain_kind(text: str) -> str:
    """What a chain key names; empty if it is no chain key."""
    if len(text) <= 128 and text.isascii():
        for kind, pattern, is_right in CHAINS:
            if match := re.fullmatch(pattern, text):
                return kind if is_right(*match.groups()) else ""
    return ""


def company_of(party: str) -> str:
    """`party/<USCC>` of a party or a member; empty for a buyer."""
    return "/".join(party.split("/")[:2])


def product_of(chain: str) -> str:
    """`01/<GTIN>` of a product, lot or item; a medicine pack is its own product."""
    return chain[:17] if chain.startswith("01/") else chain


# §4: events, §5: envelopes, §6: entries

REGION, TOKEN = "[0-9]{6}|[A-Z]{2}", "[a-z0-9][a-z0-9!#$&^_.+-]*"
URI = r"[a-z][a-z0-9+.-]*:[A-Za-z0-9._~:/?#\[\]@!$&'()*+,;=%-]+"
HIDDEN = re.compile(  # titles, names, origins and licence numbers have none of these
    r"[\0-\x1f\x7f-\xa0\xad\u061c\u1680\u180e\u2000-\u200f\u2028-\u202f\u205f-\u206f\ud800-\uf8ff"
    r"\ufeff\ufff0-\uffff\U000e0000-\U0010ffff]"
)


def is_shown(text: str) -> bool:
    """Whether a title, name, origin or licence number has nothing hidden and no blank at an end."""
    return not HIDDEN.search(text) and text == text.strip(" \u3000")


def is_date(text: str) -> bool:
    """Whether it is empty or a day of the calendar as YYYY-MM-DD."""
    try:
        return text == "" or date.fromisoformat(text).isoformat() == text
    except ValueError:
        return False


def is_origin(text: str) -> bool:
    return is_shown(text) and not re.search("[ \u3000+]", text) and 1 <= len(text.encode()) <= 128


def is_resolution(body: Values | None) -> bool:
    """Whether a complaint's remedy is 0 exactly when it is refused."""
    return body is None or (body["outcome"] == 3) == (body["remedy"] == 0)


def matching(pattern: str, most: int = 128) -> tuple[str, Callable[[Any], object]]:
    """A text all of which matches."""
    return "text", lambda value: len(value) <= most and re.fullmatch(pattern, value)


TYPES: dict[str, tuple[str, Callable[[Any], object]]] = {
    "uint32": ("uint32", lambda _: True),
    "uint64": ("uint64", lambda _: True),
    "bool": ("bool", lambda _: True),
    "key": ("bytes", lambda value: load_key(value) is not None),
    "hash": ("bytes", lambda value: len(value) == 32),
    "hash?": ("bytes", lambda value: len(value) in {0, 32}),
    "time": ("int64", lambda value: 1 <= value <= 253402250399999999),
    "offset": ("sint32", lambda value: -840 <= value <= 840),
    "chain": ("text", chain_kind),
    "party": ("text", lambda value: chain_kind(value) == "party"),
    "parcel?": ("text", lambda value: value == "" or chain_kind(value) in PARCEL_CHAINS),
    "gln?": ("text", lambda value: value == "" or (re.fullmatch("[0-9]{13}", value) and is_gs1(value))),
    "origin": ("text", is_origin),
    "date?": ("text", is_date),
    "region": matching(REGION),
    "region?": matching(f"|{REGION}"),
    "media": matching(f"{TOKEN}/{TOKEN}", 127),
    "uri?": matching(f"|{URI}", 1024),
    "payload": matching(re.escape(PAYLOAD_TYPE)),
}


def type_of(name: str) -> tuple[str, Callable[[Any], object]]:
    """The type of that name: one of the above, or a range of a number or of the bytes of text or bytes."""
    if name in TYPES:
        return TYPES[name]
    kind, least, most = re.fullmatch(r"(text|bytes|)([0-9]+)-([0-9]*)", name).groups()
    low, high = int(least), int(most or 2**32)
    if kind == "text":
        return kind, lambda value: is_shown(value) and low <= len(value.encode()) <= high
    return kind or "uint32", lambda value: low <= (len(value) if kind else value) <= high


def message(fields: str, **special: Field) -> Message:
    """A message whose fields, `name:type`, are numbered from 1; those without a type are given by name."""
    pairs = (item.partition(":") for item in fields.split())
    items = [Field(name, *type_of(spec)) if spec else special[name] for name, _, spec in pairs]
    return dict(enumerate(items, start=1))


RATINGS = "product_rating:0-5 description_rating:0-5 delivery_rating:0-5"
BODIES = {
    16: (
        "genesis",
        "origin:origin format_version:1- rules_version:1- regulator:party regulator_name:text1-200 "
        "regulator_key:key",
    ),
    17: ("rules_adoption", "rules_version:1-"),
    18: (
        "party_registration",
        "role:1-4 name:text0-200 public_key:key licence_number:text0-64 licence_until:date?",
    ),
    19: ("key_addition", "public_key:key"),
    20: ("key_revocation", "key_id:hash reason:1-4"),
    21: ("party_status_change", "status:1-2 reason:1-4 licence_until:date?"),
    32: ("listing", "title:text1-200 category:1-8 gross_weight_g:uint32 origin_region:region?"),
    33: ("sale", "buyer_key:key quantity:1- order_commitment:hash?"),
    34: ("shipment", "stage:1-11 sale:hash? parcel:parcel? weight_g:uint32"),
    35: ("receipt", "sale:hash proxy:bool condition:1-4"),
    36: ("review", f"sale:hash rating:1-5 {RATINGS} text_commitment:hash?"),
    37: ("follow_up", "review:hash rating:0-5 text_commitment:hash?"),
    38: ("complaint", "sale:hash category:1-8 remedy:1-5 text_commitment:hash?"),
    39: ("complaint_reply", "complaint:hash stance:1-3 text_commitment:hash?"),
    40: ("complaint_resolution", "complaint:hash outcome:1-3 remedy:0-5 text_commitment:hash?"),
    41: ("recall", "reason:1-5 text_commitment:hash?"),
    42: ("correction", "event:hash reason:1-5 replacement:hash?"),
}
HEAD = message(
    "chain:chain occurred_at place nonce:bytes16-16 evidence seen_head:hash?",
    occurred_at=Field("occurred_at", message("unix_us:time utc_offset_minutes:offset"), bool),
    place=Field("place", message("region:region gln:gln?")),
    evidence=Field(
        "evidence",
        message("sha256:hash media_type:media uri:uri?"),
        lambda items: len(items) <= 32,
        repeated=True,
    ),
)
EVENT = HEAD | {number: Field(name, message(fields)) for number, (name, fields) in BODIES.items()}
EVENT[40] = EVENT[40]._replace(check=is_resolution)
SIGNATURE = message("key_id:hash algorithm:1-2 signature:bytes64-64")
ENVELOPE = message(
    "payload_type:payload payload:bytes0-49152 signatures",
    signatures=Field("signatures", SIGNATURE, lambda items: len(items) == 1, repeated=True),
)
ENTRY = message("chain_seq:uint64 previous:hash? recorded_at_us:time envelope:bytes0-65000")


@dataclass(frozen=True)
class Signer:
    """Who signed: a party or member (its chain key), or the buyer of a sale (the sale's event id)."""

    party: str = ""
    sale: bytes = b""

    @property
    def company(self) -> str:
        return company_of(self.party)


@dataclass
class Event:
    """An entry taken apart, and who signed it as soon as that is known."""

    entry: Values
    signature: Values
    signed: bytes
    id: bytes
    head: Values
    number: int  # of the body; 0 if the event is unknown
    signer: Signer = field(default_factory=Signer)

    def __post_init__(self):
        self.name = BODIES[self.number][0] if self.number else "unknown"
        self.body: Values = self.head[self.name] if self.number else {}
        self.chain: str = self.head["chain"]
        self.chain_kind = chain_kind(self.chain)
        self.occurred: int = self.head["occurred_at"]["unix_us"]
        self.recorded: int = self.entry["recorded_at_us"]  # the page's T


def take_apart(data: bytes, index: int) -> Event:
    """An entry, its envelope and its event, each as the page says or refused."""
    need(len(data) <= 65535, "the entry is too large")
    entry = read_message(data, ENTRY)
    envelope = read_message(entry["envelope"], ENVELOPE)
    payload, unknown = envelope["payload"], []
    event = decode(payload, EVENT, unknown)
    numbers = [number for number, (name, _) in BODIES.items() if event[name] is not None]
    if index == 0 and 16 in numbers:
        known = {"format_version": FORMAT_VERSION, "rules_version": RULES_VERSION}
        for name, value in ((name, event["genesis"][name]) for name in known):
            if value > known[name]:
                raise UnknownVersion(f"{name} {value} is unknown to this verifier: nothing was verified")
    if unknown:
        need(index, "the genesis has an unknown field")
        check(event, HEAD)
    else:
        need(encode(event, EVENT) == payload, "the event is not in its one encoding")
        need(len(numbers) == 1, "the event has no body, or more than one")
        check(event, EVENT)
    signed = b"DSSEv1 %d %s %d %s" % (len(PAYLOAD_TYPE), PAYLOAD_TYPE.encode(), len(payload), payload)
    number = 0 if unknown else numbers[0]
    return Event(entry, envelope["signatures"][0], signed, digest(payload), event, number)


# §7: the tree and its checkpoint


def append_leaf(frontier: list[bytes], size: int, leaf: bytes) -> None:
    """Add a leaf to a tree of that size, which is kept as the roots of its perfect subtrees."""
    while size & 1:
        leaf = digest(b"\x01" + frontier.pop() + leaf)
        size >>= 1
    frontier.append(leaf)


def root_of(frontier: list[bytes]) -> bytes:
    root = frontier[-1] if frontier else digest(b"")
    for left in reversed(frontier[:-1]):
        root = digest(b"\x01" + left + root)
    return root


def unbase64(text: str) -> bytes:
    """RFC 4648 base64 in its one spelling."""
    try:
        data = base64.b64decode(text, validate=True)
    except ValueError:
        raise Refused("a text is not base64") from None
    need(base64.b64encode(data).decode() == text, "a text is not base64 as it is written")
    return data


def read_vkey(vkey: str, origin: str) -> tuple[bytes, bytes]:
    """The key id and public key in the log's verifier key."""
    name, _, rest = vkey.partition("+")
    key_id, _, encoded = rest.partition("+")
    material = unbase64(encoded)
    need(name == origin, "the verifier key is of another origin")
    need(len(material) == 33 and material[0] == 1, "the verifier key is not for Ed25519")
    computed = digest(name.encode() + b"\n" + material)[:4]
    need(computed.hex() == key_id, "the verifier key does not have the key id that it names")
    return computed, material[1:]


def read_note(note: bytes) -> tuple[str, list[tuple[str, bytes]]]:
    """A signed note's text, and its signatures' names and bytes (C2SP signed-note)."""
    try:
        text = note.decode()
    except UnicodeDecodeError:
        raise Refused("the note is not UTF-8") from None
    end = text.rfind("\n\n")
    need(end >= 0 and text.endswith("\n"), "the note has no signatures")
    need(not any(c < " " and c != "\n" for c in text), "the note has control characters")
    lines = [re.fullmatch(r"— ([^\s+]+) (\S+)", line) for line in text[end + 2 : -1].split("\n")]
    need(all(lines), "a line of the note is not a signature")
    return text[: end + 1], [(line[1], unbase64(line[2])) for line in lines]


class Checkpoint(NamedTuple):
    """The size and root that the log has signed."""

    size: int
    root: bytes


def open_checkpoint(note: bytes, origin: str, vkey: str, found: list[str]) -> Checkpoint | None:
    """A note's checkpoint, if it can be read at all; what is wrong with it is added to `found`."""
    checkpoint = None
    try:
        text, signatures = read_note(note)
        lines = text[:-1].split("\n")  # three, and perhaps extension lines
        need(len(lines) >= 3 and all(lines), "the note is not a checkpoint")
        need(re.fullmatch(r"0|[1-9][0-9]{0,18}", lines[1]), "the checkpoint's size is not a number")
        checkpoint = Checkpoint(int(lines[1]), unbase64(lines[2]))
        need(len(checkpoint.root) == 32, "the checkpoint's root is not a hash")
        need(lines[0] == origin, "the checkpoint is of another origin")
        key_id, key = read_vkey(vkey, origin)
        ours = [s[4:] for name, s in signatures if name == origin and s[:4] == key_id]
        signed = [is_signed(ED25519_PREFIX + key, ED25519, s, text.encode()) for s in ours]
        need(signed and all(signed), "the checkpoint is not signed with the log's key")
    except Refused as refused:
        found.append(str(refused))
    return checkpoint


# §8: the rules, version 1


@dataclass
class Key:
    """A key that was introduced, and who holds it."""

    spki: bytes
    holder: Signer
    revoked: bool = False


@dataclass
class Party:
    """A party or a member."""

    role: int
    registered_by: str
    licence_until: str
    suspended: bool = False


@dataclass
class Sale:
    """A sale, and what became of it."""

    chain: str
    merchant: str
    occurred: int
    received: bool = False
    reviewed: set[str] = field(default_factory=set)


ALL_CHAINS = PRODUCT_CHAINS | PARCEL_CHAINS | PARTY_CHAINS
ORDERED_CHAINS = ALL_CHAINS - {"product", "lot"}
CHAINS_OF_KIND = dict.fromkeys((16, 17), {"ledger"}) | dict.fromkeys((18, 19, 20, 21), PARTY_CHAINS)
CHAINS_OF_KIND |= {34: PRODUCT_CHAINS | PARCEL_CHAINS, 41: {"product", "lot"}, 42: ALL_CHAINS}


@dataclass
class Rules:
    """What the entries so far have established, and the judgement of the next one by it."""

    version: int = RULES_VERSION
    regulator: str = ""
    keys: dict[bytes, Key] = field(default_factory=dict)
    parties: dict[str, Party] = field(default_factory=dict)
    listings: set[tuple[str, str]] = field(default_factory=set)
    sales: dict[bytes, Sale] = field(default_factory=dict)
    reviews: dict[bytes, tuple[bytes, str]] = field(default_factory=dict)  # sale and side
    complaints: dict[bytes, bytes] = field(default_factory=dict)  # sale
    events: dict[bytes, tuple[str, Signer]] = field(default_factory=dict)  # chain and signer

    def judge(self, e: Event) -> None:
        """Refuse what version 1 refuses."""
        need(
            e.chain_kind in CHAINS_OF_KIND.get(e.number, PRODUCT_CHAINS), f"no {e.name} belongs on this chain"
        )
        need(e.occurred <= e.recorded + 10 * MINUTE, "it happened more than ten minutes after its record")
        if e.number == 16:
            return  # §7 says the rest
        need(not self.keys[e.signature["key_id"]].revoked, "its key is revoked")
        holders = {e.signer.party, e.signer.company} & self.parties.keys()
        need(not any(self.parties[name].suspended for name in holders), "its signer is suspended")
        getattr(self, f"_judge_{e.name}")(e)

    def _role(self, e: Event) -> int:
        """The signer's role: a member has its company's, a buyer none."""
        return self.parties[e.signer.company].role if e.signer.party else 0

    def _lapsed(self, party: str, e: Event) -> bool:
        """Whether a party's licence had run out on the day, in UTC+8, on which the event was recorded."""
        today = date(1970, 1, 1) + timedelta(days=(e.recorded + 8 * HOUR) // DAY)
        return party != "" and "" < self.parties[party].licence_until < today.isoformat()

    def _accreditor(self, e: Event) -> str:
        """The signer if it is a company or authority that has not lapsed; else empty."""
        party = e.signer.party
        return party if party == e.signer.company and not self._lapsed(party, e) else ""

    def _has_authority(self, e: Event) -> bool:
        """Whether the signer has authority over the party that the event is about."""
        by, party = self._accreditor(e), self.parties[e.chain]
        as_regulator = self._role(e) == REGULATOR and party.role != REGULATOR
        as_superior = by != e.chain and by in {party.registered_by, company_of(e.chain)}
        return by != "" and (as_regulator or as_superior)

    def _has_listed(self, e: Event) -> bool:
        """Whether the signer is a merchant whose company has listed the chain or its product."""
        listed = {(e.signer.company, chain) for chain in (e.chain, product_of(e.chain))} & self.listings
        return self._role(e) == MERCHANT and bool(listed)

    def sale_of(self, e: Event) -> bytes:
        """The sale that the event names, or whose review or complaint it names; or empty."""
        if "review" in e.body:
            return self.reviews.get(e.body["review"], (b"", ""))[0]
        if "complaint" in e.body:
            return self.complaints.get(e.body["complaint"], b"")
        return e.body.get("sale", b"")

    def _sale(self, e: Event) -> tuple[Sale, str]:
        """The sale that the event is part of; and the signer's side of it: buyer, merchant or none (empty)."""
        sale = self.sales.get(self.sale_of(e))
        need(sale and sale.chain == e.chain, "it names nothing of a sale on this chain")
        if e.signer.party:
            return sale, "merchant" if e.signer.company == sale.merchant else ""
        return sale, "buyer" if e.signer.sale == self.sale_of(e) else ""

    def _judge_new_key(self, spki: bytes) -> None:
        need(digest(spki) not in self.keys, "the key was introduced before")

    def _judge_rules_adoption(self, e: Event) -> None:
        need(e.signer.party == self.regulator, "its signer is not the genesis' regulator")
        need(e.body["rules_version"] == self.version + 1, "the rules version is not the next one")

    def _judge_party_registration(self, e: Event) -> None:
        role, company, by = e.body["role"], company_of(e.chain), self._role(e)
        if e.chain == company:
            allowed = by == REGULATOR or (by == PLATFORM and role == MERCHANT)
        else:
            need(company in self.parties, "its company is not registered")
            need(self.parties[company].role == role, "its company has another role")
            allowed = by == REGULATOR or (by in {COURIER, MERCHANT} and e.signer.party == company)
        need(allowed and self._accreditor(e), "its signer cannot register this party")
        need(e.chain not in self.parties, "the party is registered already")
        need((e.body["name"] != "") == (e.chain == company), "a company has a name and a member has none")
        self._judge_new_key(e.body["public_key"])

    def _judge_own_key(self, e: Event) -> None:
        need(e.chain in self.parties, "the party is not registered")
        need(
            e.signer.party == e.chain or self._has_authority(e), "its signer has no authority over the party"
        )

    def _judge_key_addition(self, e: Event) -> None:
        self._judge_own_key(e)
        self._judge_new_key(e.body["public_key"])

    def _judge_key_revocation(self, e: Event) -> None:
        self._judge_own_key(e)
        key = self.keys.get(e.body["key_id"])
        need(key and key.holder.party == e.chain, "the key is not this party's")

    def _judge_party_status_change(self, e: Event) -> None:
        need(e.chain in self.parties, "the party is not registered")
        need(self._has_authority(e), "its signer has no authority over the party")

    def _judge_listing(self, e: Event) -> None:
        need(self._role(e) == MERCHANT, "its signer is not a merchant")

    def _judge_sale(self, e: Event) -> None:
        need(self._has_listed(e), "its signer is not a merchant that has listed this")
        self._judge_new_key(e.body["buyer_key"])

    def _judge_shipment(self, e: Event) -> None:
        dispatched, parcel = e.body["stage"] == 1, e.body["parcel"]
        need(e.head["place"], "a shipment needs a place")
        if e.chain_kind in PARCEL_CHAINS:
            need(self._role(e) in {MERCHANT, COURIER}, "its signer is neither merchant nor courier")
            need(not (dispatched or parcel or e.body["sale"]), "a parcel is not dispatched and names nothing")
        else:
            _, side = self._sale(e)
            need(self._role(e) == COURIER or side == "merchant", "its signer is no courier, nor the merchant")
            need((parcel != "") == dispatched, "the parcel must be set exactly when dispatched")

    def _judge_receipt(self, e: Event) -> None:
        sale, side = self._sale(e)
        by_right = self._role(e) == COURIER if e.body["proxy"] else side == "buyer"
        need(by_right, "its signer is neither the buyer nor, by proxy, a courier")
        need(not sale.received, "the sale is received already")

    def _judge_review(self, e: Event) -> None:
        sale, side = self._sale(e)
        need(side and side not in sale.reviewed, "its signer is not a side of the sale, or reviewed already")
        need(sale.received, "the sale is not received yet")
        more = [e.body[f"{name}_rating"] for name in ("product", "description", "delivery")]
        need(side == "buyer" or not any(more), "a merchant gives one rating only")

    def _judge_follow_up(self, e: Event) -> None:
        need(self._sale(e)[1] == self.reviews[e.body["review"]][1], "its signer did not write the review")

    def _judge_complaint(self, e: Event) -> None:
        need(self._sale(e)[1] == "buyer", "its signer is not the buyer")

    def _judge_complaint_reply(self, e: Event) -> None:
        allowed = self._sale(e)[1] == "merchant" or self._role(e) in {PLATFORM, REGULATOR}
        need(allowed, "its signer is neither the merchant nor a platform or regulator")

    _judge_complaint_resolution = _judge_complaint_reply

    def _judge_recall(self, e: Event) -> None:
        allowed = self._role(e) == REGULATOR or self._has_listed(e)
        need(allowed, "its signer is neither a regulator nor a merchant that has listed this")

    def _judge_correction(self, e: Event) -> None:
        chain, signer = self.events.get(e.body["event"], ("", Signer()))
        need(chain == e.chain, "the corrected event is not recorded on this chain")
        registrar = self.parties[signer.party].registered_by if signer.party else ""
        allowed = e.signer == signer or (registrar and e.signer.party == registrar)
        need(allowed, "its signer neither signed the event nor registered who did")

    def flags(self, e: Event, latest: int) -> list[str]:
        """The event's flags; `latest` is the latest occurred_at on its chain so far."""
        sale = self.sales.get(self.sale_of(e))
        before_sale = sale is not None and e.occurred < sale.occurred
        flags = {
            "LATE": e.recorded - e.occurred > HOUR,
            "OUT_OF_ORDER": before_sale or (e.chain_kind in ORDERED_CHAINS and e.occurred < latest),
            "PROXY_RECEIPT": e.number == 35 and self._role(e) == COURIER,
            "LICENCE_LAPSED": self._lapsed(e.signer.party, e) or self._lapsed(e.signer.company, e),
            "AFTER_RECEIPT": e.number == 34 and sale is not None and sale.received,
            "CLOCK_AHEAD": e.occurred > e.recorded,
        }
        return [name for name, holds in flags.items() if holds]

    def establish(self, e: Event) -> None:
        """Remember what a valid event establishes."""
        body = e.body
        self.events[e.id] = e.chain, e.signer
        for name in {"regulator_key", "public_key", "buyer_key"} & body.keys():
            holder = Signer(sale=e.id) if e.number == 33 else Signer(party=body.get("regulator", e.chain))
            self.keys[digest(body[name])] = Key(body[name], holder)
        match e.number:
            case 16:
                self.regulator = body["regulator"]
                self.parties[self.regulator] = Party(REGULATOR, "", "")
            case 17:
                self.version = body["rules_version"]
            case 18:
                self.parties[e.chain] = Party(body["role"], e.signer.party, body["licence_until"])
            case 20:
                self.keys[body["key_id"]].revoked = True
            case 21:
                party = self.parties[e.chain]
                party.suspended = body["status"] == 2
                party.licence_until = body["licence_until"] or party.licence_until
            case 32:
                self.listings.add((e.signer.company, e.chain))
            case 33:
                self.sales[e.id] = Sale(e.chain, e.signer.company, e.occurred)
            case 35:
                self.sales[body["sale"]].received = True
            case 36:
                sale, side = self._sale(e)
                sale.reviewed.add(side)
                self.reviews[e.id] = body["sale"], side
            case 38:
                self.complaints[e.id] = body["sale"]


# §9 and §10: the verification


@dataclass
class Judged:
    """What was read of an entry."""

    hash: bytes
    event_id: bytes = b""
    chain: str = ""
    kind: str = ""
    signer: str = ""  # empty for a buyer
    flags: list[str] = field(default_factory=list)


@dataclass
class Report:
    """What was found. `unknown_kinds` and `unjudged`: indexes of entries that no rules were applied to."""

    findings: list[tuple[int | None, str]] = field(default_factory=list)
    root: bytes = b""
    entries: list[Judged] = field(default_factory=list)
    unknown_kinds: list[int] = field(default_factory=list)
    unjudged: list[int] = field(default_factory=list)

    @property
    def verified(self) -> bool:
        return not self.findings


@dataclass(frozen=True)
class Chain:
    """How far a chain has come."""

    length: int = 0
    head: bytes = b""
    latest: int = 0


@dataclass
class Verifier:
    """Reads a log's entries one after the other."""

    origin: str
    report: Report = field(default_factory=Report)
    rules: Rules = field(default_factory=Rules)
    chains: dict[str, Chain] = field(default_factory=dict)
    seen: set[bytes] = field(default_factory=set)
    last_recorded: int = 0

    def read(self, data: bytes) -> bytes:
        """Judge the next entry and return its hash."""
        index, judged = len(self.report.entries), Judged(digest(b"\x00" + data))
        self.report.entries.append(judged)
        try:
            self._read(take_apart(data, index), index, judged)
        except Refused as refused:
            self.report.findings.append((index, str(refused)))
            if isinstance(refused, UnknownVersion):
                raise
        return judged.hash

    def _read(self, e: Event, index: int, judged: Judged) -> None:
        """Judge an entry that could be taken apart; its chain goes on with it even if it is refused."""
        judged.event_id, judged.chain, judged.kind = e.id, e.chain, e.name
        chain, is_new, last = self.chains.get(e.chain, Chain()), e.id not in self.seen, self.last_recorded
        self.chains[e.chain] = Chain(chain.length + 1, judged.hash, max(chain.latest, e.occurred))
        self.seen.add(e.id)
        self.last_recorded = e.recorded
        need(e.entry["chain_seq"] == chain.length, "it does not have the next number of its chain")
        need(e.entry["previous"] == chain.head, "it does not link to the entry before it on its chain")
        need(e.recorded >= last, "it was recorded before the entry before it")
        need(is_new, "the log holds this event already")
        need((e.number == 16) == (index == 0), "the first entry must be a genesis, and no other")
        self._check_signature(e)
        judged.signer = e.signer.party
        if not e.number:
            self.report.unknown_kinds.append(index)
            self.rules.events[e.id] = e.chain, e.signer
        elif self.rules.version != RULES_VERSION:
            self.report.unjudged.append(index)
        else:
            self.rules.judge(e)
            judged.flags = self.rules.flags(e, chain.latest)
            self.rules.establish(e)

    def _check_signature(self, e: Event) -> None:
        """§2, §7, §8, §9: find the key that the envelope names, check the signature; a genesis has its own."""
        key = self.rules.keys.get(e.signature["key_id"])
        if e.number == 16:
            key = Key(e.body["regulator_key"], Signer(party=e.body["regulator"]))
            need(digest(key.spki) == e.signature["key_id"], "the genesis is not signed by its own regulator")
            need(e.body["origin"] == self.origin, "the genesis is of another origin")
        if key is None:
            need(self.rules.version != RULES_VERSION, "its key is not known")
            return
        e.signer = key.holder
        valid = is_signed(key.spki, e.signature["algorithm"], e.signature["signature"], e.signed)
        need(valid, "its signature is not valid")


def verify(
    origin: str,
    vkey: str,
    checkpoint_note: bytes,
    entries: Iterable[bytes],
    seen_before: Iterable[bytes] = (),
) -> Report:
    """The procedure of §10. All that is wrong is reported; only a genesis of an unknown version stops it."""
    verifier, found = Verifier(origin), []
    report = verifier.report
    checkpoint = open_checkpoint(checkpoint_note, origin, vkey, found)
    earlier = [c for note in seen_before if (c := open_checkpoint(note, origin, vkey, found))]
    sizes = {c.size for c in earlier}
    frontier: list[bytes] = []
    roots = {0: root_of(frontier)}
    try:
        for size, data in enumerate(islice(entries, checkpoint.size if checkpoint else None)):
            append_leaf(frontier, size, verifier.read(data))
            if size + 1 in sizes:
                roots[size + 1] = root_of(frontier)
    except UnknownVersion:
        return report
    report.root = root_of(frontier)
    if checkpoint and checkpoint != (len(report.entries), report.root):
        found.append("the entries do not have the checkpoint's size and root")
    found += [
        f"the log is not the one that was seen at size {c.size}"
        for c in earlier
        if roots.get(c.size) != c.root
    ]
    report.findings += [(None, text) for text in found]
    return report


def lines_of(report: Report) -> Iterator[str]:
    """The report as main prints it."""
    yield "VERIFIED" if report.verified else "TAMPERED"
    yield from (text if index is None else f"entry {index}: {text}" for index, text in report.findings)
    yield from (f"entry {index}: kind unknown to this version" for index in report.unknown_kinds)
    yield from (f"entry {index}: rules version unknown, not judged" for index in report.unjudged)


def main(arguments: list[str]) -> int:
    """Verify a file of vectors."""
    try:
        [path] = arguments
        vectors = json.loads(Path(path).read_text(encoding="utf-8"))
        entries = [bytes.fromhex(item["entry"]) for item in vectors["entries"]]
        note, origin, vkey = vectors["checkpoint"].encode(), vectors["origin"], vectors["vkey"]
    except (OSError, ValueError, LookupError, TypeError, AttributeError) as error:
        sys.stderr.write(f"usage: independent_verify.py VECTORS.json ({error})\n")
        return 2
    report = verify(origin, vkey, note, entries)
    sys.stdout.write("".join(f"{line}\n" for line in lines_of(report)))
    return 0 if report.verified else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
