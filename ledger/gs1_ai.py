"""Application identifiers (AIs): the two to four digits that say what the value after them means.

    >>> ai_at_start("10A7").title
    'BATCH/LOT'
    >>> ai_named("3103").format
    'N6'
    >>> ai_named("01").fault("06901234567891", 2026)
    'check digit 2'

The facts are those of `ledger.gs1_table`. Which identifiers go together is judged over one message here, though
the standard asks it of all symbols on one thing (GS1 General Specifications §4.13): so what must not stand together
in one message contradicts itself, and what is only missing may stand on the next label.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from ledger.gs1_checks import CHECKS
from ledger.gs1_table import ROWS

_SETS: Final = {"N": "[0-9]", "X": r"[!\"%-?A-Z_a-z]", "Y": r"[#/0-9A-Z-]", "Z": "[0-9A-Za-z_-]"}
_COMPONENT: Final = re.compile(
    r"(?P<optional>\[)?(?P<set>[NXYZ])(?P<upto>\.\.)?(?P<length>[0-9]+)(?::(?P<checks>[a-z0-9,]+))?\]?"
)
_CHECKS: Final = re.compile(r":[a-z0-9,]+")

# GS1 General Specifications figure 7.8.5-2: the length of what begins so is predefined, for all time.
_PREDEFINED: Final = re.compile(r"0[0-4]|1[1-9]|20|3[1-6]|41")


@dataclass(frozen=True, slots=True)
class ApplicationIdentifier:
    """An AI and what the dictionary says of it."""

    ai: str
    """Its two to four digits."""
    title: str
    """What people call it, as printed on labels: GS1's data title."""
    format: str
    """Character sets and lengths of the value's components, as in `N13 [X..17]`."""
    checks: tuple[tuple[str, ...], ...]
    """For each component the names of its checks, which are keys of `CHECKS`."""
    required: tuple[tuple[frozenset[str], ...], ...]
    """What it asks for beside it: of each of these, all of one of its sets. The AIs may be patterns: `31nn`."""
    excluded: tuple[str, ...]
    """What must not stand beside it; AIs, or patterns of them."""

    @property
    def ends_with_fnc1(self) -> bool:
        """Whether FNC1 must end the value where another element follows."""
        return not _PREDEFINED.match(self.ai)

    @property
    def pattern(self) -> re.Pattern[str]:
        """What a whole value matches: a group for each component. No character can be read in two ways."""
        return _value_pattern(self.format)

    def fits(self, value: str) -> bool:
        """Whether characters and length are right; `fault` says whether the rest is."""
        return self.pattern.fullmatch(value) is not None

    def fault(self, value: str, year: int) -> str | None:
        """What `value` should have been, where it does not fit, or a check digit, date or range in it is wrong.

        Args:
            value: what follows the AI.
            year: the year of the reading, which tells the century of dates.
        """
        match = self.pattern.fullmatch(value)
        if match is None:
            return f"{self.title}, format {self.format}"
        faults = (
            CHECKS[check](component, year)
            for component, checks in zip(match.groups(), self.checks, strict=True)
            for check in checks
            if component is not None
        )
        return next((fault for fault in faults if fault), None)


def ai_at_start(text: str) -> ApplicationIdentifier | None:
    """The AI that `text` begins with. None is the beginning of another, so it is one at most."""
    return next((_AIS[text[:length]] for length in (2, 3, 4) if text[:length] in _AIS), None)


def ai_named(text: str) -> ApplicationIdentifier | None:
    """The AI whose digits are `text` and nothing more."""
    return _AIS.get(text)


def contradiction(ais: Collection[str]) -> tuple[str, str] | None:
    """Two of these known AIs that must not stand together, the first being the one that forbids it."""
    return next(
        (
            (ai, other)
            for ai in ais
            for pattern in _AIS[ai].excluded
            for other in ais
            if other != ai and _matches(pattern, other)
        ),
        None,
    )


def is_complete(ais: Collection[str]) -> bool:
    """Whether each of these known AIs has beside it what it asks for."""
    return all(
        any(all(any(_matches(pattern, ai) for ai in ais) for pattern in together) for together in choices)
        for one in ais
        for choices in _AIS[one].required
    )


def _matches(pattern: str, ai: str) -> bool:
    known = pattern.rstrip("n")
    return len(ai) == len(pattern) and ai.startswith(known)


@lru_cache(maxsize=256)
def _value_pattern(format_: str) -> re.Pattern[str]:
    parts: list[str] = []
    for component in _COMPONENT.finditer(format_):
        length = component["length"]
        repeated = f"{_SETS[component['set']]}{{{'1,' if component['upto'] else ''}{length}}}"
        parts.append(f"({repeated})" + ("?" if component["optional"] else ""))
    return re.compile("".join(parts))


def _read(row: str) -> Iterator[ApplicationIdentifier]:
    ais, components, associations, title = (cell.strip() for cell in row.split("|"))
    rules = associations.split()
    format_ = _CHECKS.sub("", components)
    checks = tuple(
        tuple(filter(None, (one["checks"] or "").split(","))) for one in _COMPONENT.finditer(components)
    )
    required = tuple(
        tuple(frozenset(together.split("&")) for together in rule[1:].split(","))
        for rule in rules
        if rule.startswith("+")
    )
    excluded = tuple(ai for rule in rules if rule.startswith("-") for ai in rule[1:].split(","))
    first, _, last = ais.partition("-")
    for number in range(int(first), int(last or first) + 1):
        ai = f"{number:0{len(first)}}"
        yield ApplicationIdentifier(ai, title, format_, checks, required, excluded)


_AIS: Final[Mapping[str, ApplicationIdentifier]] = {
    one.ai: one for row in ROWS.strip().splitlines() for one in _read(row)
}
