"""The catalogue check: what the ledger knows of a code that somebody is about to sign.

An event is signed once and stays for ever, and a code may have been misread although its check digit holds. So before
a client signs, it looks the code up, and with it every product that one slip makes of it (`ledger.misreading`). A code
that nobody has ever used, one slip away from a product that somebody lists, is in doubt: whoever signs should compare
it with what is printed.

This is a help and no rule. What may be recorded the rules decide; and that something was never seen is the service's
word, as all that it leaves out.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from clients.verify import VerifiedEntry
from ledger.chain_key import ChainKey
from ledger.event import Kind
from ledger.misreading import near_products

if TYPE_CHECKING:
    from clients.sdk import LedgerClient


@dataclass(frozen=True, slots=True)
class Standing:
    """What the ledger knows of a code."""

    chain: ChainKey
    entries: tuple[VerifiedEntry, ...]
    """Listings of the chain, or of the product that it is a lot or an item of; else the first entry of one of the two."""
    near: tuple[VerifiedEntry, ...] = ()
    """Of a code that was never seen: listings of products that it may be a misreading of."""

    @property
    def listings(self) -> tuple[VerifiedEntry, ...]:
        """Who offers it."""
        return tuple(entry for entry in self.entries if entry.event.kind is Kind.LISTING)

    @property
    def in_doubt(self) -> bool:
        """Whether it looks like a misreading."""
        return bool(self.near)


def look_up(client: LedgerClient, chains: Iterable[ChainKey]) -> list[Standing]:
    """What the ledger knows of these codes, in their order; each once.

    Raises:
        ServiceFault: it did not answer.
        BrokenProof: its answer did not verify.
    """
    wanted = list(dict.fromkeys(chains))
    own = list(dict.fromkeys(one for chain in wanted for one in _own(chain)))
    near = {chain: near_products(chain) for chain in wanted}
    # What is asked about comes first, so that however much there is of what is near, nothing of it is left out.
    found = client.look_up([*own, *(other for others in near.values() for other in others)])
    standings = []
    for chain in wanted:
        entries = max((found.get(one, ()) for one in _own(chain)), key=_weight)
        beside = () if entries else tuple(_listings(found, near[chain]))
        standings.append(Standing(chain, entries, beside))
    return standings


def _own(chain: ChainKey) -> tuple[ChainKey, ...]:
    """A chain and, where it is a part of a product, the product's."""
    return (chain, chain.product_chain) if chain.is_product and chain.product_chain != chain else (chain,)


def _weight(entries: tuple[VerifiedEntry, ...]) -> int:
    """Listings say more than a first entry, and that more than nothing."""
    return 2 if any(entry.event.kind is Kind.LISTING for entry in entries) else len(entries)


def _listings(
    found: dict[ChainKey, tuple[VerifiedEntry, ...]], chains: Iterable[ChainKey]
) -> Iterable[VerifiedEntry]:
    for chain in chains:
        yield from (entry for entry in found.get(chain, ()) if entry.event.kind is Kind.LISTING)
