"""`suyuan scan --wedge` and `--serial`: what hand scanners send."""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from clients.cli.output import redacted, shown
from clients.cli.scanning import Scanning, Tally, now_text
from ledger.barcode import read_barcode
from ledger.errors import BadInput, Reason
from scanner.lines import bursts, keyboard, serial_line
from scanner.wedge import MAX_BYTES, Kind

if TYPE_CHECKING:
    from scanner.lines import Line

PATIENCE: Final = 10
"""Bursts in a row that no scanner sends, after which it is no scanner that sends them."""

_REFUSED: Final = {
    Kind.UNMARKED: ("a code without the prefix that --prefix tells", "one with it"),
    Kind.UNREADABLE: ("bytes that are no text", "a code in ASCII or UTF-8"),
    Kind.TOO_LONG: (f"more than {MAX_BYTES} bytes without an end", "what --suffix tells after each code"),
}


def listen_to_keyboard(session: Scanning, tally: Tally) -> None:
    """Tell what comes from standard input, until its end.

    Raises:
        BadInput: it cannot be read, or is nothing that scanners send.
    """
    with keyboard(sys.stdin) as line:
        if sys.stdin.isatty():
            session.out.note("Scan now; what is typed is left out. Ctrl-D ends it.")
        _listen(session, line, "standard input", tally)


def listen_to_serial(session: Scanning, port: str, tally: Tally) -> None:
    """Tell what comes from a serial line, until enough was told.

    Raises:
        BadInput: it cannot be opened, vanished, or what comes is nothing that scanners send.
    """
    with serial_line(port, session.baud()) as line:
        session.out.note(f"Listening to {shown(port)}; Ctrl-C ends it.")
        _listen(session, line, f"serial line {port}", tally)


def _listen(session: Scanning, line: Line, name: str, tally: Tally) -> None:
    in_a_row = 0
    for kind, text in bursts(line, session.setup()):
        if kind is Kind.SCANNED:
            in_a_row = 0
            _tell(session, name, text)
            tally.told += 1
            if tally.is_enough:
                return
        elif kind is Kind.TYPED:
            session.out.note("Typed, not scanned: left out")
        else:
            in_a_row += 1
            given, expected = _REFUSED[kind]
            tally.fail(BadInput(Reason.INVALID_REQUEST, name, given=given, expected=expected))
            if in_a_row == PATIENCE:
                raise BadInput(
                    Reason.INVALID_REQUEST,
                    name,
                    given=f"{PATIENCE} times in a row what no scanner sends",
                    expected="a scanner, at its --baud where it is a serial line, and set up as --prefix and --suffix tell",
                )


def _tell(session: Scanning, name: str, text: str) -> None:
    try:
        reading = read_barcode(text, carrier=session.carrier, year=datetime.now(UTC).year)
    except BadInput as refusal:
        chain, meaning = None, f"no identifier ({shown(str(refusal))})"
    else:
        chain, meaning = str(reading.chain), str(reading.chain)
    told = {
        "file": None,
        "page": None,
        "symbology": None,
        "text": redacted(text),
        "chain": chain,
        "confidence": "single",
        "readers": ["scanner"],
        "position": None,
        "orientation": None,
        "add_on": None,
        "source": name,
        "at": now_text(),
        "offset_s": None,
    }
    session.out.result(told, [f"{shown(name)}: {shown(text)}", f"  {meaning}"])
