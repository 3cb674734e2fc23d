"""A small city for tests: parties with keys that are the same in every run, and the events that they say."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from google.protobuf.message import Message

from ledger.audit import Auditor
from ledger.chain_key import ChainKey
from ledger.checkpoint import Checkpoint
from ledger.entry import Entry
from ledger.envelope import Envelope
from ledger.errors import BadInput, BrokenProof, Conflict, LedgerError, NotAuthorized, Reason, ServiceFault
from ledger.event import Event, Kind
from ledger.findings import AuditReport
from ledger.keys import PrivateKey
from ledger.merkle import leaf_hash
from ledger.rules import Judgement, identify, judge
from ledger.sequence import Batch, LogHead, Sequenced, Submission, next_link, sequence, settle
from ledger.state import Recorded, State
from suyuan.v1 import entry_pb2, errors_pb2
from suyuan.v1 import event_pb2 as pb

ORIGIN = "ledger.test/city"
CHINA = timezone(timedelta(hours=8))
START = datetime(2026, 5, 4, 9, 0, tzinfo=CHINA)
START_US = 1_777_856_400_000_000

REGULATOR = ChainKey("party/11350100003604566X")
DISTRICT = ChainKey("party/113501020036046057")
PLATFORM = ChainKey("party/91350100M000100Y43")
MERCHANT = ChainKey("party/91350102MA2XW1QL3Y")
OTHER_MERCHANT = ChainKey("party/913501033155024580")
COURIER = ChainKey("party/91440300708461136T")
CARRIER_MEMBER = ChainKey(f"{COURIER}/k-0017")
MERCHANT_MEMBER = ChainKey(f"{MERCHANT}/till-2")

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


def example(kind: Kind):
    """A body of each kind that says all it can, well formed; what it refers to is not recorded anywhere."""
    there, commitment = hashlib.sha256(b"there").digest(), hashlib.sha256(b"text").digest()
    key = signing_key("example").public_key.spki
    return {
        Kind.GENESIS: lambda: pb.Genesis(
            origin=ORIGIN,
            format_version=1,
            rules_version=1,
            regulator=REGULATOR,
            regulator_name="福州市市场监督管理局",
            regulator_key=key,
        ),
        Kind.RULES_ADOPTION: lambda: pb.RulesAdoption(rules_version=2),
        Kind.PARTY_REGISTRATION: lambda: pb.PartyRegistration(
            role=pb.PARTY_ROLE_MERCHANT,
            name="闽茶坊",
            public_key=key,
            licence_number="JY13501020012345",
            licence_until="2027-03-31",
        ),
        Kind.KEY_ADDITION: lambda: pb.KeyAddition(public_key=key),
        Kind.KEY_REVOCATION: lambda: pb.KeyRevocation(key_id=there, reason=pb.REVOCATION_REASON_LOST),
        Kind.PARTY_STATUS_CHANGE: lambda: pb.PartyStatusChange(
            status=pb.PARTY_STATUS_SUSPENDED, reason=pb.STATUS_REASON_VIOLATION, licence_until="2027-03-31"
        ),
        Kind.LISTING: lambda: pb.Listing(
            title="茉莉花茶 250 g",
            category=pb.PRODUCT_CATEGORY_FOOD,
            gross_weight_g=300,
            origin_region="350102",
        ),
        Kind.SALE: lambda: pb.Sale(buyer_key=key, quantity=2, order_commitment=commitment),
        Kind.SHIPMENT: lambda: pb.Shipment(
            stage=pb.SHIPMENT_STAGE_DISPATCHED, sale=there, parcel=PARCEL, weight_g=310
        ),
        Kind.RECEIPT: lambda: pb.Receipt(sale=there, proxy=True, condition=pb.GOODS_CONDITION_INTACT),
        Kind.REVIEW: lambda: pb.Review(
            sale=there,
            rating=4,
            product_rating=5,
            description_rating=3,
            delivery_rating=1,
            text_commitment=commitment,
        ),
        Kind.FOLLOW_UP: lambda: pb.FollowUp(review=there, rating=2, text_commitment=commitment),
        Kind.COMPLAINT: lambda: pb.Complaint(
            sale=there,
            category=pb.COMPLAINT_CATEGORY_QUALITY,
            remedy=pb.REMEDY_REFUND,
            text_commitment=commitment,
        ),
        Kind.COMPLAINT_REPLY: lambda: pb.ComplaintReply(
            complaint=there, stance=pb.REPLY_STANCE_DISPUTED, text_commitment=commitment
        ),
        Kind.COMPLAINT_RESOLUTION: lambda: pb.ComplaintResolution(
            complaint=there,
            outcome=pb.COMPLAINT_OUTCOME_UPHELD,
            remedy=pb.REMEDY_REPLACEMENT,
            text_commitment=commitment,
        ),
        Kind.RECALL: lambda: pb.Recall(reason=pb.RECALL_REASON_SAFETY, text_commitment=commitment),
        Kind.CORRECTION: lambda: pb.Correction(
            event=there, reason=pb.CORRECTION_REASON_WRONG_TIME, replacement=commitment
        ),
    }[kind]()


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
        body = pb.Genesis(
            origin=origin,
            format_version=1,
            rules_version=1,
            regulator=REGULATOR,
            regulator_name="福州市市场监督管理局",
            regulator_key=self.key(REGULATOR).public_key.spki,
        )
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
            self.register(
                MERCHANT, pb.PARTY_ROLE_MERCHANT, "闽茶坊", by=PLATFORM, licence_until="2027-03-31"
            ),
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
        body = pb.Complaint(
            sale=event_id(sale), category=pb.COMPLAINT_CATEGORY_DAMAGED, remedy=pb.REMEDY_REFUND
        )
        return self.say(by, chain_of(sale), body)

    def reply(self, complaint: Envelope, by=MERCHANT) -> Envelope:
        """An answer to a complaint."""
        body = pb.ComplaintReply(complaint=event_id(complaint), stance=pb.REPLY_STANCE_ACCEPTED)
        return self.say(by, chain_of(complaint), body)

    def resolution(self, complaint: Envelope, by=MERCHANT) -> Envelope:
        """The end of a complaint."""
        body = pb.ComplaintResolution(
            complaint=event_id(complaint), outcome=pb.COMPLAINT_OUTCOME_SETTLED, remedy=pb.REMEDY_REFUND
        )
        return self.say(by, chain_of(complaint), body)

    def life(self) -> list[Envelope]:
        """The life of one product from its listing to the end of a complaint; `founding` comes before it."""
        listing = self.listing()
        sale = self.sale()
        dispatch = self.dispatch(sale)
        way = [
            self.scan(stage)
            for stage in (
                pb.SHIPMENT_STAGE_PICKED_UP,
                pb.SHIPMENT_STAGE_IN_TRANSIT,
                pb.SHIPMENT_STAGE_OUT_FOR_DELIVERY,
                pb.SHIPMENT_STAGE_DELIVERED,
            )
        ]
        receipt = self.receipt(sale)
        review = self.review(sale)
        complaint = self.complaint(sale)
        return [
            listing,
            sale,
            dispatch,
            *way,
            receipt,
            review,
            complaint,
            self.reply(complaint),
            self.resolution(complaint),
        ]


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

    def accept(self, *envelopes: Envelope | bytes) -> list[Recorded]:
        """What is recorded of each, after a look that all are accepted and an auditor agrees."""
        verdicts = self.append(*envelopes).verdicts
        assert all(isinstance(verdict, Sequenced) for verdict in verdicts), verdicts
        report = self.audit()
        assert report.verified, report.findings
        return [verdict.recorded for verdict in verdicts]

    def set_clock(self, us: int) -> None:
        """The next batch is recorded at this time."""
        self.clock_us = us - 1_000_000

    @property
    def leaves(self) -> list[bytes]:
        """The raw entries."""
        return [entry.data for entry in self.entries]

    @property
    def checkpoint(self) -> Checkpoint:
        """Its head as a checkpoint."""
        return Checkpoint(ORIGIN, self.head.size, self.head.frontier.root())

    def fork(self) -> Log:
        """The same log, to go on from without a trace in this one."""
        return Log(State(self.state), self.head, list(self.entries), self.clock_us)

    def forge(self, envelope: Envelope | bytes) -> Sequenced:
        """Record an envelope as a service would that keeps to no rules: rightly linked, whatever it says."""
        raw = envelope.raw if isinstance(envelope, Envelope) else envelope
        submission = _readable(raw)
        link = (0, b"") if submission is None else next_link(submission.event.chain, self.state)
        entry = Entry(*link, self.clock_us, raw)
        data = entry.encode()
        recorded = None if submission is None else self._settle(submission, entry, leaf_hash(data))
        forged = Sequenced(entry, data, leaf_hash(data), recorded)
        self.entries.append(forged)
        self.head = LogHead(self.head.frontier.append(forged.hash), self.clock_us)
        return forged

    def _settle(self, submission: Submission, entry: Entry, entry_hash: bytes) -> Recorded:
        event, index = submission.event, self.head.size
        signer, judgement = None, Judgement()
        with suppress(LedgerError):
            signer = identify(event, submission.envelope.key_id, self.state)
            judgement = judge(event, signer, self.state, index=index, recorded_at_us=self.clock_us)
        return settle(
            event, signer, judgement, entry=entry, entry_hash=entry_hash, index=index, state=self.state
        )

    def audit(self, *known: Checkpoint) -> AuditReport:
        """What an auditor finds who is told what the tree holds and has seen `known` before."""
        return audit(self.leaves, self.checkpoint, known=known, hashes=[entry.hash for entry in self.entries])

    def refusal(self, envelope: Envelope | bytes) -> LedgerError:
        """Why an envelope is refused, after a look that it leaves no trace and that an auditor says the same of it.

        The auditor is given a log in which it was recorded nevertheless.
        """
        raw = envelope.raw if isinstance(envelope, Envelope) else envelope
        before = (self.head, list(self.entries), list(self.state.changes()))
        try:
            verdict = self.only(raw)
        except BadInput as malformed:
            verdict = malformed
        assert isinstance(verdict, LedgerError), f"accepted: {verdict}"
        assert (self.head, self.entries, list(self.state.changes())) == before, "left a trace"
        assert type(verdict) is family_of(verdict), "documented as another family"
        forged = self.fork()
        forged.forge(raw)
        report = forged.audit()
        found = [(it.index, it.reason, it.message.removeprefix(AGAINST_RULES)) for it in report.findings]
        assert found == [(self.head.size, verdict.reason, str(verdict))], "the auditor says something else"
        return verdict


def founded() -> tuple[City, Log]:
    """A city whose founding is recorded."""
    city, log = City(), Log()
    batch = log.append(*city.founding())
    assert len(batch.entries) == 6, batch.verdicts
    return city, log


def told(error: LedgerError) -> tuple[Reason, str]:
    """What a program and what a person is told of a refusal."""
    return error.reason, str(error)


def altered(envelope: Envelope, **fields) -> Envelope:
    """An envelope with something else in its signature."""
    message = entry_pb2.Envelope.FromString(envelope.raw)
    for name, value in fields.items():
        setattr(message.signatures[0], name, value)
    return Envelope.parse(message.SerializeToString())


AGAINST_RULES = "recorded against the rules: "
"""What the auditor puts before the reason of a refusal that came too late."""


def audit(leaves, checkpoint, *, known=(), hashes=None, origin: str = ORIGIN) -> AuditReport:
    """What an auditor finds in raw entries, told or not what the tree holds as their hashes."""
    auditor = Auditor(origin, known=known)
    for number, data in enumerate(leaves):
        auditor.read(data, None if hashes is None else hashes[number])
    return auditor.conclude(checkpoint)


def family_of(error: LedgerError) -> type[LedgerError]:
    """The family in which proto/suyuan/v1/errors.proto documents an error's reason: by the number."""
    number = errors_pb2.ErrorReason.Value(f"ERROR_REASON_{error.reason}")
    return [BadInput, NotAuthorized, Conflict, BrokenProof, ServiceFault][number // 20]


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


def varint(number: int, length: int = 0) -> bytes:
    """A protobuf varint; written longer than it needs to be if `length` says so."""
    groups = []
    while number > 0x7F:
        groups.append(number & 0x7F)
        number >>= 7
    groups.append(number)
    groups += [0] * (length - len(groups))
    return bytes([*(group | 0x80 for group in groups[:-1]), groups[-1]])


def wire(number: int, value: int | bytes) -> bytes:
    """A protobuf field, as any writer could send it."""
    if isinstance(value, int):
        return varint(number << 3) + varint(value)
    return varint(number << 3 | 2) + varint(len(value)) + value


def fields(raw: bytes) -> list[tuple[int, int | bytes]]:
    """The fields of a message, of the two wire types that this project uses: number and value."""
    found: list[tuple[int, int | bytes]] = []
    while raw:
        tag, raw = _take_varint(raw)
        value, raw = _take_varint(raw)
        if tag & 7 == 2:
            value, raw = raw[:value], raw[value:]
        found.append((tag >> 3, value))
    return found


def respellings(message: Message) -> dict[str, bytes]:
    """Bytes that mean the same as a message to a lenient reader and are not its canonical encoding.

    Each is named by what is wrong with it. Messages within the message are respelled too.
    """
    return dict(_respellings(message))


def _respellings(message: Message) -> Iterator[tuple[str, bytes]]:
    parts = fields(message.SerializeToString())
    encoded = [wire(*part) for part in parts]
    descriptors = message.DESCRIPTOR.fields_by_number

    def around(number: int, instead: bytes) -> bytes:
        return b"".join([*encoded[:number], instead, *encoded[number + 1 :]])

    for place, (number, value) in enumerate(parts):
        field = descriptors[number]
        tag, rest = (
            varint(number << 3 | 2 * isinstance(value, bytes)),
            encoded[place][len(varint(number << 3)) :],
        )
        yield (
            f"long tag of {field.name}",
            around(place, varint(number << 3 | tag[0] & 7, len(tag) + 1) + rest),
        )
        size, after = (value, b"") if isinstance(value, int) else (len(value), value)
        yield f"long varint of {field.name}", around(place, tag + varint(size, len(varint(size)) + 1) + after)
        if not field.is_repeated:
            yield f"{field.name} twice", around(place, encoded[place] * 2)
        if place and parts[place - 1][0] != number:
            swapped = [*encoded[: place - 1], encoded[place], encoded[place - 1], *encoded[place + 1 :]]
            yield f"{field.name} too early", b"".join(swapped)
        if field.message_type is not None:
            inner = getattr(message, field.name)
            for name, raw in _respellings(inner[0] if field.is_repeated else inner):
                yield f"{field.name}: {name}", around(place, wire(number, raw))
    for number, field in descriptors.items():
        if not field.is_repeated and field.message_type is None and number not in dict(parts):
            place = sum(part[0] < number for part in parts)
            default = wire(number, b"" if isinstance(field.default_value, bytes | str) else 0)
            yield f"{field.name} said to be nothing", b"".join([*encoded[:place], default, *encoded[place:]])


def _take_varint(raw: bytes) -> tuple[int, bytes]:
    number = shift = 0
    for place, byte in enumerate(raw):
        number |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            return number, raw[place + 1 :]
    raise ValueError("no varint")


def _readable(raw: bytes) -> Submission | None:
    """An envelope as `Submission.read` gives it, also if its event says what this version does not know."""
    try:
        envelope = Envelope.parse(raw)
        return Submission(envelope, Event.parse(envelope.payload))
    except LedgerError:
        return None
