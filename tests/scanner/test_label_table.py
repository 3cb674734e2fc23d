"""Tables of labels: what spreadsheets write, what people forget, and what must not become a label."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger.errors import BadInput, Reason
from scanner.label_table import MAX_BYTES, BadRow, Row, read_table
from scanner.symbol import Symbology


def refusal(content: bytes) -> str:
    with pytest.raises(BadInput) as caught:
        read_table(content)
    assert caught.value.reason is Reason.INVALID_REQUEST
    return str(caught.value)


def test_rows():
    table = (
        "text,symbology,title,copies\n"
        "6901234567892,,茉莉花茶 250 g,24\n"
        "\n"
        "01/06901234567892/21/S-1,gs1-data-matrix,,\n"
        '"(01)06901234567892(10)A,7",gs1-128,"Tea, ""green""",1\n'
        " zto:75312345678901 ,,,\n"
    )
    assert read_table(table.encode()) == [
        Row(2, "6901234567892", None, "茉莉花茶 250 g", 24),
        Row(4, "01/06901234567892/21/S-1", Symbology.GS1_DATA_MATRIX, "", 1),
        Row(5, "(01)06901234567892(10)A,7", Symbology.GS1_128, 'Tea, "green"', 1),
        Row(6, "zto:75312345678901", None, "", 1),
    ]


def test_what_excel_writes():
    """A byte order mark, carriage returns, and commas for columns that are empty below."""
    table = b"\xef\xbb\xbftitle,text\r\nTea,6901234567892,,\r\n,96385074\r\n,,\r\n"
    assert read_table(table) == [Row(2, "6901234567892", None, "Tea", 1), Row(3, "96385074", None, "", 1)]


def test_a_cell_of_several_lines_is_told_by_its_first():
    table = b'text,title\n6901234567892,"green\ntea"\n6901234567891,\n'
    rows = read_table(table)
    assert [row.line for row in rows] == [2, 4]


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("6901234567891,,,", "GTIN 6901234567891 check digit: given 1, expected 2"),
        ("106141412345678908,,,", "ambiguous code: given 106141412345678908, expected one of these"),
        (",,Tea,", "text of a label: given an empty text, expected printable characters"),
        (
            "6901234567892,pdf417,,",
            "symbology of a label: given pdf417, expected one of ean-13, ean-8, upc-a",
        ),
        ("6901234567892,,,0", "copies of a label: given 0, expected a number from 1 to 10000"),
        ("6901234567892,,,1.5", "copies of a label: given 1.5, expected a number from 1 to 10000"),
        ("6901234567892,,,10001", "copies of a label: given 10001, expected a number from 1 to 10000"),
        ("6901234567892,,", "row of a table: given 3 cells, expected 4, as columns are named"),
        ("6901234567892,,,,more", "row of a table: given 5 cells, expected 4, as columns are named"),
    ],
)
def test_a_bad_row_is_told_and_the_others_are_read(row, message):
    good = "6901234567892,,,"
    rows = read_table(f"text,symbology,title,copies\n{good}\n{row}\n{good}\n".encode())
    assert [type(row) for row in rows] == [Row, BadRow, Row]
    assert rows[1].line == 3
    assert str(rows[1].refusal).startswith(message)


@pytest.mark.parametrize(
    "text", ["6.90123E+12", "12345678905", "SF123", "hello", "https://example.com/", "茶"]
)
def test_what_names_nothing_needs_its_symbology_told(text):
    """A GTIN that a spreadsheet has spoilt must not become a label of something."""
    [bad, good] = read_table(f"text,symbology\n{text},\n{text},qr-code\n".encode())
    assert isinstance(bad, BadRow)
    assert str(bad.refusal).endswith("or tell the symbology, if that is what a label should say")
    assert good == Row(3, text, Symbology.QR_CODE, "", 1)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "table of labels: given no rows, expected a row for each label below the names of the columns"),
        (
            b"\n,,\n",
            "table of labels: given no rows, expected a row for each label below the names of the columns",
        ),
        (
            b"text\n",
            "table of labels: given no rows, expected a row for each label below the names of the columns",
        ),
        (
            b"text,colour\n6901234567892,red\n",
            "columns of a table of labels: given colour, expected text, and any of symbology, title, copies",
        ),
        (
            b"text;title\n6901234567892;Tea\n",
            "columns of a table of labels: given text;title, expected text, and any of symbology, title, copies",
        ),
        (
            b"title,copies\nTea,1\n",
            "columns of a table of labels: given title, copies, expected one that is named text",
        ),
        (b"text,text\na,b\n", "columns of a table of labels: given a name twice, expected each once"),
        (
            "text\n茶\n".encode("gb18030"),
            "table of labels: given other bytes, expected UTF-8 (in Excel: CSV UTF-8)",
        ),
        (
            b"text\n" + b"x" * MAX_BYTES,
            f"table of labels: given more than {MAX_BYTES} bytes, expected a smaller one, or several",
        ),
        (b'text\n"6901234567892\n', "table of labels, line 2: given unexpected end of data, expected CSV"),
        (
            b"text,copies\n96385074,9999\n96385074,2\n",
            "table of labels: given 10001 labels, expected at most 10000",
        ),
    ],
)
def test_tables_that_are_none(content, message):
    assert refusal(content) == message


@given(
    st.binary(max_size=80)
    | st.text(max_size=80).map(lambda text: f"text,title\n{text}".encode("utf-8", "replace"))
)
def test_any_bytes_are_rows_or_a_refusal(content):
    try:
        rows = read_table(content)
    except BadInput:
        return
    assert rows
