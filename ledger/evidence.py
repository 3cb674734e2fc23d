"""Evidence files: what the log says of one thing, in one text that can be checked years later without the log.

The format is described in `docs/evidence.md`. It is JSON with one spelling for each content, so that what is parsed
prints back to the very same bytes:

    format          suyuan-evidence/1
    origin          the log's identity
    subject         what was asked for: a chain, or a sale
    log_keys        verifier keys that are said to have signed the checkpoint
    witness_keys    verifier keys that are said to have cosigned it
    checkpoint      the signed note under which everything is proven
    entries         what the log says of the subject, each with its place and its inclusion proof
    introductions   what introduced the keys that signed, up to the genesis, in the same form

Here the form is read and written. Nothing of it is verified, and the keys in it are claims: `clients.evidence_check`
verifies, under keys that come from elsewhere.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Final

from ledger.chain_key import ChainKey
from ledger.cosignature import COSIGNATURE_TYPES
from ledger.entry import MAX_ENTRY_BYTES
from ledger.errors import BadInput, LedgerError
from ledger.identifiers import printable
from ledger.merkle import HASH_SIZE
from ledger.note import ED25519, MAX_NOTE_SIZE, SignedNote, VerifierKey, decode_base64, encode_base64
from ledger.strict_json import kind_of, read_integer, read_json, read_list, read_object, read_text, wrong
from ledger.tlog_proof import MAX_HASHES, TlogProof

FORMAT: Final = "suyuan-evidence/1"

MAX_BYTES: Final = 64 * 1024 * 1024
"""Bytes of the longest file."""

MAX_ENTRIES: Final = 20_000
"""Proven entries in one file."""

MAX_MARKS: Final = 1_500_000
"""Commas and opening brackets in one file: more than those of so many entries with the longest proofs."""

MAX_LOG_KEYS: Final = 16
MAX_WITNESS_KEYS: Final = 100

_FIELDS: Final = (
    "format", "origin", "subject", "log_keys", "witness_keys", "checkpoint", "entries", "introductions",
)  # fmt: skip
_ENTRY_FIELDS: Final = ("index", "entry", "proof")
_FORMAT: Final = re.compile(r"suyuan-evidence/[1-9][0-9]{0,8}")
_EVENT_ID: Final = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class ProvenLeaf:
    """An entry with its proof; not verified.

    Attributes:
        index: place in the log.
        data: the entry's bytes.
        proof: the inclusion proof in the checkpoint's tree, from the leaf's sibling upwards; 32 bytes each.
    """

    index: int
    data: bytes = field(repr=False)
    proof: tuple[bytes, ...] = field(repr=False)

    def __post_init__(self) -> None:
        """Refuse what no file may hold."""
        read_integer("index of an entry", self.index)
        where = f"entry {self.index}"
        if not 0 < len(self.data) <= MAX_ENTRY_BYTES:
            raise wrong(where, f"{len(self.data)} bytes", f"1 to {MAX_ENTRY_BYTES} bytes")
        if len(self.proof) > MAX_HASHES:
            raise wrong(f"proof of {where}", f"{len(self.proof)} hashes", f"at most {MAX_HASHES}")
        if any(len(one) != HASH_SIZE for one in self.proof):
            raise wrong(f"proof of {where}", "a hash of another length", f"hashes of {HASH_SIZE} bytes")


@dataclass(frozen=True, slots=True)
class Evidence:
    """What a file says.

    Attributes:
        subject: what was asked for: a chain, or the event id of a sale.
        log_keys: verifier keys of the log that are said to have signed the checkpoint; claims.
        witness_keys: those of witnesses that are said to have cosigned it; claims.
        checkpoint: the signed note.
        entries: what the log says of the subject, in the order of the log.
        introductions: what introduced the keys that signed, in the order of the log.

    Raises:
        BadInput: no file can say this (`INVALID_REQUEST`).
        BrokenProof: the checkpoint is no signed note (`BAD_NOTE`).
    """

    subject: ChainKey | bytes
    log_keys: tuple[VerifierKey, ...]
    witness_keys: tuple[VerifierKey, ...]
    checkpoint: bytes = field(repr=False)
    entries: tuple[ProvenLeaf, ...] = field(repr=False)
    introductions: tuple[ProvenLeaf, ...] = field(repr=False)

    def __post_init__(self) -> None:
        """Refuse what no file may say."""
        if not isinstance(self.subject, ChainKey) and len(self.subject) != HASH_SIZE:
            raise wrong("event id of the sale", f"{len(self.subject)} bytes", f"{HASH_SIZE} bytes")
        _require_keys("log_keys", self.log_keys, (ED25519,), 1, MAX_LOG_KEYS)
        _require_keys("witness_keys", self.witness_keys, COSIGNATURE_TYPES, 0, MAX_WITNESS_KEYS)
        names = {key.name for key in self.log_keys}
        if len(names) > 1:
            raise wrong("names of the log_keys", " and ".join(sorted(names)), "one, the log's origin")
        SignedNote.parse(self.checkpoint)
        count = len(self.entries) + len(self.introductions)
        if not self.entries or count > MAX_ENTRIES:
            given = f"{len(self.entries)} and {len(self.introductions)}"
            raise wrong("entries and introductions", given, f"at least 1 entry, and at most {MAX_ENTRIES}")
        for name, leaves in (("entries", self.entries), ("introductions", self.introductions)):
            for before, leaf in pairwise(leaves):
                if leaf.index <= before.index:
                    raise wrong(f"next index in {name}", leaf.index, f"more than {before.index}")
        twice = {leaf.index for leaf in self.entries} & {leaf.index for leaf in self.introductions}
        if twice:
            given = f"entry {min(twice)} among both"
            raise wrong("entries and introductions", given, "each entry once")

    @property
    def origin(self) -> str:
        """The log's identity."""
        return self.log_keys[0].name

    @property
    def subject_text(self) -> str:
        """What was asked for, in words: a chain key, or `sale <event id>`."""
        return str(self.subject) if isinstance(self.subject, ChainKey) else f"sale {self.subject.hex()}"

    @classmethod
    def parse(cls, raw: bytes) -> Evidence:
        """The evidence that these bytes spell; `encode` gives them back unchanged.

        Raises:
            BadInput: they spell none (`INVALID_REQUEST`; what is wrong with a key or a chain key says so itself).
            BrokenProof: the checkpoint is no signed note (`BAD_NOTE`).
        """
        if len(raw) > MAX_BYTES:
            raise wrong("evidence file", f"{len(raw)} bytes", f"at most {MAX_BYTES} bytes")
        value = read_json("evidence file", raw, MAX_MARKS)
        _require_format(value)
        read = read_object("the evidence file", value, _FIELDS)
        evidence = cls(
            _subject(read["subject"]),
            tuple(_key("log_keys", vkey) for vkey in read_list("log_keys", read["log_keys"], MAX_LOG_KEYS)),
            tuple(
                _key("witness_keys", vkey)
                for vkey in read_list("witness_keys", read["witness_keys"], MAX_WITNESS_KEYS)
            ),
            read_text("checkpoint", read["checkpoint"], MAX_NOTE_SIZE).encode(),
            _leaves("entries", read["entries"]),
            _leaves("introductions", read["introductions"]),
        )
        if read["origin"] != evidence.origin:
            given = printable(read_text("origin", read["origin"], MAX_NOTE_SIZE))
            raise wrong("origin", given, f"{printable(evidence.origin)}, the name of the log_keys")
        if evidence.encode() != raw:
            raise wrong(
                "evidence file", "another spelling of its content", "that of JSON.stringify(…, null, 1)"
            )
        return evidence

    def encode(self) -> bytes:
        """The file's bytes."""
        subject = (
            {"chain": str(self.subject)}
            if isinstance(self.subject, ChainKey)
            else {"sale": self.subject.hex()}
        )
        said = (
            FORMAT,
            self.origin,
            subject,
            [str(key) for key in self.log_keys],
            [str(key) for key in self.witness_keys],
            self.checkpoint.decode(),
            [_said(leaf) for leaf in self.entries],
            [_said(leaf) for leaf in self.introductions],
        )
        text = json.dumps(dict(zip(_FIELDS, said, strict=True)), ensure_ascii=False, indent=1)
        return f"{text}\n".encode()

    def leaves(self) -> Iterator[ProvenLeaf]:
        """Entries and introductions together, in the order of the log."""
        yield from sorted((*self.entries, *self.introductions), key=lambda leaf: leaf.index)

    def tlog_proof(self, leaf: ProvenLeaf) -> TlogProof:
        """The proof of one entry, to stand alone.

        Args:
            leaf: one of this evidence.
        """
        return TlogProof(leaf.index, leaf.proof, self.checkpoint)


def _said(leaf: ProvenLeaf) -> dict[str, object]:
    said = (leaf.index, encode_base64(leaf.data), [encode_base64(one) for one in leaf.proof])
    return dict(zip(_ENTRY_FIELDS, said, strict=True))


def _require_format(value: object) -> None:
    told = value.get("format") if isinstance(value, dict) else None
    if told != FORMAT:
        given = told if isinstance(told, str) and _FORMAT.fullmatch(told) else "none"
        raise wrong("format of the evidence file", given, f"{FORMAT}, which this version knows")


def _bytes(subject: str, value: object, most: int) -> bytes:
    decoded = decode_base64(read_text(subject, value, most * 4 // 3 + 4))
    if decoded is None:
        raise wrong(subject, "something else", "canonical base64")
    return decoded


def _subject(value: object) -> ChainKey | bytes:
    if isinstance(value, dict) and tuple(value) == ("chain",):
        return ChainKey.parse(read_text("chain of the subject", value["chain"], MAX_NOTE_SIZE))
    if not isinstance(value, dict) or tuple(value) != ("sale",):
        raise wrong("subject", kind_of(value), "an object with the one key chain or sale")
    event_id = read_text("sale of the subject", value["sale"], MAX_NOTE_SIZE)
    if not _EVENT_ID.fullmatch(event_id):
        raise wrong("sale of the subject", printable(event_id), "64 hexadecimal digits, lower case")
    return bytes.fromhex(event_id)


def _key(subject: str, value: object) -> VerifierKey:
    text = read_text(subject, value, 2 * MAX_ENTRY_BYTES)
    try:
        return VerifierKey.parse(text)
    except LedgerError as error:
        raise BadInput(
            error.reason, f"{subject}: {error.subject}", given=error.given, expected=error.expected
        ) from None


def _leaves(subject: str, value: object) -> tuple[ProvenLeaf, ...]:
    leaves = []
    for number, one in enumerate(read_list(subject, value, MAX_ENTRIES)):
        where = f"item {number} of {subject}"
        read = read_object(where, one, _ENTRY_FIELDS)
        index = read_integer(f"index of {where}", read["index"])
        data = _bytes(f"entry of {where}", read["entry"], MAX_ENTRY_BYTES)
        proof = tuple(
            _bytes(f"proof of {where}", item, HASH_SIZE)
            for item in read_list(f"proof of {where}", read["proof"], MAX_HASHES)
        )
        leaves.append(ProvenLeaf(index, data, proof))
    return tuple(leaves)


def _require_keys(
    subject: str, keys: tuple[VerifierKey, ...], types: tuple[int, ...], least: int, most: int
) -> None:
    if not least <= len(keys) <= most:
        raise wrong(subject, f"{len(keys)} keys", f"{least} to {most}")
    if len(set(keys)) != len(keys):
        raise wrong(subject, "a key twice", "each key once")
    for key in keys:
        if key.key_type not in types:
            expected = " or ".join(f"0x{one:02x}" for one in types)
            raise wrong(f"type of {key.label} in {subject}", f"0x{key.key_type:02x}", expected)
