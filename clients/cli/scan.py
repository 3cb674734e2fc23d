"""`suyuan scan`: what the barcodes on pictures say."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from typing import Annotated, Final

import typer

from clients.cli.commands import command
from clients.cli.output import print_error, redacted, shown
from clients.cli.pictures import Pictures
from clients.cli.scanning import Place, Scanning, scanning
from clients.cli.session import Local
from clients.cli.sources import follow
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


@command(app, given=scanning, no_args_is_help=True)
def scan(
    session: Scanning,
    *,
    images: Annotated[
        list[Path] | None,
        typer.Argument(
            metavar="FILE|FOLDER|GLOB",
            help="PNG, JPEG, WebP, BMP, GIF, TIFF, HEIC or PDF files; folders, with all that are in them; patterns.",
        ),
    ] = None,
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
) -> None:
    r"""Read the barcodes on pictures, and say what each identifies.

    With --format json, one line for each symbol: `file`, `page` (of a TIFF or PDF, from 1), `symbology`, `text`, `chain` (null if it is no identifier that is known, or disputed), `confidence` (agreed, single, or disputed: readers differ, each text is a line, none is chosen), `readers`, `position` (four corners), `orientation` (degrees clockwise), `add_on`. Exit status 1 if a file had no symbol on it or a disputed one, 2 if one could not be read; the others are read all the same.

    In folders, hidden files and links to folders are left out. The secret of a purchase token is not shown: give the picture to `suyuan consumer`. A check digit that holds does not prove that a code was read right: compare what is shown with what is printed.

    One of the other sources goes in place of pictures. Of a camera or video a code counts when two frames agree on it, and is told once. They go on until they end, or until SIGTERM or Ctrl-C; status 1 if nothing was read.

    Example:
      suyuan scan box.jpg label.pdf
      suyuan scan photos/ --jobs 4
      suyuan scan --format json "in/**/*.jpg"
      suyuan scan --camera 0 --again-after 5
      suyuan scan --watch /srv/belt --format json
      suyuan scan --serial /dev/ttyACM0 --suffix '\x03'
    """
    session.require_fitting(has_pictures=bool(images))
    note = zbar_note()
    if note is not None and not (session.wedge or session.serial):
        session.out.note(f"Note: {note}")
    raise typer.Exit(_read_pictures(session, images, jobs) if images else follow(session, _tell))


def _read_pictures(session: Scanning, images: list[Path], jobs: int | None) -> Status:
    pictures = Pictures.named(images)
    for refusal in pictures.refusals:
        print_error(refusal)
    status = Status.USAGE if pictures.refusals else Status.OK
    total = len(pictures.paths)
    with (
        session.out.progress("reading pictures") as progress,
        closing(read_files(pictures.paths, jobs or processors())) as files,
    ):
        for done, read in enumerate(files, start=1):
            status = max(status, _tell_file(session, read))
            progress(done, total)
    return status


def _tell_file(session: Scanning, read: Read) -> Status:
    """Say what is on a file; returns the exit status that it calls for."""
    status = Status.OK
    for number, symbols in enumerate(read.pages, start=1):
        page = number if len(read.pages) > 1 else None
        for symbol in symbols:
            place = Place(read.path, read.path, page)
            _tell(session, place, identify(symbol, carrier=session.carrier))
            if symbol.confidence is Confidence.DISPUTED:
                status = Status.NEGATIVE
    if read.refusal is not None:
        print_error(read.refusal)
        return Status.USAGE
    if not any(read.pages):
        session.out.note(f"{shown(read.path)}: no symbol found")
        status = Status.NEGATIVE
    return status


def _tell(session: Local, place: Place, finding: Finding) -> None:
    symbol = finding.symbol
    disputed = symbol.confidence is Confidence.DISPUTED
    # Whoever takes the chain from here without a look at the confidence gets none that may be wrong.
    chain = None if disputed else finding.chain
    told = {
        "file": place.file,
        "page": place.page,
        "symbology": str(symbol.symbology),
        "text": redacted(symbol.text),
        "chain": None if chain is None else str(chain),
        "confidence": str(symbol.confidence),
        "readers": [str(reader) for reader in symbol.readers],
        "position": [[corner.x, corner.y] for corner in symbol.position],
        "orientation": symbol.orientation,
        "add_on": symbol.add_on,
        **place.more,
    }
    if disputed:
        meaning = "no identifier (readers differ)"
    else:
        meaning = chain or f"no identifier ({shown(str(finding.refusal))})"
    where = shown(place.name) if place.page is None else f"{shown(place.name)}, page {place.page}"
    add_on = f" + {symbol.add_on}" if symbol.add_on else ""
    lines = [
        f"{where}: {symbol.symbology} {shown(symbol.text)}{add_on}",
        f"  {meaning}",
        f"  read by {' and '.join(symbol.readers)}, {_HOW_SURE[symbol.confidence]}",
    ]
    session.out.result(told, lines)
