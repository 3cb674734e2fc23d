"""PDFs: the artwork's very dots, in its size, and the same bytes for the same pages."""

from __future__ import annotations

import numpy as np
import pypdfium2
import pytest

from ledger.errors import BadInput
from scanner.artwork import Artwork, Box, Line
from scanner.labels import Label
from scanner.pdf import pixels_of_pdf, to_pdf
from scanner.typeface import Typeface

SYSTEM = Typeface.load()


def bars_of(image) -> np.ndarray:
    return np.asarray(image) < 128


def test_boxes_are_where_they_are_on_paper():
    label = Label.compose("6901234567892")
    bare = Artwork(label.artwork.width, label.artwork.height, label.artwork.boxes)
    [image] = pixels_of_pdf(to_pdf([bare], Typeface(), title="x"), 300)
    assert image.size == (bare.width, bare.height)
    assert np.array_equal(bars_of(image), bars_of(bare.to_pixels()))


def test_letters_are_where_they_are_on_paper():
    artwork = Artwork(400, 60, (), (Line("(01)0690 Ag", 200, 40, 30),))
    [image] = pixels_of_pdf(to_pdf([artwork], Typeface(), title="x"), 300)
    drawn, printed = bars_of(artwork.to_pixels()), bars_of(image)
    assert edges(drawn) == pytest.approx(edges(printed), abs=2)
    assert drawn.sum() == pytest.approx(printed.sum(), rel=0.1)


@pytest.mark.skipif(SYSTEM.wide is None, reason="no font with Chinese letters on this machine")
def test_chinese_letters_are_where_they_are_on_paper():
    artwork = Artwork(400, 60, (), (Line("茉莉花茶 250 g", 200, 40, 30),))
    [image] = pixels_of_pdf(to_pdf([artwork], SYSTEM, title="x"), 300)
    drawn, printed = bars_of(artwork.to_pixels(SYSTEM)), bars_of(image)
    assert edges(drawn) == pytest.approx(edges(printed), abs=2)
    assert drawn.sum() == pytest.approx(printed.sum(), rel=0.1)


def edges(pixels: np.ndarray) -> tuple[int, int, int, int]:
    rows, columns = np.flatnonzero(pixels.any(1)), np.flatnonzero(pixels.any(0))
    return rows[0], rows[-1], columns[0], columns[-1]


@pytest.mark.parametrize("resolution", [203, 300, 600])
def test_pages_have_their_own_size_and_ask_not_to_be_fitted_to_the_paper(resolution):
    pages = [
        Artwork(resolution, 2 * resolution, (Box(0, 0, 5, 5),), (), resolution),
        Artwork(resolution, resolution, ()),
    ]
    content = to_pdf(pages[:1], Typeface(), title="x")
    document = pypdfium2.PdfDocument(content)
    assert document[0].get_size() == pytest.approx((72, 144))
    assert document.get_metadata_value("Title") == "x"
    document.close()
    assert b"/PrintScaling /None" in content


def test_the_same_pages_give_the_same_bytes():
    page = Label.compose("01/06901234567892/21/S-1", title="Tea").artwork
    assert to_pdf([page, page], Typeface(), title="x") == to_pdf([page, page], Typeface(), title="x")


def test_letters_in_no_font():
    with pytest.raises(BadInput, match="茶 in no font that is here"):
        to_pdf([Artwork(99, 99, (), (Line("茶", 50, 50, 30),))], Typeface(), title="x")
