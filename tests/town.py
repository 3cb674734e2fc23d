"""A real service with a town's life in it, for tests of clients."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from running import RunningService, running_service
from world import (
    CARRIER_MEMBER,
    CUP,
    MERCHANT,
    MERCHANT_MEMBER,
    OTHER_MERCHANT,
    PLATFORM,
    REGULATOR,
    TEA,
    City,
    event_id,
)

from ledger.chain_key import ChainKey
from ledger.envelope import Envelope
from suyuan.v1 import event_pb2 as pb

OTHER_PARCEL = ChainKey("waybill/yto/YT9876543210987")
LOT = ChainKey.lot("6901234567892", "L7")


@dataclass
class Town:
    """A running service, and what was recorded there under which names."""

    service: RunningService
    said: dict[str, Envelope] = field(default_factory=dict)
    indexes: dict[str, int] = field(default_factory=dict)

    @property
    def city(self) -> City:
        """Who says it."""
        return self.service.city

    def tell(self, **named: Envelope) -> None:
        """Record events under names."""
        results = self.service.append(*named.values()).results
        for (name, envelope), result in zip(named.items(), results, strict=True):
            assert result.HasField("receipt"), result
            self.said[name], self.indexes[name] = envelope, result.receipt.index

    def id(self, name: str) -> bytes:
        """Id of a named event."""
        return event_id(self.said[name])


@contextmanager
def running_town(folder: Path) -> Iterator[Town]:
    """A service with two merchants, their sales, and keys that come and go."""
    with running_service(folder) as service:
        town = Town(service)
        city = town.city
        spki = {
            name: city.key(name).public_key.spki for name in ("second", "third", "second of the regulator")
        }
        listing = city.listing()
        sale = city.sale("buyer")
        other = city.sale("somebody")
        review = city.review(sale)
        complaint = city.complaint(sale)
        town.tell(
            listing=listing,
            cups=city.listing(CUP, by=OTHER_MERCHANT, title="杯"),
            other_tea=city.listing(TEA, by=OTHER_MERCHANT, title="another tea"),
            sale=sale,
            other_sale=other,
            dispatch=city.dispatch(sale),
            picked_up=city.scan(pb.SHIPMENT_STAGE_PICKED_UP),
            other_dispatch=city.dispatch(other, OTHER_PARCEL),
            other_scan=city.scan(pb.SHIPMENT_STAGE_PICKED_UP, OTHER_PARCEL),
            arrived=city.scan(pb.SHIPMENT_STAGE_ARRIVED),
            delivered=city.scan(pb.SHIPMENT_STAGE_DELIVERED),
            receipt=city.receipt(sale),
            review=review,
            merchant_review=city.review(sale, by=MERCHANT, rating=4),
            follow_up=city.say("buyer", TEA, pb.FollowUp(review=event_id(review), rating=4)),
            complaint=complaint,
            reply=city.reply(complaint),
            resolution=city.resolution(complaint),
            second_key=city.say(MERCHANT, MERCHANT, pb.KeyAddition(public_key=spki["second"])),
            third_key=city.say(PLATFORM, MERCHANT, pb.KeyAddition(public_key=spki["third"])),
            revocation=city.say(
                MERCHANT,
                MERCHANT,
                pb.KeyRevocation(
                    key_id=city.key("second").public_key.key_id, reason=pb.REVOCATION_REASON_SUPERSEDED
                ),
            ),
            suspension=city.say(REGULATOR, OTHER_MERCHANT, _status(pb.PARTY_STATUS_SUSPENDED)),
            regulators_key=city.say(
                REGULATOR, REGULATOR, pb.KeyAddition(public_key=spki["second of the regulator"])
            ),
            reinstatement=city.say(
                "second of the regulator", OTHER_MERCHANT, _status(pb.PARTY_STATUS_ACTIVE, "2029-01-31")
            ),
            member=city.register(MERCHANT_MEMBER, pb.PARTY_ROLE_MERCHANT),
            lot=city.say(MERCHANT_MEMBER, LOT, _listing("lot")),
            lot_sale=city.sale("third buyer", LOT, by="third"),
            recall=city.say("third", LOT, pb.Recall(reason=pb.RECALL_REASON_SAFETY)),
            lost=city.scan(pb.SHIPMENT_STAGE_LOST, OTHER_PARCEL, by=CARRIER_MEMBER),
        )
        yield town


def _status(status: int, until: str = "") -> pb.PartyStatusChange:
    return pb.PartyStatusChange(status=status, reason=pb.STATUS_REASON_VIOLATION, licence_until=until)


def _listing(title: str) -> pb.Listing:
    return pb.Listing(title=title, category=pb.PRODUCT_CATEGORY_FOOD)
