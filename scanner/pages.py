"""The pages of a PDF to pixels, drawn by PDFium at the resolution of a good scan.

PDFs come from strangers as well, so pages and pixels are bounded. Nothing on a page is carried out: forms and scripts
are not loaded.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Iterator
from contextlib import closing
from typing import Any, BinaryIO, Final

from PIL import Image

from scanner.picture_file import refusal, require_pages

_SIGNATURE: Final = b"%PDF-"
_WITHIN: Final = 1_024
"""Bytes from the beginning of a file within which readers look for the signature."""

_POINTS_PER_INCH: Final = 72
_DOTS_PER_INCH: Final = 300
_MOST_PIXELS: Final = 36_000_000
"""Of a page; a larger one is drawn with fewer dots to the inch. An A3 at 300 dpi has 17 million."""

# PDFium is not made for several threads.
_alone = threading.Lock()


def is_pdf(file: BinaryIO) -> bool:
    """Whether the file, which stands at its beginning and is left there, is a PDF."""
    head = file.read(_WITHIN)
    file.seek(0)
    return _SIGNATURE in head


def pdf_pages(name: str, file: BinaryIO) -> Iterator[Image.Image]:
    """The pages of the PDF `file`, each as a picture of mode `L`.

    Raises:
        BadInput: `Reason.INVALID_REQUEST`: a password is needed, it is damaged, or has no page or too many.
    """
    import pypdfium2 as pdfium  # noqa: PLC0415 - it takes long to load, and few pictures are PDFs

    whole = "a whole one that needs no password"
    try:
        with _alone:
            document = pdfium.PdfDocument(file)
    except pdfium.PdfiumError as error:
        raise refusal(
            name, f"a PDF that cannot be read ({str(error).rstrip('.')})", expected=whole
        ) from error
    with closing(document):
        count = len(document)
        if not count:
            raise refusal(name, "a PDF without pages", expected="at least one page")
        require_pages(name, count)
        for number in range(count):
            try:
                with _alone:
                    grey = _drawn(document, number)
            except (pdfium.PdfiumError, ValueError, ArithmeticError) as error:
                given = f"a PDF whose page {number + 1} is damaged"
                raise refusal(name, given, expected="a whole one") from error
            yield grey


def _drawn(document: Any, number: int) -> Image.Image:
    with closing(document[number]) as page:
        width, height = page.get_size()
        # A page of no size, or of one that is no number, ends here.
        pixels = width * height * (_DOTS_PER_INCH / _POINTS_PER_INCH) ** 2
        if not 0 < pixels < math.inf:
            raise ValueError
        scale = _DOTS_PER_INCH / _POINTS_PER_INCH * min(1, math.sqrt(_MOST_PIXELS / pixels))
        with closing(page.render(scale=scale, grayscale=True, may_draw_forms=False)) as bitmap:
            grey: Image.Image = bitmap.to_pil().convert("L").copy()
            return grey
