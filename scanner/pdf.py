"""Artworks to PDF, a page each, and a PDF back to pixels, so that what was written is what is read back.

reportlab writes: boxes as boxes, in dots, so that a printer of the artwork's resolution rounds nothing; letters as text,
with DejaVu Sans Mono embedded. Chinese letters go in as pictures: the fonts that machines have for them are mostly
OpenType with cubic outlines, which reportlab can't embed, and a font that is only named is missing at the printer's.
pdfium (pypdfium2) reads: it is another hand's work, and what most people look at a PDF with.
"""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from functools import cache
from typing import TYPE_CHECKING, Final

from PIL import Image

from scanner.artwork import Artwork, Line
from scanner.typeface import Typeface, is_wide, narrow_font

if TYPE_CHECKING:
    from reportlab.pdfgen.canvas import Canvas

_POINTS_PER_INCH: Final = 72
_LETTERS: Final = "DejaVuSansMono"
_SLACK: Final = 1 - 1e-6
"""pdfium keeps sizes as short floats and stretches a page to the next whole pixel, be it a millionth away."""
_PICTURE_DPI: Final = 1_200
"""Of letters that go in as pictures."""


def to_pdf(pages: Sequence[Artwork], typeface: Typeface, *, title: str) -> bytes:
    """A PDF of those pages, each in its own size; the same pages give the same bytes.

    Args:
        pages: what is printed.
        typeface: the letters.
        title: what the document is called, in plain ASCII.

    Raises:
        BadInput: `Reason.INVALID_REQUEST`: no font has one of the characters.
    """
    from reportlab.pdfgen.canvas import Canvas  # noqa: PLC0415 - it takes long to load, and only a PDF needs it

    stream = io.BytesIO()
    canvas = Canvas(stream, invariant=1, pageCompression=1)
    canvas.setTitle(title)
    canvas.setCreator("suyuan label")
    # A dialogue that fits pages to the paper would change every X-dimension and miss the labels of a sheet.
    canvas.setViewerPreference("PrintScaling", "None")
    for page in pages:
        _draw(canvas, page, typeface)
        canvas.showPage()
    canvas.save()
    return stream.getvalue()


def pixels_of_pdf(content: bytes, resolution: int) -> Iterator[Image.Image]:
    """Each page of a PDF as a picture of mode `L`."""
    import pypdfium2  # noqa: PLC0415 - as above

    document = pypdfium2.PdfDocument(content)
    try:
        for number in range(len(document)):
            page = document[number]
            bitmap = page.render(scale=resolution / _POINTS_PER_INCH * _SLACK, grayscale=True)
            # The bitmap's memory is pdfium's, and goes with it.
            image = bitmap.to_pil().convert("L").copy()
            bitmap.close()
            page.close()
            yield image
    finally:
        document.close()


def _draw(canvas: Canvas, page: Artwork, typeface: Typeface) -> None:
    scale = _POINTS_PER_INCH / page.resolution
    canvas.setPageSize((page.width * scale, page.height * scale))
    # From here on lengths are dots; they still count from the lower edge.
    canvas.scale(scale, scale)
    canvas.setFillGray(0)
    outline = canvas.beginPath()
    for x, y, width, height in page.boxes:
        outline.rect(x, page.height - y - height, width, height)
    canvas.drawPath(outline, stroke=0, fill=1)
    for line in page.lines:
        typeface.require(line.text)
        if any(map(is_wide, line.text)):
            _draw_picture(canvas, page, line, typeface)
        else:
            canvas.setFont(_letters(), line.size)
            canvas.drawString(line.left, page.height - line.baseline, line.text)


def _draw_picture(canvas: Canvas, page: Artwork, line: Line, typeface: Typeface) -> None:
    from reportlab.lib.utils import ImageReader  # noqa: PLC0415 - as above

    finer = max(_PICTURE_DPI // page.resolution, 1)
    width, ascent, descent = 2 * (line.middle - line.left), line.size, line.size // 3
    image = Image.new("L", (width * finer, (ascent + descent) * finer), 255)
    typeface.draw(image, line.text, 0, ascent * finer, line.size * finer)
    bottom = page.height - line.baseline - descent
    canvas.drawImage(ImageReader(image), line.left, bottom, width, ascent + descent)


@cache
def _letters() -> str:
    """The name under which reportlab knows DejaVu Sans Mono."""
    from reportlab.pdfbase import pdfmetrics  # noqa: PLC0415 - as above
    from reportlab.pdfbase.ttfonts import TTFont  # noqa: PLC0415 - as above

    pdfmetrics.registerFont(TTFont(_LETTERS, io.BytesIO(narrow_font())))
    return _LETTERS
