"""Rows of a PostgreSQL that stand for the systems of many platforms: commits to their values, and messages to people.

Nothing in the tables keeps an effect from being made twice: whoever counts them sees it.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple

import sqlalchemy as sa
from sqlalchemy.engine import make_url

_TABLES = sa.MetaData()
_COMMITS = sa.Table(
    "sim_commits",
    _TABLES,
    sa.Column("number", sa.BigInteger, sa.Identity(), primary_key=True),
    sa.Column("site", sa.String(200), index=True),
    sa.Column("key", sa.String(64)),
    sa.Column("revision", sa.String(40)),
    sa.Column("at", sa.DateTime(timezone=True)),
    sa.Column("message", sa.Text),
    sa.Column("trailers", sa.Text),
    sa.Column("text", sa.Text),
)
_MESSAGES = sa.Table(
    "sim_messages",
    _TABLES,
    sa.Column("number", sa.BigInteger, sa.Identity(), primary_key=True),
    sa.Column("key", sa.String(64), index=True),
    sa.Column("cycle_id", sa.String(32)),
)


class CommitRow(NamedTuple):
    """A commit to the values of a site; `trailers` is JSON."""

    site: str
    key: str
    revision: str
    at: datetime
    message: str
    trailers: str
    text: str


class SiteRows:
    """The tables, on the database of `url`."""

    def __init__(self, url: str, *, connections: int = 5) -> None:
        address = make_url(url).set(drivername="postgresql+psycopg")
        self._engine = sa.create_engine(address, pool_size=connections, max_overflow=connections)

    def make(self) -> None:
        """Make the tables that are not there."""
        _TABLES.create_all(self._engine)

    def close(self) -> None:
        """Give the connections back."""
        self._engine.dispose()

    def commits(self, site: str | None = None) -> Sequence[CommitRow]:
        """Return the commits of a site, or of all, oldest first."""
        columns = [_COMMITS.c[name] for name in CommitRow._fields]
        wanted = sa.select(*columns).order_by(_COMMITS.c.number)
        if site is not None:
            wanted = wanted.where(_COMMITS.c.site == site)
        with self._engine.connect() as connection:
            return [CommitRow(*row) for row in connection.execute(wanted)]

    def commit(self, row: CommitRow) -> None:
        """Add a commit."""
        with self._engine.begin() as connection:
            connection.execute(sa.insert(_COMMITS).values(**row._asdict()))

    def send(self, key: str, cycle_id: str) -> None:
        """Send a message."""
        with self._engine.begin() as connection:
            connection.execute(sa.insert(_MESSAGES).values(key=key, cycle_id=cycle_id))

    def sent(self, key: str) -> bool:
        """Return whether a message was sent under the key."""
        with self._engine.connect() as connection:
            return connection.scalar(sa.select(_MESSAGES.c.number).where(_MESSAGES.c.key == key).limit(1)) is not None

    def messages(self) -> Sequence[tuple[str, str]]:
        """Return the cycle and the key of every message."""
        with self._engine.connect() as connection:
            return [(row.cycle_id, row.key) for row in connection.execute(sa.select(_MESSAGES))]

    def size(self) -> int:
        """Return the bytes of the whole database."""
        with self._engine.connect() as connection:
            return int(connection.scalar(sa.text("SELECT pg_database_size(current_database())")) or 0)
