"""Both readers together: one symbol told once, from pictures as people take them."""

from __future__ import annotations

import math
from dataclasses import replace

import cv2
import numpy as np
import pytest
import zxingcpp
from PIL import Image, ImageFilter

from ledger.errors import BadInput
from scanner.decode import decode_grey, decode_image, decode_pages, decode_pixels
from scanner.labels import draw_label, write_label
from scanner.readers import read_with_zxing, zbar_available
from scanner.symbol import Confidence, Reader, Symbology

needs_zbar = pytest.mark.skipif(not zbar_available(), reason="libzbar is not installed")

LABELS = {
    "EAN-13": "6901234567892",
    "EAN-8": "96385074",
    "UPC-A": "012345678905",
    "ITF-14": "16901234567899",
    "Code 128": "SF1234567890123",
    "GS1-128": "(01)06901234567892(10)A7",
    "QR code": "01/06901234567892/21/S-1",
}
AS_READ = {
    "6901234567892": "6901234567892",
    "96385074": "96385074",
    "012345678905": "0012345678905",
    "16901234567899": "16901234567899",
    "SF1234567890123": "SF1234567890123",
    "(01)06901234567892(10)A7": "010690123456789210A7",
    "01/06901234567892/21/S-1": "https://id.gs1.org/01/06901234567892/21/S-1",
}


def turned(degrees: float):
    return lambda image: image.rotate(degrees, Image.Resampling.BICUBIC, expand=True, fillcolor=255)


def scaled(factor: float):
    return lambda image: image.resize(
        (round(image.width * factor), round(image.height * factor)), Image.Resampling.LANCZOS
    )


def noisy(deviation: float):
    def add_noise(image):
        noise = np.random.default_rng(11).normal(0, deviation, (image.height, image.width))
        return Image.fromarray(np.clip(np.asarray(image) + noise, 0, 255).astype(np.uint8))

    return add_noise


def pale(image):
    return image.point(lambda level: 90 + level * 80 // 255)


def in_a_corner(image):
    page = Image.new("L", (image.width * 2, image.height * 2), 200)
    page.paste(image, (image.width - 40, image.height - 30))
    return page


def photographed(image):
    return noisy(12)(turned(8)(scaled(0.8)(image)).filter(ImageFilter.GaussianBlur(1)))


DISTORTIONS = {
    "as printed": lambda image: image,
    "3 degrees": turned(3),
    "12 degrees": turned(12),
    "90 degrees": turned(90),
    "180 degrees": turned(180),
    "270 degrees": turned(270),
    "half the size": scaled(0.5),
    "uneven size": scaled(0.73),
    "double the size": scaled(2),
    "blurred": lambda image: image.filter(ImageFilter.GaussianBlur(1.5)),
    "noisy": noisy(18),
    "pale": pale,
    "in a corner": in_a_corner,
    "coloured": lambda image: Image.merge("RGB", (image, image, image.point(lambda level: level // 2))),
    "photographed": photographed,
}


@pytest.mark.parametrize("text", LABELS.values(), ids=LABELS)
@pytest.mark.parametrize("distorted", DISTORTIONS.values(), ids=DISTORTIONS)
def test_own_labels_survive(text, distorted):
    symbols = decode_pixels(distorted(draw_label(text)))
    assert [symbol.text for symbol in symbols] == [AS_READ[text]]


@pytest.mark.parametrize("text", LABELS.values(), ids=LABELS)
@pytest.mark.parametrize("degrees", [30, 45, 130])
def test_bars_survive_any_angle(text, degrees):
    """Of an ITF, a line that crosses it slantwise gives a part, which is an ITF too."""
    symbols = decode_pixels(turned(degrees)(draw_label(text)), patience_s=math.inf)
    assert [symbol.text for symbol in symbols] == [AS_READ[text]]


@pytest.mark.parametrize("text", LABELS.values(), ids=LABELS)
def test_light_bars_on_dark(text):
    symbols = decode_pixels(draw_label(text).point(lambda level: 255 - level), patience_s=math.inf)
    assert [symbol.text for symbol in symbols] == [AS_READ[text]]


@pytest.mark.parametrize("text", ["SF1234567890123", "https://example.com/"])
@pytest.mark.parametrize("degrees", [0, 45, 90, 180, 225, 300])
def test_orientation_is_that_of_the_symbol(text, degrees):
    # Pillow turns the other way round.
    (symbol,) = decode_pixels(turned(-degrees)(draw_label(text)), patience_s=math.inf)
    off = (symbol.orientation - degrees) % 360
    assert min(off, 360 - off) <= 3


def test_where_bars_lie_is_told_on_the_picture_as_it_was():
    """Seen only where it was turned."""
    label = turned(-40)(draw_label("SF1234567890123"))
    (symbol,) = decode_pixels(label, patience_s=math.inf)
    middle = np.mean(np.array(symbol.position), axis=0)
    assert np.abs(middle - np.array(label.size) / 2).max() < 60


def test_bars_printed_too_thin_are_no_other_number():
    """As ink is lacking, both readers take a 2 for a 7 and the check digit holds; here it does not come to that."""
    from scanner.ean import EAN_13
    from scanner.encode import _pattern

    for text in ("0023942431015", "6901234567892", "9781558604971"):
        modules = _pattern(Symbology.EAN_13, text).replace("G", "1")
        assert len(modules) == EAN_13.modules
        fine = np.repeat(np.array([255 * (module == "0") for module in modules], dtype=np.uint8), 20)
        for gain in (-8, 8):
            # Every bar is wider or narrower by 8 of 20 parts of a module.
            row = (
                cv2.erode(fine[None], np.ones((1, 9), np.uint8))
                if gain > 0
                else cv2.dilate(fine[None], np.ones((1, 9), np.uint8))
            )
            printed = np.pad(
                np.repeat(row, 60 * 20 // 4, axis=0), ((200, 200), (240, 240)), constant_values=255
            )
            grey = cv2.resize(printed, None, fx=0.15, fy=0.15, interpolation=cv2.INTER_AREA)
            symbols = decode_grey(grey, patience_s=math.inf)
            assert [
                symbol for symbol in symbols if symbol.text != text and symbol.confidence != "disputed"
            ] == []
            assert text in {symbol.text for symbol in symbols}


def test_no_time_at_all_is_enough_for_one_look():
    label = draw_label("6901234567892")
    assert decode_pixels(label, patience_s=0) == decode_pixels(label)
    assert decode_pixels(turned(45)(label), patience_s=0) == []


def test_an_add_on_is_told_beside_the_number_that_identifies(shared):
    found = {
        name: decode_image(shared / "barcodes" / "zxing-cpp" / "ean13-extension-1" / name)
        for name in ("1.png", "32.webp")
    }
    assert {
        name: [(symbol.text, symbol.add_on, symbol.symbology_identifier) for symbol in symbols]
        for name, symbols in found.items()
    } == {"1.png": [("9780735200449", "51299", "]E0")], "32.webp": [("9780393058673", "52395", "]E0")]}


def test_each_page_is_read(tmp_path):
    labels = [draw_label(text).convert("RGB") for text in ("6901234567892", "SF1234567890123")]
    labels[0].save(tmp_path / "pages.tif", save_all=True, append_images=labels[1:])
    labels[0].save(tmp_path / "pages.pdf", save_all=True, append_images=labels[1:], resolution=300)
    for name in ("pages.pdf", "pages.tif"):
        pages = [[symbol.text for symbol in page] for page in decode_pages(tmp_path / name)]
        assert pages == [["6901234567892"], ["SF1234567890123"]]


@pytest.mark.parametrize("degrees", [17, 45, 100])
def test_qr_codes_survive_any_angle(degrees):
    (symbol,) = decode_pixels(turned(degrees)(draw_label("https://example.com/")))
    assert symbol.text == "https://example.com/"


def test_qr_codes_survive_white_on_black():
    (symbol,) = decode_pixels(draw_label("https://example.com/").point(lambda level: 255 - level))
    assert symbol.text == "https://example.com/"


def test_many_symbols_on_one_picture():
    page = Image.new("L", (2200, 2800), 255)
    y = 20
    for text in LABELS.values():
        label = draw_label(text)
        page.paste(label, (40, y))
        y += label.height
    assert {symbol.text for symbol in decode_pixels(page)} == set(AS_READ.values())


@needs_zbar
@pytest.mark.parametrize("text", LABELS.values(), ids=LABELS)
def test_what_all_read_is_told_once_with_all_names(text):
    label = draw_label(text)
    (symbol,) = decode_pixels(label)
    (alone,) = read_with_zxing(label)
    measured = alone.symbology in {Symbology.EAN_13, Symbology.EAN_8, Symbology.UPC_A}
    readers = (Reader.ZXING, Reader.ZBAR, *([Reader.PROFILE] if measured else []))
    assert symbol == replace(alone, readers=readers, confidence=Confidence.AGREED)


def test_one_text_printed_twice_is_one_symbol():
    label = draw_label("6901234567892")
    page = Image.new("L", (label.width, label.height * 3), 255)
    page.paste(label, (0, 0))
    page.paste(label, (0, label.height * 2))
    assert [symbol.text for symbol in decode_pixels(page)] == ["6901234567892"]


@needs_zbar
def test_one_qr_code_of_which_the_readers_guess_different_character_sets_is_one_symbol():
    barcode = zxingcpp.create_barcode("溯源".encode("gb18030"), zxingcpp.BarcodeFormat.QRCode)
    picture = Image.fromarray(np.array(barcode.to_image(scale=4)))
    (symbol,) = decode_pixels(picture)
    (alone,) = read_with_zxing(picture)
    assert symbol == replace(alone, readers=(Reader.ZXING, Reader.ZBAR), confidence=Confidence.AGREED)


@pytest.mark.parametrize(
    "image",
    [
        Image.new("L", (1, 1)),
        Image.new("L", (1, 400)),
        Image.new("L", (400, 1)),
        Image.new("RGB", (300, 300), "white"),
        Image.effect_mandelbrot((300, 300), (-2, -1.5, 1, 1.5), 50),
    ],
    ids=["dot", "column", "row", "white", "fractal"],
)
def test_no_symbol_is_an_empty_list(image):
    assert decode_pixels(image) == []


def test_noise_holds_no_symbol_and_nobody_complains(capfd):
    generator = np.random.default_rng(7)
    for _ in range(4):
        noise = generator.integers(0, 256, (200, 300)).astype(np.uint8)
        stripes = np.repeat(generator.integers(0, 2, (1, 150)) * 255, 100, axis=0).astype(np.uint8)
        for pixels in (noise, np.repeat(stripes, 3, axis=1)):
            assert decode_pixels(Image.fromarray(pixels)) == []
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize("size", [(0, 0), (0, 5), (5, 0)])
def test_no_pixels(size):
    with pytest.raises(BadInput) as caught:
        decode_pixels(Image.new("L", size))
    assert str(caught.value) == f"picture: given {size[0]} x {size[1]} pixels, expected at least one pixel"


def test_a_file_is_read_like_its_pixels(tmp_path):
    path = tmp_path / "标签.png"
    write_label(path, "6901234567892")
    assert decode_image(path) == decode_image(str(path)) == decode_pixels(draw_label("6901234567892"))


def test_positions_are_those_of_the_picture_as_shown(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6
    stored = draw_label("6901234567892").transpose(Image.Transpose.ROTATE_90)
    stored.save(tmp_path / "photo.jpg", exif=exif, quality=95)
    (symbol,) = decode_image(tmp_path / "photo.jpg")
    (expected,) = decode_pixels(draw_label("6901234567892"))
    assert np.abs(np.array(symbol.position) - np.array(expected.position)).max() <= 2
