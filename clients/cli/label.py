"""`suyuan label`: the label of an identifier, for a printer."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from clients.cli.commands import command
from clients.cli.given import local
from clients.cli.options import word_option
from clients.cli.session import Local
from clients.cli.words import LabelKind
from clients.new_file import file_refusal
from clients.purchase_token import PREFIX
from ledger.errors import BadInput, Reason
from scanner.labels import write_label
from scanner.symbol import Symbology

app = typer.Typer(rich_markup_mode=None, add_completion=False)


@command(app, given=local)
def label(
    session: Local,
    *,
    text: Annotated[
        str,
        typer.Argument(
            metavar="TEXT",
            help="A chain key, a GTIN, GS1 elements in brackets, a waybill number, a link, any text.",
        ),
    ],
    out: Annotated[
        Path,
        typer.Option("--out", metavar="FILE", help="Where it goes: a new file, .png for 300 dpi or .svg."),
    ],
    symbology: Annotated[
        LabelKind | None,
        word_option("--symbology", LabelKind, "Kind of barcode, by default what suits the text"),
    ] = None,
) -> None:
    """Draw a label, and read it back before it is handed out.

    Example:
      suyuan label 6901234567892 --out tea.png
      suyuan label "(01)06901234567892(10)A7" --out lot.svg
      suyuan label 01/06901234567892/21/S-17 --out box.png
    """
    if text.startswith(PREFIX):
        raise BadInput(
            Reason.INVALID_REQUEST,
            "text of a label",
            given="a purchase token, which is a secret and has no place in arguments",
            expected="what is no secret; `suyuan merchant sell --qr` draws tokens",
        )
    if out.exists():
        raise file_refusal(out, "a file that exists", "a new file")
    write_label(out, text, None if symbology is None else Symbology[symbology.name])
    session.out.result({"file": str(out), "text": text}, [f"Drew {out}; it reads back as it should."])
