"""The commands `suyuan regulator evidence` and `verify-evidence`, as the regulator's group declares them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from clients.cli import evidence
from clients.cli.codes import parse_hash, read_subject
from clients.cli.options import CarrierOption, MaybeBarcodeArgument, SaleOption
from clients.cli.session import Believing, Session
from ledger.chain_key import ChainKey

ReportOption = Annotated[
    Path | None,
    typer.Option(
        "--report",
        metavar="FILE",
        help="Write a report to print too, in Chinese and English: a new HTML file.",
    ),
]


def make_evidence(
    session: Session,
    *,
    barcode: MaybeBarcodeArgument = None,
    out: Annotated[Path, typer.Option("--out", metavar="FILE", help="Where it goes: a new file.")],
    sale: SaleOption = None,
    report: ReportOption = None,
    carrier: CarrierOption = None,
) -> None:
    """Make a file that proves what is recorded of a barcode.

    It holds the entries, their proofs under one checkpoint, and the keys that signed with the entries that introduced
    them. Whoever has the log's key, or a policy, can check it years later without the service: suyuan regulator
    verify-evidence. docs/evidence.md describes the format.

    Example:
      suyuan regulator evidence 6901234567892 --out tea.evidence.json --report tea.html
    """
    if (barcode is None) == (sale is None):
        raise typer.BadParameter("name BARCODE, or a sale by --sale")
    subject: ChainKey | bytes
    if sale is not None:
        subject = parse_hash("sale", sale)
    else:
        carrier = carrier or session.settings.text("carrier")
        subject = read_subject(barcode or "", carrier=carrier).chain
    evidence.make(session, subject, out, report)


def verify_evidence(
    session: Believing,
    *,
    file: Annotated[Path, typer.Argument(metavar="FILE", help="An evidence file.")],
    extract: Annotated[
        Path | None,
        typer.Option(
            "--extract",
            metavar="FOLDER",
            help="Write each entry with its C2SP tlog-proof into a new folder, for other verifiers.",
        ),
    ] = None,
    report: ReportOption = None,
) -> None:
    """Check an evidence file, without the service.

    It tells who said what and when, what is proven and what is not. The keys in the file prove nothing: name the log's own by --vkey, or a policy with its witnesses by --policy. Exit
    status 0 if all holds, 1 if anything does not, 8 if not enough witnesses have cosigned it, 2 if it is no evidence
    file or another log's.

    Example:
      suyuan regulator verify-evidence tea.evidence.json --vkey 'ledger.example/fuzhou+…'
    """
    raise typer.Exit(evidence.verify(session, file, extract, report))
