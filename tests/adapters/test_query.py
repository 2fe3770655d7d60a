"""What is read on the driver fails with the errors of ours, and gives its connection back."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from adapters.store.base import FlagRow
from adapters.store.sqlalchemy import SqlStore
from domain.errors import DependencyLied
from tests.contract.alerts import NOON, alert


def changed(path: Path, statement: str) -> None:
    """Let somebody else change the database."""
    with closing(sqlite3.connect(path)) as connection:
        connection.execute(statement)
        connection.commit()


def test_a_table_that_is_gone_is_named_and_later_readings_work_again(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    store = SqlStore(f"sqlite:///{path}")
    cycle, _ = store.open_cycle(alert(), NOON)
    changed(path, "ALTER TABLE feature_flags RENAME TO elsewhere")
    for _ in range(40):
        with pytest.raises(DependencyLied, match="feature_flags"):
            store.moment(cycle.id)
        with pytest.raises(DependencyLied, match="feature_flags"):
            store.flags()
    changed(path, "ALTER TABLE elsewhere RENAME TO feature_flags")
    assert store.moment(cycle.id) is not None
    store.close()


def test_a_row_that_nobody_of_ours_wrote_is_a_lie_and_no_answer(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    store = SqlStore(f"sqlite:///{path}")
    cycle, _ = store.open_cycle(alert(), NOON)
    store.set_flag(FlagRow(name="kill_switch", enabled=True), by="ann", at=NOON)
    for damage in (
        "UPDATE feature_flags SET metadata = 'no json'",
        "UPDATE feature_flags SET metadata = '[1]'",
        "UPDATE cycles SET alert = '{}'",
        "UPDATE cycles SET stage = 'elsewhere'",
    ):
        changed(path, damage)
        with pytest.raises(DependencyLied):
            store.moment(cycle.id)
    store.close()


def test_a_cycle_that_has_changed_is_read_anew_whoever_changed_it(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    store = SqlStore(f"sqlite:///{path}")
    cycle, _ = store.open_cycle(alert(), NOON)
    first = store.moment(cycle.id)
    assert first is not None
    store.save(cycle.with_fact("looks", [1]))
    second = store.moment(cycle.id)
    assert second is not None
    assert (dict(first.cycle.facts), dict(second.cycle.facts)) == ({}, {"looks": [1]})
    changed(path, "UPDATE cycles SET cancel_requested = 1")
    changed(path, "INSERT INTO tombstones VALUES ('d', 'c', 'bad', '2026-01-01 00:00:00')")
    third = store.moment(cycle.id, "d")
    assert third is not None
    assert (third.cycle.cancel_requested, third.entombed, third.cycles_that_day) == (True, True, 1)
    assert store.moment(cycle.id) == third._replace(entombed=False)
    store.close()
