"""Results on standard output, everything else on standard error.

Results are either text for people or JSON for programs, one object a line: hashes and keys as hexadecimal digits, times
in UTC as ISO 8601, `null` where there is nothing.
"""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Protocol

import typer

from clients.cli.status import Status
from ledger.errors import BrokenProof, LedgerError, Reason

if TYPE_CHECKING:
    from rich.console import RenderableType


class Format(StrEnum):
    """How results are printed."""

    TEXT = "text"
    JSON = "json"


# Told by the command, asked for when an error has ended it.
_format: ContextVar[Format] = ContextVar("format", default=Format.TEXT)

# A parcel slip shows it beside the waybill number, so that whoever scans the one may come upon the other.
_TOKEN = re.compile(r"(suyuan-purchase-v[0-9]+:)[A-Za-z0-9_-]+")

# What a terminal would act upon instead of showing it, also reordering of what people read (Unicode TR 9).
_UNPRINTABLE = re.compile("[\x00-\x1f\x7f-\x9f\xad\u061c\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff]")


# Columns; no line is as long, as an event has at most 48 KiB.
_UNBROKEN = 1 << 16


class Progress(Protocol):
    """Is told how many are done, and how many there are."""

    def __call__(self, done: int, total: int) -> None:
        """Show it."""


class Output:
    """Prints results in one format."""

    def __init__(self, chosen: Format) -> None:
        self.format = chosen
        _format.set(chosen)

    @property
    def is_json(self) -> bool:
        """Whether programs read it."""
        return self.format is Format.JSON

    def result(self, record: Mapping[str, Any], lines: Iterable[str]) -> None:
        """Print a result: the record as a line of JSON, or the lines."""
        if self.is_json:
            encoding = (sys.stdout.encoding or "").lower().replace("-", "")
            text = json.dumps(record, ensure_ascii=encoding != "utf8")
            lines = (_UNPRINTABLE.sub(lambda match: f"\\u{ord(match[0]):04x}", text),)
        _write("".join(f"{line}\n" for line in lines))

    def drawing(
        self, record: Callable[[], Mapping[str, Any]], drawing: Callable[[], Iterable[RenderableType]]
    ) -> None:
        """Print a result that is drawn to the width of the terminal, one part after the other.

        Where there is no terminal, and nobody says how wide it should be (`COLUMNS`), no line is broken.
        """
        if self.is_json:
            self.result(record(), ())
            return
        from rich.console import Console  # noqa: PLC0415 - most commands draw nothing, and it takes long to load

        console = Console(highlight=False, emoji=False, markup=False)
        if not console.is_terminal and not os.environ.get("COLUMNS", "").isdigit():
            console.width = _UNBROKEN
        for part in drawing():
            with console.capture() as drawn:
                console.print(part)
            _write(drawn.get())

    def note(self, text: str) -> None:
        """Say something that is no result."""
        note(text)

    @contextmanager
    def progress(self, what: str) -> Iterator[Progress]:
        """A bar on standard error for long work; nothing where that is no terminal."""
        if not sys.stderr.isatty():
            yield lambda done, total: None  # noqa: ARG005 - nobody is watching
            return
        from rich.console import Console  # noqa: PLC0415 - as above
        from rich.progress import (  # noqa: PLC0415 - as above
            BarColumn,
            MofNCompleteColumn,
            TextColumn,
            TimeRemainingColumn,
        )
        from rich.progress import Progress as Bar  # noqa: PLC0415 - as above

        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
        with Bar(*columns, console=Console(stderr=True), transient=True) as bar:
            task = bar.add_task(what, total=None)
            yield lambda done, total: bar.update(task, completed=done, total=total)


def _write(text: str) -> None:
    try:
        sys.stdout.write(text)
        # Here and not at the end of the process, where nobody could say what went wrong.
        sys.stdout.flush()
    except BrokenPipeError:
        # What Python would still write when it ends goes nowhere.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise SystemExit(Status.PIPE_CLOSED) from None


def begin_with(chosen: Format) -> None:
    """Print errors like this until a command says otherwise."""
    _format.set(chosen)


def note(text: str) -> None:
    """Say something that is no result, on standard error."""
    print(text, file=sys.stderr, flush=True)


def print_error(error: LedgerError) -> None:
    """Say what went wrong, on standard error: for people, or as a line of JSON."""
    if _format.get() is Format.JSON:
        print(redacted(json.dumps({"error": error_record(error)})), file=sys.stderr)
    else:
        colour = None if os.environ.get("NO_COLOR") else typer.colors.RED
        typer.secho(f"Error: {shown(str(error))} [{error.reason}]", err=True, fg=colour)
        if isinstance(error, BrokenProof) and error.evidence:
            note(f"Evidence against the log was kept: {shown(error.evidence)}")


def print_failure(reason: Reason | None, message: str) -> bool:
    """Say what went wrong where that is no error of the ledger's: as a line of JSON, or not at all.

    Returns:
        whether it was printed; people are told in a way of their own.
    """
    if _format.get() is not Format.JSON:
        return False
    failure = {"reason": reason, "message": message, "subject": None, "given": None, "expected": None}
    print(redacted(json.dumps({"error": failure})), file=sys.stderr)
    return True


def error_record(error: LedgerError) -> dict[str, str | None]:
    """An error for programs."""
    return {
        "reason": str(error.reason),
        "message": str(error),
        "subject": error.subject,
        "given": error.given,
        "expected": error.expected,
        **({"evidence": error.evidence} if isinstance(error, BrokenProof) else {}),
    }


def shown(text: str) -> str:
    """A text from elsewhere, made safe to print on a terminal, and a purchase token in it made unusable."""
    text = redacted(text)
    return _UNPRINTABLE.sub(lambda match: match[0].encode("unicode_escape").decode("ascii"), text)


def redacted(text: str) -> str:
    """The same text with the secret taken out of any purchase token."""
    return _TOKEN.sub(r"\1…", text)


def utc_text(us: int) -> str:
    """Microseconds since 1970 as ISO 8601 in UTC: `2026-05-04T02:11:00.000000Z`."""
    at = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=us)
    return at.isoformat(timespec="microseconds").replace("+00:00", "Z")


def local_text(us: int) -> str:
    """Microseconds since 1970 in the local zone, to the second: `2026-05-04 10:11:00 +08:00`."""
    at = (datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=us)).astimezone()
    text = at.isoformat(sep=" ", timespec="seconds")
    return f"{text[:19]} {text[19:]}"
