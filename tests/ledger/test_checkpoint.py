from __future__ import annotations

import base64
import json

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given, settings
from hypothesis import strategies as st

from ledger.checkpoint import Checkpoint, open_checkpoint, sign_checkpoint
from ledger.errors import BadInput, BrokenProof, LedgerError, Reason
from ledger.frontier import Frontier, RightEdge
from ledger.merkle import (
    EMPTY_ROOT,
    inclusion_proof,
    leaf_hash,
    root_of,
    verify_consistency,
    verify_inclusion,
)
from ledger.note import COSIGNATURE_ED25519, NoteSigner, SignedNote, VerifierKey
from ledger.tiles import TileId, TileNodes, bundles_of, decode_bundle, parse_path, tiles_of

ORIGIN = "example.com/behind-the-sofa"
ROOT = base64.b64decode("CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=")
BODY = f"{ORIGIN}\n20852163\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n"
CHECKPOINT = Checkpoint(ORIGIN, 20852163, ROOT)


def signer(name, seed):
    return NoteSigner(name, Ed25519PrivateKey.from_private_bytes(bytes([seed]) * 32))


LOG = signer(ORIGIN, 1)
NOTE = sign_checkpoint(CHECKPOINT, LOG)


# The text


def test_the_example_of_the_specification():
    assert Checkpoint.parse(BODY) == CHECKPOINT
    assert CHECKPOINT.text() == BODY


def test_extensions_are_kept():
    checkpoint = Checkpoint(ORIGIN, 1, ROOT, ("one", " two ", "— three"))
    assert checkpoint.text().endswith("\none\n two \n— three\n")
    assert Checkpoint.parse(checkpoint.text()) == checkpoint


def test_origins_need_not_be_key_names():
    for origin in ("go.sum database tree", "a+b", "日志", " "):
        checkpoint = Checkpoint(origin, 0, EMPTY_ROOT)
        assert Checkpoint.parse(checkpoint.text()) == checkpoint


lines = st.text(min_size=1).filter(lambda line: all(letter >= " " for letter in line))


@given(lines, st.integers(0, 2**63 - 1), st.binary(min_size=32, max_size=32), st.lists(lines, max_size=3))
def test_checkpoints_round_trip(origin, size, root, extensions):
    checkpoint = Checkpoint(origin, size, root, tuple(extensions))
    assert Checkpoint.parse(checkpoint.text()) == checkpoint


SIZE_ERROR = (
    "size of a checkpoint: given {!r}, expected decimal digits without leading zeros, less than 2**63"
)
ROOT_ERROR = "root of a checkpoint: given {!r}, expected canonical base64"
LINE_ERROR = "{} of a checkpoint: given {!r}, expected a line that is not empty, without control characters"


@pytest.mark.parametrize(
    "size", ["", "00", "007", "+1", "-5", "-0", " 1", "1 ", "1_0", "0x1", "1.0", "1e3", "１", "٣", "²"]
)
def test_sizes_in_another_spelling(size):
    text = BODY.replace("20852163", size)
    with pytest.raises(BrokenProof) as caught:
        Checkpoint.parse(text)
    assert str(caught.value) == SIZE_ERROR.format(size)
    assert caught.value.reason is Reason.BAD_CHECKPOINT


def test_the_largest_size():
    text = BODY.replace("20852163", str(2**63 - 1))
    assert Checkpoint.parse(text).size == 2**63 - 1
    for size, message in [
        (str(2**63), "size of a checkpoint: given 9223372036854775808, expected 0 to 2**63 - 1"),
        ("1" * 20, SIZE_ERROR.format("1" * 20)),
        ("9" * 100_000, SIZE_ERROR.format("9" * 64)),
    ]:
        with pytest.raises(BrokenProof) as caught:
            Checkpoint.parse(BODY.replace("20852163", size))
        assert str(caught.value) == message


@pytest.mark.parametrize(
    ("defect", "root"),
    [
        ("empty", ""),
        ("bits left over", "CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2J="),
        ("no padding", "CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I"),
        ("URL alphabet", "CsUYapGGPo4dkMgIAUqom_Xajj7h2fB2MPA3j2jxq2I="),
        ("trailing blank", "CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I= "),
        ("hexadecimal", "0" * 63),
    ],
)
def test_roots_in_another_spelling(defect, root):
    text = BODY.replace("CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=", root)
    expected = (
        "root of a checkpoint: given 0 bytes, expected 32 bytes" if not root else ROOT_ERROR.format(root)
    )
    with pytest.raises(BrokenProof) as caught:
        Checkpoint.parse(text)
    assert str(caught.value) == expected, defect
    assert caught.value.reason is Reason.BAD_CHECKPOINT


@pytest.mark.parametrize("size", [0, 3, 31, 33, 64])
def test_roots_of_another_length(size):
    text = f"{ORIGIN}\n1\n{base64.b64encode(bytes(size)).decode()}\n"
    with pytest.raises(BrokenProof) as caught:
        Checkpoint.parse(text)
    assert str(caught.value) == f"root of a checkpoint: given {size} bytes, expected 32 bytes"
    assert caught.value.reason is Reason.BAD_CHECKPOINT


@pytest.mark.parametrize(
    ("defect", "text"),
    [
        ("empty", ""),
        ("origin only", f"{ORIGIN}\n"),
        ("no root", f"{ORIGIN}\n1\n"),
        ("no newline at the end", BODY[:-1]),
        ("extension without a newline", f"{BODY}extension"),
    ],
)
def test_texts_of_another_form(defect, text):
    with pytest.raises(BrokenProof) as caught:
        Checkpoint.parse(text)
    expected = "expected lines of origin, size and root, each ending in a newline"
    assert str(caught.value) == f"form of a checkpoint: given {text[:64]!r}, {expected}", defect
    assert caught.value.reason is Reason.BAD_CHECKPOINT


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (BODY.replace(ORIGIN, ""), LINE_ERROR.format("origin", "")),
        (BODY.replace(ORIGIN, "a\tb"), LINE_ERROR.format("origin", "a\tb")),
        (BODY.replace(ORIGIN, f"{ORIGIN}\r"), LINE_ERROR.format("origin", f"{ORIGIN}\r")),
        (BODY.replace(ORIGIN, "\ud800"), LINE_ERROR.format("origin", "\ud800")),
        (f"{BODY}\n", LINE_ERROR.format("extension", "")),
        (f"{BODY}one\n\n", LINE_ERROR.format("extension", "")),
        (f"{BODY}\none\n", LINE_ERROR.format("extension", "")),
        (f"{BODY}a\x00b\n", LINE_ERROR.format("extension", "a\x00b")),
        (f"\n{BODY}", SIZE_ERROR.format(ORIGIN)),
    ],
)
def test_lines_that_cannot_be(text, message):
    with pytest.raises(BrokenProof) as caught:
        Checkpoint.parse(text)
    assert str(caught.value) == message
    assert caught.value.reason is Reason.BAD_CHECKPOINT


@pytest.mark.parametrize(
    "arguments",
    [
        ("", 1, ROOT),
        ("two\nlines", 1, ROOT),
        (ORIGIN, -1, ROOT),
        (ORIGIN, 2**63, ROOT),
        (ORIGIN, 1, ROOT[:-1]),
        (ORIGIN, 1, ROOT, ("",)),
        (ORIGIN, 1, ROOT, ("two\nlines",)),
    ],
)
def test_checkpoints_that_cannot_be_made(arguments):
    with pytest.raises(BrokenProof) as caught:
        Checkpoint(*arguments)
    assert caught.value.reason is Reason.BAD_CHECKPOINT


# The note


def test_sign_and_open():
    assert NOTE.startswith(BODY.encode() + b"\n\xe2\x80\x94 example.com/behind-the-sofa ")
    assert open_checkpoint(NOTE, ORIGIN, [LOG.vkey]) == CHECKPOINT


def test_while_a_log_changes_its_key_both_sign():
    new = signer(ORIGIN, 2)
    note = sign_checkpoint(CHECKPOINT, LOG, new)
    assert note.startswith(NOTE)
    for keys in ([LOG.vkey], [new.vkey], [new.vkey, LOG.vkey]):
        assert open_checkpoint(note, ORIGIN, keys) == CHECKPOINT
    with pytest.raises(BrokenProof, match=r"signer of a checkpoint: given 'example.com/elsewhere'"):
        sign_checkpoint(CHECKPOINT, LOG, signer("example.com/elsewhere", 1))


def test_keys_of_others_are_passed_over():
    witness = signer("example.com/witness", 2)
    others = [
        witness.vkey,
        VerifierKey.of("example.com/witness", witness.vkey.public_key, COSIGNATURE_ED25519),
        VerifierKey.of(ORIGIN, witness.vkey.public_key, COSIGNATURE_ED25519),
        VerifierKey.of(ORIGIN, witness.vkey.public_key),
    ]
    assert open_checkpoint(NOTE, ORIGIN, [*others, LOG.vkey]) == CHECKPOINT
    cosigned = SignedNote.parse(NOTE).with_signatures(witness.sign(BODY)).encode()
    assert open_checkpoint(cosigned, ORIGIN, [LOG.vkey]) == CHECKPOINT


@pytest.mark.parametrize("keys", [[], [signer("example.com/witness", 1).vkey]])
def test_opening_without_a_key_of_the_log(keys):
    with pytest.raises(BadInput) as caught:
        open_checkpoint(NOTE, ORIGIN, keys)
    assert str(caught.value) == (
        f"keys to verify checkpoints of {ORIGIN}: given none, expected an Ed25519 key of this name"
    )
    assert caught.value.reason is Reason.BAD_KEY


def test_checkpoint_signed_by_another_key():
    other = signer(ORIGIN, 2)
    with pytest.raises(BrokenProof) as caught:
        open_checkpoint(sign_checkpoint(CHECKPOINT, other), ORIGIN, [LOG.vkey])
    assert (
        str(caught.value)
        == f"signatures of the note: given 1 by unknown keys, expected one by {LOG.vkey.label}"
    )
    assert caught.value.reason is Reason.BAD_NOTE


def test_checkpoint_changed_after_signing():
    for old, new in [
        (b"20852163", b"20852164"),
        (b"CsUY", b"DsUY"),
        (b"sofa\n20", b"tofa\n20"),
        (b"=\n\n", b"=\nx\n\n"),
    ]:
        assert NOTE.count(old) == 1
        with pytest.raises(BrokenProof) as caught:
            open_checkpoint(NOTE.replace(old, new), ORIGIN, [LOG.vkey])
        expected = f"signature of the note by {LOG.vkey.label}: given one that does not verify"
        assert str(caught.value) == expected
        assert caught.value.reason is Reason.BAD_NOTE


def test_a_log_that_signs_for_another_origin():
    text = BODY.replace(ORIGIN, "example.com/elsewhere")
    with pytest.raises(BrokenProof) as caught:
        open_checkpoint(SignedNote.sign(text, LOG).encode(), ORIGIN, [LOG.vkey])
    assert str(caught.value) == (
        "origin of a checkpoint: given 'example.com/elsewhere', expected 'example.com/behind-the-sofa'"
    )
    assert caught.value.reason is Reason.BAD_CHECKPOINT
    with pytest.raises(BrokenProof) as caught:
        sign_checkpoint(CHECKPOINT, signer("example.com/elsewhere", 1))
    assert str(caught.value) == (
        "signer of a checkpoint: given 'example.com/elsewhere', expected 'example.com/behind-the-sofa'"
    )
    assert caught.value.reason is Reason.BAD_CHECKPOINT


def test_a_log_that_signs_something_else():
    with pytest.raises(BrokenProof, match="form of a checkpoint") as caught:
        open_checkpoint(SignedNote.sign("Hello.\n", LOG).encode(), ORIGIN, [LOG.vkey])
    assert caught.value.reason is Reason.BAD_CHECKPOINT


def test_the_empty_log_has_one_root():
    note = sign_checkpoint(Checkpoint(ORIGIN, 0, EMPTY_ROOT), LOG)
    assert open_checkpoint(note, ORIGIN, [LOG.vkey]).root == EMPTY_ROOT
    note = sign_checkpoint(Checkpoint(ORIGIN, 0, ROOT), LOG)
    with pytest.raises(BrokenProof) as caught:
        open_checkpoint(note, ORIGIN, [LOG.vkey])
    assert str(caught.value) == (
        f"root of a checkpoint of size 0: given {ROOT.hex()}, expected {EMPTY_ROOT.hex()}"
    )
    assert caught.value.reason is Reason.BAD_CHECKPOINT


def test_every_flipped_bit_breaks_the_checkpoint():
    for position in range(len(NOTE)):
        for bit in range(8):
            changed = NOTE[:position] + bytes([NOTE[position] ^ 1 << bit]) + NOTE[position + 1 :]
            with pytest.raises(BrokenProof):
                open_checkpoint(changed, ORIGIN, [LOG.vkey])


@settings(deadline=None)
@given(st.text() | st.from_regex(r"a\n[0-9]{1,20}\n[A-Za-z0-9+/]{43}=\n(b\n)?"))
def test_random_texts_are_refused_or_canonical(text):
    try:
        checkpoint = Checkpoint.parse(text)
    except LedgerError:
        pass
    else:
        assert checkpoint.text() == text
    note = f"{text}\n".encode("utf-8", "replace") + NOTE[NOTE.rindex(b"\n\n") + 2 :]
    with pytest.raises(BrokenProof):  # the signature is over another text
        open_checkpoint(note, ORIGIN, [LOG.vkey])


# A log made by others, read whole


@pytest.fixture(scope="module")
def demo(shared):
    return shared / "tlog/derived"


def test_demo_log_read_whole(demo):
    log = demo / "demo-log-300"
    key = VerifierKey.parse((demo / "demo-log-300.vkey").read_text())
    checkpoint = open_checkpoint((log / "checkpoint").read_bytes(), "ledger.example/trace-demo", [key])
    size, root = checkpoint.size, checkpoint.root
    assert size == 300
    assert sign_checkpoint(checkpoint, signer(checkpoint.origin, 1)).decode().startswith(checkpoint.text())

    entries = []
    for bundle in bundles_of(size):
        entries += decode_bundle((log / bundle.path()).read_bytes(), bundle.width)
    assert len(entries) == size
    leaves = [leaf_hash(entry) for entry in entries]
    assert root_of(leaves) == root

    completed = {}
    assert Frontier().extend(leaves, completed).root() == root
    edge, tiles = RightEdge().extend(completed)
    stored = {tile: (log / tile.path()).read_bytes() for tile in tiles_of(size)}
    assert {TileId(*name, len(tile) // 32): tile for name, tile in tiles.items()} == stored
    by_name = {(tile.level, tile.index): hashes for tile, hashes in stored.items()}
    assert RightEdge.read(size, lambda *name: by_name[name]) == edge

    nodes = TileNodes(lambda *name: by_name[name])
    for index, leaf in enumerate(leaves):
        verify_inclusion(leaf, index, size, inclusion_proof(index, size, nodes), root)

    files = {path.relative_to(log).as_posix() for path in log.rglob("*") if path.is_file()}
    named = {tile.path() for tile in [*tiles_of(size), *bundles_of(size)]}
    assert files == named | {"checkpoint"}
    assert {parse_path(path).path() for path in named} == named


def witness_answers(body, key, cosigned):
    """The status that C2SP tlog-witness asks for, and the checkpoint that is then cosigned."""
    request, note = body.split("\n\n", 1)
    old, *proof = request.split("\n")
    try:
        checkpoint = open_checkpoint(note.encode(), note.split("\n", 1)[0], [key])
    except BadInput:
        return 404, cosigned  # no key is known for the origin
    except BrokenProof as error:
        return {Reason.BAD_NOTE: 403}[error.reason], cosigned
    size = int(old.removeprefix("old "))
    if size > checkpoint.size:
        return 400, cosigned
    if size != cosigned.size:
        return 409, cosigned
    try:
        hashes = [base64.b64decode(line) for line in proof]
        verify_consistency(cosigned.size, cosigned.root, checkpoint.size, checkpoint.root, hashes)
    except BrokenProof as error:
        return {Reason.BAD_CONSISTENCY_PROOF: 422}[error.reason], cosigned
    return 200, checkpoint


def test_witness_cases(demo):
    transcript = json.loads((demo / "witness_add_checkpoint_cases.json").read_text())
    key = VerifierKey.parse(transcript["log_vkey"])
    leaves = [leaf_hash(f"e{number}".encode()) for number in range(5000)]
    cosigned = Checkpoint(key.name, 0, EMPTY_ROOT)
    seen = []
    for case in transcript["cases"]:
        status, cosigned = witness_answers(case["body"], key, cosigned)
        assert status == case["spec_status"], case["name"]
        assert cosigned.root == root_of(leaves[: cosigned.size])
        seen.append(status)
    assert sorted(set(seen)) == [200, 400, 403, 404, 409, 422]
