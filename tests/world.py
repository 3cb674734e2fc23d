"""A small city for tests: parties with keys that are the same in every run, and the events that they say."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from ledger.chain_key import ChainKey
from ledger.entry import Entry
from ledger.envelope import Envelope
from ledger.event import Event
from ledger.keys import PrivateKey
from ledger.sequence import Batch, LogHead, Sequenced, Submission, sequence
from ledger.state import State
from suyuan.v1 import event_pb2 as pb

ORIGIN = "ledger.test/city"
CHINA = timezone(timedelta(hours=8))
START = datetime(2026, 5, 4, 9, 0, tzinfo=CHINA)
START_US = 1_777_856_400_000_000

REGULATOR = ChainKey("party/11350100003604566X")
PLATFORM = ChainKey("party/91350100M000100Y43")
MERCHANT = ChainKey("party/91350102MA2XW1QL3Y")
OTHER_MERCHANT = ChainKey("party/913501033155024580")
COURIER = ChainKey("party/91440300708461136T")
CARRIER_MEMBER = ChainKey(f"{COURIER}/k-0017")

TEA = ChainKey("01/06901234567892")
CUP = ChainKey("01/06923450657713")
PARCEL = ChainKey("waybill/sf/SF1234567890123")


def signing_key(name: str) -> PrivateKey:
    """An Ed25519 key that is the same in every run."""
    return PrivateKey.of(Ed25519PrivateKey.from_private_bytes(hashlib.sha256(name.encode()).digest()))


def p256_key(name: str) -> PrivateKey:
    """A P-256 key that is the same in every run."""
    secret = int.from_bytes(hashlib.sha256(name.encode()).digest(), "big") >> 1
    return PrivateKey.of(ec.derive_private_key(secret, ec.SECP256R1()))


@dataclass
class City:
    """Says events with a clock of its own, one minute apart, and nonces that never repeat."""

    now: datetime = START
    said: int = 0
    place: str = "350102"
    keys: dict[str, PrivateKey] = field(default_factory=dict)

    def key(self, name: str) -> PrivateKey:
        """The first key of a party, or the purchase key of that name."""
        return self.keys.setdefault(name, signing_key(name))

    def event(self, chain, body, *, at: datetime | None = None, region: str | None = None, **more) -> Event:
        """An event that happens now, one minute after the one before."""
        self.said += 1
        self.now += timedelta(minutes=1)
        nonce = hashlib.sha256(b"nonce %d" % self.said).digest()[:16]
        region = self.place if region is None else region
        return Event.write(chain, body, occurred_at=at or self.now, nonce=nonce, region=region, **more)

    def say(self, who: str, chain, body, **more) -> Envelope:
        """An event, signed by a party or a purchase key."""
        return Envelope.seal(self.event(chain, body, **more).raw, self.key(who))

    def genesis(self, origin: str = ORIGIN) -> Envelope:
        """Entry 0."""
        body = pb.Genesis(origin=origin, format_version=1, rules_version=1, regulator=REGULATOR,
                          regulator_name="福州市市场监督管理局", regulator_key=self.key(REGULATOR).public_key.spki)
        return self.say(REGULATOR, ChainKey("ledger"), body)

    def register(self, who: str, role: int, name: str = "", *, by: str = REGULATOR, **more) -> Envelope:
        """A registration of `who` with its first key."""
        body = pb.PartyRegistration(role=role, name=name, public_key=self.key(who).public_key.spki, **more)
        return self.say(by, ChainKey(who), body)

    def founding(self) -> list[Envelope]:
        """The genesis, a platform, two merchants, a courier company and one of its couriers."""
        return [
            self.genesis(),
            self.register(PLATFORM, pb.PARTY_ROLE_PLATFORM, "榕城优选"),
            self.register(MERCHANT, pb.PARTY_ROLE_MERCHANT, "闽茶坊", by=PLATFORM, licence_until="2027-03-31"),
            self.register(OTHER_MERCHANT, pb.PARTY_ROLE_MERCHANT, "鼓楼杯具店", by=PLATFORM),
            self.register(COURIER, pb.PARTY_ROLE_COURIER, "顺丰速运", licence_until="2028-12-31"),
            self.register(CARRIER_MEMBER, pb.PARTY_ROLE_COURIER, by=COURIER),
        ]

    def listing(self, chain=TEA, by=MERCHANT, title="茉莉花茶 250 g") -> Envelope:
        """上架."""
        return self.say(by, chain, pb.Listing(title=title, category=pb.PRODUCT_CATEGORY_FOOD))

    def sale(self, buyer: str = "buyer", chain=TEA, by=MERCHANT, quantity=1) -> Envelope:
        """销售."""
        return self.say(by, chain, pb.Sale(buyer_key=self.key(buyer).public_key.spki, quantity=quantity))

    def dispatch(self, sale: Envelope, parcel=PARCEL, by=MERCHANT) -> Envelope:
        """发货."""
        body = pb.Shipment(stage=pb.SHIPMENT_STAGE_DISPATCHED, sale=event_id(sale), parcel=parcel)
        return self.say(by, chain_of(sale), body)

    def scan(self, stage: int, parcel=PARCEL, by=CARRIER_MEMBER, **more) -> Envelope:
        """A step of the way, scanned on the parcel."""
        return self.say(by, parcel, pb.Shipment(stage=stage), **more)

    def receipt(self, sale: Envelope, by="buyer", *, proxy=False) -> Envelope:
        """签收."""
        body = pb.Receipt(sale=event_id(sale), proxy=proxy, condition=pb.GOODS_CONDITION_INTACT)
        return self.say(by, chain_of(sale), body)

    def review(self, sale: Envelope, by="buyer", rating=5, **more) -> Envelope:
        """评价."""
        return self.say(by, chain_of(sale), pb.Review(sale=event_id(sale), rating=rating, **more))

    def complaint(self, sale: Envelope, by="buyer") -> Envelope:
        """投诉."""
        body = pb.Complaint(sale=event_id(sale), category=pb.COMPLAINT_CATEGORY_DAMAGED, remedy=pb.REMEDY_REFUND)
        return self.say(by, chain_of(sale), body)

    def reply(self, complaint: Envelope, by=MERCHANT) -> Envelope:
        """An answer to a complaint."""
        body = pb.ComplaintReply(complaint=event_id(complaint), stance=pb.REPLY_STANCE_ACCEPTED)
        return self.say(by, chain_of(complaint), body)

    def resolution(self, complaint: Envelope, by=MERCHANT) -> Envelope:
        """The end of a complaint."""
        body = pb.ComplaintResolution(complaint=event_id(complaint), outcome=pb.COMPLAINT_OUTCOME_SETTLED,
                                      remedy=pb.REMEDY_REFUND)
        return self.say(by, chain_of(complaint), body)

    def life(self) -> list[Envelope]:
        """The life of one product from its listing to the end of a complaint; `founding` comes before it."""
        listing = self.listing()
        sale = self.sale()
        dispatch = self.dispatch(sale)
        way = [self.scan(stage) for stage in (pb.SHIPMENT_STAGE_PICKED_UP, pb.SHIPMENT_STAGE_IN_TRANSIT,
                                              pb.SHIPMENT_STAGE_OUT_FOR_DELIVERY, pb.SHIPMENT_STAGE_DELIVERED)]
        receipt = self.receipt(sale)
        review = self.review(sale)
        complaint = self.complaint(sale)
        return [listing, sale, dispatch, *way, receipt, review, complaint, self.reply(complaint),
                self.resolution(complaint)]


@dataclass
class Log:
    """A log in memory: what a service does, without a service."""

    state: State = field(default_factory=State)
    head: LogHead = field(default_factory=LogHead)
    entries: list[Sequenced] = field(default_factory=list)
    clock_us: int = START_US + 60 * 60 * 1_000_000

    def append(self, *envelopes: Envelope | bytes) -> Batch:
        """Sequence one batch, a second after the one before."""
        self.clock_us += 1_000_000
        raws = [envelope.raw if isinstance(envelope, Envelope) else envelope for envelope in envelopes]
        batch = sequence([Submission.read(raw) for raw in raws], self.state, self.head, self.clock_us)
        self.entries += batch.entries
        self.head = batch.head
        return batch

    def only(self, envelope: Envelope):
        """The verdict on one envelope."""
        return self.append(envelope).verdicts[0]

    @property
    def leaves(self) -> list[bytes]:
        """The raw entries."""
        return [entry.data for entry in self.entries]


def event_id(envelope: Envelope) -> bytes:
    """Id of the event in an envelope."""
    return hashlib.sha256(envelope.payload).digest()


def chain_of(envelope: Envelope) -> ChainKey:
    """Chain of the event in an envelope."""
    return Event.parse(envelope.payload).chain


def parsed(data: bytes) -> tuple[Entry, Envelope, Event]:
    """An entry's bytes, opened."""
    entry = Entry.parse(data)
    envelope = Envelope.parse(entry.envelope)
    return entry, envelope, Event.parse(envelope.payload)
