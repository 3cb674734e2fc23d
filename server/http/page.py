"""The page for people: what this log is, where it stands, and how to check it. In Chinese and English, without scripts."""

from __future__ import annotations

import base64
import re
import shlex
from collections.abc import Sequence
from hashlib import sha256
from html import escape

from ledger.event import moment
from ledger.note import NoteSignature, VerifierKey, encode_base64
from server.http.files import Standing

_STYLE = """
body { font: 1rem/1.5 system-ui, sans-serif; max-width: 46rem; margin: 0 auto; padding: 1rem; color: #1a1a1a; background: #fff }
h1 { font-size: 1.3rem; overflow-wrap: anywhere } h2 { font-size: 1.1rem; margin-top: 2rem }
dt { font-weight: 600; margin-top: .7rem } dd { margin: 0; overflow-wrap: anywhere }
code, pre { font: .875rem/1.5 ui-monospace, monospace } dd code { overflow-wrap: anywhere }
pre { background: #f3f3f3; padding: .7rem; overflow-x: auto }
@media (prefers-color-scheme: dark) { body { color: #eee; background: #161616 } pre { background: #262626 } a { color: #8ab4f8 } }
"""

SECURITY_POLICY = (
    "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; "
    f"style-src 'sha256-{base64.b64encode(sha256(_STYLE.encode()).digest()).decode()}'"
)
"""Content-Security-Policy of the page: its own style, and nothing else."""

_HOST = re.compile(r"([A-Za-z0-9.-]{1,253}|\[[0-9a-fA-F:.]{2,45}\])(:[0-9]{1,5})?")
_COSIGNATURE_BYTES = (8 + 64, 8 + 2420)
"""Lengths of Ed25519 and ML-DSA-44 cosignatures with their times."""


def url_of(scheme: str, host: str | None, prefix: str) -> str:
    """Where the reader found the page, to be put into commands; `URL` where that cannot be told."""
    return f"{scheme}://{host}{prefix}" if host and _HOST.fullmatch(host) else "URL"


def render(standing: Standing, vkeys: Sequence[VerifierKey], url: str) -> bytes:
    """The page.

    Args:
        standing: where the log stands.
        vkeys: the log's verifier keys as the operator has given them; may be none.
        url: of the log, without a slash at its end.
    """
    checkpoint, head = standing.checkpoint, standing.head
    waiting = head.size - checkpoint.size
    facts = [
        ("名称 · Origin", _code(checkpoint.origin)),
        ("验证公钥 · Verifier keys", "<br>".join(_code(str(key)) for key in vkeys) or _NO_KEY),
        ("条目数 · Entries", f"{checkpoint.size:,}" + (_WAITING.format(waiting) if waiting else "")),
        ("根哈希 · Root hash", _code(encode_base64(checkpoint.root))),
        ("最新条目记录于 · Last entry recorded", f"{moment(head.recorded_at_us):%Y-%m-%d %H:%M:%S} UTC"),
        ("检查点签名 · Signed by", "<br>".join(_signed(line, vkeys) for line in standing.note.signatures)),
    ]
    key = shlex.quote(str(vkeys[0])) if vkeys else "VKEY"
    commands = _COMMANDS.format(url=shlex.quote(url), key=key)
    return _PAGE.format(
        origin=escape(checkpoint.origin),
        style=_STYLE,
        facts="\n".join(f"<dt>{title}</dt><dd>{text}</dd>" for title, text in facts),
        commands=escape(commands),
        note=escape(standing.note.encode().decode()),
    ).encode()


def _code(text: str) -> str:
    return f"<code>{escape(text)}</code>"


def _signed(line: NoteSignature, vkeys: Sequence[VerifierKey]) -> str:
    """Whose signature a line says it is. The page does not verify: a reader who believes it needs no log."""
    who = _code(f"{line.name}+{line.key_id.hex()}")
    if any((key.name, key.key_id) == (line.name, line.key_id) for key in vkeys):
        return f"{who} 本日志 · the log"
    if len(line.signature) in _COSIGNATURE_BYTES:
        # Beyond the year 9999 there is nothing to print.
        time_s = min(int.from_bytes(line.signature[:8], "big"), 253_402_300_799)
        return f"{who} 见证 · witness, {moment(time_s * 1_000_000):%Y-%m-%d %H:%M:%S} UTC"
    return who


_NO_KEY = "请向运营者索取 · ask the operator"
_WAITING = "（另有 {0:,} 条尚待见证 · {0:,} more await the witnesses）"

_COMMANDS = """\
export SUYUAN_VKEY={key}
suyuan regulator audit {url}
curl -s {url}/checkpoint"""

_PAGE = """\
<!doctype html>
<html lang="zh-CN">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>溯源 Suyuan · {origin}</title>
<style>{style}</style>
</head>
<body>
<h1>溯源 Suyuan · {origin}</h1>
<p>这是一份公开的商品溯源账本：谁上架、谁出售、谁运送、谁签收、有何评价与投诉，逐条签名，只增不改，人人可验。</p>
<p lang="en">A public ledger of products: who listed, sold, carried and received them, and what was said of them. Every entry
is signed, entries are only ever added, and anybody can check that.</p>
<dl>
{facts}
</dl>
<h2>如何核验</h2>
<p>不必相信本页。请从运营者在别处公布的渠道取得验证公钥，再由您自己的机器核验全部条目：</p>
<h2 lang="en">How to check it</h2>
<p lang="en">Do not believe this page. Get the verifier key from where the operator publishes it elsewhere, and let your own
machine verify every entry:</p>
<pre><code>{commands}</code></pre>
<p>本日志遵循 C2SP tlog-tiles 与 tlog-checkpoint 规范，第三方工具（如 Go 的 <code>golang.org/x/mod/sumdb/note</code> 与
<code>tlog</code>）可直接读取下列地址：</p>
<p lang="en">The log follows C2SP tlog-tiles and tlog-checkpoint, so tools that we did not write can read it, such as those
made with Go's <code>golang.org/x/mod/sumdb/note</code> and <code>tlog</code>. Its files are:</p>
<ul>
<li><a href="checkpoint"><code>checkpoint</code></a></li>
<li><code>tile/&lt;L&gt;/&lt;N&gt;[.p/&lt;W&gt;]</code></li>
<li><code>tile/entries/&lt;N&gt;[.p/&lt;W&gt;]</code></li>
</ul>
<h2>检查点 <span lang="en">· Checkpoint</span></h2>
<pre><code>{note}</code></pre>
</body>
</html>
"""
