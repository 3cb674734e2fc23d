from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

from scanner.labels import write_label
from scanner.symbol import Symbology


@pytest.fixture
def pictures(suyuan):
    write_label("tea.png", "6901234567892")
    write_label("lot.png", "01/06901234567892/10/A%2F7")
    write_label("plain.png", "hello")
    write_label("zto.png", "zto:75312345678901")
    Image.new("L", (50, 50), 255).save("white.png")
    Path("broken.png").write_bytes(b"\x89PNG")
    return suyuan


def test_a_line_of_json_for_each_symbol(pictures):
    done = pictures.json("scan", "tea.png", "lot.png", "plain.png")
    assert done.status == 0
    assert [{name: one[name] for name in ("file", "symbology", "text", "chain")} for one in done.records] == [
        {"file": "tea.png", "symbology": "EAN_13", "text": "6901234567892", "chain": "01/06901234567892"},
        {
            "file": "lot.png",
            "symbology": "QR_CODE",
            "text": "https://id.gs1.org/01/06901234567892/10/A%2F7",
            "chain": "01/06901234567892/10/A%2F7",
        },
        {"file": "plain.png", "symbology": "CODE_128", "text": "hello", "chain": None},
    ]
    assert all("zxing-cpp" in one["readers"] for one in done.records)


def test_text_for_people(pictures):
    done = pictures("scan", "tea.png")
    assert done.out.splitlines()[:2] == ["tea.png: EAN_13 6901234567892", "  01/06901234567892"]
    assert done.out.splitlines()[2].startswith("  read by zxing-cpp")
    done = pictures("scan", "plain.png")
    assert "\n  no identifier (code: given hello, expected a GTIN, " in done.out


def test_a_picture_without_symbols(pictures):
    done = pictures.json("scan", "white.png", "tea.png")
    assert done.status == 1
    assert len(done.records) == 1
    assert done.err.endswith("white.png: no symbol found\n")


def test_a_file_that_is_no_picture(pictures):
    done = pictures("scan", "white.png", "broken.png", "missing.png", "tea.png")
    assert done.status == 2
    assert done.out.startswith("tea.png: EAN_13")
    assert done.err.count("Error: picture ") == 2


def test_errors_for_programs(pictures):
    done = pictures.json("scan", "missing.png")
    assert (done.status, done.out) == (2, "")
    assert done.err.splitlines()[-1].startswith(
        '{"error": {"reason": "INVALID_REQUEST", "message": "picture '
    )


def test_how_sure_it_is_who_read_it_and_where_it_lies(pictures):
    record = pictures.json("scan", "tea.png").record
    assert list(record) == [
        "file", "page", "symbology", "text", "chain", "confidence", "readers", "position", "orientation", "add_on",
    ]  # fmt: skip
    assert record["confidence"] == "agreed"
    assert record["readers"][0] == "zxing-cpp"
    assert record["readers"][-1] == "profile"
    assert len(record["position"]) == 4
    assert all(0 <= x < 452 and 0 <= y < 342 for x, y in record["position"])
    assert (record["page"], record["orientation"], record["add_on"]) == (None, 0, None)


@pytest.fixture
def thin_bars(shared):
    """Both readers take its 2 for a 7 and its 1 for a 7; the check digit holds."""
    return str(shared / "barcodes" / "zxing-cpp" / "upca-4" / "1.webp")


def test_what_readers_differ_on_is_all_told_and_none_chosen(pictures, thin_bars):
    done = pictures.json("scan", thin_bars)
    assert done.status == 1
    assert {one["text"] for one in done.records} == {"9074932437075", "0023942431015"}
    assert {(one["confidence"], one["chain"]) for one in done.records} == {("disputed", None)}
    done = pictures("scan", thin_bars)
    assert done.status == 1
    assert done.out.count("\n  no identifier (readers differ)\n") == 2
    assert (
        "\n  read by profile, disputed: another reader says otherwise, so compare with what is printed\n"
        in done.out
    )


def test_nothing_is_looked_up_by_what_readers_differ_on(pictures, thin_bars):
    done = pictures("platform", "history", thin_bars, SUYUAN_VKEY="unused", SUYUAN_SERVER="127.0.0.1:1")
    assert done.status == 2
    assert "9074932437075 or 0023942431015, expected readers that agree; type what is printed" in done.err


def test_pages_are_numbered(pictures):
    first, second = (Image.open(name).convert("RGB") for name in ("tea.png", "lot.png"))
    first.save("both.pdf", save_all=True, append_images=[second], resolution=300)
    done = pictures.json("scan", "both.pdf")
    assert [(one["page"], one["text"]) for one in done.records] == [
        (1, "6901234567892"),
        (2, "https://id.gs1.org/01/06901234567892/10/A%2F7"),
    ]
    assert pictures("scan", "both.pdf").out.startswith("both.pdf, page 1: EAN_13 6901234567892\n")


def test_a_folder_in_several_processes_is_told_in_order(pictures):
    Path("in").mkdir()
    tea, broken = Path("tea.png").read_bytes(), Path("broken.png").read_bytes()
    for number in range(50):
        Path(f"in/{number:02}.png").write_bytes(broken if number == 7 else tea)
    done = pictures.json("scan", "in", "--jobs", 2)
    assert done.status == 2
    assert [one["file"] for one in done.records] == [
        f"in/{number:02}.png" for number in range(50) if number != 7
    ]
    assert done.err.count('{"error": ') == 1
    assert "in/07.png" in done.err


def test_a_pattern_that_nothing_matches(pictures):
    done = pictures("scan", "*.bmp", "te*.png")
    assert done.status == 2
    assert done.out.startswith("tea.png: EAN_13")
    assert "Error: picture '*.bmp': given a pattern that no file matches" in done.err


def test_a_couriers_number(pictures):
    assert pictures.json("scan", "zto.png").record["chain"] is None
    assert (
        pictures.json("scan", "zto.png", "--carrier", "zto").record["chain"] == "waybill/zto/75312345678901"
    )
    assert (
        pictures.json("scan", "zto.png", SUYUAN_CARRIER="zto").record["chain"] == "waybill/zto/75312345678901"
    )


def test_no_picture_at_all(suyuan):
    done = suyuan("scan")
    assert done.status == 2
    assert "Usage: suyuan scan" in done.err


@pytest.mark.parametrize("form", ["text", "json"])
def test_what_a_terminal_would_act_upon(suyuan, form):
    from segno import make_qr

    make_qr("\x1b]0;owned\x07\u202egnp.exe\x9b1m").save("evil.png", scale=5, border=4)
    done = suyuan("scan", "evil.png", "--format", form)
    assert done.status == 0
    for character in "\x1b\x07\x9b\u202e":
        assert character not in done.out + done.err
    if form == "text":
        assert r"QR_CODE \x1b]0;owned\x07\u202egnp.exe\x9b1m" in done.out
    else:
        assert done.record["text"] == "\x1b]0;owned\x07\u202egnp.exe\x9b1m"


def test_a_purchase_token_is_not_shown(suyuan):
    secret = f"suyuan-purchase-v1:{'AbC-_9' * 19}"[:131]
    write_label("slip.png", secret, Symbology.QR_CODE)
    for form in ("text", "json"):
        done = suyuan("scan", "slip.png", "--format", form)
        assert done.status == 0
        assert "AbC-" not in done.out + done.err
        assert "suyuan-purchase-v1:…" in done.out


def test_a_file_name_of_any_bytes(suyuan):
    import os

    name = os.fsdecode(b"caf\xe9\n.png")
    write_label(name, "6901234567892")
    assert suyuan.json("scan", name).record["file"] == name
    done = suyuan("scan", name)
    assert done.status == 0
    assert "\n.png" not in done.out
