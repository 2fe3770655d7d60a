"""Conversations on SQLite and PostgreSQL, held to their contract."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from adapters.conversations.base import ConversationsPort
from adapters.conversations.sqlalchemy import SqlConversations
from adapters.database import Database
from tests.contract.conversations_contract import ConversationsContract


@pytest.mark.integration("store sqlite", "works")
class TestSqliteConversations(ConversationsContract):
    @pytest.fixture
    def kept(self, tmp_path: Path) -> Iterator[ConversationsPort]:
        database = Database(f"sqlite:///{tmp_path / 'store.db'}")
        yield SqlConversations(database)
        database.close()


@pytest.mark.integration("store postgresql", "works")
class TestPostgresConversations(ConversationsContract):
    @pytest.fixture
    def kept(self, fresh_url: Callable[[], str]) -> Iterator[ConversationsPort]:
        database = Database(fresh_url())
        yield SqlConversations(database)
        database.close()
