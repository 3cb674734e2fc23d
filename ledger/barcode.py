"""What a scanned or typed text means: the chain it names, and what else the code says.

Accepted are

- digits as EAN, UPC and ITF carry them: a GTIN of 8, 12, 13 or 14, an SSCC of 18, a drug trace code of 20;
- GS1 element strings, best with their symbology identifier (`]C1`, `]d2`, `]Q3`, `]e0`), the same in
  brackets, and GS1 Digital Link URIs (see `ledger.gs1_message`);
- chain keys, unified social credit codes, S10 numbers, and waybill numbers that name their carrier by their
  letters or explicitly, as in `zto:75312345678901`.

A symbology identifier (ISO/IEC 15424: `]`, a letter, a digit) tells how a code was printed, and so how it
reads. Without one the same digits can be a number or an element string, or anybody's waybill. Then the answer
is a refusal with `Reason.AMBIGUOUS_CODE` that names the candidates, each spelled so that it can be given
back, and never a guess. Only digits of a length that every till knows (8, 12 or 13) are a GTIN and neither of
those. A check digit that holds is no reason to choose: of two kinds of number that look alike, as an SSCC and a
credit code of digits alone, the other one may have been read wrongly.

So it is with FNC1, which many a keyboard scanner swallows: `10A717271231` is the lot A717271231, or the lot A7
that expires at the end of 2027. A symbology identifier, or one separator that did arrive, vouches for the rest;
else both are named. What is too long for its AI lacks FNC1 in any case, and the refusal says where it may belong.

    >>> read_barcode("]C1010690123456789217271231" + "10A7").chain
    ChainKey('01/06901234567892/10/A7')
    >>> read_barcode("6901234567892").chain
    ChainKey('01/06901234567892')
    >>> read_barcode("106141412345678908")  # doctest: +ELLIPSIS
    Traceback (most recent call last):
        ...
    ledger.errors.BadInput: ambiguous code: given 106141412345678908, expected one of these, spelled out: ...
    >>> read_barcode("00/106141412345678908").chain
    ChainKey('00/106141412345678908')
"""

from __future__ import annotations

import re
from collections.abc import Callable
from contextlib import suppress
from typing import Final

from ledger.chain_key import ChainKey
from ledger.errors import BadInput, Reason
from ledger.gs1_message import (
    GROUP_SEPARATOR,
    bracketed,
    parse_bracketed,
    parse_digital_link,
    parse_element_strings,
    parse_without_fnc1,
)
from ledger.identifiers import expand_upce, printable
from ledger.reading import AIS_READ, Attributes, Reading, ambiguity, missing_fnc1
from ledger.symbology import GS1_SYMBOLOGIES, Symbology
from ledger.waybill import explicit_waybill, waybill_of, waybills_by_shape

__all__ = ["ACCEPTED", "FORMAT_YEAR", "MAX_CHARACTERS", "Attributes", "Reading", "Symbology", "read_barcode"]

MAX_CHARACTERS: Final = 4_296
"""What the largest QR Code, version 40-L, holds of letters and digits; nothing longer is a code of ours."""

ACCEPTED: Final = (
    "a GTIN, SSCC, drug trace code, USCC or S10 number; a GS1 element string, bracketed message or Digital "
    "Link; a chain key; or a waybill number, with its carrier as in zto:75312345678901"
)
"""What `read_barcode` takes, in one line, for errors and help."""

FORMAT_YEAR: Final = 2026
"""The year in which dates are read if the caller, who has a clock, does not tell another."""


_RETAIL: Final = {
    Symbology.EAN_13: (re.compile(r"([0-9]{12,13})"), "12 or 13 digits, or the 8 of a UPC-E"),
    Symbology.EAN_13_ADD_ON: (
        re.compile(r"([0-9]{13}) ?[0-9]{2}(?:[0-9]{3})?"),
        "13 digits, and 2 or 5 more",
    ),
    Symbology.EAN_8: (re.compile(r"([0-9]{8})"), "8 digits"),
}
_LEGIBLE: Final = re.compile(r"[ -~\x1d]+")
_WEB_ADDRESS: Final = re.compile(r"https?://", re.IGNORECASE)
_CHAIN_KEY: Final = re.compile(r"ledger|(?:0[01]|waybill|drug|party)/.*")
_NUMBERS: Final[tuple[tuple[re.Pattern[str], Callable[[str], ChainKey]], ...]] = (
    # Eight digits that begin with 0 are a shop's own EAN-8 (RCN-8), another product in every shop, or a UPC-E.
    (re.compile(r"[1-9][0-9]{7}|[0-9]{12,14}"), ChainKey.product),
    (re.compile(r"[01][0-9]{7}"), lambda digits: ChainKey.product(expand_upce(digits))),
    (re.compile(r"[0-9]{18}"), ChainKey.logistic_unit),
    (re.compile(r"8[0-9]{19}"), ChainKey.drug),
    # Of digits alone: authorities and categories as GB 32100-2015 gives them out, and a region.
    (
        re.compile(r"[1-9][1-59][1-9][0-9]{15}|(?=.*[A-Z])[0-9A-Z]{2}[0-9]{6}[0-9A-Z]{10}"),
        ChainKey.party,
    ),
    (re.compile(r"[A-Z]{2}[0-9]{9}[A-Z]{2}"), lambda number: ChainKey.waybill("upu", number)),
)
"""How each number looks that may stand alone, and the chain that it names if its check digit holds.

Where two look alike, the check digit of one does not speak against the other, which may have been read wrongly: one
wrong SSCC in thirty holds as a credit code.
"""

# Shorter digits are a GTIN at every till, and (01) alone is longer.
_SHORTEST_ELEMENT_STRING: Final = 14

# People choose between them.
_MOST_CANDIDATES: Final = 6


def read_barcode(
    text: str, symbology: Symbology | None = None, *, carrier: str | None = None, year: int = FORMAT_YEAR
) -> Reading:
    """What `text`, as scanned or typed, identifies; blanks and line ends around it are not part of it.

    Args:
        text: what the scanner sent, with or without symbology identifier, or what somebody typed.
        symbology: how the code was printed, where the text doesn't say it and the reader knows.
        carrier: the courier, such as `zto`: the text is the number of a waybill of theirs and nothing else.
        year: the year of the reading, which tells the century of a date of two-digit year: dates from 49
            years before it to 50 years after it can be told.

    Raises:
        BadInput: `Reason.AMBIGUOUS_CODE`: the text can mean several things, which the error names;
            `Reason.BAD_IDENTIFIER`: it means nothing known, or a check digit or shape in it is wrong;
            `Reason.BAD_CHAIN_KEY`: it begins as a chain key and is not one in canonical spelling.
    """
    printed_as, content = _without_symbology_identifier(_legible(text), symbology)
    if carrier is not None:
        if printed_as in _RETAIL or printed_as in GS1_SYMBOLOGIES:
            raise _refusal("symbology of a waybill", str(printed_as), "one that carries plain text")
        return Reading(waybill_of(carrier, content))
    if printed_as in _RETAIL:
        return Reading(_retail_product(content, printed_as))
    if _WEB_ADDRESS.match(content):
        return Reading.of_message(parse_digital_link(content), year)
    if content.startswith("("):
        return Reading.of_message(parse_bracketed(content), year)
    if printed_as in GS1_SYMBOLOGIES or GROUP_SEPARATOR in content:
        return _gs1_symbol(content, year)
    if printed_as is Symbology.ITF_14 and len(content) == 14:
        return Reading(ChainKey.product(content))
    if _CHAIN_KEY.fullmatch(content):
        return Reading(ChainKey.parse(content))
    waybill = explicit_waybill(content)
    if waybill:
        return Reading(waybill)
    # Code 128 without FNC1, and the like, carry no element strings: that is what the GS1 symbologies are for.
    return _only_candidate(content, year, may_be_element_strings=printed_as is None)


def _legible(text: str) -> str:
    if len(text) > MAX_CHARACTERS:
        raise _refusal("code", text, f"at most {MAX_CHARACTERS} characters")
    content = text.strip(" \t\r\n")
    if not _LEGIBLE.fullmatch(content):
        raise _refusal("code", text, ACCEPTED if content.isascii() else f"ASCII characters only: {ACCEPTED}")
    return content


def _without_symbology_identifier(text: str, symbology: Symbology | None) -> tuple[Symbology | None, str]:
    if not text.startswith("]"):
        return symbology, text
    told = Symbology.parse(text[:3])
    if symbology not in {None, told}:
        raise _refusal("symbology identifier", text[:3], f"{symbology}, as the reader says")
    return told, text[3:]


def _retail_product(content: str, symbology: Symbology) -> ChainKey:
    if symbology is Symbology.EAN_13 and len(content) == 8:
        # EAN-8 has a symbology identifier of its own, so these eight digits are a UPC-E.
        return ChainKey.product(expand_upce(content))
    shape, expected = _RETAIL[symbology]
    match = shape.fullmatch(content)
    if match is None:
        raise _refusal(f"symbol {symbology}", content, expected)
    return ChainKey.product(match[1])


def _gs1_symbol(content: str, year: int) -> Reading:
    try:
        elements = parse_element_strings(content)
    except BadInput as misfit:
        candidates: dict[str, Reading] = {}
        with suppress(BadInput):
            candidates = _if_fnc1_is_missing(content, year)
        raise (missing_fnc1(content, candidates) if candidates else misfit) from None
    return Reading.of_message(elements, year)


def _if_fnc1_is_missing(content: str, year: int) -> dict[str, Reading]:
    """What `content` can mean if separators are missing, by how to spell it; things that have chains only."""
    readings: dict[str, Reading] = {}
    try:
        for message in parse_without_fnc1(content, year, AIS_READ):
            with suppress(BadInput):
                readings[bracketed(message)] = Reading.of_message(message, year)
            if len(readings) == _MOST_CANDIDATES:
                break
    except BadInput:
        # With two to choose from it does not matter that there may be more.
        if len(readings) < 2:
            raise
    return readings


def _only_candidate(content: str, year: int, *, may_be_element_strings: bool) -> Reading:
    readings, refusals = _read_as_number(content.upper())
    looks_alike = len(readings) + len(refusals) > 1
    named, possible = waybills_by_shape(content)
    readings.update((chain, Reading(chain)) for chain in named)
    rivals: list[str] = [chain for chain in possible if chain not in readings]
    without_fnc1: dict[str, Reading] = {}
    if may_be_element_strings and len(content) >= _SHORTEST_ELEMENT_STRING:
        _read_as_element_strings(content, year, readings, rivals, refusals)
        try:
            without_fnc1 = _if_fnc1_is_missing(content, year)
        except BadInput:
            if readings:
                raise
    if len(readings) == 1 and not rivals and not looks_alike:
        reading = next(iter(readings.values()))
        others = [spelled for spelled, other in without_fnc1.items() if other != reading]
        if others:
            raise ambiguity(content, [reading.chain, *others], "code that may lack FNC1")
        return reading
    if readings or possible:
        raise ambiguity(content, [*readings, *rivals])
    if without_fnc1:
        raise missing_fnc1(content, without_fnc1)
    if len(refusals) == 1:
        raise refusals[0]
    if refusals:
        raise _refusal("code", content, f"one of these to hold: {'; '.join(map(str, refusals))}")
    raise _refusal("code", content, ACCEPTED)


def _read_as_element_strings(
    content: str, year: int, readings: dict[ChainKey, Reading], rivals: list[str], refusals: list[BadInput]
) -> None:
    """Add what `content` is as element strings to the readings, the rivals or the refusals."""
    elements = _meaningful_elements(content)
    if elements is None:
        return
    try:
        Attributes.of_message(elements, year)
        if not {"00", "01"} & elements.keys():
            rivals.append(bracketed(elements))
        reading = Reading.of_message(elements, year)
    except BadInput as error:
        refusals.append(error)
    else:
        readings[reading.chain] = reading


def _read_as_number(capitals: str) -> tuple[dict[ChainKey, Reading], list[BadInput]]:
    readings: dict[ChainKey, Reading] = {}
    refusals: list[BadInput] = []
    for shape, chain_of in _NUMBERS:
        if shape.fullmatch(capitals):
            try:
                chain = chain_of(capitals)
            except BadInput as error:
                refusals.append(error)
            else:
                readings[chain] = Reading(chain)
    return readings, refusals


def _meaningful_elements(content: str) -> dict[str, str] | None:
    """The elements of `content` if it can be element strings, and not only such as say nothing here.

    Nearly any digits beginning with 9 are an element for a company's internal use; none of those is a rival.
    """
    try:
        elements = parse_element_strings(content)
    except BadInput:
        return None
    return elements if elements.keys() & AIS_READ else None


def _refusal(subject: str, given: str, expected: str) -> BadInput:
    return BadInput(Reason.BAD_IDENTIFIER, subject, given=printable(given), expected=expected)
