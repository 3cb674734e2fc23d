from __future__ import annotations

import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from world import ORIGIN, signing_key

from ledger.checkpoint import Checkpoint, sign_checkpoint
from ledger.contradiction import MAX_BYTES, REASONS, Contradiction, is_fork
from ledger.errors import BadInput, BrokenProof, Reason
from ledger.note import NoteSigner

SIGNER = NoteSigner(ORIGIN, signing_key("log")._key)
IMPOSTOR = NoteSigner(ORIGIN, signing_key("impostor")._key)
ONE, OTHER = Checkpoint(ORIGIN, 5, b"a" * 32), Checkpoint(ORIGIN, 5, b"b" * 32)
FOUND = Contradiction(
    ORIGIN,
    Reason.FORK,
    "root of the first 5 entries: 两个",
    1_790_000_000_000_000,
    (sign_checkpoint(ONE, SIGNER), sign_checkpoint(OTHER, SIGNER)),
)


def refused(raw: bytes) -> str:
    with pytest.raises(BadInput) as caught:
        Contradiction.parse(raw)
    assert caught.value.reason is Reason.INVALID_REQUEST
    return str(caught.value)


def test_it_is_read_as_it_was_written():
    assert Contradiction.parse(FOUND.encode()) == FOUND


@given(st.sampled_from(REASONS), st.text(st.characters(exclude_categories=["Cs"])), st.integers())
def test_whatever_was_found(reason, message, at_us):
    found = replace(FOUND, reason=reason, message=message, at_us=at_us)
    assert Contradiction.parse(found.encode()) == found


def test_the_fields_and_their_order():
    told = json.loads(FOUND.encode())
    assert list(told) == ["format", "origin", "reason", "message", "at_us", "checkpoints"]
    assert told["format"] == "suyuan-contradiction/1"
    assert told["checkpoints"][0].encode() == sign_checkpoint(ONE, SIGNER)


def test_the_log_has_signed_both():
    one, other = FOUND.verify([SIGNER.vkey])
    assert (one, other) == (ONE, OTHER)
    assert is_fork(one, other)
    assert not is_fork(one, one)
    assert not is_fork(one, replace(other, size=6))


def test_somebody_else_has_signed_one():
    forged = replace(FOUND, checkpoints=(FOUND.checkpoints[0], sign_checkpoint(OTHER, IMPOSTOR)))
    with pytest.raises(BrokenProof) as caught:
        forged.verify([SIGNER.vkey])
    assert caught.value.reason is Reason.BAD_NOTE


def test_of_another_log():
    other = NoteSigner("ledger.test/other", signing_key("other")._key)
    note = sign_checkpoint(Checkpoint("ledger.test/other", 5, b"b" * 32), other)
    mixed = replace(FOUND, checkpoints=(FOUND.checkpoints[0], note))
    with pytest.raises(BrokenProof):
        mixed.verify([SIGNER.vkey, other.vkey])


def altered(**fields) -> bytes:
    told = json.loads(FOUND.encode())
    told.update(fields)
    return (json.dumps(told, ensure_ascii=False, indent=2) + "\n").encode()


@pytest.mark.parametrize(
    "raw",
    [
        altered(format="suyuan-contradiction/2"),
        altered(reason="BAD_NOTE"),
        altered(reason="nonsense"),
        altered(reason=["FORK"]),
        altered(at_us="now"),
        altered(at_us=1.5),
        altered(at_us=True),
        altered(origin=None),
        altered(message={}),
        altered(checkpoints=[]),
        altered(checkpoints=["a"]),
        altered(checkpoints=["a", 3]),
        altered(checkpoints=None),
        b"[]\n",
        b'"suyuan-contradiction/1"\n',
        b"{}\n",
        b"null\n",
    ],
)
def test_another_file(raw):
    assert refused(raw) == "evidence of a contradiction: given another file, expected suyuan-contradiction/1"


@pytest.mark.parametrize("raw", [b"", b"{", b"\xff", b"[" * 100_000, FOUND.encode()[:-3]])
def test_no_json(raw):
    assert (
        refused(raw)
        == "evidence of a contradiction: given bytes that are no JSON, expected suyuan-contradiction/1"
    )


@pytest.mark.parametrize(
    "raw",
    [
        altered(more=1),
        altered(checkpoints="ab"),
        altered(checkpoints={"a": 1, "b": 2}),
        FOUND.encode().rstrip(),
        FOUND.encode() + b"\n",
        FOUND.encode().replace(b"  ", b" "),
        FOUND.encode().replace(b'{\n  "format"', b'{\n  "format": "x",\n  "format"'),
        json.dumps(json.loads(FOUND.encode())).encode(),
    ],
)
def test_another_spelling(raw):
    assert refused(raw).startswith("evidence of a contradiction: given another spelling of it, expected ")


def test_too_long():
    assert refused(b" " * (MAX_BYTES + 1)).endswith(f"expected at most {MAX_BYTES} bytes")


def test_surrogates_in_a_checkpoint():
    raw = FOUND.encode().replace(ORIGIN.encode() + b"\\n5", b"\\\\ud800\\n5".replace(b"\\\\", b"\\"))
    assert raw != FOUND.encode()
    assert refused(raw) == "evidence of a contradiction: given another file, expected suyuan-contradiction/1"
