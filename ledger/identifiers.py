"""The numbers that trade, post and registers print on things, and the check digits that guard them.

Every `parse_…` takes text and returns the identifier in its one stored spelling, or raises `BadInput` with
`Reason.BAD_IDENTIFIER`. Nothing is trimmed, upper-cased or guessed: ASCII digits and capital letters only.
A check digit that holds does not prove a correct read; one that fails proves a wrong one.

    >>> parse_gtin("6901234567892")
    '06901234567892'
    >>> parse_gtin("6901234567890")
    Traceback (most recent call last):
        ...
    ledger.errors.BadInput: GTIN 6901234567890 check digit: given 0, expected 2

Sources: GS1 General Specifications §3 (keys) and §7.9 (check digits); GB 32100-2015 (USCC); UPU S10;
GB/T 2260 and ISO 3166-1 (regions). Drug trace codes (药品追溯码) are described from codes in circulation.
"""

from __future__ import annotations

import re
from functools import lru_cache
from operator import mul
from typing import Final

from ledger.errors import BadInput, Reason

_SHOWN_CHARACTERS: Final = 128
_REGIONS_KEPT: Final = 4_096

_DIGITS: Final = re.compile(r"[0-9]+")
_GTIN: Final = re.compile(r"[0-9]{8}|[0-9]{12,14}")
_SSCC: Final = re.compile(r"[0-9]{18}")
_GLN: Final = re.compile(r"[0-9]{13}")
_UPC_E: Final = re.compile(r"[01][0-9]{7}")
_DRUG_CODE: Final = re.compile(r"8[0-9]{19}")
_S10: Final = re.compile(r"[A-Z]{2}[0-9]{9}[A-Z]{2}")
_REGION: Final = re.compile(r"[1-9][0-9]{5}|[A-Z]{2}")

USCC_ALPHABET: Final = "0123456789ABCDEFGHJKLMNPQRTUWXY"
"""GB 32100-2015 leaves out I, O, S, V and Z; a character's place in this text is its value, 0 to 30."""

_USCC: Final = re.compile(rf"[{USCC_ALPHABET}]{{2}}[0-9]{{6}}[{USCC_ALPHABET}]{{10}}")
_USCC_BODY: Final = re.compile(rf"[{USCC_ALPHABET}]{{17}}")
_USCC_VALUES: Final = bytes.maketrans(USCC_ALPHABET.encode(), bytes(range(31)))
_USCC_WEIGHTS: Final = tuple(pow(3, place, 31) for place in range(17))
_S10_WEIGHTS: Final = (8, 6, 4, 2, 3, 5, 9, 7)


def printable(text: str) -> str:
    """`text` as an error may show it: escaped to printable ASCII, and cut where it gets long."""
    if not text:
        return "an empty text"
    shown = text[:_SHOWN_CHARACTERS]
    if not (shown.isascii() and shown.isprintable()):
        shown = shown.encode("unicode_escape").decode("ascii")
    return shown if len(text) <= _SHOWN_CHARACTERS else f"{shown}… ({len(text)} characters)"


def gs1_check_digit(body: str) -> str:
    """The check digit that completes `body`, the digits before it (GS1 General Specifications §7.9.1).

    Raises:
        BadInput: `body` is not one or more ASCII digits.
    """
    if not _DIGITS.fullmatch(body):
        raise _misshapen("digits before a check digit", body, "ASCII digits")
    return _gs1_check_digit(body)


def parse_gtin(text: str) -> str:
    """A GTIN of 8, 12, 13 or 14 digits (EAN-8, UPC-A, EAN-13, ITF-14), padded with zeros to 14.

    Raises:
        BadInput: not so many ASCII digits, or the check digit fails.
    """
    if not _GTIN.fullmatch(text):
        raise _misshapen("GTIN", text, "8, 12, 13 or 14 digits")
    _require_gs1_check_digit("GTIN", text)
    return text.zfill(14)


def expand_upce(text: str) -> str:
    """The UPC-A of 12 digits that a UPC-E of 8 stands for (GS1 General Specifications §5.2.2.4.2).

    The eight digits are the number system (0 or 1), six digits of the symbol, and the check digit of the
    UPC-A.

    Raises:
        BadInput: not 8 ASCII digits beginning with 0 or 1, or the check digit fails.
    """
    if not _UPC_E.fullmatch(text):
        raise _misshapen("UPC-E", text, "8 digits beginning with 0 or 1")
    system, symbol, last, check = text[0], text[1:6], text[6], text[7]
    if last in "012":
        body = f"{system}{symbol[:2]}{last}0000{symbol[2:]}"
    elif last == "3":
        body = f"{system}{symbol[:3]}00000{symbol[3:]}"
    elif last == "4":
        body = f"{system}{symbol[:4]}00000{symbol[4]}"
    else:
        body = f"{system}{symbol}0000{last}"
    _require_check("UPC-E", text, check, _gs1_check_digit(body))
    return body + check


def parse_sscc(text: str) -> str:
    """A Serial Shipping Container Code, 18 digits.

    Raises:
        BadInput: not 18 ASCII digits, or the check digit fails.
    """
    if not _SSCC.fullmatch(text):
        raise _misshapen("SSCC", text, "18 digits")
    _require_gs1_check_digit("SSCC", text)
    return text


def parse_gln(text: str) -> str:
    """A Global Location Number, 13 digits.

    Raises:
        BadInput: not 13 ASCII digits, or the check digit fails.
    """
    if not _GLN.fullmatch(text):
        raise _misshapen("GLN", text, "13 digits")
    _require_gs1_check_digit("GLN", text)
    return text


def uscc_check_character(body: str) -> str:
    """The 18th character of a USCC, from the 17 before it: weights 3^(i-1), modulo 31 (GB 32100-2015).

    A weighted sum that 31 divides gives `0`, not a character of value 31, which does not exist.

    Raises:
        BadInput: `body` is not 17 characters of the alphabet.
    """
    if not _USCC_BODY.fullmatch(body):
        raise _misshapen("USCC without its check character", body, f"17 characters of {USCC_ALPHABET}")
    return _uscc_check_character(body)


def parse_uscc(text: str) -> str:
    """A unified social credit code (统一社会信用代码), 18 characters: GB 32100-2015.

    Authority and category (2 characters), region (6 digits), organisation (9 characters), check character.

    Raises:
        BadInput: another shape, or the check character fails.
    """
    if not _USCC.fullmatch(text):
        expected = f"18 characters of {USCC_ALPHABET}, the third to the eighth digits"
        raise _misshapen("USCC", text, expected)
    _require_check("USCC", text, text[17], _uscc_check_character(text[:17]), "check character")
    return text


def s10_check_digit(serial: str) -> str:
    """The check digit that follows the 8 digits of a UPU S10 number.

    Raises:
        BadInput: `serial` is not 8 ASCII digits.
    """
    if len(serial) != 8 or not _DIGITS.fullmatch(serial):
        raise _misshapen("S10 serial number", serial, "8 digits")
    return _s10_check_digit(serial)


def parse_s10(text: str) -> str:
    """A postal item number such as `RA123456785CN`: service, 8 digits, check digit, country (UPU S10).

    Raises:
        BadInput: another shape, or the check digit fails.
    """
    if not _S10.fullmatch(text):
        raise _misshapen("S10 number", text, "two capital letters, nine digits, two capital letters")
    _require_check("S10 number", text, text[10], _s10_check_digit(text[2:10]))
    return text


def is_s10(text: str) -> bool:
    """Whether `text` has the shape of an S10 number and a check digit that holds."""
    return _S10.fullmatch(text) is not None and text[10] == _s10_check_digit(text[2:10])


def parse_drug_code(text: str) -> str:
    """A Chinese drug trace code (药品追溯码): 20 digits, 7 of the product and 13 of the pack; no check digit.

    Every code in circulation begins with 8, and without a check digit that is all there is to hold on to.

    Raises:
        BadInput: not 20 ASCII digits beginning with 8.
    """
    if not _DRUG_CODE.fullmatch(text):
        raise _misshapen("drug trace code", text, "20 digits beginning with 8")
    return text


@lru_cache(maxsize=_REGIONS_KEPT)
def parse_region(text: str) -> str:
    """A place: six digits of GB/T 2260 in China (Fuzhou is 3501xx), else an ISO 3166-1 alpha-2 code.

    Only the shape is checked: regions are founded and dissolved, and an old event must stay valid.

    Raises:
        BadInput: neither six ASCII digits that do not begin with 0 nor two capital letters.
    """
    if not _REGION.fullmatch(text):
        raise _misshapen("region", text, "six digits (GB/T 2260) or two capital letters (ISO 3166-1)")
    return text


def _gs1_check_digit(body: str) -> str:
    # Sums of byte values are a C loop; a digit's byte is its value + 48, taken off again at the end.
    digits = body.encode("ascii")
    thrice, once = digits[-1::-2], digits[-2::-2]
    return str(-(3 * sum(thrice) + sum(once) - 48 * (3 * len(thrice) + len(once))) % 10)


def _uscc_check_character(body: str) -> str:
    values = body.encode("ascii").translate(_USCC_VALUES)
    return USCC_ALPHABET[-sum(map(mul, values, _USCC_WEIGHTS)) % 31]


def _s10_check_digit(serial: str) -> str:
    remainder = sum(map(mul, map(int, serial), _S10_WEIGHTS)) % 11
    return {10: "0", 11: "5"}.get(11 - remainder) or str(11 - remainder)


def _require_gs1_check_digit(name: str, text: str) -> None:
    _require_check(name, text, text[-1], _gs1_check_digit(text[:-1]))


def _require_check(name: str, text: str, given: str, expected: str, what: str = "check digit") -> None:
    if given != expected:
        raise BadInput(Reason.BAD_IDENTIFIER, f"{name} {text} {what}", given=given, expected=expected)


def _misshapen(name: str, text: str, expected: str) -> BadInput:
    return BadInput(Reason.BAD_IDENTIFIER, name, given=printable(text), expected=expected)
