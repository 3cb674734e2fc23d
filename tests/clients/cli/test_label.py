from __future__ import annotations

import stat
from pathlib import Path

import pytest

from clients.keyfile import generate
from clients.purchase_token import PurchaseToken
from scanner.decode import decode_image, decode_pixels
from scanner.pdf import pixels_of_pdf
from scanner.symbol import Symbology


def read_pdf(path):
    """The texts on each page."""
    pages = pixels_of_pdf(Path(path).read_bytes(), 300)
    return [{symbol.text for symbol in decode_pixels(page)} for page in pages]


@pytest.mark.parametrize(
    ("text", "symbology"),
    [
        ("6901234567892", Symbology.EAN_13),
        ("(01)06901234567892(10)A7", Symbology.GS1_128),
        ("01/06901234567892/21/S-17", Symbology.QR_CODE),
        ("SF1234567890123", Symbology.CODE_128),
        ("茉莉花茶", Symbology.QR_CODE),
    ],
)
def test_what_suits_the_text(suyuan, text, symbology):
    done = suyuan.json("label", text, "--out", "label.png")
    assert (done.status, done.err) == (0, "")
    assert done.record == {"file": "label.png", "text": text}
    [symbol] = decode_image("label.png")
    assert symbol.symbology is symbology


@pytest.mark.parametrize(
    ("word", "text", "symbology"),
    [
        ("qr-code", "6901234567892", Symbology.QR_CODE),
        ("itf-14", "06901234567892", Symbology.ITF_14),
        ("upc-a", "036000291452", Symbology.UPC_A),
        ("ean-8", "20886509", Symbology.EAN_8),
        ("code-128", "hello", Symbology.CODE_128),
        ("gs1-128", "(00)106141412345678908", Symbology.GS1_128),
        ("gs1-data-matrix", "(01)06901234567892(10)A7", Symbology.GS1_DATA_MATRIX),
        ("ean-13", "6901234567892", Symbology.EAN_13),
    ],
)
def test_a_kind_of_barcode(suyuan, word, text, symbology):
    assert suyuan("label", text, "--out", "label.png", "--symbology", word).status == 0
    [symbol] = decode_image("label.png")
    assert symbol.symbology is symbology


def test_svg(suyuan):
    done = suyuan("label", "6901234567892", "--out", "label.svg")
    assert done.out == "Drew label.svg; it reads back as it should.\n"
    assert Path("label.svg").read_text().startswith("<?xml")


@pytest.mark.parametrize(
    ("text", "out", "reason"),
    [
        ("6901234567891", "label.png", "BAD_IDENTIFIER"),
        ("6901234567892", "label.gif", "INVALID_REQUEST"),
        ("6901234567892", "nowhere/label.png", "INVALID_REQUEST"),
        ("106141412345678908", "label.png", "AMBIGUOUS_CODE"),
    ],
)
def test_a_label_that_can_not_be(suyuan, text, out, reason):
    done = suyuan("label", text, "--out", out)
    assert done.status == 2
    assert done.err.endswith(f"[{reason}]\n")
    assert not Path(out).exists()


def test_a_kind_that_there_is_not(suyuan):
    done = suyuan("label", "x", "--out", "label.png", "--symbology", "pdf417")
    assert done.status == 2
    assert "Invalid value for '--symbology'" in done.err


def test_a_file_that_is_there_is_left_alone(suyuan):
    Path("label.png").write_text("mine")
    done = suyuan("label", "6901234567892", "--out", "label.png")
    assert (done.status, done.out) == (2, "")
    assert (
        done.err == "Error: file label.png: given a file that exists, expected a new file [INVALID_REQUEST]\n"
    )
    assert Path("label.png").read_text() == "mine"


def test_pdf(suyuan):
    done = suyuan("label", "6901234567892", "--title", "Tea", "--dpi", "203", "--out", "label.pdf")
    assert (done.status, done.out) == (0, "Drew label.pdf; it reads back as it should.\n")
    assert read_pdf("label.pdf") == [{"6901234567892"}]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "one of TEXT, --csv and --token, given none"),
        (("6901234567892", "--csv", "t.csv"), "one of TEXT, --csv and --token, given TEXT and --csv"),
        (("--csv", "t.csv", "--token", "t"), "one of TEXT, --csv and --token, given --csv and --token"),
        (("--csv", "t.csv", "--slip"), "--symbology goes with a TEXT that is no --slip, --slip with a TEXT"),
        (("--csv", "t.csv", "--symbology", "qr-code"), "--symbology goes with a TEXT that is no --slip"),
        (("SF1234567890123", "--slip", "--symbology", "qr-code"), "--symbology goes with a TEXT"),
        (("--csv", "t.csv", "--title", "Tea"), "--dpi and --title go with single labels"),
        (("--csv", "t.csv", "--dpi", "300"), "--dpi and --title go with single labels"),
    ],
)
def test_what_does_not_go_together(suyuan, arguments, message):
    done = suyuan("label", *arguments, "--out", "label.pdf")
    assert done.status == 2
    assert message in done.err
    assert not Path("label.pdf").exists()


def test_a_printer_that_there_is_not(suyuan):
    done = suyuan("label", "6901234567892", "--dpi", "72", "--out", "label.png")
    assert (done.status, done.err) == (
        2,
        "Error: resolution of a label: given 72, expected one of 203, 300, 600 dots to the inch [INVALID_REQUEST]\n",
    )


@pytest.mark.parametrize("told", ["option", "environment", "file"])
def test_the_font_that_the_user_names(suyuan, told):
    Path("mine.ttf").write_text("no font")
    Path("config.toml").write_text('font = "mine.ttf"\n')
    options = {"option": ("--font", "mine.ttf"), "file": ("--config", "config.toml")}.get(told, ())
    environment = {"SUYUAN_FONT": "mine.ttf"} if told == "environment" else {}
    done = suyuan("label", "6901234567892", "--out", "label.png", *options, **environment)
    assert done.status == 2
    assert "mine.ttf': given no font that can be read" in done.err


def test_a_slip_for_the_outside(suyuan):
    done = suyuan.json("label", "SF1234567890123", "--slip", "--title", "Courier", "--out", "slip.pdf")
    assert done.record == {
        "file": "slip.pdf",
        "text": "SF1234567890123",
        "chain": "waybill/sf/SF1234567890123",
    }
    assert read_pdf("slip.pdf") == [{"SF1234567890123", "waybill/sf/SF1234567890123"}]


@pytest.mark.parametrize("source", ["file", "standard input"])
def test_a_slip_for_the_inside_is_its_owners_alone_and_shows_no_secret(suyuan, source):
    token = PurchaseToken(b"\1" * 32, generate()).text()
    Path("tea.token").write_text(token)
    if source == "file":
        done = suyuan.json("label", "--token", "tea.token", "--title", "Tea", "--out", "slip.pdf")
    else:
        done = suyuan.json("label", "--token", "-", "--out", "slip.pdf", stdin=token)
    assert (done.status, done.err) == (0, "")
    assert done.record == {"file": "slip.pdf", "sale": "01" * 32}
    assert read_pdf("slip.pdf") == [{token}]
    assert stat.S_IMODE(Path("slip.pdf").stat().st_mode) == 0o600


def test_what_is_no_token(suyuan):
    Path("tea.token").write_text("suyuan-purchase-v1:AAAA")
    done = suyuan("label", "--token", "tea.token", "--out", "slip.pdf")
    assert done.status == 2
    assert "AAAA" not in done.err
    assert not Path("slip.pdf").exists()


TABLE = "text,symbology,title,copies\n6901234567892,,Tea,2\n01/06901234567892/21/S-1,gs1-data-matrix,,\n"


def test_sheets_from_a_table(suyuan):
    Path("stock.csv").write_text(TABLE)
    done = suyuan.json(
        "label", "--csv", "stock.csv", "--sheet", "a4-2x4", "--first", "7", "--out", "stock.pdf"
    )
    assert (done.status, done.err) == (0, "")
    assert done.record == {"file": "stock.pdf", "sheet": "a4-2x4", "pages": 2, "labels": 3, "bad_rows": []}
    assert read_pdf("stock.pdf") == [{"6901234567892"}, {"010690123456789221S-1"}]


def test_a_table_on_standard_input(suyuan):
    done = suyuan("label", "--csv", "-", "--sheet", "avery-l7160", "--out", "stock.pdf", stdin=TABLE)
    assert (done.status, done.err) == (0, "")
    assert (
        done.out == "Drew stock.pdf (avery-l7160, labels: 3, pages: 1); each label reads back as it should.\n"
    )


BAD_ROWS = (
    "Error: stock.csv, line 4: GTIN 6901234567891 check digit: given 1, expected 2 [BAD_IDENTIFIER]\n"
    "Error: stock.csv, line 5: symbology of a label: given pdf417, expected one of ean-13, ean-8, upc-a, itf-14, "
    "gs1-128, code-128, gs1-data-matrix, qr-code [INVALID_REQUEST]\n"
)


def test_bad_rows_are_all_told_and_nothing_is_written(suyuan):
    Path("stock.csv").write_text(TABLE + "6901234567891,,,\nhello,pdf417,,\n")
    done = suyuan("label", "--csv", "stock.csv", "--out", "stock.pdf")
    assert (done.status, done.out) == (2, "")
    assert done.err == BAD_ROWS + (
        "Error: table stock.csv: given 2 of 4 rows that make no label, "
        "expected none; --skip-bad-rows prints the others [INVALID_REQUEST]\n"
    )
    assert not Path("stock.pdf").exists()


def test_bad_rows_are_left_out_where_the_user_says_so(suyuan):
    Path("stock.csv").write_text(TABLE + "6901234567891,,,\nhello,pdf417,,\n")
    done = suyuan("label", "--csv", "stock.csv", "--skip-bad-rows", "--out", "stock.pdf")
    assert (done.status, done.err) == (1, BAD_ROWS)
    assert done.out == (
        "Drew stock.pdf (a4-3x8, labels: 3, pages: 1); each label reads back as it should.\n"
        "Left out 2 of 4 rows.\n"
    )
    assert suyuan.json("label", "--csv", "stock.csv", "--skip-bad-rows", "--out", "again.pdf").record[
        "bad_rows"
    ] == [4, 5]


def test_a_table_of_bad_rows_alone_makes_no_sheet(suyuan):
    Path("stock.csv").write_text("text\n6901234567891\n")
    done = suyuan("label", "--csv", "stock.csv", "--skip-bad-rows", "--out", "stock.pdf")
    assert (done.status, done.out) == (2, "")
    assert done.err.endswith("given 1 of 1 rows that make no label, expected none [INVALID_REQUEST]\n")
    assert not Path("stock.pdf").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--csv", "nowhere.csv"), "table nowhere.csv: given No such file or directory"),
        (("--csv", "."), "table .: given Is a directory"),
        (("--csv", "stock.csv", "--sheet", "avery-1"), "sheet: given avery-1, expected avery-l7651"),
        (
            ("--csv", "stock.csv", "--first", "25"),
            "first place on a sheet a4-3x8: given 25, expected 1 to 24",
        ),
        (
            ("--csv", "stock.csv", "--out", "stock.png"),
            "file stock.png: given suffix .png, expected .pdf for sheets",
        ),
        (("--csv", "other.csv"), "columns of a table of labels: given colour, expected text, and any of"),
    ],
)
def test_sheets_that_can_not_be(suyuan, arguments, message):
    Path("stock.csv").write_text(TABLE)
    Path("other.csv").write_text("text,colour\n")
    before = sorted(Path().iterdir())
    done = suyuan("label", "--out", "stock.pdf", *arguments)
    assert done.status == 2
    assert message in done.err
    assert sorted(Path().iterdir()) == before


def test_a_second_run_leaves_the_sheets_of_the_first(suyuan):
    Path("stock.csv").write_text(TABLE)
    Path("stock.pdf").write_text("mine")
    done = suyuan("label", "--csv", "stock.csv", "--out", "stock.pdf")
    assert done.status == 2
    assert "file stock.pdf: given a file that exists, expected a new file" in done.err
    assert Path("stock.pdf").read_text() == "mine"
