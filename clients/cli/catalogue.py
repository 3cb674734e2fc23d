"""The catalogue check as commands do it: they tell what the ledger knows of a code, and ask where it is in doubt."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Final

from clients.catalogue import Standing, look_up
from clients.cli.codes import Subject
from clients.cli.output import local_text, note, shown
from ledger.chain_key import ChainKey
from ledger.errors import BadInput, Reason, ServiceFault

if TYPE_CHECKING:
    from clients.cli.session import Signing
    from clients.verify import VerifiedEntry

_SHOWN: Final = 3
"""Listings that are told of one code."""


def check(session: Signing, subjects: Sequence[Subject]) -> list[Standing]:
    """Look up what is about to be signed, tell what is known of it, and return what is in doubt.

    Where nobody sits at a terminal only that is told which is in doubt, or was read from a picture. Parcels are looked up only if they were read from pictures: their numbers run on, and none is a misreading only
    because another is there.

    Raises:
        BrokenProof: the service's answer did not verify.
    """
    asked = [subject for subject in subjects if subject.from_picture or subject.chain.is_product]
    if not asked:
        return []
    client = session.client
    try:
        standings = look_up(client, [subject.chain for subject in asked])
    except ServiceFault as error:
        note(f"Not checked against what the ledger knows: {shown(str(error))}")
        return []
    told = {subject.chain for subject in asked if subject.from_picture or sys.stdin.isatty()}
    for standing in standings:
        if standing.in_doubt or standing.chain in told:
            for line in _lines(standing):
                note(line)
    return [standing for standing in standings if standing.in_doubt]


def doubt(subjects: Iterable[Subject], doubtful: Sequence[Standing]) -> BadInput:
    """Why nothing was signed: what is in doubt, and nobody was there to ask."""
    standing = doubtful[0]
    source = next(subject.source for subject in subjects if subject.chain == standing.chain)
    near = ", ".join(_chains(standing.near))
    return BadInput(
        Reason.AMBIGUOUS_CODE,
        f"barcode {shown(source)}",
        given=f"{standing.chain}, which was never seen in this ledger and may be a misreading of {near}",
        expected="one that is known; or the answer of somebody who compared it with what is printed: at a terminal "
        "without --yes, or --sure",
    )


def _lines(standing: Standing) -> Iterator[str]:
    chain = standing.chain
    if standing.listings:
        yield from (f"{chain}: {_offer(chain, entry)}" for entry in standing.listings[:_SHOWN])
        if len(standing.listings) > _SHOWN:
            yield f"{chain}: listed by others too"
    elif standing.entries:
        [first] = standing.entries
        yield f"{chain}: in this ledger since {local_text(first.entry.recorded_at_us)}"
    else:
        yield f"{chain}: never seen in this ledger"
    if standing.in_doubt:
        yield "It may be a misreading of what is listed; compare every digit with what is printed:"
        for entry in standing.near[:_SHOWN]:
            yield f"  {entry.event.chain}, {_offer(entry.event.chain, entry)}"
        if len(standing.near) > _SHOWN:
            yield f"  and {len(standing.near) - _SHOWN} more"


def _offer(chain: ChainKey, entry: VerifiedEntry) -> str:
    """Who lists a product, or that of which it is a part, and as what."""
    whole = "" if entry.event.chain == chain else "its product is "
    return f"{whole}listed by {entry.signer} as {shown(entry.event.message.listing.title)}"


def _chains(entries: Iterable[VerifiedEntry]) -> list[str]:
    return list(dict.fromkeys(str(entry.event.chain) for entry in entries))
