"""`suyuan regulator events`: prints what is recorded, as it is recorded."""

from __future__ import annotations

from collections.abc import Iterable
from math import inf
from typing import TYPE_CHECKING, Annotated, Final

import typer

from clients.cli.codes import parse_party, read_subject
from clients.cli.forms import entry_record
from clients.cli.options import CarrierOption
from clients.cli.output import local_text, note, shown
from clients.cli.session import Session
from clients.cli.stopping import Stopped, stoppable
from clients.cli.telling import tell_event
from ledger.errors import BadInput, Reason, ServiceFault
from ledger.event import Kind

if TYPE_CHECKING:
    from clients.verify import VerifiedEntry
    from clients.watch import Watched

_KINDS: Final = ", ".join(str(kind).replace("_", "-") for kind in Kind)


def events(
    session: Session,
    *,
    start: Annotated[
        int | None,
        typer.Option(
            "--from",
            min=0,
            max=2**63 - 1,
            metavar="INDEX",
            help="Begin with this entry of the log; by default with the first.",
            show_default=False,
        ),
    ] = None,
    new: Annotated[bool, typer.Option("--new", help="Begin with what is recorded from now on.")] = False,
    chains: Annotated[
        list[str] | None,
        typer.Option("--chain", metavar="BARCODE", help="Only what this is about. May be repeated."),
    ] = None,
    parties: Annotated[
        list[str] | None,
        typer.Option(
            "--party",
            metavar="PARTY",
            help="Only what this party signed, or what is recorded of it; a company includes its members. "
            "May be repeated.",
        ),
    ] = None,
    kinds: Annotated[
        list[str] | None,
        typer.Option("--kind", metavar="WORD", help=f"Only this kind: {_KINDS}. May be repeated."),
    ] = None,
    once: Annotated[
        bool, typer.Option("--once", help="Stop at what is the log's end now, instead of following it.")
    ] = False,
    carrier: CarrierOption = None,
) -> None:
    """Print entries as they are recorded, a line each, every one verified.

    With several of --chain, --party or --kind, any of them will do; of different ones, all have to hold. It goes on
    until SIGTERM or Ctrl-C, and through interruptions. That a filter left nothing out is the service's word: without
    one, no entry can be missing.

    Example:
      suyuan regulator events --new --kind complaint --kind recall --format json | jq .chain
      suyuan regulator events --party 91350102MA2XW1QL3Y --once
    """
    if new and (start is not None or once):
        raise typer.BadParameter("--new goes with neither --from nor --once")
    carrier = carrier or session.settings.text("carrier")
    wanted_chains = [read_subject(chain, carrier=carrier).chain for chain in chains or ()]
    wanted_parties = [parse_party(party) for party in parties or ()]
    wanted_kinds = [_kind(kind) for kind in kinds or ()]
    try:
        with stoppable():
            begin = session.client.checkpoint().size if new else start or 0
            pages = session.client.watch(
                begin,
                chains=wanted_chains,
                parties=wanted_parties,
                kinds=wanted_kinds,
                patience_s=0.0 if once else inf,
                on_pause=_tell_pause,
            )
            _print(session, pages, once=once)
    except Stopped:
        return


def _print(session: Session, pages: Iterable[Watched], *, once: bool) -> None:
    """Print page after page; with `once` up to where the log ended when the first of them came."""
    end: int | None = None
    for page in pages:
        end = page.checkpoint.size if end is None else end
        for entry in page.entries:
            if not (once and entry.index >= end):
                session.out.result(entry_record(entry), [_line(entry)])
        if once and page.next >= end:
            return


def _line(entry: VerifiedEntry) -> str:
    event = entry.event
    signer = entry.signer or "the buyer"
    text = f"{tell_event(event).headline}  {event.chain}  by {signer}"
    return f"{local_text(entry.entry.recorded_at_us)}  {entry.index}  {shown(text)}"


def _tell_pause(fault: ServiceFault, pause_s: float) -> None:
    note(f"{shown(str(fault))}; asking again in {pause_s:g} s")


def _kind(word: str) -> str:
    name = word.replace("-", "_")
    if name not in set(map(str, Kind)):
        raise BadInput(Reason.INVALID_REQUEST, "--kind", given=shown(word), expected=f"one of {_KINDS}")
    return name
