"""What a code was found to say: the chain of what it identifies, and what it tells beside.

What a GS1 message identifies follows from all that it says: a GTIN with a serial number is one item, whatever
its lot; a GTIN with a lot number is that lot; a GTIN alone is the product; an SSCC is a logistic unit, and
what stands beside it describes its contents. (GS1 General Specifications §3 defines the identifiers.)
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Final

from ledger.chain_key import ChainKey
from ledger.errors import BadInput, Reason
from ledger.gs1_ai import ai_named, contradiction
from ledger.gs1_checks import parse_date
from ledger.gs1_message import bracketed
from ledger.identifiers import printable

_NET_WEIGHTS: Final = tuple(f"310{decimals}" for decimals in range(6))
_GROSS_WEIGHTS: Final = tuple(f"330{decimals}" for decimals in range(6))
AIS_READ: Final = frozenset(
    {"00", "01", "10", "11", "13", "15", "17", "21", "22", *_NET_WEIGHTS, *_GROSS_WEIGHTS}
)
"""The application identifiers that a `Reading` is made from; others are left aside."""


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
    gross_weight: Decimal | None = None
    """Kilograms, AI (330n): what a logistic unit or a trade item weighs with its packaging."""

    @classmethod
    def of_message(cls, elements: Mapping[str, str], year: int) -> Attributes:
        """The attributes in a GS1 message, its dates of two-digit years read in `year`.

        Raises:
            BadInput: `Reason.BAD_IDENTIFIER`: a date that does not exist, or two weights of a kind.
        """
        return cls(
            lot=elements.get("10"),
            serial=elements.get("21"),
            variant=elements.get("22"),
            production_date=_date(elements, "11", year),
            packaging_date=_date(elements, "13", year),
            best_before_date=_date(elements, "15", year),
            expiry_date=_date(elements, "17", year),
            net_weight=_weight(elements, "net weight", _NET_WEIGHTS),
            gross_weight=_weight(elements, "gross weight", _GROSS_WEIGHTS),
        )


@dataclass(frozen=True, slots=True)
class Reading:
    """What a text was found to mean."""

    chain: ChainKey
    """The chain of what the code identifies."""
    attributes: Attributes = Attributes()
    """What else it says."""

    @classmethod
    def of_message(cls, elements: Mapping[str, str], year: int) -> Reading:
        """What a GS1 message identifies and says, its dates of two-digit years read in `year`.

        Raises:
            BadInput: `Reason.BAD_IDENTIFIER`: a check digit, date or range in any of its values is wrong, two AIs
                contradict each other, or the message identifies nothing that has a chain;
                `Reason.AMBIGUOUS_CODE`: it identifies a trade item and a logistic unit.
        """
        chains: list[ChainKey] = []
        if "01" in elements:
            chains.append(_trade_item(elements["01"], elements.get("10"), elements.get("21")))
        if "00" in elements:
            chains.append(ChainKey.logistic_unit(elements["00"]))
        if not chains:
            raise _refusal("GS1 message", bracketed(elements), "a GTIN in AI (01) or an SSCC in AI (00)")
        if len(chains) > 1:
            raise ambiguity(bracketed(elements), chains)
        _require_sound(elements, year)
        return cls(chains[0], Attributes.of_message(elements, year))


def ambiguity(text: str, candidates: Iterable[str], subject: str = "ambiguous code") -> BadInput:
    """The refusal of a text that can mean each of `candidates`, spelled so that they can be read."""
    spelled = tuple(candidates)
    expected = f"one of these, spelled out: {', '.join(map(printable, spelled))}"
    refusal = BadInput(Reason.AMBIGUOUS_CODE, subject, given=printable(text), expected=expected)
    refusal.candidates = spelled
    return refusal


def missing_fnc1(text: str, candidates: Iterable[str]) -> BadInput:
    """The refusal of element strings that cannot be read as they stand, and could be each of `candidates`."""
    spelled = tuple(candidates)
    expected = f"FNC1 where it belongs, as in one of these: {', '.join(map(printable, spelled))}"
    refusal = BadInput(Reason.BAD_IDENTIFIER, "missing FNC1", given=printable(text), expected=expected)
    refusal.candidates = spelled
    return refusal


def _trade_item(gtin: str, lot: str | None, serial: str | None) -> ChainKey:
    if serial is not None:
        return ChainKey.serial(gtin, serial)
    return ChainKey.product(gtin) if lot is None else ChainKey.lot(gtin, lot)


def _date(elements: Mapping[str, str], ai: str, year: int) -> date | None:
    if ai not in elements:
        return None
    try:
        return parse_date(elements[ai], year)
    except BadInput as error:
        raise _refusal(f"value of AI ({ai})", elements[ai], error.expected or "") from None


def _weight(elements: Mapping[str, str], name: str, ais: tuple[str, ...]) -> Decimal | None:
    weights = {ai: elements[ai] for ai in ais if ai in elements}
    if len(weights) > 1:
        raise _refusal(name, bracketed(weights), f"only one AI ({ais[0][:3]}n)")
    # The last digit of the AI says how many of the value's digits are decimals.
    return next((Decimal(value).scaleb(-int(ai[3])) for ai, value in weights.items()), None)


def _require_sound(elements: Mapping[str, str], year: int) -> None:
    for name, value in elements.items():
        ai = ai_named(name)
        fault = ai.fault(value, year) if ai else None
        if fault:
            raise _refusal(f"value of AI ({name})", value, fault)
    forbidden = contradiction(elements.keys())
    if forbidden:
        ai_there, other = forbidden
        given = bracketed({name: elements[name] for name in elements if name in forbidden})
        raise _refusal(f"AI ({other}) beside AI ({ai_there})", given, "not both in one message")


def _refusal(subject: str, given: str, expected: str) -> BadInput:
    return BadInput(Reason.BAD_IDENTIFIER, subject, given=printable(given), expected=expected)
