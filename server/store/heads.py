"""Chain heads, read from their table and compared with the log.

A new entry carries its chain's head for ever: nobody can mend a link once it is signed. So a head that is read is
looked up in the log itself: the chain's last entry must be there, its bytes must say which chain and place they are
of, its hash must be the head and the leaf that the tree has for it, and the place after it must be free.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from google.protobuf.message import DecodeError
from sqlalchemy import Connection, Integer, and_, cast, func, select

from ledger.errors import Reason, ServiceFault
from ledger.merkle import HASH_SIZE, leaf_hash
from ledger.state import ChainHead
from ledger.tiles import TILE_WIDTH
from server.store.lookup import rows_at
from server.store.records import chunks, find
from server.store.tables import RECORDS, SHARD, entries, tiles
from suyuan.v1 import entry_pb2, event_pb2

_CHUNK = 500
"""Chains that are looked up in one statement."""

_heads = RECORDS[ChainHead]
_beyond = entries.alias("beyond")

_LEAF = func.substr(tiles.c.data, cast(1 + HASH_SIZE * (entries.c.idx % TILE_WIDTH), Integer), HASH_SIZE)
_LAST = (
    select(_heads.c.chain, entries.c.data, _LEAF.label("leaf"), _beyond.c.chain.label("beyond"))
    .select_from(_heads)
    .outerjoin(
        entries,
        and_(
            entries.c.shard == SHARD,
            entries.c.chain == _heads.c.chain,
            entries.c.chain_seq == _heads.c.length - 1,
        ),
    )
    .outerjoin(
        tiles,
        and_(tiles.c.shard == SHARD, tiles.c.level == 0, tiles.c.idx == entries.c.idx // TILE_WIDTH),
    )
    .outerjoin(
        _beyond,
        and_(
            _beyond.c.shard == SHARD,
            _beyond.c.chain == _heads.c.chain,
            _beyond.c.chain_seq == _heads.c.length,
        ),
    )
    .where(_heads.c.shard == SHARD)
)
"""For each head the last entry of its chain, the tree's leaf for that entry, and whether there is an entry beyond."""


def find_heads(connection: Connection, chains: Iterable[str]) -> dict[str, ChainHead | ServiceFault]:
    """The heads of these chains, where they have entries, or how what the database holds of a chain is damaged."""
    found: dict[str, ChainHead | ServiceFault] = {}
    for chunk in chunks(chains, _CHUNK):
        read = find(connection, ChainHead, chunk)
        if read:
            for row in connection.execute(_LAST.where(_heads.c.chain.in_(list(read)))):
                head = read[row.chain]
                if isinstance(head, ChainHead):
                    read[row.chain] = _compared(head, row)
        found |= read | _headless(connection, [chain for chain in chunk if chain not in read])
    return found


def _compared(head: ChainHead, row: Any) -> ChainHead | ServiceFault:
    if row.beyond is not None:
        return _damaged(head.chain, "an entry more", f"{head.length} entries, as in chain_heads")
    if not isinstance(row.data, bytes):
        return _damaged(head.chain, "no last entry", f"{head.length} entries, as in chain_heads")
    last = leaf_hash(row.data)
    for what, given in (("in chain_heads", head.head), ("in the tree", row.leaf)):
        if given != last:
            shown = given.hex() if isinstance(given, bytes) else "no hash"
            return _damaged(head.chain, f"{shown} {what}", f"{last.hex()}, the hash of the last entry")
    given = _place(row.data)
    if given != (head.chain, head.length - 1):
        return _damaged(
            head.chain, f"the hash of entry {given[1]} of {given[0]}", f"that of entry {head.length - 1}"
        )
    return head


def _place(data: bytes) -> tuple[str, int]:
    """Chain and `chain_seq` of an entry whose bytes the tree vouches for, so that it need not be judged again."""
    try:
        entry = entry_pb2.Entry.FromString(data)
        envelope = entry_pb2.Envelope.FromString(entry.envelope)
        return event_pb2.Event.FromString(envelope.payload).chain, entry.chain_seq
    except DecodeError:
        return "something else", 0


def _headless(connection: Connection, chains: Iterable[str]) -> dict[str, ServiceFault]:
    """Chains that have entries although the table knows no head of theirs."""
    first = (entries.c.chain, entries.c.chain_seq)
    there = rows_at(connection, (entries.c.chain,), first, [(chain, 0) for chain in chains])
    return {chain: _damaged(chain, "none in chain_heads", "that of its entries") for (chain,) in there}


def _damaged(chain: str, given: str, expected: str) -> ServiceFault:
    return ServiceFault(Reason.STORE_DAMAGED, f"head of {chain}", given=given, expected=expected)
