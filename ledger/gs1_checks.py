"""What a component of a GS1 value must be beyond its characters and its length: check digits, dates, ranges.

The names are those in `ledger.gs1_table`, and mostly those of the tests ("linters") of the GS1 Barcode Syntax
Dictionary. Each check takes a component whose shape is right already, and says what it should have been.

    >>> CHECKS["csum"]("06901234567891", 2026)
    'check digit 2'
    >>> CHECKS["csum"]("06901234567892", 2026) is None
    True
    >>> parse_date("270200", 2026)
    datetime.date(2027, 2, 28)
"""

from __future__ import annotations

import re
from calendar import monthrange
from collections.abc import Callable, Mapping
from datetime import date
from typing import Final, TypeAlias

from ledger.errors import BadInput, Reason
from ledger.identifiers import gs1_check_digit, printable

Check: TypeAlias = Callable[[str, int], str | None]
"""What a component should have been, in words; None if it is right. The year is the one of the reading."""

SET_82: Final = "!\"%&'()*+,-./0123456789:;<=>?ABCDEFGHIJKLMNOPQRSTUVWXYZ_abcdefghijklmnopqrstuvwxyz"
"""GS1 AI encodable character set 82 in the standard's order (GS1 General Specifications figure 7.11-1)."""

_SET_32: Final = "23456789ABCDEFGHJKLMNPQRSTUVWXYZ"
# As many as the longest value that has check characters is long: 25, less the pair itself.
_PRIMES: Final = (2, 3, 5, 7, 11, 13, 17, 19, 23, 29, 31, 37, 41, 43, 47, 53, 59, 61, 67, 71, 73, 79, 83)

_DATE: Final = re.compile(r"[0-9]{6}")
_IBAN: Final = re.compile(r"[A-Z]{2}[0-9]{2}[0-9A-Z]{1,30}")


def parse_date(value: str, year: int) -> date:
    """A date YYMMDD, read in `year`: of the century that brings it nearest.

    It is at most 49 years past and 50 ahead, and day 00 is the last of its month (GS1 General Specifications
    §7.12).

    Raises:
        BadInput: `Reason.BAD_IDENTIFIER`: no such day.
    """
    day = _day(value, year) if _DATE.fullmatch(value) else None
    if day is None:
        raise BadInput(Reason.BAD_IDENTIFIER, "date", given=printable(value), expected="a date YYMMDD")
    return day


def gs1_check_pair(body: str) -> str:
    """The two check characters that complete an alphanumeric key (GS1 General Specifications §7.9.5).

    Each character's place in set 82, weighted with the primes from the right, modulo 1021, in two digits of base 32.

    Raises:
        BadInput: `Reason.BAD_IDENTIFIER`: not at most 23 characters of set 82.
    """
    if len(body) > len(_PRIMES) or not set(body) <= set(SET_82):
        expected = f"at most {len(_PRIMES)} characters of GS1 set 82"
        raise BadInput(
            Reason.BAD_IDENTIFIER, "key without its check pair", given=printable(body), expected=expected
        )
    weighted = zip(reversed(body), _PRIMES, strict=False)
    first, second = divmod(sum(SET_82.index(character) * prime for character, prime in weighted) % 1021, 32)
    return _SET_32[first] + _SET_32[second]


def _day(value: str, year: int) -> date | None:
    short_year, month, day = int(value[:2]), int(value[2:4]), int(value[4:])
    ahead = short_year - year % 100
    full_year = year + ahead + (-100 if ahead > 50 else 100 if ahead < -49 else 0)
    try:
        return date(full_year, month, day or monthrange(full_year, month)[1])
    except ValueError:
        return None


def _date_or_month(value: str, year: int) -> str | None:
    return None if _day(value, year) else "a date YYMMDD"


def _date(value: str, year: int) -> str | None:
    return None if value[4:] != "00" and _day(value, year) else "a date YYMMDD with its day"


def _long_date(value: str, _year: int) -> str | None:
    try:
        date(int(value[:4]), int(value[4:6]), int(value[6:]))
    except ValueError:
        return "a date YYYYMMDD"
    return None


def _check_digit(value: str, _year: int) -> str | None:
    digit = gs1_check_digit(value[:-1])
    return None if value[-1] == digit else f"check digit {digit}"


def _check_pair(value: str, _year: int) -> str | None:
    pair = gs1_check_pair(value[:-2])
    return None if value[-2:] == pair else f"check characters {pair}"


def _iban(value: str, _year: int) -> str | None:
    # ISO 13616: the country and check digits go to the end, letters count from 10, and the remainder of 97 is 1.
    if _IBAN.fullmatch(value) and int("".join(str(int(c, 36)) for c in value[4:] + value[:4])) % 97 == 1:
        return None
    return "an IBAN, its check digits included"


def _piece_of_total(value: str, _year: int) -> str | None:
    piece, total = int(value[:2]), int(value[2:])
    return None if 1 <= piece <= total else "a piece, from 01, of a total not below it"


def _position(value: str, _year: int) -> str | None:
    return None if re.fullmatch(r"[1-9]/[1-9]", value) and value[0] <= value[2] else "a position, as in 2/3"


def _at_most(most: int, what: str) -> Check:
    return lambda value, _year: None if int(value) <= most else what


def _like(pattern: str, what: str) -> Check:
    shape = re.compile(pattern)
    return lambda value, _year: None if shape.fullmatch(value) else what


CHECKS: Final[Mapping[str, Check]] = {
    "capitals": _like(r"[A-Z]{2}", "two capital letters"),
    "csum": _check_digit,
    "csumalpha": _check_pair,
    # No company prefix is shorter; which ones are given out is for GS1 to say.
    "gcp": _like(r"[0-9]{4}.*", "a GS1 company prefix, digits, at the beginning"),
    "hh": _at_most(23, "an hour"),
    "hhmi": _like(r"(?:[01][0-9]|2[0-3])[0-5][0-9]", "an hour and minute"),
    "hyphen": _like(r"-", "'-', for below zero, or nothing"),
    "iban": _iban,
    "importer": _like(r"[0-9A-Za-z_-]", "an importer index"),
    "latitude": _at_most(1_800_000_000, "a latitude"),
    "letter": _like(r".*[^0-9].*", "at least one character that is no digit"),
    "longitude": _at_most(3_600_000_000, "a longitude"),
    "media": _like(r"0[1-9]|10|[89][0-9]", "a kind of carrier"),
    "mi": _at_most(59, "a minute or second"),
    "no0": _like(r"[1-9].*", "a number that does not begin with 0"),
    "nonzero": _like(r".*[1-9].*", "a number above 0"),
    "pcenc": _like(r"(?:[^%]|%[0-9A-Fa-f]{2})+", "after every % two hexadecimal digits"),
    "pieces": _piece_of_total,
    "position": _position,
    "sex": _like(r"[0129]", "0, 1, 2 or 9"),
    "winding": _like(r"[019]", "0, 1 or 9"),
    "yesno": _like(r"[01]", "0 or 1"),
    "yymmd0": _date_or_month,
    "yymmdd": _date,
    "yyyymmdd": _long_date,
    "zero": _like(r"0", "0"),
}
