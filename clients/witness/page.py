"""The witness's page for people: who it is, what it watches, how to use it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from html import escape
from typing import Final

from clients.witness.memory import origin_hash
from ledger.note import COSIGNATURE_ML_DSA_44, VerifierKey

PAGE_HEADERS: Final = {
    "content-type": "text/html; charset=utf-8",
    "cache-control": "no-cache",
    # The page is text. Whatever a name might smuggle in is not run and not fetched.
    "content-security-policy": "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'",
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
}

_STYLE: Final = (
    "body{font:16px/1.6 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem}"
    "code,td{overflow-wrap:anywhere}table{border-collapse:collapse}"
    "td,th{text-align:left;vertical-align:top;padding:.25rem 1rem .25rem 0}"
)


@dataclass(frozen=True, slots=True)
class Watched:
    """A log that the witness watches."""

    origin: str
    keys: tuple[VerifierKey, ...]
    latest: tuple[int, int] | None
    """Leaves of the latest tree that was cosigned, and when: seconds since 1970-01-01T00:00:00Z."""


def page(vkeys: Iterable[VerifierKey], watched: Iterable[Watched]) -> str:
    """The page, as HTML."""
    keys = list(vkeys)
    name = escape(keys[0].name)
    shown = "".join(f"<li>{_kind(key)}: <code>{escape(str(key))}</code></li>" for key in keys)
    rows = "".join(_row(log) for log in watched)
    return (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{name}</title>'
        f'<meta name="viewport" content="width=device-width"><style>{_STYLE}</style>'
        f"<h1>Witness 见证者 {name}</h1>"
        "<p>This witness cosigns the checkpoints of the logs below, as long as each only grows. It keeps the latest "
        "one that it cosigned, and refuses for ever whatever does not continue it. "
        '<span lang="zh">只要日志只增不改，本见证者就为其检查点副署；凡与已副署者不相延续的，一律拒绝。</span></p>'
        f"<h2>Verifier keys 公钥</h2><ul>{shown}</ul>"
        "<h2>Logs 日志</h2><table><tr><th>Origin<th>Keys<th>Size<th>Cosigned at"
        f"{rows}</table>"
        "<h2>Use it</h2><p>Logs send <code>POST add-checkpoint</code>; anybody reads the latest cosigned checkpoint "
        "of a log behind its size (C2SP tlog-witness).</p></html>"
    )


def _kind(key: VerifierKey) -> str:
    return "ML-DSA-44" if key.key_type == COSIGNATURE_ML_DSA_44 else "Ed25519"


def _row(log: Watched) -> str:
    keys = "<br>".join(f"<code>{escape(key.label)}</code>" for key in log.keys)
    if log.latest is None:
        size, at = "none yet", ""
    else:
        link = f"{origin_hash(log.origin)}/checkpoint"
        size, at = f'<a href="{link}">{log.latest[0]}</a>', _time(log.latest[1])
    return f"<tr><td>{escape(log.origin)}<td>{keys}<td>{size}<td>{at}"


def _time(time_s: int) -> str:
    try:
        return datetime.fromtimestamp(time_s, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
    except (ValueError, OverflowError):  # the clock was far off once
        return str(time_s)
