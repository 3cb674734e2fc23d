from __future__ import annotations

import hashlib
import json
import re
import stat
from pathlib import Path

import pytest

from clients.keyfile import generate
from clients.purchase_token import PurchaseToken
from scanner.labels import write_label
from scanner.symbol import Symbology


@pytest.fixture
def bought(sell):
    """A token, and the sale that it is for."""
    event, path = sell()
    return path, event


@pytest.fixture
def received(online, bought):
    """The same with the goods in the buyer's hands."""
    assert online("consumer", "receive", "--token", bought[0]).status == 0
    return bought


def last_body(online, event):
    return online.json("platform", "history", "--sale", event).record["entries"][-1]["body"]


# Receive


def test_receive(online, bought):
    path, event = bought
    done = online.json("consumer", "receive", "--token", path, "--condition", "wrong-goods")
    assert done.status == 0, done.err
    assert last_body(online, event) == {"sale": event, "proxy": False, "condition": "wrong-goods"}
    [entry] = [
        one
        for one in online.json("platform", "history", "--sale", event).record["entries"]
        if one["kind"] == "receipt"
    ]
    assert (entry["signer"], entry["signer_name"]) == (None, None)


def test_receive_twice_is_refused(online, received):
    done = online("consumer", "receive", "--token", received[0])
    assert done.status == 4
    assert done.err.endswith("[RECEIPT_EXISTS]\n")


def test_a_token_from_standard_input(online, bought):
    assert online("consumer", "receive", "--token", "-", stdin=bought[0].read_text()).status == 0


def test_a_token_from_the_environment(online, bought):
    assert online("consumer", "receive", SUYUAN_TOKEN=bought[0].read_text()).status == 0


def test_a_token_from_a_picture(online, bought):
    write_label("slip.png", bought[0].read_text().strip(), Symbology.QR_CODE)
    assert online("consumer", "receive", "--token", "slip.png").status == 0


def test_no_token(online):
    done = online("consumer", "receive")
    assert done.status == 2
    assert done.err == (
        "Error: purchase token: given none, expected --token FILE, --token - for standard input, or the token in "
        "$SUYUAN_TOKEN [INVALID_REQUEST]\n"
    )


def test_a_token_file_that_is_not_there(online):
    done = online("consumer", "receive", "--token", "lost.token")
    assert done.status == 2
    assert done.err == (
        "Error: purchase token lost.token: given No such file or directory, expected a file that can be read "
        "[INVALID_REQUEST]\n"
    )


def test_a_picture_without_a_token(online, goods):
    write_label("tea.png", goods)
    done = online("consumer", "receive", "--token", "tea.png")
    assert done.status == 2
    assert "Error: purchase token: given " in done.err
    assert done.err.endswith("[BAD_KEY]\n")


def test_a_file_that_is_neither_token_nor_picture(online):
    Path("notes.txt").write_text("buy tea")
    done = online("consumer", "receive", "--token", "notes.txt")
    assert done.status == 2
    assert "Error: purchase token: given 7 characters that begin otherwise" in done.err


def test_a_damaged_token_is_not_repeated(online, bought):
    secret = bought[0].read_text().strip()
    damaged = f"{secret[:60]}{'A' if secret[60] != 'A' else 'B'}{secret[61:]}"
    done = online("consumer", "receive", "--token", "-", stdin=damaged)
    assert done.status == 2
    assert done.err == (
        "Error: purchase token: given a checksum that does not hold, expected a whole token, without a slip "
        "[BAD_KEY]\n"
    )


def test_a_token_given_as_an_argument_is_not_repeated(online, bought):
    secret = bought[0].read_text().strip()
    for arguments in (
        ("platform", "history", secret),
        ("label", secret, "--out", "x.png"),
        ("regulator", "verify", secret),
    ):
        done = online(*arguments)
        assert done.status == 2
        assert "a purchase token, which is a secret and has no place in arguments" in done.err
        assert secret[30:] not in done.err


def test_a_token_with_another_key(online, bought):
    forged = PurchaseToken(bytes.fromhex(bought[1]), generate())
    done = online("consumer", "receive", "--token", "-", stdin=forged.text())
    assert done.status == 2
    assert f"which sale {bought[1]} names [BAD_KEY]" in done.err


def test_a_token_of_no_sale(online):
    done = online("consumer", "receive", "--token", "-", stdin=PurchaseToken(bytes(32), generate()).text())
    assert done.status == 1
    assert done.err.endswith("[NOT_FOUND]\n")


# Review


def test_review(online, received):
    path, event = received
    done = online.json(
        "consumer", "review", "--token", path, "--rating", 4, "--product", 5, "--description", 3, "--delivery", 1,
        "--text", "茶很好，快递慢。",
    )  # fmt: skip
    assert done.status == 0, done.err
    kept = json.loads(Path(done.record["text_file"]).read_text(encoding="utf-8"))
    text = "茶很好，快递慢。"
    assert kept["text"] == text
    assert (kept["event"], kept["kind"]) == (done.record["event"], "review")
    body = last_body(online, event)
    assert body == {
        "sale": event,
        "rating": 4,
        "product_rating": 5,
        "description_rating": 3,
        "delivery_rating": 1,
        "text_commitment": hashlib.sha256(bytes.fromhex(kept["salt"]) + text.encode()).hexdigest(),
    }
    assert stat.S_IMODE(Path(done.record["text_file"]).stat().st_mode) == 0o600


def test_where_the_text_is(online, received):
    done = online("consumer", "review", "--token", received[0], "--rating", 4, "--text", "好")
    last = done.out.splitlines()[-1]
    found = re.fullmatch(
        r"  The text is not in the ledger, which holds a commitment to it\. It is in (.*/texts/[0-9a-f]{64}\.json)",
        last,
    )
    assert found
    assert Path(found[1]).exists()


def test_a_review_without_words(online, received):
    done = online.json("consumer", "review", "--token", received[0], "--rating", 5)
    assert done.record["text_file"] is None
    assert last_body(online, received[1])["text_commitment"] is None


def test_a_text_from_a_file(online, received):
    Path("words.txt").write_text("第一行\n第二行\n", encoding="utf-8")
    done = online.json(
        "consumer", "review", "--token", received[0], "--rating", 5, "--text-file", "words.txt"
    )
    assert json.loads(Path(done.record["text_file"]).read_text())["text"] == "第一行\n第二行"


@pytest.mark.parametrize(
    ("content", "given"),
    [(b"", "0 bytes"), (b"\xff", "other bytes"), (b"x" * 65_537, "65537 bytes")],
)
def test_a_text_that_is_none(online, received, content, given):
    Path("words.txt").write_bytes(content)
    done = online("consumer", "review", "--token", received[0], "--rating", 5, "--text-file", "words.txt")
    assert done.status == 2
    assert f"given {given}, expected " in done.err


@pytest.mark.parametrize("rating", ["0", "6", "4.5", "five", "-1", "٤"])
def test_a_rating_that_is_none(online, bought, rating):
    done = online("consumer", "review", "--token", bought[0], "--rating", rating)
    assert done.status == 2
    assert "Invalid value for '--rating'" in done.err


def test_a_review_before_the_receipt(online, bought):
    done = online("consumer", "review", "--token", bought[0], "--rating", 5, "--text", "好")
    assert done.status == 4
    assert done.err.endswith("[RECEIPT_MISSING]\n")
    assert list((online.state / "suyuan" / "texts").iterdir()) == []


# Follow up


def test_follow_up(online, received):
    path, event = received
    review = online.json("consumer", "review", "--token", path, "--rating", 4).record["event"]
    done = online.json("consumer", "follow-up", "--token", path, "--rating", 5, "--text", "退款很快")
    assert done.status == 0, done.err
    body = last_body(online, event)
    assert (body["review"], body["rating"]) == (review, 5)
    assert body["text_commitment"]


def test_a_follow_up_to_nothing(online, received):
    done = online("consumer", "follow-up", "--token", received[0], "--rating", 5)
    assert done.status == 4
    assert done.err == (
        f"Error: review of sale {received[1]}: given none by the buyer, expected a review before a follow-up "
        "[REVIEW_UNKNOWN]\n"
    )


# Complain


@pytest.mark.parametrize(
    ("category", "remedy"), [("counterfeit", "compensation-in-advance"), ("not-as-described", "apology")]
)
def test_complain(online, bought, category, remedy):
    done = online.json(
        "consumer", "complain", "--token", bought[0], "--category", category, "--remedy", remedy
    )
    assert done.status == 0, done.err
    assert last_body(online, bought[1]) == {
        "sale": bought[1],
        "category": category,
        "remedy": remedy,
        "text_commitment": None,
    }


def test_complain_says_what_it_needs(online, bought):
    done = online("consumer", "complain", "--token", bought[0], "--category", "quality")
    assert done.status == 2
    assert "Error: Missing option '--remedy'." in done.err


def test_a_lost_answer_keeps_the_text(online, received):
    done = online(
        "consumer",
        "review",
        "--token",
        received[0],
        "--rating",
        5,
        "--text",
        "好",
        SUYUAN_SERVER="127.0.0.1:1",
    )
    assert done.status == 3
    # The sale is looked up first, and nothing was written yet.
    assert not (online.state / "suyuan" / "texts").exists()
