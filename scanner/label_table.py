"""A table of labels, as CSV: a row for each label, what is wrong with a row told by its line.

    text,symbology,title,copies
    6901234567892,,茉莉花茶 250 g,24
    01/06901234567892/21/S-1,gs1-data-matrix,,

The file is UTF-8, and its first row names the columns, in any order: `text` must be there, the others may. Spreadsheets
change numbers when they write them: a GTIN loses its zeros in front, or ends as 6.90123E+12, and both would make a label
of something. So a text for which no symbology is told must name a chain, and digits must be all there.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from ledger.barcode import read_barcode
from ledger.errors import BadInput, Reason
from ledger.identifiers import printable
from scanner.encode import DRAWABLE
from scanner.label_content import LabelContent
from scanner.symbol import Symbology

MAX_BYTES: Final = 4_000_000
"""Of a table."""
MAX_LABELS: Final = 10_000
"""Of a table, copies counted: what a PDF, and whoever watches it grow, can bear."""

COLUMNS: Final = ("text", "symbology", "title", "copies")

_COPIES: Final = re.compile(r"[1-9][0-9]{0,4}")
_SYMBOLOGIES: Final = {str(symbology).lower().replace("_", "-"): symbology for symbology in DRAWABLE}


@dataclass(frozen=True, slots=True)
class Row:
    """One label that is asked for."""

    line: int
    """Of the file, from 1."""
    text: str
    symbology: Symbology | None
    title: str
    copies: int


@dataclass(frozen=True, slots=True)
class BadRow:
    """A row of which there can be no label, and why."""

    line: int
    """Of the file, from 1."""
    refusal: BadInput


def read_table(content: bytes) -> list[Row | BadRow]:
    """The rows of a table, in their order; empty ones are left out.

    Raises:
        BadInput: `Reason.INVALID_REQUEST`: too large, not UTF-8, no CSV; columns that are not known, named twice or
            missing; no rows, or too many labels.
    """
    rows = list(_rows(content))
    if not rows:
        raise _refusal("table of labels", "no rows", "a row for each label below the names of the columns")
    total = sum(row.copies for row in rows if isinstance(row, Row))
    if total > MAX_LABELS:
        raise _refusal("table of labels", f"{total} labels", f"at most {MAX_LABELS}")
    return rows


def _rows(content: bytes) -> Iterator[Row | BadRow]:
    if len(content) > MAX_BYTES:
        raise _refusal("table of labels", f"more than {MAX_BYTES} bytes", "a smaller one, or several")
    try:
        # Excel writes a byte order mark where it is told to write UTF-8.
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise _refusal("table of labels", "other bytes", "UTF-8 (in Excel: CSV UTF-8)") from None
    lines = csv.reader(io.StringIO(text, newline=""), strict=True)
    columns: list[str] | None = None
    before = 0
    try:
        for cells in lines:
            line, before = before + 1, lines.line_num
            if not any(cell.strip() for cell in cells):
                continue
            if columns is None:
                columns = _columns(cells)
                continue
            try:
                yield _row(line, columns, cells)
            except BadInput as refusal:
                yield BadRow(line, refusal)
    except csv.Error as error:
        raise _refusal(f"table of labels, line {lines.line_num}", str(error), "CSV") from None


def _columns(cells: list[str]) -> list[str]:
    names = [cell.strip() for cell in cells]
    unknown = [name for name in names if name not in COLUMNS]
    if unknown:
        given = ", ".join(map(printable, unknown))
        raise _refusal("columns of a table of labels", given, f"text, and any of {', '.join(COLUMNS[1:])}")
    if len(set(names)) < len(names):
        raise _refusal("columns of a table of labels", "a name twice", "each once")
    if "text" not in names:
        raise _refusal("columns of a table of labels", ", ".join(names), "one that is named text")
    return names


def _row(line: int, columns: list[str], cells: list[str]) -> Row:
    if len(cells) > len(columns) and not any(cell.strip() for cell in cells[len(columns) :]):
        cells = cells[: len(columns)]
    if len(cells) != len(columns):
        raise _refusal("row of a table", f"{len(cells)} cells", f"{len(columns)}, as columns are named")
    told = dict(zip(columns, (cell.strip() for cell in cells), strict=True))
    word = told.get("symbology", "")
    if word and word not in _SYMBOLOGIES:
        raise _refusal("symbology of a label", printable(word), f"one of {', '.join(_SYMBOLOGIES)}")
    copies = told.get("copies", "") or "1"
    if not _COPIES.fullmatch(copies) or int(copies) > MAX_LABELS:
        raise _refusal("copies of a label", printable(copies), f"a number from 1 to {MAX_LABELS}")
    row = Row(line, told["text"], _SYMBOLOGIES.get(word), told.get("title", ""), int(copies))
    if row.symbology is None and LabelContent.parse(row.text).chain is None:
        _require_chain(row.text)
    return row


def _require_chain(text: str) -> None:
    try:
        read_barcode(text)
    except BadInput as refusal:
        expected = f"{refusal.expected or 'an identifier'}; or tell the symbology, if that is what a label should say"
        raise BadInput(refusal.reason, refusal.subject, given=refusal.given, expected=expected) from None


def _refusal(subject: str, given: str, expected: str) -> BadInput:
    return BadInput(Reason.INVALID_REQUEST, subject, given=given, expected=expected)
