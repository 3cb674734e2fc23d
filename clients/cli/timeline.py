"""Entries drawn as a timeline, in the local zone, to the width of the terminal.

    2026-05-04, UTC+08:00
    09:07:00 ● listed
             │ 茉莉花茶 250 g
             │ by 闽茶坊 (party/91350102MA2XW1QL3Y)
             │ at 福建省福州市鼓楼区 350102
             │ entry 6, 0 of its chain, signature verified
             │ 5fd924625f6ab16a19cc9807c7c506ae1813490e4ba675f843d5a10e0baacdb8

The last line is the event's id, by which other commands refer to it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from rich.console import Console, ConsoleOptions, RenderableType, RenderResult
from rich.text import Text

from clients.cli.output import local_text
from clients.cli.places import place_name
from clients.cli.telling import tell_event, tell_flags
from clients.verify import VerifiedEntry

_INDENT: Final = 11
"""Columns of time and marker."""

_UNVERIFIED: Final = ("SIGNATURE NOT VERIFIED", "bold red")

_LATE_US: Final = 60 * 1_000_000
"""The time of recording is told where it is more than a minute away from that of the event."""


@dataclass(frozen=True, slots=True)
class Timeline:
    """A drawing of entries, in their order."""

    entries: Sequence[VerifiedEntry]
    subject: str
    """Chain key of what was asked for; entries of other chains name theirs. Empty if there is no such one."""
    name_of: Callable[[str], str]
    """Public names of parties."""
    before: VerifiedEntry | None = None
    """The entry that stands above this drawing, if it goes on from another one."""

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        day = "" if self.before is None else _day(self.before.event.occurred_at.astimezone())
        for entry in self.entries:
            at = entry.event.occurred_at.astimezone()
            if _day(at) != day:
                day = _day(at)
                yield Text(f"\n{day}", "bold")
            yield from self._drawn(entry, at, console, options.max_width)

    def _drawn(
        self, entry: VerifiedEntry, at: datetime, console: Console, width: int
    ) -> Iterator[RenderableType]:
        first = True
        for line in self._lines(entry):
            room = max(width - _INDENT, 20)
            # Wrapping takes longer than all else, and most lines are short.
            fits = line.cell_len <= room and "\n" not in line.plain and "\t" not in line.plain
            for part in [line] if fits else line.wrap(console, room, overflow="fold"):
                part.rstrip()
                lead = (
                    Text.assemble(f"{at:%H:%M:%S} ", ("●", "cyan"), " ")
                    if first
                    else Text("         │ ", "dim")
                )
                lead.no_wrap, lead.overflow = width > _INDENT + 20, "ignore"
                yield lead.append_text(part)
                first = False

    def _lines(self, entry: VerifiedEntry) -> Iterator[Text]:
        event, told = entry.event, tell_event(entry.event)
        headline = Text(told.headline, "bold red" if told.alarming else "bold")
        if str(event.chain) != self.subject:
            headline.append(f"  {event.chain}", "dim")
        yield headline
        yield from map(Text, told.particulars)
        yield Text(f"by {self._signer(entry)}")
        where = self._place(entry)
        if where:
            yield Text(f"at {where}")
        place = (f"entry {entry.index}, {entry.entry.chain_seq} of its chain, ", "dim")
        verified = ("signature verified", "green")
        yield Text.assemble(place, verified if entry.signature_verified else _UNVERIFIED)
        if abs(entry.entry.recorded_at_us - event.occurred_us) > _LATE_US:
            yield Text(f"recorded {local_text(entry.entry.recorded_at_us)}", "dim")
        if entry.flags:
            yield Text(f"flagged {tell_flags(entry.flags)}", "yellow")
        yield Text(event.id.hex(), "dim")

    def _signer(self, entry: VerifiedEntry) -> str:
        if not entry.signer:
            return "the buyer"
        name = self.name_of(entry.signer)
        return f"{name} ({entry.signer})" if name else entry.signer

    def _place(self, entry: VerifiedEntry) -> str:
        place = entry.event.message.place
        if not place.region:
            return ""
        gln = f" GLN {place.gln}" if place.gln else ""
        return place_name(place.region, entry.event.occurred_at.year) + gln


def _day(at: datetime) -> str:
    offset = at.isoformat()[-6:]
    return f"{at:%Y-%m-%d}, UTC{offset}"
