"""What is looked up before anything is signed, and what becomes of a code that is in doubt."""

from __future__ import annotations

import grpc
import pytest
from lying import lying_service
from world import MERCHANT, OTHER_MERCHANT

from ledger.identifiers import gs1_check_digit
from scanner.labels import write_label


def listing(barcode, key, *more):
    return ("merchant", "list", barcode, "--title", "茶", "--category", "food", "--key", key, *more)


@pytest.fixture
def slip(goods):
    """This test's product as it is misread: two digits changed places that are two apart, which no check digit shows."""
    body = goods[:-1]
    place = next(place for place in range(3, 10) if body[place] != body[place + 2])
    body = body[:place] + body[place + 2] + body[place + 1] + body[place] + body[place + 3 :]
    assert gs1_check_digit(body) == goods[-1]
    return body + goods[-1]


@pytest.fixture
def listed(online, keys, goods):
    """The command line, after this test's product was listed."""
    assert online(*listing(goods, keys["merchant"])).status == 0
    return online


def is_recorded(suyuan, barcode):
    return suyuan("platform", "history", barcode).status == 0


@pytest.mark.parametrize("flags", [["--yes"], []])
def test_what_is_in_doubt_is_not_signed_where_nobody_is_asked(listed, keys, goods, slip, flags):
    done = listed(*listing(slip, keys["merchant"], *flags), terminal="--yes" in flags)
    assert (done.status, done.out) == (2, "")
    assert done.err == (
        f"01/0{slip}: never seen in this ledger\n"
        "It may be a misreading of what is listed; compare every digit with what is printed:\n"
        f"  01/0{goods}, listed by {MERCHANT} as 茶\n"
        f"Error: barcode {slip}: given 01/0{slip}, which was never seen in this ledger and may be a misreading of "
        f"01/0{goods}, expected one that is known; or the answer of somebody who compared it with what is printed: "
        "at a terminal without --yes, or --sure [AMBIGUOUS_CODE]\n"
    )
    assert not is_recorded(listed, slip)


def test_a_doubt_for_programs(listed, keys, slip):
    done = listed.json(*listing(slip, keys["merchant"], "--yes"))
    assert done.status == 2
    assert '"reason": "AMBIGUOUS_CODE"' in done.err.splitlines()[-1]


@pytest.mark.parametrize(("answer", "status"), [("y\n", 0), ("n\n", 1), ("", 1)])
def test_at_a_terminal_a_doubt_is_asked_about(listed, keys, slip, answer, status):
    done = listed(*listing(slip, keys["merchant"]), stdin=answer, terminal=True)
    assert done.status == status
    assert "compare every digit with what is printed:\n" in done.err
    assert "Sign this? [y/N]: " in done.err
    assert "Read from pictures" not in done.err
    assert is_recorded(listed, slip) == (status == 0)


def test_who_is_sure_is_told_and_signs(listed, keys, goods, slip):
    done = listed(*listing(slip, keys["merchant"], "--sure"))
    assert done.status == 0
    assert f"  01/0{goods}, listed by {MERCHANT} as 茶\n" in done.err
    # Now it is known, and no doubt is left.
    again = listed(*listing(slip, keys["merchant"], "--yes"))
    assert (again.status, again.err) == (0, "")


@pytest.mark.parametrize(
    "command",
    [
        lambda slip: ("sell", f"(01)0{slip}(10)A7", "--token", "a.token"),
        lambda slip: ("recall", slip, "--reason", "contamination"),
    ],
)
def test_a_sale_and_a_recall_of_what_is_in_doubt(listed, keys, slip, command, tmp_path):
    done = listed("merchant", *command(slip), "--key", keys["merchant"], "--yes")
    assert done.status == 2
    assert done.err.endswith("[AMBIGUOUS_CODE]\n")
    assert not list(tmp_path.glob("a.token*"))


def test_what_was_read_from_a_picture_is_told(listed, keys, goods):
    assert listed(*listing(goods, keys["other"])).status == 0
    write_label("lot.png", f"01/0{goods}/10/A7")
    done = listed("merchant", "sell", "lot.png", "--token", "a.token", "--key", keys["merchant"], "--yes")
    assert done.status == 0
    told = done.err.splitlines()[1:]
    assert sorted(told) == sorted(
        f"01/0{goods}/10/A7: its product is listed by {who} as 茶" for who in (MERCHANT, OTHER_MERCHANT)
    )


def test_at_a_terminal_it_is_told_by_whom_a_product_is_listed(listed, keys, goods):
    again = listed(*listing(goods, keys["merchant"]), terminal=True)
    assert (again.status, again.err) == (0, f"01/0{goods}: listed by {MERCHANT} as 茶\n")


def test_a_parcel_on_a_picture_is_told(online, keys, waybill):
    write_label("parcel.png", waybill)
    step = ("courier", "scan", "picked-up", "parcel.png", "--key", keys["member"], "--yes")
    assert online(*step).err.endswith(f"waybill/sf/{waybill}: never seen in this ledger\n")
    assert f"\nwaybill/sf/{waybill}: in this ledger since 20" in online(*step).err


def test_parcels_that_were_typed_are_not_looked_up(online, service, keys, waybill):
    with lying_service(service.target) as between:
        done = online(
            "courier", "scan", "picked-up", waybill, "--key", keys["member"], "--server", between.target
        )
        assert (done.status, done.err) == (0, "")
        assert not between.calls("LookUpChains")


def test_a_service_that_is_not_there_checks_nothing_and_says_so(online, keys, goods):
    done = online(*listing(goods, keys["merchant"], "--server", "127.0.0.1:1", "--timeout", 1))
    assert done.status == 3
    assert done.err.startswith("Not checked against what the ledger knows: service at 127.0.0.1:1: given ")


def test_a_service_from_before_checks_nothing_and_records(listed, service, keys, slip):
    with lying_service(service.target) as older:
        older.tell("LookUpChains", lambda *_: Answer(grpc.StatusCode.UNIMPLEMENTED, "Method not found!", ()))
        done = listed(*listing(slip, keys["merchant"], "--yes", "--server", older.target))
    assert done.status == 0
    assert done.err == (
        f"Not checked against what the ledger knows: service at {older.target}: given UNIMPLEMENTED: "
        "Method not found!, expected an answer\n"
    )


class Answer(grpc.Status):
    def __init__(self, code, details, trailing_metadata):
        self.code, self.details, self.trailing_metadata = code, details, trailing_metadata


def test_nothing_is_signed_after_a_lie(listed, service, keys, slip):
    def lie(_, answer):
        answer.entries[0].index += 1

    with lying_service(service.target) as liar:
        liar.tell("LookUpChains", lie)
        done = listed(*listing(slip, keys["merchant"], "--sure", "--server", liar.target))
    assert done.status == 5
    assert "[BAD_INCLUSION_PROOF]" in done.err
    assert not is_recorded(listed, slip)
