"""Reading the log: chains, stories, single entries, and everything in order."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from clients.answers import History, Trace
from clients.session import Session
from clients.story import Story
from clients.verify import VerifiedEntry, broken_chain, mismatch, verify_chain
from ledger.chain_key import ChainKey
from ledger.errors import BadInput, Conflict, Reason
from ledger.merkle import HASH_SIZE, MAX_TREE_SIZE
from suyuan.v1 import ledger_service_pb2 as pb

HISTORY_PAGE = 100
"""Entries of a chain that are asked for at a time: with what belongs to them they fit into one answer, however long."""

ENTRIES_PAGE = 1_000


Progress = Callable[[int, int], None]
"""Is told how many are done, and how many there are."""


def no_progress(done: int, total: int) -> None:
    """Nobody is watching."""


def history(session: Session, chain: ChainKey, progress: Progress = no_progress) -> History:
    """As `LedgerClient.history`."""
    seen = session.heads.find(chain)
    entries: list[VerifiedEntry] = []
    while True:
        request = pb.GetHistoryRequest(
            chain=chain, start_seq=len(entries), page_size=HISTORY_PAGE, with_registrations=True
        )
        try:
            answer, checkpoint = session.ask(session.transport.ledger.GetHistory, request)
        except Conflict as error:
            if error.reason is Reason.NOT_FOUND and (entries or seen):
                raise broken_chain(f"history of {chain}", "none", "entries: some were seen before") from error
            raise
        if len(answer.entries) > HISTORY_PAGE:
            raise mismatch("entries on a page", len(answer.entries), f"at most {HISTORY_PAGE}")
        page = session.attribute(answer.entries, checkpoint, answer.registrations)
        verify_chain(page, chain, after=entries[-1] if entries else None)
        entries += page
        progress(len(entries), answer.chain_length)
        if not page or len(entries) >= answer.chain_length:
            break
    if not entries or len(entries) != answer.chain_length:
        expected = f"{answer.chain_length or 'at least 1'}, as the answer says"
        raise broken_chain(f"entries of {chain}", len(entries), expected)
    session.heads.require_whole(chain, entries, checkpoint.size)
    session.heads.note(entries)
    return History(tuple(entries), chain, checkpoint)


def trace_sale(session: Session, sale: bytes) -> Trace:
    """As `LedgerClient.trace`, of a sale."""
    require_hash("event id of a sale", sale)
    return _trace(session, pb.GetTraceRequest(sale=sale, with_registrations=True))


def trace_chain(session: Session, chain: ChainKey) -> Trace:
    """As `LedgerClient.trace`, of a chain."""
    if not (chain.is_parcel or chain.is_product):
        expected = "a parcel, lot, serial or drug unit"
        raise BadInput(Reason.INVALID_REQUEST, "chain of a trace", given=chain, expected=expected)
    seen = session.heads.find(chain)
    try:
        return _trace(session, pb.GetTraceRequest(chain=chain, with_registrations=True), chain)
    except Conflict as error:
        if error.reason is Reason.NOT_FOUND and seen:
            raise broken_chain(f"trace of {chain}", "none", "entries: some were seen before") from error
        raise


def entry_at(session: Session, index: int) -> VerifiedEntry:
    """As `LedgerClient.entry`, by its place."""
    require_number("index", index)
    known = session.follower.newest()
    try:
        answer, checkpoint = session.ask(session.transport.ledger.GetEntry, pb.GetEntryRequest(index=index))
    except Conflict as error:
        if error.reason is Reason.NOT_FOUND and known is not None and index < known.size:
            raise mismatch(
                f"entry {index}", "none", f"one of the {known.size} of a checkpoint seen before"
            ) from error
        raise
    if answer.entry.index != index:
        raise mismatch("index of the entry answered", answer.entry.index, f"{index}, as asked")
    [entry] = session.attribute([answer.entry], checkpoint)
    session.heads.note([entry])
    return entry


def entry_of(session: Session, event_id: bytes) -> VerifiedEntry:
    """As `LedgerClient.entry`, by its event."""
    require_hash("event id", event_id)
    request = pb.GetEntryRequest(event_id=event_id)
    answer, checkpoint = session.ask(session.transport.ledger.GetEntry, request)
    [entry] = session.attribute([answer.entry], checkpoint)
    if entry.event.id != event_id:
        raise mismatch("id of the event answered", entry.event.id.hex(), f"{event_id.hex()}, as asked")
    session.heads.note([entry])
    return entry


def all_entries(session: Session, start: int, size: int | None) -> Iterator[tuple[bytes, bytes]]:
    """As `LedgerClient.entries`."""
    while size is None or start < size:
        asked = ENTRIES_PAGE if size is None else min(ENTRIES_PAGE, size - start)
        request = pb.ListEntriesRequest(start=start, page_size=asked)
        answer, checkpoint = session.ask(session.transport.ledger.ListEntries, request)
        if size is None:
            size = checkpoint.size
        elif size > checkpoint.size:
            raise BadInput(
                Reason.INVALID_REQUEST, "tree size", given=size, expected=f"at most {checkpoint.size}"
            )
        found = len(answer.entries)
        if found > asked or found != len(answer.leaf_hashes) or (not found and start < size):
            given = f"{found} entries and {len(answer.leaf_hashes)} leaf hashes"
            raise mismatch(f"entries from {start}", given, f"1 to {asked} and as many")
        for data, leaf_hash in zip(answer.entries, answer.leaf_hashes, strict=True):
            if len(leaf_hash) != HASH_SIZE:
                raise mismatch(f"leaf hash {start}", f"{len(leaf_hash)} bytes", f"{HASH_SIZE} bytes")
            yield data, leaf_hash
            start += 1


def require_hash(subject: str, value: bytes) -> None:
    """Refuse what cannot be a SHA-256.

    Raises:
        BadInput: `INVALID_REQUEST`.
    """
    if len(value) != HASH_SIZE:
        raise BadInput(
            Reason.INVALID_REQUEST, subject, given=f"{len(value)} bytes", expected=f"{HASH_SIZE} bytes"
        )


def require_number(subject: str, number: int, least: int = 0) -> None:
    """Refuse what cannot be an index or size.

    Raises:
        BadInput: `INVALID_REQUEST`.
    """
    if not least <= number <= MAX_TREE_SIZE:
        raise BadInput(Reason.INVALID_REQUEST, subject, given=number, expected=f"{least} to 2**63 - 1")


def _trace(session: Session, request: pb.GetTraceRequest, chain: ChainKey | None = None) -> Trace:
    answer, checkpoint = session.ask(session.transport.ledger.GetTrace, request)
    entries = session.attribute(answer.entries, checkpoint, answer.registrations)
    story = Story.of_sale(request.sale, entries) if chain is None else Story.of_chain(chain, entries)
    for whole, its_entries in story.verify(entries).items():
        # A parcel that nobody has scanned yet has the story of the sales that were dispatched in it.
        if whole == chain and not its_entries and not (chain.is_parcel and entries):
            raise mismatch(f"entries of {chain} in its trace", "none", "at least one")
        session.heads.require_whole(whole, its_entries, checkpoint.size)
    session.heads.note(entries)
    return Trace(entries, checkpoint)
