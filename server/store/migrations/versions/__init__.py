"""Revisions, one for each version of the tables: `revision_NNNN.py` leads from the one before to version NNNN."""
