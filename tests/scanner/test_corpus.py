"""The public test pictures of two readers' own projects: what is read, and that nothing is made up.

All looks are taken at each picture, however long that takes: what is read must not depend on the machine.
"""

from __future__ import annotations

import json
import math
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from scanner.decode import decode_grey, decode_image
from scanner.picture import load_picture
from scanner.profile import measure
from scanner.readers import read_with_zbar, read_with_zxing, zbar_available
from scanner.symbol import Confidence, Reader, Symbol

READ = 134
UNDISPUTED = 130

needs_zbar = pytest.mark.skipif(not zbar_available(), reason="libzbar is not installed")


@dataclass(frozen=True)
class Picture:
    entry: dict
    symbols: list[Symbol]
    expected: str | None

    @property
    def name(self) -> str:
        return self.entry["file"]

    @property
    def right(self) -> list[Symbol]:
        return [symbol for symbol in self.symbols if symbol.text == self.expected]

    @property
    def wrong(self) -> list[Symbol]:
        return [symbol for symbol in self.symbols if symbol.text != self.expected]


def expected_text(path: Path, entry: dict) -> str | None:
    expected_file = entry.get("expected_file") or ""
    if expected_file.endswith(".bin"):
        # The content is in no character set.
        return path.with_name(expected_file).read_bytes().decode("iso-8859-1")
    if entry["symbology"] == "EAN-13+add-on":
        # The add-on is an issue or a price; the product is in the 13 digits before it.
        return entry["expected"][:13]
    return entry["expected"]


@pytest.fixture(scope="module")
def pictures(shared) -> list[Picture]:
    folder: Path = shared / "barcodes"
    found = []
    for entry in json.loads((folder / "MANIFEST.json").read_text())["images"]:
        path = folder / entry["file"]
        found.append(Picture(entry, decode_image(path, patience_s=math.inf), expected_text(path, entry)))
    assert len(found) == 148
    return found


@pytest.fixture(scope="module")
def single(pictures) -> list[Picture]:
    """Pictures of one code whose text is known: one more has none that anybody could read."""
    return [
        picture
        for picture in pictures
        if picture.entry["symbology"] != "multiple" and "/falsepositives-" not in picture.name
    ]


def test_whatever_zxing_alone_is_recorded_to_read_is_read(pictures):
    floor = [picture for picture in pictures if picture.entry["zxingcpp_3_1_1"] == "ok"]
    assert len(floor) == 114
    assert [picture.name for picture in floor if not picture.right] == []


@needs_zbar
def test_zbar_adds_what_it_alone_is_recorded_to_read(pictures):
    floor = [
        picture
        for picture in pictures
        if picture.entry["pyzbar_0_1_9"] == "ok" and picture.entry["zxingcpp_3_1_1"] != "ok"
    ]
    assert len(floor) == 8
    assert [picture.name for picture in floor if not picture.right] == []


@needs_zbar
def test_more_than_94_of_100_are_read_right(single):
    """Of 142 pictures with a code, two hold several and are counted by a test of their own."""
    assert len(single) == 140
    assert sum(bool(picture.right) for picture in single) >= READ
    undisputed = [
        picture
        for picture in single
        if any(symbol.confidence is not Confidence.DISPUTED for symbol in picture.right)
    ]
    assert len(undisputed) >= UNDISPUTED


def test_no_wrong_text_is_agreed_or_alone(single):
    """A check digit holds in each of these."""
    wrong = [symbol for picture in single for symbol in picture.wrong]
    assert Counter(symbol.confidence for symbol in wrong) == Counter({Confidence.DISPUTED: len(wrong)})


@needs_zbar
def test_two_readers_that_agree_on_a_wrong_number_are_stopped_by_the_widths_of_the_modules(shared):
    """Bars printed too thin by a third of a module: 1 looks like 7 and 2 like 7 to who compares single bars."""
    for name in ("1.webp", "2.webp"):
        grey = np.asarray(load_picture(shared / "barcodes" / "zxing-cpp" / "upca-4" / name))
        (by_zxing,), (by_zbar,) = read_with_zxing(grey), read_with_zbar(grey)
        assert by_zxing.text == by_zbar.text == "9074932437075"
        for place in (by_zxing.position, by_zbar.position):
            widths = measure(grey, place, 13)
            assert (widths.is_good, widths.text) == (True, "0023942431015")
        told = {symbol.text: symbol for symbol in decode_grey(grey)}
        assert set(told) == {"9074932437075", "0023942431015"}
        assert {symbol.confidence for symbol in told.values()} == {Confidence.DISPUTED}
        assert told["0023942431015"].readers == (Reader.PROFILE,)


def test_the_widths_of_the_modules_are_never_wrong_where_they_say_anything(shared, single):
    """Of each EAN or UPC in the place of each reading, right or wrong."""
    said = []
    for picture in single:
        if not picture.entry["symbology"].startswith(("EAN", "UPC")):
            continue
        grey = np.asarray(load_picture(shared / "barcodes" / picture.name))
        for symbol in read_with_zxing(grey) + read_with_zbar(grey):
            if symbol.symbology in {"EAN_13", "EAN_8", "UPC_A"}:
                widths = measure(grey, symbol.position, len(symbol.text))
                said.append((widths.is_good, widths.text == picture.expected))
    assert Counter(right for is_good, right in said if is_good).keys() == {True}
    assert sum(is_good for is_good, _ in said) > len(said) * 0.8


def test_pictures_of_several_symbols_give_as_many(pictures):
    several = {
        picture.name: len(picture.symbols) for picture in pictures if picture.entry["symbology"] == "multiple"
    }
    assert several == {"zxing-cpp/multi-1/#360.png": 4, "zxing-cpp/multi-1/1.png": 2}


def test_pictures_without_a_symbol_give_none(pictures):
    empty = [picture for picture in pictures if "/falsepositives-" in picture.name]
    assert len(empty) == 6
    assert [picture.name for picture in empty if picture.symbols] == []


def test_corners_lie_on_the_picture(pictures):
    for picture in pictures:
        width, height = picture.entry["size"]
        for symbol in picture.symbols:
            # Of a DataBar, zxing-cpp reckons the guard bars in that may have been cut off.
            for x, y in symbol.position:
                assert -5 <= x <= width + 5, picture.name
                assert -5 <= y <= height + 5, picture.name
