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
from contextlib import suppress
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


@dataclass
class Type:
    """A field's type (a name, or the message it holds) and what §4 to §6 demand of its value."""

    base: str | Message
    check: Callable[[Any], object]
    repeated: bool = False

    def __post_init__(self):
        self.wire = 2 if isinstance(self.base, dict) or self.base in {"text", "bytes"} else 0

    @property
    def default(self) -> Any:
        return [] if isinstance(self.base, dict) else DEFAULTS[self.base]


Message = dict[int, tuple[str, Type]]  # the names and types of the fields, by ascending number
Values = dict[str, Any]  # by field name; of a submessage the list of those that are set

# The value that a varint of each type says, and how large the varint can be.
INTEGERS: dict[str, tuple[Callable[[int], int], int]] = {
    "uint32": (int, 2**32),
    "uint64": (int, 2**64),
    "int64": (lambda raw: raw - 2**64 if raw >> 63 else raw, 2**64),
    "sint32": (lambda raw: raw >> 1 ^ -(raw & 1), 2**32),
    "bool": (bool, 2),
}
DEFAULTS = dict.fromkeys(INTEGERS, 0) | {"text": "", "bytes": b""}


def read_varint(data: bytes, pos: int) -> tuple[int, int]:
    """The varint at pos, which must be as short as possible, and the position after it."""
    value = 0
    for shift in range(0, 70, 7):
        need(pos < len(data), "a varint is cut short")
        byte, pos = data[pos], pos + 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            need(value < 2**64 and (byte or not shift), "a varint is too large or longer than needed")
            return value, pos
    raise Refused("a varint is too long")


def read_fields(data: bytes) -> Iterator[tuple[int, int, Any]]:
    """The number, wire type and value of each field."""
    pos = 0
    while pos < len(data):
        tag, pos = read_varint(data, pos)
        number, wire = tag >> 3, tag & 7
        need(0 < number < 2**29 and wire in {0, 1, 2, 5}, "a field has a number or a wire type that is none")
        raw, length = b"", {1: 8, 5: 4}.get(wire, 0)
        if wire == 0:
            raw, pos = read_varint(data, pos)
        elif wire == 2:
            length, pos = read_varint(data, pos)
        need(pos + length <= len(data), "a field is cut short")
        yield number, wire, data[pos : pos + length] if wire else raw
        pos += length


def decode(data: bytes, schema: Message, unknown: list[int]) -> Values:
    """The values of the fields that are known, in their one encoding; the numbers of others go to `unknown`."""
    values, last = {name: kind.default for name, kind in schema.values()}, 0
    for number, wire, raw in read_fields(data):
        name, kind = schema.get(number, ("", None))
        if kind is None or wire != kind.wire:
            unknown.append(number)
            continue
        need(last + 1 - kind.repeated <= number, f"{name} is not in its place, or there twice")
        last = number
        if isinstance(kind.base, dict):
            values[name].append(decode(raw, kind.base, unknown))
        elif wire == 0:
            convert, limit = INTEGERS[kind.base]
            need(raw < limit, f"{name} is too large for its type")
            values[name] = convert(raw)
        else:
            values[name] = decode_text(raw) if kind.base == "text" else raw
        need(values[name], f"{name} is written although it has the default value")
    return values


def decode_text(raw: bytes) -> str:
    try:
        return raw.decode()
    except UnicodeDecodeError:
        raise Refused("a text is not UTF-8") from None


def check(values: Values, schema: Message) -> None:
    """Refuse values that are not as the tables of §4 to §6 say they must be."""
    for name, kind in schema.values():
        need(kind.check(values[name]), f"{name} is not as it must be")
        for part in values[name] if isinstance(kind.base, dict) else []:
            check(part, kind.base)


def read_message(data: bytes, schema: Message) -> Values:
    """An entry's or envelope's values: §9 allows unknown fields in events only."""
    unknown: list[int] = []
    values = decode(data, schema, unknown)
    need(not unknown, "an entry or envelope has an unknown field")
    check(values, schema)
    return values


# §2: keys and signatures

ED25519, ECDSA_P256 = 1, 2
ED25519_PREFIX = bytes.fromhex("302a300506032b6570032100")
P256_PREFIX = bytes.fromhex("3059301306072a8648ce3d020106082a8648ce3d03010703420004")
P = 2**255 - 19
D = -121665 * pow(121666, -1, P) % P


@lru_cache(maxsize=65536)
def load_key(spki: bytes) -> tuple[int, Any] | None:
    """The number of a key's algorithm, and the key; None if these bytes are not a public key."""
    if len(spki) == 44 and spki.startswith(ED25519_PREFIX):
        y = int.from_bytes(spki[12:], "little") % 2**255
        of_order_8 = (D * y**4 + 2 * y**2 - 1) % P == 0  # doubled, it has y = 0, which is of order 4
        if y < P and y not in {0, 1, P - 1} and not of_order_8:
            return ED25519, Ed25519PublicKey.from_public_bytes(spki[12:])
    if len(spki) == 91 and spki.startswith(P256_PREFIX):
        with suppress(ValueError):  # not on the curve
            return ECDSA_P256, EllipticCurvePublicKey.from_encoded_point(SECP256R1(), spki[26:])
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
COMPANY = rf"[{USCC}]{{2}}[0-9]{{6}}[{USCC}]{{10}}"


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
    """Whether a UPU S10 identifier, and nothing else, is with carrier `upu`."""
    if not re.fullmatch(r"[A-Z]{2}[0-9]{9}[A-Z]{2}", number):
        return carrier != "upu"
    rest = 11 - sum(int(c) * w for c, w in zip(number[2:10], (8, 6, 4, 2, 3, 5, 9, 7), strict=True)) % 11
    return (carrier == "upu") == (int(number[10]) == {10: 0, 11: 5}.get(rest, rest))


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
    ("party", rf"party/({COMPANY})", is_uscc),
    ("member", rf"party/({COMPANY})/[A-Za-z0-9][A-Za-z0-9._-]{{0,31}}", is_uscc),
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
    """`party/<USCC>` of a party or a member."""
    return "/".join(party.split("/")[:2])


def product_of(chain: str) -> str:
    """`01/<GTIN>` of a product, lot or item; a medicine pack is its own product."""
    return chain[:17] if chain.startswith("01/") else chain


# §4: events, §5: envelopes, §6: entries

REGION, TOKEN = "[1-9][0-9]{5}|[A-Z]{2}", "[a-z0-9][a-z0-9!#$&^_.+-]*"
URI = r"[a-z][a-z0-9+.-]*:[A-Za-z0-9._~:/?#\[\]@!$&'()*+,;=%-]+"
HIDDEN = re.compile(  # titles, names, origins and licence numbers have none of these
    r"[\0-\x1f\x7f-\xa0\xad\u061c\u1680\u180e\u2000-\u200f\u2028-\u202f\u205f-\u206f\ud800-\uf8ff"
    r"\ufeff\ufff0-\uffff\U000e0000-\U0010ffff]"
)


def is_text(text: str, least: int, most: int) -> bool:
    """Whether a title, name, origin or licence number has that many bytes, and none that are not shown."""
    return least <= len(text.encode()) <= most and not HIDDEN.search(text) and text == text.strip(" \u3000")


def is_date(text: str) -> bool:
    """Whether it is empty or a day of the calendar as YYYY-MM-DD."""
    try:
        return text == "" or date.fromisoformat(text).isoformat() == text
    except ValueError:
        return False


def matching(pattern: str, most: int = 128) -> Type:
    return Type("text", lambda value: len(value) <= most and re.fullmatch(pattern, value))


def whatever(_: Any) -> bool:
    return True


TYPES = {
    "uint32": Type("uint32", whatever),
    "uint64": Type("uint64", whatever),
    "bool": Type("bool", whatever),
    "key": Type("bytes", lambda value: load_key(value) is not None),
    "hash": Type("bytes", lambda value: len(value) == 32),
    "hash?": Type("bytes", lambda value: len(value) in {0, 32}),
    "time": Type("int64", lambda value: 1 <= value <= 253402250399999999),
    "offset": Type("sint32", lambda value: -840 <= value <= 840),
    "chain": Type("text", chain_kind),
    "party": Type("text", lambda value: chain_kind(value) == "party"),
    "parcel?": Type("text", lambda value: value == "" or chain_kind(value) in PARCEL_CHAINS),
    "gln?": Type("text", lambda value: value == "" or (re.fullmatch("[0-9]{13}", value) and is_gs1(value))),
    "origin": Type("text", lambda value: is_text(value, 1, 128) and not re.search("[ \u3000+]", value)),
    "date?": Type("text", is_date),
    "region": matching(REGION),
    "region?": matching(f"|{REGION}"),
    "media": matching(f"{TOKEN}/{TOKEN}", 127),
    "uri?": matching(f"|{URI}", 1024),
    "payload": matching(re.escape(PAYLOAD_TYPE)),
}


def type_of(name: str) -> Type:
    """The type of that name: one of the above, or a range of a number or of the bytes of text or bytes."""
    if name in TYPES:
        return TYPES[name]
    kind, least, most = re.fullmatch(r"(text|bytes|)([0-9]+)-([0-9]*)", name).groups()
    low, high = int(least), int(most or 2**32)
    if kind == "text":
        return Type(kind, lambda value: is_text(value, low, high))
    return Type(kind or "uint32", lambda value: low <= (len(value) if kind else value) <= high)


def message(fields: str) -> Message:
    """A message whose fields, `name:type`, are numbered from 1."""
    pairs = (item.split(":") for item in fields.split())
    return {number: (name, type_of(spec)) for number, (name, spec) in enumerate(pairs, start=1)}


def is_resolution(bodies: list[Values]) -> bool:
    """Whether a complaint's remedy is 0 exactly when it is refused."""
    return all((body["outcome"] == 3) == (body["remedy"] == 0) for body in bodies)


TYPES["when"] = Type(message("unix_us:time utc_offset_minutes:offset"), bool)
TYPES["place?"] = Type(message("region:region gln:gln?"), whatever)
EVIDENCE = message("sha256:hash media_type:media uri:uri?")
TYPES["evidence"] = Type(EVIDENCE, lambda items: len(items) <= 32, repeated=True)
SIGNATURE = message("key_id:hash algorithm:1-2 signature:bytes64-64")
TYPES["signature"] = Type(SIGNATURE, lambda items: len(items) == 1, repeated=True)
ENVELOPE = message("payload_type:payload payload:bytes0-49152 signatures:signature")
ENTRY = message("chain_seq:uint64 previous:hash? recorded_at_us:time envelope:bytes0-65000")
HEAD = message("chain:chain occurred_at:when place:place? nonce:bytes16-16 evidence:evidence seen_head:hash?")
BODIES = """
16 genesis origin:origin format_version:1- rules_version:1- regulator:party regulator_name:text1-200 regulator_key:key
17 rules_adoption rules_version:1-
18 party_registration role:1-4 name:text0-200 public_key:key licence_number:text0-64 licence_until:date?
19 key_addition public_key:key
20 key_revocation key_id:hash reason:1-4
21 party_status_change status:1-2 reason:1-4 licence_until:date?
32 listing title:text1-200 category:1-8 gross_weight_g:uint32 origin_region:region?
33 sale buyer_key:key quantity:1- order_commitment:hash?
34 shipment stage:1-11 sale:hash? parcel:parcel? weight_g:uint32
35 receipt sale:hash proxy:bool condition:1-4
36 review sale:hash rating:1-5 product:0-5 description:0-5 delivery:0-5 text_commitment:hash?
37 follow_up review:hash rating:0-5 text_commitment:hash?
38 complaint sale:hash category:1-8 remedy:1-5 text_commitment:hash?
39 complaint_reply complaint:hash stance:1-3 text_commitment:hash?
40 complaint_resolution complaint:hash outcome:1-3 remedy:0-5 text_commitment:hash?
41 recall reason:1-5 text_commitment:hash?
42 correction event:hash reason:1-5 replacement:hash?
"""
KINDS = {int(number): name for number, name in re.findall(r"(\d+) (\w+) ", BODIES)}
EVENT = HEAD | {
    number: (KINDS[number], Type(message(fields), is_resolution if number == 40 else whatever))
    for number, fields in zip(KINDS, re.findall(r"\w+ (\w+:.+)", BODIES), strict=True)
}


@dataclass
class Event:
    """An entry taken apart; its signer and flags are set as soon as they are known."""

    entry: Values
    signature: Values
    payload: bytes
    head: Values
    number: int  # of the body; 0 if the event is unknown
    signer: str = ""  # the chain key of a party or member; `sale/<event id>` of a buyer
    flags: list[str] = field(default_factory=list)

    def __post_init__(self):
        self.id = digest(self.payload)
        self.name = KINDS[self.number] if self.number else "unknown"
        self.body: Values = self.head[self.name][0] if self.number else {}
        self.chain: str = self.head["chain"]
        self.chain_kind = chain_kind(self.chain)
        self.occurred: int = self.head["occurred_at"][0]["unix_us"]
        self.recorded: int = self.entry["recorded_at_us"]  # the page's T


def take_apart(data: bytes, index: int) -> Event:
    """An entry, its envelope and its event, each as the page says or refused."""
    need(len(data) <= 65535, "the entry is too large")
    entry = read_message(data, ENTRY)
    envelope = read_message(entry["envelope"], ENVELOPE)
    event, number = read_event(envelope["payload"], index)
    return Event(entry, envelope["signatures"][0], envelope["payload"], event, number)


def read_event(payload: bytes, index: int) -> tuple[Values, int]:
    """An event's values, and the number of its body or 0 if the event is unknown (§9)."""
    unknown: list[int] = []
    event = decode(payload, EVENT, unknown)
    numbers = [number for number, name in KINDS.items() if event[name]]
    if index == 0 and 16 in numbers:
        check_versions(event["genesis"][0])
    need(len(numbers) == 1 or (unknown and not numbers), "the event has no body, or more than one")
    need(not unknown or index, "the genesis has an unknown field")
    check(event, HEAD if unknown else EVENT)
    return event, 0 if unknown else numbers[0]


def check_versions(genesis: Values) -> None:
    for name, known in ("format_version", FORMAT_VERSION), ("rules_version", RULES_VERSION):
        if genesis[name] > known:
            raise UnknownVersion(f"{name} {genesis[name]} is unknown to this verifier: nothing was verified")


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
    text = decode_text(note)
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
class Party:
    """A party or a member."""

    role: int
    registered_by: str
    licence_until: str
    suspended: bool = False


@dataclass
class Sale:
    """A sale, and what became of it."""

    id: bytes
    chain: str
    merchant: str
    occurred: int
    received: bool = False
    reviewed: set[str] = field(default_factory=set)


ALL_CHAINS = PRODUCT_CHAINS | PARCEL_CHAINS | PARTY_CHAINS
ORDERED_CHAINS = ALL_CHAINS - {"product", "lot"}
CHAINS_OF_KIND = {16: {"ledger"}, 17: {"ledger"}} | dict.fromkeys((18, 19, 20, 21), PARTY_CHAINS)
CHAINS_OF_KIND |= {34: PRODUCT_CHAINS | PARCEL_CHAINS, 41: {"product", "lot"}, 42: ALL_CHAINS}


@dataclass
class Rules:
    """What the entries so far have established, and the judgement of the next one by it."""

    version: int = RULES_VERSION
    regulator: str = ""
    keys: dict[bytes, tuple[bytes, str]] = field(default_factory=dict)  # the key, who holds it
    revoked: set[bytes] = field(default_factory=set)
    parties: dict[str, Party] = field(default_factory=dict)
    listings: set[tuple[str, str]] = field(default_factory=set)  # company, chain
    sales: dict[bytes, Sale] = field(default_factory=dict)
    reviews: dict[bytes, tuple[bytes, str]] = field(default_factory=dict)  # sale, side
    complaints: dict[bytes, bytes] = field(default_factory=dict)  # sale
    events: dict[bytes, tuple[str, str]] = field(default_factory=dict)  # chain, signer

    def judge(self, e: Event) -> None:
        """Refuse what version 1 refuses."""
        need(e.chain_kind in CHAINS_OF_KIND.get(e.number, PRODUCT_CHAINS), f"{e.name} is on a wrong chain")
        need(e.occurred <= e.recorded + 10 * MINUTE, "it happened more than ten minutes after its record")
        if e.number == 16:
            return  # §7 says the rest
        need(e.signature["key_id"] not in self.revoked, "its key is revoked")
        holders = {e.signer, company_of(e.signer)} & self.parties.keys()
        need(not any(self.parties[name].suspended for name in holders), "its signer is suspended")
        if e.number <= 21:
            self._judge_founding(e)
        else:
            self._judge_trade(e)

    def _role(self, e: Event) -> int:
        """The signer's role: a member has its company's, a buyer none."""
        company = self.parties.get(company_of(e.signer))
        return company.role if company else 0

    def _lapsed(self, party: str, e: Event) -> bool:
        """Whether a party's licence had run out on the day, in UTC+8, on which the event was recorded."""
        today = date(1970, 1, 1) + timedelta(days=(e.recorded + 8 * HOUR) // DAY)
        return party in self.parties and "" < self.parties[party].licence_until < today.isoformat()

    def _is_accreditor(self, e: Event) -> bool:
        return e.signer == company_of(e.signer) and not self._lapsed(e.signer, e)

    def _has_authority(self, e: Event) -> bool:
        """Whether the signer has authority over the party that the event is about."""
        party = self.parties[e.chain]
        as_regulator = self._role(e) == REGULATOR and party.role != REGULATOR
        as_superior = e.signer != e.chain and e.signer in {party.registered_by, company_of(e.chain)}
        return self._is_accreditor(e) and (as_regulator or as_superior)

    def _has_listed(self, e: Event) -> bool:
        """Whether the signer is a merchant whose company has listed the chain or its product."""
        listed = {(company_of(e.signer), chain) for chain in (e.chain, product_of(e.chain))} & self.listings
        return self._role(e) == MERCHANT and bool(listed)

    def _sale_of(self, e: Event) -> Sale | None:
        """The sale that the event names, or whose review or complaint it names."""
        ref = e.body.get("sale")
        if "review" in e.body:
            ref, _ = self.reviews.get(e.body["review"], (None, ""))
        if "complaint" in e.body:
            ref = self.complaints.get(e.body["complaint"])
        return self.sales.get(ref)

    def _side(self, e: Event, sale: Sale) -> str:
        """The signer's side of the sale: buyer, merchant or none (empty)."""
        sides = {f"sale/{sale.id.hex()}": "buyer", sale.merchant: "merchant"}
        return sides.get(company_of(e.signer), "")

    def _needs_new_key(self, spki: bytes) -> None:
        need(digest(spki) not in self.keys, "the key was introduced before")

    def _judge_founding(self, e: Event) -> None:
        """The rows of kinds 17 to 21."""
        body, company, by = e.body, company_of(e.chain), self._role(e)
        need(e.number <= 18 or e.chain in self.parties, "the party is not registered")
        if e.number == 17:
            need(e.signer == self.regulator, "its signer is not the genesis' regulator")
            need(body["rules_version"] == self.version + 1, "the rules version is not the next one")
        elif e.number == 18:
            if e.chain == company:
                allowed = by == REGULATOR or (by == PLATFORM and body["role"] == MERCHANT)
            else:
                need(company in self.parties, "its company is not registered")
                need(self.parties[company].role == body["role"], "its company has another role")
                by_authority = by == REGULATOR and body["role"] != REGULATOR
                allowed = by_authority or (e.signer == company and by != PLATFORM)
            need(allowed and self._is_accreditor(e), "its signer cannot register this party")
            need(e.chain not in self.parties, "the party is registered already")
            need((body["name"] != "") == (e.chain == company), "a company has a name and a member has none")
        else:
            own_key = e.number in {19, 20} and e.signer == e.chain
            need(own_key or self._has_authority(e), "its signer has no authority over the party")
        if e.number in {18, 19}:
            self._needs_new_key(body["public_key"])
        if e.number == 20:
            _, holder = self.keys.get(body["key_id"], (b"", ""))
            need(holder == e.chain, "the key is not this party's")

    def _judge_trade(self, e: Event) -> None:  # noqa: C901, PLR0912 - it has the rows of the page's table
        """The rows of kinds 32 to 42."""
        body, by, sale = e.body, self._role(e), self._sale_of(e)
        if e.number in range(35, 41) or (e.number == 34 and e.chain_kind in PRODUCT_CHAINS):
            need(sale and sale.chain == e.chain, "it names nothing of a sale on this chain")
        side = self._side(e, sale) if sale else ""
        match e.number:
            case 32:
                need(by == MERCHANT, "its signer is not a merchant")
            case 33:
                need(self._has_listed(e), "its signer is not a merchant that has listed this")
                self._needs_new_key(body["buyer_key"])
            case 34:
                dispatched, parcel = body["stage"] == 1, body["parcel"]
                need(e.head["place"], "a shipment needs a place")
                if e.chain_kind in PARCEL_CHAINS:
                    need(by in {MERCHANT, COURIER}, "its signer is neither merchant nor courier")
                    need(not (dispatched or parcel or body["sale"]), "it names something for a parcel")
                else:
                    need(by == COURIER or side == "merchant", "its signer is no courier, nor the merchant")
                    need((parcel != "") == dispatched, "the parcel must be set exactly when dispatched")
            case 35:
                allowed = by == COURIER if body["proxy"] else side == "buyer"
                need(allowed, "its signer is neither the buyer nor, by proxy, a courier")
                need(not sale.received, "the sale is received already")
            case 36:
                need(side and side not in sale.reviewed, "its signer is no side, or reviewed already")
                need(sale.received, "the sale is not received yet")
                more = body["product"] or body["description"] or body["delivery"]
                need(side == "buyer" or not more, "a merchant gives one rating only")
            case 37:
                need(side == self.reviews[body["review"]][1], "its signer did not write the review")
            case 38:
                need(side == "buyer", "its signer is not the buyer")
            case 39 | 40:
                need(side == "merchant" or by in {PLATFORM, REGULATOR}, "its signer cannot answer this")
            case 41:
                need(by == REGULATOR or self._has_listed(e), "its signer cannot recall this")
            case 42:
                chain, signer = self.events.get(body["event"], ("", ""))
                need(chain == e.chain, "the corrected event is not recorded on this chain")
                allowed = {signer, self.parties[signer].registered_by if signer in self.parties else signer}
                need(e.signer in allowed, "its signer neither signed the event nor registered who did")

    def flags(self, e: Event, latest: int) -> list[str]:
        """The event's flags; `latest` is the latest occurred_at on its chain so far."""
        sale = self._sale_of(e)
        before_sale = sale is not None and e.occurred < sale.occurred
        flags = {
            "LATE": e.recorded - e.occurred > HOUR,
            "OUT_OF_ORDER": before_sale or (e.chain_kind in ORDERED_CHAINS and e.occurred < latest),
            "PROXY_RECEIPT": e.number == 35 and self._role(e) == COURIER,
            "LICENCE_LAPSED": self._lapsed(e.signer, e) or self._lapsed(company_of(e.signer), e),
            "AFTER_RECEIPT": e.number == 34 and sale is not None and sale.received,
            "CLOCK_AHEAD": e.occurred > e.recorded,
        }
        return [name for name, holds in flags.items() if holds]

    def establish(self, e: Event) -> None:  # noqa: C901 - a list of what each kind establishes
        """Remember what a valid event establishes."""
        body, company = e.body, company_of(e.signer)
        self.events[e.id] = e.chain, e.signer
        for name in {"regulator_key", "public_key", "buyer_key"} & body.keys():
            holder = f"sale/{e.id.hex()}" if e.number == 33 else body.get("regulator", e.chain)
            self.keys[digest(body[name])] = body[name], holder
        match e.number:
            case 16:
                self.regulator = body["regulator"]
                self.parties[self.regulator] = Party(REGULATOR, "", "")
            case 17:
                self.version = body["rules_version"]
            case 18:
                self.parties[e.chain] = Party(body["role"], e.signer, body["licence_until"])
            case 20:
                self.revoked.add(body["key_id"])
            case 21:
                party = self.parties[e.chain]
                party.suspended = body["status"] == 2
                party.licence_until = body["licence_until"] or party.licence_until
            case 32:
                self.listings.add((company, e.chain))
            case 33:
                self.sales[e.id] = Sale(e.id, e.chain, company, e.occurred)
            case 35:
                self.sales[body["sale"]].received = True
            case 36:
                self.reviews[e.id] = body["sale"], self._side(e, self.sales[body["sale"]])
                self.sales[body["sale"]].reviewed.add(self.reviews[e.id][1])
            case 38:
                self.complaints[e.id] = body["sale"]


# §9 and §10: the verification


@dataclass
class Report:
    """What was found. `unknown_kinds` and `unjudged`: indexes of entries that no rules were applied to."""

    findings: list[tuple[int | None, str]] = field(default_factory=list)
    root: bytes = b""
    entries: list[Event | None] = field(default_factory=list)  # None: could not be read
    unknown_kinds: list[int] = field(default_factory=list)
    unjudged: list[int] = field(default_factory=list)

    @property
    def verified(self) -> bool:
        return not self.findings


class Verifier:
    """Reads a log's entries one after the other."""

    def __init__(self, origin: str):
        self.origin, self.report, self.rules = origin, Report(), Rules()
        self.chains: dict[str, tuple[int, bytes, int]] = {}  # length, head, latest occurred_at
        self.seen: set[bytes] = set()
        self.last_recorded = 0

    def read(self, data: bytes) -> bytes:
        """Judge the next entry and return its hash."""
        index, leaf = len(self.report.entries), digest(b"\x00" + data)
        self.report.entries.append(None)
        try:
            event = self.report.entries[index] = take_apart(data, index)
            self._judge(event, index, leaf)
        except Refused as refused:
            self.report.findings.append((index, str(refused)))
            if isinstance(refused, UnknownVersion):
                raise
        return leaf

    def _judge(self, e: Event, index: int, leaf: bytes) -> None:
        """Judge an entry that could be taken apart; its chain goes on with it even if it is refused."""
        length, head, latest = self.chains.get(e.chain, (0, b"", 0))
        is_new, last_recorded = e.id not in self.seen, self.last_recorded
        self.chains[e.chain] = length + 1, leaf, max(latest, e.occurred)
        self.seen.add(e.id)
        self.last_recorded = e.recorded
        need(e.entry["chain_seq"] == length, "it does not have the next number of its chain")
        need(e.entry["previous"] == head, "it does not link to the entry before it on its chain")
        need(e.recorded >= last_recorded, "it was recorded before the entry before it")
        need(is_new, "the log holds this event already")
        need((e.number == 16) == (index == 0), "the first entry must be a genesis, and no other")
        self._check_signature(e)
        if self.rules.version != RULES_VERSION:
            self.report.unjudged.append(index)
        if not e.number:
            self.report.unknown_kinds.append(index)
            self.rules.events[e.id] = e.chain, e.signer
        elif self.rules.version == RULES_VERSION:
            self.rules.judge(e)
            e.flags = self.rules.flags(e, latest)
            self.rules.establish(e)

    def _check_signature(self, e: Event) -> None:
        """Find the key that the envelope names, and check the signature; a genesis has its own key."""
        key_id = e.signature["key_id"]
        key, e.signer = self.rules.keys.get(key_id, (b"", ""))
        if e.number == 16:
            key, e.signer = e.body["regulator_key"], e.body["regulator"]
            need(digest(key) == key_id, "the genesis is not signed by its own regulator")
            need(e.body["origin"] == self.origin, "the genesis is of another origin")
        if not key:
            need(self.rules.version != RULES_VERSION, "its key is not known")
            return
        signed = b"DSSEv1 %d %s %d " % (len(PAYLOAD_TYPE), PAYLOAD_TYPE.encode(), len(e.payload)) + e.payload
        valid = is_signed(key, e.signature["algorithm"], e.signature["signature"], signed)
        need(valid, "its signature is not valid")


def verify(
    origin: str, vkey: str, note: bytes, entries: Iterable[bytes], seen_before: Iterable[bytes] = ()
) -> Report:
    """The procedure of §10. All that is wrong is reported; only a genesis of an unknown version stops it."""
    verifier, found = Verifier(origin), []
    report = verifier.report
    checkpoint = open_checkpoint(note, origin, vkey, found)
    earlier = [c for seen in seen_before if (c := open_checkpoint(seen, origin, vkey, found))]
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
    differing = [c.size for c in earlier if roots.get(c.size) != c.root]
    found += [f"the log is not the one that was seen at size {size}" for size in differing]
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
