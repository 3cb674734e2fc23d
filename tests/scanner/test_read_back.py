"""What was read must be what was asked for: the whole of it, of the same kind, and nothing beside it."""

from __future__ import annotations

from dataclasses import replace

import pytest
from PIL import Image

from ledger.errors import BadInput, Reason
from scanner.decode import decode_pixels
from scanner.label_content import LabelContent
from scanner.labels import draw_label
from scanner.read_back import require_reads_as, require_symbols
from scanner.symbol import Symbology

EAN = LabelContent.parse("6901234567892")


def test_a_label_that_nobody_can_read_is_refused():
    with pytest.raises(BadInput) as caught:
        require_symbols([EAN], decode_pixels(Image.new("L", (9, 9), 255)))
    assert str(caught.value) == "label as the scanner reads it: given nothing, expected EAN_13 6901234567892"


def test_a_label_that_says_something_else_is_refused():
    with pytest.raises(BadInput) as caught:
        require_symbols([EAN], decode_pixels(draw_label("9781558604971")))
    assert str(caught.value) == (
        "label as the scanner reads it: given EAN_13 9781558604971, expected EAN_13 6901234567892"
    )


def test_a_label_that_says_something_more_is_refused():
    found = decode_pixels(draw_label("6901234567892")) + decode_pixels(draw_label("96385074"))
    with pytest.raises(BadInput) as caught:
        require_symbols([EAN], found)
    assert str(caught.value) == (
        "label as the scanner reads it: given EAN_13 6901234567892 and EAN_8 96385074, expected EAN_13 6901234567892"
    )


def test_a_label_in_another_symbology_is_refused():
    with pytest.raises(BadInput) as caught:
        require_symbols([EAN], decode_pixels(draw_label("6901234567892", Symbology.CODE_128)))
    assert str(caught.value) == (
        "label as the scanner reads it: given CODE_128 6901234567892, expected EAN_13 6901234567892"
    )


def test_several_symbols_are_looked_for_in_any_order():
    other = LabelContent.parse("96385074")
    found = decode_pixels(draw_label("6901234567892")) + decode_pixels(draw_label("96385074"))
    require_symbols([other, EAN], found)
    with pytest.raises(
        BadInput, match="given EAN_13 6901234567892, expected EAN_8 96385074 and EAN_13 6901234567892"
    ):
        require_symbols([other, EAN], found[:1])
    with pytest.raises(BadInput, match=r"expected EAN_13 6901234567892 and EAN_13 6901234567892$"):
        require_symbols([EAN, EAN], found[:1])


def test_element_strings_without_their_mark_are_refused():
    """The same characters in a plain Code 128 are somebody's number, and not a product."""
    content = LabelContent.parse("(01)06901234567892")
    plain = draw_label("0106901234567892", Symbology.CODE_128)
    with pytest.raises(BadInput) as caught:
        require_reads_as([content], plain)
    assert caught.value.reason is Reason.INVALID_REQUEST
    assert str(caught.value) == (
        "label as the scanner reads it: given CODE_128 0106901234567892, expected GS1_128 0106901234567892"
    )


def test_a_symbol_of_which_a_part_was_read_is_refused():
    content = LabelContent.parse("(01)06901234567892(10)A7")
    [symbol] = decode_pixels(draw_label("(01)06901234567892(10)A7"))
    require_symbols([content], [symbol])
    with pytest.raises(BadInput):
        require_symbols([content], [replace(symbol, text=symbol.text[:-1])])
