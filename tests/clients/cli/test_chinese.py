from __future__ import annotations

import pytest
from world import TEA, City, example

from clients.cli.chinese import WORDS, tell_event
from clients.cli.telling import tell_event as tell_in_english
from ledger.event import Event, Kind
from suyuan.v1 import event_pb2 as pb

TOLD = {
    Kind.GENESIS: ("创建日志 ledger.test/city", ["格式第 1 版，规则第 1 版", "监管部门 福州市市场监督管理局"]),
    Kind.RULES_ADOPTION: ("采用规则第 2 版", []),
    Kind.PARTY_REGISTRATION: (
        "登记为商家", ["闽茶坊", "许可证 JY13501020012345", "许可证有效期至 2027-03-31", "密钥 "],
    ),
    Kind.KEY_ADDITION: ("增加密钥", ["密钥 "]),
    Kind.KEY_REVOCATION: ("吊销密钥：遗失", ["密钥 "]),
    Kind.PARTY_STATUS_CHANGE: ("状态暂停：违规", ["许可证有效期至 2027-03-31"]),
    Kind.LISTING: ("上架", ["茉莉花茶 250 g", "食品，毛重 300 克，产地 福建省福州市鼓楼区 350102"]),
    Kind.SALE: ("销售 2 件", []),
    Kind.SHIPMENT: ("发货", ["包裹 waybill/sf/SF1234567890123", "称重 310 克"]),
    Kind.RECEIPT: ("签收，完好，快递员代收", []),
    Kind.REVIEW: ("评价 ★★★★ 4 分（满分 5 分）", ["商品 5，描述 3，物流 1", "附有文字，另行保存"]),
    Kind.FOLLOW_UP: ("追评，改为 ★★ 2 分（满分 5 分）", ["附有文字，另行保存"]),
    Kind.COMPLAINT: ("投诉：质量问题", ["要求退款", "附有文字，另行保存"]),
    Kind.COMPLAINT_REPLY: ("答复投诉：有异议", ["投诉 ", "附有文字，另行保存"]),
    Kind.COMPLAINT_RESOLUTION: ("投诉结案：投诉成立，换货", ["投诉 ", "附有文字，另行保存"]),
    Kind.RECALL: ("召回：安全", ["附有文字，另行保存"]),
    Kind.CORRECTION: ("更正：时间有误", ["被更正的记录 ", "正确的记录 "]),
}  # fmt: skip


@pytest.mark.parametrize("kind", Kind)
def test_every_kind(kind):
    headline, particulars = TOLD[kind]
    told = tell_event(City().event(TEA, example(kind)))
    assert told.headline == headline
    assert len(told.particulars) == len(particulars)
    for line, begin in zip(told.particulars, particulars, strict=True):
        assert line.startswith(begin)
    assert told.alarming == (kind is Kind.RECALL)


def test_every_word():
    values = {
        value.name
        for enum in pb.DESCRIPTOR.enum_types_by_name.values()
        if enum.name != "Algorithm"
        for value in enum.values
        if value.number
    }
    assert WORDS.keys() == values


def test_evidence_and_what_this_version_does_not_know():
    photo = pb.Evidence(sha256=bytes(32), media_type="image/jpeg", uri="https://p.test/1")
    told = tell_event(City().event(TEA, example(Kind.SALE), evidence=[photo]))
    assert told.particulars == ["附件 image/jpeg sha256 0000000000000000… https://p.test/1"]
    unknown = Event.parse(City().event(TEA, example(Kind.SALE)).raw + b"\x9a\x06\x01x")
    assert tell_event(unknown).headline == "本版本不认识的内容"
    assert tell_in_english(unknown).headline == "said something that this version does not know"
