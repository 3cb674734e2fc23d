from __future__ import annotations

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given, settings
from hypothesis import strategies as st

from ledger.checkpoint import Checkpoint, open_checkpoint, sign_checkpoint
from ledger.errors import BrokenProof, LedgerError, Reason
from ledger.merkle import inclusion_proof, leaf_hash, root_of, verify_inclusion
from ledger.note import MAX_NOTE_SIZE, NoteSigner, encode_base64
from ledger.tlog_proof import HEADER, MAX_HASHES, TlogProof

ORIGIN = "example.com/fancylog"
LOG = NoteSigner(ORIGIN, Ed25519PrivateKey.from_private_bytes(b"l" * 32))
LEAVES = [leaf_hash(b"leaf %d" % number) for number in range(300)]


def node(level, index):
    return root_of(LEAVES[index << level : (index + 1) << level])


NOTE = sign_checkpoint(Checkpoint(ORIGIN, 300, root_of(LEAVES)), LOG)
PROOF = TlogProof(137, tuple(inclusion_proof(137, 300, node)), NOTE)
RAW = PROOF.encode()
FORM = f"{HEADER}, an index, hashes, an empty line, a checkpoint"


def refused(raw, reason=Reason.BAD_INCLUSION_PROOF):
    with pytest.raises(BrokenProof) as caught:
        TlogProof.parse(raw)
    assert caught.value.reason is reason
    return str(caught.value)


def with_lines(*lines):
    return "\n".join([*lines, "", ""]).encode() + NOTE


def verify(raw):
    """The steps of the specification, for leaf 137."""
    proof = TlogProof.parse(raw)
    checkpoint = open_checkpoint(proof.checkpoint, ORIGIN, [LOG.vkey])
    verify_inclusion(LEAVES[137], proof.index, checkpoint.size, proof.hashes, checkpoint.root)
    assert proof.index == 137


def test_the_form_of_the_specification():
    lines = [HEADER, "index 137", *map(encode_base64, PROOF.hashes)]
    assert with_lines(*lines) == RAW
    assert TlogProof.parse(RAW) == PROOF
    assert HEADER == "c2sp.org/tlog-proof@v1"
    verify(RAW)


def test_the_example_of_the_specification_but_for_its_elided_signatures(shared):
    page = (shared / "tlog/c2sp-specs/tlog-proof.md").read_text(encoding="utf-8")
    example = page.split("```\n")[1]
    head = example.partition("\n\n")[0]
    proof = TlogProof.parse(f"{head}\n\n".encode() + NOTE)
    assert (proof.index, len(proof.hashes)) == (73894, 5)
    assert proof.extra.startswith(b"age-v1.2.1-darwin-arm64.tar.gz")
    assert proof.encode() == f"{head}\n\n".encode() + NOTE


def test_extra_data():
    for extra in (b"", b"\0", "溯源".encode(), bytes(range(256))):
        proof = TlogProof(137, PROOF.hashes, NOTE, extra)
        assert proof.encode().startswith(f"{HEADER}\nextra {encode_base64(extra)}\nindex 137\n".encode())
        assert TlogProof.parse(proof.encode()) == proof
    assert PROOF.extra is None


def test_a_log_of_one_leaf():
    note = sign_checkpoint(Checkpoint(ORIGIN, 1, LEAVES[0]), LOG)
    raw = TlogProof(0, (), note).encode()
    assert raw == f"{HEADER}\nindex 0\n\n".encode() + note
    assert TlogProof.parse(raw).hashes == ()


@given(
    st.integers(0, 2**63 - 2),
    st.lists(st.binary(min_size=32, max_size=32), max_size=MAX_HASHES).map(tuple),
    st.none() | st.binary(max_size=100),
)
def test_proofs_round_trip(index, hashes, extra):
    proof = TlogProof(index, hashes, NOTE, extra)
    assert TlogProof.parse(proof.encode()) == proof


@pytest.mark.parametrize(
    "index", ["", "-1", "+1", "007", "00", "1.0", "1e3", "0x1", "１", "1 ", " 1", "1" * 20, "index 1"]
)
def test_indexes_in_another_spelling(index):
    message = refused(with_lines(HEADER, f"index {index}"))
    if index.isascii():
        assert message == (
            "index line of a tlog-proof: given something else, "
            "expected index <decimal digits without leading zeros>"
        )
    else:
        assert message.startswith("lines above the checkpoint of a tlog-proof: given byte 0x")


def test_the_largest_index():
    assert TlogProof.parse(with_lines(HEADER, f"index {2**63 - 2}")).index == 2**63 - 2
    assert refused(with_lines(HEADER, f"index {2**63 - 1}")) == (
        "index of a tlog-proof: given 9223372036854775807, expected 0 to 2**63 - 2"
    )


HASH = encode_base64(bytes(32))


@pytest.mark.parametrize(
    ("defect", "lines", "message"),
    [
        ("no header", ["index 1"], f"proof of a tlog-proof: given another text, expected {FORM}"),
        ("another version", [f"{HEADER[:-1]}2", "index 1"], f"proof of a tlog-proof: given another text, expected {FORM}"),
        ("no index", [HEADER], "index line of a tlog-proof: given something else, expected index"),
        ("extra after index", [HEADER, "index 1", "extra AAAA"], "inclusion proof of a tlog-proof: given 'extra AAAA', expected base64"),
        ("two extras", [HEADER, "extra AAAA", "extra AAAA", "index 1"], "index line of a tlog-proof: given something else"),
        ("bad extra", [HEADER, "extra AAA", "index 1"], "extra line of a tlog-proof: given something else, expected base64"),
        ("extra without a blank", [HEADER, "extraAAAA", "index 1"], "index line of a tlog-proof"),
        ("no base64", [HEADER, "index 1", "?"], "inclusion proof of a tlog-proof: given '?', expected base64"),
        ("bits left over", [HEADER, "index 1", f"{HASH[:-2]}B="], f"inclusion proof of a tlog-proof: given '{HASH[:-2]}B=', expected base64"),
        ("a short hash", [HEADER, "index 1", encode_base64(bytes(31))], "inclusion proof of a tlog-proof: given a hash of another length, expected hashes of 32 bytes"),
        ("a trailing blank", [HEADER, "index 1", f"{HASH} "], f"inclusion proof of a tlog-proof: given '{HASH} ', expected base64"),
        ("carriage returns", [f"{HEADER}\r", "index 1\r"], "proof of a tlog-proof: given another text"),
        ("too many hashes", [HEADER, "index 1", *[HASH] * 64], "inclusion proof of a tlog-proof: given 64 hashes, expected at most 63"),
    ],
)  # fmt: skip
def test_lines_above_the_checkpoint(defect, lines, message):
    assert refused(with_lines(*lines)).startswith(message), defect


def test_the_checkpoint_is_a_note():
    head = f"{HEADER}\nindex 1\n".encode()
    assert refused(head + b"\n" + NOTE[:-1], Reason.BAD_NOTE).startswith("form of a note")
    assert refused(head + b"\n", Reason.BAD_NOTE).startswith("form of a note")
    assert refused(head) == f"proof of a tlog-proof: given another text, expected {FORM}"
    assert refused(b"") == f"proof of a tlog-proof: given another text, expected {FORM}"
    with pytest.raises(BrokenProof):
        TlogProof(1, (), b"no note")


def test_bounds():
    assert refused(b"\n" * (2 * MAX_NOTE_SIZE + 1)) == (
        f"proof of a tlog-proof: given {2 * MAX_NOTE_SIZE + 1} bytes, expected at most {2 * MAX_NOTE_SIZE}"
    )
    for index in (-1, 2**63 - 1):
        with pytest.raises(BrokenProof):
            TlogProof(index, (), NOTE)


@given(st.integers(0, len(RAW) - 1), st.integers(1, 255))
@settings(max_examples=400)
def test_no_byte_can_be_changed_unnoticed(place, change):
    raw = RAW[:place] + bytes([RAW[place] ^ change]) + RAW[place + 1 :]
    with pytest.raises(LedgerError):
        verify(raw)


def test_nothing_can_be_cut_off():
    for end in range(len(RAW)):
        with pytest.raises(LedgerError):
            verify(RAW[:end])
