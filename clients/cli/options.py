"""The options that many commands share: how each is called, where else it may be set, and what the help says."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, Final

import typer

from clients.cli.output import Format
from clients.cli.words import Condition

SERVICE: Final = "Service options"
SIGNING: Final = "Signing options"

MOST: Final = 2**32 - 1
"""The largest number that an event has room for, of units as of grams."""


def word_option(name: str, words: type[StrEnum], help_text: str) -> Any:
    """An option whose value is one of a set of words."""
    return typer.Option(name, metavar="WORD", help=f"{help_text}: {', '.join(words)}.", show_default=False)


ConfigOption = Annotated[
    Path | None,
    typer.Option(
        "--config",
        envvar="SUYUAN_CONFIG",
        metavar="FILE",
        help="Configuration file.",
        show_envvar=True,
        rich_help_panel=SERVICE,
    ),
]
ServerOption = Annotated[
    str | None,
    typer.Option(
        "--server",
        envvar="SUYUAN_SERVER",
        metavar="HOST:PORT",
        help="The ledger service; several of its processes with commas between.",
        rich_help_panel=SERVICE,
    ),
]
VkeyOption = Annotated[
    str | None,
    typer.Option(
        "--vkey",
        envvar="SUYUAN_VKEY",
        metavar="VKEY",
        help="The log's verifier key: whom to believe. Several, with blanks between, while the log changes its key.",
        rich_help_panel=SERVICE,
    ),
]
PolicyOption = Annotated[
    Path | None,
    typer.Option(
        "--policy",
        envvar="SUYUAN_POLICY",
        metavar="FILE",
        help="Believe only what enough witnesses have cosigned: a C2SP tlog-policy.",
        rich_help_panel=SERVICE,
    ),
]
CaOption = Annotated[
    Path | None,
    typer.Option(
        "--ca",
        envvar="SUYUAN_CA",
        metavar="FILE",
        help="Talk TLS, and trust the root certificates in this file (PEM).",
        rich_help_panel=SERVICE,
    ),
]
TimeoutOption = Annotated[
    str | None,
    typer.Option(
        "--timeout",
        envvar="SUYUAN_TIMEOUT",
        metavar="SECONDS",
        help="How long to wait for an answer; by default 15.",
        rich_help_panel=SERVICE,
    ),
]
FormatOption = Annotated[
    Format | None,
    typer.Option(
        "--format", envvar="SUYUAN_FORMAT", help="How to print results; by default text.", metavar="text|json"
    ),
]
KeyOption = Annotated[
    Path | None,
    typer.Option(
        "--key",
        envvar="SUYUAN_KEY",
        metavar="FILE",
        help="Your signing key, as `suyuan keygen` makes it.",
        rich_help_panel=SIGNING,
    ),
]
PassphraseFileOption = Annotated[
    Path | None,
    typer.Option(
        "--passphrase-file",
        envvar="SUYUAN_PASSPHRASE_FILE",
        metavar="FILE",
        help="The key's passphrase is this file's first line. Else $SUYUAN_KEY_PASSPHRASE, or you are asked.",
        rich_help_panel=SIGNING,
    ),
]
AtOption = Annotated[
    str | None,
    typer.Option(
        "--at",
        metavar="TIME",
        help="When it happened, as 2026-05-04T09:30:00+08:00; by default now.",
        rich_help_panel=SIGNING,
    ),
]
PlaceOption = Annotated[
    str | None,
    typer.Option(
        "--place",
        envvar="SUYUAN_PLACE",
        metavar="REGION",
        help="Where: a GB/T 2260 code such as 350102, or an ISO 3166 code such as DE.",
        rich_help_panel=SIGNING,
    ),
]
GlnOption = Annotated[
    str | None,
    typer.Option(
        "--gln",
        envvar="SUYUAN_GLN",
        metavar="GLN",
        help="Where exactly: a GS1 Global Location Number; with --place.",
        rich_help_panel=SIGNING,
    ),
]
EvidenceOption = Annotated[
    list[Path] | None,
    typer.Option(
        "--evidence",
        metavar="FILE",
        help="A photograph, certificate or report that supports it; its hash is recorded. May be repeated.",
        rich_help_panel=SIGNING,
    ),
]
YesOption = Annotated[
    bool,
    typer.Option(
        "--yes", "-y", help="Sign what was read from pictures without asking.", rich_help_panel=SIGNING
    ),
]
SureOption = Annotated[
    bool,
    typer.Option(
        "--sure",
        help="Sign a code although it may be a misreading of a listed one: you have compared every digit.",
        rich_help_panel=SIGNING,
    ),
]
CarrierOption = Annotated[
    str | None,
    typer.Option(
        "--carrier",
        envvar="SUYUAN_CARRIER",
        metavar="NAME",
        help="Read plain numbers as waybills of this courier, such as sf, zto or yunda.",
    ),
]
TokenOption = Annotated[
    Path | None,
    typer.Option(
        "--token",
        metavar="FILE",
        help="The purchase token: a text file, a picture of its QR code, or - for standard input. "
        "Else $SUYUAN_TOKEN holds the token itself.",
        rich_help_panel=SIGNING,
    ),
]
TextOption = Annotated[
    str | None,
    typer.Option("--text", metavar="TEXT", help="Your words. The ledger keeps only a commitment to them."),
]
TextFileOption = Annotated[
    Path | None,
    typer.Option("--text-file", metavar="FILE", help="The same from a file, or - for standard input."),
]

_BARCODE: Final = "Digits, a GS1 string, a Digital Link, a chain key, or a picture file."
BarcodeArgument = Annotated[str, typer.Argument(metavar="BARCODE", help=_BARCODE)]
MaybeBarcodeArgument = Annotated[str | None, typer.Argument(metavar="BARCODE", help=_BARCODE)]
SaleOption = Annotated[
    str | None, typer.Option("--sale", metavar="SALE", help="Event id of a sale, instead of BARCODE.")
]
SaleArgument = Annotated[
    str, typer.Argument(metavar="SALE", help="Event id of the sale, 64 hexadecimal digits.")
]
_PARCELS: Final = "Parcels: waybill numbers, also as zto:75312345678901, SSCCs, or picture files."
ParcelsArgument = Annotated[list[str], typer.Argument(metavar="BARCODE", help=_PARCELS)]
OptionalParcelsArgument = Annotated[list[str] | None, typer.Argument(metavar="BARCODE", help=_PARCELS)]
WeightOption = Annotated[
    int,
    typer.Option(
        "--weight",
        min=0,
        max=MOST,
        metavar="GRAMS",
        help="Weight measured at this step.",
        show_default=False,
    ),
]
JobsOption = Annotated[
    int | None,
    typer.Option(
        "--jobs",
        min=1,
        max=1_024,
        metavar="N",
        help="Processes that check signatures; by default one for each processor.",
        show_default=False,
    ),
]
ConditionOption = Annotated[
    Condition, word_option("--condition", Condition, "How the goods arrived, by default intact")
]
