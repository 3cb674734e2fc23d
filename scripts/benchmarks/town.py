"""A town to measure with: many shops that sell, couriers who carry, buyers who receive, review and complain.

Every entry is signed by whoever says it, linked and within the rules. Shops open side by side, and each has many sales
under way at once, so that the entries of one sale lie thousands of entries apart, as they do in a town. The same town
gives the same entries.
"""

from __future__ import annotations

import multiprocessing
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from hashlib import sha256
from heapq import heappop, heappush

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

SALES_AT_ONCE = 40
"""So many events of its shop come before the next of a sale that the rules would refuse without the one before."""

LONG_WAY = 20
"""Scans of a parcel that is sent on many times, in a busy town."""


_FIRST_PARCELS = 5
"""Parcels that have gone such a way before the first sale, so that there is one in the smallest log."""


@dataclass(frozen=True)
class Town:
    """Who lives there, and when it all happens."""

    entries_of_a_shop: int = 400
    shops_at_once: int = 64
    couriers: int = 8
    busy: bool = False
    """Sales are under way at all stages at any time, every product is listed before the first sale, and some parcels go
    a long way: what comes after any entry may then be sent to a service many at a time. Else sales go in waves."""
    start_us: int = 1_777_856_400_000_000
    """When the genesis is recorded."""
    step_us: int = 20_000
    """From one entry to the next."""


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


def entries(town: Town, count: int, jobs: int) -> Iterator[list[bytes]]:
    """The first `count` entries of the town's log, some at a time, made by so many processes."""
    shops = -(-count // town.entries_of_a_shop)
    founding = _founding(town, shops)
    yield founding[:count]
    made = len(founding)
    starts = iter(range(0, shops, town.shops_at_once))
    waiting: deque[Future[list[bytes]]] = deque()
    with ProcessPoolExecutor(jobs, multiprocessing.get_context("spawn")) as pool:
        while made < count:
            # One more than there are processes: none waits while the finished part is written.
            while len(waiting) <= jobs and (first := next(starts, None)) is not None:
                size = min(town.shops_at_once, shops - first)
                index = len(founding) + first * town.entries_of_a_shop
                waiting.append(pool.submit(_quarter, town, first, size, index))
            part = waiting.popleft().result()[: count - made]
            made += len(part)
            yield part
        for future in waiting:
            future.cancel()


@dataclass
class _Scribe:
    """Links and times entries."""

    town: Town
    index: int
    chains: dict[str, tuple[int, bytes]] = field(default_factory=dict)
    written: list[bytes] = field(default_factory=list)

    def write(self, name: str, chain: ChainKey, body: Body) -> bytes:
        """Record that the holder of this key says this, a second after it happened; returns the event's id."""
        at_us = self.town.start_us + self.index * self.town.step_us
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


def _founding(town: Town, shops: int) -> list[bytes]:
    scribe = _Scribe(town, 0)
    regulator = _company(0)
    genesis = pb.Genesis(
        origin=ORIGIN, format_version=1, rules_version=1, regulator=regulator, regulator_name="regulator",
        regulator_key=_key(regulator).public_key.spki,
    )  # fmt: skip
    scribe.write(regulator, LEDGER, genesis)
    for number in range(1, 1 + town.couriers + shops):
        company = _company(number)
        role = pb.PARTY_ROLE_COURIER if number <= town.couriers else pb.PARTY_ROLE_MERCHANT
        registration = pb.PartyRegistration(
            role=role, name=f"company {number}", public_key=_key(company).public_key.spki,
            licence_until="2099-03-31",
        )  # fmt: skip
        scribe.write(regulator, company, registration)
    if town.busy:
        for number in range(shops):
            _list(scribe, number)
        for number in range(_FIRST_PARCELS):
            parcel = ChainKey.waybill("sf", f"SF9{number:012d}")
            for stage in _way(LONG_WAY):
                scribe.write(_company(1 + number), parcel, pb.Shipment(stage=stage))
    return scribe.written


def _quarter(town: Town, first: int, shops: int, index: int) -> list[bytes]:
    """Shops that open together and take turns, an entry each."""
    scribe = _Scribe(town, index)
    if town.busy:
        # What a chain begins with was written at the founding; it is linked anew when a service records it.
        open_ = [_busy_shop(scribe, first + number) for number in range(shops)]
    else:
        open_ = [_shop(scribe, first + number) for number in range(shops)]
    for _ in range(town.entries_of_a_shop):
        for shop in open_:
            next(shop)
    return scribe.written


def _merchant_of(town: Town, shop: int) -> ChainKey:
    return _company(1 + town.couriers + shop)


def _product_of(shop: int) -> ChainKey:
    body = f"690{shop:09d}"
    return ChainKey.product(body + gs1_check_digit(body))


def _list(scribe: _Scribe, shop: int) -> None:
    listing = pb.Listing(title=f"tea {shop}", category=pb.PRODUCT_CATEGORY_FOOD)
    scribe.write(_merchant_of(scribe.town, shop), _product_of(shop), listing)


def _way(scans: int) -> tuple[pb.ShipmentStage.ValueType, ...]:
    """The stages of a parcel that is scanned so many times."""
    return (*_WAY[:3], *[pb.SHIPMENT_STAGE_IN_TRANSIT] * (scans - len(_WAY)), *_WAY[3:])


def _shop(scribe: _Scribe, number: int) -> Iterator[None]:
    """Lists a product and sells it for ever; its sales take turns."""
    _list(scribe, number)
    yield
    started = 0
    under_way: list[Iterator[int]] = []
    while True:
        while len(under_way) < SALES_AT_ONCE:
            under_way.append(_sale(scribe, number, started))
            started += 1
        sale = under_way.pop(0)
        if next(sale, None) is not None:
            under_way.append(sale)
            yield


def _busy_shop(scribe: _Scribe, number: int) -> Iterator[None]:
    """Sells its product for ever: each turn goes to the sale that is due, or to a new one."""
    started = turn = 0
    due: list[tuple[int, int, Iterator[int]]] = []
    while True:
        if due and due[0][0] <= turn:
            _, order, sale = heappop(due)
        else:
            order, sale = started, _sale(scribe, number, started)
            started += 1
        if (turns := next(sale, None)) is not None:
            # Some are quicker than others, so that soon all stages are under way at once.
            chance = sha256(b"patience %d %d %d" % (number, order, turn)).digest()[0]
            heappush(due, (turn + turns + turns * chance // 128, order, sale))
            turn += 1
            yield


def _sale(scribe: _Scribe, shop: int, number: int) -> Iterator[int]:
    """One sale's life, from the counter to the last word about it: after each event, how many of its shop's come first."""
    merchant, product = _merchant_of(scribe.town, shop), _product_of(shop)
    buyer = f"buyer {shop} {number}"
    courier = _company(1 + (shop + number) % scribe.town.couriers)
    parcel = ChainKey.waybill("sf", f"SF{shop:07d}{number:06d}")
    sale = scribe.write(merchant, product, pb.Sale(buyer_key=_key(buyer).public_key.spki, quantity=1))
    yield SALES_AT_ONCE
    dispatched = pb.Shipment(stage=pb.SHIPMENT_STAGE_DISPATCHED, sale=sale, parcel=parcel)
    scribe.write(merchant, product, dispatched)
    yield SALES_AT_ONCE
    # No rule asks what a parcel's chain says.
    for stage in _way(LONG_WAY if scribe.town.busy and number % 20 == 1 else len(_WAY)):
        scribe.write(courier, parcel, pb.Shipment(stage=stage))
        yield 1
    scribe.write(buyer, product, pb.Receipt(sale=sale, condition=pb.GOODS_CONDITION_INTACT))
    yield SALES_AT_ONCE
    if number % 3:
        scribe.write(buyer, product, pb.Review(sale=sale, rating=1 + number % 5))
        yield SALES_AT_ONCE
    if number % 20 == 0:
        complaint = scribe.write(
            buyer, product, pb.Complaint(sale=sale, category=pb.COMPLAINT_CATEGORY_DAMAGED, remedy=pb.REMEDY_REFUND)
        )  # fmt: skip
        yield SALES_AT_ONCE
        reply = pb.ComplaintReply(complaint=complaint, stance=pb.REPLY_STANCE_ACCEPTED)
        scribe.write(merchant, product, reply)
        yield SALES_AT_ONCE
