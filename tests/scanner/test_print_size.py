"""X-dimensions, heights and quiet zones, on printers as they are sold."""

from __future__ import annotations

import pytest

from ledger.errors import BadInput
from scanner.encode import DRAWABLE, encode, encode_sizes
from scanner.print_size import PRINT_SIZES, RESOLUTIONS, millimetres
from scanner.symbol import Symbology

CONTENTS = {
    Symbology.EAN_13: "6901234567892",
    Symbology.EAN_8: "96385074",
    Symbology.UPC_A: "012345678905",
    Symbology.ITF_14: "16901234567899",
    Symbology.CODE_128: "SF1234567890123",
    Symbology.GS1_128: "010690123456789210A7",
    Symbology.QR_CODE: "https://example.com/",
    Symbology.GS1_DATA_MATRIX: "010690123456789210A7",
}

# GS1 General Specifications §5.12.3, symbol specification tables 1 and 2: the least and the most of an X-dimension, and
# the height of the bars at an X-dimension, in millimetres; without an X-dimension the height is the same for all.
LIMITS = {
    Symbology.EAN_13: (0.264, 0.660, 22.85, 0.330),
    Symbology.EAN_8: (0.264, 0.660, 18.23, 0.330),
    Symbology.UPC_A: (0.264, 0.660, 22.85, 0.330),
    Symbology.ITF_14: (0.495, 1.016, 31.75, None),
    Symbology.GS1_128: (0.495, 1.016, 31.75, None),
    Symbology.GS1_DATA_MATRIX: (0.396, 0.990, None, None),
    Symbology.QR_CODE: (0.396, 0.990, None, None),
}


@pytest.mark.parametrize("resolution", RESOLUTIONS)
@pytest.mark.parametrize("symbology", LIMITS)
def test_every_size_is_within_the_limits(symbology, resolution):
    least, most, height, at = LIMITS[symbology]
    sizes = list(encode_sizes(symbology, CONTENTS[symbology], resolution))
    if symbology is Symbology.GS1_128:
        # The finer ones are for what would be too wide.
        sizes = sizes[:1]
    assert sizes
    for bars in sizes:
        module = millimetres(min(box.width for box in bars.boxes), resolution)
        assert least <= module + 1e-9 <= most
        tallest = millimetres(max(box.height for box in bars.boxes), resolution)
        if at is not None:
            assert tallest >= height * module / at - 1e-9
        elif height is not None:
            assert tallest >= height - 1e-9


@pytest.mark.parametrize("symbology", DRAWABLE)
def test_sizes_go_down_from_the_usual_one(symbology):
    sizes = [bars.width for bars in encode_sizes(symbology, CONTENTS[symbology], 600)]
    assert sizes == sorted(set(sizes), reverse=True)
    assert encode(symbology, CONTENTS[symbology], 600).width == sizes[0]


def test_a_module_is_a_whole_number_of_dots():
    assert [list(PRINT_SIZES[Symbology.EAN_13].modules_of(dpi)) for dpi in RESOLUTIONS] == [[3], [4], [8, 7]]


def test_another_resolution():
    with pytest.raises(BadInput) as caught:
        encode(Symbology.EAN_13, CONTENTS[Symbology.EAN_13], 72)
    assert str(caught.value) == (
        "resolution of a label: given 72, expected one of 203, 300, 600 dots to the inch"
    )


def test_what_is_too_wide_for_the_least_size():
    with pytest.raises(BadInput) as caught:
        encode(Symbology.CODE_128, "aB" * 48, 300)
    assert str(caught.value) == (
        "width of a label of CODE_128: given 1111 modules of 3 dots at 300 dpi, "
        "expected at most 165.10 mm: a finer printer, or a symbology that is square"
    )


def test_what_the_data_matrix_writer_refuses_is_said_in_its_words():
    values = [f"9{digit}" + "a%B!" * 22 for digit in range(1, 10)] + [
        f"{ai}" + "a%B!" * 17 for ai in range(4302, 4307)
    ]
    values += [f"{ai}" + "a%B!" * 17 for ai in range(4312, 4317)] + ["8200" + "a%B!" * 17]
    with pytest.raises(BadInput) as caught:
        encode(Symbology.GS1_DATA_MATRIX, "\x1d".join(values))
    assert str(caught.value).startswith("text of a GS1 DataMatrix: given Error 729: Input too long")
