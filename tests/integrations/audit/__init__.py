"""The audit chain on SQLite."""
