"""Executors on SQLite and PostgreSQL: their contract, and the fence that a paused process runs into."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from adapters.database import Database
from adapters.executors.base import ExecutorsPort, Fenced
from adapters.executors.sqlalchemy import SqlExecutors, fence_of
from adapters.store.base import FlagRow
from adapters.store.sqlalchemy import SqlStore
from domain.clock import SystemClock
from tests.contract.executors_contract import SHORT, ExecutorsContract
from tests.support.waiting import until

SQLITE, POSTGRES = "store sqlite", "store postgresql"
CLOCK = SystemClock()
FLAG = FlagRow(name="auto_promote", enabled=True)


class SqlContract(ExecutorsContract):
    def pass_by(self, duration: timedelta) -> None:
        CLOCK.sleep(duration)


@pytest.mark.integration(SQLITE, "works")
class TestSqliteExecutors(SqlContract):
    @pytest.fixture
    def executors(self, tmp_path: Path) -> Iterator[ExecutorsPort]:
        database = Database(f"sqlite:///{tmp_path / 'store.db'}")
        yield SqlExecutors(database)
        database.close()


@pytest.mark.integration(POSTGRES, "works")
class TestPostgresExecutors(SqlContract):
    @pytest.fixture
    def executors(self, fresh_url: Callable[[], str]) -> Iterator[ExecutorsPort]:
        database = Database(fresh_url())
        yield SqlExecutors(database)
        database.close()


@pytest.mark.integration(SQLITE, "refused")
def test_a_fenced_process_writes_nothing_more_on_sqlite(tmp_path: Path) -> None:
    assert _left_by_a_fenced_process(f"sqlite:///{tmp_path / 'store.db'}") == [False]


@pytest.mark.integration(POSTGRES, "refused")
def test_a_fenced_process_writes_nothing_more_on_postgresql(fresh_url: Callable[[], str]) -> None:
    assert _left_by_a_fenced_process(fresh_url()) == [False]


def _left_by_a_fenced_process(url: str) -> list[bool]:
    """Set a flag, unset it late but in time, be fenced, and try to set it again: return what is left of it."""
    executors = SqlExecutors(Database(url))
    lease = executors.join("worker-1", SHORT)
    database = Database(url)
    database.fence = fence_of(lease)
    store = SqlStore(database)
    store.set_flag(FLAG, by="worker", at=CLOCK.now())
    CLOCK.sleep(2 * SHORT)
    store.set_flag(FLAG.model_copy(update={"enabled": False}), by="worker", at=CLOCK.now())  # late, not fenced
    assert executors.fence(lease.owner)
    with pytest.raises(Fenced, match="worker-1#1"):
        store.set_flag(FLAG, by="worker", at=CLOCK.now())
    left = [row.enabled for row in store.flags()]
    database.close()
    return left


@pytest.mark.integration(POSTGRES, "lying")
def test_a_write_under_way_is_finished_before_the_fence_is_closed_and_beats_do_not_wait_for_it(
    fresh_url: Callable[[], str],
) -> None:
    url = fresh_url()
    executors = SqlExecutors(Database(url))
    lease = executors.join("worker-1", SHORT)
    database = Database(url)
    database.fence = fence_of(lease)
    answers: list[bool] = []
    with database.begin(write=True):
        assert executors.beat(lease)
        CLOCK.sleep(2 * SHORT)
        fencing = threading.Thread(target=lambda: answers.append(executors.fence(lease.owner)))
        fencing.start()
        fencing.join(0.3)
        assert fencing.is_alive()
    fencing.join(60)
    assert answers == [True]
    database.close()


@pytest.mark.integration(POSTGRES, "slow")
def test_a_process_that_was_paused_and_fenced_writes_nothing_when_it_comes_back(fresh_url: Callable[[], str]) -> None:
    url = fresh_url()
    executors, store = SqlExecutors(Database(url)), SqlStore(url)
    writer = subprocess.Popen([sys.executable, "-m", "tests.integrations.executors.writer", url])
    try:
        until(lambda: len(store.flags()) > 5)
        writer.send_signal(signal.SIGSTOP)
        # It may be paused in the middle of a transaction: the server ends that first, and the fence waits for it.
        until(lambda: executors.fence("writer#1"))
        written = len(store.flags())
        writer.send_signal(signal.SIGCONT)
        assert writer.wait(60) == 7
    finally:
        writer.kill()
        writer.wait()
    assert len(store.flags()) == written
    store.close()
