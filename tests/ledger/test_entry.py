from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from world import City, Log, respellings, wire

from ledger.entry import MAX_ENTRY_BYTES, Entry
from ledger.envelope import MAX_ENVELOPE_BYTES
from ledger.errors import BrokenProof, Reason
from ledger.event import moment
from ledger.form import LAST_US
from suyuan.v1 import entry_pb2

HASH = bytes(range(32))
FIRST = Entry(0, b"", 1_777_856_400_000_000, b"envelope")
LATER = Entry(300, HASH, 1_777_856_400_000_000, b"envelope")
RESPELLED = {
    f"{name}, {place} entry": raw
    for place, entry in (("first", FIRST), ("later", LATER))
    for name, raw in respellings(entry_pb2.Entry.FromString(entry.encode())).items()
}
OTHER_ENCODING = "entry: given another encoding of it, or unknown fields, expected the canonical encoding"
NO_MESSAGE = "entry: given bytes that are no protobuf message, expected a serialised suyuan.v1.Entry"


def refusal_of(raw):
    with pytest.raises(BrokenProof) as refused:
        Entry.parse(raw)
    assert refused.value.reason is Reason.BAD_ENTRY
    return str(refused.value)


def test_the_bytes_of_an_entry():
    assert FIRST.encode() == wire(3, FIRST.recorded_at_us) + wire(4, b"envelope")
    assert LATER.encode() == wire(1, 300) + wire(2, HASH) + wire(3, LATER.recorded_at_us) + wire(
        4, b"envelope"
    )


@given(st.integers(1, 2**64 - 1), st.binary(min_size=32, max_size=32), st.integers(1, LAST_US), st.binary())
def test_an_entry_comes_back_from_its_bytes(chain_seq, previous, recorded_at_us, envelope):
    entry = Entry(chain_seq, previous, recorded_at_us, envelope)
    assert Entry.parse(entry.encode()) == entry
    moment(entry.recorded_at_us)


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        (b"\x0a", NO_MESSAGE),
        (b"\xff" * 20, NO_MESSAGE),
        (FIRST.encode() + wire(5, 1), OTHER_ENCODING),
        (FIRST.encode() + wire(99, b"more"), OTHER_ENCODING),
        (b"", f"entry: given recorded_at 0 µs, expected 1 to {LAST_US} µs"),
        (Entry(0, b"", 0, b"x").encode(), f"entry: given recorded_at 0 µs, expected 1 to {LAST_US} µs"),
        (Entry(0, b"", -1, b"x").encode(), f"entry: given recorded_at -1 µs, expected 1 to {LAST_US} µs"),
        (
            Entry(0, b"", LAST_US + 1, b"x").encode(),
            f"entry: given recorded_at {LAST_US + 1} µs, expected 1 to {LAST_US} µs",
        ),
        (
            Entry(0, HASH, 1, b"x").encode(),
            "entry: given chain_seq 0 after a hash of 32 bytes, expected no hash at chain_seq 0, 32 bytes at any other",
        ),
        (
            Entry(1, b"", 1, b"x").encode(),
            "entry: given chain_seq 1 after a hash of 0 bytes, expected no hash at chain_seq 0, 32 bytes at any other",
        ),
        (
            Entry(7, HASH[1:], 1, b"x").encode(),
            "entry: given chain_seq 7 after a hash of 31 bytes, expected no hash at chain_seq 0, 32 bytes at any other",
        ),
    ],
)
def test_malformed(raw, message):
    assert refusal_of(raw) == message


@pytest.mark.parametrize("name", RESPELLED)
def test_every_other_encoding_of_an_entry_is_refused(name):
    assert refusal_of(RESPELLED[name]) == OTHER_ENCODING


@given(st.binary(max_size=200))
def test_random_bytes_are_no_entry(junk):
    refusal_of(junk)


def test_an_entry_of_the_longest_envelope_is_not_too_long():
    entry = Entry(2**64 - 1, HASH, LAST_US, bytes(MAX_ENVELOPE_BYTES))
    assert len(entry.encode()) <= MAX_ENTRY_BYTES


def test_entries_of_a_log_are_read_again():
    city, log = City(), Log()
    log.append(*city.founding(), *city.life())
    for sequenced in log.entries:
        assert Entry.parse(sequenced.data) == sequenced.entry
        assert sequenced.entry.encode() == sequenced.data
