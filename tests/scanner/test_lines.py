from __future__ import annotations

import os
import pty
import termios
import threading
import tty
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from ledger.errors import BadInput, Reason
from scanner.lines import bursts, keyboard, serial_line
from scanner.wedge import Burst, Kind, Setup

CODE = "6901234567892"


@contextmanager
def terminal():
    """The two ends of a terminal: what the scanner writes to, and what we read from."""
    scanner, ours = pty.openpty()
    try:
        yield scanner, ours
    finally:
        for end in (scanner, ours):
            with suppress(OSError):
                os.close(end)


def refusal(attempt):
    with pytest.raises(BadInput) as caught:
        attempt()
    assert caught.value.reason is Reason.INVALID_REQUEST
    return str(caught.value)


def test_a_pipe_is_read_to_its_end():
    read, write = os.pipe()
    os.write(write, f"{CODE}\nSF1234567890123".encode())
    os.close(write)
    with os.fdopen(read) as stream, keyboard(stream) as line:
        assert list(bursts(line, Setup())) == [
            Burst(Kind.SCANNED, CODE),
            Burst(Kind.SCANNED, "SF1234567890123"),
        ]


def test_a_terminal_hands_out_each_character_and_shows_none():
    with terminal() as (scanner, ours), os.fdopen(ours, closefd=False) as stream:
        before = termios.tcgetattr(ours)
        with keyboard(stream) as line:
            assert not termios.tcgetattr(ours)[3] & (termios.ICANON | termios.ECHO)
            assert termios.tcgetattr(ours)[3] & termios.ISIG
            os.write(scanner, b"6")
            assert line.read(20) == b"6"
            assert line.read(0) == b""
            os.write(scanner, b"90\x04")
            assert (line.read(20), line.read(20)) == (b"90", None)
        assert termios.tcgetattr(ours) == before


def test_a_terminal_is_put_back_whatever_happens():
    with terminal() as (_, ours), os.fdopen(ours, closefd=False) as stream:
        before = termios.tcgetattr(ours)
        with pytest.raises(KeyboardInterrupt), keyboard(stream):
            raise KeyboardInterrupt
        assert termios.tcgetattr(ours) == before


def test_a_terminal_that_is_taken_away():
    with terminal() as (scanner, ours), os.fdopen(ours, closefd=False) as stream, keyboard(stream) as line:
        os.close(scanner)
        assert list(bursts(line, Setup())) == []


def test_standard_input_that_cannot_be_read(tmp_path):
    folder = os.open(tmp_path, os.O_RDONLY)
    with Path(os.devnull).open() as stream:
        os.dup2(folder, stream.fileno())
        os.close(folder)
        with keyboard(stream) as line:
            assert refusal(lambda: line.read(20)) == (
                "standard input: given Is a directory, expected what can be read"
            )


def test_no_standard_input(tmp_path):
    stream = (tmp_path / "closed").open("w+")
    stream.close()
    assert refusal(lambda: keyboard(stream).__enter__()) == (
        "standard input: given none, expected a terminal, a pipe or a file"
    )


def test_time_passes_while_nothing_comes():
    read, write = os.pipe()
    ticks = iter(range(100))
    with os.fdopen(read) as stream, os.fdopen(write, "wb", buffering=0) as sent, keyboard(stream) as line:
        sent.write(b"ab")
        found = bursts(line, Setup(), clock=lambda: float(next(ticks)))
        # By this clock two seconds pass at once.
        assert next(found) == Burst(Kind.TYPED, "")
        sent.write(f"{CODE}\r".encode())
        assert next(found) == Burst(Kind.SCANNED, CODE)


def test_a_serial_line_never_ends_and_vanishes():
    with terminal() as (scanner, ours):
        tty.setraw(ours)
        setup = Setup(prefix="\x02", suffix="\x03", fastest_typing_s=None)
        with serial_line(os.ttyname(ours), 115_200) as line:
            found = bursts(line, setup)
            os.write(scanner, f"\x02{CODE}\x03\x02SF12".encode())
            assert next(found) == Burst(Kind.SCANNED, CODE)
            os.write(scanner, b"34567890123\x03")
            assert next(found) == Burst(Kind.SCANNED, "SF1234567890123")
            assert line.read(None) == b""
            os.close(ours)
            os.close(scanner)
            assert refusal(lambda: next(found)) == (
                f"serial line {line._port.port!r}: given a device that is gone, "
                "expected a scanner that stays connected"
            )


def test_a_code_without_an_end_waits_for_silence():
    with terminal() as (scanner, ours):
        tty.setraw(ours)
        with serial_line(os.ttyname(ours), 9_600) as line:
            found = bursts(line, Setup(suffix="", fastest_typing_s=None))
            sender = threading.Thread(target=os.write, args=(scanner, CODE.encode()))
            sender.start()
            assert next(found) == Burst(Kind.SCANNED, CODE)
            sender.join()


def test_two_who_listen(tmp_path):
    with terminal() as (_, ours):
        name = os.ttyname(ours)
        with serial_line(name, 9_600):
            assert refusal(lambda: serial_line(name, 9_600).__enter__()) == (
                f"serial line {name!r}: given Resource temporarily unavailable, "
                "expected a serial device that can be opened by this process alone"
            )


@pytest.mark.parametrize(
    ("port", "given"),
    [("/dev/does-not-exist", "No such file or directory"), ("/dev/null", "no serial device")],
)
def test_what_is_no_serial_line(port, given):
    assert f"serial line {port!r}: given {given}, expected " in refusal(
        lambda: serial_line(port, 9_600).__enter__()
    )
