r"""What a scanned or typed text means: the chain it names, and what else the code says.

Accepted are

- digits as EAN, UPC and ITF carry them: a GTIN of 8, 12, 13 or 14, an SSCC of 18, a drug trace code of 20;
- GS1 element strings, best with their symbology identifier (`]C1`, `]d2`, `]Q3`, `]e0`), the same in brackets, and
  GS1 Digital Link URIs (see `ledger.gs1_message`);
- chain keys, unified social credit codes, S10 numbers, and waybill numbers that name their carrier by their letters
  or explicitly, as in `zto:75312345678901`.

A symbology identifier (ISO/IEC 15424: `]`, a letter, a digit) tells how a code was printed, and so how it reads.
Without one the same digits can be a number or an element string, or anybody's waybill. Then the answer is a refusal
with `Reason.AMBIGUOUS_CODE` that names the candidates, each spelled so that it can be given back. There is no guessing;
only 8, 12 or 13 digits are always taken for the GTIN that shop tills take them for.

    >>> read_barcode("]C1010690123456789217271231" + "10A7").chain
    ChainKey('01/06901234567892/10/A7')
    >>> read_barcode("6901234567892").chain
    ChainKey('01/06901234567892')
    >>> read_barcode("106141412345678908")
    Traceback (most recent call last):
        ...
    ledger.errors.BadInput: ambiguous code: given 106141412345678908, expected one of these, spelled out: \
00/106141412345678908, (10)6141412345678908
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from enum import StrEnum
from typing import Final

from ledger.chain_key import ChainKey
from ledger.errors import BadInput, Reason
from ledger.gs1_message import (
    GROUP_SEPARATOR,
    parse_bracketed,
    parse_date,
    parse_digital_link,
    parse_element_strings,
)
from ledger.identifiers import expand_upce, printable
from ledger.waybill import explicit_waybill, waybill_of, waybills_by_shape

MAX_CHARACTERS: Final = 4_296
"""The most characters that any symbol holds (QR Code 40-L, alphanumeric); longer text was not scanned."""

ACCEPTED: Final = (
    "a GTIN, SSCC, drug trace code, USCC or S10 number; a GS1 element string, bracketed message or Digital Link; "
    "a chain key; or a waybill number, with its carrier as in zto:75312345678901"
)
"""What `read_barcode` takes, in one line, for errors and help."""


class Symbology(StrEnum):
    """How a code was printed: its AIM symbology identifier (ISO/IEC 15424)."""

    EAN_13 = "]E0"
    """EAN-13, UPC-A or UPC-E."""
    EAN_13_ADD_ON = "]E3"
    """EAN-13, UPC-A or UPC-E, and after it the 2 or 5 digits of an add-on."""
    EAN_8 = "]E4"
    ITF = "]I0"
    ITF_14 = "]I1"
    """Interleaved 2 of 5 whose check digit the scanner has checked."""
    CODE_128 = "]C0"
    GS1_128 = "]C1"
    GS1_DATABAR = "]e0"
    DATA_MATRIX = "]d1"
    GS1_DATA_MATRIX = "]d2"
    QR_CODE = "]Q1"
    GS1_QR_CODE = "]Q3"
    GS1_DOTCODE = "]J1"
    OTHER = "]X0"
    """Any other, which carries plain text."""

    @classmethod
    def parse(cls, identifier: str) -> Symbology:
        """The symbology of an identifier such as `]C1`; `OTHER` for one that is none of ours.

        Raises:
            BadInput: `Reason.BAD_IDENTIFIER`: not `]`, a letter and a digit or letter.
        """
        if not _SYMBOLOGY_IDENTIFIER.fullmatch(identifier):
            expected = "']', a letter, and a digit or letter"
            raise _refusal("symbology identifier", identifier, expected)
        try:
            return cls(identifier)
        except ValueError:
            return cls.OTHER


_SYMBOLOGY_IDENTIFIER: Final = re.compile(r"\][A-Za-z][0-9A-Za-z]")
_RETAIL: Final = frozenset({Symbology.EAN_13, Symbology.EAN_13_ADD_ON, Symbology.EAN_8})
_GS1: Final = frozenset(
    {
        Symbology.GS1_128,
        Symbology.GS1_DATABAR,
        Symbology.GS1_DATA_MATRIX,
        Symbology.GS1_QR_CODE,
        Symbology.GS1_DOTCODE,
    }
)

_LEGIBLE: Final = re.compile(r"[ -~\x1d]+")
_WEB_ADDRESS: Final = re.compile(r"https?://", re.IGNORECASE)
_CHAIN_KEY: Final = re.compile(r"ledger|(?:0[01]|waybill|drug|party)/.*")
_EAN_13_AND_ADD_ON: Final = re.compile(r"([0-9]{13})[0-9]{2}(?:[0-9]{3})?")
_NUMBERS: Final[tuple[tuple[re.Pattern[str], Callable[[str], ChainKey]], ...]] = (
    (re.compile(r"[0-9]{8}|[0-9]{12,14}"), ChainKey.product),
    (re.compile(r"[01][0-9]{7}"), lambda digits: ChainKey.product(expand_upce(digits))),
    (re.compile(r"[0-9]{18}"), ChainKey.logistic_unit),
    (re.compile(r"8[0-9]{19}"), ChainKey.drug),
    (re.compile(r"[0-9A-Z]{2}[0-9]{6}[0-9A-Z]{10}"), ChainKey.party),
    (re.compile(r"[A-Z]{2}[0-9]{9}[A-Z]{2}"), lambda number: ChainKey.waybill("upu", number)),
)
"""How each number looks that may stand alone, and the chain that it names if its check digit holds."""

# Shorter digits are a GTIN at every till, and (01) alone is longer.
_SHORTEST_ELEMENT_STRING: Final = 14
_IDENTIFYING: Final = frozenset({"00", "01"})
_NET_WEIGHTS: Final = frozenset(f"310{decimals}" for decimals in range(6))
_READ: Final = _IDENTIFYING | {"10", "11", "13", "15", "17", "21", "22"} | _NET_WEIGHTS


@dataclass(frozen=True, slots=True)
class Attributes:
    """What a code says beside its chain; None where it is silent."""

    lot: str | None = None
    """Batch or lot number, AI (10), also where a serial number is what identifies."""
    serial: str | None = None
    """Serial number, AI (21)."""
    variant: str | None = None
    """Consumer product variant, AI (22)."""
    production_date: date | None = None
    """AI (11)."""
    packaging_date: date | None = None
    """AI (13)."""
    best_before_date: date | None = None
    """AI (15)."""
    expiry_date: date | None = None
    """AI (17): not to be used after that day."""
    net_weight: Decimal | None = None
    """Kilograms, AI (310n)."""


_TEXTS: Final = {"10": "lot", "21": "serial", "22": "variant"}
_DATES: Final = {
    "11": "production_date",
    "13": "packaging_date",
    "15": "best_before_date",
    "17": "expiry_date",
}


@dataclass(frozen=True, slots=True)
class Reading:
    """What a text was found to mean."""

    chain: ChainKey
    """The chain of what the code identifies."""
    attributes: Attributes = Attributes()
    """What else it says."""


def read_barcode(
    text: str, symbology: Symbology | None = None, *, carrier: str | None = None, year: int = 2026
) -> Reading:
    """What `text`, as scanned or typed, identifies; blanks and line ends around it are not part of it.

    Args:
        text: what the scanner sent, with or without symbology identifier, or what somebody typed.
        symbology: how the code was printed, where the text doesn't say it and the reader knows.
        carrier: the courier, such as `zto`: the text is the number of a waybill of theirs and nothing else.
        year: the year of the reading, which tells the century of a date of two-digit year: dates from 49 years
            before it to 50 years after it can be told.

    Raises:
        BadInput: `Reason.AMBIGUOUS_CODE`: the text can mean several things, which the error names;
            `Reason.BAD_IDENTIFIER`: it means nothing known, or a check digit or shape in it is wrong;
            `Reason.BAD_CHAIN_KEY`: it begins as a chain key and is not one in canonical spelling.
    """
    printed_as, content = _without_symbology_identifier(_legible(text), symbology)
    if carrier is not None:
        if printed_as in _RETAIL or printed_as in _GS1:
            raise _refusal("symbology of a waybill", str(printed_as), "one that carries plain text")
        return Reading(waybill_of(carrier, content))
    if printed_as in _RETAIL:
        return Reading(_retail_product(content, printed_as))
    if _WEB_ADDRESS.match(content):
        return _identified(parse_digital_link(content), year)
    if content.startswith("("):
        return _identified(parse_bracketed(content), year)
    if printed_as in _GS1 or GROUP_SEPARATOR in content:
        return _identified(parse_element_strings(content), year)
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


def _retail_product(content: str, symbology: Symbology | None) -> ChainKey:
    if symbology is Symbology.EAN_13_ADD_ON:
        with_add_on = _EAN_13_AND_ADD_ON.fullmatch(content)
        if with_add_on is None:
            raise _refusal("EAN-13 with add-on", content, "13 digits, and 2 or 5 more")
        return ChainKey.product(with_add_on[1])
    if symbology is Symbology.EAN_13 and len(content) == 8:
        # EAN-8 has an identifier of its own, so these eight digits are a UPC-E.
        return ChainKey.product(expand_upce(content))
    return ChainKey.product(content)


def _identified(elements: Mapping[str, str], year: int) -> Reading:
    gtin, sscc = elements.get("01"), elements.get("00")
    candidates: list[ChainKey] = []
    if gtin is not None:
        lot, serial = elements.get("10"), elements.get("21")
        if serial is not None:
            candidates.append(ChainKey.serial(gtin, serial))
        elif lot is not None:
            candidates.append(ChainKey.lot(gtin, lot))
        else:
            candidates.append(ChainKey.product(gtin))
    if sscc is not None:
        candidates.append(ChainKey.logistic_unit(sscc))
    if not candidates:
        raise _refusal("GS1 message", _bracketed(elements), "a GTIN in AI (01) or an SSCC in AI (00)")
    if len(candidates) > 1:
        raise _ambiguity(_bracketed(elements), candidates)
    return Reading(candidates[0], _attributes(elements, year))


def _attributes(elements: Mapping[str, str], year: int) -> Attributes:
    return Attributes(
        lot=elements.get("10"),
        serial=elements.get("21"),
        variant=elements.get("22"),
        production_date=_date(elements, "11", year),
        packaging_date=_date(elements, "13", year),
        best_before_date=_date(elements, "15", year),
        expiry_date=_date(elements, "17", year),
        net_weight=_net_weight(elements),
    )


def _date(elements: Mapping[str, str], ai: str, year: int) -> date | None:
    if ai not in elements:
        return None
    try:
        return parse_date(elements[ai], year)
    except BadInput as error:
        raise _refusal(f"value of AI ({ai})", elements[ai], error.expected or "") from None


def _net_weight(elements: Mapping[str, str]) -> Decimal | None:
    weights = {ai: value for ai, value in elements.items() if ai in _NET_WEIGHTS}
    if len(weights) > 1:
        raise _refusal("net weight", _bracketed(weights), "only one AI (310n)")
    # The last digit of the AI says how many of the value's digits are decimals.
    return next((Decimal(value).scaleb(-int(ai[3])) for ai, value in weights.items()), None)


def _only_candidate(content: str, year: int, *, may_be_element_strings: bool) -> Reading:
    readings, refusals = _read_as_number(content.upper())
    named, possible = waybills_by_shape(content)
    readings.update((chain, Reading(chain)) for chain in named)
    rivals: list[str] = [chain for chain in possible if chain not in readings]
    elements = _meaningful_elements(content) if may_be_element_strings else None
    if elements:
        try:
            reading = _identified(elements, year)
        except BadInput as error:
            refusals.append(error)
            rivals.append(_bracketed(elements))
        else:
            readings[reading.chain] = reading
    if len(readings) == 1 and not rivals:
        return next(iter(readings.values()))
    if readings or possible:
        raise _ambiguity(content, [*readings, *rivals])
    if len(refusals) == 1:
        raise refusals[0]
    if refusals:
        raise _refusal("code", content, f"one of these to hold: {'; '.join(map(str, refusals))}")
    raise _refusal("code", content, ACCEPTED)


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
    """The elements of `content` if it can be element strings that say something here, and not only by an accident.

    Nearly any digits beginning with 9 are an element for a company's internal use; none of those is a rival.
    """
    if len(content) < _SHORTEST_ELEMENT_STRING:
        return None
    try:
        elements = parse_element_strings(content)
    except BadInput:
        return None
    return elements if elements.keys() & _READ else None


def _bracketed(elements: Mapping[str, str]) -> str:
    return "".join(f"({ai})" + value.replace("(", r"\(") for ai, value in elements.items())


def _ambiguity(content: str, candidates: list[str]) -> BadInput:
    expected = f"one of these, spelled out: {', '.join(map(printable, candidates))}"
    return BadInput(Reason.AMBIGUOUS_CODE, "ambiguous code", given=printable(content), expected=expected)


def _refusal(subject: str, given: str, expected: str) -> BadInput:
    return BadInput(Reason.BAD_IDENTIFIER, subject, given=printable(given), expected=expected)
