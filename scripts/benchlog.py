"""A log to measure with: many shops that sell, couriers who carry, buyers who receive, review and complain.

Every entry is signed, linked and within the rules. Shops open side by side, and each has many sales under way at once,
so that the entries of one sale lie thousands of entries apart, as they do in a town. The same size gives the same log.
"""

from __future__ import annotations

import multiprocessing
from collections.abc import Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from hashlib import sha256

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from ledger.chain_key import LEDGER, ChainKey
from ledger.entry import Entry
from ledger.envelope import Envelope
from ledger.event import Event
from ledger.form import Body
from ledger.identifiers import gs1_check_digit, uscc_check_character
from ledger.keys import PrivateKey
from ledger.merkle import leaf_hash
from suyuan.v1 import event_pb2 as pb

ORIGIN = "ledger.test/bench"

ENTRIES_OF_A_SHOP = 400
SHOPS_AT_ONCE = 64
SALES_AT_ONCE = 40
COURIERS = 8

_START_US = 1_777_856_400_000_000
_STEP_US = 20_000
_CHINA = timezone(timedelta(hours=8))
_EPOCH = datetime(1970, 1, 1, 8, tzinfo=_CHINA)
_WAY = (
    pb.SHIPMENT_STAGE_PICKED_UP,
    pb.SHIPMENT_STAGE_ARRIVED,
    pb.SHIPMENT_STAGE_IN_TRANSIT,
    pb.SHIPMENT_STAGE_OUT_FOR_DELIVERY,
    pb.SHIPMENT_STAGE_DELIVERED,
)


def secret_of(name: str) -> Ed25519PrivateKey:
    """A key that is the same in every run."""
    return Ed25519PrivateKey.from_private_bytes(sha256(name.encode()).digest())


def entries(count: int, jobs: int) -> Iterator[list[bytes]]:
    """The first `count` entries of the log, some at a time, made by so many processes."""
    shops = -(-count // ENTRIES_OF_A_SHOP)
    founding = _founding(shops)
    yield founding[:count]
    made = len(founding)
    starts = iter(range(0, shops, SHOPS_AT_ONCE))
    waiting: list[Future[list[bytes]]] = []
    with ProcessPoolExecutor(jobs, multiprocessing.get_context("spawn")) as pool:
        while made < count:
            # One more than there are processes: none waits while the finished part is written.
            while len(waiting) <= jobs and (first := next(starts, None)) is not None:
                size = min(SHOPS_AT_ONCE, shops - first)
                waiting.append(pool.submit(_quarter, first, size, len(founding) + first * ENTRIES_OF_A_SHOP))
            part = waiting.pop(0).result()[: count - made]
            made += len(part)
            yield part
        for future in waiting:
            future.cancel()


@dataclass
class _Scribe:
    """Links and times entries."""

    index: int
    chains: dict[str, tuple[int, bytes]] = field(default_factory=dict)
    written: list[bytes] = field(default_factory=list)

    def write(self, name: str, chain: ChainKey, body: Body) -> bytes:
        """Record that the holder of this key says this, a second after it happened; returns the event's id."""
        at_us = _START_US + self.index * _STEP_US
        event = Event.write(
            chain,
            body,
            occurred_at=_EPOCH + timedelta(microseconds=at_us - 1_000_000),
            nonce=sha256(b"nonce %d" % self.index).digest()[:16],
            region="350102",
        )
        envelope = Envelope.seal(event.raw, _key(name))
        seq, previous = self.chains.get(chain, (0, b""))
        data = Entry(seq, previous, at_us, envelope.raw).encode()
        self.chains[chain] = (seq + 1, leaf_hash(data))
        self.written.append(data)
        self.index += 1
        return event.id


_keys: dict[str, PrivateKey] = {}


def _key(name: str) -> PrivateKey:
    if name not in _keys:
        if len(_keys) > 20_000:
            _keys.clear()
        _keys[name] = PrivateKey.of(secret_of(name))
    return _keys[name]


def _company(number: int) -> ChainKey:
    body = f"91350102{number:09d}"
    return ChainKey.party(body + uscc_check_character(body))


def _founding(shops: int) -> list[bytes]:
    scribe = _Scribe(0)
    regulator = _company(0)
    genesis = pb.Genesis(
        origin=ORIGIN, format_version=1, rules_version=1, regulator=regulator, regulator_name="regulator",
        regulator_key=_key(regulator).public_key.spki,
    )  # fmt: skip
    scribe.write(regulator, LEDGER, genesis)
    for number in range(1, 1 + COURIERS + shops):
        company = _company(number)
        role = pb.PARTY_ROLE_COURIER if number <= COURIERS else pb.PARTY_ROLE_MERCHANT
        registration = pb.PartyRegistration(
            role=role, name=f"company {number}", public_key=_key(company).public_key.spki,
            licence_until="2099-03-31",
        )  # fmt: skip
        scribe.write(regulator, company, registration)
    return scribe.written


def _quarter(first: int, shops: int, index: int) -> list[bytes]:
    """Shops that open together and take turns, an entry each."""
    scribe = _Scribe(index)
    open_ = [_shop(scribe, first + number) for number in range(shops)]
    for _ in range(ENTRIES_OF_A_SHOP):
        for shop in open_:
            next(shop)
    return scribe.written


def _shop(scribe: _Scribe, number: int) -> Iterator[None]:
    """Lists a product and sells it for ever; its sales take turns."""
    merchant = _company(1 + COURIERS + number)
    body = f"690{number:09d}"
    product = ChainKey.product(body + gs1_check_digit(body))
    scribe.write(merchant, product, pb.Listing(title=f"tea {number}", category=pb.PRODUCT_CATEGORY_FOOD))
    yield
    started = 0
    under_way: list[Iterator[None]] = []
    while True:
        while len(under_way) < SALES_AT_ONCE:
            under_way.append(_sale(scribe, number, started, merchant, product))
            started += 1
        sale = under_way.pop(0)
        if next(sale, sale) is None:
            under_way.append(sale)
            yield


def _sale(scribe: _Scribe, shop: int, number: int, merchant: ChainKey, product: ChainKey) -> Iterator[None]:
    """One sale's life, from the counter to the last word about it."""
    buyer = f"buyer {shop} {number}"
    courier = _company(1 + (shop + number) % COURIERS)
    parcel = ChainKey.waybill("sf", f"SF{shop:07d}{number:06d}")
    sale = scribe.write(merchant, product, pb.Sale(buyer_key=_key(buyer).public_key.spki, quantity=1))
    yield
    dispatched = pb.Shipment(stage=pb.SHIPMENT_STAGE_DISPATCHED, sale=sale, parcel=parcel)
    scribe.write(merchant, product, dispatched)
    yield
    for stage in _WAY:
        scribe.write(courier, parcel, pb.Shipment(stage=stage))
        yield
    scribe.write(buyer, product, pb.Receipt(sale=sale, condition=pb.GOODS_CONDITION_INTACT))
    yield
    if number % 3:
        scribe.write(buyer, product, pb.Review(sale=sale, rating=1 + number % 5))
        yield
    if number % 20 == 0:
        complaint = scribe.write(
            buyer, product, pb.Complaint(sale=sale, category=pb.COMPLAINT_CATEGORY_DAMAGED, remedy=pb.REMEDY_REFUND)
        )  # fmt: skip
        yield
        reply = pb.ComplaintReply(complaint=complaint, stance=pb.REPLY_STANCE_ACCEPTED)
        scribe.write(merchant, product, reply)
        yield
