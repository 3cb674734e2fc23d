"""Whether entries tell one story: that of a sale, a parcel, a lot, a serial or a drug unit.

A trace is put together by the service from several chains. Its entries may be genuine, each of them, and yet not
belong to the story that was asked for; so what connects each of them with its subject is looked up in the signed
events themselves. Chains that belong to the story as a whole have to be there without a gap: the subject's own chain,
and those of the parcels that a sale was dispatched in. From the product's chain a sale's story takes only its part.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from clients.verify import VerifiedEntry, company_of, mismatch, named_sale, verify_chain
from ledger.chain_key import ChainKey
from ledger.event import Kind


@dataclass(slots=True)
class Story:
    """What belongs to a story."""

    sales: set[bytes]
    """Event ids of the sales that it tells of."""
    whole: set[str]
    """Chains of which every entry belongs to it."""
    offers: set[str] = field(default_factory=set)
    """Chains of the goods: recalls on them belong to it."""
    sold: dict[tuple[str, str], int] = field(default_factory=dict)
    """Who sold what: by company and chain of the goods, the place of its last sale. Its listings of them before that
    belong to it."""
    told: set[bytes] = field(default_factory=set)
    """Event ids of what was found to belong to it, to which later events may refer."""

    @classmethod
    def of_sale(cls, sale: bytes, entries: Sequence[VerifiedEntry]) -> Story:
        """The story of one sale, as its own entries say how far it goes.

        Args:
            sale: event id.
            entries: what is to be verified, attributed to their signers.
        """
        story = cls({sale}, _parcels({sale}, entries))
        story._add_offers(entries)
        return story

    @classmethod
    def of_chain(cls, chain: ChainKey, entries: Sequence[VerifiedEntry]) -> Story:
        """The story of a parcel with the sales in it, or of a lot, serial or drug unit.

        Args:
            chain: what it is about.
            entries: what is to be verified, attributed to their signers.
        """
        if chain.is_parcel:
            sales = {one.sale for one in _dispatches(entries) if one.parcel == chain}
            story = cls(sales, {str(chain)})
        else:
            sales = {
                entry.event.id
                for entry in entries
                if entry.event.kind is Kind.SALE and entry.event.chain == chain
            }
            story = cls(sales, _parcels(sales, entries) | {str(chain)})
            story.offers |= {str(chain), str(chain.product_chain)}
        story._add_offers(entries)
        return story

    def verify(self, entries: Sequence[VerifiedEntry]) -> dict[str, list[VerifiedEntry]]:
        """Verify that these entries, in the order of the log, belong to the story and leave no gap in its chains.

        Returns:
            The entries of each chain that belongs to it as a whole.

        Raises:
            BrokenProof: `BAD_ENTRY` for an entry of another story, or a sale without its entry; `BROKEN_CHAIN` for a
                gap.
        """
        chains: dict[str, list[VerifiedEntry]] = {chain: [] for chain in sorted(self.whole)}
        for entry in entries:
            if not self._take(entry):
                given = f"a {entry.event.kind or 'kind unknown to this version'} on {entry.event.chain}"
                raise mismatch(f"entry {entry.index} of the trace", given, "an entry of this story")
            if entry.event.chain in chains:
                chains[str(entry.event.chain)].append(entry)
        for chain, its_entries in chains.items():
            verify_chain(its_entries, chain)
        sold = {entry.event.id for entry in entries if entry.event.kind is Kind.SALE}
        for sale in sorted(self.sales):
            if sale not in sold:
                raise mismatch(
                    f"entry of sale {sale.hex()} in the trace", "none", "the entry that recorded it"
                )
        return chains

    def select(self, entries: Iterable[VerifiedEntry]) -> list[VerifiedEntry]:
        """Those of these entries, in the order of the log, that belong to the story."""
        return [entry for entry in entries if self._take(entry)]

    def _take(self, entry: VerifiedEntry) -> bool:
        holds = self._holds(entry)
        if holds:
            self.told.add(entry.event.id)
        return holds

    def _holds(self, entry: VerifiedEntry) -> bool:
        event, message = entry.event, entry.event.message
        if event.chain in self.whole:
            return True
        if event.kind is Kind.SALE:
            return event.id in self.sales
        if event.kind is Kind.LISTING:
            return entry.index < self.sold.get((company_of(entry), str(event.chain)), 0)
        if event.kind in {Kind.RECALL, None}:
            return event.chain in self.offers
        if event.kind is Kind.FOLLOW_UP:
            return message.follow_up.review in self.told
        if event.kind is Kind.COMPLAINT_REPLY:
            return message.complaint_reply.complaint in self.told
        if event.kind is Kind.COMPLAINT_RESOLUTION:
            return message.complaint_resolution.complaint in self.told
        if event.kind is Kind.CORRECTION:
            return message.correction.event in self.told
        return named_sale(event) in self.sales

    def _add_offers(self, entries: Sequence[VerifiedEntry]) -> None:
        for entry in entries:
            if (
                entry.event.kind is Kind.SALE
                and entry.event.id in self.sales
                and entry.event.chain.is_product
            ):
                for chain in {str(entry.event.chain), str(entry.event.chain.product_chain)}:
                    self.offers.add(chain)
                    # Entries come in the order of the log, so that the last sale stays.
                    self.sold[company_of(entry), chain] = entry.index


@dataclass(frozen=True, slots=True)
class _Dispatch:
    sale: bytes
    parcel: str


def _dispatches(entries: Iterable[VerifiedEntry]) -> Iterable[_Dispatch]:
    for entry in entries:
        shipment = entry.event.message.shipment
        if entry.event.kind is Kind.SHIPMENT and shipment.parcel:
            yield _Dispatch(shipment.sale, shipment.parcel)


def _parcels(sales: set[bytes], entries: Iterable[VerifiedEntry]) -> set[str]:
    return {one.parcel for one in _dispatches(entries) if one.sale in sales}
