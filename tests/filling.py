"""Filling a log through its writer, without a service."""

from __future__ import annotations

from world import COURIER, PARCEL, START_US, City

from ledger.chain_key import ChainKey
from ledger.envelope import Envelope
from ledger.sequence import Sequenced, Submission
from server.writer import Writer
from suyuan.v1 import event_pb2 as pb

NOW = START_US + 30 * 24 * 3_600_000_000
"""When everything is recorded: long after it happened."""


def record(writer: Writer, *envelopes: Envelope) -> list[int]:
    """Record all of these in one batch; returns where they are."""
    verdicts = writer.write([Submission.read(envelope.raw) for envelope in envelopes], NOW).batch.verdicts
    indexes = [verdict.recorded.index for verdict in verdicts if isinstance(verdict, Sequenced)]
    assert len(indexes) == len(envelopes), verdicts
    return indexes


def long_scan(city: City, parcel: ChainKey = PARCEL) -> Envelope:
    """A step of the way with so many pictures that the event is 33 KiB long."""
    picture = pb.Evidence(sha256=bytes(32), media_type="image/jpeg", uri="https://p.test/" + "a" * 980)
    return city.scan(pb.SHIPMENT_STAGE_IN_TRANSIT, parcel, by=COURIER, evidence=[picture] * 32)
