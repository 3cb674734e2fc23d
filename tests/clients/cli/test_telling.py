from __future__ import annotations

import pytest
from world import TEA, City, example

from clients.cli.telling import tell_event, tell_flags
from ledger.event import Kind
from suyuan.v1 import event_pb2 as pb

TOLD = {
    Kind.GENESIS: ("log ledger.test/city founded", ["format 1, rules 1", "regulator 福州市市场监督管理局"]),
    Kind.RULES_ADOPTION: ("rules version 2 adopted", []),
    Kind.PARTY_REGISTRATION: (
        "registered as merchant",
        ["闽茶坊", "licence JY13501020012345 until 2027-03-31", "key "],
    ),
    Kind.KEY_ADDITION: ("key added", ["key "]),
    Kind.KEY_REVOCATION: ("key revoked: lost", ["key "]),
    Kind.PARTY_STATUS_CHANGE: ("suspended: violation", ["licence until 2027-03-31"]),
    Kind.LISTING: ("listed", ["茉莉花茶 250 g", "food, 300 g, from 福建省福州市鼓楼区 350102"]),
    Kind.SALE: ("sold, 2 units", []),
    Kind.SHIPMENT: ("dispatched", ["in waybill/sf/SF1234567890123", "weighed 310 g"]),
    Kind.RECEIPT: ("received, intact, by a courier for the buyer", []),
    Kind.REVIEW: (
        "reviewed, ★★★★ 4 of 5",
        ["product 5, description 3, delivery 1", "with a text, kept elsewhere"],
    ),
    Kind.FOLLOW_UP: ("added to the review, now ★★ 2 of 5", ["with a text, kept elsewhere"]),
    Kind.COMPLAINT: ("complained: quality", ["asks for refund", "with a text, kept elsewhere"]),
    Kind.COMPLAINT_REPLY: (
        "answered the complaint: disputed",
        ["about complaint ", "with a text, kept elsewhere"],
    ),
    Kind.COMPLAINT_RESOLUTION: (
        "ended the complaint: upheld, replacement",
        ["about complaint ", "with a text, kept elsewhere"],
    ),
    Kind.RECALL: ("RECALLED: safety", ["with a text, kept elsewhere"]),
    Kind.CORRECTION: ("corrected: wrong time", ["about event ", "right is event "]),
}


@pytest.mark.parametrize("kind", Kind)
def test_every_kind(kind):
    told = tell_event(City().event(TEA, example(kind)))
    headline, particulars = TOLD[kind]
    assert told.headline == headline
    assert len(told.particulars) == len(particulars)
    for said, expected in zip(told.particulars, particulars, strict=True):
        assert said.startswith(expected)
        assert expected.endswith(" ") or said == expected
    assert told.alarming == (kind is Kind.RECALL)


@pytest.mark.parametrize("kind", [kind for kind in Kind if kind is not Kind.GENESIS])
def test_who_says_little(kind):
    body = example(kind)
    for field in body.DESCRIPTOR.fields:
        if field.name in {"text_commitment", "replacement", "licence_until", "licence_number", "weight_g", "parcel",
                          "gross_weight_g", "origin_region", "product_rating", "description_rating",
                          "delivery_rating", "name"}:  # fmt: skip
            body.ClearField(field.name)
    told = tell_event(City().event(TEA, body))
    assert all(told.particulars)
    assert "text" not in " ".join(told.particulars)


def test_one_unit():
    key = City().key("buyer").public_key.spki
    assert tell_event(City().event(TEA, pb.Sale(buyer_key=key, quantity=1))).headline == "sold, 1 unit"


def test_a_follow_up_that_leaves_the_rating():
    body = example(Kind.FOLLOW_UP)
    body.rating = 0
    assert tell_event(City().event(TEA, body)).headline == "added to the review"


def test_evidence():
    item = pb.Evidence(sha256=b"\xab" * 32, media_type="image/jpeg", uri="https://a.test/1.jpg")
    told = tell_event(City().event(TEA, pb.RulesAdoption(rules_version=2), evidence=[item]))
    assert told.particulars == ["evidence image/jpeg sha256 abababababababab… https://a.test/1.jpg"]


def test_flags():
    assert tell_flags((1, 2, 4)) == "late, out of order, licence lapsed"
    assert tell_flags(()) == ""
