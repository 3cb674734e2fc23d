"""Taking an entry of one's own log again: what it leaves behind, as when it was recorded.

A replay checks links and rules, since views that were built from a log which breaks its own rules would be worth
nothing. It trusts that signatures, times and doubles were checked when the entry was recorded, and that the caller
compares the root. To judge a log that may be anything, there is `ledger.audit`.
"""

from __future__ import annotations

from ledger.entry import Entry
from ledger.envelope import Envelope
from ledger.errors import BrokenProof, Reason
from ledger.event import Event
from ledger.merkle import leaf_hash
from ledger.rules import identify, judge
from ledger.sequence import Sequenced, next_link, settle
from ledger.state import State


def replay(index: int, data: bytes, state: State) -> Sequenced:
    """Judge entry number `index` again, and put what it leaves behind.

    Args:
        index: its place in the log.
        data: its bytes.
        state: what the entries before it have led to; receives the changes.

    Raises:
        LedgerError: it does not follow from the entries before it; the message says how.
    """
    entry = Entry.parse(data)
    envelope = Envelope.parse(entry.envelope)
    event = Event.parse(envelope.payload)
    link = next_link(event.chain, state)
    if (entry.chain_seq, entry.previous) != link:
        raise BrokenProof(
            Reason.BROKEN_CHAIN,
            f"link in {event.chain}",
            given=f"{entry.chain_seq} after {entry.previous.hex() or 'nothing'}",
            expected=f"{link[0]} after {link[1].hex() or 'nothing'}",
        )
    signer = identify(event, envelope.key_id, state)
    judgement = judge(event, signer, state, index=index, recorded_at_us=entry.recorded_at_us)
    entry_hash = leaf_hash(data)
    recorded = settle(event, signer, judgement, entry=entry, entry_hash=entry_hash, index=index, state=state)
    return Sequenced(entry, data, entry_hash, recorded)
