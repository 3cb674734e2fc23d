"""Answers of witnesses, read strictly."""

import pytest
from misbehaving import cosigner, ml_dsa_cosigner
from world import ORIGIN, signing_key

from ledger.checkpoint import Checkpoint, sign_checkpoint
from ledger.errors import BrokenProof, Reason
from ledger.note import NoteSigner, SignedNote
from server.witnessing.reply import read_cosignatures, read_size

LOG = NoteSigner(ORIGIN, signing_key("log")._key)
NOTE = SignedNote.parse(sign_checkpoint(Checkpoint(ORIGIN, 7, bytes(32)), LOG))
FIRST, SECOND = cosigner("first"), ml_dsa_cosigner("first")
OTHER = cosigner("other")
KEYS = [FIRST.vkey, SECOND.vkey]
TIME = 1_800_000_000


def lines(*cosigners, text=NOTE.text, time_s=TIME):
    return "".join(f"{one.cosign(text, time_s)}\n" for one in cosigners).encode()


@pytest.mark.parametrize(
    ("content_type", "body", "size"),
    [
        ("text/x.tlog.size", b"0\n", 0),
        ("text/x.tlog.size", b"20852163\n", 20852163),
        ("Text/X.Tlog.Size; charset=utf-8", b"7\n", 7),
        ("text/x.tlog.size", b"9223372036854775807\n", 2**63 - 1),
        ("text/plain", b"7\n", None),
        ("", b"7\n", None),
        ("text/x.tlog.sizes", b"7\n", None),
        ("text/x.tlog.size", b"7", None),
        ("text/x.tlog.size", b"7\r\n", None),
        ("text/x.tlog.size", b"7\n\n", None),
        ("text/x.tlog.size", b"07\n", None),
        ("text/x.tlog.size", b"+7\n", None),
        ("text/x.tlog.size", b"-7\n", None),
        ("text/x.tlog.size", b" 7\n", None),
        ("text/x.tlog.size", "٧\n".encode(), None),
        ("text/x.tlog.size", b"1" * 20 + b"\n", None),
        ("text/x.tlog.size", b"", None),
    ],
)
def test_the_size_that_a_409_tells(content_type, body, size):
    assert read_size(content_type, body) == size


def test_the_cosignatures_of_both_keys():
    found = read_cosignatures(lines(FIRST, SECOND), NOTE, KEYS)
    assert [(one.key, one.time_s) for one in found] == [(key, TIME) for key in KEYS]


def test_cosignatures_by_unknown_keys_are_ignored():
    assert [one.key for one in read_cosignatures(lines(OTHER, FIRST), NOTE, KEYS)] == [FIRST.vkey]
    with pytest.raises(BrokenProof) as caught:
        read_cosignatures(lines(OTHER), NOTE, KEYS)
    assert str(caught.value) == (
        f"answer of a witness: given 1 by other keys, expected one by {FIRST.vkey.label} or {SECOND.vkey.label}"
    )


def test_one_that_does_not_verify_spoils_the_others():
    elsewhere = NOTE.text.replace("\n7\n", "\n8\n")
    for cosigners in ([FIRST], [SECOND]):
        with pytest.raises(BrokenProof, match="given one that does not verify") as caught:
            read_cosignatures(lines(FIRST, SECOND) + lines(*cosigners, text=elsewhere), NOTE, KEYS)
        assert caught.value.reason is Reason.BAD_NOTE


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"\n",
        b"fine\n",
        lines(FIRST)[:-1],
        lines(FIRST) + b"\n",
        b"\n" + lines(FIRST),
        lines(FIRST).replace(b"\n", b"\r\n"),
        lines(FIRST).replace("—".encode(), b"-"),
        b"\xff" + lines(FIRST),
        lines(FIRST) * 101,
        NOTE.encode() + lines(FIRST),
    ],
)
def test_anything_else_is_no_answer(body):
    with pytest.raises(BrokenProof) as caught:
        read_cosignatures(body, NOTE, KEYS)
    assert caught.value.reason is Reason.BAD_NOTE


def test_flip_any_byte():
    body = lines(FIRST)
    for at in range(len(body)):
        flipped = bytearray(body)
        flipped[at] ^= 1
        with pytest.raises(BrokenProof):
            read_cosignatures(bytes(flipped), NOTE, KEYS)
