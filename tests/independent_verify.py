"""A verifier for Suyuan logs, written from docs/format.md alone.

It shares no code with the project and needs Python's standard library and `cryptography` only, so that a mistake in
the project's own auditor (or in the page) shows as a difference between the two. "§" refers to sections of the page.

    python tests/independent_verify.py VECTORS.json

prints VERIFIED or TAMPERED and what was found; the exit status is 0, 1, or 2 for wrong usage.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
import sys
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import date, timedelta
from functools import lru_cache
from hashlib import sha256
from itertools import islice, pairwise
from pathlib import Path
from typing import Any, NamedTuple

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ec import ECDSA, SECP256R1, EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256

FORMAT_VERSION = RULES_VERSION = 1
PAYLOAD_TYPE = "application/vnd.suyuan.event.v1+protobuf"
MINUTE_US, HOUR_US, DAY_US = 60_000_000, 3_600_000_000, 86_400_000_000
REGULATOR, PLATFORM, MERCHANT, COURIER = 1, 2, 3, 4
DISPATCHED, RESOLUTION_REFUSED, SUSPENDED = 1, 3, 2


class Refused(Exception):
    """The bytes are not what the page says they must be."""


def digest(data: bytes) -> bytes:
    """The page's H(x)."""
    return sha256(data).digest()


# §1: messages and their one encoding


@dataclass(frozen=True)
class Field:
    """A field of a message: its type (a name, or the Message it holds) and what §4 to §6 demand of its value."""

    name: str
    type: str | Message
    check: Callable[[Any], bool]
    repeated: bool = False


@dataclass(frozen=True)
class Message:
    """A message's name and its fields by number."""

    name: str
    fields: dict[int, Field]


def message(name: str, **fields: tuple[Any, ...]) -> Message:
    """A message whose fields are numbered from 1 in the order given."""
    return Message(name, {n: Field(key, *spec) for n, (key, spec) in enumerate(fields.items(), start=1)})


class Unknown(NamedTuple):
    """A field that this version does not know (§9)."""

    message: str
    number: int
    wire: int


DEFAULTS: dict[str, Any] = {"uint": 0, "int64": 0, "sint32": 0, "bool": False, "text": "", "bytes": b""}


def read_varint(data: bytes, pos: int) -> tuple[int, int]:
    """The varint at pos, which must be as short as possible and fit 64 bits, and the position after it."""
    value = shift = 0
    while pos < len(data) and shift < 70:
        byte = data[pos]
        pos += 1
        value |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            if value >> 64 or (byte == 0 and shift > 7):
                break
            return value, pos
    raise Refused("a varint is cut short, too large or longer than needed")


def read_value(data: bytes, pos: int, wire: int) -> tuple[int | bytes, int]:
    """The value of a field of that wire type at pos, and the position after it. No message here uses 1 and 5."""
    if wire == 0:
        return read_varint(data, pos)
    if wire == 2:
        length, pos = read_varint(data, pos)
    elif wire in {1, 5}:
        length = 8 if wire == 1 else 4
    else:
        raise Refused(f"there is no wire type {wire}")
    if pos + length > len(data):
        raise Refused("a field is cut short")
    return data[pos : pos + length], pos + length


def convert(item: Field, raw: int | bytes, unknown: list[Unknown]) -> Any:
    """The value of a known field; refused if it has another wire type, or is a default that had to be left out."""
    if isinstance(raw, int) != (item.type in {"uint", "int64", "sint32", "bool"}):
        raise Refused(f"{item.name} has the wrong wire type")
    if isinstance(item.type, Message):
        return decode(bytes(raw), item.type, unknown)
    if not raw and not item.repeated:
        raise Refused(f"{item.name} is written although it has the default value")
    if isinstance(raw, bytes):
        return raw.decode() if item.type == "text" else raw  # bad UTF-8 is a ValueError, which decode turns around
    if (item.type == "bool" and raw > 1) or (item.type == "sint32" and raw >> 32):
        raise Refused(f"{item.name} does not fit its type")
    if item.type == "sint32":
        return (raw >> 1) ^ -(raw & 1)
    return raw - (1 << 64) if item.type == "int64" and raw >> 63 else raw


def decode(data: bytes, schema: Message, unknown: list[Unknown]) -> dict[str, Any]:
    """The message's values by field name; a submessage that is not set is None. Refuses every other encoding."""
    values = {
        f.name: [] if f.repeated else None if isinstance(f.type, Message) else DEFAULTS[f.type]
        for f in schema.fields.values()
    }
    pos = last = 0
    while pos < len(data):
        tag, pos = read_varint(data, pos)
        number, wire = tag >> 3, tag & 7
        item = schema.fields.get(number)
        if not 0 < number < 1 << 29:
            raise Refused(f"{schema.name} has a field with a number that is none")
        if number < last or (number == last and item is not None and not item.repeated):
            raise Refused(f"{schema.name} has fields out of order or twice")
        last = number
        raw, pos = read_value(data, pos, wire)
        if item is None:
            unknown.append(Unknown(schema.name, number, wire))
            continue
        try:
            value = convert(item, raw, unknown)
        except UnicodeDecodeError:
            raise Refused(f"{schema.name}.{item.name} is not UTF-8") from None
        if item.repeated:
            values[item.name].append(value)
        else:
            values[item.name] = value
    return values


def decode_all_known(data: bytes, schema: Message) -> dict[str, Any]:
    """Like decode, for an entry or envelope: §9 allows unknown fields in events only."""
    unknown: list[Unknown] = []
    values = decode(data, schema, unknown)
    if unknown:
        raise Refused(f"{unknown[0].message} has an unknown field {unknown[0].number}")
    return values


def problems(values: dict[str, Any], schema: Message) -> Iterator[str]:
    """Every value that is not as the tables of §4 to §6 say it must be."""
    for item in schema.fields.values():
        value = values[item.name]
        if (item.type == "text" and not is_plain(value)) or not item.check(value):
            yield f"{schema.name}.{item.name} is not allowed"
        if isinstance(item.type, Message) and value is not None:
            for part in value if item.repeated else [value]:
                yield from problems(part, item.type)
    if schema.name == "complaint_resolution" and (values["outcome"] == RESOLUTION_REFUSED) != (values["remedy"] == 0):
        yield "complaint_resolution.remedy must be 0 exactly when refused"


# §2: keys and signatures

ED25519_PREFIX = bytes.fromhex("302a300506032b6570032100")
P256_PREFIX = bytes.fromhex("3059301306072a8648ce3d020106082a8648ce3d030107034200") + b"\x04"
ED25519, ECDSA_P256 = 1, 2
P = 2**255 - 19
D = -121665 * pow(121666, -1, P) % P


def is_ed25519_point(encoded: bytes) -> bool:
    """Whether this is a point of the curve, with y below 2^255-19, of an order that is not 1, 2, 4 or 8."""
    y = int.from_bytes(encoded, "little") & ((1 << 255) - 1)
    if y >= P or y in {0, 1, P - 1} or (D * y**4 + 2 * y**2 - 1) % P == 0:  # order 4, 1, 2; order 8
        return False
    x_squared = (y * y - 1) * pow(D * y * y + 1, -1, P) % P
    return pow(x_squared, (P - 1) // 2, P) == 1


@lru_cache(maxsize=65536)
def load_key(spki: bytes) -> tuple[int, Any] | None:
    """The number of the key's algorithm, and the key; None if these bytes are not a public key."""
    if len(spki) == 44 and spki.startswith(ED25519_PREFIX) and is_ed25519_point(spki[12:]):
        return ED25519, Ed25519PublicKey.from_public_bytes(spki[12:])
    if len(spki) == 91 and spki.startswith(P256_PREFIX):
        try:
            return ECDSA_P256, EllipticCurvePublicKey.from_encoded_point(SECP256R1(), spki[26:])
        except ValueError:
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

GS1_SET_82 = set("!\"%&'()*+,-./:;<=>?_0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz")
USCC_ALPHABET = "0123456789ABCDEFGHJKLMNPQRTUWXY"
PRODUCT_CHAINS = {"product", "lot", "item", "medicine"}
PARCEL_CHAINS = {"logistic_unit", "waybill"}
PARTY_CHAINS = {"party", "member"}


def has_gs1_check_digit(digits: str) -> bool:
    """Weights 3, 1, 3, … from the digit left of the check digit."""
    total = sum(int(digit) * (3, 1)[i % 2] for i, digit in enumerate(reversed(digits[:-1])))
    return (total + int(digits[-1])) % 10 == 0


def is_batch(text: str) -> bool:
    """A lot or serial in its one spelling."""
    characters = re.findall(r"%[0-9A-F]{2}|[A-Za-z0-9._-]", text)
    if "".join(characters) != text or not 1 <= len(characters) <= 20:
        return False
    escaped = [chr(int(c[1:], 16)) for c in characters if len(c) == 3]
    return all(c in GS1_SET_82 and not re.fullmatch(r"[A-Za-z0-9._-]", c) for c in escaped)


def is_waybill(carrier: str, number: str) -> bool:
    """The number, with its check digit if it is a UPU S10 identifier."""
    if carrier != "upu":
        return True
    if not re.fullmatch(r"[A-Z]{2}[0-9]{9}[A-Z]{2}", number):
        return False
    total = sum(int(digit) * weight for digit, weight in zip(number[2:10], (8, 6, 4, 2, 3, 5, 9, 7), strict=True))
    return int(number[10]) == {10: 0, 11: 5}.get(11 - total % 11, 11 - total % 11)


def is_uscc(text: str) -> bool:
    """Eighteen characters, the last of which checks the others."""
    total = sum(USCC_ALPHABET.index(c) * pow(3, i, 31) for i, c in enumerate(text[:17]))
    return USCC_ALPHABET[-total % 31] == text[17]


CHAINS: list[tuple[str, str, Callable[..., bool]]] = [
    ("ledger", r"ledger", lambda: True),
    ("product", r"01/([0-9]{14})", has_gs1_check_digit),
    ("lot", r"01/([0-9]{14})/10/(.+)", lambda gtin, lot: has_gs1_check_digit(gtin) and is_batch(lot)),
    ("item", r"01/([0-9]{14})/21/(.+)", lambda gtin, serial: has_gs1_check_digit(gtin) and is_batch(serial)),
    ("logistic_unit", r"00/([0-9]{18})", has_gs1_check_digit),
    ("waybill", r"waybill/([a-z0-9][a-z0-9-]{0,15})/([A-Z0-9][A-Z0-9-]{2,30}[A-Z0-9])", is_waybill),
    ("medicine", r"drug/8[0-9]{19}", lambda: True),
    ("party", rf"party/([{USCC_ALPHABET}]{{18}})", is_uscc),
    ("member", rf"party/([{USCC_ALPHABET}]{{18}})/[A-Za-z0-9][A-Za-z0-9._-]{{0,31}}", is_uscc),
]


@lru_cache(maxsize=65536)
def chain_kind(text: str) -> str:
    """What a chain key names; empty if it is no chain key."""
    if len(text) <= 128 and text.isascii():
        for kind, pattern, check in CHAINS:
            match = re.fullmatch(pattern, text)
            if match:
                return kind if check(*match.groups()) else ""
    return ""


def company_of(party: str) -> str:
    """`party/<USCC>` of a party or of its member; empty for a buyer."""
    return "/".join(party.split("/")[:2])


def product_of(chain: str) -> str:
    """`01/<GTIN>` of a product, lot or item; a medicine pack is its own product."""
    return chain[:17] if chain.startswith("01/") else chain


# §4: events


def is_plain(text: str) -> bool:
    """No control or format characters, no blanks at the ends."""
    bad = {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}
    return text == text.strip() and not any(unicodedata.category(c) in bad for c in text)


def is_date(text: str) -> bool:
    """Empty, or a date of the calendar as YYYY-MM-DD."""
    try:
        return text == "" or (len(text) == 10 and date.fromisoformat(text).isoformat() == text)
    except ValueError:
        return False


def matches(pattern: str) -> Callable[[str], bool]:
    """The check that the whole of a text matches."""
    return lambda text: re.fullmatch(pattern, text) is not None


def between(least: int, most: int = 2**64) -> Callable[[int], bool]:
    """The check that a number lies in that range."""
    return lambda number: least <= number <= most


def sized(least: int, most: int) -> Callable[[str | bytes], bool]:
    """The check of a length in bytes."""
    return lambda value: least <= len(value.encode() if isinstance(value, str) else value) <= most


def anything(_value: Any) -> bool:
    """The check that lets everything pass."""
    return True


def is_set(value: Any) -> bool:
    """The check that a submessage is there."""
    return value is not None


def is_gln(text: str) -> bool:
    """Empty, or thirteen digits the last of which checks the others."""
    return text == "" or (matches(r"[0-9]{13}")(text) and has_gs1_check_digit(text))


def is_origin(text: str) -> bool:
    """1 to 128 bytes, no blank, no plus."""
    return sized(1, 128)(text) and "+" not in text and not any(c.isspace() for c in text)


TOKEN = r"[a-z0-9][a-z0-9!#$&^_.+-]{0,126}"
URI = r"|(?=.{1,1024}\Z)[A-Za-z][A-Za-z0-9+.-]*:[!-~]+"
REGION = r"[0-9]{6}|[A-Z]{2}"
KEY = ("bytes", lambda value: load_key(value) is not None)
HASH = ("bytes", sized(32, 32))
HASH_OR_EMPTY = ("bytes", lambda value: len(value) in {0, 32})
DATE = ("text", is_date)
NUMBER = ("uint", anything)
POSITIVE = ("uint", between(1))


def choice(most: int, least: int = 1) -> tuple[Any, ...]:
    """An enum or a rating."""
    return ("uint", between(least, most))


BODIES = {
    16: message(
        "genesis",
        origin=("text", is_origin),
        format_version=POSITIVE,
        rules_version=POSITIVE,
        regulator=("text", lambda text: chain_kind(text) == "party"),
        regulator_name=("text", sized(1, 200)),
        regulator_key=KEY,
    ),
    17: message("rules_adoption", rules_version=POSITIVE),
    18: message(
        "party_registration",
        role=choice(4),
        name=("text", sized(0, 200)),
        public_key=KEY,
        licence_number=("text", sized(0, 64)),
        licence_until=DATE,
    ),
    19: message("key_addition", public_key=KEY),
    20: message("key_revocation", key_id=HASH, reason=choice(4)),
    21: message("party_status_change", status=choice(2), reason=choice(4), licence_until=DATE),
    32: message(
        "listing",
        title=("text", sized(1, 200)),
        category=choice(8),
        gross_weight_g=NUMBER,
        origin_region=("text", matches(rf"|{REGION}")),
    ),
    33: message("sale", buyer_key=KEY, quantity=POSITIVE, order_commitment=HASH_OR_EMPTY),
    34: message(
        "shipment",
        stage=choice(11),
        sale=HASH_OR_EMPTY,
        parcel=("text", lambda text: text == "" or chain_kind(text) in PARCEL_CHAINS),
        weight_g=NUMBER,
    ),
    35: message("receipt", sale=HASH, proxy=("bool", anything), condition=choice(4)),
    36: message(
        "review",
        sale=HASH,
        rating=choice(5),
        product_rating=choice(5, 0),
        description_rating=choice(5, 0),
        delivery_rating=choice(5, 0),
        text_commitment=HASH_OR_EMPTY,
    ),
    37: message("follow_up", review=HASH, rating=choice(5, 0), text_commitment=HASH_OR_EMPTY),
    38: message("complaint", sale=HASH, category=choice(8), remedy=choice(5), text_commitment=HASH_OR_EMPTY),
    39: message("complaint_reply", complaint=HASH, stance=choice(3), text_commitment=HASH_OR_EMPTY),
    40: message(
        "complaint_resolution",
        complaint=HASH,
        outcome=choice(3),
        remedy=choice(5, 0),
        text_commitment=HASH_OR_EMPTY,
    ),
    41: message("recall", reason=choice(5), text_commitment=HASH_OR_EMPTY),
    42: message("correction", event=HASH, reason=choice(5), replacement=HASH_OR_EMPTY),
}
OCCURRED_AT = message(
    "occurred_at", unix_us=("int64", between(1, 253402300799999999)), utc_offset_minutes=("sint32", between(-840, 840))
)
PLACE = message("place", region=("text", matches(REGION)), gln=("text", is_gln))
EVIDENCE = message(
    "evidence", sha256=HASH, media_type=("text", matches(f"{TOKEN}/{TOKEN}")), uri=("text", matches(URI))
)
EVENT_HEAD = message(
    "event",
    chain=("text", lambda text: chain_kind(text) != ""),
    occurred_at=(OCCURRED_AT, is_set),
    place=(PLACE, anything),
    nonce=("bytes", sized(16, 16)),
    evidence=(EVIDENCE, lambda items: len(items) <= 32, True),
    seen_head=HASH_OR_EMPTY,
)
EVENT = Message("event", EVENT_HEAD.fields | {n: Field(body.name, body, anything) for n, body in BODIES.items()})

# §5 and §6: envelopes and entries

SIGNATURE = message("signature", key_id=HASH, algorithm=choice(2), signature=("bytes", sized(64, 64)))
ENVELOPE = message(
    "envelope",
    payload_type=("text", lambda text: text == PAYLOAD_TYPE),
    payload=("bytes", sized(0, 49152)),
    signatures=(SIGNATURE, lambda items: len(items) == 1, True),
)
ENTRY = message(
    "entry",
    chain_seq=("uint", anything),
    previous=HASH_OR_EMPTY,
    recorded_at_us=("int64", anything),
    envelope=("bytes", sized(0, 65000)),
)


@dataclass(frozen=True)
class Signer:
    """Who signed: a party or member (by its chain key), or the buyer of a sale (by the sale's event id)."""

    party: str = ""
    sale: bytes = b""

    @property
    def company(self) -> str:
        """The company or authority that a party is or belongs to."""
        return company_of(self.party)


@dataclass
class Event:
    """An entry taken apart, with what the verifier finds out about it."""

    entry: dict[str, Any]
    signature: dict[str, Any]
    signed: bytes
    id: bytes
    head: dict[str, Any]
    number: int  # of the body; 0 if this version does not know it
    body: dict[str, Any]
    unknown: list[Unknown]
    signer: Signer = field(default_factory=Signer)

    @property
    def kind(self) -> str:
        """The body's name."""
        return BODIES[self.number].name if self.number else "unknown"

    @property
    def chain(self) -> str:
        """What the event is about."""
        return self.head["chain"]

    @property
    def occurred(self) -> int:
        """When it happened, in microseconds."""
        return self.head["occurred_at"]["unix_us"]

    @property
    def recorded(self) -> int:
        """The page's T."""
        return self.entry["recorded_at_us"]


def refuse(found: Iterable[str]) -> None:
    """Raise what was found, if anything was."""
    text = "; ".join(found)
    if text:
        raise Refused(text)


def take_apart(data: bytes) -> Event:
    """Entry (§6), envelope (§5) and event (§4), refused unless each is as the page says."""
    if len(data) > 65535:
        raise Refused("the entry is too large")
    entry = decode_all_known(data, ENTRY)
    refuse(problems(entry, ENTRY))
    envelope = decode_all_known(entry["envelope"], ENVELOPE)
    refuse(problems(envelope, ENVELOPE))
    payload = envelope["payload"]
    unknown: list[Unknown] = []
    event = decode(payload, EVENT, unknown)
    known = [number for number, body in BODIES.items() if event[body.name] is not None]
    others = [u for u in unknown if u.message == "event" and u.number >= 16 and u.wire == 2]
    if len(known) > 1 or not (known or others):
        raise Refused("the event has no body, or more than one")
    if known == [16] and event["genesis"]["format_version"] > FORMAT_VERSION:
        raise UnknownFormat(f"format version {event['genesis']['format_version']} is not known here: stopped")
    refuse(problems(event, EVENT))
    signed = b"DSSEv1 %d %s %d %s" % (len(PAYLOAD_TYPE), PAYLOAD_TYPE.encode(), len(payload), payload)
    number = known[0] if known else 0
    body = event[BODIES[number].name] if number else {}
    return Event(entry, envelope["signatures"][0], signed, digest(payload), event, number, body, unknown)


class UnknownFormat(Refused):
    """The genesis names a format version that is not known here (§9)."""


# §7: the tree and its checkpoint


def root_of(frontier: list[bytes]) -> bytes:
    """The tree's root from the roots of its perfect subtrees, the largest first."""
    if not frontier:
        return digest(b"")
    root = frontier[-1]
    for left in reversed(frontier[:-1]):
        root = digest(b"\x01" + left + root)
    return root


def append_leaf(frontier: list[bytes], size: int, leaf: bytes) -> None:
    """Add a leaf to a tree of that size."""
    while size & 1:
        leaf = digest(b"\x01" + frontier.pop() + leaf)
        size >>= 1
    frontier.append(leaf)


@dataclass(frozen=True)
class Checkpoint:
    """What a log's head says."""

    origin: str
    size: int
    root: bytes


def unbase64(text: str) -> bytes:
    """RFC 4648 base64 in its one spelling."""
    try:
        data = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise Refused("a text is not base64") from None
    if base64.b64encode(data).decode() != text:
        raise Refused("a text is not base64")
    return data


def read_vkey(vkey: str, origin: str) -> tuple[bytes, bytes]:
    """The key id and public key in the log's verifier key."""
    name, _, rest = vkey.partition("+")
    key_id, _, encoded = rest.partition("+")
    material = unbase64(encoded)
    if name != origin or len(material) != 33 or material[0] != 1:
        raise Refused("the verifier key is not an Ed25519 key of this origin")
    if digest(name.encode() + b"\n" + material)[:4].hex() != key_id:
        raise Refused("the verifier key does not have its own key id")
    return bytes.fromhex(key_id), material[1:]


def read_note(note: bytes) -> tuple[str, list[tuple[str, bytes]]]:
    """A signed note's text, and the names and bytes of its signatures."""
    try:
        text = note.decode()
    except UnicodeDecodeError:
        raise Refused("the note is not UTF-8") from None
    end = text.rfind("\n\n")
    if end < 0 or not text.endswith("\n") or any(c < " " and c != "\n" for c in text):
        raise Refused("the note has no signatures or has control characters")
    signatures = []
    for line in text[end + 2 : -1].split("\n"):
        match = re.fullmatch(r"— ([^\s+]+) ([A-Za-z0-9+/=]+)", line)
        if not match:
            raise Refused("a line of the note is not a signature")
        signatures.append((match[1], unbase64(match[2])))
    return text[: end + 1], signatures


def read_checkpoint(text: str) -> Checkpoint:
    """The three lines of a checkpoint; more may follow."""
    lines = text[:-1].split("\n")
    if len(lines) < 3 or not all(lines) or not re.fullmatch(r"0|[1-9][0-9]{0,18}", lines[1]):
        raise Refused("the note is no checkpoint")
    root = unbase64(lines[2])
    if len(root) != 32:
        raise Refused("the checkpoint's root has not 32 bytes")
    return Checkpoint(lines[0], int(lines[1]), root)


def open_checkpoint(note: bytes, origin: str, vkey: str, found: list[str]) -> Checkpoint | None:
    """A note's checkpoint. What is wrong is added to `found`, and the checkpoint is given if it can be read at all."""
    checkpoint = None
    try:
        text, signatures = read_note(note)
        checkpoint = read_checkpoint(text)
        if checkpoint.origin != origin:
            found.append("the checkpoint is of another origin")
        key_id, key = read_vkey(vkey, origin)
        ours = [s[4:] for name, s in signatures if name == origin and s[:4] == key_id]
        if not ours or not all(is_signed(ED25519_PREFIX + key, ED25519, s, text.encode()) for s in ours):
            found.append("the checkpoint is not signed with the log's key")
    except Refused as refused:
        found.append(str(refused))
    return checkpoint


# §8: the rules, version 1


@dataclass
class Key:
    """A key that was introduced, and by whom it is held."""

    spki: bytes
    holder: Signer
    revoked: bool = False


@dataclass
class Party:
    """A party or a member."""

    role: int
    registered_by: str
    licence_until: str = ""
    suspended: bool = False


@dataclass
class Sale:
    """A sale, and what became of it."""

    chain: str
    merchant: str
    occurred: int
    received: bool = False
    reviewed: set[str] = field(default_factory=set)


def civil_date(time_us: int) -> str:
    """The date in UTC+8."""
    try:
        return (date(1970, 1, 1) + timedelta(days=(time_us + 8 * HOUR_US) // DAY_US)).isoformat()
    except OverflowError:
        return "0000-00-00" if time_us < 0 else "9999-99-99"


CHAINS_OF_KIND = (
    dict.fromkeys(BODIES, PRODUCT_CHAINS)
    | dict.fromkeys([16, 17], {"ledger"})
    | dict.fromkeys([18, 19, 20, 21], PARTY_CHAINS)
    | {34: PRODUCT_CHAINS | PARCEL_CHAINS, 41: {"product", "lot"}}
    | {42: PRODUCT_CHAINS | PARCEL_CHAINS | PARTY_CHAINS}
)
ORDERED_CHAINS = {"item", "medicine"} | PARCEL_CHAINS | PARTY_CHAINS


@dataclass
class Rules:
    """What the entries so far have established, and the judgement of the next one."""

    version: int = RULES_VERSION
    keys: dict[bytes, Key] = field(default_factory=dict)
    parties: dict[str, Party] = field(default_factory=dict)
    listings: set[tuple[str, str]] = field(default_factory=set)
    sales: dict[bytes, Sale] = field(default_factory=dict)
    reviews: dict[bytes, tuple[bytes, str]] = field(default_factory=dict)  # the sale and the side
    complaints: dict[bytes, bytes] = field(default_factory=dict)  # the sale
    events: dict[bytes, tuple[str, Signer]] = field(default_factory=dict)
    regulator: str = ""

    def judge(self, e: Event) -> Iterator[str]:
        """What the rules have against an event other than the genesis."""
        if chain_kind(e.chain) not in CHAINS_OF_KIND[e.number]:
            yield f"a {e.kind} does not belong on this chain"
        if e.occurred > e.recorded + 10 * MINUTE_US:
            yield "it happened more than ten minutes after it was recorded"
        if self.keys[e.signature["key_id"]].revoked:
            yield "its key is revoked"
        if any(name and self.parties[name].suspended for name in (e.signer.party, e.signer.company)):
            yield "its signer is suspended"
        if not (e.number in {18, 19, 20, 21} and chain_kind(e.chain) not in PARTY_CHAINS):
            yield from getattr(self, f"_judge_{e.kind}")(e)

    # Who the signer is

    def _role(self, e: Event) -> int:
        """The signer's role: a member has its company's, a buyer none."""
        return self.parties[e.signer.company].role if e.signer.party else 0

    def _lapsed(self, party: str, e: Event) -> bool:
        """Whether a party's licence had run out when the event was recorded."""
        until = self.parties[party].licence_until if party else ""
        return until != "" and until < civil_date(e.recorded)

    def _accreditor(self, e: Event) -> str:
        """The signer if it is a company or authority that has not lapsed; else empty."""
        party = e.signer.party
        return party if party and party == e.signer.company and not self._lapsed(party, e) else ""

    def _has_authority(self, e: Event, over: str) -> bool:
        """Whether the signer has authority over that registered party."""
        by, party = self._accreditor(e), self.parties[over]
        if not by:
            return False
        as_regulator = self._role(e) == REGULATOR and party.role != REGULATOR
        return as_regulator or (by != over and by in {party.registered_by, company_of(over)})

    def _has_listed(self, e: Event) -> bool:
        """Whether the signer's company has listed this chain or its product."""
        return any((e.signer.company, chain) in self.listings for chain in (e.chain, product_of(e.chain)))

    def _side(self, e: Event, sale_id: bytes) -> str:
        """Whether the signer is the sale's buyer or its merchant, or neither: empty."""
        if e.signer.party:
            return "merchant" if e.signer.company == self.sales[sale_id].merchant else ""
        return "buyer" if e.signer.sale == sale_id else ""

    def _sale_here(self, sale_id: bytes, e: Event) -> bool:
        """Whether that is a sale recorded on the event's chain."""
        return sale_id in self.sales and self.sales[sale_id].chain == e.chain

    def _sale_of(self, e: Event) -> bytes:
        """The sale that an event is part of: it names the sale, its review or its complaint."""
        for name in ("sale", "review", "complaint", "event"):
            ref = e.body.get(name, b"")
            ref = self.reviews[ref][0] if ref in self.reviews else self.complaints.get(ref, ref)
            if ref in self.sales:
                return ref
        return b""

    # What each kind demands

    def _judge_genesis(self, _e: Event) -> Iterator[str]:
        yield from ()  # that it is not the first entry is said elsewhere

    def _judge_rules_adoption(self, e: Event) -> Iterator[str]:
        if e.signer.party != self.regulator:
            yield "its signer is not the genesis' regulator"
        if e.body["rules_version"] != self.version + 1:
            yield "the rules version is not the next one"

    def _judge_party_registration(self, e: Event) -> Iterator[str]:
        role, company, by = e.body["role"], company_of(e.chain), self._accreditor(e)
        if e.chain == company:
            allowed = self._role(e) == REGULATOR or (self._role(e) == PLATFORM and role == MERCHANT)
        else:
            allowed = self._role(e) == REGULATOR or (by == company and self._role(e) in {COURIER, MERCHANT})
            if company not in self.parties or self.parties[company].role != role:
                yield "its company is not registered in this role"
        if not by or not allowed:
            yield "its signer cannot register this party"
        if e.chain in self.parties:
            yield "the party is registered already"
        if (e.body["name"] == "") == (e.chain == company):
            yield "a company must have a name, a member must not"
        yield from self._judge_new_key(e.body["public_key"])

    def _judge_new_key(self, spki: bytes) -> Iterator[str]:
        if digest(spki) in self.keys:
            yield "the key was introduced before"

    def _judge_key_addition(self, e: Event) -> Iterator[str]:
        yield from self._judge_key_revocation(e)
        yield from self._judge_new_key(e.body["public_key"])

    def _judge_key_revocation(self, e: Event) -> Iterator[str]:
        if e.chain not in self.parties:
            yield "the party is not registered"
        elif e.signer.party != e.chain and not self._has_authority(e, e.chain):
            yield "its signer has no authority over the party"
        if e.kind == "key_revocation":
            key = self.keys.get(e.body["key_id"])
            if key is None or key.holder.party != e.chain:
                yield "the key is not this party's"

    def _judge_party_status_change(self, e: Event) -> Iterator[str]:
        if e.chain not in self.parties:
            yield "the party is not registered"
        elif not self._has_authority(e, e.chain):
            yield "its signer has no authority over the party"

    def _judge_listing(self, e: Event) -> Iterator[str]:
        if self._role(e) != MERCHANT:
            yield "its signer is not a merchant"

    def _judge_sale(self, e: Event) -> Iterator[str]:
        if self._role(e) != MERCHANT or not self._has_listed(e):
            yield "its signer is not a merchant that has listed this"
        yield from self._judge_new_key(e.body["buyer_key"])

    def _judge_shipment(self, e: Event) -> Iterator[str]:
        sale, dispatched, parcel = e.body["sale"], e.body["stage"] == DISPATCHED, e.body["parcel"]
        if e.head["place"] is None:
            yield "a shipment needs a place"
        if chain_kind(e.chain) in PARCEL_CHAINS:
            if self._role(e) not in {MERCHANT, COURIER}:
                yield "its signer is neither merchant nor courier"
            if dispatched or sale or parcel:
                yield "on a parcel, no dispatch, sale or parcel can be named"
            return
        if (parcel != "") != dispatched:
            yield "the parcel must be set exactly when dispatched"
        if not self._sale_here(sale, e):
            yield "the sale is not recorded on this chain"
        elif self._role(e) != COURIER and self._side(e, sale) != "merchant":
            yield "its signer is neither a courier nor the sale's merchant"

    def _judge_receipt(self, e: Event) -> Iterator[str]:
        sale = e.body["sale"]
        if not self._sale_here(sale, e):
            yield "the sale is not recorded on this chain"
            return
        if not (self._role(e) == COURIER if e.body["proxy"] else self._side(e, sale) == "buyer"):
            yield "its signer is neither the buyer nor, by proxy, a courier"
        if self.sales[sale].received:
            yield "the sale is received already"

    def _judge_review(self, e: Event) -> Iterator[str]:
        sale = e.body["sale"]
        if not self._sale_here(sale, e):
            yield "the sale is not recorded on this chain"
            return
        side = self._side(e, sale)
        if not side or side in self.sales[sale].reviewed:
            yield "its signer is not a side of the sale, or has reviewed it already"
        if not self.sales[sale].received:
            yield "the sale is not received yet"
        if side == "merchant" and any(e.body[f"{name}_rating"] for name in ("product", "description", "delivery")):
            yield "a merchant gives one rating only"

    def _judge_follow_up(self, e: Event) -> Iterator[str]:
        sale, side = self.reviews.get(e.body["review"], (b"", ""))
        if not self._sale_here(sale, e):
            yield "the review is not recorded on this chain"
        elif self._side(e, sale) != side:
            yield "its signer did not write the review"

    def _judge_complaint(self, e: Event) -> Iterator[str]:
        if not self._sale_here(e.body["sale"], e):
            yield "the sale is not recorded on this chain"
        elif self._side(e, e.body["sale"]) != "buyer":
            yield "its signer is not the buyer"

    def _judge_complaint_reply(self, e: Event) -> Iterator[str]:
        sale = self.complaints.get(e.body["complaint"], b"")
        if not self._sale_here(sale, e):
            yield "the complaint is not recorded on this chain"
        elif self._role(e) not in {PLATFORM, REGULATOR} and self._side(e, sale) != "merchant":
            yield "its signer is neither the merchant nor a platform or regulator"

    _judge_complaint_resolution = _judge_complaint_reply

    def _judge_recall(self, e: Event) -> Iterator[str]:
        if self._role(e) != REGULATOR and not (self._role(e) == MERCHANT and self._has_listed(e)):
            yield "its signer is neither a regulator nor a merchant that has listed this"

    def _judge_correction(self, e: Event) -> Iterator[str]:
        chain, signer = self.events.get(e.body["event"], ("", Signer()))
        if chain != e.chain:
            yield "the corrected event is not recorded on this chain"
            return
        accreditor = self.parties[signer.party].registered_by if signer.party else ""
        if e.signer != signer and not (accreditor and accreditor == self._accreditor(e)):
            yield "its signer neither signed the event nor accredited who did"

    # What it is flagged with, and what it establishes

    def flags(self, e: Event, latest: int) -> list[str]:
        """The event's flags; `latest` is the latest occurred_at on its chain so far."""
        sale = self.sales.get(self._sale_of(e))
        before_sale = sale is not None and e.occurred < sale.occurred
        before_latest = chain_kind(e.chain) in ORDERED_CHAINS and e.occurred < latest
        flags = {
            "LATE": e.recorded - e.occurred > HOUR_US,
            "OUT_OF_ORDER": before_sale or before_latest,
            "PROXY_RECEIPT": e.number == 35 and self._role(e) == COURIER,
            "LICENCE_LAPSED": self._lapsed(e.signer.party, e) or self._lapsed(e.signer.company, e),
            "AFTER_RECEIPT": e.number == 34 and sale is not None and sale.received,
            "CLOCK_AHEAD": e.occurred > e.recorded,
        }
        return [name for name, holds in flags.items() if holds]

    def learn_keys(self, e: Event) -> None:
        """Remember the key that an event introduces: all that is done under rules that are not known."""
        holder = Signer(sale=e.id) if e.number == 33 else Signer(party=e.body.get("regulator", e.chain))
        for name in ("regulator_key", "public_key", "buyer_key"):
            if name in e.body:
                self.keys.setdefault(digest(e.body[name]), Key(e.body[name], holder))

    def establish(self, e: Event) -> None:
        """Remember what a valid event establishes."""
        body = e.body
        self.learn_keys(e)
        self.events[e.id] = e.chain, e.signer
        match e.kind:
            case "genesis":
                self.regulator = body["regulator"]
                self.parties[self.regulator] = Party(REGULATOR, "")
                self.version = body["rules_version"]
            case "rules_adoption":
                self.version = body["rules_version"]
            case "party_registration":
                self.parties[e.chain] = Party(body["role"], e.signer.party, body["licence_until"])
            case "key_revocation":
                self.keys[body["key_id"]].revoked = True
            case "party_status_change":
                party = self.parties[e.chain]
                party.suspended = body["status"] == SUSPENDED
                party.licence_until = body["licence_until"] or party.licence_until
            case "listing":
                self.listings.add((e.signer.company, e.chain))
            case _:
                self._establish_trade(e)

    def _establish_trade(self, e: Event) -> None:
        """The same for a sale and its parts."""
        match e.kind:
            case "sale":
                self.sales[e.id] = Sale(e.chain, e.signer.company, e.occurred)
            case "receipt":
                self.sales[e.body["sale"]].received = True
            case "review":
                side = self._side(e, e.body["sale"])
                self.sales[e.body["sale"]].reviewed.add(side)
                self.reviews[e.id] = e.body["sale"], side
            case "complaint":
                self.complaints[e.id] = e.body["sale"]


# §9 and §10: the verification


@dataclass
class Judged:
    """What was read of an entry."""

    hash: bytes
    event_id: bytes = b""
    chain: str = ""
    kind: str = ""
    signer: str = ""
    flags: list[str] = field(default_factory=list)


@dataclass
class Report:
    """What was found. `unknown_kinds` and `unjudged` are indexes of entries to which no rules were applied."""

    findings: list[tuple[int | None, str]] = field(default_factory=list)
    size: int = 0
    root: bytes = b""
    kinds: Counter[str] = field(default_factory=Counter)
    entries: list[Judged] = field(default_factory=list)
    unknown_kinds: list[int] = field(default_factory=list)
    unjudged: list[int] = field(default_factory=list)

    @property
    def verified(self) -> bool:
        """Whether nothing was found."""
        return not self.findings

    @property
    def flags(self) -> list[list[str]]:
        """The flags of each entry."""
        return [entry.flags for entry in self.entries]


@dataclass
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
    last_recorded: int | None = None

    def read(self, data: bytes) -> bytes:
        """Judge the next entry and return its hash."""
        index, entry_hash = len(self.report.entries), digest(b"\x00" + data)
        judged = Judged(entry_hash)
        self.report.entries.append(judged)
        try:
            e = take_apart(data)
        except UnknownFormat as unknown:
            self.report.findings.append((index, str(unknown)))
            if index == 0:
                raise
            return entry_hash
        except Refused as refused:
            self.report.findings.append((index, str(refused)))
            return entry_hash
        judged.event_id, judged.chain, judged.kind = e.id, e.chain, e.kind
        self.report.kinds[e.kind] += 1
        found = [*self._place(e), *self._signature(e, index), *self._genesis(e, index)]
        chain = self.chains.setdefault(e.chain, Chain())
        judged.signer = e.signer.party
        if not found:
            found += self._rules(e, index, judged, chain.latest)
        self.report.findings += [(index, text) for text in found]
        chain.length, chain.head, chain.latest = chain.length + 1, entry_hash, max(chain.latest, e.occurred)
        self.seen.add(e.id)
        self.last_recorded = max(e.recorded, e.recorded if self.last_recorded is None else self.last_recorded)
        return entry_hash

    def _place(self, e: Event) -> Iterator[str]:
        """§6: the entry's place in the log and in its chain."""
        chain = self.chains.get(e.chain, Chain())
        if (e.entry["chain_seq"], e.entry["previous"]) != (chain.length, chain.head):
            yield "it does not continue its chain"
        if self.last_recorded is not None and e.recorded < self.last_recorded:
            yield "it was recorded before the entry before it"
        if e.id in self.seen:
            yield "the log holds this event already"

    def _signature(self, e: Event, index: int) -> Iterator[str]:
        """§2, §5, §8: the key that the envelope names, and its signature."""
        if index == 0 and e.number == 16:
            key: Key | None = Key(e.body["regulator_key"], Signer(party=e.body["regulator"]))
            if digest(e.body["regulator_key"]) != e.signature["key_id"]:
                yield "the genesis is not signed by its own regulator"
        else:
            key = self.rules.keys.get(e.signature["key_id"])
        if key is None:
            if self.rules.version == RULES_VERSION:
                yield "its key is not known"
            return
        e.signer = key.holder
        if not is_signed(key.spki, e.signature["algorithm"], e.signature["signature"], e.signed):
            yield "its signature is not valid"

    def _genesis(self, e: Event, index: int) -> Iterator[str]:
        """§7: the first entry, and no other, is a genesis."""
        if (e.number == 16) != (index == 0):
            yield "the first entry must be a genesis and no other"
        elif index == 0 and (e.chain != "ledger" or e.body["origin"] != self.origin):
            yield "the genesis is on another chain or of another origin"

    def _rules(self, e: Event, index: int, judged: Judged, latest: int) -> Iterator[str]:
        """§8 and §9: the rules, if this version knows them and the event's kind."""
        if e.unknown:
            judged.kind = "unknown"
            self.report.unknown_kinds.append(index)
            self.report.kinds.subtract([e.kind])
            self.report.kinds.update(["unknown"])
            if index > 0:
                self.rules.events[e.id] = e.chain, e.signer
                return
        if self.rules.version != RULES_VERSION:
            self.report.unjudged.append(index)
            self.rules.learn_keys(e)
            return
        if index > 0:
            found = list(self.rules.judge(e))
            yield from found
            if found:
                return
        elif e.occurred > e.recorded + 10 * MINUTE_US:
            yield "it happened more than ten minutes after it was recorded"
        if index == 0:
            self.rules.establish(e)
            judged.flags = self.rules.flags(e, latest)
        else:
            judged.flags = self.rules.flags(e, latest)
            self.rules.establish(e)


def verify(
    origin: str,
    vkey: str,
    checkpoint_note: bytes,
    entries: Iterable[bytes],
    seen_before: Iterable[bytes] = (),
) -> Report:
    """The procedure of §10. Everything that is found is reported; only an unknown format version stops it."""
    verifier = Verifier(origin)
    report, found = verifier.report, []
    checkpoint = open_checkpoint(checkpoint_note, origin, vkey, found)
    earlier = [c for note in seen_before if (c := open_checkpoint(note, origin, vkey, found)) is not None]
    sizes = {c.size for c in earlier}
    frontier: list[bytes] = []
    roots = {0: root_of(frontier)}
    try:
        for data in islice(entries, checkpoint.size if checkpoint else None):
            append_leaf(frontier, report.size, verifier.read(data))
            report.size += 1
            if report.size in sizes:
                roots[report.size] = root_of(frontier)
    except UnknownFormat:
        return report
    report.root = roots[report.size] = root_of(frontier)
    if checkpoint and (checkpoint.size, checkpoint.root) != (report.size, report.root):
        found.append("the entries do not have the checkpoint's size and root")
    found += [
        f"the log is not the one of the checkpoint seen at size {c.size}"
        for c in earlier
        if roots.get(c.size) != c.root
    ]
    report.findings += [(None, text) for text in found]
    report.kinds = +report.kinds
    return report


def main(arguments: list[str]) -> int:
    """Verify a file of vectors."""
    try:
        [path] = arguments
        vectors = json.loads(Path(path).read_text(encoding="utf-8"))
        entries = [bytes.fromhex(item["entry"]) for item in vectors["entries"]]
        note, origin, vkey = vectors["checkpoint"].encode(), vectors["origin"], vectors["vkey"]
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        sys.stderr.write(f"usage: independent_verify.py VECTORS.json ({error})\n")
        return 2
    report = verify(origin, vkey, note, entries)
    lines = ["VERIFIED" if report.verified else "TAMPERED"]
    lines += [f"entry {index}: {text}" if index is not None else text for index, text in report.findings]
    lines += [f"entry {index}: kind unknown to this version" for index in report.unknown_kinds]
    lines += [f"entry {index}: not judged, its rules version is not known" for index in report.unjudged]
    sys.stdout.write("\n".join(lines) + "\n")
    return 0 if report.verified else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
