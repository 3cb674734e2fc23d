"""What an evidence file proves and what it does not, each in English and in Chinese."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from clients.cli.output import utc_text
from clients.evidence_check import CheckedEvidence

_SHOWN: Final = 10
"""Chains that are named."""

_LAST_SECOND: Final = 253_402_214_400
"""9999-12-31T00:00:00Z; later ones are told as numbers."""


@dataclass(frozen=True, slots=True)
class Said:
    """One sentence in two languages."""

    english: str
    chinese: str


def what_holds(checked: CheckedEvidence) -> list[Said]:
    """What was verified, a sentence each."""
    checkpoint = checked.checkpoint
    keys = ", ".join(key.label for key in checked.signed_by)
    told, introduced = len(checked.entries), len(checked.introductions)
    said = [
        Said(
            f"The checkpoint of {checkpoint.origin}, {checkpoint.size} entries, is signed by the log's key {keys}.",
            f"日志 {checkpoint.origin} 的检查点（共 {checkpoint.size} 条记录）由日志密钥 {keys} 签名。",
        )
    ]
    for cosignature in checked.cosignatures:
        at = second_text(cosignature.time_s)
        said.append(
            Said(
                f"Witness {cosignature.key.label} cosigned it at {at} by its own clock.",
                f"见证人 {cosignature.key.label} 按其自己的时钟于 {at} 会签。",
            )
        )
    if checked.quorum:
        said.append(
            Said(
                f"These are a quorum of the policy: {checked.quorum}.",
                f"以上会签满足策略要求的法定数：{checked.quorum}。",
            )
        )
    said.append(
        Said(
            f"In its tree, unchanged: {_entries(told)} on the subject; {introduced} more, which introduced keys.",
            f"有关对象的 {told} 条记录以及另外 {introduced} 条引入密钥的记录都在其中，未被改动。",
        )
    )
    for chain, length in list(checked.chains.items())[:_SHOWN]:
        said.append(_whole(chain, length))
    more = len(checked.chains) - _SHOWN
    if more > 0:
        said.append(Said(f"{more} more chains have no gap either.", f"另有 {more} 条链同样没有缺口。"))
    said.append(
        Said(
            f"{told + introduced} of {told + introduced} signatures hold, under keys that lead back to the genesis.",
            f"{told + introduced} 个签名全部有效，所用密钥均可追溯到创世记录。",
        )
    )
    return said


def what_is_not_proven(checked: CheckedEvidence) -> list[Said]:
    """What nobody should read into it, a sentence each."""
    size = checked.checkpoint.size
    said = [
        Said(
            f"That nothing came later: what was recorded after the first {size} entries is not in the file.",
            f"之后没有新记录：前 {size} 条之后记录的内容不在本文件中。",
        ),
        Said(
            "That a chain's end is its last entry, or that nothing else was said of a sale: a gap would show, a missing"
            " end would not. An audit of the log shows it.",
            "链的末尾就是最后一条，或某笔销售没有其他记录：中间的缺口会被发现，末尾的缺失则不会。对日志的审计可以查明。",
        ),
        Said(
            "That keys were not revoked and parties not suspended or lapsed at the time, and the flags (late, out of"
            " order, …): the service checked them; an audit checks the service.",
            "当时密钥未被吊销、主体未被暂停且许可证有效，以及各项标记（迟报、次序颠倒等）：由服务核查；审计可核查该服务。",
        ),
        Said(
            "That all rules were kept, beyond who may introduce whom. An audit shows it.",
            "除“谁可以登记谁”之外的各项规则都得到遵守。审计可以查明。",
        ),
        Said(
            "That what was said is true. It is proven who said it, and that it was not changed since.",
            "所说内容属实。能证明的是由谁所说，以及此后未被改动。",
        ),
        Said(
            "When it happened: the first time is by the clock of who signed, that of recording by the operator's.",
            "事情发生的确切时间：发生时间以签署人的时钟为准，记录时间以运营方的时钟为准。",
        ),
    ]
    if checked.cosignatures:
        said.append(
            Said(
                "The times of the witnesses are by their own clocks; what is in the file existed at the latest then.",
                "见证时间以见证人自己的时钟为准；文件中的内容最晚在那时已经存在。",
            )
        )
    else:
        said.append(
            Said(
                "That others are shown the same log, and that it existed at any time by a clock other than the"
                " operator's: no witness that you trust has cosigned the checkpoint.",
                "其他人看到的是同一份日志，以及它在运营方以外的时钟下何时存在：检查点没有您所信任的见证人会签。",
            )
        )
    return said


def second_text(time_s: int) -> str:
    """Seconds since 1970 as `2026-05-04T02:11:00Z`; as a number where no calendar goes."""
    if time_s >= _LAST_SECOND:
        return f"second {time_s}"
    return f"{utc_text(time_s * 1_000_000)[:19]}Z"


def _whole(chain: str, length: int) -> Said:
    if not length:
        return Said(f"Of {chain} there is no entry in the file.", f"文件中没有 {chain} 的记录。")
    return Said(
        f"{chain}: {_entries(length)} from the first on, without a gap.",
        f"{chain}：自第一条起共 {length} 条，没有缺口。",
    )


def _entries(count: int) -> str:
    return f"{count} {'entry' if count == 1 else 'entries'}"
