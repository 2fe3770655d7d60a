"""The inbox on SQLite and PostgreSQL: its contract, and what it does when the database is away or altered."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from adapters.database import Database
from adapters.inbox.base import Fate, InboxPort
from adapters.inbox.sqlalchemy import SqlInbox
from adapters.store.base import StorePort
from adapters.store.sqlalchemy import SqlStore
from domain.clock import SystemClock
from domain.errors import DependencyError, DependencyLied
from tests.contract.inbox_contract import NOON, Clerk, InboxContract, letter

SQLITE, POSTGRES = "store sqlite", "store postgresql"


class SqlContract(InboxContract):
    @pytest.fixture
    def database(self) -> Iterator[Database]:
        raise NotImplementedError

    @pytest.fixture
    def store(self, database: Database) -> StorePort:
        return SqlStore(database)

    @pytest.fixture
    def inbox(self, database: Database) -> InboxPort:
        return SqlInbox(database, SystemClock(), limit=10_000)

    @pytest.fixture
    def small(self, database: Database) -> InboxPort:
        return SqlInbox(database, SystemClock(), limit=10)


@pytest.mark.integration(SQLITE, "works")
class TestSqliteInbox(SqlContract):
    @pytest.fixture
    def database(self, tmp_path: Path) -> Iterator[Database]:
        database = Database(f"sqlite:///{tmp_path / 'store.db'}")
        yield database
        database.close()


@pytest.mark.integration(POSTGRES, "works")
class TestPostgresInbox(SqlContract):
    @pytest.fixture
    def database(self, fresh_url: Callable[[], str]) -> Iterator[Database]:
        database = Database(fresh_url())
        yield database
        database.close()


@pytest.mark.integration(SQLITE, "lying")
def test_a_letter_that_somebody_damaged_is_set_aside_and_those_behind_it_are_handled(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    database = Database(f"sqlite:///{path}")
    inbox = SqlInbox(database, SystemClock())
    inbox.put([letter("f1"), letter("f2"), letter("f3")])
    with closing(sqlite3.connect(path)) as other, other:
        other.execute("""UPDATE inbox_letters SET body = '{"alert": 7}' WHERE number = 2""")
    turn = inbox.turn(Clerk(), now=NOON)
    assert turn is not None
    assert turn.fates == {Fate.OPENED: 1, Fate.JOINED: 1, Fate.POISON: 1}
    assert "letter 2: it cannot be read" in inbox.aside()[0].reason
    database.close()


@pytest.mark.integration(SQLITE, "lying")
def test_an_inbox_without_its_tables_accepts_nothing(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    database = Database(f"sqlite:///{path}")
    inbox = SqlInbox(database, SystemClock())
    with closing(sqlite3.connect(path)) as other, other:
        other.execute("DROP TABLE inbox_letters")
    with pytest.raises(DependencyLied):
        inbox.put([letter("f1")])
    with pytest.raises(DependencyError):
        inbox.turn(Clerk(), now=NOON)
    database.close()
