from __future__ import annotations

import pytest

from ledger.errors import BadInput, Reason
from ledger.strict_json import read_integer, read_json, read_list, read_object, read_text


def refusal(attempt):
    with pytest.raises(BadInput) as caught:
        attempt()
    assert caught.value.reason is Reason.INVALID_REQUEST
    return str(caught.value)


def test_what_it_reads():
    assert read_json("file", '{"a": ["福", 9007199254740991, true, null]}'.encode(), 10**6) == {
        "a": ["福", 2**53 - 1, True, None]
    }


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        (b"", "file: given Expecting value at character 0, expected JSON"),
        (b"{} {}", "file: given Extra data at character 3, expected JSON"),
        (b'"\xff"', "file: given invalid start byte at byte 1, expected UTF-8"),
        (b'"\xed\xa0\x80"', "file: given invalid continuation byte at byte 1, expected UTF-8"),
        (b'{"a": 1, "a": 1}', "JSON: given the key a twice, expected each key once"),
        (b'[{"b": {"a": 1, "b": 2, "a": 3}}]', "JSON: given the key a twice, expected each key once"),
        (b"[1.0]", "number in JSON: given 1.0, expected an integer"),
        (b"[1e3]", "number in JSON: given 1e3, expected an integer"),
        (b"[NaN]", "number in JSON: given NaN, expected an integer"),
        (b"[-Infinity]", "number in JSON: given -Infinity, expected an integer"),
        (
            b"[123456789012345678]",
            "number in JSON: given 123456789012345678, expected an integer, 0 to 2**53 - 1",
        ),
        (b"[" * 500_000, "file: given lists in lists without an end, expected JSON of a few levels"),
        (b'{"a":' * 500_000, "file: given lists in lists without an end, expected JSON of a few levels"),
    ],
    ids=range(13),
)
def test_what_it_does_not_read(raw, message):
    assert refusal(lambda: read_json("file", raw, 10**6)) == message


def test_too_many_values():
    assert read_json("file", b'[{},",[",1]', 6) == [{}, ",[", 1]
    assert refusal(lambda: read_json("file", b'[{},",[",1]', 5)) == (
        "commas and brackets in the file: given 6, expected at most 5"
    )


def test_a_byte_order_mark():
    told = refusal(lambda: read_json("file", b"\xef\xbb\xbf{}", 10**6))
    assert told.startswith("file: given Unexpected UTF-8 BOM")


def test_a_number_of_a_million_digits():
    told = refusal(lambda: read_json("file", b"[" + b"9" * 1_000_000 + b"]", 10**6))
    assert (
        told
        == f"number in JSON: given {'9' * 128}… (1000000 characters), expected an integer, 0 to 2**53 - 1"
    )


@pytest.mark.parametrize(
    ("value", "kind"),
    [(None, "null"), (True, "true or false"), ("1", "a text"), ([], "a list"), (1, "a number")],
)
def test_what_is_no_object(value, kind):
    assert refusal(lambda: read_object("it", value, ("a",))) == f"it: given {kind}, expected an object"


@pytest.mark.parametrize(
    ("value", "given"), [({}, "none"), ({"b": 1, "a": 1}, "b, a"), ({"a": 1, "b": 1, "c": 1}, "a, b, c")]
)
def test_other_keys(value, given):
    assert refusal(lambda: read_object("it", value, ("a", "b"))) == (
        f"keys of it: given {given}, expected a, b, in this order"
    )


def test_lists():
    assert read_list("it", [1, 2], 2) == [1, 2]
    assert refusal(lambda: read_list("it", [1, 2], 1)) == "it: given 2 items, expected at most 1"
    assert refusal(lambda: read_list("it", {}, 1)) == "it: given an object, expected a list"


def test_texts():
    assert read_text("it", "福🍵", 2) == "福🍵"
    assert refusal(lambda: read_text("it", "福建", 1)) == "it: given 2 characters, expected at most 1"
    assert refusal(lambda: read_text("it", 1, 1)) == "it: given a number, expected a text"
    half = read_json("file", b'"\\ud83c"', 10**6)
    assert refusal(lambda: read_text("it", half, 9)) == (
        "it: given half a character (a lone surrogate), expected Unicode text"
    )


def test_integers():
    assert [read_integer("it", value) for value in (0, 2**53 - 1)] == [0, 2**53 - 1]
    for value in (-1, 2**53):
        assert refusal(lambda value=value: read_integer("it", value)) == (
            f"it: given {value}, expected 0 to 2**53 - 1"
        )
    assert refusal(lambda: read_integer("it", True)) == "it: given true or false, expected an integer"
