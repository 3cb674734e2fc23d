from __future__ import annotations

import json
import shutil
import subprocess
from dataclasses import replace

import pytest
from evidences import WITNESSES, evidence_of, leaf, spelled
from hypothesis import given
from hypothesis import strategies as st
from lying import CITY_SIGNER
from world import MERCHANT, PARCEL, TEA, City, Log, signing_key

from ledger import evidence as evidence_module
from ledger.chain_key import ChainKey
from ledger.errors import BadInput, BrokenProof, LedgerError, Reason
from ledger.evidence import MAX_BYTES, MAX_ENTRIES, Evidence, ProvenLeaf
from ledger.merkle import leaf_hash, verify_inclusion
from ledger.note import NoteSigner, SignedNote
from ledger.tlog_proof import TlogProof


@pytest.fixture(scope="module")
def log():
    city, log = City(), Log()
    log.append(*city.founding())
    log.append(*city.life())
    return log


@pytest.fixture(scope="module")
def evidence(log):
    return evidence_of(log, MERCHANT, [2], [0, 1], witnesses=["one", "two"])


@pytest.fixture
def content(evidence):
    """The file as JSON, to be spoilt."""
    return json.loads(evidence.encode())


def refusal(raw, reason=Reason.INVALID_REQUEST):
    with pytest.raises(LedgerError) as caught:
        Evidence.parse(raw)
    assert caught.value.reason is reason
    return str(caught.value)


def test_how_a_file_looks(log):
    evidence = evidence_of(log, ChainKey("ledger"), [0], [])
    [proven] = evidence.entries
    assert evidence.encode().decode().split("\n")[:13] == [
        "{",
        ' "format": "suyuan-evidence/1",',
        ' "origin": "ledger.test/city",',
        ' "subject": {',
        '  "chain": "ledger"',
        " },",
        ' "log_keys": [',
        f'  "{CITY_SIGNER.vkey}"',
        " ],",
        ' "witness_keys": [],',
        f' "checkpoint": {json.dumps(evidence.checkpoint.decode(), ensure_ascii=False)},',
        ' "entries": [',
        "  {",
    ]
    assert evidence.encode().endswith(b' ],\n "introductions": []\n}\n')
    assert json.loads(evidence.encode())["entries"][0]["index"] == proven.index == 0


def test_there_and_back(log, evidence):
    assert Evidence.parse(evidence.encode()) == evidence
    of_sale = evidence_of(log, bytes(range(32)), [7], [0, 1, 2])
    assert Evidence.parse(of_sale.encode()) == of_sale
    assert json.loads(of_sale.encode())["subject"] == {"sale": bytes(range(32)).hex()}
    assert evidence.subject_text == MERCHANT
    assert of_sale.subject_text == f"sale {bytes(range(32)).hex()}"


NAMES = st.text(
    st.characters(exclude_categories=["Cs", "Cc", "Zs", "Zl", "Zp"], exclude_characters="+"), min_size=1
)


@given(NAMES)
def test_any_name_there_and_back(log, name):
    signer = NoteSigner(name, signing_key("x")._key)
    note = SignedNote.sign(f"{name}\n1\nx\n", signer).encode()
    evidence = Evidence(TEA, (signer.vkey,), (), note, (ProvenLeaf(0, b"x", ()),), ())
    assert Evidence.parse(evidence.encode()) == evidence


@pytest.mark.skipif(shutil.which("node") is None, reason="needs node, which is not here")
def test_a_browser_spells_it_the_same(evidence):
    odd = "ledger.test/" + "福é🍵\u007f\u200f\u2060/\\\"'<&"
    signer = NoteSigner(odd, signing_key("x")._key)
    note = SignedNote.sign(f"{odd}\n1\nx\n", signer).encode()
    other = Evidence(TEA, (signer.vkey,), (), note, (ProvenLeaf(2**53 - 1, b"x", ()),), ())
    program = """
        const text = require("fs").readFileSync(0, "utf8");
        if (JSON.stringify(JSON.parse(text), null, 1) + "\\n" !== text) throw new Error("another spelling");
    """
    for one in (evidence, other):
        subprocess.run([shutil.which("node"), "-e", program], input=one.encode(), check=True)


def test_a_proof_alone(log, evidence):
    first = evidence.introductions[1]
    raw = evidence.tlog_proof(first).encode()
    lines = raw.decode().split("\n")
    said = json.loads(evidence.encode())["introductions"][1]
    # As docs/evidence.md §1 puts it together.
    assert raw.decode() == "\n".join(
        ["c2sp.org/tlog-proof@v1", f"index {said['index']}", *said["proof"], "", evidence.checkpoint.decode()]
    )
    assert lines[1] == "index 1"
    proof = TlogProof.parse(raw)
    verify_inclusion(leaf_hash(first.data), 1, 18, proof.hashes, log.checkpoint.root)


def test_all_leaves_in_the_order_of_the_log(evidence):
    assert [one.index for one in evidence.leaves()] == [0, 1, 2]


# Another spelling


@pytest.mark.parametrize(
    "respell",
    [
        lambda raw: raw[:-1],
        lambda raw: raw + b"\n",
        lambda raw: raw.replace(b"\n", b"\r\n"),
        lambda raw: json.dumps(json.loads(raw), ensure_ascii=False).encode(),
        lambda raw: json.dumps(json.loads(raw), indent=1).encode() + b"\n",
        lambda raw: raw.replace(b"ledger.test/city", b"ledger.test\\/city", 1),
        lambda raw: raw.replace(b'"index": 1,', b'"index": 1 ,'),
        lambda raw: raw.replace(b'"index": 0,', b'"index": -0,'),
    ],
    ids=["no newline", "two newlines", "returns", "one line", "ascii", "escape", "blank", "minus zero"],
)
def test_another_spelling(evidence, respell):
    assert refusal(respell(evidence.encode())) == (
        "evidence file: given another spelling of its content, expected that of JSON.stringify(…, null, 1)"
    )


def test_the_same_key_twice(evidence):
    raw = evidence.encode().replace(b' "origin"', b' "format": "suyuan-evidence/1",\n "origin"')
    assert refusal(raw) == "JSON: given the key format twice, expected each key once"


def test_another_order_of_keys(content):
    reordered = dict(reversed(content.items()))
    assert refusal(spelled(reordered)).startswith("keys of the evidence file: given introductions, entries, ")


def test_one_key_more_or_less(content):
    assert refusal(spelled(content | {"more": 1})).startswith("keys of the evidence file: given format, ")
    del content["witness_keys"]
    assert refusal(spelled(content)).startswith("keys of the evidence file: given format, ")


# Another content


@pytest.mark.parametrize(
    ("told", "given"),
    [
        ("suyuan-evidence/2", "suyuan-evidence/2"),
        ("tea", "none"),
        (1, "none"),
        ("suyuan-evidence/01", "none"),
    ],
)
def test_another_format(content, told, given):
    assert refusal(spelled(content | {"format": told, "new": 1})) == (
        f"format of the evidence file: given {given}, expected suyuan-evidence/1, which this version knows"
    )


@pytest.mark.parametrize("value", [[], "text", 7, None])
def test_what_is_no_file(value):
    assert refusal(spelled(value)) == (
        "format of the evidence file: given none, expected suyuan-evidence/1, which this version knows"
    )


def test_another_origin(content):
    assert refusal(spelled(content | {"origin": "ledger.test/town"})) == (
        "origin: given ledger.test/town, expected ledger.test/city, the name of the log_keys"
    )


@pytest.mark.parametrize(
    ("subject", "reason", "message"),
    [
        ({}, Reason.INVALID_REQUEST, "subject: given an object, expected an object with the one key chain or sale"),
        ("01/06901234567892", Reason.INVALID_REQUEST, "subject: given a text, "),
        ({"chain": "ledger", "sale": "0" * 64}, Reason.INVALID_REQUEST, "subject: given an object, "),
        ({"chain": 1}, Reason.INVALID_REQUEST, "chain of the subject: given a number, expected a text"),
        ({"chain": "01/06901234567893"}, Reason.BAD_CHAIN_KEY, ""),
        ({"chain": "01/6901234567892"}, Reason.BAD_CHAIN_KEY, "chain key: given 01/6901234567892, expected the "),
        ({"sale": "0" * 63}, Reason.INVALID_REQUEST, "sale of the subject: given 000"),
        ({"sale": "A" * 64}, Reason.INVALID_REQUEST, "sale of the subject: given AAA"),
        ({"sale": ["0"]}, Reason.INVALID_REQUEST, "sale of the subject: given a list, expected a text"),
    ],
)  # fmt: skip
def test_another_subject(content, subject, reason, message):
    assert refusal(spelled(content | {"subject": subject}), reason).startswith(message)


KEY = str(CITY_SIGNER.vkey)
WITNESS = str(WITNESSES["one"].vkey)


@pytest.mark.parametrize(
    ("name", "keys", "message"),
    [
        ("log_keys", [], "log_keys: given 0 keys, expected 1 to 16"),
        ("log_keys", KEY, "log_keys: given a text, expected a list"),
        ("log_keys", [KEY, KEY], "log_keys: given a key twice, expected each key once"),
        ("log_keys", [KEY] * 17, "log_keys: given 17 items, expected at most 16"),
        ("log_keys", [WITNESS], "type of one.test+"),
        ("log_keys", [KEY, str(NoteSigner("other.test", signing_key("o")._key).vkey)], "names of the log_keys: "),
        ("witness_keys", [KEY], "type of ledger.test/city+"),
        ("witness_keys", [WITNESS] * 101, "witness_keys: given 101 items, expected at most 100"),
        ("witness_keys", [7], "witness_keys: given a number, expected a text"),
    ],
)  # fmt: skip
def test_other_keys(content, name, keys, message):
    assert refusal(spelled(content | {name: keys})).startswith(message)


def test_a_key_that_is_none(content):
    assert refusal(spelled(content | {"log_keys": [KEY[:-4]]}), Reason.BAD_KEY).startswith("log_keys: ")


def test_a_checkpoint_that_is_no_note(content):
    assert refusal(spelled(content | {"checkpoint": "tea\n"}), Reason.BAD_NOTE).startswith("form of a note: ")
    assert refusal(spelled(content | {"checkpoint": "x" * 1_000_001})) == (
        "checkpoint: given 1000001 characters, expected at most 1000000"
    )


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"index": "0"}, "index of item 0 of introductions: given a text, expected an integer"),
        ({"index": True}, "index of item 0 of introductions: given true or false, expected an integer"),
        ({"index": -1}, "index of item 0 of introductions: given -1, expected 0 to 2**53 - 1"),
        ({"index": 2**53}, "index of item 0 of introductions: given 9007199254740992, expected 0 to 2**53 - 1"),
        ({"entry": ""}, "entry 0: given 0 bytes, expected 1 to 65535 bytes"),
        ({"entry": "AA"}, "entry of item 0 of introductions: given something else, expected canonical base64"),
        ({"entry": "AB=="}, "entry of item 0 of introductions: given something else, expected canonical base64"),
        ({"entry": "A" * 87_384}, "entry 0: given 65538 bytes, expected 1 to 65535 bytes"),
        ({"entry": "A" * 90_000}, "entry of item 0 of introductions: given 90000 characters, expected at most 87384"),
        ({"entry": None}, "entry of item 0 of introductions: given null, expected a text"),
        ({"proof": {}}, "proof of item 0 of introductions: given an object, expected a list"),
        ({"proof": ["AAAA"]}, "proof of entry 0: given a hash of another length, expected hashes of 32 bytes"),
        ({"proof": ["AAAA"] * 64}, "proof of item 0 of introductions: given 64 items, expected at most 63"),
        ({"flags": []}, "keys of item 0 of introductions: given index, entry, proof, flags, expected index, entry, "),
    ],
)  # fmt: skip
def test_an_entry_that_is_none(content, changed, message):
    content["introductions"][0] |= changed
    assert refusal(spelled(content)).startswith(message)


def test_entries_out_of_order(content):
    content["introductions"].reverse()
    assert refusal(spelled(content)) == "next index in introductions: given 0, expected more than 1"


def test_an_entry_twice(content):
    content["introductions"].insert(0, content["introductions"][0])
    assert refusal(spelled(content)) == "next index in introductions: given 0, expected more than 0"


def test_an_entry_among_both(content):
    content["introductions"] += content["entries"]
    assert refusal(spelled(content)) == (
        "entries and introductions: given entry 2 among both, expected each entry once"
    )


def test_no_entries(content):
    assert refusal(spelled(content | {"entries": []})) == (
        "entries and introductions: given 0 and 2, expected at least 1 entry, and at most 20000"
    )


def test_too_many_entries(evidence):
    many = tuple(ProvenLeaf(index, b"x", ()) for index in range(MAX_ENTRIES))
    replace(evidence, entries=many, introductions=())
    with pytest.raises(BadInput) as caught:
        replace(evidence, entries=many, introductions=(ProvenLeaf(MAX_ENTRIES, b"x", ()),))
    assert str(caught.value) == (
        "entries and introductions: given 20000 and 1, expected at least 1 entry, and at most 20000"
    )


def test_too_large(monkeypatch, evidence):
    assert (
        refusal(b" " * (MAX_BYTES + 1))
        == "evidence file: given 67108865 bytes, expected at most 67108864 bytes"
    )
    raw = evidence.encode()
    monkeypatch.setattr(evidence_module, "MAX_BYTES", len(raw))
    assert Evidence.parse(raw) == evidence
    monkeypatch.setattr(evidence_module, "MAX_BYTES", len(raw) - 1)
    assert refusal(raw).startswith("evidence file: given ")


def test_a_sale_of_another_length(evidence):
    with pytest.raises(BadInput) as caught:
        replace(evidence, subject=b"sale")
    assert str(caught.value) == "event id of the sale: given 4 bytes, expected 32 bytes"


def test_a_note_that_is_none(evidence):
    with pytest.raises(BrokenProof):
        replace(evidence, checkpoint=b"no note")


def test_a_parcel_is_a_subject_too(log):
    assert Evidence.parse(evidence_of(log, PARCEL, [9], [0]).encode()).entries == (leaf(log, 9),)
