"""`suyuan scan`: what the barcodes on pictures say."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from clients.cli.commands import command
from clients.cli.given import local
from clients.cli.options import CarrierOption
from clients.cli.output import print_error, redacted, shown
from clients.cli.session import Local
from clients.cli.status import Status
from ledger.errors import BadInput
from scanner.decode import decode_image
from scanner.identify import Finding, identify
from scanner.readers import zbar_note

app = typer.Typer(rich_markup_mode=None, add_completion=False)


@command(app, given=local)
def scan(
    session: Local,
    *,
    images: Annotated[
        list[Path], typer.Argument(metavar="IMAGE", help="PNG, JPEG, WebP, BMP, GIF or TIFF files.")
    ],
    carrier: CarrierOption = None,
) -> None:
    """Read the barcodes on pictures, and say what each identifies.

    With --format json, one line for each symbol: `file`, `symbology`, `text`, `chain` (null if it is no identifier
    that is known), `readers`. Exit status 1 if a file had no symbol on it, 2 if one could not be read at all.

    The secret of a purchase token is not shown: give the picture to `suyuan consumer`. A check digit that holds does not prove that a code was read right: compare what is shown with what is printed.

    Example:
      suyuan scan box.jpg label.png
      suyuan scan --format json *.jpg
    """
    note = zbar_note()
    if note is not None:
        session.out.note(f"Note: {note}")
    status = Status.OK
    for path in images:
        try:
            symbols = decode_image(path)
        except BadInput as error:
            print_error(error)
            status = Status.USAGE
            continue
        if not symbols:
            session.out.note(f"{shown(str(path))}: no symbol found")
            status = max(status, Status.NEGATIVE)
        for symbol in symbols:
            _tell(session, path, identify(symbol, carrier=carrier or session.settings.text("carrier")))
    raise typer.Exit(status)


def _tell(session: Local, path: Path, finding: Finding) -> None:
    symbol = finding.symbol
    chain = finding.chain
    told = {
        "file": str(path),
        "symbology": str(symbol.symbology),
        "text": redacted(symbol.text),
        "chain": None if chain is None else str(chain),
        "readers": [str(reader) for reader in symbol.readers],
    }
    meaning = chain or f"no identifier ({shown(str(finding.refusal))})"
    lines = [
        f"{shown(str(path))}: {symbol.symbology} {shown(symbol.text)}",
        f"  {meaning}",
        f"  read by {' and '.join(symbol.readers)}",
    ]
    session.out.result(told, lines)
