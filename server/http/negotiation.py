"""What a reader has and can read: conditional requests and content codings (RFC 9110 §12.5.3, §13.1.2)."""

from __future__ import annotations

import re

_ENTITY_TAG = re.compile(r'(?:W/)?("[\x21\x23-\x7e\x80-\xff]*")')
_QUALITY_ZERO = re.compile(r"q=0(\.0{0,3})?", re.IGNORECASE)


def entity_tag(digest: str, *, gzipped: bool = False) -> str:
    """The strong entity tag of a file, or of its compressed form: two forms of one file have two tags."""
    return f'"{digest[:32]}{"-gzip" if gzipped else ""}"'


def has_it(if_none_match: str | None, tag: str) -> bool:
    """Whether a reader has what the tag stands for, by the If-None-Match that it sent.

    Tags are compared weakly, as RFC 9110 §13.1.2 has it.
    """
    if if_none_match is None:
        return False
    return if_none_match.strip() == "*" or tag in _ENTITY_TAG.findall(if_none_match)


def accepts_gzip(accept_encoding: str | None) -> bool:
    """Whether a reader can read gzip, by the Accept-Encoding that it sent; one that says nothing is sent none."""
    accepted = {}
    for element in (accept_encoding or "").split(","):
        coding, *parameters = (part.strip() for part in element.split(";"))
        accepted[coding.lower()] = not any(_QUALITY_ZERO.fullmatch(part) for part in parameters)
    return accepted.get("gzip", accepted.get("x-gzip", accepted.get("*", False)))
