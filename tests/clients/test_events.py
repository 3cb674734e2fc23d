from __future__ import annotations

import hashlib
from datetime import datetime, timedelta, timezone

import pytest

from clients.events import MAX_TEXT_BYTES, Circumstances, Commitment, evidence_of, write_event
from ledger.chain_key import ChainKey
from ledger.errors import BadInput
from suyuan.v1 import event_pb2 as pb

TEA = ChainKey("01/06901234567892")
AT = datetime(2026, 5, 4, 9, 30, tzinfo=timezone(timedelta(hours=8)))


def test_an_event_under_circumstances(tmp_path):
    (tmp_path / "a.jpg").write_bytes(b"photo")
    evidence = evidence_of(tmp_path / "a.jpg")
    circumstances = Circumstances(AT, "350102", "6901234567892", (evidence,))
    event = write_event(TEA, pb.Recall(reason=pb.RECALL_REASON_SAFETY), circumstances)
    assert event.occurred_at == AT
    assert event.occurred_at.utcoffset() == timedelta(hours=8)
    assert (event.message.place.region, event.message.place.gln) == ("350102", "6901234567892")
    assert list(event.message.evidence) == [
        pb.Evidence(sha256=hashlib.sha256(b"photo").digest(), media_type="image/jpeg")
    ]


def test_two_like_events_are_two():
    body = pb.Recall(reason=pb.RECALL_REASON_SAFETY)
    assert write_event(TEA, body, Circumstances(AT)).id != write_event(TEA, body, Circumstances(AT)).id


def test_evidence_of_any_name(tmp_path):
    (tmp_path / "报告").write_bytes(b"")
    assert evidence_of(tmp_path / "报告").media_type == "application/octet-stream"


@pytest.mark.parametrize("name", ["missing", "."])
def test_evidence_that_cannot_be_read(tmp_path, name):
    with pytest.raises(BadInput, match=r"evidence .*: given .*, expected a file that can be read"):
        evidence_of(tmp_path / name)


def test_a_commitment_hides_the_text_and_proves_it():
    one, two = Commitment.to("茶"), Commitment.to("茶")
    assert one.digest != two.digest
    assert len(one.salt) == 16
    assert one.digest == hashlib.sha256(one.salt + "茶".encode()).digest()


@pytest.mark.parametrize(
    ("text", "given"),
    [("", "0 bytes"), ("x" * (MAX_TEXT_BYTES + 1), "65537 bytes"), ("\ud800", "characters that are none")],
)
def test_texts_that_are_none(text, given):
    with pytest.raises(BadInput) as caught:
        Commitment.to(text)
    assert str(caught.value) == f"text: given {given}, expected 1 to 65536 bytes of UTF-8"


def test_the_longest_text():
    assert Commitment.to("x" * MAX_TEXT_BYTES).digest
