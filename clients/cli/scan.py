"""`suyuan scan`: what the barcodes on pictures say."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from typing import Annotated, Final

import typer

from clients.cli.commands import command
from clients.cli.given import local
from clients.cli.options import CarrierOption
from clients.cli.output import print_error, redacted, shown
from clients.cli.pictures import Pictures
from clients.cli.session import Local
from clients.cli.status import Status
from clients.pictures import Read, read_files
from clients.processes import processors
from scanner.identify import Finding, identify
from scanner.readers import zbar_note
from scanner.symbol import Confidence

app = typer.Typer(rich_markup_mode=None, add_completion=False)

_HOW_SURE: Final = {
    Confidence.AGREED: "agreed",
    Confidence.SINGLE: "single: no other reader sees it",
    Confidence.DISPUTED: "disputed: another reader says otherwise, so compare with what is printed",
}


@command(app, given=local)
def scan(
    session: Local,
    *,
    images: Annotated[
        list[Path],
        typer.Argument(
            metavar="FILE|FOLDER|GLOB",
            help="PNG, JPEG, WebP, BMP, GIF, TIFF, HEIC or PDF files; folders, with all that are in them; patterns.",
        ),
    ],
    jobs: Annotated[
        int | None,
        typer.Option(
            "--jobs",
            min=1,
            max=256,
            metavar="N",
            help="Processes that read many files; by default one for each processor.",
        ),
    ] = None,
    carrier: CarrierOption = None,
) -> None:
    """Read the barcodes on pictures, and say what each identifies.

    With --format json, one line for each symbol: `file`, `page` (of a TIFF or PDF, from 1), `symbology`, `text`, `chain` (null if it is no identifier that is known, or disputed), `confidence` (agreed, single, or disputed: readers differ, each text is a line, none is chosen), `readers`, `position` (four corners), `orientation` (degrees clockwise), `add_on`. Exit status 1 if a file had no symbol on it or a disputed one, 2 if one could not be read; the others are read all the same.

    In folders, hidden files and links to folders are left out. The secret of a purchase token is not shown: give the picture to `suyuan consumer`. A check digit that holds does not prove that a code was read right: compare what is shown with what is printed.

    Example:
      suyuan scan box.jpg label.pdf
      suyuan scan photos/ --jobs 4
      suyuan scan --format json "in/**/*.jpg"
    """
    note = zbar_note()
    if note is not None:
        session.out.note(f"Note: {note}")
    pictures = Pictures.named(images)
    for refusal in pictures.refusals:
        print_error(refusal)
    status = Status.USAGE if pictures.refusals else Status.OK
    chosen_carrier = carrier or session.settings.text("carrier")
    total = len(pictures.paths)
    with (
        session.out.progress("reading pictures") as progress,
        closing(read_files(pictures.paths, jobs or processors())) as files,
    ):
        for done, read in enumerate(files, start=1):
            status = max(status, _tell_file(session, read, chosen_carrier))
            progress(done, total)
    raise typer.Exit(status)


def _tell_file(session: Local, read: Read, carrier: str | None) -> Status:
    """Say what is on a file; returns the exit status that it calls for."""
    status = Status.OK
    for number, symbols in enumerate(read.pages, start=1):
        page = number if len(read.pages) > 1 else None
        for symbol in symbols:
            _tell(session, read.path, page, identify(symbol, carrier=carrier))
            if symbol.confidence is Confidence.DISPUTED:
                status = Status.NEGATIVE
    if read.refusal is not None:
        print_error(read.refusal)
        return Status.USAGE
    if not any(read.pages):
        session.out.note(f"{shown(read.path)}: no symbol found")
        status = Status.NEGATIVE
    return status


def _tell(session: Local, path: str, page: int | None, finding: Finding) -> None:
    symbol = finding.symbol
    disputed = symbol.confidence is Confidence.DISPUTED
    # Whoever takes the chain from here without a look at the confidence gets none that may be wrong.
    chain = None if disputed else finding.chain
    told = {
        "file": path,
        "page": page,
        "symbology": str(symbol.symbology),
        "text": redacted(symbol.text),
        "chain": None if chain is None else str(chain),
        "confidence": str(symbol.confidence),
        "readers": [str(reader) for reader in symbol.readers],
        "position": [[corner.x, corner.y] for corner in symbol.position],
        "orientation": symbol.orientation,
        "add_on": symbol.add_on,
    }
    if disputed:
        meaning = "no identifier (readers differ)"
    else:
        meaning = chain or f"no identifier ({shown(str(finding.refusal))})"
    where = shown(path) if page is None else f"{shown(path)}, page {page}"
    add_on = f" + {symbol.add_on}" if symbol.add_on else ""
    lines = [
        f"{where}: {symbol.symbology} {shown(symbol.text)}{add_on}",
        f"  {meaning}",
        f"  read by {' and '.join(symbol.readers)}, {_HOW_SURE[symbol.confidence]}",
    ]
    session.out.result(told, lines)
