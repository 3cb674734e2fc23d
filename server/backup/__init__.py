"""Backups: the log itself in a file, and a database made from it again."""
