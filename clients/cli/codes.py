"""What a user names on the command line: barcodes, parties, events, keys, times.

A BARCODE is digits, a GS1 string, a Digital Link, a chain key or a picture file. What a picture says is always shown
before anything is done with it: a check digit that holds does not prove that it was read right.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Final, TypeAlias

from clients.cli.output import note, shown
from clients.purchase_token import PREFIX
from ledger.chain_key import ChainKey
from ledger.errors import BadInput, Reason
from ledger.identifiers import printable

if TYPE_CHECKING:
    from scanner.identify import Finding
    from scanner.symbol import Symbol

_PICTURE: Final = re.compile(r".*\.(?:png|jpe?g|webp|bmp|gif|tiff?|hei[cf]|pdf)", re.IGNORECASE | re.DOTALL)
_DIGITS: Final = re.compile(r"[0-9]+")
_NUMBER: Final = re.compile(r"[0-9A-Za-z-]+")
_HASH: Final = re.compile(r"[0-9a-f]{64}")
_TIME: Final = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}[T ][0-9]{2}:[0-9]{2}(?::[0-9]{2}(?:\.[0-9]{1,6})?)?(?:Z|[+-][0-9]{2}:[0-9]{2})"
)

Wanted: TypeAlias = Callable[[ChainKey], bool]
"""Whether a chain is of the kind that a command is about."""


@dataclass(frozen=True, slots=True)
class Subject:
    """What a BARCODE names."""

    source: str
    """As it was given."""
    chain: ChainKey
    from_picture: bool = False


def any_chain(chain: ChainKey) -> bool:  # noqa: ARG001 - one of the answers to what is wanted
    """Everything is wanted."""
    return True


def is_product(chain: ChainKey) -> bool:
    """Goods are wanted."""
    return chain.is_product


def is_parcel(chain: ChainKey) -> bool:
    """Parcels are wanted."""
    return chain.is_parcel


_NAMES: Final[dict[Wanted, str]] = {
    any_chain: "an identifier",
    is_product: "a product",
    is_parcel: "a parcel",
}


def read_subject(text: str, wanted: Wanted = any_chain, *, carrier: str | None = None) -> Subject:
    """What a BARCODE argument names.

    Args:
        text: as the user typed it.
        wanted: what the command is about.
        carrier: whose waybills plain numbers are.

    Raises:
        BadInput: `BAD_IDENTIFIER` if it names nothing, or nothing that is wanted; `AMBIGUOUS_CODE` if it may name
            several things; `INVALID_REQUEST` if it is a picture that cannot be read.
    """
    if text.startswith(PREFIX):
        raise BadInput(
            Reason.BAD_IDENTIFIER,
            "barcode",
            given="a purchase token, which is a secret and has no place in arguments",
            expected="a barcode; a token goes with --token FILE, or into $SUYUAN_TOKEN",
        )
    path = Path(text)
    if _PICTURE.fullmatch(text) and _is_file(path):
        return _from_picture(path, wanted, carrier)
    try:
        chain = _chain_of(text, wanted, carrier)
    except BadInput:
        if _is_file(path):
            return _from_picture(path, wanted, carrier)
        if _PICTURE.fullmatch(text):
            raise BadInput(
                Reason.INVALID_REQUEST, f"picture {path}", given="no such file", expected="a picture file"
            ) from None
        raise
    if not wanted(chain):
        raise _unwanted(text, [chain], wanted)
    return Subject(text, chain)


def read_subjects(texts: Iterable[str], wanted: Wanted, *, carrier: str | None = None) -> list[Subject]:
    """What several BARCODE arguments name, each once.

    Raises:
        BadInput: as `read_subject`.
    """
    by_chain: dict[ChainKey, Subject] = {}
    for text in texts:
        subject = read_subject(text, wanted, carrier=carrier)
        if subject.chain in by_chain:
            note(f"{shown(text)}: {subject.chain} again, which counts once")
        by_chain.setdefault(subject.chain, subject)
    return list(by_chain.values())


def parse_party(text: str) -> ChainKey:
    """A party: `party/<USCC>[/<member>]`, or the same without `party/`.

    Raises:
        BadInput: `BAD_CHAIN_KEY`.
    """
    return ChainKey.parse(text if text.startswith("party/") else f"party/{text}")


def parse_hash(what: str, text: str) -> bytes:
    """An event id, or the id of a key.

    Raises:
        BadInput: `BAD_IDENTIFIER` if it is not 64 lower-case hexadecimal digits.
    """
    if not _HASH.fullmatch(text):
        raise _bad(what, text, "64 lower-case hexadecimal digits")
    return bytes.fromhex(text)


def parse_time(text: str | None) -> datetime:
    """A time with an offset from UTC; without text it is now, with the local offset.

    Raises:
        BadInput: `INVALID_REQUEST`.
    """
    if text is None:
        return datetime.now().astimezone()
    expected = "a time with its offset, such as 2026-05-04T09:30:00+08:00"
    try:
        if not _TIME.fullmatch(text):
            raise ValueError  # noqa: TRY301 - one message for both
        return datetime.fromisoformat(text)
    except ValueError:
        raise BadInput(Reason.INVALID_REQUEST, "--at", given=printable(text), expected=expected) from None


def _chain_of(text: str, wanted: Wanted, carrier: str | None) -> ChainKey:
    """The chain that a typed text names.

    Where parcels are wanted, digits are the courier's own number; all else is so only if it means nothing by itself.
    """
    from ledger.barcode import read_barcode  # noqa: PLC0415 - the tables of GS1 take long to load, and not all need them

    if carrier is not None and wanted is is_parcel and _DIGITS.fullmatch(text):
        return read_barcode(text, carrier=carrier).chain
    try:
        return read_barcode(text, year=datetime.now().astimezone().year).chain
    except BadInput:
        if carrier is None or not _NUMBER.fullmatch(text):
            raise
        return read_barcode(text, carrier=carrier).chain


def _from_picture(path: Path, wanted: Wanted, carrier: str | None) -> Subject:
    from scanner.decode import decode_image  # noqa: PLC0415 - readers take long to load, and few calls need them
    from scanner.symbol import Confidence  # noqa: PLC0415 - as above

    chains: list[ChainKey] = []
    ambiguous: list[BadInput] = []
    disputed: list[str] = []
    for symbol in decode_image(path):
        finding = _identify(symbol, wanted, carrier)
        readers = " and ".join(symbol.readers)
        meaning = finding.chain or "no identifier that is known"
        note(f"{shown(str(path))}: {readers} read {symbol.symbology} {shown(symbol.text)}: {meaning}")
        if symbol.confidence is Confidence.DISPUTED:
            disputed.append(printable(symbol.text))
            continue
        if finding.chain is not None and finding.chain not in chains:
            chains.append(finding.chain)
        if finding.refusal is not None and finding.refusal.reason is Reason.AMBIGUOUS_CODE:
            ambiguous.append(finding.refusal)
    if disputed:
        given, expected = " or ".join(disputed), "readers that agree; type what is printed"
        raise BadInput(Reason.AMBIGUOUS_CODE, f"picture {path}", given=given, expected=expected)
    fitting = [chain for chain in chains if wanted(chain)]
    if len(fitting) > 1:
        given, expected = f"{len(fitting)} identifiers", f"one; name it: {', '.join(fitting)}"
        raise BadInput(Reason.AMBIGUOUS_CODE, f"picture {path}", given=given, expected=expected)
    if not fitting and ambiguous:
        raise ambiguous[0]
    if not fitting:
        raise _unwanted(f"picture {path}", chains, wanted)
    return Subject(str(path), fitting[0], from_picture=True)


def _identify(symbol: Symbol, wanted: Wanted, carrier: str | None) -> Finding:
    """What a symbol means; a number in a Code 128 may be the courier's, which is what couriers print."""
    from scanner.identify import identify  # noqa: PLC0415 - as above
    from scanner.symbol import Symbology  # noqa: PLC0415 - as above

    finding = identify(symbol)
    is_open = finding.chain is None or (symbol.symbology is Symbology.CODE_128 and not wanted(finding.chain))
    if carrier is None or not is_open or not _NUMBER.fullmatch(symbol.text):
        return finding
    as_waybill = identify(symbol, carrier=carrier)
    return finding if as_waybill.chain is None else as_waybill


def _unwanted(text: str, chains: list[ChainKey], wanted: Wanted) -> BadInput:
    given = ", ".join(chains) or "no identifier"
    return BadInput(Reason.BAD_IDENTIFIER, printable(text), given=given, expected=_NAMES[wanted])


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except (OSError, ValueError):
        return False


def _bad(what: str, text: str, expected: str) -> BadInput:
    return BadInput(Reason.BAD_IDENTIFIER, what, given=printable(text), expected=expected)
