"""A picture file to the pixels that readers take: 8 bits of grey, upright, black bars on white.

Pictures come from strangers. Only six formats are opened, only from regular files, only the first page or frame, and
only up to the number of pixels that Pillow allows (`PIL.Image.MAX_IMAGE_PIXELS`, against decompression bombs).
"""

from __future__ import annotations

import os
import stat
import sys
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, Final

import numpy as np
from PIL import ExifTags, Image, UnidentifiedImageError

from ledger.errors import BadInput, Reason

FORMATS: Final = ("PNG", "JPEG", "WEBP", "BMP", "GIF", "TIFF")
"""Pillow's names of the formats that are opened."""

_EXPECTED: Final = "a PNG, JPEG, WebP, BMP, GIF or TIFF picture"

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

    Raises:
        BadInput: `Reason.INVALID_REQUEST`: no such file, not a file, unreadable, empty, not a picture of a format we
            open, cut short or damaged, or of too many pixels.
    """
    name = os.fspath(path)
    try:
        _require_regular_file(name)
        with Path(name).open("rb") as file:
            return _load(name, file)
    except OSError as error:
        raise _refusal(name, f"a file that cannot be read ({error.strerror})") from error
    except ValueError:
        raise _refusal(name, "a name that no file can have") from None


def to_grey(image: Image.Image) -> Image.Image:
    """`image` in mode `L`; what is transparent becomes white, and more than 8 bits are stretched over the range."""
    if image.mode in {"I", "F"} or image.mode.startswith("I;16"):
        return _stretched(image)
    if image.mode == "LAB":
        return image.getchannel(0)
    if image.has_transparency_data:
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
    return image.convert("L")


def _require_regular_file(name: str) -> None:
    """Refuse what would block or never end when read, such as a pipe, and what holds nothing."""
    try:
        status = Path(name).stat()
    except FileNotFoundError:
        raise _refusal(name, "no such file") from None
    if stat.S_ISDIR(status.st_mode):
        raise _refusal(name, "a folder")
    if not stat.S_ISREG(status.st_mode):
        raise _refusal(name, "something that is not a regular file")
    if status.st_size == 0:
        raise _refusal(name, "an empty file")


def _load(name: str, file: BinaryIO) -> Image.Image:
    """The grey and upright pixels in `file`; Pillow's plugins raise whatever a broken file makes of them."""
    image = None
    with _quiet, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        try:
            image = Image.open(file, formats=FORMATS)
            with _muted_libtiff(image):
                grey = to_grey(image)
        except (Image.DecompressionBombWarning, Image.DecompressionBombError):
            raise _refusal(
                name,
                "a picture of too many pixels",
                expected=f"at most {Image.MAX_IMAGE_PIXELS} pixels",
            ) from None
        except UnidentifiedImageError:
            raise _refusal(name, "a file in no such format") from None
        except Exception as error:
            what = f"a {image.format} file" if image is not None else "a file"
            raise _refusal(name, f"{what} that is cut short or damaged", expected="a whole one") from error
        orientation = _orientation(image)
    return grey.transpose(_TRANSPOSED[orientation]) if orientation in _TRANSPOSED else grey


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


def _refusal(name: str, given: str, *, expected: str = _EXPECTED) -> BadInput:
    return BadInput(
        Reason.INVALID_REQUEST,
        f"picture {name!r}",
        given=given,
        expected=expected,
    )
