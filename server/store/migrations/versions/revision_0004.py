"""Processes that serve one log take turns at writing it."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"

_TEXT = sa.String().with_variant(sa.Text(collation="C"), "postgresql")


def upgrade() -> None:
    """Make the table of the lease. It is empty: the first process that asks has its turn."""
    op.create_table(
        "lease",
        sa.Column("shard", sa.SmallInteger, primary_key=True, autoincrement=False),
        sa.Column("term", sa.BigInteger, nullable=False),
        sa.Column("holder", sa.LargeBinary(16), nullable=False),
        sa.Column("address", _TEXT, nullable=False),
        sa.Column("process", _TEXT, nullable=False),
        sa.Column("renewed_us", sa.BigInteger, nullable=False),
        sa.Column("lasts_us", sa.BigInteger, nullable=False),
    )
