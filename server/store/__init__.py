"""Where the log and its views are kept: SQLAlchemy Core over SQLite or PostgreSQL."""
