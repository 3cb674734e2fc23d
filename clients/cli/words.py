"""The words of the command line for what the protocol has as enums.

Each value is the lower-case name of the enum's value with hyphens; `clients.cli.forms` finds the number by it.
"""

from __future__ import annotations

from enum import StrEnum


class Role(StrEnum):
    """`suyuan.v1.PartyRole`."""

    REGULATOR = "regulator"
    PLATFORM = "platform"
    MERCHANT = "merchant"
    COURIER = "courier"


class Revocation(StrEnum):
    """`suyuan.v1.RevocationReason`."""

    SUPERSEDED = "superseded"
    LOST = "lost"
    COMPROMISED = "compromised"
    MEMBER_LEFT = "member-left"


class StatusReason(StrEnum):
    """`suyuan.v1.StatusReason`."""

    LICENCE_RENEWED = "licence-renewed"
    VIOLATION = "violation"
    OWN_REQUEST = "own-request"
    REINSTATED = "reinstated"


class Category(StrEnum):
    """`suyuan.v1.ProductCategory`."""

    GENERAL = "general"
    FARM_PRODUCT = "farm-product"
    FOOD = "food"
    MEDICINE = "medicine"
    FARM_SUPPLY = "farm-supply"
    SPECIAL_EQUIPMENT = "special-equipment"
    DANGEROUS_GOODS = "dangerous-goods"
    RARE_EARTH = "rare-earth"


class Stage(StrEnum):
    """`suyuan.v1.ShipmentStage` without the dispatch, which is the merchant's own command."""

    PICKED_UP = "picked-up"
    IN_TRANSIT = "in-transit"
    ARRIVED = "arrived"
    HANDED_OVER = "handed-over"
    OUT_FOR_DELIVERY = "out-for-delivery"
    DELIVERED = "delivered"
    DELIVERY_FAILED = "delivery-failed"
    RETURNED = "returned"
    LOST = "lost"
    DAMAGED = "damaged"


class Condition(StrEnum):
    """`suyuan.v1.GoodsCondition`."""

    INTACT = "intact"
    DAMAGED = "damaged"
    INCOMPLETE = "incomplete"
    WRONG_GOODS = "wrong-goods"


class Grievance(StrEnum):
    """`suyuan.v1.ComplaintCategory`."""

    QUALITY = "quality"
    COUNTERFEIT = "counterfeit"
    NOT_AS_DESCRIBED = "not-as-described"
    DAMAGED = "damaged"
    NOT_RECEIVED = "not-received"
    PRICE = "price"
    SERVICE = "service"
    SAFETY = "safety"


class Remedy(StrEnum):
    """`suyuan.v1.Remedy`."""

    REFUND = "refund"
    REPLACEMENT = "replacement"
    REPAIR = "repair"
    COMPENSATION_IN_ADVANCE = "compensation-in-advance"
    APOLOGY = "apology"


class Stance(StrEnum):
    """`suyuan.v1.ReplyStance`."""

    ACKNOWLEDGED = "acknowledged"
    ACCEPTED = "accepted"
    DISPUTED = "disputed"


class Outcome(StrEnum):
    """`suyuan.v1.ComplaintOutcome`."""

    UPHELD = "upheld"
    SETTLED = "settled"
    REFUSED = "refused"


class KeyKind(StrEnum):
    """`suyuan.v1.SignatureAlgorithm`, those that keys can be made for."""

    ED25519 = "ed25519"
    P256 = "p256"


class RecallReason(StrEnum):
    """`suyuan.v1.RecallReason`."""

    SAFETY = "safety"
    CONTAMINATION = "contamination"
    MISLABELLED = "mislabelled"
    COUNTERFEIT = "counterfeit"
    DEFECT = "defect"


class LabelKind(StrEnum):
    """The kinds of barcode that a label can have."""

    EAN_13 = "ean-13"
    EAN_8 = "ean-8"
    UPC_A = "upc-a"
    ITF_14 = "itf-14"
    CODE_128 = "code-128"
    GS1_128 = "gs1-128"
    GS1_DATA_MATRIX = "gs1-data-matrix"
    QR_CODE = "qr-code"
