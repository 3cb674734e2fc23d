"""Picture files, whole and broken, to upright grey pixels."""

from __future__ import annotations

import os
import struct
import subprocess
import sys
import zlib
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from ledger.errors import BadInput, Reason
from scanner.labels import draw_label
from scanner.picture import load_pages, load_picture, to_grey

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


def pdf(*images: Image.Image) -> bytes:
    return encoded(
        images[0].convert("RGB"), "PDF", save_all=True, append_images=list(images[1:]), resolution=300
    )


def test_a_pdf_gives_its_pages_at_300_dots_to_the_inch(tmp_path):
    (tmp_path / "pages.pdf").write_bytes(pdf(GIVEN, GIVEN.rotate(90, expand=True)))
    first, second = load_pages(tmp_path / "pages.pdf")
    assert (first.mode, first.size, second.size) == ("L", (227, 172), (172, 227))
    assert np.abs(np.asarray(load_picture("pages.pdf"), dtype=int) - np.asarray(first, dtype=int)).max() == 0


def test_a_huge_page_is_drawn_with_fewer_dots(tmp_path):
    # 200 inches each way, the most that PDF allows.
    (tmp_path / "poster.pdf").write_bytes(encoded(Image.new("RGB", (14_400, 10)), "PDF", resolution=72))
    assert load_picture("poster.pdf").height == 42
    (tmp_path / "square.pdf").write_bytes(pdf_of_size(14_400, 14_400))
    width, height = load_picture("square.pdf").size
    assert width == height
    assert 35_000_000 < width * height < 36_100_000


def pdf_of_size(width: int, height: int, pages: int = 1) -> bytes:
    """A PDF by hand, of empty pages and without a table of what is where: readers look for that by themselves."""
    kids = " ".join(f"{3 + number} 0 R" for number in range(pages))
    page = f"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 {width} {height}] >>"
    objects = [
        "<< /Type /Catalog /Pages 2 0 R >>",
        f"<< /Type /Pages /Kids [{kids}] /Count {pages} >>",
        *[page] * pages,
    ]
    body = "".join(f"{number} 0 obj {text} endobj\n" for number, text in enumerate(objects, start=1))
    return f"%PDF-1.4\n{body}trailer << /Root 1 0 R /Size {len(objects) + 1} >>\n%%EOF\n".encode()


@pytest.mark.parametrize(
    ("content", "given", "expected"),
    [
        (b"%PDF-1.7\n", "a PDF that cannot be read (Failed to load document (PDFium: Data format error))", "a whole one that needs no password"),
        (pdf_of_size(100, 100, pages=1_001), "1001 pages", "1 to 1000"),
    ],
    ids=["cut short", "too many"],
)  # fmt: skip
def test_a_pdf_that_is_refused(tmp_path, content, given, expected):
    (tmp_path / "given.pdf").write_bytes(content)
    assert refusal("given.pdf") == f"picture 'given.pdf': given {given}, expected {expected}"


def test_heic_gives_nearly_the_same_pixels(tmp_path):
    pillow_heif = pytest.importorskip("pillow_heif")
    pillow_heif.from_pillow(GIVEN.convert("RGB")).save(tmp_path / "photo.heic", quality=95)
    difference = np.asarray(load_picture("photo.heic"), dtype=int) - np.asarray(GIVEN, dtype=int)
    assert np.abs(difference).mean() < 5
    whole = (tmp_path / "photo.heic").read_bytes()
    (tmp_path / "half.heic").write_bytes(whole[: len(whole) // 2])
    assert refusal("half.heic").startswith("picture 'half.heic': given a ")


def test_a_large_picture_takes_little_more_memory_than_its_pixels(tmp_path):
    """12 megapixels, or with `SUYUAN_SOAK=1` 50, of 4 bytes as they are stored."""
    megapixels = 50 if os.environ.get("SUYUAN_SOAK") else 12
    large = Image.new("LA", (4_000, megapixels * 250), (255, 255))
    large.paste(GIVEN.convert("LA"), (3_000, 2_000))
    large.save(tmp_path / "large.png", compress_level=1)
    large.convert("RGB").save(tmp_path / "large.jpg", quality=80)
    story = (
        "import resource, sys\n"
        "from scanner.decode import decode_image\n"
        "decode_image(sys.argv[1])\n"
        "before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "[symbol] = decode_image(sys.argv[2])\n"
        "print(symbol.text, (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1024)"
    )
    GIVEN.save(tmp_path / "small.png")
    for name, most in (("large.jpg", 5), ("large.png", 8)):
        run = subprocess.run(
            [sys.executable, "-c", story, str(tmp_path / "small.png"), str(tmp_path / name)],
            capture_output=True, text=True, check=True, cwd=Path(__file__).parents[2],
        )  # fmt: skip
        text, more_mib = run.stdout.split()
        assert text == "6901234567892"
        assert int(more_mib) < 16 + most * megapixels


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
    pdf(GIVEN),
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
