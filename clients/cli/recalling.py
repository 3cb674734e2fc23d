"""Recalls (召回), by merchants and regulators alike."""

from __future__ import annotations

from typing import Annotated

from clients.cli.codes import is_product, read_subject
from clients.cli.forms import number
from clients.cli.options import word_option
from clients.cli.recording import Draft, record
from clients.cli.session import Signing
from clients.cli.words import RecallReason
from clients.events import Commitment
from suyuan.v1 import event_pb2 as pb

RecallReasonOption = Annotated[
    RecallReason, word_option("--reason", RecallReason, "Why the goods are called back")
]


def recall(session: Signing, barcode: str, reason: RecallReason, words: Commitment | None) -> None:
    """Record a recall of a product or a lot."""
    subject = read_subject(barcode, is_product)
    session.confirm([subject])
    body = pb.Recall(reason=number(reason), text_commitment=words.digest if words else b"")
    record(session, [Draft.write(session, f"recall, {reason}", subject.chain, body, words)])
