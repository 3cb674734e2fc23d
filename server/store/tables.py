"""The tables: the log itself, and views of it that a replay rebuilds.

Truth is `entries.data` in the order of `entries.idx`, and the signed checkpoint in `log_head`. All else follows from
them: the other columns of `entries`, the tiles, and one table for each type of record that the rules read
(`ledger.state`). Every key begins with `shard`, so that a distributed database can spread one installation's logs.
"""

from __future__ import annotations

import dataclasses
from typing import Any, get_type_hints

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    SmallInteger,
    String,
    Table,
    Text,
    UniqueConstraint,
)
from sqlalchemy.types import TypeEngine

from ledger.state import (
    ChainHead,
    Charter,
    Complained,
    Dispatched,
    Listed,
    Party,
    PartyKey,
    PurchaseKey,
    Recalled,
    Record,
    Reviewed,
    Sold,
)

SHARD = 0
"""The one shard of this version."""

SCHEMA_VERSION = 4
"""The number of the newest revision in `server/store/migrations`, which leads to the tables below."""

metadata = MetaData()

_TEXT = String().with_variant(Text(collation="C"), "postgresql")
"""Texts have the same order everywhere, that of their UTF-8 bytes; PostgreSQL would sort by the customs of a country."""

log_head = Table(
    "log_head",
    metadata,
    Column("shard", SmallInteger, primary_key=True, autoincrement=False),
    Column("size", BigInteger, nullable=False),
    Column("root", LargeBinary(32), nullable=False),
    Column("recorded_at_us", BigInteger, nullable=False),
    # The signed note of exactly this size and root.
    Column("checkpoint", LargeBinary, nullable=False),
)

published = Table(
    "published",
    metadata,
    Column("shard", SmallInteger, primary_key=True, autoincrement=False),
    Column("size", BigInteger, nullable=False),
    # The signed note of an earlier head, with the cosignatures of the log's witnesses. There is a row only while the
    # service has witnesses.
    Column("checkpoint", LargeBinary, nullable=False),
    # Whether they are a quorum; until the first one is, the log is shown as it stood when it began to ask for them.
    Column("has_quorum", Boolean, nullable=False),
)

lease = Table(
    "lease",
    metadata,
    Column("shard", SmallInteger, primary_key=True, autoincrement=False),
    # Who may write now, and for how long without a word. It is no part of the log, and nothing is lost with it.
    Column("term", BigInteger, nullable=False),
    Column("holder", LargeBinary(16), nullable=False),
    Column("address", _TEXT, nullable=False),
    Column("process", _TEXT, nullable=False),
    Column("renewed_us", BigInteger, nullable=False),
    Column("lasts_us", BigInteger, nullable=False),
)

entries = Table(
    "entries",
    metadata,
    Column("shard", SmallInteger, primary_key=True, autoincrement=False),
    Column("idx", BigInteger, primary_key=True, autoincrement=False),
    Column("data", LargeBinary, nullable=False),
    # From here on derived from data and what came before it.
    Column("event_id", LargeBinary(32), nullable=False),
    Column("chain", String(128).with_variant(Text(collation="C"), "postgresql"), nullable=False),
    Column("chain_seq", BigInteger, nullable=False),
    # Event id of the sale that the event is part of.
    Column("sale", LargeBinary(32)),
    # Bit n is set if the event has flag n of suyuan.v1.EventFlag.
    Column("flags", Integer, nullable=False),
    UniqueConstraint("shard", "event_id", name="one_entry_per_event"),
    UniqueConstraint("shard", "chain", "chain_seq", name="one_entry_per_link"),
)
Index(
    "entries_of_sale",
    entries.c.shard,
    entries.c.sale,
    entries.c.idx,
    sqlite_where=entries.c.sale.is_not(None),
    postgresql_where=entries.c.sale.is_not(None),
)

tiles = Table(
    "tiles",
    metadata,
    Column("shard", SmallInteger, primary_key=True, autoincrement=False),
    Column("level", SmallInteger, primary_key=True, autoincrement=False),
    Column("idx", BigInteger, primary_key=True, autoincrement=False),
    # 1 to 256 hashes of 32 bytes; a partial tile grows in place.
    Column("data", LargeBinary, nullable=False),
    sqlite_with_rowid=False,
)

_TYPES: dict[type, TypeEngine[Any]] = {
    str: _TEXT,
    bytes: LargeBinary(),
    int: BigInteger(),
    bool: Boolean(),
}


def _record_table(name: str, record_type: type[Record]) -> Table:
    """A table with a column for each field of a record."""
    hints = get_type_hints(record_type)
    columns = [
        Column(
            # INDEX is a word of SQL.
            "idx" if field.name == "index" else field.name,
            _TYPES[hints[field.name]],
            primary_key=field.name in record_type.key_fields,
            key=field.name,
            nullable=False,
            autoincrement=False,
        )
        for field in dataclasses.fields(record_type)
    ]
    # Key columns first, in the key's order.
    keys = [next(column for column in columns if column.key == key) for key in record_type.key_fields]
    rest = [column for column in columns if column not in keys]
    shard = Column("shard", SmallInteger, primary_key=True, autoincrement=False)
    return Table(name, metadata, shard, *keys, *rest, sqlite_with_rowid=False)


RECORDS: dict[type[Any], Table] = {
    Charter: _record_table("charter", Charter),
    Party: _record_table("parties", Party),
    PartyKey: _record_table("party_keys", PartyKey),
    PurchaseKey: _record_table("purchase_keys", PurchaseKey),
    ChainHead: _record_table("chain_heads", ChainHead),
    Listed: _record_table("listings", Listed),
    Sold: _record_table("sales", Sold),
    Dispatched: _record_table("dispatches", Dispatched),
    Reviewed: _record_table("reviews", Reviewed),
    Complained: _record_table("complaints", Complained),
    Recalled: _record_table("recalls", Recalled),
}
"""The table of each type of record. `Recorded` has none of its own: `entries` holds it."""

Index("keys_of_party", RECORDS[PartyKey].c.shard, RECORDS[PartyKey].c.party)
Index("listings_of_chain", RECORDS[Listed].c.shard, RECORDS[Listed].c.chain, RECORDS[Listed].c.merchant)
Index("dispatches_of_sale", RECORDS[Dispatched].c.shard, RECORDS[Dispatched].c.sale)
Index("sales_of_chain", RECORDS[Sold].c.shard, RECORDS[Sold].c.chain)
Index("complaints_of_sale", RECORDS[Complained].c.shard, RECORDS[Complained].c.sale)

PROJECTIONS: tuple[Table, ...] = (tiles, *RECORDS.values())
"""Tables that can be emptied and rebuilt from the log."""
