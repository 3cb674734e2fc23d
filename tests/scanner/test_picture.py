"""Picture files, whole and broken, to upright grey pixels."""

from __future__ import annotations

import os
import struct
import zlib
from io import BytesIO

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from ledger.errors import BadInput, Reason
from scanner.labels import draw_label
from scanner.picture import load_picture, to_grey

EXPECTED = "expected a PNG, JPEG, WebP, BMP, GIF, TIFF or HEIC picture, or a PDF"
GIVEN = draw_label("6901234567892").resize((226, 171))


def encoded(image: Image.Image, form: str, **options: object) -> bytes:
    stream = BytesIO()
    image.save(stream, form, **options)
    return stream.getvalue()


def png_header(width: int, height: int) -> bytes:
    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0))
        + chunk(b"IDAT", b"")
    )


@pytest.fixture(autouse=True)
def _in_a_folder_of_its_own(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def refusal(name: str) -> str:
    with pytest.raises(BadInput) as caught:
        load_picture(name)
    assert caught.value.reason is Reason.INVALID_REQUEST
    return str(caught.value)


@pytest.mark.parametrize("form", ["PNG", "WEBP", "BMP", "GIF", "TIFF"])
def test_each_lossless_format_gives_the_same_pixels(tmp_path, form):
    path = tmp_path / "picture"
    path.write_bytes(encoded(GIVEN, form, **({"lossless": True} if form == "WEBP" else {})))
    assert np.array_equal(np.asarray(load_picture(path)), np.asarray(GIVEN))


def test_jpeg_gives_nearly_the_same_pixels(tmp_path):
    path = tmp_path / "picture"
    path.write_bytes(encoded(GIVEN, "JPEG", quality=95))
    difference = np.asarray(load_picture(path), dtype=int) - np.asarray(GIVEN, dtype=int)
    assert np.abs(difference).mean() < 3


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_is_undone(tmp_path, orientation):
    # As stored, from as shown: the inverse of what the orientation asks for.
    stored_by = {
        1: lambda pixels: pixels,
        2: np.fliplr,
        3: lambda pixels: np.rot90(pixels, 2),
        4: np.flipud,
        5: np.transpose,
        6: np.rot90,
        7: lambda pixels: np.rot90(pixels, 2).T,
        8: lambda pixels: np.rot90(pixels, -1),
    }
    stored = Image.fromarray(np.ascontiguousarray(stored_by[orientation](np.asarray(GIVEN))))
    exif = Image.Exif()
    exif[0x0112] = orientation
    for form in ("PNG", "TIFF"):
        path = tmp_path / form
        path.write_bytes(encoded(stored, form, exif=exif))
        assert np.array_equal(np.asarray(load_picture(path)), np.asarray(GIVEN))


@pytest.mark.parametrize("exif", [b"MM\x00\x2anonsense", b"neither MM nor II", b"MM\x00\x2a\x00"])
def test_damaged_exif_leaves_the_picture_sound(tmp_path, exif):
    path = tmp_path / "picture.png"
    path.write_bytes(encoded(GIVEN, "PNG", exif=b"Exif\x00\x00" + exif))
    assert np.array_equal(np.asarray(load_picture(path)), np.asarray(GIVEN))


def test_of_several_pages_the_first_is_read(tmp_path):
    path = tmp_path / "pages.tif"
    path.write_bytes(encoded(GIVEN, "TIFF", save_all=True, append_images=[Image.new("L", GIVEN.size, 7)]))
    assert np.array_equal(np.asarray(load_picture(path)), np.asarray(GIVEN))


@pytest.mark.parametrize(
    "mode", ["1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "YCbCr", "HSV", "I", "F", "I;16"]
)
def test_every_mode_becomes_grey(mode):
    black_and_white = GIVEN.point(lambda level: 255 * (level > 127))
    grey = to_grey(black_and_white.convert(mode))
    assert grey.mode == "L"
    assert np.abs(np.asarray(grey, dtype=int) - np.asarray(black_and_white, dtype=int)).max() <= 1


def test_lab_gives_its_lightness():
    lightness = GIVEN.copy()
    even = Image.new("L", GIVEN.size, 128)
    assert np.array_equal(np.asarray(to_grey(Image.merge("LAB", (lightness, even, even)))), np.asarray(GIVEN))


def test_more_than_eight_bits_are_stretched_over_the_range():
    dim = Image.fromarray(np.array([[1000, 1500, 2000]], dtype=np.uint16))
    assert np.asarray(to_grey(dim)).tolist() == [[0, 127, 255]]


def test_one_level_of_many_bits_is_black():
    assert np.asarray(to_grey(Image.fromarray(np.full((2, 2), 700, dtype=np.uint16)))).tolist() == [
        [0, 0],
        [0, 0],
    ]


def test_numbers_that_are_none_count_as_nought():
    odd = Image.fromarray(np.array([[np.nan, np.inf, 1.0, 2.0]], dtype=np.float32))
    assert np.asarray(to_grey(odd)).tolist() == [[0, 0, 127, 255]]


def test_levels_at_both_ends_of_the_range_of_floats():
    limits = np.finfo(np.float32)
    assert np.asarray(
        to_grey(Image.fromarray(np.array([[limits.min, 0, limits.max]], dtype=np.float32)))
    ).tolist() == [[0, 127, 255]]


@pytest.mark.parametrize("mode", ["RGBA", "LA", "PA"])
def test_transparent_is_white(mode):
    bars_on_nothing = Image.merge(
        "LA", (Image.new("L", GIVEN.size, 0), GIVEN.point(lambda level: 255 - level))
    )
    grey = to_grey(
        bars_on_nothing.convert("RGBA").convert(mode) if mode == "PA" else bars_on_nothing.convert(mode)
    )
    assert np.abs(np.asarray(grey, dtype=int) - np.asarray(GIVEN, dtype=int)).max() <= 1


def test_a_transparent_colour_of_a_palette_is_white(tmp_path):
    path = tmp_path / "picture.gif"
    black = Image.new("P", (2, 1), 0)
    black.putpalette([0, 0, 0, 10, 10, 10])
    black.putpixel((1, 0), 1)
    path.write_bytes(encoded(black, "GIF", transparency=0))
    assert np.asarray(load_picture(path)).tolist() == [[255, 10]]


def test_no_such_file():
    assert refusal("missing.png") == f"picture 'missing.png': given no such file, {EXPECTED}"


def test_a_name_that_would_write_to_the_terminal_is_escaped():
    assert refusal("\x1b[2J溯.png") == f"picture '\\x1b[2J溯.png': given no such file, {EXPECTED}"


def test_a_folder(tmp_path):
    (tmp_path / "photos").mkdir()
    assert refusal("photos") == f"picture 'photos': given a folder, {EXPECTED}"


def test_a_pipe_is_refused_and_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "pipe.png")
    assert (
        refusal("pipe.png") == f"picture 'pipe.png': given something that is not a regular file, {EXPECTED}"
    )


def test_a_name_that_no_file_can_have():
    assert refusal("a\0b.png") == f"picture 'a\\x00b.png': given a name that no file can have, {EXPECTED}"


def test_unreadable(tmp_path):
    (tmp_path / "loop.png").symlink_to("loop.png")
    assert refusal("loop.png") == (
        f"picture 'loop.png': given a file that cannot be read (Too many levels of symbolic links), {EXPECTED}"
    )


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_forbidden(tmp_path):
    (tmp_path / "secret.png").write_bytes(encoded(GIVEN, "PNG"))
    (tmp_path / "secret.png").chmod(0)
    assert refusal("secret.png") == (
        f"picture 'secret.png': given a file that cannot be read (Permission denied), {EXPECTED}"
    )


def test_empty(tmp_path):
    (tmp_path / "empty.png").touch()
    assert refusal("empty.png") == f"picture 'empty.png': given an empty file, {EXPECTED}"


@pytest.mark.parametrize("content", [b"not a picture\n", b"\x89PNG\r\n\x1a\n", b"P5 1 1 255 \x00"])
def test_in_no_such_format(tmp_path, content):
    (tmp_path / "notes.png").write_bytes(content)
    assert refusal("notes.png") == f"picture 'notes.png': given a file in no such format, {EXPECTED}"


@pytest.mark.parametrize(
    ("form", "options"),
    [
        ("PNG", {}),
        ("JPEG", {}),
        ("BMP", {}),
        ("GIF", {}),
        ("TIFF", {}),
        ("TIFF", {"compression": "tiff_lzw"}),
    ],
)
def test_cut_short(tmp_path, capfd, form, options):
    whole = encoded(GIVEN, form, **options)
    # libtiff keeps its directory at the end; its pixels are damaged in place instead.
    cut = whole[:8] + bytes(200) + whole[208:] if options else whole[: len(whole) * 3 // 4]
    (tmp_path / "half").write_bytes(cut)
    assert refusal("half") == (
        f"picture 'half': given a {form} file that is cut short or damaged, expected a whole one"
    )
    assert capfd.readouterr().err == ""


def test_cut_short_in_its_head(tmp_path):
    (tmp_path / "half.jpg").write_bytes(encoded(GIVEN, "JPEG")[:30])
    assert refusal("half.jpg") == (
        "picture 'half.jpg': given a file that is cut short or damaged, expected a whole one"
    )


@pytest.mark.parametrize("side", [9_500, 40_000], ids=["where Pillow warns", "where Pillow refuses"])
def test_a_decompression_bomb(tmp_path, capfd, side):
    (tmp_path / "bomb.png").write_bytes(png_header(side, side))
    assert refusal("bomb.png") == (
        f"picture 'bomb.png': given a picture of too many pixels, expected at most {Image.MAX_IMAGE_PIXELS} pixels"
    )
    assert capfd.readouterr().err == ""


SOUND = [
    encoded(GIVEN, "PNG"),
    encoded(GIVEN, "JPEG"),
    encoded(GIVEN, "WEBP"),
    encoded(GIVEN, "BMP"),
    encoded(GIVEN, "GIF"),
    encoded(GIVEN, "TIFF", compression="tiff_lzw"),
    encoded(GIVEN, "TIFF", compression="tiff_adobe_deflate"),
    encoded(GIVEN.convert("RGB"), "TIFF", compression="jpeg"),
]


@settings(derandomize=True, deadline=None, max_examples=300)
@given(st.data())
def test_damage_anywhere_is_a_picture_or_a_refusal_and_nothing_else(tmp_path_factory, data):
    content = bytearray(data.draw(st.sampled_from(SOUND)))
    places = st.integers(0, len(content) - 1) | st.integers(0, 300)
    for place, value in data.draw(st.lists(st.tuples(places, st.integers(0, 255)), max_size=6)):
        content[place] = value
    path = tmp_path_factory.getbasetemp() / "damaged"
    path.write_bytes(content[: data.draw(st.integers(1, len(content)) | st.just(len(content)))])
    try:
        picture = load_picture(path)
    except BadInput as error:
        assert error.reason is Reason.INVALID_REQUEST  # noqa: PT017 - both outcomes are right
    else:
        assert picture.mode == "L"


def test_damaged_tiffs_say_nothing_on_standard_error(tmp_path, capfd):
    for compression in ("tiff_lzw", "tiff_adobe_deflate", "jpeg"):
        whole = bytearray(encoded(GIVEN, "TIFF", compression=compression))
        for place in range(8, 208):
            whole[place] ^= 0x55
        (tmp_path / "damaged.tif").write_bytes(whole)
        with pytest.raises(BadInput):
            load_picture("damaged.tif")
    os.write(2, b"and yet it speaks again")
    assert capfd.readouterr().err == "and yet it speaks again"
