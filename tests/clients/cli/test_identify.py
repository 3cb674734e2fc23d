"""`suyuan identify`: what a text names, or why it names nothing."""

from __future__ import annotations

import subprocess
import sys
from datetime import date

import pytest

GTIN = "06901234567892"
SILENT = {
    "lot": None,
    "serial": None,
    "variant": None,
    "production_date": None,
    "packaging_date": None,
    "best_before_date": None,
    "expiry_date": None,
    "net_weight_kg": None,
    "gross_weight_kg": None,
}
YEAR = date.today().year  # noqa: DTZ011 - dates are read in the year of whoever reads them
IN_THREE_YEARS = f"{(YEAR + 3) % 100:02}1231"


def test_a_line_of_json_for_each_text(suyuan):
    message = f"(01){GTIN}(10)A7(21)S1(17){IN_THREE_YEARS}(3103)001950"
    done = suyuan.json("identify", "6901234567892", message, "sf:SF1234567890123")
    assert done.status == 0
    assert done.records == [
        {
            "text": "6901234567892",
            "chain": f"01/{GTIN}",
            "kind": "product",
            "attributes": SILENT,
            "refused": None,
            "candidates": [],
        },
        {
            "text": message,
            "chain": f"01/{GTIN}/21/S1",
            "kind": "serial",
            "attributes": {
                **SILENT,
                "lot": "A7",
                "serial": "S1",
                "expiry_date": f"{YEAR + 3}-12-31",
                "net_weight_kg": "1.950",
            },
            "refused": None,
            "candidates": [],
        },
        {
            "text": "sf:SF1234567890123",
            "chain": "waybill/sf/SF1234567890123",
            "kind": "waybill",
            "attributes": SILENT,
            "refused": None,
            "candidates": [],
        },
    ]


def test_text_for_people(suyuan):
    done = suyuan("identify", f"(01){GTIN}(10)A7(17){IN_THREE_YEARS}(3103)001950")
    assert done.status == 0
    assert done.out.splitlines()[1:] == [
        f"  01/{GTIN}/10/A7",
        "  lot: A7",
        f"  expiry date: {YEAR + 3}-12-31",
        "  net weight kg: 1.950",
    ]


def test_what_names_several_things_is_told_with_its_candidates(suyuan):
    text = f"01{GTIN}10A717{IN_THREE_YEARS}"
    candidates = [f"01/{GTIN}/10/A717{IN_THREE_YEARS}", f"(01){GTIN}(10)A7(17){IN_THREE_YEARS}"]
    done = suyuan("identify", text, "106141412345678908")
    assert done.status == 1
    assert done.out.splitlines() == [
        text,
        "  code that may lack FNC1, one of:",
        f"    {candidates[0]}",
        f"    {candidates[1]}",
        "106141412345678908",
        "  ambiguous code, one of:",
        "    00/106141412345678908",
        "    (10)6141412345678908",
    ]
    record = suyuan.json("identify", text).record
    assert (record["chain"], record["kind"], record["attributes"]) == (None, None, None)
    assert record["refused"]["reason"] == "AMBIGUOUS_CODE"
    assert record["candidates"] == candidates
    # Each can be given back, and then there is no doubt.
    assert suyuan.json("identify", *candidates).status == 0


def test_what_names_nothing_is_told_why(suyuan):
    done = suyuan("identify", "6901234567891", "hello", "6901234567892")
    assert done.status == 1
    assert done.out.startswith(
        "6901234567891\n  no identifier (GTIN 6901234567891 check digit: given 1, expected 2)\nhello\n  no identifier ("
    )
    assert done.out.endswith(f"6901234567892\n  01/{GTIN}\n")
    assert done.err == ""
    refused = suyuan.json("identify", "6901234567891").record["refused"]
    assert refused == {
        "reason": "BAD_IDENTIFIER",
        "message": "GTIN 6901234567891 check digit: given 1, expected 2",
    }


def test_missing_fnc1_is_told_as_such(suyuan):
    record = suyuan.json("identify", f"]C101{GTIN}10{'A' * 20}17{IN_THREE_YEARS}").record
    assert record["refused"]["message"].startswith("missing FNC1: given ")
    assert record["candidates"] == [f"(01){GTIN}(10){'A' * 20}(17){IN_THREE_YEARS}"]


def test_a_couriers_number(suyuan):
    assert suyuan.json("identify", "75312345678901").status == 1
    for done in (
        suyuan.json("identify", "75312345678901", "--carrier", "zto"),
        suyuan.json("identify", "75312345678901", SUYUAN_CARRIER="zto"),
    ):
        assert (done.status, done.record["chain"]) == (0, "waybill/zto/75312345678901")


def test_lines_of_standard_input(suyuan):
    lines = f"6901234567892\r\n\n]C101{GTIN}10A7\x1d21S1\n{'7' * 50_000}\n96385074"
    done = suyuan.json("identify", "-", "036000291452", stdin=lines)
    assert [record["chain"] for record in done.records] == [
        f"01/{GTIN}",
        f"01/{GTIN}/21/S1",
        None,
        "01/00000096385074",
        "01/00036000291452",
    ]
    assert done.status == 1
    assert "characters), expected at most 4296 characters" in done.records[2]["refused"]["message"]
    assert suyuan("identify", "-", stdin="").status == 0


def test_bytes_that_are_no_text(suyuan):
    run = "import sys; from clients.cli.main import main; sys.exit(main())"
    command = [sys.executable, "-c", run, "identify", "--format", "json", "-"]
    done = subprocess.run(
        command, input=b"\xff\x00\xfe\n6901234567892\n", capture_output=True, timeout=60, check=False
    )
    assert done.returncode == 1
    first, second = done.stdout.splitlines()
    assert b'"chain": null' in first
    assert f'"chain": "01/{GTIN}"'.encode() in second
    assert done.stderr == b""


def test_a_purchase_token_is_no_argument_and_is_not_shown(suyuan):
    secret = f"suyuan-purchase-v1:{'AbC-_9' * 19}"[:131]
    done = suyuan("identify", secret)
    assert (done.status, done.out) == (2, "")
    assert "a secret and has no place in arguments" in done.err
    for form in ("text", "json"):
        done = suyuan("identify", "-", "--format", form, stdin=secret)
        assert done.status == 1
        assert "suyuan-purchase-v1:…" in done.out
        assert "AbC-" not in done.out + done.err


@pytest.mark.parametrize("form", ["text", "json"])
def test_what_a_terminal_would_act_upon(suyuan, form):
    done = suyuan("identify", "\x1b]0;owned\x07\u202egnp", "--format", form)
    assert done.status == 1
    assert not set("\x1b\x07\u202e") & set(done.out + done.err)


def test_no_text_at_all(suyuan):
    done = suyuan("identify")
    assert done.status == 2
    assert "Usage: suyuan identify" in done.err
