"""The public test pictures of two readers' own projects: what is read, and that nothing is made up."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import pytest

from scanner.decode import decode_image
from scanner.readers import zbar_available
from scanner.symbol import Symbol


@dataclass(frozen=True)
class Picture:
    entry: dict
    symbols: list[Symbol]
    expected_bytes: bytes | None

    @property
    def name(self) -> str:
        return self.entry["file"]

    @property
    def is_read(self) -> bool:
        if self.expected_bytes is not None:
            # The content is in no character set: it is compared byte by byte.
            return any(symbol.text.encode("iso-8859-1") == self.expected_bytes for symbol in self.symbols)
        expected = self.entry["expected"]
        if self.entry["symbology"] == "EAN-13+add-on":
            # The add-on is an issue or a price; the product is in the 13 digits before it.
            expected = expected[:13]
        return any(symbol.text == expected for symbol in self.symbols)


@pytest.fixture(scope="module")
def pictures(shared) -> list[Picture]:
    folder: Path = shared / "barcodes"
    found = []
    for entry in json.loads((folder / "MANIFEST.json").read_text())["images"]:
        path = folder / entry["file"]
        expected_file = entry.get("expected_file") or ""
        in_bytes = path.with_name(expected_file).read_bytes() if expected_file.endswith(".bin") else None
        found.append(Picture(entry, decode_image(path), in_bytes))
    assert len(found) == 148
    return found


def test_whatever_zxing_alone_is_recorded_to_read_is_read(pictures):
    floor = [picture for picture in pictures if picture.entry["zxingcpp_3_1_1"] == "ok"]
    assert len(floor) == 114
    assert [picture.name for picture in floor if not picture.is_read] == []


@pytest.mark.skipif(not zbar_available(), reason="libzbar is not installed")
def test_zbar_adds_what_it_alone_is_recorded_to_read(pictures):
    floor = [
        picture
        for picture in pictures
        if picture.entry["pyzbar_0_1_9"] == "ok" and picture.entry["zxingcpp_3_1_1"] != "ok"
    ]
    assert len(floor) == 8
    assert [picture.name for picture in floor if not picture.is_read] == []


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
