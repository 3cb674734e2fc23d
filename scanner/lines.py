"""Where keystrokes come from: standard input and serial lines.

A terminal hands out whole lines, long after their characters were typed; so while a scanner is listened to, it hands
out each character at once and shows none, and is put back as it was in the end. Ctrl-C works all the while, and
Ctrl-D ends the input. A pipe or file has no such manners: what arrives together counts as scanned.
"""

from __future__ import annotations

import io
import os
import select
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import IO, Any, Final, Protocol

import serial

from ledger.errors import BadInput, Reason
from scanner.wedge import Burst, Keystrokes, Setup

if sys.platform != "win32":
    import termios
    import tty

BAUD: Final = 9_600
"""What most scanners talk when they are new."""
MAX_BAUD: Final = 4_000_000

_CHUNK: Final = 4_096
_LOOK_S: Final = 0.1
"""How long a serial line is waited at before silence is looked at."""
_CTRL_D: Final = b"\x04"


class Line(Protocol):
    """Where bytes come from."""

    def read(self, wait_s: float | None) -> bytes | None:
        """What has arrived; nothing if nothing has in so many seconds (None: for ever); None at the end."""


def bursts(line: Line, setup: Setup, clock: Callable[[], float] = time.monotonic) -> Iterator[Burst]:
    """What comes from a line, as `scanner.wedge` tells it, until its end.

    Raises:
        BadInput: as `line.read` says.
    """
    keys = Keystrokes(setup)
    while True:
        until_s = keys.waits_until_s
        chunk = line.read(None if until_s is None else max(0.0, until_s - clock()))
        if chunk is None:
            yield from keys.end()
            return
        yield from keys.feed(chunk, clock()) if chunk else keys.idle(clock())


class _Keyboard:
    """Standard input."""

    def __init__(self, descriptor: int, *, is_terminal: bool) -> None:
        self._descriptor = descriptor
        self._is_terminal = is_terminal
        self._has_ended = False

    def read(self, wait_s: float | None) -> bytes | None:
        """As `Line`."""
        if self._has_ended:
            return None
        ready, _, _ = select.select([self._descriptor], [], [], wait_s)
        if not ready:
            return b""
        try:
            chunk = os.read(self._descriptor, _CHUNK)
        except OSError as error:
            raise _refusal("standard input", error.strerror or "an error", "what can be read") from error
        if self._is_terminal and _CTRL_D in chunk:
            self._has_ended = True
            chunk = chunk[: chunk.index(_CTRL_D)]
        return chunk or None


@contextmanager
def keyboard(stream: IO[Any]) -> Iterator[Line]:
    """Listen to standard input; a terminal shows nothing meanwhile.

    Raises:
        BadInput: `Reason.INVALID_REQUEST`: there is none; or it cannot be read, which `Line.read` tells.
    """
    try:
        descriptor = stream.fileno()
    except (io.UnsupportedOperation, ValueError):
        raise _refusal("standard input", "none", "a terminal, a pipe or a file") from None
    if sys.platform == "win32" or not os.isatty(descriptor):
        yield _Keyboard(descriptor, is_terminal=False)
        return
    before = termios.tcgetattr(descriptor)
    try:
        tty.setcbreak(descriptor)
        yield _Keyboard(descriptor, is_terminal=True)
    finally:
        # Drained, not flushed: what was scanned meanwhile is left for whoever reads next. A terminal may be gone.
        with suppress(termios.error):
            termios.tcsetattr(descriptor, termios.TCSADRAIN, before)


class _SerialLine:
    """A serial port."""

    def __init__(self, port: serial.Serial, name: str) -> None:
        self._port = port
        self._name = name

    def read(self, wait_s: float | None) -> bytes | None:  # noqa: ARG002 - it is looked at more often than anybody waits
        """As `Line`; it never ends."""
        try:
            first = self._port.read(1)
            return first + self._port.read(min(self._port.in_waiting, _CHUNK)) if first else b""
        except (OSError, TypeError) as error:
            # Of a port that was unplugged pyserial raises one or the other.
            raise _refusal(self._name, "a device that is gone", "a scanner that stays connected") from error


@contextmanager
def serial_line(port: str, baud: int) -> Iterator[Line]:
    """Listen to a serial port, such as `/dev/ttyACM0` or `COM3`: 8 data bits, no parity, one stop bit.

    It is ours alone meanwhile: two who listen would each get half of a code.

    Raises:
        BadInput: `Reason.INVALID_REQUEST`: there is no such device, it cannot be opened, or another process listens; or it
            vanishes, which `Line.read` tells.
    """
    name = f"serial line {port!r}"
    try:
        opened = serial.Serial(port, baud, timeout=_LOOK_S, exclusive=True)
    except (OSError, ValueError) as error:
        given = os.strerror(error.errno) if isinstance(error, OSError) and error.errno else "no serial device"
        raise _refusal(name, given, "a serial device that can be opened by this process alone") from error
    with opened:
        yield _SerialLine(opened, name)


def _refusal(name: str, given: str, expected: str) -> BadInput:
    return BadInput(Reason.INVALID_REQUEST, name, given=given, expected=expected)
