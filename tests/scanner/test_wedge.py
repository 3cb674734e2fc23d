from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scanner.wedge import MAX_BYTES, Burst, Keystrokes, Kind, Setup

CODE = "6901234567892"
SCANNED = [Burst(Kind.SCANNED, CODE)]
TYPED = [Burst(Kind.TYPED, "")]


def strokes(setup, text, *, every_s, begin_s=0.0, keys=None):
    """What comes of a text whose characters arrive one by one, and when the last one did."""
    keys = keys or Keystrokes(setup)
    bursts, at_s = [], begin_s
    for number, byte in enumerate(text.encode()):
        at_s = begin_s + number * every_s
        bursts += keys.feed(bytes([byte]), at_s)
    return bursts, at_s


@pytest.mark.parametrize("ending", ["\r", "\n", "\t", "\r\n", "\n\r"])
def test_a_scanner_ends_its_code_with_a_key(ending):
    assert strokes(Setup(), CODE + ending, every_s=0.005)[0] == SCANNED


def test_what_comes_slowly_was_typed():
    assert strokes(Setup(), f"{CODE}\r", every_s=0.034)[0] == SCANNED
    assert strokes(Setup(), f"{CODE}\r", every_s=0.036)[0] == TYPED


def test_the_speed_of_typing_may_be_set():
    assert strokes(Setup(fastest_typing_s=0.1), f"{CODE}\r", every_s=0.09)[0] == SCANNED
    assert strokes(Setup(fastest_typing_s=None), f"{CODE}\r", every_s=1.5)[0] == SCANNED


def test_what_was_typed_is_never_repeated():
    for kind, text in strokes(Setup(), "hunter2\r", every_s=0.1)[0]:
        assert (kind, text) == (Kind.TYPED, "")


def test_a_few_keys_are_typed_however_fast():
    assert strokes(Setup(), "yy\r", every_s=0.001)[0] == TYPED
    assert strokes(Setup(), "yes\r", every_s=0.001)[0] == [Burst(Kind.SCANNED, "yes")]
    # Nobody types at no time at all.
    assert strokes(Setup(), "yy\r", every_s=0)[0] == [Burst(Kind.SCANNED, "yy")]


def test_enter_alone_is_nothing():
    assert strokes(Setup(), "\r\n\t", every_s=0.5)[0] == []


def test_a_link_that_falters_does_not_halve_a_code():
    keys = Keystrokes(Setup())
    first, at_s = strokes(None, CODE[:6], every_s=0.005, keys=keys)
    rest, _ = strokes(None, f"{CODE[6:]}\r", every_s=0.005, begin_s=at_s + 0.35, keys=keys)
    assert (first, rest) == ([], SCANNED)
    first, at_s = strokes(None, CODE[:5], every_s=0.005, keys=keys, begin_s=9)
    rest, _ = strokes(None, "8" * 8 + "\r", every_s=0.005, begin_s=at_s + 1.9, keys=keys)
    assert (first, rest) == ([], TYPED)


def test_what_was_typed_and_never_ended_is_forgotten():
    keys = Keystrokes(Setup())
    assert keys.feed(b"ab", 0.0) == []
    assert keys.waits_until_s == 2.0
    assert keys.idle(1.9) == []
    assert keys.idle(2.0) == TYPED
    assert keys.waits_until_s is None
    assert keys.idle(99.0) == []
    assert strokes(None, f"{CODE}\r", every_s=0.001, begin_s=100.0, keys=keys)[0] == SCANNED
    assert keys.feed(b"ab", 200.0) == []
    assert keys.feed(f"{CODE}\r".encode(), 300.0) == TYPED + SCANNED


def test_a_scan_right_behind_typing_is_lost_and_not_mixed_up():
    keys = Keystrokes(Setup())
    keys.feed(b"a", 0.0)
    keys.feed(b"b", 0.7)
    assert strokes(None, f"{CODE}\r", every_s=0.001, begin_s=1.0, keys=keys)[0] == TYPED


def test_bytes_that_arrive_together():
    assert Keystrokes(Setup()).feed(f"{CODE}\r\nSF1234567890123\r\n".encode(), 0.0) == [
        *SCANNED,
        Burst(Kind.SCANNED, "SF1234567890123"),
    ]


def test_a_suffix_of_its_own():
    setup = Setup(suffix="##")
    assert strokes(setup, f"{CODE}##", every_s=0.001)[0] == SCANNED
    assert strokes(setup, "12#34##", every_s=0.001)[0] == [Burst(Kind.SCANNED, "12#34")]
    # Then Enter is no end, and no code has it.
    assert strokes(setup, f"{CODE}\r##", every_s=0.001)[0] == [Burst(Kind.UNREADABLE, "")]


def test_without_a_suffix_a_pause_ends_a_code():
    keys = Keystrokes(Setup(suffix=""))
    bursts, at_s = strokes(None, CODE, every_s=0.005, keys=keys)
    assert bursts == []
    assert keys.waits_until_s == pytest.approx(at_s + 0.3)
    assert keys.idle(at_s + 0.2) == []
    assert keys.idle(at_s + 0.31) == SCANNED
    strokes(None, CODE, every_s=0.005, begin_s=5.0, keys=keys)
    assert keys.feed(b"9", 6.0) == SCANNED
    assert keys.end() == TYPED


def test_a_prefix_finds_a_code_behind_what_was_typed():
    setup = Setup(prefix="~~")
    keys = Keystrokes(setup)
    strokes(None, "abc", every_s=0.2, keys=keys)
    assert strokes(None, f"~~{CODE}\r", every_s=0.001, begin_s=1.0, keys=keys)[0] == SCANNED
    assert strokes(setup, f"~~{CODE}\r", every_s=0.2)[0] == TYPED
    assert strokes(setup, f"{CODE}\r", every_s=0.001)[0] == [Burst(Kind.UNMARKED, "")]
    assert strokes(setup, f"{CODE}\r", every_s=0.2)[0] == TYPED
    # What a broken link left of the code before it is not taken for a part of this one.
    assert strokes(setup, f"~~690123~~{CODE}\r", every_s=0.001)[0] == SCANNED


def test_controls_that_codes_have_and_others():
    element = "]C1010690123456789210A7\x1d21X"
    assert strokes(Setup(), f"{element}\r", every_s=0.001)[0] == [Burst(Kind.SCANNED, element)]
    assert strokes(Setup(), "茉莉花茶\r", every_s=0.001)[0] == [Burst(Kind.SCANNED, "茉莉花茶")]
    for bad in (b"690123\x00", b"\x1b[A", b"\xff\xfe\xfa", b"12\x7f34", "1234\u202e".encode()):
        assert Keystrokes(Setup()).feed(bad + b"\r", 0.0) == [Burst(Kind.UNREADABLE, "")]


@pytest.mark.parametrize("suffix", [None, "##", ""])
def test_what_never_ends_is_bounded(suffix):
    keys = Keystrokes(Setup(suffix=suffix))
    for number in range(40):
        assert keys.feed(b"7" * 1_000, number / 1_000) == []
        assert len(keys._held) <= MAX_BYTES
        assert len(keys._times) <= MAX_BYTES
    ended = keys.idle(60.0) if suffix == "" else keys.feed((suffix or "\r").encode(), 0.05)
    assert ended == [Burst(Kind.TOO_LONG, "")]
    assert keys.feed(f"{CODE}{'##' if suffix else chr(13)}".encode(), 70.0) == (
        [] if suffix == "" else SCANNED
    )


def test_the_longest_code_fits():
    text = "7" * MAX_BYTES
    assert Keystrokes(Setup()).feed(f"{text[1:]}\r".encode(), 0.0) == [Burst(Kind.SCANNED, text[1:])]


def test_the_end_of_input_ends_a_line():
    keys = Keystrokes(Setup())
    keys.feed(CODE.encode(), 0.0)
    assert keys.end() == SCANNED
    assert keys.end() == []


@given(
    st.lists(st.tuples(st.binary(max_size=20), st.floats(0, 3)), max_size=8),
    st.sampled_from([None, "", "##"]),
    st.sampled_from(["", "~"]),
)
def test_whatever_comes_something_sensible_is_told(chunks, suffix, prefix):
    keys, at_s = Keystrokes(Setup(prefix=prefix, suffix=suffix)), 0.0
    bursts = []
    for chunk, pause_s in chunks:
        at_s += pause_s
        bursts += keys.feed(chunk, at_s)
    bursts += keys.end()
    sent = b"".join(chunk for chunk, _ in chunks)
    for kind, text in bursts:
        assert (kind is Kind.SCANNED) or text == ""
        assert text.encode() in sent


@given(st.lists(st.from_regex(r"[!-~]{3,40}", fullmatch=True), min_size=1, max_size=4), st.data())
def test_scans_come_out_as_they_were_sent_however_they_are_cut(codes, data):
    sent = "".join(f"{code}\r" for code in codes).encode()
    cuts = sorted(data.draw(st.sets(st.integers(0, len(sent)), max_size=8)))
    keys, bursts = Keystrokes(Setup()), []
    for begin, end in zip([0, *cuts], [*cuts, len(sent)], strict=True):
        bursts += keys.feed(sent[begin:end], 1.0)
    assert bursts == [Burst(Kind.SCANNED, code) for code in codes]
