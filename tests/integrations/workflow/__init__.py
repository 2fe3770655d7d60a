"""Durable workflows on DBOS, on SQLite and on PostgreSQL."""
