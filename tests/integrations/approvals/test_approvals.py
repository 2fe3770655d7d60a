"""Approvals on SQLite and PostgreSQL: their contract, two processes at once, and a database that is away or altered."""

from __future__ import annotations

import multiprocessing
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from multiprocessing.synchronize import Barrier
from pathlib import Path

import pytest

from adapters.approvals.base import ApprovalsPort
from adapters.approvals.sqlalchemy import SqlApprovals
from adapters.database import Database
from domain.errors import DependencyError, DependencyLied, DependencyUnavailable
from tests.contract.approvals_contract import NOON, ApprovalsContract, asked, ballot

SQLITE, POSTGRES = "store sqlite", "store postgresql"


@pytest.mark.integration(SQLITE, "works")
class TestSqliteApprovals(ApprovalsContract):
    @pytest.fixture
    def approvals(self, tmp_path: Path) -> Iterator[ApprovalsPort]:
        database = Database(f"sqlite:///{tmp_path / 'store.db'}")
        yield SqlApprovals(database)
        database.close()


@pytest.mark.integration(POSTGRES, "works")
class TestPostgresApprovals(ApprovalsContract):
    @pytest.fixture
    def approvals(self, fresh_url: Callable[[], str]) -> Iterator[ApprovalsPort]:
        database = Database(fresh_url())
        yield SqlApprovals(database)
        database.close()


def race(url: str, identity: str, key: str, both: Barrier, won: multiprocessing.Queue[str]) -> None:
    """Try to use the approval at the same moment as the other process."""
    database = Database(url)
    both.wait(30)
    if SqlApprovals(database).use(identity, key=key, at=NOON) is not None:
        won.put(key)
    database.close()


def _raced(url: str) -> list[str]:
    database = Database(url)
    approvals = SqlApprovals(database)
    winners = []
    context = multiprocessing.get_context("spawn")
    request = approvals.open(asked())
    approvals.vote(request.id, ballot("Ann"))
    both, won = context.Barrier(2), context.Queue()
    racers = [context.Process(target=race, args=(url, request.id, f"k-{n}", both, won)) for n in range(2)]
    for racer in racers:
        racer.start()
    for racer in racers:
        racer.join(60)
    assert [racer.exitcode for racer in racers] == [0, 0]
    while not won.empty():
        winners.append(won.get())
    kept = approvals.request(request.id)
    assert kept is not None
    assert winners == [kept.used_by]
    database.close()
    return winners


@pytest.mark.integration(SQLITE, "works")
def test_two_processes_racing_for_one_approval_on_sqlite_one_gets_it(tmp_path: Path) -> None:
    assert len(_raced(f"sqlite:///{tmp_path / 'store.db'}")) == 1


@pytest.mark.integration(POSTGRES, "works")
def test_two_processes_racing_for_one_approval_on_postgresql_one_gets_it(fresh_url: Callable[[], str]) -> None:
    assert len(_raced(fresh_url())) == 1


@pytest.mark.integration(SQLITE, "refused")
def test_approvals_that_cannot_be_reached_are_an_error_and_never_an_answer(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    database = Database(f"sqlite:///{path}")
    approvals = SqlApprovals(database)
    request = approvals.open(asked())
    approvals.vote(request.id, ballot("Ann"))
    database.close()
    for name in (path, path.with_name("store.db-wal"), path.with_name("store.db-shm")):
        name.unlink(missing_ok=True)
    path.mkdir()
    for call in (
        lambda: approvals.use(request.id, key="k-1", at=NOON),
        lambda: approvals.open(asked()),
        lambda: approvals.requests(),
    ):
        with pytest.raises(DependencyUnavailable):
            call()


@pytest.mark.integration(SQLITE, "lying")
@pytest.mark.parametrize(
    "change",
    [
        "UPDATE approval_requests SET body = replace(body, 'promote', 'roll_back')",
        "UPDATE approval_requests SET body = replace(body, 'aaaa', 'aaab')",
        "UPDATE approval_requests SET body = '{}'",
        "UPDATE approval_votes SET body = replace(body, 'approve', 'perhaps')",
        "DROP TABLE approval_votes",
    ],
)
def test_a_request_that_somebody_else_altered_opens_nothing(tmp_path: Path, change: str) -> None:
    path = tmp_path / "store.db"
    database = Database(f"sqlite:///{path}")
    approvals = SqlApprovals(database)
    request = approvals.open(asked())
    approvals.vote(request.id, ballot("Ann"))
    with closing(sqlite3.connect(path)) as other, other:
        other.execute(change)
    with pytest.raises(DependencyError) as told:
        approvals.use(request.id, key="k-1", at=NOON)
    assert isinstance(told.value, DependencyLied | DependencyUnavailable)
    database.close()
