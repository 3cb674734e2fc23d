from __future__ import annotations

import pytest

from ledger.errors import BadInput
from ledger.symbology import GS1_SYMBOLOGIES, Symbology


@pytest.mark.parametrize("symbology", Symbology)
def test_a_symbology_is_its_identifier(symbology):
    assert Symbology.parse(str(symbology)) is symbology


@pytest.mark.parametrize(
    ("identifier", "symbology"),
    [
        ("]d5", Symbology.GS1_DATA_MATRIX),
        ("]Q4", Symbology.GS1_QR_CODE),
        ("]J4", Symbology.GS1_DOTCODE),
        ("]e1", Symbology.GS1_DATABAR),
        ("]e2", Symbology.GS1_DATABAR),
        ("]d4", Symbology.DATA_MATRIX),
        ("]Q0", Symbology.QR_CODE),
        ("]Q2", Symbology.QR_CODE),
        ("]I3", Symbology.ITF),
    ],
)
def test_what_else_an_identifier_tells_makes_no_other_symbology(identifier, symbology):
    assert Symbology.parse(identifier) is symbology


@pytest.mark.parametrize("identifier", ["]A0", "]L1", "]z3", "]QA"])
def test_a_symbology_that_is_none_of_ours_carries_plain_text(identifier):
    assert Symbology.parse(identifier) is Symbology.OTHER


@pytest.mark.parametrize("identifier", ["", "]", "]C", "C1", "]C11", "]1C", "]C１", "]Ç1"])
def test_what_is_no_symbology_identifier_is_refused(identifier):
    with pytest.raises(
        BadInput, match=r"symbology identifier: given .*, expected ']', a letter, and a digit or letter"
    ):
        Symbology.parse(identifier)


@pytest.mark.parametrize("symbology", sorted(GS1_SYMBOLOGIES))
def test_those_of_gs1_have_fnc1_in_front_or_hold_nothing_else(symbology):
    assert str(symbology) in {"]C1", "]d2", "]Q3", "]e0", "]J1"}
