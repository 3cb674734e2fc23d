"""`suyuan identify`: what texts mean that a scanner sent or somebody typed."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from dataclasses import asdict
from datetime import date, datetime
from decimal import Decimal
from typing import Annotated, Any, Final

import typer

from clients.cli.commands import command
from clients.cli.given import local
from clients.cli.options import CarrierOption
from clients.cli.output import redacted, shown
from clients.cli.session import Local
from clients.cli.status import Status
from clients.purchase_token import PREFIX
from ledger.barcode import MAX_CHARACTERS, Attributes, Reading, read_barcode
from ledger.errors import BadInput, Reason

app = typer.Typer(rich_markup_mode=None, add_completion=False)

_STDIN: Final = "-"
_NAMES: Final = {"net_weight": "net_weight_kg", "gross_weight": "gross_weight_kg"}


@command(app, given=local)
def identify(
    session: Local,
    *,
    texts: Annotated[
        list[str],
        typer.Argument(
            metavar="TEXT",
            help="What a scanner sent or somebody typed; - reads standard input, a text a line.",
        ),
    ],
    carrier: CarrierOption = None,
) -> None:
    """Say what a text identifies, and what else it says: lot, serial number, dates, weight.

    Digits, GS1 element strings with their symbology identifier (]C1, ]d2 …) and FNC1 as the character GS, the same in brackets, GS1 Digital Links, chain keys, waybill numbers. What can mean several things is not guessed: the candidates are named, each spelled so that it can be given back.

    With --format json, one line for each text: `text`, `chain`, `kind`, `attributes`, and where there is no chain `refused` and `candidates`. Exit status 1 if a text named nothing, or several things.

    Example:
      suyuan identify 6901234567892
      suyuan identify "(01)06901234567892(10)A7(17)271231"
      suyuan identify --format json - < scanned.txt
    """
    carrier = carrier or session.settings.text("carrier")
    status = Status.OK
    for text in _given(texts):
        try:
            # Dates have two digits of their year: the century is that of whoever reads them.
            reading = read_barcode(text, carrier=carrier, year=datetime.now().astimezone().year)
        except BadInput as refusal:
            status = Status.NEGATIVE
            _tell_refusal(session, text, refusal)
        else:
            _tell(session, text, reading)
    raise typer.Exit(status)


def attributes_record(attributes: Attributes) -> dict[str, str | None]:
    """What a code says beside its chain, for programs: dates as ISO 8601, weights in kilograms."""
    return {_NAMES.get(name, name): _told(value) for name, value in asdict(attributes).items()}


def attributes_lines(attributes: Attributes) -> list[str]:
    """The same for people, without what it is silent about."""
    told = attributes_record(attributes)
    return [f"{name.replace('_', ' ')}: {value}" for name, value in told.items() if value is not None]


def _given(texts: Iterable[str]) -> Iterator[str]:
    for text in texts:
        if text == _STDIN:
            yield from _lines()
        elif text.startswith(PREFIX):
            raise BadInput(
                Reason.INVALID_REQUEST,
                "text to identify",
                given="a purchase token, which is a secret and has no place in arguments",
                expected="what is no secret",
            )
        else:
            yield text


def _lines() -> Iterator[str]:
    """The lines of standard input, empty ones aside; none is held that is much longer than any code."""
    longest = 4 * MAX_CHARACTERS
    while line := sys.stdin.buffer.readline(longest):
        whole = line.endswith(b"\n")
        while not whole and (rest := sys.stdin.buffer.readline(longest)):
            # Too long to be a code already; the rest of it is no text of its own.
            whole = rest.endswith(b"\n")
        text = line.decode("utf-8", "surrogateescape").rstrip("\r\n")
        if text:
            yield text


def _tell(session: Local, text: str, reading: Reading) -> None:
    record = {
        **_record(text),
        "chain": str(reading.chain),
        "kind": str(reading.chain.kind),
        "attributes": attributes_record(reading.attributes),
    }
    lines = [shown(text), reading.chain, *attributes_lines(reading.attributes)]
    session.out.result(record, _indented(lines))


def _tell_refusal(session: Local, text: str, refusal: BadInput) -> None:
    refused = {"reason": str(refusal.reason), "message": redacted(str(refusal))}
    candidates = [redacted(candidate) for candidate in refusal.candidates]
    if refusal.reason is Reason.AMBIGUOUS_CODE:
        lines = [shown(text), f"{refusal.subject}, one of:", *(f"  {shown(one)}" for one in candidates)]
    else:
        lines = [shown(text), f"no identifier ({shown(str(refusal))})"]
    session.out.result({**_record(text), "refused": refused, "candidates": candidates}, _indented(lines))


def _record(text: str) -> dict[str, Any]:
    return {
        "text": redacted(text),
        "chain": None,
        "kind": None,
        "attributes": None,
        "refused": None,
        "candidates": [],
    }


def _indented(lines: list[str]) -> list[str]:
    first, *rest = lines
    return [first, *(f"  {line}" for line in rest)]


def _told(value: str | date | Decimal | None) -> str | None:
    if value is None:
        return None
    return value.isoformat() if isinstance(value, date) else str(value)
