"""Each engine by itself: what it calls what it sees, where it says it lies, and what it keeps to itself."""

from __future__ import annotations

import json
import subprocess
import sys

import numpy as np
import pytest
import zxingcpp
from PIL import Image
from zxingcpp import BarcodeFormat

from scanner.labels import draw_label
from scanner.readers import _from_zbar, read_with_zbar, read_with_zxing, zbar_available, zbar_note
from scanner.symbol import Reader, Symbol, Symbology

needs_zbar = pytest.mark.skipif(not zbar_available(), reason="libzbar is not installed")

GS1 = "(01)06901234567892(10)LOT1(21)S2"
GS1_AS_READ = "010690123456789210LOT1\x1d21S2"


def drawn(form: BarcodeFormat, content: str | bytes, **options: object) -> Image.Image:
    return Image.fromarray(np.array(zxingcpp.create_barcode(content, form, **options).to_image(scale=4)))


def only(symbols: list[Symbol]) -> Symbol:
    assert len(symbols) == 1
    return symbols[0]


@pytest.mark.parametrize(
    ("form", "content", "symbology", "text", "mark"),
    [
        (BarcodeFormat.EAN13, "6901234567892", Symbology.EAN_13, "6901234567892", "]E0"),
        (BarcodeFormat.EAN8, "12345670", Symbology.EAN_8, "12345670", "]E4"),
        (BarcodeFormat.UPCA, "012345678905", Symbology.UPC_A, "0012345678905", "]E0"),
        (BarcodeFormat.UPCE, "01234565", Symbology.UPC_E, "0012345000065", "]E0"),
        (BarcodeFormat.ITF, "123456", Symbology.ITF, "123456", "]I0"),
        (BarcodeFormat.ITF, "16901234567890", Symbology.ITF, "16901234567890", "]I0"),
        (BarcodeFormat.ITF, "16901234567899", Symbology.ITF_14, "16901234567899", "]I1"),
        (BarcodeFormat.Code128, "SF1234567890123", Symbology.CODE_128, "SF1234567890123", "]C0"),
        (BarcodeFormat.Code39, "ABC-12", Symbology.CODE_39, "ABC-12", "]A0"),
        (BarcodeFormat.Code93, "ABC12", Symbology.CODE_93, "ABC12", "]G0"),
        (BarcodeFormat.Codabar, "A1234B", Symbology.CODABAR, "A1234B", "]F0"),
        (BarcodeFormat.DataBarOmni, "06901234567892", Symbology.DATABAR, "0106901234567892", "]e0"),
        (
            BarcodeFormat.DataBarExp,
            "(01)06901234567892(10)LOT1",
            Symbology.DATABAR,
            "010690123456789210LOT1",
            "]e0",
        ),
        (BarcodeFormat.DataMatrix, "hello", Symbology.DATA_MATRIX, "hello", "]d1"),
        (BarcodeFormat.QRCode, "https://example.com/a", Symbology.QR_CODE, "https://example.com/a", "]Q1"),
        (BarcodeFormat.MicroQRCode, "12345", Symbology.QR_CODE, "12345", "]Q1"),
        (BarcodeFormat.PDF417, "hello", Symbology.PDF417, "hello", "]L2"),
        (BarcodeFormat.Aztec, "hello", Symbology.AZTEC, "hello", "]z0"),
    ],
)
def test_zxing_names_each_symbology(form, content, symbology, text, mark):
    symbol = only(read_with_zxing(drawn(form, content)))
    assert (symbol.symbology, symbol.text, symbol.symbology_identifier) == (symbology, text, mark)
    assert symbol.readers == (Reader.ZXING,)


@pytest.mark.parametrize(
    ("form", "symbology", "mark"),
    [
        (BarcodeFormat.Code128, Symbology.GS1_128, "]C1"),
        (BarcodeFormat.DataMatrix, Symbology.GS1_DATA_MATRIX, "]d2"),
        (BarcodeFormat.QRCode, Symbology.GS1_QR, "]Q3"),
    ],
)
def test_zxing_tells_gs1_and_keeps_its_separators(form, symbology, mark):
    symbol = only(read_with_zxing(drawn(form, GS1, gs1=True)))
    assert (symbol.symbology, symbol.text, symbol.symbology_identifier) == (symbology, GS1_AS_READ, mark)


def test_bytes_in_no_character_set_stand_as_latin_1():
    symbol = only(read_with_zxing(drawn(BarcodeFormat.QRCode, b"\x01\x02\xff\x00")))
    assert symbol.text.encode("iso-8859-1") == b"\x01\x02\xff\x00"


@needs_zbar
@pytest.mark.parametrize(
    ("form", "content", "symbology", "text", "mark"),
    [
        (BarcodeFormat.EAN13, "6901234567892", Symbology.EAN_13, "6901234567892", "]E0"),
        (BarcodeFormat.EAN8, "12345670", Symbology.EAN_8, "12345670", "]E4"),
        (BarcodeFormat.UPCA, "012345678905", Symbology.UPC_A, "0012345678905", "]E0"),
        (BarcodeFormat.UPCE, "01234565", Symbology.UPC_A, "0012345000065", "]E0"),
        (BarcodeFormat.ITF, "123456", Symbology.ITF, "123456", None),
        (BarcodeFormat.ITF, "16901234567899", Symbology.ITF_14, "16901234567899", None),
        (BarcodeFormat.Code128, "SF1234567890123", Symbology.CODE_128, "SF1234567890123", None),
        (BarcodeFormat.QRCode, "溯源", Symbology.QR_CODE, "溯源", None),
    ],
)
def test_zbar_names_what_the_bars_tell(form, content, symbology, text, mark):
    symbol = only(read_with_zbar(drawn(form, content)))
    assert (symbol.symbology, symbol.text, symbol.symbology_identifier) == (symbology, text, mark)
    assert symbol.readers == (Reader.ZBAR,)


@needs_zbar
@pytest.mark.parametrize(
    "image",
    [
        drawn(BarcodeFormat.Code39, "ABC-12"),
        drawn(BarcodeFormat.Codabar, "A1234B"),
        drawn(BarcodeFormat.DataBarOmni, "06901234567892"),
        drawn(BarcodeFormat.PDF417, "hello"),
    ],
    ids=["code 39", "codabar", "databar", "pdf417"],
)
def test_zbar_is_not_asked_for_what_it_reads_its_own_way(image):
    assert read_with_zbar(image) == []


@needs_zbar
@pytest.mark.parametrize(("content", "text"), [("溯".encode(), "溯"), (b"\xb5\xff", "\xb5\xff")])
def test_bytes_from_zbar_are_utf_8_or_stand_as_latin_1(content, text):
    from pyzbar.pyzbar import Decoded, Point, Rect

    square = [Point(0, 0), Point(9, 0), Point(9, 9), Point(0, 9)]
    decoded = Decoded(content, "QRCODE", Rect(0, 0, 9, 9), square, 1, "UP")
    assert _from_zbar(decoded).text == text


@needs_zbar
def test_what_zbar_saw_along_one_line_only_is_no_symbol():
    label = draw_label("SF1234567890123")
    bars = label.crop((0, 60, label.width, 61))
    on_white = Image.new("L", (label.width, 121), 255)
    on_white.paste(bars, (0, 60))
    assert read_with_zbar(on_white) == []
    taller = on_white.copy()
    taller.paste(bars.resize((label.width, 9)), (0, 56))
    assert only(read_with_zbar(taller)).text == "SF1234567890123"


@pytest.mark.parametrize("read", [read_with_zxing, pytest.param(read_with_zbar, marks=needs_zbar)])
@pytest.mark.parametrize("text", ["6901234567892", "SF1234567890123", "https://example.com/"])
@pytest.mark.parametrize("quarter_turns", [0, 1, 2, 3])
def test_corners_turn_with_the_symbol(read, text, quarter_turns):
    """The corners begin with the symbol's own upper left one, wherever on the picture that has come to lie."""
    label = draw_label(text)
    upright = only(read(label)).position
    clockwise = np.rot90(np.asarray(label), -quarter_turns)
    turned = only(read(Image.fromarray(np.ascontiguousarray(clockwise)))).position
    expected = [tuple(corner) for corner in upright]
    height = label.height
    width = label.width
    for _ in range(quarter_turns):
        expected = [(height - 1 - y, x) for x, y in expected]
        height, width = width, height
    # zbar tells the lines it scanned along, so that its box ends a little within the bars.
    assert np.abs(np.array(turned) - np.array(expected)).max() <= 6


BLOCKED = """
import importlib.abc, sys
class Blocker(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path, target=None):
        if name.partition(".")[0] == "pyzbar":
            raise ImportError(name)
sys.meta_path.insert(0, Blocker())
"""
LIBRARY_MISSING = """
import ctypes.util
ctypes.util.find_library = lambda name: None
"""
LIBRARY_BROKEN = """
import ctypes.util
ctypes.util.find_library = lambda name: "libthere-is-no-such-library.so.0"
"""
STORY = """
import json
from scanner.decode import decode_pixels
from scanner.labels import draw_label
from scanner.readers import zbar_available, zbar_note
symbols = decode_pixels(draw_label("SF1234567890123"))
print(json.dumps([zbar_available(), zbar_note(), [[s.text, s.readers] for s in symbols]]))
"""


@pytest.mark.parametrize(
    "absence", [BLOCKED, LIBRARY_MISSING, LIBRARY_BROKEN], ids=["pyzbar", "libzbar", "broken"]
)
def test_without_zbar_zxing_reads_alone(absence):
    run = subprocess.run(
        [sys.executable, "-W", "error", "-c", absence + STORY], capture_output=True, text=True, check=False
    )
    assert run.stderr == ""
    assert json.loads(run.stdout) == [
        False,
        "libzbar is not installed (Debian and Ubuntu: libzbar0, macOS: zbar); zxing-cpp reads alone",
        [["SF1234567890123", ["zxing-cpp"]]],
    ]


@needs_zbar
def test_with_zbar_there_is_no_note():
    assert zbar_note() is None
