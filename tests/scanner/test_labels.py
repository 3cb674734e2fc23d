"""Labels: read back before they are handed out, and written as a whole or not at all."""

from __future__ import annotations

import stat
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from ledger.chain_key import ChainKey
from ledger.errors import BadInput, Reason
from ledger.identifiers import gs1_check_digit
from scanner.decode import decode_image, decode_pixels
from scanner.identify import identify
from scanner.labels import Label, draw_label, write_label
from scanner.symbol import Symbology

COMPANY = "91350100M000100Y43"

deterministic = settings(derandomize=True, deadline=None, max_examples=25)


def digits(count: int) -> st.SearchStrategy[str]:
    return st.text("0123456789", min_size=count, max_size=count)


def with_check_digit(body: str) -> str:
    return body + gs1_check_digit(body)


SET_82 = "!\"%&'()*+,-./0123456789:;<=>?ABCDEFGHIJKLMNOPQRSTUVWXYZ_abcdefghijklmnopqrstuvwxyz"
GTINS = st.sampled_from([7, 11, 12, 13]).flatmap(digits).map(with_check_digit)
VALUES = st.text(SET_82, min_size=1, max_size=20)
WAYBILLS = st.from_regex(r"[A-Z0-9][A-Z0-9-]{2,30}[A-Z0-9]", fullmatch=True)

CHAINS = st.one_of(
    st.builds(ChainKey.product, GTINS),
    st.builds(ChainKey.lot, GTINS, VALUES),
    st.builds(ChainKey.serial, GTINS, VALUES),
    st.builds(ChainKey.logistic_unit, digits(17).map(with_check_digit)),
    st.builds(ChainKey.waybill, st.sampled_from(["sf", "zto", "ems", "a-new-one"]), WAYBILLS),
    st.builds(ChainKey.drug, digits(19).map("8".__add__)),
    st.builds(
        ChainKey.member, st.just(COMPANY), st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._-]{0,31}", fullmatch=True)
    ),
)


def carrier_of(chain: ChainKey) -> str | None:
    return chain.carrier if chain.startswith("waybill/") else None


@deterministic
@given(CHAINS)
def test_a_natural_label_names_its_chain(chain):
    (symbol,) = decode_pixels(draw_label(chain))
    is_number = symbol.symbology is Symbology.CODE_128
    assert identify(symbol, carrier=carrier_of(chain) if is_number else None).chain == chain


@deterministic
@given(CHAINS)
def test_a_qr_code_names_every_chain(chain):
    (symbol,) = decode_pixels(draw_label(chain, Symbology.QR_CODE))
    assert identify(symbol).chain == chain


@deterministic
@given(GTINS, VALUES)
def test_a_gs1_128_names_lots(gtin, lot):
    chain = ChainKey.lot(gtin, lot)
    (symbol,) = decode_pixels(draw_label(chain, Symbology.GS1_128))
    assert identify(symbol).chain == chain


@deterministic
@given(st.text([chr(code) for code in range(0x20, 0x7F)], min_size=1, max_size=47))
def test_any_ascii_in_code_128(text):
    # Whatever begins with a tilde spells no chain and names no carrier.
    (symbol,) = decode_pixels(draw_label(f"~{text}", Symbology.CODE_128))
    assert (symbol.symbology, symbol.text) == (Symbology.CODE_128, f"~{text}")


@deterministic
@given(
    st.text(st.characters(exclude_categories=["C", "Z"]), min_size=1, max_size=60).filter(
        lambda t: t.isprintable()
    )
)
def test_any_characters_in_a_qr_code(text):
    (symbol,) = decode_pixels(draw_label(f"源 {text}"))
    assert (symbol.symbology, symbol.text) == (Symbology.QR_CODE, f"源 {text}")


@pytest.mark.parametrize(
    "text", ["99", "9900", "999", "99A", "9", "9A", "A99", "A9999", "a1234b", "12345", "0099"]
)
def test_digits_in_code_128_wherever_its_code_sets_change(text):
    (symbol,) = decode_pixels(draw_label(text, Symbology.CODE_128))
    assert (symbol.symbology, symbol.text) == (Symbology.CODE_128, text)


def test_utf_8_that_looks_like_shift_jis_is_still_utf_8():
    (symbol,) = decode_pixels(draw_label("源 \u1141@"))
    assert symbol.text == "源 \u1141@"


def test_the_longest_of_each_kind():
    for text, symbology in (
        ("x" * 48, Symbology.CODE_128),
        ("(01)06901234567892(10)12345678901234567890(17)271231", Symbology.GS1_128),
        ("https://example.com/" + "x" * 492, Symbology.QR_CODE),
        ("\U0001f600" * 512, Symbology.QR_CODE),
    ):
        (symbol,) = decode_pixels(draw_label(text))
        assert symbol.symbology is symbology


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def refusal(*arguments: object) -> str:
    with pytest.raises(BadInput) as caught:
        write_label(*arguments)
    assert caught.value.reason is Reason.INVALID_REQUEST
    return str(caught.value)


def test_a_label_that_names_another_chain_is_refused():
    """JD prints such a code on each package, and a reader takes it for the waybill that the packages share."""
    with pytest.raises(BadInput) as caught:
        draw_label("waybill/jd/JDVA00123456789-1-2-3")
    assert str(caught.value) == (
        "label as the scanner reads it: given waybill/jd/JDVA00123456789, expected waybill/jd/JDVA00123456789-1-2-3"
    )


@pytest.mark.parametrize("name", ["label.png", "label.PNG"])
def test_a_png_is_read_from_its_file(tmp_path, name):
    write_label(tmp_path / name, "01/06901234567892")
    assert names(tmp_path) == [name]
    (symbol,) = decode_image(tmp_path / name)
    assert symbol.text == "6901234567892"
    with Image.open(tmp_path / name) as written:
        assert np.array_equal(np.asarray(written), np.asarray(draw_label("01/06901234567892")))
        assert [round(dots) for dots in written.info["dpi"]] == [300, 300]


@pytest.mark.parametrize("suffix", ["png", "svg", "pdf"])
def test_the_same_text_gives_the_same_bytes(tmp_path, suffix):
    for name in ("one", "two"):
        write_label(tmp_path / f"{name}.{suffix}", "01/06901234567892/21/S-1")
    assert (tmp_path / f"one.{suffix}").read_bytes() == (tmp_path / f"two.{suffix}").read_bytes()


def test_a_label_replaces_the_one_before_and_may_be_read_by_whom_other_files_may(tmp_path):
    path = tmp_path / "label.png"
    path.write_bytes(b"old")
    path.chmod(0o600)
    write_label(path, "6901234567892")
    ordinary = tmp_path / "ordinary"
    ordinary.touch()
    assert stat.S_IMODE(path.stat().st_mode) == stat.S_IMODE(ordinary.stat().st_mode)
    assert names(tmp_path) == ["label.png", "ordinary"]


def test_a_refused_label_leaves_the_one_before(tmp_path):
    path = tmp_path / "label.png"
    path.write_bytes(b"old")
    with pytest.raises(BadInput, match="check digit"):
        write_label(path, "6901234567890")
    assert path.read_bytes() == b"old"
    assert names(tmp_path) == ["label.png"]


@pytest.mark.parametrize(
    ("name", "given"),
    [
        ("label.jpg", "suffix .jpg"),
        ("label", "no suffix"),
        (".png", "no suffix"),
        ("标签.gif", "suffix .gif"),
    ],
)
def test_other_suffixes(name, given):
    assert (
        refusal(name, "6901234567892") == f"label file '{name}': given {given}, expected .png, .svg or .pdf"
    )


def test_a_folder_that_does_not_exist(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert refusal("nowhere/label.svg", "6901234567892") == (
        "label file 'nowhere/label.svg': given No such file or directory, expected a place that can be written to"
    )
    assert names(tmp_path) == []


def test_a_folder_in_its_place(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "label.png").mkdir()
    assert refusal("label.png", "6901234567892") == (
        "label file 'label.png': given Is a directory, expected a place that can be written to"
    )
    assert names(tmp_path) == ["label.png"]


def test_a_name_that_no_file_can_have(tmp_path):
    message = refusal(f"{tmp_path}/a\0b.png", "6901234567892")
    assert message.endswith("a\\x00b.png': given a name that no file can have, expected a file name")
    assert names(tmp_path) == []


@pytest.mark.parametrize("suffix", [".png", ".svg", ".pdf"])
@pytest.mark.parametrize("resolution", [203, 300, 600])
def test_a_label_for_any_printer(suffix, resolution):
    label = Label.compose(
        "01/06901234567892/10/A7", Symbology.GS1_DATA_MATRIX, title="Tea", resolution=resolution
    )
    content = label.to_file(suffix)
    assert content.startswith({".png": b"\x89PNG", ".svg": b"<?xml", ".pdf": b"%PDF"}[suffix])
    # 16 modules of 0.5 mm, wherever it is printed.
    boxes = label.artwork.boxes
    width = max(box.x + box.width for box in boxes) - min(box.x for box in boxes)
    assert width / resolution * 25.4 == pytest.approx(16 * 0.504, abs=0.15)


def test_a_label_that_reads_otherwise_is_no_file_of_any_kind():
    wrong = replace(Label.compose("6901234567892"), contents=Label.compose("96385074").contents)
    for suffix in (".png", ".svg", ".pdf"):
        with pytest.raises(BadInput, match="given EAN_13 6901234567892, expected EAN_8 96385074"):
            wrong.to_file(suffix)


def test_a_title_stands_above_and_what_is_read_beneath():
    label = Label.compose("6901234567892", title="Green tea")
    title, caption = label.artwork.lines
    top, foot = (
        min(box.y for box in label.artwork.boxes),
        max(box.y + box.height for box in label.artwork.boxes),
    )
    assert (title.text, caption.text) == ("Green tea", "6901234567892")
    assert title.baseline < top
    assert foot < caption.baseline - caption.size
    assert label.require_read_back().size == (label.artwork.width, label.artwork.height)


@pytest.mark.parametrize(
    ("title", "message"),
    [
        ("x" * 121, "title of a label: given 121 characters, expected at most 120"),
        ("a\nb", r"title of a label: given a\nb, expected printable characters"),
    ],
)
def test_titles_that_are_none(title, message):
    with pytest.raises(BadInput) as caught:
        Label.compose("6901234567892", title=title)
    assert str(caught.value) == message
