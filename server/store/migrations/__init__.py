"""How tables of an older version become those of `server.store.tables` (Alembic).

A new version is a revision beside the others, the same change in `server.store.tables`, and `SCHEMA_VERSION`. Revisions
only go forward: the way back is a backup. The tests compare what they lead to with the tables, on both databases.
"""
