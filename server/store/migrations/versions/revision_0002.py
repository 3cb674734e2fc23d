"""The tables of version 2, as they were made before there were migrations.

It is written out, and not made from `server.store.tables`: that is what the tables are now.
"""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = None

_TEXT = sa.String().with_variant(sa.Text(collation="C"), "postgresql")


def upgrade() -> None:
    """Make them in an empty database."""
    op.create_table("schema_version", sa.Column("version", sa.Integer, primary_key=True, autoincrement=False))
    op.execute("INSERT INTO schema_version (version) VALUES (2)")
    for name, columns, keys in _PLAIN:
        _table(name, columns, keys)
    for name, columns, keys in _WITHOUT_ROWID:
        _table(name, columns, keys, sqlite_with_rowid=False)
    op.create_index("complaints_of_sale", "complaints", ["shard", "sale"])
    op.create_index("dispatches_of_sale", "dispatches", ["shard", "sale"])
    op.create_index(
        "entries_of_sale",
        "entries",
        ["shard", "sale", "idx"],
        sqlite_where=sa.text("sale IS NOT NULL"),
        postgresql_where=sa.text("sale IS NOT NULL"),
    )
    op.create_index("listings_of_chain", "listings", ["shard", "chain", "merchant"])
    op.create_index("keys_of_party", "party_keys", ["shard", "party"])
    op.create_index("sales_of_chain", "sales", ["shard", "chain"])


def _table(name: str, columns: dict[str, sa.types.TypeEngine[Any]], keys: int, **options: bool) -> None:
    """Make a table whose first columns are its key; only `entries.sale` may be null."""
    names = list(columns)
    made = [
        sa.Column(column, kind, autoincrement=False, nullable=(name, column) == ("entries", "sale"))
        for column, kind in columns.items()
    ]
    unique = _UNIQUE if name == "entries" else ()
    constraints = [sa.UniqueConstraint(*of, name=unique_name) for unique_name, of in unique]
    op.create_table(name, *made, sa.PrimaryKeyConstraint(*names[:keys]), *constraints, **options)


_UNIQUE = (
    ("one_entry_per_event", ("shard", "event_id")),
    ("one_entry_per_link", ("shard", "chain", "chain_seq")),
)

_PLAIN: tuple[tuple[str, dict[str, sa.types.TypeEngine[Any]], int], ...] = (
    (
        "entries",
        {
            "shard": sa.SmallInteger(),
            "idx": sa.BigInteger(),
            "data": sa.LargeBinary(),
            "event_id": sa.LargeBinary(32),
            "chain": sa.String(128).with_variant(sa.Text(collation="C"), "postgresql"),
            "chain_seq": sa.BigInteger(),
            "sale": sa.LargeBinary(32),
            "flags": sa.Integer(),
        },
        2,
    ),
    (
        "log_head",
        {
            "shard": sa.SmallInteger(),
            "size": sa.BigInteger(),
            "root": sa.LargeBinary(32),
            "recorded_at_us": sa.BigInteger(),
            "checkpoint": sa.LargeBinary(),
        },
        1,
    ),
    (
        "published",
        {
            "shard": sa.SmallInteger(),
            "size": sa.BigInteger(),
            "checkpoint": sa.LargeBinary(),
            "has_quorum": sa.Boolean(),
        },
        1,
    ),
)
_WITHOUT_ROWID: tuple[tuple[str, dict[str, sa.types.TypeEngine[Any]], int], ...] = (
    (
        "chain_heads",
        {
            "shard": sa.SmallInteger(),
            "chain": _TEXT,
            "length": sa.BigInteger(),
            "head": sa.LargeBinary(),
            "latest_occurred_us": sa.BigInteger(),
        },
        2,
    ),
    (
        "charter",
        {
            "shard": sa.SmallInteger(),
            "chain": _TEXT,
            "origin": _TEXT,
            "format_version": sa.BigInteger(),
            "rules_version": sa.BigInteger(),
            "regulator": _TEXT,
        },
        2,
    ),
    (
        "complaints",
        {
            "shard": sa.SmallInteger(),
            "event_id": sa.LargeBinary(),
            "sale": sa.LargeBinary(),
            "idx": sa.BigInteger(),
        },
        2,
    ),
    (
        "dispatches",
        {"shard": sa.SmallInteger(), "parcel": _TEXT, "sale": sa.LargeBinary(), "idx": sa.BigInteger()},
        3,
    ),
    (
        "listings",
        {
            "shard": sa.SmallInteger(),
            "merchant": _TEXT,
            "chain": _TEXT,
            "event_id": sa.LargeBinary(),
            "idx": sa.BigInteger(),
            "title": _TEXT,
        },
        3,
    ),
    (
        "parties",
        {
            "shard": sa.SmallInteger(),
            "party": _TEXT,
            "role": sa.BigInteger(),
            "name": _TEXT,
            "status": sa.BigInteger(),
            "licence_until": _TEXT,
            "accreditor": _TEXT,
            "registered_index": sa.BigInteger(),
        },
        2,
    ),
    (
        "party_keys",
        {
            "shard": sa.SmallInteger(),
            "key_id": sa.LargeBinary(),
            "public_key": sa.LargeBinary(),
            "party": _TEXT,
            "added_index": sa.BigInteger(),
            "revoked_at_us": sa.BigInteger(),
        },
        2,
    ),
    (
        "purchase_keys",
        {
            "shard": sa.SmallInteger(),
            "key_id": sa.LargeBinary(),
            "public_key": sa.LargeBinary(),
            "sale": sa.LargeBinary(),
            "added_index": sa.BigInteger(),
        },
        2,
    ),
    (
        "recalls",
        {"shard": sa.SmallInteger(), "chain": _TEXT, "event_id": sa.LargeBinary(), "idx": sa.BigInteger()},
        3,
    ),
    (
        "reviews",
        {
            "shard": sa.SmallInteger(),
            "event_id": sa.LargeBinary(),
            "sale": sa.LargeBinary(),
            "by_buyer": sa.Boolean(),
        },
        2,
    ),
    (
        "sales",
        {
            "shard": sa.SmallInteger(),
            "event_id": sa.LargeBinary(),
            "idx": sa.BigInteger(),
            "chain": _TEXT,
            "merchant": _TEXT,
            "listing_index": sa.BigInteger(),
            "buyer_key_id": sa.LargeBinary(),
            "quantity": sa.BigInteger(),
            "occurred_us": sa.BigInteger(),
            "receipt": sa.LargeBinary(),
            "buyer_review": sa.LargeBinary(),
            "merchant_review": sa.LargeBinary(),
        },
        2,
    ),
    (
        "tiles",
        {
            "shard": sa.SmallInteger(),
            "level": sa.SmallInteger(),
            "idx": sa.BigInteger(),
            "data": sa.LargeBinary(),
        },
        3,
    ),
)
