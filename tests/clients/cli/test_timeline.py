from __future__ import annotations

from dataclasses import replace

import pytest
from rich.cells import cell_len
from rich.console import Console
from world import CARRIER_MEMBER, MERCHANT, TEA, City

from clients.cli import history
from clients.cli.history import Record
from clients.cli.parties import PartyNames
from clients.cli.timeline import Timeline
from clients.cli.verifying import _notes
from clients.verify import VerifiedEntry
from ledger.checkpoint import Checkpoint
from ledger.entry import Entry
from ledger.envelope import Envelope
from ledger.merkle import leaf_hash
from suyuan.v1 import event_pb2 as pb
from suyuan.v1 import flags_pb2


def entry_of(envelope, *, index=7, signer=MERCHANT, flags=(), after_us=0):
    event = pb.Event.FromString(envelope.payload)
    data = Entry(0, b"", event.occurred_at.unix_us + after_us, envelope.raw).encode()
    entry = VerifiedEntry.open(index, data, flags, leaf_hash(data))
    return replace(entry, signer=signer, signature_verified=True)


def unknown():
    """An event that says something this version does not know."""
    city = City()
    event = pb.Event.FromString(city.listing().payload)
    event.ClearField("listing")
    # Field 99 of one byte.
    return Envelope.seal(event.SerializeToString() + bytes.fromhex("9a0601ff"), city.key(MERCHANT))


def drawn(*entries, width=80, subject=str(TEA), names=None):
    console = Console(width=width, record=True, file=None, force_terminal=False)
    with console.capture() as captured:
        console.print(Timeline(entries, subject, (names or {}).get))
    return captured.get().splitlines()


@pytest.fixture(autouse=True)
def _in_china(suyuan):
    """The fixture sets the local zone."""


def test_a_kind_unknown_to_this_version():
    assert drawn(entry_of(unknown()))[2] == "09:01:00 ● said something that this version does not know"


def test_a_drawing_that_goes_on_names_no_day_twice(monkeypatch):
    city = City()
    entries = [entry_of(city.listing(title=title), index=index) for index, title in enumerate("abc")]
    record = Record("x", str(TEA), entries, Checkpoint("ledger.test/city", 3, bytes(32)), "whole")

    def lines():
        console = Console(width=80, force_terminal=False)
        with console.capture() as captured:
            for part in history._drawing(record, PartyNames(None)):
                console.print(part)
        return captured.get().splitlines()

    monkeypatch.setattr(PartyNames, "of", lambda _self, _party: "")
    whole = lines()
    assert sum(line.startswith("2026-05-04") for line in whole) == 1
    monkeypatch.setattr(history, "_DRAWN_AT_ONCE", 2)
    assert lines() == whole


def test_a_party_without_a_name():
    assert f"         │ by {MERCHANT}" in drawn(entry_of(City().listing()))


def test_no_place():
    city = City()
    envelope = city.say(MERCHANT, TEA, pb.Recall(reason=pb.RECALL_REASON_DEFECT), region="")
    assert not [line for line in drawn(entry_of(envelope)) if " at " in line]


def test_a_global_location_number():
    city = City()
    envelope = city.say(
        MERCHANT, TEA, pb.Recall(reason=pb.RECALL_REASON_DEFECT), region="DE", gln="6901234567892"
    )
    assert "         │ at DE GLN 6901234567892" in drawn(entry_of(envelope))


def test_the_buyer():
    assert "         │ by the buyer" in drawn(entry_of(City().listing(), signer=""))


def test_recorded_late_and_flagged():
    flags = (flags_pb2.EVENT_FLAG_LATE, flags_pb2.EVENT_FLAG_OUT_OF_ORDER)
    lines = drawn(entry_of(City().listing(), flags=flags, after_us=7_200_000_000))
    assert lines[-4:-1] == [
        "         │ entry 7, 0 of its chain, signature verified",
        "         │ recorded 2026-05-04 11:01:00 +08:00",
        "         │ flagged late, out of order",
    ]


def test_a_signature_that_is_not_verified():
    lines = drawn(replace(entry_of(City().listing()), signature_verified=False))
    assert "         │ entry 7, 0 of its chain, SIGNATURE NOT VERIFIED" in lines


@pytest.mark.parametrize("width", [40, 80, 120, 200])
def test_wide_characters_stay_within_the_width(width):
    title = "茉莉花茶" * 16
    name = {CARRIER_MEMBER: "福州市鼓楼区顺丰速运有限公司东街口营业部 / k-0017"}
    entry = entry_of(City().listing(title=title), signer=CARRIER_MEMBER)
    lines = drawn(entry, width=width, names=name)
    assert max(map(cell_len, lines)) <= width
    body = [line[11:] for line in lines[2:]]
    assert title in "".join(body)
    assert all(line[9] in "●│" for line in lines[2:])


def test_days_are_told_once():
    city = City()
    lines = drawn(*(entry_of(city.listing()) for _ in range(3)))
    assert len([line for line in lines if line.startswith("2026-")]) == 1


def test_notes_of_what_is_unknown_and_flagged_often():
    late = (flags_pb2.EVENT_FLAG_LATE,)
    entries = [
        entry_of(unknown(), index=0),
        *(entry_of(City().listing(), index=i, flags=late) for i in range(1, 13)),
    ]
    record = Record("x", "x", entries, Checkpoint("a", 13, bytes(32)), "")
    assert _notes(record) == [
        "entry 0 says something that this version does not know",
        "flagged late: entry 1, 2, 3, 4, 5, 6, 7, 8, 9, 10 and 2 more",
    ]
