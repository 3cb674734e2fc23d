"""What an event says, in Chinese: the counterpart of `clients.cli.telling`, for reports that people sign and file."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from clients.cli.places import place_name
from clients.cli.telling import Told
from ledger.event import Event, Kind
from ledger.keys import key_id_of
from suyuan.v1 import event_pb2 as pb

WORDS: Final = {
    "PARTY_ROLE_REGULATOR": "监管部门",
    "PARTY_ROLE_PLATFORM": "平台",
    "PARTY_ROLE_MERCHANT": "商家",
    "PARTY_ROLE_COURIER": "快递企业",
    "PARTY_STATUS_ACTIVE": "正常",
    "PARTY_STATUS_SUSPENDED": "暂停",
    "REVOCATION_REASON_SUPERSEDED": "已更换",
    "REVOCATION_REASON_LOST": "遗失",
    "REVOCATION_REASON_COMPROMISED": "泄露",
    "REVOCATION_REASON_MEMBER_LEFT": "成员离开",
    "STATUS_REASON_LICENCE_RENEWED": "许可证续期",
    "STATUS_REASON_VIOLATION": "违规",
    "STATUS_REASON_OWN_REQUEST": "本人申请",
    "STATUS_REASON_REINSTATED": "恢复",
    "PRODUCT_CATEGORY_GENERAL": "普通商品",
    "PRODUCT_CATEGORY_FARM_PRODUCT": "食用农产品",
    "PRODUCT_CATEGORY_FOOD": "食品",
    "PRODUCT_CATEGORY_MEDICINE": "药品",
    "PRODUCT_CATEGORY_FARM_SUPPLY": "农业生产资料",
    "PRODUCT_CATEGORY_SPECIAL_EQUIPMENT": "特种设备",
    "PRODUCT_CATEGORY_DANGEROUS_GOODS": "危险品",
    "PRODUCT_CATEGORY_RARE_EARTH": "稀土",
    "SHIPMENT_STAGE_DISPATCHED": "发货",
    "SHIPMENT_STAGE_PICKED_UP": "揽收",
    "SHIPMENT_STAGE_IN_TRANSIT": "运输中",
    "SHIPMENT_STAGE_ARRIVED": "到达",
    "SHIPMENT_STAGE_HANDED_OVER": "交接",
    "SHIPMENT_STAGE_OUT_FOR_DELIVERY": "派送",
    "SHIPMENT_STAGE_DELIVERED": "投递",
    "SHIPMENT_STAGE_DELIVERY_FAILED": "投递失败",
    "SHIPMENT_STAGE_RETURNED": "退回",
    "SHIPMENT_STAGE_LOST": "丢失",
    "SHIPMENT_STAGE_DAMAGED": "损坏",
    "GOODS_CONDITION_INTACT": "完好",
    "GOODS_CONDITION_DAMAGED": "损坏",
    "GOODS_CONDITION_INCOMPLETE": "短少",
    "GOODS_CONDITION_WRONG_GOODS": "货不对",
    "COMPLAINT_CATEGORY_QUALITY": "质量问题",
    "COMPLAINT_CATEGORY_COUNTERFEIT": "假冒",
    "COMPLAINT_CATEGORY_NOT_AS_DESCRIBED": "与描述不符",
    "COMPLAINT_CATEGORY_DAMAGED": "损坏",
    "COMPLAINT_CATEGORY_NOT_RECEIVED": "未收到货",
    "COMPLAINT_CATEGORY_PRICE": "价格",
    "COMPLAINT_CATEGORY_SERVICE": "服务",
    "COMPLAINT_CATEGORY_SAFETY": "安全",
    "REMEDY_REFUND": "退款",
    "REMEDY_REPLACEMENT": "换货",
    "REMEDY_REPAIR": "修理",
    "REMEDY_COMPENSATION_IN_ADVANCE": "先行赔付",
    "REMEDY_APOLOGY": "道歉",
    "REPLY_STANCE_ACKNOWLEDGED": "已知悉",
    "REPLY_STANCE_ACCEPTED": "接受",
    "REPLY_STANCE_DISPUTED": "有异议",
    "COMPLAINT_OUTCOME_UPHELD": "投诉成立",
    "COMPLAINT_OUTCOME_SETTLED": "和解",
    "COMPLAINT_OUTCOME_REFUSED": "投诉不成立",
    "RECALL_REASON_SAFETY": "安全",
    "RECALL_REASON_CONTAMINATION": "污染",
    "RECALL_REASON_MISLABELLED": "标签错误",
    "RECALL_REASON_COUNTERFEIT": "假冒",
    "RECALL_REASON_DEFECT": "缺陷",
    "CORRECTION_REASON_SCANNED_WRONG_CODE": "扫错条码",
    "CORRECTION_REASON_WRONG_STAGE": "环节有误",
    "CORRECTION_REASON_WRONG_TIME": "时间有误",
    "CORRECTION_REASON_WRONG_PLACE": "地点有误",
    "CORRECTION_REASON_OTHER": "其他",
}
"""Every value of the enums in `suyuan.v1` event bodies but those that say nothing."""


def tell_event(event: Event) -> Told:
    """What an event says; of a kind unknown to this version, only that."""
    if event.kind is None:
        return Told("本版本不认识的内容")
    told = _TELLERS[event.kind](event.body, event.occurred_at.year)
    told.particulars += [
        f"附件 {item.media_type} sha256 {item.sha256.hex()[:16]}…{f' {item.uri}' if item.uri else ''}"
        for item in event.message.evidence
    ]
    return told


def _genesis(body: pb.Genesis, _: int) -> Told:
    version = f"格式第 {body.format_version} 版，规则第 {body.rules_version} 版"
    return Told(f"创建日志 {body.origin}", [version, f"监管部门 {body.regulator_name}"])


def _rules_adoption(body: pb.RulesAdoption, _: int) -> Told:
    return Told(f"采用规则第 {body.rules_version} 版")


def _registration(body: pb.PartyRegistration, _: int) -> Told:
    licence = [f"许可证 {body.licence_number}"] if body.licence_number else []
    return Told(
        f"登记为{_word(pb.PartyRole, body.role)}",
        [*filter(None, [body.name]), *licence, *_until(body.licence_until), _key(key_id_of(body.public_key))],
    )


def _key_addition(body: pb.KeyAddition, _: int) -> Told:
    return Told("增加密钥", [_key(key_id_of(body.public_key))])


def _key_revocation(body: pb.KeyRevocation, _: int) -> Told:
    return Told(f"吊销密钥：{_word(pb.RevocationReason, body.reason)}", [_key(body.key_id)])


def _status_change(body: pb.PartyStatusChange, _: int) -> Told:
    headline = f"状态{_word(pb.PartyStatus, body.status)}：{_word(pb.StatusReason, body.reason)}"
    return Told(headline, _until(body.licence_until))


def _listing(body: pb.Listing, year: int) -> Told:
    about = [_word(pb.ProductCategory, body.category)]
    if body.gross_weight_g:
        about.append(f"毛重 {body.gross_weight_g} 克")
    if body.origin_region:
        about.append(f"产地 {place_name(body.origin_region, year)}")
    return Told("上架", [body.title, "，".join(about)])


def _sale(body: pb.Sale, _: int) -> Told:
    return Told(f"销售 {body.quantity} 件")


def _shipment(body: pb.Shipment, _: int) -> Told:
    parcel = [f"包裹 {body.parcel}"] if body.parcel else []
    weight = [f"称重 {body.weight_g} 克"] if body.weight_g else []
    return Told(_word(pb.ShipmentStage, body.stage), parcel + weight)


def _receipt(body: pb.Receipt, _: int) -> Told:
    by_proxy = "，快递员代收" if body.proxy else ""
    return Told(f"签收，{_word(pb.GoodsCondition, body.condition)}{by_proxy}")


def _review(body: pb.Review, _: int) -> Told:
    aspects = {"商品": body.product_rating, "描述": body.description_rating, "物流": body.delivery_rating}
    said = "，".join(f"{name} {rating}" for name, rating in aspects.items() if rating)
    return Told(f"评价 {_rating(body.rating)}", [*filter(None, [said]), *_committed(body.text_commitment)])


def _follow_up(body: pb.FollowUp, _: int) -> Told:
    rating = f"，改为 {_rating(body.rating)}" if body.rating else ""
    return Told(f"追评{rating}", _committed(body.text_commitment))


def _complaint(body: pb.Complaint, _: int) -> Told:
    asked = f"要求{_word(pb.Remedy, body.remedy)}"
    return Told(
        f"投诉：{_word(pb.ComplaintCategory, body.category)}", [asked, *_committed(body.text_commitment)]
    )


def _reply(body: pb.ComplaintReply, _: int) -> Told:
    about = [_about("投诉", body.complaint), *_committed(body.text_commitment)]
    return Told(f"答复投诉：{_word(pb.ReplyStance, body.stance)}", about)


def _resolution(body: pb.ComplaintResolution, _: int) -> Told:
    given = f"，{_word(pb.Remedy, body.remedy)}" if body.remedy else ""
    about = [_about("投诉", body.complaint), *_committed(body.text_commitment)]
    return Told(f"投诉结案：{_word(pb.ComplaintOutcome, body.outcome)}{given}", about)


def _recall(body: pb.Recall, _: int) -> Told:
    headline = f"召回：{_word(pb.RecallReason, body.reason)}"
    return Told(headline, _committed(body.text_commitment), alarming=True)


def _correction(body: pb.Correction, _: int) -> Told:
    right = [_about("正确的记录", body.replacement)] if body.replacement else []
    return Told(
        f"更正：{_word(pb.CorrectionReason, body.reason)}", [_about("被更正的记录", body.event), *right]
    )


_TELLERS: Final[dict[Kind, Callable[[Any, int], Told]]] = {
    Kind.GENESIS: _genesis,
    Kind.RULES_ADOPTION: _rules_adoption,
    Kind.PARTY_REGISTRATION: _registration,
    Kind.KEY_ADDITION: _key_addition,
    Kind.KEY_REVOCATION: _key_revocation,
    Kind.PARTY_STATUS_CHANGE: _status_change,
    Kind.LISTING: _listing,
    Kind.SALE: _sale,
    Kind.SHIPMENT: _shipment,
    Kind.RECEIPT: _receipt,
    Kind.REVIEW: _review,
    Kind.FOLLOW_UP: _follow_up,
    Kind.COMPLAINT: _complaint,
    Kind.COMPLAINT_REPLY: _reply,
    Kind.COMPLAINT_RESOLUTION: _resolution,
    Kind.RECALL: _recall,
    Kind.CORRECTION: _correction,
}


def _word(enum: Any, value: int) -> str:
    known = enum.DESCRIPTOR.values_by_number.get(value)
    return WORDS.get(known.name, "未说明") if known is not None else f"未知（{value}）"


def _rating(rating: int) -> str:
    return f"{'★' * rating} {rating} 分（满分 5 分）"


def _key(key_id: bytes) -> str:
    return f"密钥 {key_id.hex()}"


def _until(date: str) -> list[str]:
    return [f"许可证有效期至 {date}"] if date else []


def _about(what: str, event_id: bytes) -> str:
    return f"{what} {event_id.hex()[:16]}…"


def _committed(commitment: bytes) -> list[str]:
    return ["附有文字，另行保存"] if commitment else []
