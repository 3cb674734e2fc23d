r"""What a GS1 code says: application identifiers (AIs) and their values.

One message has three spellings, and each is read into the same mapping from AI to value, in the order given:

- element strings, as a scanner sends them: `01069012345678921710123110A7`, where FNC1 arrives as GS (`\x1d`)
  and ends every element but the last whose length is not predefined (GS1 General Specifications §7.8);
- bracketed, as people read and type them: `(01)06901234567892(10)A7`, a bracket in a value written `\(`;
- a GS1 Digital Link URI, uncompressed: `https://example.com/01/06901234567892/10/A7?17=271231`.

The grammar is strict: an element of variable length that runs on without FNC1 is refused, never cut at its
greatest length, and its rest never taken for another element. Where that may be what happened,
`parse_without_fnc1` tells what the text could then say.

Here a message is only taken apart: `ledger.reading` says what it identifies, and whether check digits and dates
hold.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import Final, NamedTuple

from ledger.errors import BadInput, Reason
from ledger.gs1_ai import ApplicationIdentifier, ai_at_start, ai_named, contradiction, is_complete
from ledger.identifiers import printable

GROUP_SEPARATOR: Final = "\x1d"
"""How FNC1 arrives when it ends an element: ASCII GS."""

LONGEST_WITHOUT_FNC1: Final = 256
"""Characters of the longest text in which missing separators are looked for; no linear symbol holds as many."""

_LONGEST_AI: Final = 4
_MOST_WAYS: Final = 256

_BRACKETED: Final = re.compile(r"\((?P<ai>[0-9]{2,4})\)(?P<value>(?:[^(\\]|\\\()*)")
_URI: Final = re.compile(
    r"(?=[!-~]+\Z)https?://[^/?#]++(?P<path>(?:/[^?#]*+)?)(?:\?(?P<query>[^#]*+))?(?:#.*+)?", re.IGNORECASE
)
_PERCENT: Final = re.compile(r"%([0-9A-Fa-f]{2})?")
_NUMBER: Final = re.compile(r"[0-9]+")

# GS1 Digital Link Standard: URI Syntax §4: what may begin the path, and what there qualifies a GTIN.
_PRIMARY_KEYS: Final = frozenset(
    {"00", "01", "253", "255", "401", "402", "414", "415", "417", "8003", "8004", "8006", "8010", "8013"}
    | {"8017", "8018"}
)
_QUALIFIERS: Final = frozenset({"10", "21", "22", "235"})
_CHAIN_KEYS: Final = frozenset({"00", "01"})


class _Search(NamedTuple):
    """What a search for missing separators goes by, and the places from which nothing was found."""

    year: int
    after: tuple[str, ...]
    dead_ends: set[int]


def parse_element_strings(text: str) -> dict[str, str]:
    """The elements of a message as a scanner sends it, without symbology identifier.

    Raises:
        BadInput: `Reason.BAD_IDENTIFIER`: an unknown AI, a value that does not fit its AI, an element that
            FNC1 should end and does not, or one AI with two values.
    """
    elements: list[tuple[str, str]] = []
    start = end_of_run = 0
    while start < len(text):
        if text[start] == GROUP_SEPARATOR:
            start += 1
            continue
        if start >= end_of_run:
            end_of_run = _end_of_run(text, start)
        ai = ai_at_start(text[start : min(start + _LONGEST_AI, end_of_run)])
        if ai is None:
            raise _unreadable(
                "element string", text[start:end_of_run], "an application identifier and its value"
            )
        begin = start + len(ai.ai)
        read = ai.pattern.fullmatch if ai.ends_with_fnc1 else ai.pattern.match
        match = read(text, begin, end_of_run)
        if match is None:
            raise _misfit(ai, text[begin:end_of_run])
        elements.append((ai.ai, match[0]))
        start = match.end()
    return _collected(elements)


def parse_without_fnc1(text: str, year: int, after: Collection[str]) -> Iterator[dict[str, str]]:
    """What `text` can say if separators are missing: a printer left them out, or the way here swallowed them.

    Then any element may end wherever its value is complete. What comes out holds in itself: check digits, dates,
    and for each AI those that it asks for beside it. The longest values come first.

    Args:
        text: element strings, without symbology identifier.
        year: the year of the reading, for dates.
        after: the AIs that are looked for where a separator is missing. Among all of them are so many that every
            other number holds one somewhere.

    Raises:
        BadInput: `Reason.BAD_IDENTIFIER`: the text is longer than `LONGEST_WITHOUT_FNC1`, or there are some hundred
            ways and more, so that what did not come out may be possible all the same.
    """
    if len(text) > LONGEST_WITHOUT_FNC1:
        raise _undecided(text)
    for tried, elements in enumerate(_ways(text, 0, _Search(year, tuple(after), set()))):
        if tried == _MOST_WAYS:
            raise _undecided(text)
        message = dict(elements)
        if not message or any(message[ai] != value for ai, value in elements):
            continue
        if is_complete(message.keys()) and contradiction(message.keys()) is None:
            yield message


def parse_bracketed(text: str) -> dict[str, str]:
    r"""The elements of a message in brackets, `(01)…(10)…`; blanks around a value are not part of it.

    Raises:
        BadInput: `Reason.BAD_IDENTIFIER`: not of this form, an unknown AI, a value that does not fit its AI,
            or one AI with two values.
    """
    elements: list[tuple[str, str]] = []
    start = 0
    while start < len(text):
        match = _BRACKETED.match(text, start)
        if match is None:
            raise _unreadable("bracketed message", text[start:], r"(AI)value, an inner '(' written '\('")
        ai = ai_named(match["ai"])
        if ai is None:
            raise _unreadable("bracketed message", text[start:], "a known application identifier")
        elements.append((ai.ai, _fitting(ai, match["value"].strip(" ").replace(r"\(", "("))))
        start = match.end()
    return _collected(elements)


def parse_digital_link(text: str) -> dict[str, str]:
    """The elements of a GS1 Digital Link URI: of any host, below any path, its AIs in any order.

    What is identified stands in the path, and the rest there or in the query. A GTIN may have 8, 12 or 13 digits
    and is padded to 14. What the query says beside AIs is left aside; names of digits alone are kept for AIs.

    Raises:
        BadInput: `Reason.BAD_IDENTIFIER`: no such URI, an unknown AI, a value that does not fit its AI, or one
            AI with two values.
    """
    uri = _URI.fullmatch(text)
    if uri is None:
        raise _unreadable("GS1 Digital Link", text, "an http or https URI")
    elements = _path_elements(uri["path"])
    in_path = {ai for ai, _ in elements}
    if not in_path & _PRIMARY_KEYS:
        raise _unreadable("GS1 Digital Link", text, "a path that ends in /01/<GTIN> or /00/<SSCC>")
    for parameter in (uri["query"] or "").split("&"):
        name, equals, encoded = parameter.partition("=")
        if not equals or not _NUMBER.fullmatch(name):
            continue
        ai = ai_named(name)
        if ai is None or name in _CHAIN_KEYS - in_path:
            raise _unreadable("query of a GS1 Digital Link", parameter, "an AI that may stand there")
        elements.append((name, _fitting(ai, _linked_value(ai, encoded))))
    return _collected(elements)


def bracketed(elements: Mapping[str, str]) -> str:
    """The bracketed spelling of `elements`, which `parse_bracketed` reads back."""
    return "".join(f"({ai})" + value.replace("(", r"\(") for ai, value in elements.items())


def element_strings(elements: Mapping[str, str]) -> str:
    """The content of a GS1 symbol for `elements`, which `parse_element_strings` reads back.

    FNC1 stands as GS where it is needed: after a value whose length is not predefined, unless it is the last.

    Raises:
        BadInput: `Reason.BAD_IDENTIFIER`: an unknown AI, or a value that does not fit its AI.
    """
    text = ""
    for name, value in elements.items():
        ai = ai_named(name)
        if ai is None:
            raise _unreadable("application identifier", name, "a known one")
        text += name + _fitting(ai, value) + (GROUP_SEPARATOR if ai.ends_with_fnc1 else "")
    return text.removesuffix(GROUP_SEPARATOR)


def _end_of_run(text: str, start: int) -> int:
    end = text.find(GROUP_SEPARATOR, start)
    return end if end >= 0 else len(text)


def _ways(text: str, start: int, search: _Search) -> Iterator[list[tuple[str, str]]]:
    """The ways to take `text` apart from `start` on, where any value may end without a separator."""
    while text.startswith(GROUP_SEPARATOR, start):
        start += 1
    if start == len(text):
        yield []
        return
    ai = None if start in search.dead_ends else ai_at_start(text[start : start + _LONGEST_AI])
    if ai is None:
        return
    begin = start + len(ai.ai)
    end_of_run = _end_of_run(text, begin)
    # What leads nowhere from here is not tried again, so that no text takes exponentially long.
    search.dead_ends.add(start)
    for end in range(end_of_run, begin, -1):
        value = text[begin:end]
        is_cut = ai.ends_with_fnc1 and end < end_of_run
        if is_cut and not text.startswith(search.after, end):
            continue
        if ai.fault(value, search.year):
            continue
        for rest in _ways(text, end, search):
            search.dead_ends.discard(start)
            yield [(ai.ai, value), *rest]


def _path_elements(path: str) -> list[tuple[str, str]]:
    """The AIs at the end of a path: what is identified, and before or after it what is said of it."""
    segments = path.split("/")
    elements: list[tuple[str, str]] = []
    keys: set[str] = set()
    while len(segments) > 2 and (ai := ai_named(segments[-2])):
        # Left of what is identified begins the site's own path, which may look like AIs.
        if keys and ai.ai not in (_CHAIN_KEYS | _QUALIFIERS if "01" in keys else _CHAIN_KEYS):
            break
        value = _linked_value(ai, segments[-1])
        if keys and ai.ai in _CHAIN_KEYS and not ai.fits(value):
            break
        if segments[-1] in {".", ".."}:
            raise _unreadable("path of a GS1 Digital Link", path, "no '.' and '..', which browsers take away")
        elements.append((ai.ai, _fitting(ai, value)))
        keys |= {ai.ai} & _PRIMARY_KEYS
        del segments[-2:]
    return elements[::-1]


def _fitting(ai: ApplicationIdentifier, value: str) -> str:
    if not ai.fits(value):
        raise _misfit(ai, value)
    return value


def _linked_value(ai: ApplicationIdentifier, encoded: str) -> str:
    value = _PERCENT.sub(_decoded, encoded)
    return value.zfill(14) if ai.ai == "01" and len(value) in {8, 12, 13} else value


def _decoded(escape: re.Match[str]) -> str:
    if escape[1] is None:
        raise _unreadable("percent-encoding", escape.string[escape.start() :], "% and two hexadecimal digits")
    # A byte beyond ASCII becomes a letter that no AI's pattern takes.
    return chr(int(escape[1], 16))


def _collected(elements: Iterable[tuple[str, str]]) -> dict[str, str]:
    message: dict[str, str] = {}
    for ai, value in elements:
        if message.setdefault(ai, value) != value:
            raise _unreadable(f"second value of AI ({ai})", value, f"the same as the first, {message[ai]}")
    if not message:
        raise _unreadable("GS1 message", "", "an application identifier and its value")
    return message


def _undecided(text: str) -> BadInput:
    return _unreadable(
        "element strings without FNC1", text, "FNC1, without which they may say too many things"
    )


def _misfit(ai: ApplicationIdentifier, value: str) -> BadInput:
    return _unreadable(f"value of AI ({ai.ai})", value, f"{ai.title}, format {ai.format}")


def _unreadable(subject: str, text: str, expected: str) -> BadInput:
    return BadInput(Reason.BAD_IDENTIFIER, subject, given=printable(text), expected=expected)
