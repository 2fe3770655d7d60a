"""Whoever waits for SQLite's one writer gets its turn soon, and waits no longer than it may, nor for anything else."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator
from contextlib import closing
from datetime import timedelta
from pathlib import Path

import pytest

from adapters.sqlite_turn import BEGIN, begun
from domain.clock import SystemClock

LONG, SHORT = timedelta(seconds=30), timedelta(milliseconds=30)


@pytest.fixture
def others(tmp_path: Path) -> Iterator[sqlite3.Connection]:
    """A connection that is writing."""
    with closing(_opened(tmp_path)) as connection:
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("CREATE TABLE kept (number INTEGER)")
        connection.execute(BEGIN)
        yield connection


def _opened(folder: Path) -> sqlite3.Connection:
    """Return a connection that does not wait by itself."""
    return sqlite3.connect(folder / "a.db", timeout=0, isolation_level=None, check_same_thread=False)


def test_whoever_waits_writes_when_the_other_is_through(others: sqlite3.Connection, tmp_path: Path) -> None:
    asked, tries = threading.Event(), list[bool]()

    def release() -> None:
        assert asked.wait(60)
        others.execute("INSERT INTO kept VALUES (1)")
        others.execute("COMMIT")

    releasing = threading.Thread(target=release)
    releasing.start()
    with closing(_opened(tmp_path)) as mine:

        def begin() -> None:
            tries.append(True)
            if len(tries) > 3:
                asked.set()
            mine.execute(BEGIN)

        assert begun(begin, LONG)
        assert mine.execute("SELECT number FROM kept").fetchall() == [(1,)]
        mine.execute("ROLLBACK")
    releasing.join(60)
    assert len(tries) > 3


def test_whoever_has_waited_long_enough_is_told(others: sqlite3.Connection, tmp_path: Path) -> None:
    clock = SystemClock()
    with closing(_opened(tmp_path)) as mine:
        started = clock.monotonic()
        assert begun(lambda: mine.execute(BEGIN), SHORT) is False
        assert clock.monotonic() - started >= SHORT.total_seconds()
        assert not mine.in_transaction


def test_what_is_wrong_besides_is_not_waited_for(tmp_path: Path) -> None:
    """It is left to whoever asked to begin once more, and to be told in the way that is theirs."""
    clock = SystemClock()
    started = clock.monotonic()
    (tmp_path / "a.db").write_bytes(b"no database at all" * 100)
    with closing(_opened(tmp_path)) as mine:
        assert begun(lambda: mine.execute("PRAGMA journal_mode=WAL"), LONG) is False
    with closing(_opened(tmp_path)) as mine:
        assert begun(lambda: mine.execute("BEGIN AT ONCE"), LONG) is False
    assert clock.monotonic() - started < LONG.total_seconds()
