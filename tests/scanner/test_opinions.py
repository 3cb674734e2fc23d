"""Several readers' words on one picture: what is one symbol, and how sure it is."""

from __future__ import annotations

import pytest

from scanner.opinions import combined
from scanner.symbol import Confidence, Point, Reader, Symbol, Symbology

TEA, INK = "6901234567892", "9781558604971"


def said(
    text: str,
    reader: Reader = Reader.ZXING,
    symbology: Symbology = Symbology.EAN_13,
    *,
    x: int = 0,
    y: int = 0,
    add_on: str | None = None,
) -> Symbol:
    corners = (Point(x, y), Point(x + 90, y), Point(x + 90, y + 10), Point(x, y + 10))
    mark = "]E0" if reader is Reader.ZXING else None
    return Symbol(symbology, text, mark, (reader,), corners, add_on=add_on)


def told(*seen: Symbol) -> list[tuple[str, str, tuple[str, ...]]]:
    return [(symbol.text, symbol.confidence, symbol.readers) for symbol in combined(seen)]


def test_one_reader_is_single():
    assert told(said(TEA)) == [(TEA, "single", ("zxing-cpp",))]


def test_two_looks_of_one_reader_are_single():
    assert told(said(TEA), said(TEA, x=1)) == [(TEA, "single", ("zxing-cpp",))]


def test_two_readers_are_agreed_and_zxing_has_the_word():
    (symbol,) = combined([said(TEA, Reader.ZBAR, x=2), said(TEA, Reader.PROFILE, x=1), said(TEA)])
    assert symbol.readers == (Reader.ZXING, Reader.ZBAR, Reader.PROFILE)
    assert symbol.confidence is Confidence.AGREED
    assert (symbol.symbology_identifier, symbol.position[0]) == ("]E0", Point(0, 0))


def test_readers_that_differ_are_disputed_and_none_is_chosen():
    assert told(said(TEA), said(INK, Reader.ZBAR, x=3)) == [
        (TEA, "disputed", ("zxing-cpp",)),
        (INK, "disputed", ("zbar",)),
    ]


def test_a_third_reader_stops_two_that_agree():
    assert told(said(TEA), said(TEA, Reader.ZBAR), said(INK, Reader.PROFILE)) == [
        (TEA, "disputed", ("zxing-cpp", "zbar")),
        (INK, "disputed", ("profile",)),
    ]


def test_a_text_that_was_contradicted_in_any_of_its_places_is_disputed():
    away = said(INK, Reader.ZBAR, y=300)
    assert told(said(TEA), said(INK, Reader.PROFILE), away) == [
        (TEA, "disputed", ("zxing-cpp",)),
        (INK, "disputed", ("zbar", "profile")),
    ]


def test_bars_of_two_kinds_in_one_place_are_disputed():
    assert [one[1] for one in told(said("1234"), said("ABCD", Reader.ZBAR, Symbology.CODE_128))] == [
        "disputed"
    ] * 2


def test_different_texts_in_different_places_are_two_symbols():
    assert [one[1] for one in told(said(TEA), said(INK, Reader.ZBAR, x=200))] == ["single", "single"]


def test_one_text_in_one_family_is_one_symbol_wherever_it_lies():
    carton = said("16901234567899", symbology=Symbology.ITF_14)
    assert len(combined([carton, said("16901234567899", Reader.ZBAR, Symbology.ITF, x=300)])) == 1


def test_one_text_in_two_families_is_two_symbols():
    carton = said("16901234567899", symbology=Symbology.ITF_14)
    assert len(combined([carton, said("16901234567899", Reader.ZBAR, Symbology.CODE_128, x=300)])) == 2


def test_a_code_that_corrects_errors_is_one_symbol_whatever_characters_were_guessed():
    code = said("a", symbology=Symbology.QR_CODE)
    assert told(code, said("b", Reader.ZBAR, Symbology.GS1_QR, x=1)) == [
        ("a", "agreed", ("zxing-cpp", "zbar"))
    ]
    assert len(combined([code, said("b", Reader.ZBAR, Symbology.QR_CODE, x=200)])) == 2


def test_bars_within_a_code_that_corrects_errors_contradict_nothing():
    code = said("a", symbology=Symbology.QR_CODE)
    assert [one[1] for one in told(code, said("1234", Reader.ZBAR, Symbology.ITF))] == ["single", "single"]


@pytest.mark.parametrize(("full", "folded"), [("óóab", "ssab"), ("SFó", "SFs")])
def test_zbar_leaves_the_upper_half_of_latin_1_out_of_a_code_128(full, folded):
    seen = said(full, symbology=Symbology.CODE_128), said(folded, Reader.ZBAR, Symbology.CODE_128)
    assert told(*seen) == [(full, "agreed", ("zxing-cpp", "zbar"))]
    other = said("tsab", Reader.ZBAR, Symbology.CODE_128)
    assert told(seen[0], other)[0][1] == "disputed"


def test_an_add_on_that_one_reading_has_is_kept():
    (symbol,) = combined([said(TEA), said(TEA, add_on="51299", y=40)])
    assert symbol.add_on == "51299"
