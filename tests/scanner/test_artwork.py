"""What is printed, dot by dot, on paper and in SVG."""

from __future__ import annotations

import re
from itertools import pairwise
from xml.etree import ElementTree as ET

import numpy as np
import pytest
from PIL import Image, ImageDraw

from scanner.artwork import Artwork, Box
from scanner.decode import decode_pixels
from scanner.encode import DRAWABLE, encode
from scanner.labels import write_label
from scanner.symbol import Symbology

SVG = "{http://www.w3.org/2000/svg}"

CONTENTS = {
    Symbology.EAN_13: "6901234567892",
    Symbology.EAN_8: "96385074",
    Symbology.UPC_A: "012345678905",
    Symbology.ITF_14: "16901234567899",
    Symbology.CODE_128: "SF1234567890123",
    Symbology.GS1_128: "010690123456789210A7\x1d21S2",
    Symbology.QR_CODE: "https://example.com/",
    Symbology.GS1_DATA_MATRIX: "010690123456789210A7\x1d21S2",
}

GS1 = {Symbology.GS1_128, Symbology.GS1_DATA_MATRIX}

# GS1 General Specifications §5.2 to §5.4, §5.6 and §5.7, ISO/IEC 15417: width of the symbol, and of the white before and
# after it, all in modules; and the dots of a module at 300 dpi.
MODULES = {
    Symbology.EAN_13: (95, 11, 7, 4),
    Symbology.EAN_8: (67, 7, 7, 4),
    Symbology.UPC_A: (95, 9, 9, 4),
    Symbology.ITF_14: (120.5, 10, 10, 6),
    Symbology.CODE_128: (None, 10, 10, 4),
    Symbology.GS1_128: (None, 10, 10, 6),
    Symbology.QR_CODE: (25, 4, 4, 8),
    Symbology.GS1_DATA_MATRIX: (18, 1, 1, 6),
}


def test_every_symbology_is_tried_here():
    assert set(CONTENTS) == set(MODULES) == set(DRAWABLE)


@pytest.mark.parametrize("symbology", DRAWABLE)
def test_widths_and_quiet_zones_are_those_of_the_standard(symbology):
    bars = encode(symbology, CONTENTS[symbology])
    modules, before, after, dots = MODULES[symbology]
    first = min(box.x for box in bars.boxes)
    last = max(box.x + box.width for box in bars.boxes)
    assert first == before * dots
    assert bars.width - last == after * dots
    if modules is not None:
        assert last - first == modules * dots


@pytest.mark.parametrize("symbology", [Symbology.CODE_128, Symbology.GS1_128])
def test_a_long_symbol_is_printed_finer_and_stays_within_165_mm(symbology):
    long = encode(symbology, "10" + "Ab1" * 15)
    finest = min(box.width for box in long.boxes)
    assert finest == 3
    assert min(box.x for box in long.boxes) == 10 * finest
    assert long.width * 25.4 / 300 <= 165.10


def test_an_itf_14_has_bearer_bars_above_and_below():
    bars = encode(Symbology.ITF_14, CONTENTS[Symbology.ITF_14])
    bearers = [box for box in bars.boxes if box.width > 700]
    assert [(box.y, box.height) for box in bearers] == [(0, 12), (bars.height - 12, 12)]


def test_bars_never_touch_or_overlap():
    for symbology in set(DRAWABLE) - {Symbology.ITF_14, Symbology.QR_CODE, Symbology.GS1_DATA_MATRIX}:
        boxes = sorted(encode(symbology, CONTENTS[symbology]).boxes)
        assert all(left.x + left.width < right.x for left, right in pairwise(boxes))


def test_a_symbol_and_its_caption():
    artwork = Artwork.compose([Box(40, 0, 20, 50)], width=100, height=50, caption="AB")
    assert (artwork.width, artwork.height) == (100, 12 + 50 + 12 + 36 + 12)
    assert artwork.boxes == (Box(40, 12, 20, 50),)
    pixels = np.asarray(artwork.to_pixels())
    assert pixels[12:62, 40:60].max() == 0
    assert pixels[:12].min() == pixels[62:74].min() == pixels[-12:].min() == 255
    letters = pixels[74:110]
    assert letters.min() == 0
    assert letters[:, :30].min() == letters[:, 70:].min() == 255


def test_without_a_caption_there_is_no_room_for_one():
    artwork = Artwork.compose([], width=100, height=50, caption="")
    assert (artwork.width, artwork.height, artwork.lines) == (100, 74, ())


def test_a_caption_widens_a_narrow_label_and_then_is_broken():
    artwork = Artwork.compose([Box(0, 0, 10, 10)], width=10, height=10, caption="short\n" + "x" * 30)
    assert [line.text for line in artwork.lines] == ["short", "x" * 24, "x" * 6]
    assert artwork.width == 24 * 18 + 2 * 12
    assert artwork.boxes == (Box((artwork.width - 10) // 2, 12, 10, 10),)


def test_the_picture_knows_its_size_in_print():
    assert Artwork.compose([], width=300, height=276, caption="").to_pixels().info["dpi"] == (300, 300)


def test_svg_is_in_millimetres_and_escapes_its_text():
    svg = ET.fromstring(Artwork.compose([], width=300, height=276, caption="<&\"' >").to_svg().encode())
    assert (svg.get("width"), svg.get("height"), svg.get("viewBox")) == (
        "25.400mm",
        "29.464mm",
        "0 0 300 348",
    )
    assert [text.text for text in svg.iter(f"{SVG}text")] == ["<&\"' >"]


@pytest.mark.parametrize("symbology", DRAWABLE)
def test_svg_has_the_same_bars_as_the_pixels_and_is_read(tmp_path, symbology):
    text = "(01)06901234567892(10)A7(21)S2" if symbology in GS1 else CONTENTS[symbology]
    write_label(tmp_path / "label.svg", text, symbology)
    svg = ET.parse(tmp_path / "label.svg").getroot()
    _, _, width, height = map(int, svg.attrib["viewBox"].split())
    image = Image.new("L", (width, height), 255)
    draw = ImageDraw.Draw(image)
    outline = svg.find(f"{SVG}path").attrib["d"]
    boxes = re.findall(r"M(\d+) (\d+)h(\d+)v(\d+)h-(\d+)z", outline)
    assert "".join(f"M{x} {y}h{w}v{h}h-{back}z" for x, y, w, h, back in boxes) == outline
    for x, y, w, h, back in (map(int, box) for box in boxes):
        assert w == back
        draw.rectangle((x, y, x + w - 1, y + h - 1), fill=0)
    (symbol,) = decode_pixels(image)
    assert symbol.symbology is symbology
