"""Sheets of labels from a table, and a report of the rows that make none."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import typer

from clients.cli.inputs import STANDARD_INPUT
from clients.cli.output import print_error
from clients.cli.session import Local
from clients.cli.status import Status
from clients.new_file import file_refusal, write_whole
from ledger.errors import BadInput, Reason
from scanner.label_table import MAX_BYTES, BadRow, read_table
from scanner.sheet_format import SheetFormat
from scanner.sheets import Sheets
from scanner.typeface import Typeface

_SUFFIX: Final = ".pdf"


def print_sheets(
    session: Local, table: Path, out: Path, name: str, typeface: Typeface, *, first: int, skip_bad_rows: bool
) -> None:
    """Write the labels of a table onto sheets.

    Every bad row is told, each by its line. Unless they are to be skipped nothing is written then.

    Args:
        session: where results go.
        table: a CSV file, or `-` for standard input.
        out: a new file.
        name: of the sheet.
        typeface: the letters.
        first: the place of the first label, from 1.
        skip_bad_rows: whether the good rows are printed where others are bad; the exit status is 1 then.

    Raises:
        BadInput: the table, the sheet or the file is none; or rows are bad and not to be skipped.
    """
    if out.suffix.lower() != _SUFFIX:
        raise file_refusal(out, f"suffix {out.suffix}", f"{_SUFFIX} for sheets")
    sheet = SheetFormat.parse(name)
    sheet.require_place(first)
    rows = read_table(_read(table))
    with session.out.progress("Drawing labels") as progress:
        sheets = Sheets.compose(rows, sheet, typeface, lambda done: progress(done, len(rows)))
    for row in sheets.bad_rows:
        print_error(_located(table, row))
    if sheets.bad_rows and not (skip_bad_rows and sheets.labels):
        raise BadInput(
            Reason.INVALID_REQUEST,
            f"table {table}",
            given=f"{len(sheets.bad_rows)} of {len(rows)} rows that make no label",
            expected="none" if skip_bad_rows else "none; --skip-bad-rows prints the others",
        )
    with session.out.progress("Reading them back") as progress:
        written = sheets.to_pdf(typeface, first, lambda done: progress(done, sheets.count))
    write_whole(out, written)
    pages = sheet.pages_for(sheets.count, first)
    record = {
        "file": str(out),
        "sheet": sheet.name,
        "pages": pages,
        "labels": sheets.count,
        "bad_rows": [row.line for row in sheets.bad_rows],
    }
    told = f"Drew {out} ({sheet.name}, labels: {sheets.count}, pages: {pages}); each label reads back as it should."
    left_out = f"Left out {len(sheets.bad_rows)} of {len(rows)} rows."
    session.out.result(record, [told, left_out] if sheets.bad_rows else [told])
    if sheets.bad_rows:
        raise typer.Exit(Status.NEGATIVE)


def _read(table: Path) -> bytes:
    try:
        if table == STANDARD_INPUT:
            return typer.get_binary_stream("stdin").read(MAX_BYTES + 1)
        with table.open("rb") as file:
            return file.read(MAX_BYTES + 1)
    except OSError as error:
        raise BadInput(
            Reason.INVALID_REQUEST, f"table {table}", given=error.strerror, expected="a file that can be read"
        ) from error


def _located(table: Path, row: BadRow) -> BadInput:
    """The refusal of a row, with where the row stands."""
    refusal = row.refusal
    subject = f"{table}, line {row.line}: {refusal.subject}"
    return BadInput(refusal.reason, subject, given=refusal.given, expected=refusal.expected)
