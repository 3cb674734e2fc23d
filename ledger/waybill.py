"""What couriers' waybill numbers look like: a dated table of hints.

No courier publishes its numbering, shapes change from year to year, and a number of digits alone carries
neither name nor published check digit. So a shape may suggest a carrier and is never a reason to refuse a
number: letters such as `SF` name the carrier; digits alone only tell who *could* have issued the number.

The shapes are those in circulation in 2026.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from ledger.chain_key import ChainKey

CARRIERS: Final = frozenset({"deppon", "ems", "jd", "jt", "sf", "sto", "upu", "yto", "yunda", "zto"})
"""The carriers that may be named before a number, as in `sf:SF1234567890123`."""


@dataclass(frozen=True, slots=True)
class WaybillShape:
    """How a carrier's waybill numbers look."""

    carrier: str
    """The carrier's word in a chain key."""
    pattern: re.Pattern[str]
    """What the whole number matches, its letters capital."""
    names_carrier: bool
    """Whether the number itself names the carrier, or the carrier is only one of those it may be of."""


_SHAPES: Final = (
    WaybillShape("sf", re.compile(r"SF[0-9]{12,15}"), names_carrier=True),
    WaybillShape("yto", re.compile(r"YT[0-9]{13}"), names_carrier=True),
    WaybillShape("jd", re.compile(r"JD[A-Z]{0,2}[0-9]{10,13}"), names_carrier=True),
    WaybillShape("jt", re.compile(r"JT[0-9]{13}"), names_carrier=True),
    WaybillShape("deppon", re.compile(r"DP[KL][0-9]{12}"), names_carrier=True),
    WaybillShape("zto", re.compile(r"7[0-9]{13,14}"), names_carrier=False),
    WaybillShape("sto", re.compile(r"7[0-9]{13,14}"), names_carrier=False),
    WaybillShape("yunda", re.compile(r"[34][0-9]{14}"), names_carrier=False),
)

# JD prints a code on each package of a shipment: the waybill, which package, of how many, and a sorting code.
_JD_PACKAGE: Final = re.compile(r"(?P<waybill>JD[A-Z]{0,2}[0-9]{10,13})-[0-9]{1,4}-[0-9]{1,4}-[0-9]{0,4}")


def waybill_of(carrier: str, text: str) -> ChainKey:
    """The waybill that `text` is when `carrier` is known; no shape is asked for.

    A JD package code (`JDVA00123456789-1-2-`) is read as the waybill that its packages share.

    Raises:
        BadInput: `Reason.BAD_IDENTIFIER`: not a carrier, or not a waybill number (see `ChainKey.waybill`).
    """
    return ChainKey.waybill(carrier, _waybill_of_package(text) if carrier == "jd" else text)


def waybills_by_shape(text: str) -> tuple[list[ChainKey], list[ChainKey]]:
    """The waybills that `text` names by its letters, and those that it may be, one for each carrier."""
    number = _waybill_of_package(text)
    named: list[ChainKey] = []
    possible: list[ChainKey] = []
    for shape in _SHAPES:
        if shape.pattern.fullmatch(number):
            (named if shape.names_carrier else possible).append(ChainKey.waybill(shape.carrier, number))
    return named, possible


def explicit_waybill(text: str) -> ChainKey | None:
    """The waybill that `text` spells as `<carrier>:<number>`; None if it names none of `CARRIERS`.

    Raises:
        BadInput: `Reason.BAD_IDENTIFIER`: the carrier is known and the number is not one of a waybill.
    """
    word, colon, number = text.partition(":")
    carrier = word.lower()
    return waybill_of(carrier, number) if colon and carrier in CARRIERS else None


def _waybill_of_package(text: str) -> str:
    capitals = text.upper() if text.isascii() else text
    package = _JD_PACKAGE.fullmatch(capitals)
    return package["waybill"] if package else capitals
