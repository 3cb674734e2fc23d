"""The page for people: facts, commands to copy, nothing that a browser would run."""

import base64
import re
import shlex
from hashlib import sha256
from html import unescape
from html.parser import HTMLParser

import pytest
from fetching import fetch
from raw_log import RawLog
from world import ORIGIN, signing_key

from ledger.checkpoint import Checkpoint
from ledger.cosignature import Cosigner
from ledger.note import NoteSigner, SignedNote, encode_base64
from server.http import page
from server.http.files import Standing
from server.store.queries import StoredHead


class Reading(HTMLParser):
    """Which tags there are, whether they are closed, and what a person reads."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.open, self.text = [], [], ""
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))
        if tag not in {"meta", "br"}:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text += data


def standing(origin=ORIGIN, *, size=300, head_size=300, cosigners=(), extra=()):
    signer = NoteSigner(origin, signing_key("log")._key)
    checkpoint = Checkpoint(origin, size, bytes(range(32)))
    note = SignedNote.sign(checkpoint.text(), signer, *extra)
    note = note.with_signatures(*(cosigner.cosign(note.text, 1_790_000_000) for cosigner in cosigners))
    return Standing(note, checkpoint, StoredHead(head_size, bytes(32), 1_788_000_000_000_000, b"")), signer


def read(*args, url="https://ledger.example/fuzhou", **kwargs):
    where, signer = standing(*args, **kwargs)
    return Reading(page.render(where, [signer.vkey], url).decode()), signer


def test_it_is_served(raw_log, url):
    answer = fetch(url, "/", Host="ledger.example:8443")
    assert answer.status == 200
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    assert answer.headers["cache-control"] == "public, max-age=2"
    assert answer.headers["vary"] == "Host"
    text = Reading(answer.body.decode()).text
    assert str(raw_log.signer.vkey) in text
    assert "suyuan regulator audit http://ledger.example:8443\n" in text
    assert raw_log.head(700).checkpoint.decode() in text


def test_what_it_says():
    reading, signer = read()
    assert reading.open == []
    text = re.sub(r"\s+", " ", reading.text)
    for expected in (
        f"Origin{ORIGIN}",
        f"Verifier keys{signer.vkey}",
        "Entries300 ",
        f"Root hash{encode_base64(bytes(range(32)))}",
        "Last entry recorded2026-08-29 10:40:00 UTC",
        f"Signed by{signer.vkey.label} 本日志 · the log ",
        "如何核验",
        "How to check it",
        f"export SUYUAN_VKEY={signer.vkey} suyuan regulator audit https://ledger.example/fuzhou ",
        "golang.org/x/mod/sumdb/note",
    ):
        assert expected in text


def test_both_languages_are_marked():
    reading, _ = read()
    languages = [attributes["lang"] for _, attributes in reading.tags if "lang" in attributes]
    assert languages[0] == "zh-CN"
    assert set(languages) == {"zh-CN", "en"}


def test_witnesses_and_when_they_say_that_they_saw_it():
    from cryptography.hazmat.primitives.asymmetric.mldsa import MLDSA44PrivateKey

    cosigners = [
        Cosigner("witness.example/one", signing_key("one")._key),
        Cosigner("witness.example/two", MLDSA44PrivateKey.generate()),
    ]
    stranger = NoteSigner("stranger.example", signing_key("stranger")._key)
    reading, _ = read(head_size=310, cosigners=cosigners, extra=[stranger])
    for cosigner in cosigners:
        assert f"{cosigner.vkey.label} 见证 · witness, 2026-09-21 14:13:20 UTC" in reading.text
    assert re.search(re.escape(stranger.vkey.label) + r"(?! [见本])", reading.text)
    assert "300（另有 10 条尚待见证 · 10 more await the witnesses）" in reading.text


def test_without_keys_it_says_where_to_get_them(raw_log, served):
    with served(raw_log.database) as url:
        text = Reading(fetch(url, "/").body.decode()).text
    assert "请向运营者索取 · ask the operator" in text
    assert "export SUYUAN_VKEY=VKEY" in text
    assert f"{ORIGIN}+{raw_log.signer.vkey.key_id.hex()}" in text


@pytest.mark.parametrize("origin", ["<script>alert(1)</script>", "a&b;'\"`$(id)", "名称/日志"])
def test_what_a_name_may_hold_is_shown_and_not_run(origin):
    reading, signer = read(origin, url="https://x.test")
    assert f"Origin{origin}" in reading.text
    assert {tag for tag, _ in reading.tags}.isdisjoint({"script", "img", "iframe", "object", "link", "form"})
    assert not any(name.startswith("on") for _, attributes in reading.tags for name in attributes)
    command = re.search(r"export SUYUAN_VKEY=(.*)\n", reading.text)[1]
    assert shlex.split(command) == [str(signer.vkey)]


@pytest.mark.parametrize(
    ("host", "shown"),
    [
        ("ledger.example", "http://ledger.example"),
        ("127.0.0.1:7480", "http://127.0.0.1:7480"),
        ("[2001:db8::1]:80", "http://[2001:db8::1]:80"),
        ("x;rm -rf ~", "URL"),
        ("<b>", "URL"),
        ("$(id)", "URL"),
        ("user@evil.test", "URL"),
        ("", "URL"),
        ("a" * 300, "URL"),
    ],
)
def test_its_address_is_what_the_reader_asked_for_if_it_is_one(url, host, shown):
    text = unescape(fetch(url, "/", Host=host).body.decode())
    assert f"\nsuyuan regulator audit {shown}\n" in text.replace("'", "")


def test_the_policy_allows_its_own_style_and_nothing_else(url):
    answer = fetch(url, "/")
    style = re.search(rb"<style>(.*?)</style>", answer.body, re.DOTALL)[1]
    digest = base64.b64encode(sha256(style).digest()).decode()
    assert answer.headers["content-security-policy"] == (
        "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; "
        f"style-src 'sha256-{digest}'"
    )
    assert b"<script" not in answer.body
    assert b" style=" not in answer.body


def test_a_log_with_a_time_beyond_all_calendars():
    where, signer = standing()
    forged = where.note.with_signatures(
        *(Cosigner("w.example", signing_key("w")._key).cosign(where.note.text, 2**63 - 1),)
    )
    text = page.render(Standing(forged, where.checkpoint, where.head), [signer.vkey], "URL").decode()
    assert "witness, 9999-12-31 23:59:59 UTC" in text


def test_a_small_log(tmp_path, served):
    log = RawLog.make(tmp_path / "log.db", 1)
    with served(log.database) as url:
        assert "<dd>1</dd>" in fetch(url, "/").body.decode()
