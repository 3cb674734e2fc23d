"""A report on an evidence file: one HTML page in Chinese and English, to be printed, signed and filed.

The page asks for nothing from anywhere and runs nothing; whatever comes from the file is escaped. It is no evidence
itself: it names the file by its hash, and says how to check that again.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from html import escape
from typing import Final

from clients.cli import chinese
from clients.cli.output import local_text, shown, utc_text
from clients.cli.places import place_name
from clients.cli.report_style import STYLE
from clients.cli.telling import Told, tell_event
from clients.cli.verdict import Said, what_holds, what_is_not_proven
from clients.evidence_check import CheckedEvidence
from clients.keyring import introduced_key
from clients.verified import VerifiedEntry
from ledger.errors import LedgerError
from ledger.event import unix_us
from ledger.keys import key_id_of

_TITLE: Final = Said("Evidence report", "溯源证据报告")
_CSP: Final = "default-src 'none'; style-src 'unsafe-inline'"


@dataclass(frozen=True, slots=True)
class Source:
    """The file that a report is on."""

    name: str
    sha256: bytes
    size: int
    """Bytes."""


def evidence_report(checked: CheckedEvidence, source: Source, made_at: datetime) -> bytes:
    """The report on a file that holds.

    Args:
        checked: what it proves.
        source: the file.
        made_at: when it was checked, with an offset from UTC.
    """
    checkpoint, subject = checked.checkpoint, checked.evidence.subject_text
    verdict = Said(
        "Everything in this file that can be verified was verified, and holds.",
        "本文件中凡能验证的内容均已验证，全部成立。",
    )
    facts = [
        (Said("Subject", "对象"), _code(subject)),
        (Said("Log", "日志"), _text(checkpoint.origin)),
        (Said("Checkpoint", "检查点"), f"{checkpoint.size} {_code(checkpoint.root.hex())}"),
        *_of_source(source, made_at),
    ]
    parts = [
        _verdict("holds", Said("VERIFIED", "已验证"), verdict),
        _facts(facts),
        _heading(Said("What was said, by whom and when", "记录：何人何时说了什么")),
        _timeline(checked),
        _heading(Said("Verified", "已验证")),
        _list(what_holds(checked)),
        _heading(Said("Not proven by this file", "本文件不能证明")),
        _list(what_is_not_proven(checked)),
        _heading(Said("Keys that signed, and the entries that introduced them", "签名密钥及引入它们的记录")),
        _keys(checked),
        _heading(Said("The checkpoint", "检查点原文")),
        f"<pre>{_lines(checked.evidence.checkpoint)}</pre>",
        _how_to_check(source, [str(key) for key in checked.signed_by]),
    ]
    return _page(subject, parts)


def refusal_report(error: LedgerError, source: Source, made_at: datetime) -> bytes:
    """The report on a file that does not hold; nothing of its content is shown.

    Args:
        error: why.
        source: the file.
        made_at: when it was checked, with an offset from UTC.
    """
    verdict = Said(
        "This file does not hold. Nothing that stands in it may be relied upon, and nothing of it is shown here.",
        "本文件不成立。其中的任何内容都不可采信，本报告也不予显示。",
    )
    why = f"{escape(shown(str(error)))} [{error.reason}]"
    parts = [
        _verdict("fails", Said("NOT VERIFIED", "未通过验证"), verdict),
        _facts([(Said("Reason", "原因"), why), *_of_source(source, made_at)]),
        _how_to_check(source, []),
    ]
    return _page(source.name, parts)


def _page(subject: str, parts: Iterable[str]) -> bytes:
    page = f"""\
<!DOCTYPE html>
<html lang="zh-Hans">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{_CSP}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{_text(f"{_TITLE.chinese} {_TITLE.english} {subject}")}</title>
<style>
{STYLE}</style>
</head>
<body>
<h1>{_both(_TITLE)}</h1>
{_joined(parts)}
</body>
</html>
"""
    return page.encode()


def _joined(parts: Iterable[str]) -> str:
    return "\n".join(parts)


def _verdict(how: str, word: Said, sentence: Said) -> str:
    return (
        f'<div class="verdict {how}"><strong>{_both(word)}</strong><br>{_text(sentence.chinese)}<br>'
        f"{_english(sentence)}</div>"
    )


def _facts(facts: Iterable[tuple[Said, str]]) -> str:
    rows = (f"<dt>{_both(name)}</dt><dd>{value}</dd>" for name, value in facts)
    return f"<dl>{_joined(rows)}</dl>"


def _of_source(source: Source, made_at: datetime) -> list[tuple[Said, str]]:
    us = unix_us(made_at)
    return [
        (Said("Evidence file", "证据文件"), f"{_text(source.name)}, {source.size} bytes"),
        (Said("SHA-256", "文件散列"), _code(source.sha256.hex())),
        (Said("Checked at", "验证时间"), f"{local_text(us)}, {_utc(us)}"),
    ]


def _heading(title: Said) -> str:
    return f"<h2>{_both(title)}</h2>"


def _list(sentences: Iterable[Said]) -> str:
    items = (f"<li>{_text(said.chinese)} {_english(said)}</li>" for said in sentences)
    return f"<ul>\n{_joined(items)}\n</ul>"


def _timeline(checked: CheckedEvidence) -> str:
    titles = (
        ("when", Said("When", "时间")),
        ("what", Said("What", "事项")),
        ("who", Said("Signed by, place", "签署人、地点")),
        ("where", Said("Entry", "记录")),
    )
    return _table(titles, (_row(entry, checked) for entry in checked.entries))


def _table(titles: Sequence[tuple[str, Said]], rows: Iterable[str]) -> str:
    head = "".join(f'<th class="{name}">{_both(title)}</th>' for name, title in titles)
    return f"<table>\n<thead><tr>{head}</tr></thead>\n<tbody>\n{_joined(rows)}\n</tbody>\n</table>"


def _row(entry: VerifiedEntry, checked: CheckedEvidence) -> str:
    event = entry.event
    here, there = chinese.tell_event(event), tell_event(event)
    alarming = ' class="alarming"' if there.alarming else ""
    what = f"<strong{alarming}>{_text(here.headline)}</strong> {_english(Said(there.headline, ''))}"
    what += "".join(f"<small>{line}</small>" for line in _particulars(here, there))
    if event.chain != checked.evidence.subject:
        what += f"<small>{_code(event.chain)}</small>"
    place = event.message.place
    where = place_name(place.region, event.occurred_at.year) if place.region else ""
    gln = f" GLN {place.gln}" if place.gln else ""
    return "".join(
        (
            f"<tr><td>{local_text(event.occurred_us)}<small>{_utc(event.occurred_us)}</small>",
            f"<small>记录 recorded {local_text(entry.entry.recorded_at_us)}</small></td>",
            f"<td>{what}</td>",
            f"<td>{_signer(entry, checked)}<small>{_text(where + gln)}</small></td>",
            f"<td>{_place(entry)}<small>链内序号 chain_seq {entry.entry.chain_seq}</small>",
            f"<small>{_code(entry.hash.hex())}</small></td></tr>",
        )
    )


def _particulars(here: Told, there: Told) -> list[str]:
    """What is below the headlines; what is the same in both languages once."""
    english = [_english(Said(line, "")) for line in there.particulars if line not in here.particulars]
    return [*map(_text, here.particulars), *english]


def _signer(entry: VerifiedEntry, checked: CheckedEvidence) -> str:
    if not entry.signer:
        return f"买家 {_english(Said('the buyer, by the purchase key', ''))}"
    return _party(entry.signer, checked)


def _party(party: str, checked: CheckedEvidence) -> str:
    company, _, member = party.removeprefix("party/").partition("/")
    name = checked.names.get(f"party/{company}", "")
    named = f"{name} / {member}" if name and member else name
    return f"{_text(named)}<small>{_code(party)}</small>"


def _place(entry: VerifiedEntry) -> str:
    return f"第 {entry.index} 号 entry {entry.index}"


def _keys(checked: CheckedEvidence) -> str:
    titles = (
        ("who", Said("Holder", "持有人")),
        ("what", Said("Key id", "密钥标识")),
        ("where", Said("Introduced by", "引入者")),
        ("when", Said("Entry", "记录")),
    )
    introductions = sorted((*checked.entries, *checked.introductions), key=lambda entry: entry.index)
    return _table(titles, (_key_row(one, checked) for one in introductions if introduced_key(one.event)))


def _key_row(entry: VerifiedEntry, checked: CheckedEvidence) -> str:
    message = entry.event.message
    if message.HasField("sale"):
        holder = f"买家 {_english(Said('the buyer', ''))}"
    else:
        holder = _party(message.genesis.regulator or str(entry.event.chain), checked)
    return (
        f"<tr><td>{holder}</td><td>{_code(key_id_of(introduced_key(entry.event)).hex())}</td>"
        f"<td>{_signer(entry, checked)}</td>"
        f"<td>{_place(entry)}<small>{local_text(entry.entry.recorded_at_us)}</small></td></tr>"
    )


def _how_to_check(source: Source, vkeys: Sequence[str]) -> str:
    command = f"suyuan regulator verify-evidence {shown(source.name)} --vkey {' '.join(vkeys) or 'VKEY'}"
    said = Said(
        "This page is no evidence; the file is. Get the log's key from elsewhere, compare, and check the file again:",
        "本页不是证据，证据是文件本身。请从其他渠道取得日志公钥并加以比对，再自行验证：",
    )
    return f"<footer>{_text(said.chinese)}<br>{_english(said)}<br>{_code(command)}</footer>"


def _both(said: Said) -> str:
    return f"{_text(said.chinese)} {_english(said)}"


def _english(said: Said) -> str:
    return f'<span lang="en">{_text(said.english)}</span>'


def _code(text: str) -> str:
    return f"<code>{_text(text)}</code>"


def _text(text: str) -> str:
    return escape(shown(text))


def _lines(note: bytes) -> str:
    return "\n".join(_text(line) for line in note.decode().split("\n"))


def _utc(us: int) -> str:
    return f"{utc_text(us)[:19]}Z"
