"""Every decoder that reads what others have written: whatever comes, it is read or refused in the ledger's words.

`SUYUAN_SOAK=1` gives them a million inputs together.
"""

import functools
import time
import tracemalloc
from dataclasses import dataclass

import pytest
from evidences import BELIEVED, evidence_of, policy_of
from hostile import BOMBS, hostile
from hypothesis import HealthCheck, given, settings
from lying import CITY_SIGNER
from soaking import SOAK, times
from witnessing import SmallLog
from world import MERCHANT, ORIGIN, City, Log, example, parsed, signing_key

from clients.evidence_check import check_evidence
from clients.purchase_token import PurchaseToken
from ledger.barcode import MAX_CHARACTERS, read_barcode
from ledger.chain_key import ChainKey
from ledger.checkpoint import Checkpoint, open_checkpoint
from ledger.contradiction import Contradiction
from ledger.cosignature import cosignatures_of
from ledger.entry import Entry
from ledger.envelope import Envelope
from ledger.errors import LedgerError, Reason
from ledger.event import Event, Kind
from ledger.evidence import Evidence
from ledger.gs1_message import parse_bracketed, parse_digital_link, parse_element_strings
from ledger.identifiers import printable
from ledger.keys import PrivateKey, PublicKey
from ledger.note import NoteSignature, SignedNote, VerifierKey
from ledger.policy import Policy
from ledger.sequence import Submission
from ledger.strict_json import read_json
from ledger.tiles import decode_bundle, encode_bundle, parse_path
from ledger.tlog_proof import TlogProof
from ledger.waybill import explicit_waybill, waybill_of, waybills_by_shape
from ledger.witness import AddCheckpoint, known_logs
from server.witnessing.reply import read_cosignatures, read_size

BOMB_S = 10
"""Processor time that no input of a megabyte may take: a bound for what grows as a square, not for a slow machine."""

PEAK_BYTES = 80 * 1024 * 1024
"""Memory that no input of a megabyte may take."""


@dataclass(frozen=True)
class Decoder:
    """Something that reads bytes, and bytes that it reads without a complaint."""

    name: str
    read: object
    samples: list[bytes]


def of_text(read):
    """Texts come as bytes too; what is no UTF-8 reaches decoders as command-line arguments do."""
    return lambda raw: read(raw.decode("utf-8", "surrogateescape"))


def of_code(read):
    """What reads parts of a code gets no more than a code may have."""
    return of_text(lambda text: read(text[:MAX_CHARACTERS]))


def encoded(*texts):
    return [text.encode() for text in texts]


@functools.cache
def decoders():
    city, log = City(), Log()
    said = [*city.founding(), *city.life()]
    log.append(*said)
    kinds = [city.event(MERCHANT, example(kind)).raw for kind in Kind]
    evidence = evidence_of(log, MERCHANT, [2], [0, 1], witnesses=["one", "two"])
    note = SignedNote.parse(evidence.checkpoint)
    small = SmallLog()
    logs = known_logs([(small.origin, small.vkey)])
    two = Contradiction(ORIGIN, Reason.FORK, "two heads", 1, (evidence.checkpoint, evidence.checkpoint))
    proof = TlogProof(2, (bytes(32),) * 3, evidence.checkpoint, b"extra")
    token = PurchaseToken(bytes(32), signing_key("buyer"))
    policy = policy_of(2)
    vkeys = [
        str(CITY_SIGNER.vkey),
        *(line.split()[2] for line in policy.text.splitlines() if line.startswith("witness")),
    ]
    witness_keys = [VerifierKey.parse(vkey) for vkey in vkeys[1:]]
    cosigned = "".join(f"{line}\n" for line in note.signatures).encode()
    scanned = [
        "6901234567892", "96385074", "036000291452", "(01)06901234567892(21)A%2F7", "]d20106901234567892211A",
        "]C10106901234567892\x1d10L7", "https://id.example.com/01/06901234567892/21/A7?17=271231", "RR123456785CN",
        "81234567890123456789", "00106141412345678908", "SF1234567890123",
    ]  # fmt: skip
    tiles = [
        "tile/0/000",
        "tile/0/x001/234.p/7",
        "tile/entries/x123/067",
        "tile/63/000.p/255",
        "tile/entries/000.p/1",
    ]
    return [
        Decoder("envelope", Envelope.parse, [one.raw for one in said]),
        Decoder("entry", Entry.parse, log.leaves),
        Decoder("recorded entry, with all that is in it", parsed, log.leaves),
        Decoder("event", Event.parse, [*kinds, *(one.payload for one in said)]),
        Decoder("submission", Submission.read, [one.raw for one in said]),
        Decoder("chain key", of_text(ChainKey.parse), encoded(*(parsed(leaf)[2].chain for leaf in log.leaves))),
        Decoder("barcode", of_text(read_barcode), encoded(*scanned)),
        Decoder("GS1 element strings", of_code(parse_element_strings), encoded("0106901234567892\x1d10L7")),
        Decoder("GS1 in brackets", of_code(parse_bracketed), encoded("(01)06901234567892(10)L7(21)9")),
        Decoder("GS1 Digital Link", of_code(parse_digital_link), encoded("https://a.test/01/06901234567892?10=L7")),
        Decoder("waybill", of_text(lambda text: waybill_of("sf", text)), encoded("SF1234567890123")),
        Decoder("waybill by its shape", of_text(waybills_by_shape), encoded("SF1234567890123", "RR123456785CN")),
        Decoder("waybill by its URL", of_text(explicit_waybill), encoded("waybill:sf/SF1234567890123")),
        Decoder("printable", of_text(printable), encoded(*scanned)),
        Decoder("public key", PublicKey.parse, [city.key(MERCHANT).public_key.spki]),
        Decoder("private key", PrivateKey.from_pem, [signing_key("x").to_pem()]),
        Decoder("purchase token", of_text(PurchaseToken.parse), encoded(token.text())),
        Decoder("note", SignedNote.parse, [evidence.checkpoint, small.note(7)]),
        Decoder("line of a signature", of_text(NoteSignature.parse), encoded(*map(str, note.signatures))),
        Decoder("verifier key", of_text(VerifierKey.parse), encoded(*vkeys)),
        Decoder("checkpoint", of_text(Checkpoint.parse), encoded(note.text)),
        Decoder("signed checkpoint", lambda raw: open_checkpoint(raw, ORIGIN, [CITY_SIGNER.vkey]), [evidence.checkpoint]),
        Decoder("cosigned checkpoint", lambda raw: policy.open(raw, ORIGIN), [evidence.checkpoint]),
        Decoder("cosignatures in a note", lambda raw: cosignatures_of(SignedNote.parse(raw), witness_keys), [evidence.checkpoint]),
        Decoder("answer of a witness", lambda raw: read_cosignatures(raw, note, witness_keys), [cosigned]),
        Decoder("size that a witness tells", lambda raw: read_size("text/x.tlog.size", raw), [b"7\n", b"0\n"]),
        Decoder("policy", Policy.parse, encoded(policy.text, BELIEVED.text)),
        Decoder("tlog-proof", TlogProof.parse, [proof.encode()]),
        Decoder("contradiction", Contradiction.parse, [two.encode()]),
        Decoder("request to a witness", lambda raw: AddCheckpoint.parse(raw).open(logs), [small.request(3, 9), small.request(0, 5)]),
        Decoder("evidence", Evidence.parse, [evidence.encode()]),
        Decoder("evidence, checked", lambda raw: check_evidence(Evidence.parse(raw), policy), [evidence.encode()]),
        Decoder("JSON", lambda raw: read_json("file", raw, 2_000_000), [evidence.encode(), b'{"a": [1, "\\u4f60", null]}']),
        Decoder("path of a tile", of_text(parse_path), encoded(*tiles)),
        Decoder("bundle", decode_bundle, [encode_bundle((log.leaves * 15)[:256]), encode_bundle([b"x"] * 256)]),
        Decoder("bundle of few", lambda raw: decode_bundle(raw, 3), [encode_bundle(log.leaves[:3])]),
    ]  # fmt: skip


NAMES = [one.name for one in decoders()]


def named(name):
    return next(one for one in decoders() if one.name == name)


def try_to_read(decoder, raw):
    """Read; a refusal is as good as an answer, and says in printable words what it is about."""
    told = ""
    try:
        decoder.read(raw)
    except LedgerError as refusal:
        told = str(refusal)
    assert told.isprintable()
    assert len(told) < 3_000


@pytest.mark.parametrize("name", NAMES)
def test_samples_are_read(name):
    decoder = named(name)
    for sample in decoder.samples:
        decoder.read(sample)


@pytest.mark.parametrize("name", NAMES)
def test_anything_else_is_refused_in_the_ledgers_words(name):
    decoder = named(name)

    @settings(
        max_examples=times(40, 1_000_000 // len(NAMES)),
        suppress_health_check=list(HealthCheck) if SOAK else [],
        database=None,
    )
    @given(raw=hostile(decoder.samples))
    def reads_or_refuses(raw):
        try_to_read(decoder, raw)

    reads_or_refuses()


@pytest.mark.parametrize("name", NAMES)
def test_no_input_costs_much(name):
    decoder = named(name)
    for bomb, raw in BOMBS.items():
        tracemalloc.start()
        began = time.process_time()
        try:
            try_to_read(decoder, raw)
            took, (_, peak) = time.process_time() - began, tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        assert took < BOMB_S, (bomb, took)
        assert peak < PEAK_BYTES, (bomb, peak)
