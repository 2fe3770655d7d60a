"""The record of autonomy on SQLite and PostgreSQL, held to its contract."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from adapters.autonomy.base import AutonomyPort
from adapters.autonomy.sqlalchemy import SqlAutonomy
from adapters.database import Database
from tests.contract.autonomy_contract import AutonomyContract


@pytest.mark.integration("store sqlite", "works")
class TestSqliteAutonomy(AutonomyContract):
    @pytest.fixture
    def autonomy(self, tmp_path: Path) -> Iterator[AutonomyPort]:
        database = Database(f"sqlite:///{tmp_path / 'store.db'}")
        yield SqlAutonomy(database)
        database.close()


@pytest.mark.integration("store postgresql", "works")
class TestPostgresAutonomy(AutonomyContract):
    @pytest.fixture
    def autonomy(self, fresh_url: Callable[[], str]) -> Iterator[AutonomyPort]:
        database = Database(fresh_url())
        yield SqlAutonomy(database)
        database.close()
