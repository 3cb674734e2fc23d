from __future__ import annotations

import hashlib
import json
import os
import stat
from pathlib import Path

import pytest
from world import COURIER, MERCHANT, signing_key

from clients.keyfile import generate, write_key
from clients.pending_sale import PendingSale
from clients.purchase_token import PurchaseToken
from scanner.decode import decode_image
from scanner.labels import write_label


def mode(path):
    return stat.S_IMODE(Path(path).stat().st_mode)


def public_key_of(key, folder):
    from clients.cli.keygen import _pem

    path = folder / f"{key.public_key.key_id.hex()[:8]}.pub"
    path.write_text(_pem(key.public_key))
    return path


# List


def test_list_a_product(online, keys, goods):
    done = online.json(
        "merchant", "list", goods, "--title", "茉莉花茶 250 g", "--category", "farm-supply", "--weight", 300,
        "--origin", "350102", "--at", "2026-05-04T09:30:00+08:00", "--key", keys["merchant"],
    )  # fmt: skip
    assert (done.status, done.err) == (0, "")
    record = done.record
    assert record["recorded"] is True
    assert record["kind"] == "listing"
    assert record["chain"] == f"01/0{goods}"
    assert record["chain_seq"] == 0
    assert record["flags"] == ["late"]
    assert record["already_recorded"] is False
    assert record["checkpoint"]["size"] > record["index"]
    [entry] = online.json("platform", "history", goods).record["entries"]
    assert entry["event"] == record["event"]
    assert entry["occurred_at"] == "2026-05-04T01:30:00.000000Z"
    assert entry["utc_offset_minutes"] == 480
    assert entry["place"] == "350102"
    assert entry["signer"] == MERCHANT
    assert entry["signer_name"] == "闽茶坊"
    assert entry["body"] == {
        "title": "茉莉花茶 250 g",
        "category": "farm-supply",
        "gross_weight_g": 300,
        "origin_region": "350102",
    }


def test_list_tells_what_was_recorded(online, keys, goods):
    done = online("merchant", "list", goods, "--title", "茶", "--category", "food", "--key", keys["merchant"])
    first, place, event = done.out.splitlines()
    assert first == f"Recorded: listing, 01/0{goods}"
    assert place.endswith("+08:00")
    assert event.startswith("  event ")


def test_list_shows_what_was_read_from_a_picture(online, keys, goods):
    write_label("tea.png", goods)
    done = online.json(
        "merchant", "list", "tea.png", "--title", "茶", "--category", "food", "--key", keys["merchant"]
    )
    assert done.status == 0
    assert done.record["chain"] == f"01/0{goods}"
    assert done.err.startswith("tea.png: zxing-cpp")
    assert done.err.endswith(f"read EAN_13 {goods}: 01/0{goods}\n01/0{goods}: never seen in this ledger\n")


@pytest.mark.parametrize(("answer", "status"), [("y\n", 0), ("n\n", 1)])
def test_at_a_terminal_what_was_read_is_confirmed(online, keys, goods, answer, status):
    write_label("tea.png", goods)
    arguments = (
        "merchant",
        "list",
        "tea.png",
        "--title",
        "茶",
        "--category",
        "food",
        "--key",
        keys["merchant"],
    )
    done = online(*arguments, stdin=answer, terminal=True)
    assert done.status == status
    assert f"  01/0{goods}  (tea.png)\nSign this? [y/N]: " in done.err
    assert done.out.startswith("Recorded: listing" if status == 0 else "")
    assert done.err.endswith("Sign this? [y/N]: " if status == 0 else "Nothing was signed.\n")
    recorded = online("platform", "history", goods).status == 0
    assert recorded == (status == 0)


def test_yes_asks_nothing(online, keys, goods):
    write_label("tea.png", goods)
    done = online("merchant", "list", "tea.png", "--title", "茶", "--category", "food", "--key", keys["merchant"],
                  "--yes", terminal=True)  # fmt: skip
    assert done.status == 0
    assert "Sign this?" not in done.err


def test_a_parcel_is_not_listed(online, keys):
    done = online(
        "merchant",
        "list",
        "SF1234567890123",
        "--title",
        "茶",
        "--category",
        "food",
        "--key",
        keys["merchant"],
    )
    assert done.status == 2
    assert done.err == (
        "Error: SF1234567890123: given waybill/sf/SF1234567890123, expected a product [BAD_IDENTIFIER]\n"
    )


def test_another_role_is_refused(online, keys, goods):
    done = online("merchant", "list", goods, "--title", "茶", "--category", "food", "--key", keys["member"])
    assert (done.status, done.out) == (4, "")
    assert done.err.startswith(f"Refused: listing, 01/0{goods}, event ")
    assert done.err.endswith(
        "signer: given courier party/91440300708461136T/k-0017, expected merchant [WRONG_ROLE]\n"
    )


def test_a_refusal_for_programs(online, keys, goods):
    done = online.json(
        "merchant", "list", goods, "--title", "茶", "--category", "food", "--key", keys["member"]
    )
    assert done.status == 4
    assert done.record["recorded"] is False
    assert done.record["refused"] == {
        "reason": "WRONG_ROLE",
        "message": "signer: given courier party/91440300708461136T/k-0017, expected merchant",
        "given": "courier party/91440300708461136T/k-0017",
        "expected": "merchant",
        "code": "PERMISSION_DENIED",
    }


def test_a_key_that_nobody_registered(online, goods, tmp_path):
    write_key(tmp_path / "new.pem", generate(), None)
    done = online("merchant", "list", goods, "--title", "茶", "--category", "food", "--key", "new.pem")
    assert done.status == 4
    assert done.err.endswith("[UNKNOWN_KEY]\n")


# Register


def test_register_a_member_of_the_own_company(online, keys, tmp_path):
    key = generate()
    done = online.json(
        "merchant",
        "register",
        "till-2",
        "--public-key",
        public_key_of(key, tmp_path),
        "--key",
        keys["merchant"],
    )
    assert done.status == 0, done.err
    assert done.record["chain"] == f"{MERCHANT}/till-2"
    shown = online.json("regulator", "status", f"{MERCHANT}/till-2").record
    assert shown["role"] == "merchant"
    assert shown["accreditor"] == MERCHANT
    assert [one["key_id"] for one in shown["keys"]] == [key.public_key.key_id.hex()]


@pytest.mark.parametrize("member", [None, "till-3"])
def test_a_second_key_for_the_company_or_a_member(online, keys, goods, tmp_path, member):
    by = ("--key", keys["merchant"])
    holder = MERCHANT if member is None else f"{MERCHANT}/{member}"
    if member is not None:
        first = public_key_of(generate(), tmp_path)
        assert online("merchant", "register", member, "--public-key", first, *by).status == 0
    second = generate()
    write_key(tmp_path / "second.pem", second, None)
    added = (
        "merchant",
        "add-key",
        *filter(None, [member]),
        "--public-key",
        public_key_of(second, tmp_path),
        *by,
    )
    done = online.json(*added)
    assert done.status == 0, done.err
    assert (done.record["chain"], done.record["kind"]) == (holder, "key_addition")
    listed = online("merchant", "list", goods, "--title", "茶", "--category", "food", "--key", "second.pem")
    assert listed.status == 0, listed.err
    again = online(*added)
    assert again.status == 4
    assert again.err.endswith("[KEY_IN_USE]\n")


@pytest.mark.parametrize("who", ["platform", "regulator"])
def test_a_key_added_by_who_has_authority(online, keys, tmp_path, who):
    path = public_key_of(generate(), tmp_path)
    done = online.json(who, "add-key", MERCHANT, "--public-key", path, "--key", keys[who])
    assert done.status == 0, done.err
    assert done.record["chain"] == MERCHANT


def test_a_key_for_another_company_is_refused(online, keys, tmp_path):
    path = public_key_of(generate(), tmp_path)
    done = online("platform", "add-key", COURIER, "--public-key", path, "--key", keys["platform"])
    assert done.status == 4
    assert done.err.endswith("[NOT_ACCREDITOR]\n")
    done = online("courier", "add-key", "--public-key", path, "--key", keys["courier"])
    assert done.status == 0, done.err


def test_register_for_another_company_is_refused(online, keys, tmp_path):
    done = online(
        "merchant", "register", "spy", "--public-key", public_key_of(generate(), tmp_path), "--key", keys["merchant"],
        SUYUAN_PARTY="91440300708461136T",
    )  # fmt: skip
    assert done.status == 4
    assert done.err.endswith("[NOT_ACCREDITOR]\n")


def test_a_private_key_is_no_public_key(online, keys):
    done = online("merchant", "register", "till-3", "--public-key", keys["member"], "--key", keys["merchant"])
    assert done.status == 2
    assert "given a private key, not to be shown to anyone" in done.err


# Sell


def test_sell_writes_a_token_for_its_owner_alone(online, keys, sell):
    event, path = sell()
    assert mode(path) == 0o600
    token = PurchaseToken.parse(path.read_text())
    assert token.sale.hex() == event
    entries = {
        entry["event"]: entry
        for entry in online.json("platform", "history", "--sale", event).record["entries"]
    }
    assert entries[event]["body"] == {
        "buyer_key": token.key.public_key.spki.hex(),
        "quantity": 1,
        "order_commitment": None,
    }
    assert sorted(one.name for one in path.parent.iterdir() if one.is_file()) == ["sold.token"]


def test_sell_draws_the_token(online, keys, sell, goods, tmp_path):
    sell()
    done = online(
        "merchant",
        "sell",
        goods,
        "--token",
        "two.token",
        "--qr",
        "two.png",
        "--quantity",
        2,
        "--key",
        keys["merchant"],
    )
    assert done.status == 0, done.err
    assert "  token file two.token\n  qr file two.png\n" in done.out
    assert mode("two.png") == 0o600
    [symbol] = decode_image("two.png")
    assert symbol.text == Path("two.token").read_text().strip()
    assert symbol.text not in done.out + done.err
    assert not [one for one in tmp_path.iterdir() if one.name.startswith(".qr-")]


def test_sell_draws_an_svg_too(online, keys, sell, goods):
    sell()
    done = online(
        "merchant", "sell", goods, "--token", "two.token", "--qr", "two.SVG", "--key", keys["merchant"]
    )
    assert done.status == 0, done.err
    assert mode("two.SVG") == 0o600
    assert Path("two.SVG").read_text().startswith("<?xml")


def test_an_order_number_is_committed_to_and_kept(online, keys, sell, goods):
    sell()
    done = online.json(
        "merchant", "sell", goods, "--token", "two.token", "--order", "2026-0001", "--key", keys["merchant"]
    )
    kept = json.loads(Path(done.record["text_file"]).read_text())
    assert kept["text"] == "2026-0001"
    digest = hashlib.sha256(bytes.fromhex(kept["salt"]) + b"2026-0001").hexdigest()
    entries = online.json("platform", "history", goods).record["entries"]
    assert entries[-1]["body"]["order_commitment"] == kept["commitment"] == digest
    assert mode(done.record["text_file"]) == 0o600


def test_a_refused_sale_leaves_nothing_behind(online, keys, goods, tmp_path):
    done = online(
        "merchant", "sell", goods, "--token", "sold.token", "--qr", "sold.png", "--order", "17",
        "--key", keys["merchant"],
    )  # fmt: skip
    assert done.status == 4
    assert done.err.endswith("[LISTING_MISSING]\n")
    assert [one for one in tmp_path.iterdir() if one.is_file()] == []
    assert list((online.state / "suyuan" / "texts").iterdir()) == []


def test_a_sale_to_nobody_leaves_nothing_behind(online, keys, goods, tmp_path):
    done = online(
        "merchant",
        "sell",
        goods,
        "--token",
        "sold.token",
        "--key",
        keys["merchant"],
        SUYUAN_SERVER="127.0.0.1:1",
    )
    assert done.status == 3
    assert "[UNREACHABLE]" in done.err
    assert [one for one in tmp_path.iterdir() if one.is_file()] == []


@pytest.mark.parametrize("existing", ["sold.token", "sold.token.pending", "sold.png"])
def test_no_file_is_written_over(online, keys, sell, goods, existing):
    sell("first.token")
    Path(existing).write_text("precious")
    done = online(
        "merchant", "sell", goods, "--token", "sold.token", "--qr", "sold.png", "--key", keys["merchant"]
    )
    assert done.status == 2
    assert f"Error: file {existing}: given " in done.err
    assert Path(existing).read_text() == "precious"
    assert len(online.json("platform", "history", goods).record["entries"]) == 2


def test_a_folder_that_is_not_there(online, keys, sell, goods):
    sell("first.token")
    done = online("merchant", "sell", goods, "--token", "nowhere/sold.token", "--key", keys["merchant"])
    assert done.status == 2
    assert "given No such file or directory" in done.err
    assert len(online.json("platform", "history", goods).record["entries"]) == 2


def test_a_qr_code_is_a_picture(online, keys, goods):
    done = online("merchant", "sell", goods, "--token", "t", "--qr", "token.gif", "--key", keys["merchant"])
    assert done.status == 2
    assert (
        done.err
        == "Error: file token.gif: given suffix .gif, expected .png, .svg or .pdf [INVALID_REQUEST]\n"
    )


@pytest.mark.parametrize(
    "arguments", [(), ("6901234567892",), ("--token", "t"), ("6901234567892", "--resume", "t.pending")]
)
def test_sell_says_what_it_needs(online, keys, arguments):
    done = online("merchant", "sell", *arguments, "--key", keys["merchant"])
    assert done.status == 2
    assert "Usage: suyuan merchant sell" in done.err


def pending_sale(online, keys, sell, goods, monkeypatch):
    """A sale of which the answer got lost, as a crash after sending leaves it."""
    sell("first.token")
    with monkeypatch.context() as patch:
        patch.setattr(PendingSale, "finish", crash)
        return online("merchant", "sell", goods, "--token", "sold.token", "--key", keys["merchant"])


def crash(_):
    raise KeyboardInterrupt


def test_a_crash_after_sending_is_finished_later(online, keys, sell, goods, monkeypatch):
    done = pending_sale(online, keys, sell, goods, monkeypatch)
    assert done.status == 130
    assert done.err == (
        "The sale is not finished: it is kept in sold.token.pending, with the purchase key.\n"
        "Finish it with: suyuan merchant sell --resume sold.token.pending\n"
    )
    assert not Path("sold.token").exists()
    assert mode("sold.token.pending") == 0o600
    with pytest.raises(Exception, match="characters that begin otherwise"):
        PurchaseToken.parse(Path("sold.token.pending").read_text())
    resumed = online.json("merchant", "sell", "--resume", "sold.token.pending", "--qr", "sold.png")
    assert resumed.status == 0, resumed.err
    assert resumed.record["already_recorded"] is True
    assert PurchaseToken.parse(Path("sold.token").read_text()).sale.hex() == resumed.record["event"]
    assert not Path("sold.token.pending").exists()
    assert len(online.json("platform", "history", goods).record["entries"]) == 3
    assert online("consumer", "receive", "--token", "sold.png").status == 0


def test_a_crash_before_the_pending_file_went(online, keys, sell, goods, monkeypatch):
    sell("first.token")
    with monkeypatch.context() as patch:
        patch.setattr(PendingSale, "discard", crash)
        assert (
            online("merchant", "sell", goods, "--token", "sold.token", "--key", keys["merchant"]).status
            == 130
        )
    token = Path("sold.token").read_text()
    assert online("merchant", "sell", "--resume", "sold.token.pending").status == 0
    assert Path("sold.token").read_text() == token
    assert not Path("sold.token.pending").exists()


def test_a_token_in_the_way_is_not_written_over(online, keys, sell, goods, monkeypatch):
    pending_sale(online, keys, sell, goods, monkeypatch)
    Path("sold.token").write_text("precious")
    done = online("merchant", "sell", "--resume", "sold.token.pending")
    assert done.status == 2
    assert (
        "Error: file sold.token: given a file that exists, expected a new file [INVALID_REQUEST]" in done.err
    )
    assert Path("sold.token").read_text() == "precious"
    assert Path("sold.token.pending").exists()
    assert not Path("sold.token.part").exists()


def test_a_sale_that_cannot_be_sent_is_kept(online, keys, sell, goods, monkeypatch):
    pending_sale(online, keys, sell, goods, monkeypatch)
    done = online("merchant", "sell", "--resume", "sold.token.pending", SUYUAN_SERVER="127.0.0.1:1")
    assert done.status == 3
    assert Path("sold.token.pending").exists()
    assert online("merchant", "sell", "--resume", "sold.token.pending").status == 0


# Dispatch


def test_dispatch_in_two_parcels(online, keys, sell, waybill):
    event, _ = sell()
    done = online.json(
        "merchant", "dispatch", event, waybill, "zto:75312345678901", waybill.lower(), "--weight", 310,
        "--key", keys["merchant"],
    )  # fmt: skip
    assert done.status == 0, done.err
    events = [record["event"] for record in done.records]
    assert done.err == f"{waybill.lower()}: waybill/sf/{waybill} again, which counts once\n"
    entries = online.json("platform", "history", "--sale", event).record["entries"]
    bodies = [entry["body"] for entry in entries if entry["event"] in events]
    parcels = [f"waybill/sf/{waybill}", "waybill/zto/75312345678901"]
    assert bodies == [
        {"stage": "dispatched", "sale": event, "parcel": parcel, "weight_g": 310} for parcel in parcels
    ]


def test_dispatch_needs_a_place(online, keys, waybill, monkeypatch):
    monkeypatch.delenv("SUYUAN_PLACE")
    done = online("merchant", "dispatch", "0" * 64, waybill, "--key", keys["merchant"])
    assert done.status == 2
    assert done.err == (
        "Error: place: given none, expected where it happened: --place, $SUYUAN_PLACE or `place` in the "
        "configuration file [INVALID_REQUEST]\n"
    )


def test_dispatch_of_an_unknown_sale(online, keys, waybill):
    done = online("merchant", "dispatch", "0" * 64, waybill, "--key", keys["merchant"])
    assert done.status == 1
    assert done.err.endswith("[NOT_FOUND]\n")


@pytest.mark.parametrize("sale", ["5FD9", "0" * 63, "0" * 63 + "G", "A" * 64])
def test_dispatch_of_what_is_no_event_id(online, keys, waybill, sale):
    done = online("merchant", "dispatch", sale, waybill, "--key", keys["merchant"])
    assert done.status == 2
    assert done.err == (
        f"Error: sale: given {sale}, expected 64 lower-case hexadecimal digits [BAD_IDENTIFIER]\n"
    )


def test_another_merchants_sale_is_refused(online, keys, sell, waybill):
    event, _ = sell()
    done = online("merchant", "dispatch", event, waybill, "--key", keys["other"])
    assert done.status == 4
    assert done.err.endswith("[NOT_OWNER]\n")


# Reply


@pytest.fixture
def complaint(online, sell):
    """A complaint about a sale."""
    _, token = sell()
    done = online.json(
        "consumer", "complain", "--token", token, "--category", "damaged", "--remedy", "refund"
    )
    assert done.status == 0, done.err
    return done.record["event"]


def test_reply_and_resolve(online, keys, complaint):
    done = online.json(
        "merchant", "reply", complaint, "--stance", "accepted", "--resolve", "settled", "--remedy", "refund",
        "--text", "今天退款", "--key", keys["merchant"],
    )  # fmt: skip
    assert done.status == 0, done.err
    assert [record["kind"] for record in done.records] == ["complaint_reply", "complaint_resolution"]
    assert json.loads(Path(done.records[0]["text_file"]).read_text())["text"] == "今天退款"
    assert done.records[1]["text_file"] is None


def test_a_platform_resolves(online, keys, complaint):
    done = online.json(
        "merchant", "reply", complaint, "--resolve", "refused", "--text-file", "-", "--key", keys["platform"],
        stdin="没有依据\n",
    )  # fmt: skip
    assert done.status == 0, done.err
    assert json.loads(Path(done.record["text_file"]).read_text())["text"] == "没有依据"


@pytest.mark.parametrize(
    "arguments",
    [(), ("--resolve", "settled"), ("--resolve", "refused", "--remedy", "refund"), ("--stance", "accepted", "--remedy", "refund")],
)  # fmt: skip
def test_reply_says_what_it_needs(online, keys, complaint, arguments):
    done = online("merchant", "reply", complaint, *arguments, "--key", keys["merchant"])
    assert done.status == 2
    assert "Usage: suyuan merchant reply" in done.err


def test_reply_to_what_is_no_complaint(online, keys, sell):
    event, _ = sell()
    done = online("merchant", "reply", event, "--stance", "accepted", "--key", keys["merchant"])
    assert done.status == 2
    assert done.err == f"Error: event {event}: given a sale, expected a complaint [INVALID_REQUEST]\n"


def test_two_ways_to_say_a_text(online, keys, complaint):
    done = online(
        "merchant",
        "reply",
        complaint,
        "--stance",
        "accepted",
        "--text",
        "a",
        "--text-file",
        "b",
        "--key",
        keys["merchant"],
    )
    assert done.status == 2
    assert (
        done.err == "Error: text: given --text and --text-file, expected one of the two [INVALID_REQUEST]\n"
    )


# Recall


def test_recall_a_lot(online, keys, sell, goods):
    sell()
    lot = f"(01)0{goods}(10)A/7"
    assert (
        online("merchant", "recall", lot, "--reason", "contamination", "--key", keys["merchant"]).status == 0
    )
    shown = online("regulator", "verify", lot)
    assert shown.status == 0
    assert ": RECALLED: contamination\n" in shown.out


# Keys


@pytest.fixture
def encrypted(tmp_path):
    """The merchant's key, encrypted."""
    write_key(tmp_path / "merchant.pem", signing_key(MERCHANT), "茶 secret".encode())
    return tmp_path / "merchant.pem"


def listing(goods, key):
    return ("merchant", "list", goods, "--title", "茶", "--category", "food", "--key", key)


def test_a_passphrase_from_a_file(online, encrypted, goods, tmp_path):
    (tmp_path / "passphrase").write_text("茶 secret\nand more\n")
    assert online(*listing(goods, encrypted), "--passphrase-file", "passphrase").status == 0


def test_a_passphrase_from_the_environment(online, encrypted, goods):
    assert online(*listing(goods, encrypted), SUYUAN_KEY_PASSPHRASE="茶 secret").status == 0


def test_a_passphrase_that_is_asked_for(online, encrypted, goods, monkeypatch):
    asked = []
    monkeypatch.setattr("clients.cli.inputs.getpass", lambda prompt: asked.append(prompt) or "茶 secret")
    assert online(*listing(goods, encrypted), terminal=True).status == 0
    assert asked == [f"Passphrase of {encrypted}: "]


def test_a_wrong_passphrase(online, encrypted, goods):
    done = online(*listing(goods, encrypted), SUYUAN_KEY_PASSPHRASE="wrong horse")
    assert done.status == 2
    assert "or another passphrase" in done.err
    assert "[BAD_KEY]" in done.err
    assert "horse" not in done.err


def test_nobody_to_ask_for_a_passphrase(online, encrypted, goods):
    done = online(*listing(goods, encrypted))
    assert done.status == 2
    assert done.err == (
        "Error: passphrase: given none, and no terminal to ask at, expected --passphrase-file FILE or "
        "$SUYUAN_KEY_PASSPHRASE [INVALID_REQUEST]\n"
    )


def test_a_key_that_others_may_read(online, keys, goods, tmp_path):
    path = tmp_path / "open.pem"
    path.write_bytes(keys["merchant"].read_bytes())
    path.chmod(0o640)
    done = online(*listing(goods, path))
    assert done.status == 2
    assert "given mode 0640, which lets others read or change it" in done.err


def test_no_key(online, goods):
    done = online("merchant", "list", goods, "--title", "茶", "--category", "food")
    assert done.status == 2
    assert "config/suyuan/key.pem: given No such file or directory" in done.err


def test_the_key_in_its_usual_place(online, keys, goods, tmp_path):
    (tmp_path / "config" / "suyuan").mkdir(parents=True)
    os.link(keys["merchant"], tmp_path / "config" / "suyuan" / "key.pem")
    assert online("merchant", "list", goods, "--title", "茶", "--category", "food").status == 0


def test_evidence_is_hashed(online, keys, goods, tmp_path):
    (tmp_path / "certificate.pdf").write_bytes(b"%PDF")
    (tmp_path / "noname").write_bytes(b"")
    done = online(*listing(goods, keys["merchant"]), "--evidence", "certificate.pdf", "--evidence", "noname")
    assert done.status == 0
    [entry] = online.json("platform", "history", goods).record["entries"]
    assert entry["evidence"] == [
        {"sha256": hashlib.sha256(b"%PDF").hexdigest(), "media_type": "application/pdf", "uri": None},
        {"sha256": hashlib.sha256(b"").hexdigest(), "media_type": "application/octet-stream", "uri": None},
    ]


def test_evidence_that_is_not_there(online, keys, goods):
    done = online(*listing(goods, keys["merchant"]), "--evidence", "photo.jpg")
    assert done.status == 2
    assert done.err == (
        "Error: evidence photo.jpg: given No such file or directory, expected a file that can be read "
        "[INVALID_REQUEST]\n"
    )


@pytest.mark.parametrize(
    "at",
    ["2026-05-04T09:30:00", "yesterday", "2026-05-04", "2026-05-04T09:30:00+0800", "２026-05-04T09:30:00Z", "2026-02-30T09:30:00Z"],
)  # fmt: skip
def test_a_time_without_its_offset(online, keys, goods, at):
    done = online(*listing(goods, keys["merchant"]), "--at", at)
    assert done.status == 2
    assert "expected a time with its offset, such as 2026-05-04T09:30:00+08:00 [INVALID_REQUEST]" in done.err


def test_a_global_location_number_needs_a_region(online, keys, goods, monkeypatch):
    assert online(*listing(goods, keys["merchant"]), "--gln", "6901234567892").status == 0
    [entry] = online.json("platform", "history", goods).record["entries"]
    assert (entry["place"], entry["gln"]) == ("350102", "6901234567892")
    monkeypatch.delenv("SUYUAN_PLACE")
    assert online(*listing(goods, keys["merchant"]), "--gln", "6901234567892").status == 2
