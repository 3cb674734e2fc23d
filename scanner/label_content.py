"""A text to what its label must say: the symbology that suits it, the symbol's content and the caption.

Given a chain key, it is the natural label, which is what others print for the same thing:

    01/<gtin14>                 EAN-8, UPC-A, EAN-13 or ITF-14, the shortest that holds the GTIN
    01/<gtin14>/10/… and /21/…  QR code with a GS1 Digital Link URI
    00/<sscc18>                 GS1-128, (00)…
    waybill/<carrier>/<number>  Code 128 of the number
    drug/<20 digits>            Code 128
    party/…, ledger             QR code of the chain key

Others may be asked for where they hold as much: `LabelContent.symbologies` lists them.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final

from biip.gs1_application_identifiers import GS1ApplicationIdentifier

from ledger.barcode import FORMAT_YEAR, Attributes, read_barcode
from ledger.chain_key import ChainKey, ChainKind
from ledger.errors import BadInput, Reason
from ledger.gs1_message import GROUP_SEPARATOR, parse_bracketed
from ledger.identifiers import gs1_check_digit, parse_gtin, printable
from ledger.waybill import explicit_waybill
from scanner.encode import DRAWABLE
from scanner.symbol import Symbology

DIGITAL_LINK: Final = "https://id.gs1.org/"
"""Where the QR codes of products point: GS1's resolver, which any GS1 Digital Link URI may name."""

LONGEST_CODE_128: Final = 48
"""Characters, as for GS1-128 (GS1 General Specifications §5.4): more are wider than most scanners' sight."""
LONGEST_QR_CODE: Final = 512
"""Characters; enough for any link, and the modules stay few enough for a creased label."""
LONGEST_DATA_MATRIX: Final = 128
"""Characters of element strings; a square of at most 52 modules, which is 26 mm."""

_DIGITS: Final = {Symbology.EAN_8: 8, Symbology.UPC_A: 12, Symbology.EAN_13: 13, Symbology.ITF_14: 14}
_NUMBER: Final = re.compile(r"[0-9]+")
_OFTEN_WAYBILLS: Final = frozenset({14, 18, 20})
_CHAIN_KEY: Final = re.compile(r"ledger|(?:0[01]|waybill|drug|party)/.*")
_KEY_DIGITS: Final = {
    "02": 14,
    "253": 13,
    "255": 13,
    "402": 17,
    **{f"41{digit}": 13 for digit in range(8)},
    "8003": 14,
    "8006": 14,
    "8017": 18,
    "8018": 18,
    "8026": 14,
}
"""Of values that begin with a key other than a GTIN or SSCC: how long it is with its check digit (GS1 General
Specifications §3)."""
_OF_ELEMENTS: Final = frozenset({Symbology.GS1_128, Symbology.GS1_DATA_MATRIX})
_WEB_ADDRESS: Final = re.compile(r"https?://", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class LabelContent:
    """What a label must say."""

    symbology: Symbology
    text: str
    """What the symbol holds, FNC1 between GS1 element strings as `\\x1d`."""
    caption: str
    """What people read beneath it; a line end where the line should be broken. Empty where our font can't say it."""
    chain: ChainKey | None = None
    """What a reader must find it to name, where a chain key was given."""

    @classmethod
    def parse(cls, text: str, symbology: Symbology | None = None) -> LabelContent:
        """What the label of `text` says, in `symbology` or else in the one that suits it.

        Raises:
            BadInput: `Reason.INVALID_REQUEST`: no text for a label, or not for this symbology;
                `Reason.BAD_IDENTIFIER`, `Reason.BAD_CHAIN_KEY`: it has the looks of an identifier and is a wrong one;
                `Reason.AMBIGUOUS_CODE`: digits that can be several things.
        """
        if symbology is not None and symbology not in DRAWABLE:
            raise _refusal("symbology of a label", symbology, f"one of {', '.join(DRAWABLE)}")
        if not text or not text.isprintable():
            raise _refusal("text of a label", printable(text), "printable characters")
        chain = _named_chain(text, may_be_read=symbology is None)
        if chain is not None:
            return _of_chain(chain, symbology or _natural(chain))
        symbology = symbology or _suited(text)
        if symbology in _DIGITS:
            return _of_gtin(text, symbology)
        if symbology in _OF_ELEMENTS:
            return _of_bracketed(text, symbology)
        if symbology is Symbology.CODE_128:
            return _of_plain_text(text)
        if len(text) > LONGEST_QR_CODE:
            raise _too_long("text of a QR code", text, LONGEST_QR_CODE)
        return cls(symbology, text, text if text.isascii() else "")

    @staticmethod
    def symbologies(chain: ChainKey) -> tuple[Symbology, ...]:
        """Those that can hold what names `chain`, the natural one first."""
        natural = _natural(chain)
        return (natural, *(other for other in DRAWABLE if other is not natural and _holds(other, chain)))


def _named_chain(text: str, *, may_be_read: bool) -> ChainKey | None:
    """The chain that `text` spells; None where it is only what the symbol should hold.

    Digits in the number of an ITF-14, SSCC, USCC or drug trace code are as often a waybill number. Where nobody said
    what they are, they are read as a scanner's would be, which is to say refused if they could be several things.
    """
    if _CHAIN_KEY.fullmatch(text):
        return ChainKey.parse(text)
    if may_be_read and _NUMBER.fullmatch(text) and len(text) in _OFTEN_WAYBILLS:
        return read_barcode(text).chain
    return explicit_waybill(text)


def _suited(text: str) -> Symbology:
    if text.startswith("("):
        return Symbology.GS1_128
    if _NUMBER.fullmatch(text):
        for symbology, digits in _DIGITS.items():
            if len(text) == digits:
                return symbology
    if _WEB_ADDRESS.match(text) or not text.isascii() or len(text) > LONGEST_CODE_128:
        return Symbology.QR_CODE
    return Symbology.CODE_128


def _natural(chain: ChainKey) -> Symbology:
    match chain.kind:
        case ChainKind.PRODUCT:
            needed = len(chain.gtin.lstrip("0"))
            return next(symbology for symbology, digits in _DIGITS.items() if digits >= needed)
        case ChainKind.LOGISTIC_UNIT:
            return Symbology.GS1_128
        case ChainKind.WAYBILL | ChainKind.DRUG:
            return Symbology.CODE_128
        case _:
            return Symbology.QR_CODE


def _holds(symbology: Symbology, chain: ChainKey) -> bool:
    """Whether a reader of `symbology` can be told `chain`."""
    match symbology:
        case Symbology.QR_CODE:
            return True
        case Symbology.CODE_128:
            return chain.kind in {ChainKind.WAYBILL, ChainKind.DRUG}
        case Symbology.GS1_128 | Symbology.GS1_DATA_MATRIX:
            return bool(_elements(chain))
        case _:
            return chain.kind is ChainKind.PRODUCT and _DIGITS[symbology] >= len(chain.gtin.lstrip("0"))


def _of_chain(chain: ChainKey, symbology: Symbology) -> LabelContent:
    if not _holds(symbology, chain):
        expected = f"one that holds it: {', '.join(LabelContent.symbologies(chain))}"
        raise _refusal(f"symbology of a label of {chain}", symbology, expected)
    elements = _elements(chain)
    match symbology:
        case Symbology.QR_CODE if elements:
            return LabelContent(symbology, DIGITAL_LINK + chain, _caption(elements, "\n"), chain)
        case Symbology.QR_CODE:
            return LabelContent(symbology, str(chain), str(chain), chain)
        case Symbology.GS1_128 | Symbology.GS1_DATA_MATRIX:
            said = _of_elements(elements, symbology)
        case Symbology.CODE_128 if chain.kind is ChainKind.WAYBILL:
            said = _of_plain_text(chain.waybill_number)
        case Symbology.CODE_128:
            said = _of_plain_text(chain.drug_code)
        case _:
            said = _of_gtin(chain.gtin[-_DIGITS[symbology] :], symbology)
    return replace(said, chain=chain)


def _of_gtin(text: str, symbology: Symbology) -> LabelContent:
    if len(text) != _DIGITS[symbology]:
        raise _refusal(f"text of {symbology}", printable(text), f"{_DIGITS[symbology]} digits")
    parse_gtin(text)
    return LabelContent(symbology, text, text)


def _of_bracketed(text: str, symbology: Symbology) -> LabelContent:
    elements = parse_bracketed(text)
    for ai, value in elements.items():
        _require_check_digit(ai, value)
    if elements.keys() & {"00", "01"}:
        # Reading the message is what looks at what it identifies.
        read_barcode(text)
    Attributes.of_message(elements, FORMAT_YEAR)
    return _of_elements(elements, symbology)


def _require_check_digit(ai: str, value: str) -> None:
    key = value[: _KEY_DIGITS.get(ai, 0)]
    if key and key[-1] != gs1_check_digit(key[:-1]):
        subject = f"check digit of AI ({ai}) {key}"
        raise BadInput(Reason.BAD_IDENTIFIER, subject, given=key[-1], expected=gs1_check_digit(key[:-1]))


def _of_elements(elements: Mapping[str, str], symbology: Symbology) -> LabelContent:
    text = ""
    for ai, value in elements.items():
        needs_end = GS1ApplicationIdentifier.extract(ai).separator_required
        text += ai + value + (GROUP_SEPARATOR if needs_end else "")
    text = text.removesuffix(GROUP_SEPARATOR)
    if symbology is Symbology.GS1_DATA_MATRIX:
        if len(text) > LONGEST_DATA_MATRIX:
            raise _too_long("element strings of a GS1 DataMatrix", text, LONGEST_DATA_MATRIX)
        return LabelContent(symbology, text, _caption(elements, "\n"))
    if len(text) > LONGEST_CODE_128:
        raise _too_long("element strings of a GS1-128", text, LONGEST_CODE_128)
    return LabelContent(symbology, text, _caption(elements))


def _of_plain_text(text: str) -> LabelContent:
    if not text.isascii():
        raise _refusal("text of a Code 128", printable(text), "printable ASCII characters")
    if len(text) > LONGEST_CODE_128:
        raise _too_long("text of a Code 128", text, LONGEST_CODE_128)
    return LabelContent(Symbology.CODE_128, text, text)


def _elements(chain: ChainKey) -> dict[str, str]:
    """The application identifiers of a GS1 chain key and their values; none for other chains."""
    match chain.kind:
        case ChainKind.PRODUCT:
            return {"01": chain.gtin}
        case ChainKind.LOT:
            return {"01": chain.gtin, "10": chain.lot_number}
        case ChainKind.SERIAL:
            return {"01": chain.gtin, "21": chain.serial_number}
        case ChainKind.LOGISTIC_UNIT:
            return {"00": chain.sscc}
        case _:
            return {}


def _caption(elements: Mapping[str, str], between: str = "") -> str:
    """The human readable interpretation (GS1 General Specifications §4.14)."""
    return between.join(f"({ai}){value}" for ai, value in elements.items())


def _too_long(subject: str, text: str, most: int) -> BadInput:
    return _refusal(subject, f"{len(text)} characters", f"at most {most}")


def _refusal(subject: str, given: str, expected: str) -> BadInput:
    return BadInput(Reason.INVALID_REQUEST, subject, given=given, expected=expected)
