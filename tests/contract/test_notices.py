"""Outboxes, held to their contract."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from adapters.database import Database
from adapters.notices.base import NoticesPort
from adapters.notices.memory import MemoryNotices
from adapters.notices.sqlalchemy import SqlNotices
from tests.contract.notices_contract import NoticesContract


class TestMemoryNotices(NoticesContract):
    @pytest.fixture
    def notices(self) -> NoticesPort:
        return MemoryNotices()


class TestSqliteNotices(NoticesContract):
    @pytest.fixture
    def notices(self, tmp_path: Path) -> Iterator[NoticesPort]:
        database = Database(f"sqlite:///{tmp_path / 'evercrew.db'}")
        yield SqlNotices(database)
        database.close()
