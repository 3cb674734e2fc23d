from __future__ import annotations

import re
from pathlib import Path

import pytest
from rich.cells import cell_len
from world import COURIER, MERCHANT, REGULATOR

from clients.cli.keygen import _pem
from clients.keyfile import generate
from ledger.identifiers import uscc_check_character
from scanner.labels import write_label

NEW_MERCHANT = "91350102MA0000001" + uscc_check_character("91350102MA0000001")


@pytest.fixture
def story(online, keys, sell, goods, waybill):
    """A sale from its listing to the complaint's end: its event id."""
    event, token = sell()
    at = "2026-05-04T{}:00+08:00"
    steps = [
        ("merchant", "dispatch", event, waybill, "--at", at.format("09:30"), "--key", keys["merchant"]),
        ("courier", "scan", "picked-up", waybill, "--at", at.format("10:00"), "--key", keys["member"]),
        ("courier", "scan", "delivered", waybill, "--at", at.format("23:59"), "--weight", 310, "--key", keys["member"]),
        ("consumer", "receive", "--token", token, "--at", "2026-05-04T16:00:00Z"),
        ("consumer", "review", "--token", token, "--rating", 4, "--delivery", 2, "--text", "慢", "--at", at.format("23:59")),
        ("consumer", "follow-up", "--token", token, "--rating", 5),
        ("consumer", "complain", "--token", token, "--category", "damaged", "--remedy", "refund"),
    ]  # fmt: skip
    for step in steps:
        done = online(*step)
        assert done.status == 0, done.err
    complaint = online.json("platform", "history", goods).record["entries"][-1]["event"]
    done = online("merchant", "reply", complaint, "--stance", "disputed", "--resolve", "upheld", "--remedy", "repair",
                  "--key", keys["merchant"])  # fmt: skip
    assert done.status == 0, done.err
    return event


# Register


def test_register_a_merchant(online, keys, tmp_path):
    (tmp_path / "new.pub").write_text(_pem(generate().public_key))
    arguments = ("platform", "register", NEW_MERCHANT, "--name", "新店", "--public-key", "new.pub")
    done = online.json(*arguments, "--licence-until", "2099-03-31", "--key", keys["platform"])
    assert done.status == 0, done.err
    assert done.record["chain"] == f"party/{NEW_MERCHANT}"
    assert online.json("regulator", "status", NEW_MERCHANT).record["role"] == "merchant"
    again = online(*arguments, "--key", keys["courier"])
    assert again.status == 4
    assert again.err.endswith("[WRONG_ROLE]\n")


# History


@pytest.mark.parametrize("width", [80, 120])
def test_a_timeline(online, story, waybill, goods, width):
    done = online("platform", "history", waybill, COLUMNS=width)
    assert (done.status, done.err) == (0, "")
    lines = done.out.splitlines()
    assert max(map(cell_len, lines)) <= width
    assert lines[0] == f"waybill/sf/{waybill}"
    text = done.out
    assert "\n2026-05-04, UTC+08:00\n" in text
    assert f"\n09:30:00 ● dispatched  01/0{goods}\n         │ in waybill/sf/{waybill}\n" in text
    assert "         │ by 闽茶坊 (party/91350102MA2XW1QL3Y)\n" in text
    assert (
        "\n10:00:00 ● picked up\n"
        "         │ by 顺丰速运 / k-0017 (party/91440300708461136T/k-0017)\n"
        "         │ at 福建省福州市鼓楼区 350102\n"
        "         │ entry "
    ) in text
    assert "\n23:59:00 ● delivered\n         │ weighed 310 g\n" in text
    # The local day of a time that was said in UTC.
    assert (
        f"\n2026-05-05, UTC+08:00\n00:00:00 ● received, intact  01/0{goods}\n         │ by the buyer\n"
        in text
    )
    assert (
        f"● reviewed, ★★★★ 4 of 5  01/0{goods}\n         │ delivery 2\n         │ with a text, kept elsewhere\n"
        in text
    )
    assert "● added to the review, now ★★★★★ 5 of 5" in text
    assert "● complained: damaged" in text
    assert "         │ asks for refund\n" in text
    assert "● answered the complaint: disputed" in text
    assert "● ended the complaint: upheld, repair" in text
    assert f"         │ {story}\n" in text
    assert lines[-5:-3] == ["", "Verified"] or "Verified" in lines
    assert lines[-3].endswith("entries are in its tree, and the chain that was asked for has no gap")
    assert lines[-2].endswith("signatures hold, under keys that lead back to the genesis")
    assert lines[-1] == "  That nothing was left out, and the flags, are the service's word."


def test_another_zone(online, story, waybill, monkeypatch):
    import time

    monkeypatch.setenv("TZ", "America/St_Johns")
    time.tzset()
    assert "\n2026-05-03, UTC-02:30\n23:00:00 ● dispatched" in online("platform", "history", waybill).out


def test_a_timeline_for_programs(online, story, waybill, goods):
    record = online.json("platform", "history", "--sale", story).record
    assert record["subject"] == f"sale {story}"
    assert record["checkpoint"]["size"] > record["entries"][-1]["index"]
    assert [entry["kind"] for entry in record["entries"]] == [
        "listing", "sale", "shipment", "shipment", "shipment", "receipt", "review", "follow_up", "complaint",
        "complaint_reply", "complaint_resolution",
    ]  # fmt: skip
    delivered = record["entries"][4]
    assert delivered["occurred_at"] == "2026-05-04T15:59:00.000000Z"
    assert delivered["utc_offset_minutes"] == 480
    assert delivered["chain"] == f"waybill/sf/{waybill}"
    assert delivered["chain_seq"] == 1
    assert delivered["flags"] == ["late"]
    assert delivered["signature_verified"] is True
    assert delivered["body"] == {"stage": "delivered", "sale": None, "parcel": None, "weight_g": 310}
    assert set(delivered) == {
        "index", "chain", "chain_seq", "kind", "event", "entry_hash", "occurred_at", "utc_offset_minutes",
        "recorded_at", "place", "gln", "signer", "signer_name", "key_id", "signature_verified", "flags", "evidence",
        "body",
    }  # fmt: skip


@pytest.mark.parametrize(
    "spelling",
    ["{0}", "]E0{0}", "(01)0{0}", "0{0}", "https://id.gs1.org/01/0{0}", "http://shop.test/x/01/0{0}?17=271231", "01/0{0}"],
)  # fmt: skip
def test_every_spelling_of_a_barcode(online, sell, goods, spelling):
    sell()
    assert online.json("platform", "history", spelling.format(goods)).record["subject"] == f"01/0{goods}"


def test_a_picture_of_a_barcode(online, sell, goods):
    sell()
    write_label("tea.png", goods)
    done = online.json("platform", "history", "tea.png")
    assert done.record["subject"] == f"01/0{goods}"
    # Which readers besides see it depends on the time they have.
    assert re.fullmatch(rf"tea\.png: zxing-cpp( and \w+)* read EAN_13 {goods}: 01/0{goods}\n", done.err)


def test_a_picture_of_any_name(online, sell, goods):
    sell()
    write_label("tea.png", goods)
    Path("tea.png").rename("tea")
    assert online.json("platform", "history", "tea").record["subject"] == f"01/0{goods}"


def test_the_history_of_a_party(online):
    done = online("platform", "history", COURIER)
    assert "● registered as courier\n" in done.out
    assert "         │ 顺丰速运\n         │ licence until 2028-12-31\n         │ key " in done.out
    assert f"         │ by 福州市市场监督管理局 ({REGULATOR})\n" in done.out


def test_the_history_of_the_ledger(online):
    done = online("platform", "history", "ledger")
    assert (
        "● log ledger.test/city founded\n         │ format 1, rules 1\n         │ regulator 福州市"
        in done.out
    )


def test_no_history(online):
    done = online("platform", "history", "6900000000007")
    assert (done.status, done.out) == (1, "")
    assert done.err == ("Error: chain: given 01/06900000000007, expected a chain with entries [NOT_FOUND]\n")
    assert online("platform", "history", "--sale", "0" * 64).status == 4


@pytest.mark.parametrize("arguments", [(), ("6901234567892", "--sale", "0" * 64)])
def test_a_barcode_or_a_sale(online, arguments):
    assert online("platform", "history", *arguments).status == 2


@pytest.mark.parametrize(
    ("barcode", "reason"),
    [
        ("6901234567891", "BAD_IDENTIFIER"),
        ("01/06901234567891", "BAD_CHAIN_KEY"),
        ("106141412345678908", "AMBIGUOUS_CODE"),
        ("６901234567892", "BAD_IDENTIFIER"),
        ("", "BAD_IDENTIFIER"),
        ("no/such/file", "BAD_IDENTIFIER"),
        ("a\0b.png", "INVALID_REQUEST"),
        ("x" * 5000, "BAD_IDENTIFIER"),
    ],
)
def test_a_barcode_that_is_none(online, barcode, reason):
    done = online("platform", "history", barcode)
    assert done.status == 2
    assert done.err.endswith(f"[{reason}]\n")


def test_the_configured_carrier_changes_no_product(online, sell, goods):
    sell()
    record = online.json("platform", "history", goods, SUYUAN_CARRIER="zto").record
    assert record["subject"] == f"01/0{goods}"


def test_a_merchants_key_may_read_too(online, keys, sell, goods):
    sell()
    assert online.json("platform", "history", goods).record["entries"][0]["signer"] == MERCHANT
