"""Both readers together: one symbol told once, from pictures as people take them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import zxingcpp
from PIL import Image, ImageFilter

from ledger.errors import BadInput
from scanner.decode import decode_image, decode_pixels
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
