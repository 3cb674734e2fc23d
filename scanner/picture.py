"""A picture file to the pixels that readers take: 8 bits of grey, upright, black bars on white.

Pictures come from strangers. Only a few formats are opened, only from regular files, and only up to the number of
pixels that Pillow allows (`PIL.Image.MAX_IMAGE_PIXELS`, against decompression bombs), which bounds the memory too. The
pages of a TIFF or PDF are read one after the other, of an animation only the first frame; see `scanner.pages` for PDF.
"""

from __future__ import annotations

import os
import sys
import threading
import warnings
from collections.abc import Generator, Iterator
from contextlib import closing, contextmanager
from functools import cache
from pathlib import Path
from typing import BinaryIO, Final

import numpy as np
from PIL import ExifTags, Image, UnidentifiedImageError

from scanner.pages import is_pdf, pdf_pages
from scanner.picture_file import refusal, require_pages, require_regular_file

FORMATS: Final = ("PNG", "JPEG", "WEBP", "BMP", "GIF", "TIFF", "HEIF")
"""Pillow's names of the formats that are opened; HEIF, of which HEIC is one, where pillow-heif is installed."""

_ROWS: Final = 512
"""Rows of a picture whose colours are changed at once: so that a large one needs little more memory than its pixels."""

# Warning filters and standard error belong to the whole process: one thread at a time may set them aside.
_quiet = threading.Lock()

_STDERR: Final = 2

_TRANSPOSED: Final = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


def load_picture(path: str | os.PathLike[str]) -> Image.Image:
    """The pixels of the picture file at `path`, as `to_grey` gives them, turned as its EXIF orientation says.

    Of several pages or frames it is the first.

    Raises:
        BadInput: as `load_pages`.
    """
    with closing(load_pages(path)) as pages:
        return next(pages)


def load_pages(path: str | os.PathLike[str]) -> Generator[Image.Image]:
    """The pages of the file at `path`, at least one, each as `load_picture` gives it.

    Raises:
        BadInput: `Reason.INVALID_REQUEST`: no such file, not a file, unreadable, empty, not a picture of a format we
            open, cut short or damaged, or of too many pixels or pages.
    """
    name = os.fspath(path)
    try:
        with _opened(name) as file:
            yield from pdf_pages(name, file) if is_pdf(file) else _pages(name, file)
    except OSError as error:
        raise refusal(name, f"a file that cannot be read ({error.strerror})") from error


def _opened(name: str) -> BinaryIO:
    try:
        require_regular_file(name)
        return Path(name).open("rb")
    except ValueError:
        raise refusal(name, "a name that no file can have") from None


def to_grey(image: Image.Image) -> Image.Image:
    """`image` in mode `L`; what is transparent becomes white, and more than 8 bits are stretched over the range."""
    if image.mode in {"I", "F"} or image.mode.startswith("I;16"):
        return _stretched(image)
    if image.mode == "LAB":
        return image.getchannel(0)
    if image.has_transparency_data:
        return _on_white(image)
    return image.convert("L")


def _on_white(image: Image.Image) -> Image.Image:
    grey = Image.new("L", image.size)
    width, height = image.size
    for top in range(0, height, _ROWS):
        rows = image.crop((0, top, width, min(top + _ROWS, height))).convert("RGBA")
        white = Image.new("RGBA", rows.size, "white")
        grey.paste(Image.alpha_composite(white, rows).convert("L"), (0, top))
    return grey


def _pages(name: str, file: BinaryIO) -> Iterator[Image.Image]:
    """The grey and upright pages in `file`."""
    image: Image.Image | None = None
    page = 0
    while image is None or (image.format == "TIFF" and page < _page_count(name, image)):
        with _quieted():
            image, grey = _page(name, file, image, page)
            orientation = _orientation(image)
        yield grey.transpose(_TRANSPOSED[orientation]) if orientation in _TRANSPOSED else grey
        page += 1


def _page(name: str, file: BinaryIO, image: Image.Image | None, page: int) -> tuple[Image.Image, Image.Image]:
    """The opened file, and the pixels of one page; Pillow's plugins raise whatever a broken file makes of them."""
    try:
        if image is None:
            image = Image.open(file, formats=FORMATS if _opens_heif() else FORMATS[:-1])
            # Only grey is wanted: a JPEG is decoded to it at once, in a third of the memory.
            image.draft("L", image.size)
        elif page:
            image.seek(page)
        with _muted_libtiff(image):
            return image, to_grey(image)
    except (Image.DecompressionBombWarning, Image.DecompressionBombError):
        raise refusal(
            name,
            "a picture of too many pixels",
            expected=f"at most {Image.MAX_IMAGE_PIXELS} pixels",
        ) from None
    except UnidentifiedImageError:
        raise refusal(name, "a file in no such format") from None
    except Exception as error:
        what = f"a {image.format} file" if image is not None else "a file"
        raise refusal(name, f"{what} that is cut short or damaged", expected="a whole one") from error


def _page_count(name: str, image: Image.Image) -> int:
    try:
        count = int(getattr(image, "n_frames", 1))
    except Exception as error:
        # To count them Pillow follows the links from one to the next.
        raise refusal(name, "a TIFF file that is cut short or damaged", expected="a whole one") from error
    require_pages(name, count)
    return count


@contextmanager
def _quieted() -> Iterator[None]:
    """Let no warning out while a file is decoded, and make a refusal of that of a decompression bomb."""
    with _quiet, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        yield


@cache
def _opens_heif() -> bool:
    """Have Pillow open HEIC, if that can be had; tried once."""
    try:
        from pillow_heif import register_heif_opener  # noqa: PLC0415 - a library that may be missing
    except (ImportError, OSError):
        return False
    register_heif_opener()
    return True


@contextmanager
def _muted_libtiff(image: Image.Image) -> Iterator[None]:
    """Keep libtiff from complaining of a damaged TIFF on standard error, where the exception says it all.

    Pillow gives no way to libtiff's error handler, so the descriptor itself points nowhere meanwhile, for the whole
    process: only for a TIFF, and only while its pixels are decoded.
    """
    if image.format != "TIFF" or sys.stderr is None:
        # Python was started without standard error: descriptor 2 may be anything by now, even this picture.
        yield
        return
    kept = os.dup(_STDERR)
    nowhere = os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, _STDERR)
        yield
    finally:
        os.dup2(kept, _STDERR)
        os.close(nowhere)
        os.close(kept)


def _orientation(image: Image.Image) -> int:
    """The EXIF orientation, 1 to 8; 1 or another number where the picture says nothing that can be understood."""
    try:
        orientation = image.getexif().get(ExifTags.Base.Orientation)
    except Exception:  # noqa: BLE001 - damaged EXIF leaves the picture itself sound
        return 1
    return orientation if isinstance(orientation, int) else 1


def _stretched(image: Image.Image) -> Image.Image:
    """`image` with its darkest level at 0 and its brightest at 255; what is no number counts as 0."""
    levels = np.array(image, dtype=np.float32)
    np.nan_to_num(levels, copy=False, posinf=0, neginf=0)
    # In place, for the picture may fill much of the memory; halved, for the span may exceed what a float holds.
    levels *= 0.5
    levels -= levels.min()
    levels /= levels.max() or 1
    levels *= 255
    return Image.fromarray(levels.astype(np.uint8))
