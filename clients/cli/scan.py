"""`suyuan scan`: what the barcodes on pictures say."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from clients.cli.commands import command
from clients.cli.output import print_error, redacted, shown
from clients.cli.scanning import Place, Scanning, scanning
from clients.cli.session import Local
from clients.cli.sources import follow
from clients.cli.status import Status
from ledger.errors import BadInput
from scanner.decode import decode_image
from scanner.identify import Finding, identify
from scanner.readers import zbar_note

app = typer.Typer(rich_markup_mode=None, add_completion=False)


@command(app, given=scanning, no_args_is_help=True)
def scan(
    session: Scanning,
    *,
    images: Annotated[
        list[Path] | None,
        typer.Argument(metavar="IMAGE", help="PNG, JPEG, WebP, BMP, GIF or TIFF files."),
    ] = None,
) -> None:
    r"""Read the barcodes on pictures, and say what each identifies.

    With --format json, one line for each symbol: `file`, `symbology`, `text`, `chain` (null if it is no identifier
    that is known), `readers`. Exit status 1 if a file had no symbol on it, 2 if one could not be read at all.

    The secret of a purchase token is not shown: give the picture to `suyuan consumer`. A check digit that holds does not prove that a code was read right: compare what is shown with what is printed.

    One of the other sources goes in place of pictures. Of a camera or video a code counts when two frames agree on it, and is told once. They go on until they end, or until SIGTERM or Ctrl-C; status 1 if nothing was read.

    Example:
      suyuan scan box.jpg label.png
      suyuan scan --format json *.jpg
      suyuan scan --camera 0 --again-after 5
      suyuan scan --watch /srv/belt --format json
      suyuan scan --serial /dev/ttyACM0 --suffix '\x03'
    """
    session.require_fitting(has_pictures=bool(images))
    note = zbar_note()
    if note is not None and not (session.wedge or session.serial):
        session.out.note(f"Note: {note}")
    raise typer.Exit(_read_pictures(session, images) if images else follow(session, _tell))


def _read_pictures(session: Scanning, images: list[Path]) -> Status:
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
            _tell(session, Place(str(path), str(path)), identify(symbol, carrier=session.carrier))
    return status


def _tell(session: Local, place: Place, finding: Finding) -> None:
    symbol = finding.symbol
    chain = finding.chain
    told = {
        "file": place.file,
        "symbology": str(symbol.symbology),
        "text": redacted(symbol.text),
        "chain": None if chain is None else str(chain),
        "readers": [str(reader) for reader in symbol.readers],
        **place.more,
    }
    meaning = chain or f"no identifier ({shown(str(finding.refusal))})"
    lines = [
        f"{shown(place.name)}: {symbol.symbology} {shown(symbol.text)}",
        f"  {meaning}",
        f"  read by {' and '.join(symbol.readers)}",
    ]
    session.out.result(told, lines)
