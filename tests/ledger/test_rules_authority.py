"""Who may say what: every kind of event by every kind of signer, at append and at audit.

The table is complete: every cell is generated, sequenced, and, where it is refused, forged into a log in which the
auditor must find it for the same reason; where it is accepted, the log with it must verify.
"""

from __future__ import annotations

from dataclasses import dataclass
from types import SimpleNamespace

import pytest
from world import (
    CARRIER_MEMBER,
    COURIER,
    DISTRICT,
    MERCHANT,
    MERCHANT_MEMBER,
    OTHER_MERCHANT,
    PARCEL,
    PLATFORM,
    REGULATOR,
    TEA,
    City,
    Log,
    event_id,
    example,
    signing_key,
)

from ledger.chain_key import ChainKey
from ledger.event import Kind
from ledger.sequence import Sequenced
from suyuan.v1 import event_pb2 as pb

SIGNERS = {
    "root": REGULATOR,  # the regulator of the genesis
    "district": DISTRICT,  # another regulator, registered by the root
    "platform": PLATFORM,
    "merchant": MERCHANT,  # accredited by the platform; it has listed and sold the product
    "member": MERCHANT_MEMBER,  # of that merchant
    "other": OTHER_MERCHANT,  # another merchant of the same platform
    "courier": COURIER,  # accredited by the root
    "rider": CARRIER_MEMBER,  # member of that courier
    "buyer": "buyer of what is …",  # the purchase key of the sale in question
    "stranger": "another buyer",  # the purchase key of another sale of the same product
    "nobody": "nobody",  # a key that nobody has registered
}

INSPECTOR = ChainKey(f"{DISTRICT}/7")  # member of the district's regulator
WORDS = {
    "yes": None,
    "role": "WRONG_ROLE",
    "accred": "NOT_ACCREDITOR",
    "owner": "NOT_OWNER",
    "listing": "LISTING_MISSING",
    "sale": "WRONG_PURCHASE_KEY",
    "key": "UNKNOWN_KEY",
    "chain": "WRONG_CHAIN",
    "version": "RULES_VERSION",
}

TABLE = """
                                       root    district platform merchant member  other   courier rider   buyer   stranger nobody
genesis                              | chain   chain    chain    chain    chain   chain   chain   chain   chain   chain    chain
rules_adoption                       | version role     role     role     role    role    role    role    role    role     key
party_registration of a regulator    | yes     yes      role     role     role    role    role    role    role    role     key
party_registration of a platform     | yes     yes      role     role     role    role    role    role    role    role     key
party_registration of a merchant     | yes     yes      yes      role     role    role    role    role    role    role     key
party_registration of a courier      | yes     yes      role     role     role    role    role    role    role    role     key
party_registration in the merchant   | yes     yes      accred   yes      role    accred  accred  role    role    role     key
party_registration in the courier    | yes     yes      accred   accred   role    accred  yes     role    role    role     key
party_registration in the platform   | yes     yes      accred   accred   role    accred  accred  role    role    role     key
party_registration in the root       | yes     accred   accred   accred   role    accred  accred  role    role    role     key
party_registration in the district   | accred  yes      accred   accred   role    accred  accred  role    role    role     key
key_addition for root                | yes     accred   accred   accred   role    accred  accred  role    role    role     key
key_addition for district            | yes     yes      accred   accred   role    accred  accred  role    role    role     key
key_addition for platform            | yes     yes      yes      accred   role    accred  accred  role    role    role     key
key_addition for merchant            | yes     yes      yes      yes      role    accred  accred  role    role    role     key
key_addition for member              | yes     yes      accred   yes      yes     accred  accred  role    role    role     key
key_addition for rider               | yes     yes      accred   accred   role    accred  yes     yes     role    role     key
key_addition for inspector           | accred  yes      accred   accred   role    accred  accred  role    role    role     key
key_revocation for root              | yes     accred   accred   accred   role    accred  accred  role    role    role     key
key_revocation for district          | yes     yes      accred   accred   role    accred  accred  role    role    role     key
key_revocation for merchant          | yes     yes      yes      yes      role    accred  accred  role    role    role     key
key_revocation for member            | yes     yes      accred   yes      yes     accred  accred  role    role    role     key
key_revocation for rider             | yes     yes      accred   accred   role    accred  yes     yes     role    role     key
key_revocation for inspector         | accred  yes      accred   accred   role    accred  accred  role    role    role     key
party_status_change of root          | accred  accred   accred   accred   role    accred  accred  role    role    role     key
party_status_change of district      | yes     accred   accred   accred   role    accred  accred  role    role    role     key
party_status_change of merchant      | yes     yes      yes      accred   role    accred  accred  role    role    role     key
party_status_change of member        | yes     yes      accred   yes      role    accred  accred  role    role    role     key
party_status_change of courier       | yes     yes      accred   accred   role    accred  accred  role    role    role     key
party_status_change of inspector     | accred  yes      accred   accred   role    accred  accred  role    role    role     key
listing                              | role    role     role     yes      yes     yes     role    role    role    role     key
sale                                 | role    role     role     yes      yes     listing role    role    role    role     key
shipment of a parcel                 | role    role     role     yes      yes     yes     yes     yes     role    role     key
shipment of a sale                   | role    role     role     yes      yes     owner   yes     yes     role    role     key
shipment that dispatches             | role    role     role     yes      yes     owner   yes     yes     role    role     key
receipt                              | role    role     role     role     role    role    yes     yes     yes     sale     key
review                               | role    role     role     yes      yes     owner   role    role    yes     sale     key
follow_up to the buyer               | role    role     role     owner    owner   owner   role    role    yes     sale     key
follow_up to the merchant            | role    role     role     yes      yes     owner   role    role    owner   sale     key
complaint                            | role    role     role     role     role    role    role    role    yes     sale     key
complaint_reply                      | yes     yes      yes      yes      yes     owner   role    role    role    role     key
complaint_resolution                 | yes     yes      yes      yes      yes     owner   role    role    role    role     key
recall                               | yes     yes      role     yes      yes     listing role    role    role    role     key
correction of the merchant's listing | owner   owner    yes      yes      owner   owner   owner   owner   owner   owner    key
correction of the member's listing   | owner   owner    owner    yes      yes     owner   owner   owner   owner   owner    key
correction of the buyer's receipt    | owner   owner    owner    owner    owner   owner   owner   owner   yes     owner    key
correction of the rider's scan       | owner   owner    owner    owner    owner   owner   yes     yes     owner   owner    key
correction of a registration         | yes     owner    owner    owner    owner   owner   owner   owner   owner   owner    key
"""


def rows():
    header, *lines = TABLE.strip("\n").split("\n")
    assert header.split() == list(SIGNERS)
    for line in lines:
        name, cells = line.split("|")
        yield name.strip(), dict(zip(SIGNERS, cells.split(), strict=True))


ROWS = dict(rows())
CELLS = [(row, who, word) for row, cells in ROWS.items() for who, word in cells.items()]


@pytest.fixture(scope="module")
def there():
    """A log in which everything has happened that the table speaks of."""
    city, log = City(), Log()
    founding = city.founding()
    more = [
        city.register(DISTRICT, pb.PARTY_ROLE_REGULATOR, "鼓楼区市场监督管理局"),
        city.register(INSPECTOR, pb.PARTY_ROLE_REGULATOR, by=DISTRICT),
        city.register(MERCHANT_MEMBER, pb.PARTY_ROLE_MERCHANT, by=MERCHANT),
    ]
    listing, members_listing = city.listing(), city.listing(by=MERCHANT_MEMBER)
    sales = {name: city.sale(f"buyer of what is {name}") for name in ("sold", "received", "reviewed")}
    scan = city.scan(pb.SHIPMENT_STAGE_IN_TRANSIT)
    receipts = [city.receipt(sales[name], f"buyer of what is {name}") for name in ("received", "reviewed")]
    reviews = [city.review(sales["reviewed"], by) for by in ("buyer of what is reviewed", MERCHANT)]
    complaint = city.complaint(sales["sold"], "buyer of what is sold")
    said = [*founding, *more, listing, members_listing, *sales.values(), city.sale("another buyer"), scan]
    said += [*receipts, *reviews, complaint]
    batch = log.append(*said)
    assert len(batch.entries) == len(said), batch.verdicts
    return SimpleNamespace(
        city=city,
        now=city.now,
        log=log,
        sales=sales,
        reviews=reviews,
        complaint=complaint,
        mistaken={
            "correction of the merchant's listing": (listing, TEA),
            "correction of the member's listing": (members_listing, TEA),
            "correction of the buyer's receipt": (receipts[1], TEA),
            "correction of the rider's scan": (scan, PARCEL),
            "correction of a registration": (founding[4], COURIER),
        },
    )


def sale_of(row):
    """The sale in question: one at the right point of its life."""
    kind = row.split()[0]
    return {Kind.REVIEW: "received", Kind.FOLLOW_UP: "reviewed", Kind.CORRECTION: "reviewed"}.get(
        kind, "sold"
    )


NEW_MERCHANT = "party/91350104MA31K2A705"
KEY = signing_key("a new key").public_key.spki

PARTIES = {
    "root": REGULATOR,
    "district": DISTRICT,
    "platform": PLATFORM,
    "merchant": MERCHANT,
    "member": MERCHANT_MEMBER,
    "courier": COURIER,
    "rider": CARRIER_MEMBER,
    "inspector": INSPECTOR,
}
ROLES = {
    "root": pb.PARTY_ROLE_REGULATOR,
    "district": pb.PARTY_ROLE_REGULATOR,
    "regulator": pb.PARTY_ROLE_REGULATOR,
    "platform": pb.PARTY_ROLE_PLATFORM,
    "merchant": pb.PARTY_ROLE_MERCHANT,
    "courier": pb.PARTY_ROLE_COURIER,
}


@dataclass(frozen=True)
class Cell:
    """One signer about to say the event of one row."""

    there: SimpleNamespace
    row: str
    who: str

    @property
    def city(self):
        return self.there.city

    @property
    def signer(self):
        return f"buyer of what is {sale_of(self.row)}" if self.who == "buyer" else SIGNERS[self.who]

    @property
    def sale(self):
        return self.there.sales[sale_of(self.row)]

    @property
    def last_word(self):
        return self.row.split()[-1]

    def says(self, chain, body):
        return self.city.say(self.signer, chain, body)


def genesis(cell):
    body = example(Kind.GENESIS)
    body.regulator_key = cell.city.key(cell.signer).public_key.spki
    return cell.says(ChainKey("ledger"), body)


def registration(cell):
    member = " in " in cell.row
    chain = f"{PARTIES[cell.last_word]}/new" if member else NEW_MERCHANT
    body = pb.PartyRegistration(role=ROLES[cell.last_word], name="" if member else "新", public_key=KEY)
    return cell.says(ChainKey(chain), body)


def key_addition(cell):
    return cell.says(PARTIES[cell.last_word], pb.KeyAddition(public_key=KEY))


def key_revocation(cell):
    key = cell.city.key(PARTIES[cell.last_word]).public_key
    body = pb.KeyRevocation(key_id=key.key_id, reason=pb.REVOCATION_REASON_LOST)
    return cell.says(PARTIES[cell.last_word], body)


def status_change(cell):
    body = pb.PartyStatusChange(status=pb.PARTY_STATUS_SUSPENDED, reason=pb.STATUS_REASON_VIOLATION)
    return cell.says(PARTIES[cell.last_word], body)


def shipment(cell):
    if cell.last_word == "parcel":
        return cell.city.scan(pb.SHIPMENT_STAGE_IN_TRANSIT, by=cell.signer)
    if cell.last_word == "dispatches":
        return cell.city.dispatch(cell.sale, by=cell.signer)
    return cell.says(TEA, pb.Shipment(stage=pb.SHIPMENT_STAGE_DELIVERED, sale=event_id(cell.sale)))


def receipt(cell):
    return cell.city.receipt(cell.sale, by=cell.signer, proxy=cell.who not in {"buyer", "stranger"})


def follow_up(cell):
    review = cell.there.reviews[cell.last_word == "merchant"]
    return cell.says(TEA, pb.FollowUp(review=event_id(review)))


def correction(cell):
    mistaken, chain = cell.there.mistaken[cell.row]
    return cell.says(chain, pb.Correction(event=event_id(mistaken), reason=pb.CORRECTION_REASON_OTHER))


SAID = {
    Kind.GENESIS: genesis,
    Kind.RULES_ADOPTION: lambda cell: cell.says(ChainKey("ledger"), pb.RulesAdoption(rules_version=1)),
    Kind.PARTY_REGISTRATION: registration,
    Kind.KEY_ADDITION: key_addition,
    Kind.KEY_REVOCATION: key_revocation,
    Kind.PARTY_STATUS_CHANGE: status_change,
    Kind.LISTING: lambda cell: cell.city.listing(by=cell.signer),
    Kind.SALE: lambda cell: cell.city.sale("yet another buyer", by=cell.signer),
    Kind.SHIPMENT: shipment,
    Kind.RECEIPT: receipt,
    Kind.REVIEW: lambda cell: cell.city.review(cell.sale, by=cell.signer),
    Kind.FOLLOW_UP: follow_up,
    Kind.COMPLAINT: lambda cell: cell.city.complaint(cell.sale, by=cell.signer),
    Kind.COMPLAINT_REPLY: lambda cell: cell.city.reply(cell.there.complaint, by=cell.signer),
    Kind.COMPLAINT_RESOLUTION: lambda cell: cell.city.resolution(cell.there.complaint, by=cell.signer),
    Kind.RECALL: lambda cell: cell.says(TEA, pb.Recall(reason=pb.RECALL_REASON_SAFETY)),
    Kind.CORRECTION: correction,
}


def test_the_table_is_complete():
    assert {row.split()[0] for row in ROWS} == set(Kind)
    assert {word for _, _, word in CELLS} == set(WORDS)
    assert len(CELLS) == len(ROWS) * len(SIGNERS) == 528


@pytest.mark.parametrize(("row", "who", "word"), CELLS, ids=lambda part: part.replace(" ", "-"))
def test_who_may_say_what(there, row, who, word):
    there.city.now = there.now
    log, envelope = there.log.fork(), SAID[row.split()[0]](Cell(there, row, who))
    if WORDS[word] is not None:
        assert log.refusal(envelope).reason == WORDS[word]
        return
    verdict = log.only(envelope)
    assert isinstance(verdict, Sequenced), verdict
    assert verdict.recorded.index == there.log.head.size
    report = log.audit()
    assert report.verified, report.findings
