"""`suyuan label`: labels, sheets of them, and slips for parcels, for a printer."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from clients.cli.commands import command
from clients.cli.given import local
from clients.cli.inputs import read_token
from clients.cli.label_sheets import print_sheets
from clients.cli.options import word_option
from clients.cli.session import Local
from clients.cli.words import LabelKind
from clients.new_file import file_refusal, write_whole
from clients.purchase_token import PREFIX
from ledger.errors import BadInput, Reason
from scanner.labels import Label, require_suffix
from scanner.slips import token_slip, waybill_slip
from scanner.symbol import Symbology
from scanner.typeface import Typeface

app = typer.Typer(rich_markup_mode=None, add_completion=False)

_SHEETS = "Sheets"
_SLIPS = "Slips for a parcel, 100 x 150 mm"


@command(app, given=local)
def label(
    session: Local,
    *,
    text: Annotated[
        str | None,
        typer.Argument(
            metavar="TEXT",
            help="A chain key, a GTIN, GS1 elements in brackets, a waybill number, a link, any text.",
        ),
    ] = None,
    out: Annotated[
        Path,
        typer.Option("--out", metavar="FILE", help="Where it goes: a new file, .png, .svg or .pdf."),
    ],
    symbology: Annotated[
        LabelKind | None,
        word_option("--symbology", LabelKind, "Kind of barcode, by default what suits the text"),
    ] = None,
    title: Annotated[
        str, typer.Option("--title", metavar="TEXT", help="What stands above it, such as the product's name.")
    ] = "",
    dpi: Annotated[
        int | None,
        typer.Option(
            "--dpi", metavar="N", help="The printer's dots to the inch: 203, 300 or 600.", show_default=False
        ),
    ] = None,
    font: Annotated[
        Path | None,
        typer.Option(
            "--font",
            envvar="SUYUAN_FONT",
            metavar="FILE",
            help="A font with the Chinese letters; by default one of the system's.",
        ),
    ] = None,
    slip: Annotated[
        bool,
        typer.Option(
            "--slip",
            help="For the outside: TEXT, a waybill or SSCC, and its chain key.",
            rich_help_panel=_SLIPS,
        ),
    ] = False,
    token: Annotated[
        Path | None,
        typer.Option(
            "--token",
            metavar="FILE",
            help="For the inside: the purchase token in this file, or - for standard input, instead of TEXT.",
            rich_help_panel=_SLIPS,
        ),
    ] = None,
    table: Annotated[
        Path | None,
        typer.Option(
            "--csv",
            metavar="FILE",
            help="A row for each label, UTF-8, instead of TEXT: columns text, symbology, title, copies.",
            rich_help_panel=_SHEETS,
        ),
    ] = None,
    sheet: Annotated[
        str,
        typer.Option(
            "--sheet",
            metavar="NAME",
            help="avery-l7160, avery-5160 …, or an A4 page in columns and rows.",
            rich_help_panel=_SHEETS,
        ),
    ] = "a4-3x8",
    first: Annotated[
        int,
        typer.Option(
            "--first",
            metavar="N",
            help="The first place to print on, where a sheet was begun.",
            rich_help_panel=_SHEETS,
        ),
    ] = 1,
    skip_bad_rows: Annotated[
        bool,
        typer.Option(
            "--skip-bad-rows",
            help="Print the others; by default nothing is printed. Exit status 1 then.",
            rich_help_panel=_SHEETS,
        ),
    ] = False,
) -> None:
    """Draw labels, and read each one back before it is handed out: what reads otherwise is not written.

    X-dimensions, quiet zones and heights are those of the GS1 General Specifications. Print in the actual size: a
    printer that fits pages to its paper changes them.

    Example:
      suyuan label 6901234567892 --title "茉莉花茶 250 g" --out tea.png
      suyuan label "(01)06901234567892(10)A7" --symbology gs1-data-matrix --out lot.pdf
      suyuan label --csv stock.csv --sheet avery-l7160 --out stock.pdf
      suyuan label SF1234567890123 --slip --title 顺丰速运 --dpi 203 --out outside.pdf
      suyuan label --token tea.token --title "茉莉花茶 250 g" --out inside.pdf
    """
    given = [
        name for name, value in (("TEXT", text), ("--csv", table), ("--token", token)) if value is not None
    ]
    if len(given) != 1:
        raise typer.BadParameter(f"one of TEXT, --csv and --token, given {' and '.join(given) or 'none'}")
    if ((table or token) and symbology) or (slip and (text is None or symbology)):
        raise typer.BadParameter("--symbology goes with a TEXT that is no --slip, --slip with a TEXT")
    suffix = require_suffix(out)
    if out.exists():
        raise file_refusal(out, "a file that exists", "a new file")
    if not out.parent.is_dir():
        # Now, and not after ten thousand labels.
        raise file_refusal(out, "no such folder", "a folder that is there")
    typeface = Typeface.load(font or session.settings.path("font"))
    if table is not None:
        if dpi is not None or title:
            raise typer.BadParameter("--dpi and --title go with single labels; a table has a column title")
        print_sheets(session, table, out, sheet, typeface, first=first, skip_bad_rows=skip_bad_rows)
        return
    mode = 0o644
    if token is not None:
        bought = read_token(token)
        drawn = token_slip(bought.text(), typeface, title=title, resolution=dpi or 300)
        record = {"sale": bought.sale.hex()}
        # Whoever reads it is the buyer.
        mode = 0o600
    else:
        text = _no_secret(text or "")
        record = {"text": text}
        if slip:
            drawn = waybill_slip(text, title=title, resolution=dpi or 300)
            record["chain"] = str(drawn.contents[-1].chain)
        else:
            kind = None if symbology is None else Symbology[symbology.name]
            drawn = Label.compose(text, kind, title=title, resolution=dpi or 300)
    write_whole(out, drawn.to_file(suffix, typeface), mode=mode)
    session.out.result({"file": str(out), **record}, [f"Drew {out}; it reads back as it should."])


def _no_secret(text: str) -> str:
    if text.startswith(PREFIX):
        raise BadInput(
            Reason.INVALID_REQUEST,
            "text of a label",
            given="a purchase token, which is a secret and has no place in arguments",
            expected="what is no secret; `suyuan label --token FILE` draws tokens",
        )
    return text
