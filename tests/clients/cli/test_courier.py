from __future__ import annotations

import pytest
from world import CARRIER_MEMBER, COURIER

from clients.keyfile import generate, write_key
from scanner.labels import draw_label, write_label

STAGES = [
    "picked-up",
    "in-transit",
    "arrived",
    "handed-over",
    "out-for-delivery",
    "delivered",
    "delivery-failed",
    "returned",
    "lost",
    "damaged",
]


@pytest.fixture
def dispatched(online, keys, sell, waybill):
    """A sale on its way: its event id and the token's file."""
    event, token = sell()
    for command in (("merchant", "dispatch", event, waybill), ("courier", "scan", "picked-up", waybill)):
        done = online(*command, "--key", keys[command[0]])
        assert done.status == 0, done.err
    return event, token


# Scan


@pytest.mark.parametrize("stage", STAGES)
def test_every_stage(online, keys, waybill, stage):
    done = online.json("courier", "scan", stage, waybill, "--weight", 310, "--key", keys["member"])
    assert done.status == 0, done.err
    assert done.record["chain"] == f"waybill/sf/{waybill}"
    [entry] = online.json("platform", "history", waybill).record["entries"]
    assert entry["signer"] == CARRIER_MEMBER
    assert entry["signer_name"] == "顺丰速运 / k-0017"
    assert entry["body"] == {"stage": stage, "sale": None, "parcel": None, "weight_g": 310}


def test_a_stage_that_there_is_not(online, keys, waybill):
    done = online("courier", "scan", "dispatched", waybill, "--key", keys["member"])
    assert done.status == 2
    assert "'dispatched' is not one of 'picked-up', 'in-transit'" in done.err


def test_several_parcels_of_all_sorts(online, keys, waybill):
    write_label("parcel.png", waybill)
    done = online.json(
        "courier", "scan", "in-transit", "parcel.png", "(00)106141412345678908", "RA123456785CN", "yto:YT9876543210987",
        "75312345678901", waybill, "ABC-1234", "6901234567892", "--carrier", "zto", "--key", keys["member"],
    )  # fmt: skip
    assert done.status == 0, done.err
    assert [record["chain"] for record in done.records] == [
        f"waybill/sf/{waybill}",
        "00/106141412345678908",
        "waybill/upu/RA123456785CN",
        "waybill/yto/YT9876543210987",
        "waybill/zto/75312345678901",
        "waybill/zto/ABC-1234",
        "waybill/zto/6901234567892",
    ]
    assert f"{waybill}: waybill/sf/{waybill} again, which counts once\n" in done.err


def test_one_refused_among_several(online, keys, waybill):
    done = online(
        "courier", "scan", "delivered", waybill, "yto:YT1111111111111", "--at", "2099-01-01T00:00:00Z",
        "--key", keys["member"],
    )  # fmt: skip
    assert done.status == 4
    assert (done.out, done.err.count("[OCCURRED_IN_FUTURE]")) == ("", 2)


@pytest.mark.parametrize(
    ("arguments", "chain"),
    [
        (("75312345678901",), "waybill/zto/75312345678901"),
        (("zto:75312345678901",), "waybill/zto/75312345678901"),
        (("waybill/sto/75312345678901",), "waybill/sto/75312345678901"),
    ],
)
def test_the_couriers_own_numbers(online, keys, arguments, chain):
    done = online.json("courier", "scan", "arrived", *arguments, "--carrier", "zto", "--key", keys["member"])
    assert done.status == 0, done.err
    assert done.record["chain"] == chain


def test_the_couriers_own_numbers_by_configuration(online, keys, tmp_path):
    (tmp_path / "mine.toml").write_text('carrier = "zto"\n')
    done = online.json(
        "courier", "scan", "arrived", "75312345678901", "--config", "mine.toml", "--key", keys["member"]
    )
    assert done.record["chain"] == "waybill/zto/75312345678901"


def test_a_number_that_may_be_of_two(online, keys):
    done = online("courier", "scan", "arrived", "75312345678901", "--key", keys["member"])
    assert done.status == 2
    assert done.err == (
        "Error: ambiguous code: given 75312345678901, expected one of these, spelled out: "
        "waybill/zto/75312345678901, waybill/sto/75312345678901 [AMBIGUOUS_CODE]\n"
    )


def test_a_plain_number_on_a_picture(online, keys):
    write_label("plain.png", "zto:75312345678901")
    done = online("courier", "scan", "arrived", "plain.png", "--key", keys["member"])
    assert done.status == 2
    assert done.err.endswith("waybill/zto/75312345678901, waybill/sto/75312345678901 [AMBIGUOUS_CODE]\n")
    done = online.json("courier", "scan", "arrived", "plain.png", "--carrier", "zto", "--key", keys["member"])
    assert done.status == 0, done.err
    assert done.record["chain"] == "waybill/zto/75312345678901"


def test_goods_are_no_parcel(online, keys, goods):
    write_label("tea.png", goods)
    for given, named in ((goods, goods), ("tea.png", "picture tea.png")):
        done = online("courier", "scan", "arrived", given, "--key", keys["member"])
        assert done.status == 2
        assert done.err.endswith(f"Error: {named}: given 01/0{goods}, expected a parcel [BAD_IDENTIFIER]\n")


def test_a_picture_without_a_symbol(online, keys):
    draw_label("6901234567892").crop((0, 0, 20, 20)).save("white.png")
    done = online("courier", "scan", "arrived", "white.png", "--key", keys["member"])
    assert done.status == 2
    assert done.err == "Error: picture white.png: given no identifier, expected a parcel [BAD_IDENTIFIER]\n"


def test_a_picture_of_two_parcels(online, keys, waybill):
    from PIL import Image

    one, two = draw_label(waybill), draw_label("YT9876543210987")
    both = Image.new("L", (max(one.width, two.width), one.height + two.height + 50), 255)
    both.paste(one, (0, 0))
    both.paste(two, (0, one.height + 50))
    both.save("two.png")
    done = online("courier", "scan", "arrived", "two.png", "--key", keys["member"])
    assert done.status == 2
    assert "Error: picture two.png: given 2 identifiers, expected one; name it: " in done.err
    assert done.err.endswith("[AMBIGUOUS_CODE]\n")


def test_a_slip_with_a_token_beside_the_waybill(online, keys, dispatched, waybill):
    from PIL import Image

    from scanner.symbol import Symbology

    secret = dispatched[1].read_text().strip()
    one, two = draw_label(waybill), draw_label(secret, Symbology.QR_CODE)
    slip = Image.new("L", (max(one.width, two.width), one.height + two.height + 50), 255)
    slip.paste(one, (0, 0))
    slip.paste(two, (0, one.height + 50))
    slip.save("slip.png")
    done = online("courier", "scan", "picked-up", "slip.png", "--key", keys["member"])
    assert done.status == 0, done.err
    assert "QR_CODE suyuan-purchase-v1:…: no identifier that is known\n" in done.err
    assert secret[30:] not in done.err + done.out
    assert online("consumer", "receive", "--token", "slip.png").status == 0


@pytest.mark.parametrize("name", ["nothing.jpg", "nothing.PNG"])
def test_a_picture_that_is_not_there(online, keys, name):
    done = online("courier", "scan", "arrived", name, "--key", keys["member"])
    assert done.status == 2
    assert done.err == (
        f"Error: picture {name}: given no such file, expected a picture file [INVALID_REQUEST]\n"
    )


def test_a_step_without_a_parcel(online, keys, sell):
    event, _ = sell()
    done = online.json("courier", "scan", "delivered", "--sale", event, "--key", keys["member"])
    assert done.status == 0, done.err
    entries = online.json("platform", "history", "--sale", event).record["entries"]
    assert entries[-1]["body"] == {"stage": "delivered", "sale": event, "parcel": None, "weight_g": 0}


@pytest.mark.parametrize("command", [("scan", "delivered"), ("receive",)])
@pytest.mark.parametrize("arguments", [(), ("SF1234567890123", "--sale", "0" * 64)])
def test_a_parcel_or_a_sale(online, keys, command, arguments):
    done = online("courier", *command, *arguments, "--key", keys["member"])
    assert done.status == 2
    assert "name parcels by BARCODE, or a sale by --sale" in done.err


def test_a_scan_needs_a_place(online, keys, waybill, monkeypatch):
    monkeypatch.delenv("SUYUAN_PLACE")
    assert online("courier", "scan", "arrived", waybill, "--key", keys["member"]).status == 2
    done = online("courier", "scan", "arrived", waybill, "--place", "DE", "--key", keys["member"])
    assert done.status == 0


@pytest.mark.parametrize("place", ["35010", "350102 ", "３50102", "Fuzhou", "000000"])
def test_a_place_that_is_none(online, keys, waybill, place):
    done = online("courier", "scan", "arrived", waybill, "--place", place, "--key", keys["member"])
    assert done.status == 2
    assert "[BAD_IDENTIFIER]" in done.err


def test_late_is_flagged(online, keys, waybill):
    done = online(
        "courier", "scan", "arrived", waybill, "--at", "2026-01-01T00:00:00+08:00", "--key", keys["member"]
    )
    assert done.status == 0
    assert done.out.endswith("\n  flags late\n")


def test_nobody_answers(online, keys, waybill):
    done = online("courier", "scan", "arrived", waybill, "--key", keys["member"], SUYUAN_SERVER="127.0.0.1:1")
    assert done.status == 3
    note, error = done.err.splitlines()
    assert note.startswith(
        f"It is not known whether this was recorded: arrived, waybill/sf/{waybill}, event "
    )
    assert error.startswith("Error: service at 127.0.0.1:1: given UNAVAILABLE: ")
    assert error.endswith("expected an answer [UNREACHABLE]")


# Receive


def test_a_courier_signs_for_the_buyer(online, keys, dispatched, waybill):
    done = online.json("courier", "receive", waybill, "--condition", "incomplete", "--key", keys["member"])
    assert done.status == 0, done.err
    assert done.record["kind"] == "receipt"
    assert done.record["flags"] == ["proxy-receipt"]
    event, _ = dispatched
    entries = online.json("platform", "history", "--sale", event).record["entries"]
    assert entries[-1]["body"] == {"sale": event, "proxy": True, "condition": "incomplete"}
    again = online("courier", "receive", waybill, "--key", keys["member"])
    assert again.status == 4
    assert again.err == (
        f"Error: sales in waybill/sf/{waybill}: given 1, all received, expected one that was not received yet "
        "[RECEIPT_EXISTS]\n"
    )


def test_a_receipt_by_the_sale(online, keys, sell):
    event, _ = sell()
    assert online("courier", "receive", "--sale", event, "--key", keys["member"]).status == 0
    again = online("courier", "receive", "--sale", event, "--key", keys["member"])
    assert again.status == 4
    assert again.err.endswith("[RECEIPT_EXISTS]\n")


def test_two_sales_in_one_parcel(online, keys, sell, waybill):
    events = []
    for number in range(2):
        event, _ = sell(f"{number}.token")
        assert online("merchant", "dispatch", event, waybill, "--key", keys["merchant"]).status == 0
        events.append(event)
    assert online("courier", "scan", "arrived", waybill, "--key", keys["member"]).status == 0
    assert online("consumer", "receive", "--token", "0.token").status == 0
    done = online.json("courier", "receive", waybill, "--key", keys["member"])
    assert done.status == 0
    entries = online.json("platform", "history", "--sale", events[1]).record["entries"]
    assert entries[-1]["event"] == done.record["event"]


def test_a_parcel_with_nothing_in_it(online, keys, waybill):
    assert online("courier", "scan", "arrived", waybill, "--key", keys["member"]).status == 0
    done = online("courier", "receive", waybill, "--key", keys["member"])
    assert done.status == 1
    assert done.err == (
        f"Error: sales in waybill/sf/{waybill}: given none, expected one that was dispatched in it [NOT_FOUND]\n"
    )


def test_a_parcel_that_nobody_saw(online, keys, waybill):
    done = online("courier", "receive", waybill, "--key", keys["member"])
    assert done.status == 1
    assert done.err.endswith("[NOT_FOUND]\n")


def test_a_merchant_does_not_sign_for_the_buyer(online, keys, dispatched, waybill):
    done = online("courier", "receive", waybill, "--key", keys["merchant"])
    assert done.status == 4
    assert done.err.endswith("[WRONG_ROLE]\n")


# Register


def test_register_a_courier(online, keys, tmp_path):
    from clients.cli.keygen import _pem

    write_key(tmp_path / "new.pem", generate(), None)
    (tmp_path / "new.pub").write_text(_pem(generate().public_key))
    done = online.json("courier", "register", "k-0018", "--public-key", "new.pub", "--key", keys["courier"])
    assert done.status == 0, done.err
    assert done.record["chain"] == f"{COURIER}/k-0018"


def test_a_member_registers_nobody(online, keys, tmp_path):
    from clients.cli.keygen import _pem

    (tmp_path / "new.pub").write_text(_pem(generate().public_key))
    done = online("courier", "register", "k-0019", "--public-key", "new.pub", "--key", keys["member"])
    assert done.status == 4
    assert done.err.endswith("[WRONG_ROLE]\n")


@pytest.mark.parametrize("member", ["张三", "", "a/b", "-x" * 20])
def test_a_member_that_is_no_pseudonym(online, keys, tmp_path, member):
    from clients.cli.keygen import _pem

    (tmp_path / "new.pub").write_text(_pem(generate().public_key))
    done = online("courier", "register", "--public-key", "new.pub", "--key", keys["courier"], "--", member)
    assert done.status == 2
    assert "[BAD_IDENTIFIER]" in done.err
