"""Letters: the same everywhere where a font comes along, and Chinese ones where the machine has them."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from ledger.errors import BadInput, Reason
from scanner.typeface import Typeface, broken, ems, narrow_font

SYSTEM = Typeface.load()
needs_chinese = pytest.mark.skipif(SYSTEM.wide is None, reason="no font with Chinese letters on this machine")


def refusal(call, *arguments):
    with pytest.raises(BadInput) as caught:
        call(*arguments)
    assert caught.value.reason is Reason.INVALID_REQUEST
    return str(caught.value)


def test_widths_do_not_depend_on_the_machine():
    assert [round(ems(text), 6) for text in ("", "A", "é", "茶", "，", "250 g 茶")] == [
        0,
        0.6,
        0.6,
        1,
        1,
        4.6,
    ]


def test_lines_are_broken_after_blanks_or_else_anywhere():
    assert broken("organic green tea", 8 * 0.6) == ["organic", "green", "tea"]
    assert broken("organicgreentea", 8 * 0.6) == ["organicg", "reentea"]
    assert broken("茉莉花茶绿茶", 4) == ["茉莉花茶", "绿茶"]
    assert broken("a\nb", 4) == ["a", "b"]
    assert broken("x" * 24, 24 * 0.6) == ["x" * 24]


def test_even_the_narrowest_room_has_a_letter_to_a_line():
    assert broken("abc", 0.1) == ["a", "b", "c"]
    assert broken("", 1) == []


def test_without_a_font_for_them_wide_letters_are_refused():
    assert refusal(Typeface().require, "tea 茶") == (
        "text on a label: given 茶 in no font that is here, "
        "expected a font file that has it, such as Noto Sans CJK (Debian: fonts-noto-cjk)"
    )
    Typeface().require("Tee grün, 250 g ½")


@pytest.mark.parametrize("text", ["\u0301", "שלום", "سلام", "\u2028", "\U0010ffff", "\ud800"])
def test_what_needs_more_than_one_letter_after_the_other_is_refused(text):
    assert "in no font that is here" in refusal(SYSTEM.require, text)


@needs_chinese
def test_chinese_letters_are_drawn_each_an_em_wide():
    SYSTEM.require("茉莉花茶 250 g，特级")
    image = Image.new("L", (200, 60), 255)
    SYSTEM.draw(image, "茶茶", 20, 45, 40)
    pixels = np.asarray(image)
    first, second = pixels[:, 20:60], pixels[:, 60:100]
    assert first.min() == 0
    assert np.array_equal(first, second)
    assert pixels[:, :18].min() == pixels[:, 102:].min() == 255


def test_a_font_that_the_user_names(tmp_path):
    path = tmp_path / "mine.ttf"
    path.write_bytes(narrow_font())
    assert Typeface.load(path).wide == path


@pytest.mark.parametrize("content", [None, b"", b"no font"])
def test_what_is_no_font(tmp_path, content, monkeypatch):
    monkeypatch.chdir(tmp_path)
    if content is not None:
        (tmp_path / "mine.ttf").write_bytes(content)
    assert refusal(Typeface.load, "mine.ttf") == (
        "font 'mine.ttf': given no font that can be read, expected a TrueType or OpenType file"
    )


def test_a_font_whose_name_no_file_can_have():
    assert "no font that can be read" in refusal(Typeface.load, "a\0b")
