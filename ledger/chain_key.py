"""The chain key: the one canonical name of the thing that a chain of events is about.

    ledger                          the ledger itself: genesis, versions of the rules
    01/<gtin14>                     a product
    01/<gtin14>/10/<lot>            a lot of it
    01/<gtin14>/21/<serial>         one item of it
    00/<sscc18>                     a logistic unit
    waybill/<carrier>/<number>      a parcel, by its courier's waybill
    drug/<20 digits>                a pack of medicine, by its drug trace code
    party/<USCC>                    a company
    party/<USCC>/<member>           a member of it, under a pseudonym

Products, lots, items and logistic units are spelled as in the path of a GS1 Digital Link URI (GS1 Digital
Link Standard: URI Syntax): a GTIN has 14 digits; of a lot or serial, the letters, digits, `-`, `.` and `_`
stand for themselves, and every other character is `%` and two capital hexadecimal digits. So a key is plain
ASCII, at most 128 bytes, and two spellings of one identifier never give two keys: `ChainKey.parse` refuses
every other spelling.

    >>> ChainKey.lot("6901234567892", "A/7")
    ChainKey('01/06901234567892/10/A%2F7')
    >>> ChainKey.parse("01/06901234567892/10/A%2F7").lot_number
    'A/7'
    >>> ChainKey.parse("01/06901234567892/10/A%2f7")  # doctest: +ELLIPSIS
    Traceback (most recent call last):
        ...
    ledger.errors.BadInput: chain key: given 01/06901234567892/10/A%2f7, expected the canonical ...
"""

from __future__ import annotations

import re
from enum import StrEnum
from functools import lru_cache
from typing import Final, Self
from urllib.parse import quote, unquote

from ledger.errors import BadInput, Reason
from ledger.identifiers import (
    is_s10,
    parse_drug_code,
    parse_gtin,
    parse_s10,
    parse_sscc,
    parse_uscc,
    printable,
)

MAX_BYTES: Final = 128
"""No chain key is longer, in UTF-8."""

_PARSED_KEYS_KEPT: Final = 16_384

# GS1 General Specifications figure 7.11-1, "GS1 AI encodable character set 82".
_LOT_OR_SERIAL: Final = re.compile(r"[!\"%-?A-Z_a-z]{1,20}")
_CARRIER: Final = re.compile(r"[a-z0-9][a-z0-9-]{0,15}")
_WAYBILL_NUMBER: Final = re.compile(r"[A-Z0-9][A-Z0-9-]{2,30}[A-Z0-9]")
_MEMBER: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,31}")

# Of the 82 characters, those that RFC 3986 §2.3 calls unreserved, and the codes of the others.
_ENCODED: Final = r"(?:[A-Za-z0-9._-]|%(?:2[1-25-9A-CF]|3[A-F])){1,20}"

# The last group to match is the last one named on its line, and its name is the kind.
_KEY: Final = re.compile(
    r"(?P<ledger>ledger)"
    r"|01/(?P<product>[0-9]{14})"
    rf"(?:/10/(?P<lot>{_ENCODED})|/21/(?P<serial>{_ENCODED}))?"
    r"|00/(?P<logistic_unit>[0-9]{18})"
    rf"|waybill/(?P<carrier>{_CARRIER.pattern})/(?P<waybill>{_WAYBILL_NUMBER.pattern})"
    r"|drug/(?P<drug>[0-9]{20})"
    rf"|party/(?P<party>[0-9A-Z]{{18}})(?:/(?P<member>{_MEMBER.pattern}))?"
)

_EXPECTED: Final = (
    "the canonical spelling of one of ledger, 01/<gtin14>, 01/<gtin14>/10/<lot>, 01/<gtin14>/21/<serial>, "
    "00/<sscc18>, waybill/<carrier>/<number>, drug/<20 digits>, party/<USCC>, party/<USCC>/<member>"
)


class ChainKind(StrEnum):
    """What a chain is about."""

    LEDGER = "ledger"
    PRODUCT = "product"
    LOT = "lot"
    SERIAL = "serial"
    LOGISTIC_UNIT = "logistic_unit"
    WAYBILL = "waybill"
    DRUG = "drug"
    PARTY = "party"
    MEMBER = "member"


_KINDS: Final = {kind.value: kind for kind in ChainKind}
_OF_A_GTIN: Final = frozenset({ChainKind.PRODUCT, ChainKind.LOT, ChainKind.SERIAL})
_OF_A_COMPANY: Final = frozenset({ChainKind.PARTY, ChainKind.MEMBER})
_SOLD: Final = _OF_A_GTIN | {ChainKind.DRUG}
_CARRIED: Final = frozenset({ChainKind.WAYBILL, ChainKind.LOGISTIC_UNIT})


class ChainKey(str):
    """A canonical chain key: text that is known to be right, and what it says.

    It is a `str`, so that it hashes, compares, sorts and is stored at the speed of one, and equals the same
    text read from elsewhere. There is no way to make a wrong one: `ChainKey(text)` checks as `parse` does.
    """

    __slots__ = ("_kind",)

    _kind: ChainKind

    def __new__(cls, text: str) -> Self:
        """The same as `parse`, without looking among the keys parsed of late."""
        kind = _kind_of(text)
        key = super().__new__(cls, text)
        key._kind = kind
        return key

    @classmethod
    def parse(cls, text: str) -> ChainKey:
        """The key that `text` canonically spells.

        Raises:
            BadInput: `Reason.BAD_CHAIN_KEY`: any other text, however near, or a check digit that fails.
        """
        return _parse(text)

    @classmethod
    def product(cls, gtin: str) -> ChainKey:
        """`01/<gtin14>`, from a GTIN of 8, 12, 13 or 14 digits.

        Raises:
            BadInput: `Reason.BAD_IDENTIFIER`: not a GTIN.
        """
        return _parse(f"01/{parse_gtin(gtin)}")

    @classmethod
    def lot(cls, gtin: str, lot_number: str) -> ChainKey:
        """`01/<gtin14>/10/<lot>`, from a GTIN and the lot number as printed, not percent-encoded.

        Raises:
            BadInput: `Reason.BAD_IDENTIFIER`: not a GTIN, or not 1 to 20 characters of GS1 set 82.
        """
        return _parse(f"01/{parse_gtin(gtin)}/10/{_encoded('lot number', lot_number)}")

    @classmethod
    def serial(cls, gtin: str, serial_number: str) -> ChainKey:
        """`01/<gtin14>/21/<serial>`, from a GTIN and the serial number as printed, not percent-encoded.

        Raises:
            BadInput: `Reason.BAD_IDENTIFIER`: not a GTIN, or not 1 to 20 characters of GS1 set 82.
        """
        return _parse(f"01/{parse_gtin(gtin)}/21/{_encoded('serial number', serial_number)}")

    @classmethod
    def logistic_unit(cls, sscc: str) -> ChainKey:
        """`00/<sscc18>`.

        Raises:
            BadInput: `Reason.BAD_IDENTIFIER`: not an SSCC.
        """
        return _parse(f"00/{parse_sscc(sscc)}")

    @classmethod
    def waybill(cls, carrier: str, number: str) -> ChainKey:
        """`waybill/<carrier>/<number>`; the number's letters are made capitals.

        A valid UPU S10 number names one item in the world, whoever carries it: it always goes to carrier
        `upu`.

        Raises:
            BadInput: `Reason.BAD_IDENTIFIER`: a carrier that is not a lower-case word of at most 16
                characters, a number that is not 4 to 32 letters, digits and inner hyphens, or for `upu` not a
                valid S10 number.
        """
        if not _CARRIER.fullmatch(carrier):
            expected = "1 to 16 of a-z, 0-9 and '-', not beginning with '-'"
            raise BadInput(Reason.BAD_IDENTIFIER, "carrier", given=printable(carrier), expected=expected)
        # Beyond ASCII, upper() merges letters: the long s becomes S.
        capitals = number.upper() if number.isascii() else number
        if carrier == "upu":
            return _parse(f"waybill/upu/{parse_s10(capitals)}")
        if not _WAYBILL_NUMBER.fullmatch(capitals):
            expected = "4 to 32 of A-Z, 0-9 and inner '-'"
            raise BadInput(
                Reason.BAD_IDENTIFIER, "waybill number", given=printable(number), expected=expected
            )
        return _parse(f"waybill/{'upu' if is_s10(capitals) else carrier}/{capitals}")

    @classmethod
    def drug(cls, code: str) -> ChainKey:
        """`drug/<20 digits>`.

        Raises:
            BadInput: `Reason.BAD_IDENTIFIER`: not a drug trace code.
        """
        return _parse(f"drug/{parse_drug_code(code)}")

    @classmethod
    def party(cls, uscc: str) -> ChainKey:
        """`party/<USCC>`.

        Raises:
            BadInput: `Reason.BAD_IDENTIFIER`: not a unified social credit code.
        """
        return _parse(f"party/{parse_uscc(uscc)}")

    @classmethod
    def member(cls, uscc: str, member_name: str) -> ChainKey:
        """`party/<USCC>/<member>`: a pseudonym such as a badge number, never a person's name.

        Raises:
            BadInput: `Reason.BAD_IDENTIFIER`: not a unified social credit code, or not such a pseudonym.
        """
        if not _MEMBER.fullmatch(member_name):
            expected = "1 to 32 of A-Z, a-z, 0-9, '.', '_' and '-', beginning with a letter or digit"
            raise BadInput(Reason.BAD_IDENTIFIER, "member", given=printable(member_name), expected=expected)
        return _parse(f"party/{parse_uscc(uscc)}/{member_name}")

    def __repr__(self) -> str:
        return f"ChainKey({super().__repr__()})"

    @property
    def kind(self) -> ChainKind:
        """What the chain is about."""
        return self._kind

    @property
    def is_product(self) -> bool:
        """Whether the chain is of what is listed and sold: a product, lot, item or pack of medicine."""
        return self._kind in _SOLD

    @property
    def is_parcel(self) -> bool:
        """Whether the chain is of what is carried: a waybill or a logistic unit."""
        return self._kind in _CARRIED

    @property
    def product_chain(self) -> ChainKey:
        """The chain of the product: `01/<gtin14>` of a product, lot or item; a pack of medicine is its own.

        Raises:
            BadInput: `Reason.BAD_CHAIN_KEY`: the chain is not of something that is sold.
        """
        self._require("product of a chain key", _SOLD)
        return self if self._kind in {ChainKind.PRODUCT, ChainKind.DRUG} else _parse(self[:17])

    @property
    def company(self) -> ChainKey:
        """The chain of the company, `party/<USCC>`, of a company or of a member of it.

        Raises:
            BadInput: `Reason.BAD_CHAIN_KEY`: the chain is not of a party.
        """
        self._require("company of a chain key", _OF_A_COMPANY)
        return self if self._kind is ChainKind.PARTY else _parse(self[:24])

    @property
    def gtin(self) -> str:
        """The 14 digits of a product's, lot's or item's GTIN; `BadInput` for other kinds."""
        self._require("GTIN of a chain key", _OF_A_GTIN)
        return self[3:17]

    @property
    def lot_number(self) -> str:
        """A lot's number as printed, not percent-encoded; `BadInput` for other kinds."""
        self._require("lot number of a chain key", {ChainKind.LOT})
        return unquote(self[21:])

    @property
    def serial_number(self) -> str:
        """An item's serial number as printed, not percent-encoded; `BadInput` for other kinds."""
        self._require("serial number of a chain key", {ChainKind.SERIAL})
        return unquote(self[21:])

    @property
    def sscc(self) -> str:
        """The 18 digits of a logistic unit's SSCC; `BadInput` for other kinds."""
        self._require("SSCC of a chain key", {ChainKind.LOGISTIC_UNIT})
        return self[3:]

    @property
    def carrier(self) -> str:
        """The carrier of a waybill, such as `sf`; `BadInput` for other kinds."""
        self._require("carrier of a chain key", {ChainKind.WAYBILL})
        return self.split("/")[1]

    @property
    def waybill_number(self) -> str:
        """The number of a waybill; `BadInput` for other kinds."""
        self._require("waybill number of a chain key", {ChainKind.WAYBILL})
        return self.split("/")[2]

    @property
    def drug_code(self) -> str:
        """The 20 digits of a drug trace code; `BadInput` for other kinds."""
        self._require("drug trace code of a chain key", {ChainKind.DRUG})
        return self[5:]

    @property
    def uscc(self) -> str:
        """The credit code of a company, or of a member's company; `BadInput` for other kinds."""
        self._require("USCC of a chain key", _OF_A_COMPANY)
        return self[6:24]

    @property
    def member_name(self) -> str:
        """A member's pseudonym; `BadInput` for other kinds."""
        self._require("member of a chain key", {ChainKind.MEMBER})
        return self[25:]

    def _require(self, subject: str, kinds: frozenset[ChainKind] | set[ChainKind]) -> None:
        if self._kind not in kinds:
            names = " or ".join(sorted(kinds))
            raise BadInput(
                Reason.BAD_CHAIN_KEY, subject, given=str(self), expected=f"a chain of kind {names}"
            )


def _kind_of(text: str) -> ChainKind:
    match = _KEY.fullmatch(text) if len(text) <= MAX_BYTES else None
    if match is None:
        raise BadInput(Reason.BAD_CHAIN_KEY, "chain key", given=printable(text), expected=_EXPECTED)
    # Every alternative of the pattern ends in a named group that took part.
    kind = _KINDS[match.lastgroup or ""]
    try:
        if kind in _OF_A_GTIN:
            parse_gtin(match["product"])
        elif kind is ChainKind.WAYBILL:
            _check_waybill(match["carrier"], match["waybill"])
        elif kind in _OF_A_COMPANY:
            parse_uscc(match["party"])
        elif kind is ChainKind.LOGISTIC_UNIT:
            parse_sscc(match["logistic_unit"])
        elif kind is ChainKind.DRUG:
            parse_drug_code(match["drug"])
    except BadInput as error:
        subject = f"{error.subject} in chain key"
        raise BadInput(Reason.BAD_CHAIN_KEY, subject, given=error.given, expected=error.expected) from None
    return kind


def _check_waybill(carrier: str, number: str) -> None:
    if carrier == "upu":
        parse_s10(number)
    elif is_s10(number):
        raise BadInput(
            Reason.BAD_CHAIN_KEY,
            "carrier of an S10 number",
            given=carrier,
            expected="upu, whoever carries it",
        )


def _encoded(subject: str, value: str) -> str:
    if not _LOT_OR_SERIAL.fullmatch(value):
        expected = "1 to 20 characters of GS1 set 82"
        raise BadInput(Reason.BAD_IDENTIFIER, subject, given=printable(value), expected=expected)
    return quote(value, safe="")


@lru_cache(maxsize=_PARSED_KEYS_KEPT)
def _parse(text: str) -> ChainKey:
    return ChainKey(text)


LEDGER: Final = ChainKey.parse("ledger")
"""The chain of the ledger itself, which begins with the genesis."""
