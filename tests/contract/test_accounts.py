"""Accounts in memory, in a file and on a server, held to their contract."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from adapters.accounts.base import AccountsPort
from adapters.accounts.memory import MemoryAccounts
from adapters.accounts.sqlalchemy import SqlAccounts
from adapters.database import Database
from tests.contract.accounts_contract import AccountsContract
from tests.contract.postgres import server


class TestMemoryAccounts(AccountsContract):
    @pytest.fixture
    def accounts(self) -> AccountsPort:
        return MemoryAccounts()


class TestSqliteAccounts(AccountsContract):
    @pytest.fixture
    def accounts(self, tmp_path: Path) -> Iterator[AccountsPort]:
        database = Database(f"sqlite:///{tmp_path}/store.db")
        yield SqlAccounts(database)
        database.close()


@pytest.fixture(scope="module")
def fresh() -> Iterator[Callable[[], str]]:
    with server() as maker:
        yield maker


class TestPostgresAccounts(AccountsContract):
    @pytest.fixture
    def accounts(self, fresh: Callable[[], str]) -> Iterator[AccountsPort]:
        database = Database(fresh())
        yield SqlAccounts(database)
        database.close()
