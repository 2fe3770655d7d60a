"""The outbox on SQLite and PostgreSQL: its contract, and what it does when the database is altered or away."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from adapters.database import Database
from adapters.notices.base import NoticesPort
from adapters.notices.sqlalchemy import SqlNotices
from domain.errors import DependencyError, DependencyLied
from tests.contract.notices_contract import LEASE, NOW, NoticesContract, notice

SQLITE, POSTGRES = "store sqlite", "store postgresql"


@pytest.mark.integration(POSTGRES, "works")
class TestPostgresNotices(NoticesContract):
    @pytest.fixture
    def notices(self, fresh_url: Callable[[], str]) -> Iterator[NoticesPort]:
        database = Database(fresh_url())
        yield SqlNotices(database)
        database.close()


@pytest.mark.integration(SQLITE, "lying")
def test_a_notice_that_somebody_damaged_is_named_and_nothing_is_guessed(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    database = Database(f"sqlite:///{path}")
    notices = SqlNotices(database)
    notices.put([notice()], now=NOW)
    with closing(sqlite3.connect(path)) as other, other:
        other.execute("""UPDATE notices SET content = '{"kind": 7}'""")
    with pytest.raises(DependencyLied, match="a row cannot be read"):
        notices.take("slack", now=NOW, lease=LEASE, most=1)
    database.close()


@pytest.mark.integration(SQLITE, "lying")
def test_an_outbox_without_its_tables_takes_nothing(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    database = Database(f"sqlite:///{path}")
    notices = SqlNotices(database)
    with closing(sqlite3.connect(path)) as other, other:
        other.execute("DROP TABLE notices")
    with pytest.raises(DependencyLied):
        notices.put([notice()], now=NOW)
    with pytest.raises(DependencyError):
        notices.follow("audit", after=None, upto=7, notices=[notice()], now=NOW)
    assert notices.cursor("audit") is None
    database.close()
