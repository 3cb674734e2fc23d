"""Bytes that nobody meant well with: valid ones spoiled in many ways, and ones made to cost much."""

from __future__ import annotations

from collections.abc import Sequence

from hypothesis import strategies as st

_PLACE = st.integers(0, 2**32 - 1)
_LENGTH = st.integers(1, 40)


@st.composite
def spoiled(draw: st.DrawFn, samples: Sequence[bytes]) -> bytes:
    """A sample with up to five places changed: bits flipped, bytes cut out, doubled, put in, or taken from another."""
    raw = bytearray(draw(st.sampled_from(samples)))
    for how, at, length, new in draw(
        st.lists(
            st.tuples(st.integers(0, 6), _PLACE, _LENGTH, st.binary(min_size=1, max_size=12)), max_size=5
        )
    ):
        start = at % (len(raw) + 1)
        piece = raw[start : start + length]
        if how == 0 and raw:
            raw[at % len(raw)] ^= 1 << length % 8
        elif how == 1:
            del raw[start:]
        elif how == 2:
            del raw[start : start + length]
        elif how == 3:
            raw[start:start] = piece * (length % 4 + 1)
        elif how == 4:
            raw[start:start] = new
        elif how == 5:
            raw[start : start + len(new)] = new
        else:
            other = draw(st.sampled_from(samples))
            raw[start : start + length] = other[at % (len(other) + 1) :][: length * 4]
    return bytes(raw)


def hostile(samples: Sequence[bytes]) -> st.SearchStrategy[bytes]:
    """Mostly spoiled samples; now and then bytes that were never valid."""
    return st.one_of(spoiled(samples), spoiled(samples), spoiled(samples), st.binary(max_size=300))


def _nested(levels: int) -> bytes:
    raw = b""
    for _ in range(levels):
        length, prefix = len(raw), bytearray(b"\x0a")
        while length > 0x7F:
            prefix.append(length & 0x7F | 0x80)
            length >>= 7
        prefix.append(length)
        raw = bytes(prefix) + raw
    return raw


BOMBS = {
    "nothing": b"",
    "zeros": bytes(1_000_000),
    "blanks": b" " * 1_000_000,
    "lines": b"\n" * 1_000_000,
    "dashes": "— a b\n".encode() * 100_000,
    "digits": b"9" * 1_000_000,
    "digit lines": b"1\n" * 300_000,
    "slashes": b"/" * 1_000_000,
    "percents": b"%" * 1_000_000,
    "escapes": b"%41" * 300_000,
    "brackets": b"(01)" * 200_000,
    "separators": b"]C1" + b"\x1d" * 1_000_000,
    "varints": b"\xff" * 1_000_000,
    "groups": b"\x0b" * 500_000,
    "groups that end": b"\x0b" * 50_000 + b"\x0c" * 50_000,
    "nested messages": _nested(20_000),
    "empty fields": b"\x1a\x00" * 500_000,
    "unknown fields": b"\xfa\x07\x00" * 300_000,
    "a length of 2 GiB": b"\x0a\xff\xff\xff\xff\x07" + b"x" * 1_000,
    "a length of 2**63": b"\x12" + b"\xff" * 9 + b"\x01" + b"x" * 1_000,
    "JSON lists": b"[" * 500_000,
    "JSON objects": b'{"a":' * 200_000,
    "JSON numbers": b"[" + b"1," * 300_000 + b"1]",
    "a JSON number": b"1" * 1_000_000 + b"\n",
    "a JSON exponent": b"1e999999999",
    "base64": b"A" * 1_000_000,
}
"""What costs a careless reader its time, its stack or its memory, by name; none is longer than a megabyte or so."""
