"""Where the witnesses of a policy are asked."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from urllib3.exceptions import LocationParseError
from urllib3.util import parse_url

from ledger.errors import BadInput, Reason
from ledger.note import VerifierKey
from ledger.policy import Policy, printable_name

MAX_ENDPOINTS = 100
"""Each has a thread of its own."""


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One witness: a submission prefix (C2SP tlog-witness), and the keys that it cosigns with."""

    url: str
    """Scheme, host, port and path, without a slash at its end."""
    names: tuple[str, ...]
    """What the policy calls its keys."""
    keys: tuple[VerifierKey, ...]

    @property
    def label(self) -> str:
        """Its names, as people read them."""
        return ", ".join(map(printable_name, self.names))


def endpoints_of(policy: Policy) -> tuple[Endpoint, ...]:
    """The witnesses that are asked: those with a URL. Keys of one URL are one witness, and asked once.

    Raises:
        BadInput: `INVALID_REQUEST`: a URL that cannot be asked, too many of them, or not even all of them together
            are a quorum.
    """
    found: dict[str, list[tuple[str, VerifierKey]]] = {}
    for witness in policy.witnesses:
        if witness.url:
            found.setdefault(_submission_prefix(witness.name, witness.url), []).append(
                (witness.name, witness.vkey)
            )
    if len(found) > MAX_ENDPOINTS:
        raise BadInput(
            Reason.INVALID_REQUEST, "witnesses to ask", given=len(found), expected=f"at most {MAX_ENDPOINTS}"
        )
    endpoints = tuple(
        Endpoint(url, tuple(name for name, _ in named), tuple(key for _, key in named))
        for url, named in found.items()
    )
    _require_possible_quorum(policy, endpoints)
    return endpoints


def _submission_prefix(name: str, text: str) -> str:
    try:
        url = parse_url(text) if text.isascii() and text.isprintable() else None
    except LocationParseError:
        url = None
    # What is logged and shown must hold no secret, so no names and passwords either.
    if (
        url is None
        or url.scheme not in {"http", "https"}
        or not url.host
        or url.auth
        or url.query
        or url.fragment
    ):
        raise BadInput(
            Reason.INVALID_REQUEST,
            f"URL of the witness {printable_name(name)}",
            given="one with a user" if url is not None and url.auth else ascii(text)[:80],
            expected="http(s)://HOST[:PORT][/PATH], without a user, a query or a fragment",
        )
    return url._replace(path=(url.path or "").rstrip("/") or None).url


def _require_possible_quorum(policy: Policy, endpoints: Sequence[Endpoint]) -> None:
    names = [name for endpoint in endpoints for name in endpoint.names]
    if not policy.satisfied_by(names):
        raise BadInput(
            Reason.INVALID_REQUEST,
            "witnesses with a URL",
            given=", ".join(map(printable_name, names)) or "none",
            expected=f"enough for a quorum: {policy.describe(policy.quorum)}",
        )
