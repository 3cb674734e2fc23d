"""Any identifier, printed in any symbology that can hold it, photographed as phones do, names its chain again.

`SUYUAN_SOAK=1` tries some thousands. Degrees are those of a hand that means to scan: a module is three pixels or more,
the focus nearly right, light uneven, lines near enough to level or upright that a scan line crosses all bars. Whoever
misses takes the picture again, a little turned; but what is read at all must be right, and one that both readers agree
on goes before what only one has seen.
"""

from __future__ import annotations

import io
from dataclasses import replace
from math import atan, degrees

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from identifier_strategies import (
    carriers,
    drug_codes,
    lots,
    members,
    printed_gtins,
    serials,
    ssccs,
    usccs,
    waybill_numbers,
    with_gs1_check_digit,
)
from photographing import Photograph
from PIL import Image
from soaking import times

from ledger.chain_key import ChainKey, ChainKind
from scanner.decode import decode_pixels
from scanner.encode import DRAWABLE
from scanner.identify import identify
from scanner.label_content import LabelContent
from scanner.labels import Label
from scanner.pdf import pixels_of_pdf
from scanner.symbol import Symbology
from scanner.typeface import Typeface

TAKES = 3
"""Photographs until one is read."""


def products(*lengths):
    return st.sampled_from(lengths).flatmap(with_gs1_check_digit).map(ChainKey.product)


parcels = st.builds(ChainKey.waybill, carriers, waybill_numbers)
drugs = st.builds(ChainKey.drug, drug_codes)
gs1 = st.one_of(
    st.builds(ChainKey.product, printed_gtins),
    st.builds(ChainKey.lot, printed_gtins, lots),
    st.builds(ChainKey.serial, printed_gtins, serials),
    st.builds(ChainKey.logistic_unit, ssccs),
)
CHAINS = {
    Symbology.EAN_13: products(8, 12, 13),
    Symbology.EAN_8: products(8),
    Symbology.UPC_A: products(8, 12),
    Symbology.ITF_14: products(8, 12, 13, 14),
    Symbology.CODE_128: parcels | drugs,
    Symbology.GS1_128: gs1,
    Symbology.GS1_DATA_MATRIX: gs1,
    Symbology.QR_CODE: gs1
    | parcels
    | drugs
    | st.builds(ChainKey.party, usccs)
    | st.builds(ChainKey.member, usccs, members),
}

photographs = st.builds(
    Photograph,
    sharpness=st.floats(3, 6),
    angle=st.sampled_from([0, 90, 180, 270]),
    tilt=st.floats(0, 0.05),
    blur=st.floats(0, 0.3),
    darkest=st.integers(0, 50),
    lightest=st.integers(190, 255),
    shadow=st.floats(0, 0.2),
    noise=st.floats(0, 6),
    quality=st.integers(70, 95),
    seed=st.integers(0, 1_000_000),
)


def test_every_symbology_that_is_drawn_is_photographed():
    assert set(CHAINS) == set(DRAWABLE)


@pytest.mark.parametrize("symbology", DRAWABLE)
def test_a_photograph_of_any_label_names_its_chain(symbology):
    @settings(
        max_examples=times(6, 600),
        derandomize=True,
        deadline=None,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
    )
    @given(CHAINS[symbology], st.sampled_from([".png", ".pdf"]), photographs, st.floats(-1, 1))
    def names_it(chain, suffix, photograph, slant):
        assert symbology in LabelContent.symbologies(chain)
        label = Label.compose(chain, symbology)
        flat = printed(label, suffix)
        photograph = replace(photograph, angle=photograph.angle + slant * steepest(label))
        for take in range(TAKES):
            once_more = replace(
                photograph, angle=photograph.angle - take * slant * 4, seed=photograph.seed + take
            )
            found = chains_on(once_more.of(flat, module_of(label)), chain)
            assert found <= {chain}
            if found:
                return
        raise AssertionError(chain, photograph)

    names_it()


def printed(label: Label, suffix: str) -> Image.Image:
    """What comes out of a printer of 300 dots to the inch."""
    content = label.to_file(suffix, Typeface())
    if suffix == ".pdf":
        [image] = pixels_of_pdf(content, 300)
        return image
    return Image.open(io.BytesIO(content)).convert("L")


def module_of(label: Label) -> int:
    return min(box.width for box in label.artwork.boxes)


def steepest(label: Label) -> float:
    """Degrees at which a line still crosses all bars, with as much to spare; a square is read at any."""
    [content] = label.contents
    if content.symbology in {Symbology.QR_CODE, Symbology.GS1_DATA_MATRIX}:
        return 45
    boxes = label.artwork.boxes
    width = max(box.x + box.width for box in boxes) - min(box.x for box in boxes)
    return degrees(atan(0.5 * max(box.height for box in boxes) / width))


def chains_on(photograph: Image.Image, asked_for: ChainKey) -> set[ChainKey | None]:
    """What the symbols name that most readers have seen."""
    carrier = asked_for.carrier if asked_for.kind is ChainKind.WAYBILL else None
    symbols = decode_pixels(photograph)
    most = max((len(symbol.readers) for symbol in symbols), default=0)
    chains = set()
    for symbol in symbols:
        if len(symbol.readers) == most:
            is_number = symbol.symbology is Symbology.CODE_128
            chains.add(identify(symbol, carrier=carrier if is_number else None).chain)
    return chains
