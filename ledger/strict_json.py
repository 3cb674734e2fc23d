"""JSON that strangers hand over, read strictly: integers only, each key once, and of the shape that was expected.

The bounds of what is read are the caller's; here is what JSON readers leave open. A document with the same key twice
says two things to two readers; a float, NaN or an integer beyond 2**53 is another number in another language; text may
hold halves of characters; and lists in lists without an end exhaust whoever reads them.
"""

from __future__ import annotations

import json
import re
from typing import Any, Final, NoReturn

from ledger.errors import BadInput, Reason
from ledger.identifiers import printable

MAX_INTEGER: Final = 2**53 - 1
"""The largest integer that every reader of JSON holds exactly."""

_MAX_DIGITS: Final = 17
_SURROGATE: Final = re.compile("[\ud800-\udfff]")


def read_json(subject: str, raw: bytes, most: int) -> object:
    """The value that these bytes spell, in UTF-8.

    Args:
        subject: what they are, for errors.
        raw: as long as the caller allows.
        most: how many values there may be. A value of two bytes takes fifty times as much memory, so they are
            estimated before anything is made of them: by the commas and opening brackets, wherever these stand.

    Raises:
        BadInput: `INVALID_REQUEST`.
    """
    marks = sum(raw.count(mark) for mark in (b",", b"[", b"{"))
    if marks > most:
        raise wrong(f"commas and brackets in the {subject}", marks, f"at most {most}")
    try:
        return json.loads(
            raw.decode("utf-8"),
            object_pairs_hook=_each_once,
            parse_int=_integer,
            parse_float=_no_integer,
            parse_constant=_no_integer,
        )
    except UnicodeDecodeError as error:
        raise wrong(subject, f"{error.reason} at byte {error.start}", "UTF-8") from None
    except json.JSONDecodeError as error:
        raise wrong(subject, f"{error.msg} at character {error.pos}", "JSON") from None
    except RecursionError:
        raise wrong(subject, "lists in lists without an end", "JSON of a few levels") from None


def read_object(subject: str, value: object, keys: tuple[str, ...]) -> dict[str, Any]:
    """An object with these keys, in this order, and no others.

    Raises:
        BadInput: `INVALID_REQUEST`.
    """
    if not isinstance(value, dict):
        raise wrong(subject, kind_of(value), "an object")
    if tuple(value) != keys:
        given = printable(", ".join(value)) if value else "none"
        raise wrong(f"keys of {subject}", given, f"{', '.join(keys)}, in this order")
    return value


def read_list(subject: str, value: object, most: int) -> list[object]:
    """A list of at most so many items.

    Raises:
        BadInput: `INVALID_REQUEST`.
    """
    if not isinstance(value, list):
        raise wrong(subject, kind_of(value), "a list")
    if len(value) > most:
        raise wrong(subject, f"{len(value)} items", f"at most {most}")
    return value


def read_text(subject: str, value: object, most: int) -> str:
    """A text of at most so many characters, all of them whole.

    Raises:
        BadInput: `INVALID_REQUEST`.
    """
    if not isinstance(value, str):
        raise wrong(subject, kind_of(value), "a text")
    if len(value) > most:
        raise wrong(subject, f"{len(value)} characters", f"at most {most}")
    if not value.isascii() and _SURROGATE.search(value):
        raise wrong(subject, "half a character (a lone surrogate)", "Unicode text")
    return value


def read_integer(subject: str, value: object) -> int:
    """An integer, 0 to 2**53 - 1.

    Raises:
        BadInput: `INVALID_REQUEST`.
    """
    if not isinstance(value, int) or isinstance(value, bool):
        raise wrong(subject, kind_of(value), "an integer")
    if not 0 <= value <= MAX_INTEGER:
        raise wrong(subject, value, "0 to 2**53 - 1")
    return value


def kind_of(value: object) -> str:
    """What a value is, in words."""
    names = {dict: "an object", list: "a list", str: "a text", int: "a number", bool: "true or false"}
    return names.get(type(value), "null")


def wrong(subject: str, given: object, expected: object) -> BadInput:
    """An `INVALID_REQUEST`, to be raised."""
    return BadInput(Reason.INVALID_REQUEST, subject, given=given, expected=expected)


def _each_once(pairs: list[tuple[str, object]]) -> dict[str, object]:
    read: dict[str, object] = {}
    for name, value in pairs:
        if name in read:
            raise wrong("JSON", f"the key {printable(name)} twice", "each key once")
        read[name] = value
    return read


def _integer(digits: str) -> int:
    # Python takes long over very long ones.
    if len(digits) > _MAX_DIGITS:
        raise wrong("number in JSON", printable(digits), "an integer, 0 to 2**53 - 1")
    return int(digits)


def _no_integer(text: str) -> NoReturn:
    raise wrong("number in JSON", printable(text), "an integer")
