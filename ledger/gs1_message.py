r"""What a GS1 code says: application identifiers (AIs) and their values.

One message has three spellings, and each is read into the same mapping from AI to value, in the order given:

- element strings, as a scanner sends them: `01069012345678921710123110A7`, where FNC1 arrives as GS (`\x1d`)
  and ends every element but the last whose length is not predefined (GS1 General Specifications §7.8);
- bracketed, as people read and type them: `(01)06901234567892(10)A7`, a bracket in a value written `\(`;
- a GS1 Digital Link URI, uncompressed: `https://example.com/01/06901234567892/10/A7?17=271231`.

The table of AIs, their shapes and whether FNC1 ends them is biip's. The grammar is ours, since it must be
strict: an element of variable length that runs on without FNC1 is refused, never cut at its greatest length,
and its rest never taken for another element.

Here a message is only taken apart: `ledger.reading` says what it identifies and whether check digits hold.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Final

from biip import ParseError
from biip.gs1_application_identifiers import GS1ApplicationIdentifier

from ledger.errors import BadInput, Reason
from ledger.identifiers import printable

GROUP_SEPARATOR: Final = "\x1d"
"""How FNC1 arrives when it ends an element: ASCII GS."""

_LONGEST_AI: Final = 4

_BRACKETED: Final = re.compile(r"\((?P<ai>[0-9]{2,4})\)(?P<value>(?:[^(\\]|\\\()*)")
_URI: Final = re.compile(
    r"https?://[^/?#]++(?P<path>(?:/[^?#]*+)?)(?:\?(?P<query>[^#]*+))?(?:#.*+)?", re.IGNORECASE | re.DOTALL
)
_PERCENT: Final = re.compile(r"%([0-9A-Fa-f]{2})?")

# Some AIs of transport take percent-encoded UTF-8, and in the table such a pair may count as one character or
# as six. A value that fits neither way is then tried in every mixture, which are exponentially many: an
# attack. The atomic group, pair first, leaves one way to count.
_CHARACTER: Final = r"[!%-?A-Z_a-z\x22]"
_ENCODED_PAIR: Final = "%[0-9A-Fa-f][0-9A-Fa-f]" * 2
_MIXED_CHARACTER: Final = f"(?:{_CHARACTER}|{_ENCODED_PAIR})"
_ATOMIC_CHARACTER: Final = f"(?>{_ENCODED_PAIR}|{_CHARACTER})"


def parse_element_strings(text: str) -> dict[str, str]:
    """The elements of a message as a scanner sends it, without symbology identifier.

    Raises:
        BadInput: `Reason.BAD_IDENTIFIER`: an unknown AI, a value that does not fit its AI, an element that
            FNC1 should end and does not, or one AI with two values.
    """
    elements: list[tuple[str, str]] = []
    start = 0
    while start < len(text):
        if text[start] == GROUP_SEPARATOR:
            start += 1
            continue
        end = text.find(GROUP_SEPARATOR, start)
        rest = text[start : end if end >= 0 else len(text)]
        ai = _ai_at_start(rest[:_LONGEST_AI])
        if ai is None:
            raise _unreadable("element string", rest, "an application identifier and its value")
        pattern = _pattern(ai)
        match = pattern.fullmatch(rest) if ai.separator_required else pattern.match(rest)
        if match is None:
            raise _misfit(ai, rest[len(ai) :])
        elements.append((ai.ai, match[0][len(ai) :]))
        start += match.end()
    return _collected(elements)


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
        ai = _ai_named(match["ai"])
        if ai is None:
            raise _unreadable("bracketed message", text[start:], "a known application identifier")
        elements.append((ai.ai, _fitting(ai, match["value"].strip(" ").replace(r"\(", "("))))
        start = match.end()
    return _collected(elements)


def parse_digital_link(text: str) -> dict[str, str]:
    """The elements of a GS1 Digital Link URI: of any host, below any path, its AIs in any order.

    A GTIN may have 8, 12 or 13 digits and is padded to 14. What the query says beside AIs is left aside.

    Raises:
        BadInput: `Reason.BAD_IDENTIFIER`: no such URI, a value that does not fit its AI, or one AI with two
            values.
    """
    uri = _URI.fullmatch(text)
    if uri is None:
        raise _unreadable("GS1 Digital Link", text, "an http or https URI")
    elements: list[tuple[str, str]] = []
    segments = uri["path"].split("/")
    while len(segments) >= 2 and (ai := _ai_named(segments[-2])):
        elements.insert(0, (ai.ai, _fitting(ai, _linked_value(ai, segments[-1]))))
        del segments[-2:]
    for parameter in (uri["query"] or "").split("&"):
        name, _, value = parameter.partition("=")
        ai = _ai_named(name)
        if ai:
            elements.append((ai.ai, _fitting(ai, _linked_value(ai, value))))
    if not elements:
        raise _unreadable("GS1 Digital Link", text, "a path that ends in /01/<GTIN> or /00/<SSCC>")
    return _collected(elements)


def bracketed(elements: Mapping[str, str]) -> str:
    """The bracketed spelling of `elements`, which `parse_bracketed` reads back."""
    return "".join(f"({ai})" + value.replace("(", r"\(") for ai, value in elements.items())


@lru_cache(maxsize=1024)
def _ai_at_start(text: str) -> GS1ApplicationIdentifier | None:
    try:
        return GS1ApplicationIdentifier.extract(text)
    except ParseError:
        return None


def _ai_named(text: str) -> GS1ApplicationIdentifier | None:
    ai = _ai_at_start(text[: _LONGEST_AI + 1])
    return ai if ai and ai.ai == text else None


@lru_cache(maxsize=1024)
def _pattern(ai: GS1ApplicationIdentifier) -> re.Pattern[str]:
    pattern = ai.pattern.removesuffix("$").replace(_MIXED_CHARACTER, _ATOMIC_CHARACTER)
    # ASCII, or \d would take the digits of every script.
    return re.compile(pattern, re.ASCII)


def _fitting(ai: GS1ApplicationIdentifier, value: str) -> str:
    if not _pattern(ai).fullmatch(ai.ai + value):
        raise _misfit(ai, value)
    return value


def _linked_value(ai: GS1ApplicationIdentifier, encoded: str) -> str:
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


def _misfit(ai: GS1ApplicationIdentifier, value: str) -> BadInput:
    return _unreadable(f"value of AI ({ai.ai})", value, f"{ai.description}, format {ai.format}")


def _unreadable(subject: str, text: str, expected: str) -> BadInput:
    return BadInput(Reason.BAD_IDENTIFIER, subject, given=printable(text), expected=expected)
