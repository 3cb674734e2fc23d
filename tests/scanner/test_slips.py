"""Slips for parcels: what goes outside names the parcel twice, what goes inside makes its reader the buyer."""

from __future__ import annotations

import io

import pytest
from PIL import Image

from ledger.errors import BadInput
from scanner.decode import decode_pixels
from scanner.identify import identify
from scanner.pdf import pixels_of_pdf
from scanner.slips import token_slip, waybill_slip
from scanner.typeface import Typeface

TOKEN = "suyuan-purchase-v1:" + "A" * 112
SYSTEM = Typeface.load()


@pytest.mark.parametrize(("resolution", "suffix"), [(203, ".pdf"), (300, ".png")])
@pytest.mark.parametrize(
    ("text", "number", "chain"),
    [
        ("zto:75312345678901", "75312345678901", "waybill/zto/75312345678901"),
        ("SF1234567890123", "SF1234567890123", "waybill/sf/SF1234567890123"),
        ("(00)106141412345678908", "00106141412345678908", "00/106141412345678908"),
    ],
)
def test_a_waybill_is_there_as_its_number_and_as_its_chain(text, number, chain, resolution, suffix):
    slip = waybill_slip(text, title="Courier", resolution=resolution)
    assert slip.contents[-1].chain == chain
    content = slip.to_file(suffix)
    if suffix == ".pdf":
        [image] = pixels_of_pdf(content, 300)
    else:
        image = Image.open(io.BytesIO(content))
    symbols = decode_pixels(image)
    assert number in [symbol.text for symbol in symbols]
    assert chain in [identify(symbol).chain for symbol in symbols]


def test_a_slip_is_100_by_150_mm():
    artwork = waybill_slip("SF1234567890123", resolution=203).artwork
    assert (artwork.width, artwork.height) == (799, 1198)
    assert artwork.boxes == waybill_slip("waybill/sf/SF1234567890123", resolution=203).artwork.boxes


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("6901234567892", "slip for a parcel: given 01/06901234567892, expected a waybill or an SSCC"),
        (f"waybill/zto/{'A1' * 16}", "room for a label of CODE_128 with its text: given 92.0 x 141.9 mm"),
    ],
)
def test_what_has_no_slip(text, message):
    with pytest.raises(BadInput) as caught:
        waybill_slip(text, resolution=203)
    assert str(caught.value).startswith(message)


def test_digits_that_may_be_several_couriers_are_not_guessed():
    with pytest.raises(BadInput, match="ambiguous code"):
        waybill_slip("75312345678901")


@pytest.mark.parametrize("typeface", [Typeface(), SYSTEM])
def test_a_token_is_one_code_and_words_that_this_machine_can_print(typeface):
    slip = token_slip(TOKEN, typeface, title="Tea 250 g")
    assert [symbol.text for symbol in decode_pixels(slip.require_read_back(typeface))] == [TOKEN]
    said = " ".join(line.text for line in slip.artwork.lines)
    assert "Tea 250 g" in said
    assert "Goes inside the parcel, never on it." in said
    assert ("放入包裹内，不要贴在外面。" in said) == (typeface.wide is not None)


def test_a_token_can_be_typed_from_its_slip():
    said = "".join(line.text for line in token_slip(TOKEN, Typeface()).artwork.lines)
    assert TOKEN in said


def test_titles_are_bounded():
    with pytest.raises(BadInput, match="title of a label: given 121 characters, expected at most 120"):
        token_slip(TOKEN, Typeface(), title="x" * 121)
