"""A leaf of the log, which is also a link of one chain.

The bytes of an entry are the protobuf fields of `suyuan.v1.Entry` in ascending order (docs/format.md §6): the place in
its chain, the hash of the chain's entry before, when it was recorded, and the envelope as it came. Its hash is the
RFC 6962 leaf hash, SHA-256(0x00 ‖ bytes), so the link of the chain and the leaf of the tree are one and the same.
"""

from __future__ import annotations

from google.protobuf.message import DecodeError

from ledger.errors import BrokenProof, Reason
from ledger.form import LAST_US
from ledger.value import value
from suyuan.v1 import entry_pb2

MAX_ENTRY_BYTES = 65_535
"""A C2SP entry bundle gives an entry's length in 16 bits."""


@value(frozen=True, slots=True)
class Entry:
    """One recorded event with its place in its chain."""

    chain_seq: int
    """0, 1, 2, … along the chain."""
    previous: bytes
    """Leaf hash of the chain's entry before, 32 bytes; empty at 0."""
    recorded_at_us: int
    """Microseconds since 1970-01-01T00:00:00Z; never decreases along the log."""
    envelope: bytes
    """The serialised `suyuan.v1.Envelope`."""

    @classmethod
    def parse(cls, raw: bytes) -> Entry:
        """Read an entry's bytes.

        Raises:
            BrokenProof: `BAD_ENTRY` if they are not the one encoding of an entry.
        """
        try:
            message = entry_pb2.Entry.FromString(raw)
        except DecodeError:
            raise _bad("bytes that are no protobuf message", "a serialised suyuan.v1.Entry") from None
        entry = cls(message.chain_seq, message.previous, message.recorded_at_us, message.envelope)
        message.DiscardUnknownFields()
        if message.SerializeToString() != raw:
            raise _bad("another encoding of it, or unknown fields", "the canonical encoding")
        if not 1 <= entry.recorded_at_us <= LAST_US:
            raise _bad(f"recorded_at {entry.recorded_at_us} µs", f"1 to {LAST_US} µs")
        if len(entry.previous) != (32 if entry.chain_seq else 0):
            raise _bad(
                f"chain_seq {entry.chain_seq} after a hash of {len(entry.previous)} bytes",
                "no hash at chain_seq 0, 32 bytes at any other",
            )
        return entry

    def encode(self) -> bytes:
        """The entry's bytes: the leaf of the log."""
        return entry_pb2.Entry(
            chain_seq=self.chain_seq,
            previous=self.previous,
            recorded_at_us=self.recorded_at_us,
            envelope=self.envelope,
        ).SerializeToString()


def _bad(given: str, expected: str) -> BrokenProof:
    return BrokenProof(Reason.BAD_ENTRY, "entry", given=given, expected=expected)
