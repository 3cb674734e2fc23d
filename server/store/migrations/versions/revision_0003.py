"""From here on the version of the tables stands where Alembic keeps it."""

from __future__ import annotations

from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Drop what older software read it from: it then refuses the database, and does not write."""
    op.drop_table("schema_version")
