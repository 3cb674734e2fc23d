"""Labels on sheets: where they belong, read from the pages, and nothing if one reads otherwise."""

from __future__ import annotations

import pytest

from ledger.errors import BadInput, Reason
from scanner.decode import decode_pixels
from scanner.label_content import LabelContent
from scanner.label_table import BadRow, Row
from scanner.labels import Page, proved_pdf
from scanner.pdf import pixels_of_pdf
from scanner.sheet_format import SheetFormat
from scanner.sheets import Sheets
from scanner.symbol import Symbology
from scanner.typeface import Typeface

L7160 = SheetFormat.parse("avery-l7160")
L7163 = SheetFormat.parse("avery-l7163")
L7159 = SheetFormat.parse("avery-l7159")
PLAIN = Typeface()
NEEDED = "expected 71.4 x 37.3 mm, less text, or a symbology that takes less"


def row(text, symbology=None, title="", copies=1, line=2):
    return Row(line, text, symbology, title, copies)


def texts_on(image, sheet: SheetFormat) -> list[list[str]]:
    """What is read in each place of a page that was rendered at 300 dpi."""
    read = []
    for x, y, width, height in sheet.places(300):
        read.append([symbol.text for symbol in decode_pixels(image.crop((x, y, x + width, y + height)))])
    return read


def test_labels_fill_the_places_row_by_row_and_page_by_page():
    sheets = Sheets.compose([row("6901234567892", copies=2), row("96385074", copies=13)], L7163, PLAIN)
    assert (sheets.count, sheets.bad_rows) == (15, ())
    done = []
    first, second = pixels_of_pdf(sheets.to_pdf(PLAIN, 2, done.append), 300)
    assert first.size == second.size == (2481, 3508)
    assert texts_on(first, L7163) == [[], *[["6901234567892"]] * 2, *[["96385074"]] * 11]
    assert texts_on(second, L7163) == [*[["96385074"]] * 2, *[[]] * 12]
    assert done == list(range(1, 16))


def test_a_symbol_gets_finer_rather_than_too_large_for_its_place():
    asked_for = [row("01/06901234567892/21/ABCDEFGHIJ", Symbology.QR_CODE)]
    modules = []
    for sheet in (SheetFormat.parse("a4-2x4"), L7160, L7159):
        [[label, _]] = Sheets.compose(asked_for, sheet, PLAIN).labels
        modules.append(min(box.width for box in label.artwork.boxes))
    # 16 dots are 0.677 mm, and 10 the least.
    assert 16 == modules[0] > modules[1] > modules[2] >= 10


def test_what_does_not_fit_is_a_bad_row_that_tells_the_sizes():
    rows = [
        row("16901234567899", line=2),
        row("6901234567892", line=3),
        row("96385074", title="x" * 200, line=4),
    ]
    sheets = Sheets.compose(rows, L7160, PLAIN)
    assert [(bad.line, str(bad.refusal)) for bad in sheets.bad_rows] == [
        (2, f"room for a label of ITF_14 with its text: given 60.5 x 35.1 mm, {NEEDED}"),
        (4, "title of a label: given 200 characters, expected at most 120"),
    ]
    assert sheets.count == 1


def test_a_long_title_is_broken_and_then_too_much():
    [[label, _]] = Sheets.compose([row("96385074", title="green tea " * 6)], L7160, PLAIN).labels
    assert len(label.artwork.lines) > 2
    [bad] = Sheets.compose([row("6901234567892", title="green tea " * 12)], L7159, PLAIN).bad_rows
    assert "room for a label of EAN_13 with its text" in str(bad.refusal)


def test_bad_rows_of_the_table_are_kept_in_the_report():
    bad = BadRow(7, BadInput(Reason.INVALID_REQUEST, "row of a table"))
    assert Sheets.compose([bad, row("96385074")], L7160, PLAIN).bad_rows == (bad,)


def test_letters_that_no_font_has_are_a_bad_row():
    [bad] = Sheets.compose([row("96385074", title="茶")], L7160, PLAIN).bad_rows
    assert "茶 in no font that is here" in str(bad.refusal)


def test_without_labels_there_is_no_sheet():
    with pytest.raises(BadInput) as caught:
        Sheets.compose([], L7160, PLAIN).to_pdf(PLAIN)
    assert str(caught.value) == "labels for a sheet: given none, expected one at least"


def test_a_page_on_which_one_label_reads_otherwise_is_not_handed_out():
    sheets = Sheets.compose([row("6901234567892"), row("96385074")], L7160, PLAIN)
    [page] = sheets.pages()
    (box, contents), (other_box, _) = page.parts
    wrong = (LabelContent.parse("20886509"),)
    with pytest.raises(BadInput) as caught:
        proved_pdf([Page(page.artwork, ((box, contents), (other_box, wrong)))], PLAIN, title="x")
    assert str(caught.value) == (
        "label as the scanner reads it: given EAN_8 96385074, expected EAN_8 20886509"
    )
