"""Stores, held to their contract."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from adapters.store.base import StorePort
from adapters.store.memory import MemoryStore
from adapters.store.sqlalchemy import SqlStore
from tests.contract.postgres import server
from tests.contract.store_contract import StoreContract


class TestMemoryStore(StoreContract):
    @pytest.fixture
    def store(self) -> StorePort:
        return MemoryStore()


class TestSqliteStore(StoreContract):
    @pytest.fixture
    def store(self, tmp_path: Path) -> Iterator[StorePort]:
        store = SqlStore(f"sqlite:///{tmp_path / 'store.db'}")
        yield store
        store.close()


@pytest.fixture(scope="module")
def fresh_url() -> Iterator[Callable[[], str]]:
    with server() as fresh:
        yield fresh


class TestPostgresStore(StoreContract):
    @pytest.fixture
    def store(self, fresh_url: Callable[[], str]) -> Iterator[StorePort]:
        store = SqlStore(fresh_url())
        yield store
        store.close()
