"""Overrides in memory, on SQLite and on PostgreSQL, held to one contract."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from adapters.database import Database
from adapters.rules.base import RulesPort
from adapters.rules.memory import MemoryRules
from adapters.rules.sqlalchemy import SqlRules
from tests.contract.postgres import server
from tests.contract.rules_contract import RulesContract, made


class TestMemoryRules(RulesContract):
    @pytest.fixture
    def rules(self) -> RulesPort:
        return MemoryRules()


class TestRulesOnSqlite(RulesContract):
    @pytest.fixture
    def rules(self, tmp_path: Path) -> Iterator[RulesPort]:
        database = Database(f"sqlite:///{tmp_path}/rules.db")
        yield SqlRules(database)
        database.close()

    def test_it_outlives_the_process(self, tmp_path: Path) -> None:
        url = f"sqlite:///{tmp_path}/rules.db"
        for _ in range(2):
            database = Database(url)
            SqlRules(database).add(made())
            assert list(SqlRules(database).overrides()) == [made()]
            database.close()


@pytest.fixture(scope="module")
def fresh() -> Iterator[Callable[[], str]]:
    with server() as fresh:
        yield fresh


class TestRulesOnPostgresql(RulesContract):
    @pytest.fixture
    def rules(self, fresh: Callable[[], str]) -> Iterator[RulesPort]:
        database = Database(fresh())
        yield SqlRules(database)
        database.close()
