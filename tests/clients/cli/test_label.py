from __future__ import annotations

from pathlib import Path

import pytest

from scanner.decode import decode_image
from scanner.symbol import Symbology


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
