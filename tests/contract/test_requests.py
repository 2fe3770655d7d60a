"""Requests in memory, on SQLite and on PostgreSQL, held to one contract."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from adapters.database import Database
from adapters.requests.base import RequestsPort
from adapters.requests.memory import MemoryRequests
from adapters.requests.sqlalchemy import SqlRequests
from tests.contract.postgres import server
from tests.contract.requests_contract import DONE, LEASE, NOON, RequestsContract, begun


class TestMemoryRequests(RequestsContract):
    @pytest.fixture
    def requests(self) -> RequestsPort:
        return MemoryRequests()


class TestRequestsOnSqlite(RequestsContract):
    @pytest.fixture
    def requests(self, tmp_path: Path) -> Iterator[RequestsPort]:
        database = Database(f"sqlite:///{tmp_path}/requests.db")
        yield SqlRequests(database)
        database.close()

    def test_it_outlives_the_process(self, tmp_path: Path) -> None:
        url = f"sqlite:///{tmp_path}/requests.db"
        for again in (False, True):
            database = Database(url)
            requests = SqlRequests(database)
            if again:
                assert requests.begin("ann", "k", "hash", at=NOON, lease=LEASE) == DONE
            else:
                assert requests.finish(begun(requests), DONE, at=NOON)
            database.close()


@pytest.fixture(scope="module")
def fresh() -> Iterator[Callable[[], str]]:
    with server() as fresh:
        yield fresh


class TestRequestsOnPostgresql(RequestsContract):
    @pytest.fixture
    def requests(self, fresh: Callable[[], str]) -> Iterator[RequestsPort]:
        database = Database(fresh())
        yield SqlRequests(database)
        database.close()
