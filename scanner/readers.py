"""The two engines that read symbols: zxing-cpp, which reads everything, and zbar, a second opinion.

zbar comes through pyzbar, which needs the system's shared library libzbar and cannot even be imported without it.
Then zxing-cpp reads alone; `zbar_note` is the line to show a user.

zbar is asked only for what both engines tell alike and it reads well: EAN and UPC, ITF, Code 128 and QR. Of the
others, its DataBar and PDF417 decoders write to standard error, and its Code 39 keeps to another character set.
"""

from __future__ import annotations

from collections import deque
from functools import cache
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import zxingcpp
from zxingcpp import BarcodeFormat

from ledger.identifiers import gs1_check_digit
from scanner.symbol import Point, Reader, Symbol, Symbology

if TYPE_CHECKING:
    from PIL import Image

    from scanner.profile import Grey

_ZXING_SYMBOLOGIES: Final = {
    BarcodeFormat.EANUPC: Symbology.EAN_13,
    BarcodeFormat.ITF: Symbology.ITF,
    BarcodeFormat.Code128: Symbology.CODE_128,
    BarcodeFormat.Code39: Symbology.CODE_39,
    BarcodeFormat.Code93: Symbology.CODE_93,
    BarcodeFormat.Codabar: Symbology.CODABAR,
    BarcodeFormat.DataBar: Symbology.DATABAR,
    BarcodeFormat.DataMatrix: Symbology.DATA_MATRIX,
    BarcodeFormat.QRCode: Symbology.QR_CODE,
    BarcodeFormat.PDF417: Symbology.PDF417,
    BarcodeFormat.Aztec: Symbology.AZTEC,
}
_ZXING_FORMATS: Final = zxingcpp.BarcodeFormats(list(_ZXING_SYMBOLOGIES))

# ISO/IEC 15424: what the identifier says beyond the bars.
_MARKED: Final = {
    "]C1": Symbology.GS1_128,
    "]d2": Symbology.GS1_DATA_MATRIX,
    "]d5": Symbology.GS1_DATA_MATRIX,
    "]Q3": Symbology.GS1_QR,
    "]Q4": Symbology.GS1_QR,
    "]E4": Symbology.EAN_8,
}

# With an add-on, and the same without.
_WITH_ADD_ON: Final = {"]E3": "]E0", "]E7": "]E4"}

# By the names of `pyzbar.pyzbar.ZBarSymbol`: the symbology, and its identifier where it can be only one.
_ZBAR_SYMBOLOGIES: Final = {
    "EAN13": (Symbology.EAN_13, "]E0"),
    "EAN8": (Symbology.EAN_8, "]E4"),
    "I25": (Symbology.ITF, None),
    "CODE128": (Symbology.CODE_128, None),
    "QRCODE": (Symbology.QR_CODE, None),
}

ZBAR_FAMILIES: Final = frozenset(symbology.family for symbology, _ in _ZBAR_SYMBOLOGIES.values())
"""What zbar can be asked for."""

# How many places a symbol's own upper left corner lies clockwise of the picture's.
_QUARTER_TURNS: Final = {"UP": 0, "RIGHT": 1, "DOWN": 2, "LEFT": 3}

_LEAST_SCAN_LINES: Final = 2
"""What zbar saw along a single line of pixels only is more often noise than bars."""


def read_with_zxing(grey: Grey | Image.Image, *, global_threshold: bool = False) -> list[Symbol]:
    """The symbols that zxing-cpp finds on grey pixels, upright, on their sides or upside down.

    Args:
        grey: a picture of mode `L`, or its pixels.
        global_threshold: cut at one level for the whole picture instead of one for each place.
    """
    binarizer = zxingcpp.Binarizer.GlobalHistogram if global_threshold else zxingcpp.Binarizer.LocalAverage
    found = zxingcpp.read_barcodes(
        grey,
        formats=_ZXING_FORMATS,
        # Plain text keeps GS1 separators and adds no brackets.
        text_mode=zxingcpp.TextMode.Plain,
        binarizer=binarizer,
        ean_add_on_symbol=zxingcpp.EanAddOnSymbol.Read,
    )
    return [_from_zxing(barcode) for barcode in found]


def read_with_zbar(grey: Grey | Image.Image, *, like: Symbology | None = None) -> list[Symbol]:
    """The symbols that zbar finds on a picture of mode `L`, or on its pixels; none where libzbar is missing.

    Args:
        grey: a picture of mode `L`, or its pixels.
        like: look only for bars if this symbology has bars, and else for nothing else.
    """
    zbar = _zbar()
    if zbar is None:
        return []
    wanted = [
        zbar.ZBarSymbol[name]
        for name, (symbology, _) in _ZBAR_SYMBOLOGIES.items()
        if like is None or symbology.corrects_errors == like.corrects_errors
    ]
    pixels = np.asarray(grey)
    height, width = pixels.shape
    found = zbar.decode((pixels.tobytes(), width, height), symbols=wanted)
    return [
        _from_zbar(decoded)
        for decoded in found
        if decoded.type == "QRCODE" or decoded.quality >= _LEAST_SCAN_LINES
    ]


def zbar_available() -> bool:
    """Whether zbar can be asked: pyzbar is installed and finds libzbar."""
    return _zbar() is not None


def zbar_note() -> str | None:
    """One line for the user where zbar is missing, else None."""
    if zbar_available():
        return None
    return "libzbar is not installed (Debian and Ubuntu: libzbar0, macOS: zbar); zxing-cpp reads alone"


@cache
def _zbar() -> Any:
    """`pyzbar.pyzbar`, or None; looked for once, when first asked for, since the search starts processes."""
    try:
        from pyzbar import pyzbar  # noqa: PLC0415 - cannot be imported without libzbar
    except (ImportError, OSError):
        return None
    return pyzbar


def _from_zxing(barcode: zxingcpp.Barcode) -> Symbol:
    text = barcode.text or barcode.bytes.decode("iso-8859-1")
    mark = barcode.symbology_identifier
    # Of some it tells the add-on both here and at the end of the text, of others only here.
    extra: Any = barcode.extra
    add_on: str | None = extra.get("EanAddOn") if extra else None
    if add_on is not None and mark in _WITH_ADD_ON:
        text, mark = text.removesuffix(add_on), _WITH_ADD_ON[mark]
    if barcode.format == BarcodeFormat.UPCE:
        symbology = Symbology.UPC_E
    else:
        symbology = _refined(_ZXING_SYMBOLOGIES[barcode.symbology], mark, text)
    position = _corners(barcode.position, symbology)
    return Symbol(symbology, text, mark, (Reader.ZXING,), position, add_on=add_on)


def _corners(found: zxingcpp.Position, symbology: Symbology) -> tuple[Point, Point, Point, Point]:
    """The corners as `Symbol.position` has them."""
    upper_left = Point(found.top_left.x, found.top_left.y)
    upper_right = Point(found.top_right.x, found.top_right.y)
    lower_right = Point(found.bottom_right.x, found.bottom_right.y)
    lower_left = Point(found.bottom_left.x, found.bottom_left.y)
    across_x, across_y = upper_right.x - upper_left.x, upper_right.y - upper_left.y
    down_x, down_y = lower_left.x - upper_left.x, lower_left.y - upper_left.y
    if not symbology.corrects_errors and across_x * down_y < across_y * down_x:
        # Lines read upside down come as if seen in a mirror: left and right changed places, up and down did not.
        return lower_left, lower_right, upper_right, upper_left
    return upper_left, upper_right, lower_right, lower_left


def _from_zbar(decoded: Any) -> Symbol:
    symbology, mark = _ZBAR_SYMBOLOGIES[decoded.type]
    try:
        text = decoded.data.decode()
    except UnicodeDecodeError:
        text = decoded.data.decode("iso-8859-1")
    left, top, width, height = decoded.rect
    right, bottom = left + width, top + height
    box = deque((Point(left, top), Point(right, top), Point(right, bottom), Point(left, bottom)))
    box.rotate(-_QUARTER_TURNS.get(decoded.orientation, 0))
    position = (box[0], box[1], box[2], box[3])
    return Symbol(_refined(symbology, mark, text), text, mark, (Reader.ZBAR,), position)


def _refined(symbology: Symbology, mark: str | None, text: str) -> Symbology:
    """What more is known of a symbol of that family from its mark and its text."""
    if mark in _MARKED:
        return _MARKED[mark]
    if symbology is Symbology.EAN_13 and text.startswith("0"):
        return Symbology.UPC_A
    if symbology is Symbology.ITF and len(text) == 14 and text[-1] == gs1_check_digit(text[:-1]):
        return Symbology.ITF_14
    return symbology
