"""DBOS in real processes: killed, locked out, closed in the middle of a sleep, and many worlds in one process."""

from __future__ import annotations

import signal
import sqlite3
import subprocess
import sys
import threading
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from adapters.workflow.base import Body, Run
from adapters.workflow.dbos import DbosWorkflow
from domain.clock import SystemClock
from domain.errors import ConflictError, DependencyTimeout, DependencyUnavailable, InvalidInput
from tests.support.waiting import until

CLOCK = SystemClock()
SOON = timedelta(seconds=60)


def machinery(path: Path, version: str = "1") -> DbosWorkflow:
    return DbosWorkflow(f"sqlite:///{path}", clock=CLOCK, application_version=version)


def child(database: Path, journal: Path) -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, "-m", "tests.integrations.workflow.child", str(database), str(journal)])


def wait_for(journal: Path, line: str) -> None:
    until(lambda: line in journal.read_text().splitlines())


@pytest.mark.integration("workflow sqlite", "works")
def test_after_kill_9_the_finished_step_is_not_run_again_and_the_unfinished_one_is(tmp_path: Path) -> None:
    database, journal = tmp_path / "workflows.db", tmp_path / "journal"
    journal.touch()
    first = child(database, journal)
    try:
        wait_for(journal, "second")
        locked_out = machinery(database)
        with pytest.raises(ConflictError, match="another process"):
            locked_out.launch(lambda _run, _id: {})
    finally:
        first.send_signal(signal.SIGKILL)
        first.wait()
    second = child(database, journal)
    try:
        assert second.wait(60) == 0
    finally:
        second.kill()
    assert journal.read_text().split("\n")[:-1] == ["first", "second", "second", "third", "result first-second-third"]


@pytest.mark.integration("workflow sqlite", "slow")
def test_a_sleep_of_a_week_neither_holds_up_closing_nor_survives_a_cancellation(tmp_path: Path) -> None:
    asleep = threading.Event()

    def body(run: Run, _: str) -> dict[str, Any]:
        run.step("before", dict)
        asleep.set()
        run.sleep(timedelta(days=7))
        return run.step("after", dict)

    first = machinery(tmp_path / "workflows.db")
    first.launch(body)
    first.start("w1")
    assert asleep.wait(60)
    with pytest.raises(DependencyTimeout, match="pending"):
        first.result("w1", timedelta(milliseconds=100))
    before = CLOCK.monotonic()
    first.close()
    assert CLOCK.monotonic() - before < 30
    second = machinery(tmp_path / "workflows.db")
    second.launch(body)
    assert second.status("w1") == "pending"
    second.cancel("w1")
    with pytest.raises(DependencyUnavailable, match="cancelled"):
        second.result("w1", SOON)
    second.close()


def numbered(world: int) -> Body:
    return lambda run, workflow_id: run.step("only", lambda: {"got": [workflow_id, world]})


@pytest.mark.integration("workflow sqlite", "works")
def test_many_worlds_follow_one_another_in_a_process(tmp_path: Path) -> None:
    for world in range(4):
        workflow = machinery(tmp_path / f"{world}.db")
        workflow.launch(numbered(world))
        workflow.start("w1")
        assert workflow.result("w1", SOON) == {"got": ["w1", world]}
        workflow.close()
        workflow.close()


@pytest.mark.integration("workflow sqlite", "refused")
def test_a_process_runs_one_machinery_at_a_time(tmp_path: Path) -> None:
    first, second = machinery(tmp_path / "a.db"), machinery(tmp_path / "b.db")
    with pytest.raises(InvalidInput, match="launch"):
        first.start("w1")
    first.launch(lambda _run, _id: {})
    with pytest.raises(ConflictError, match="this process"):
        second.launch(lambda _run, _id: {})
    first.close()
    second.launch(lambda _run, _id: {})
    second.close()


@pytest.mark.integration("workflow sqlite", "misconfigured")
def test_a_place_that_cannot_be_used_is_unavailable_and_another_can_be_launched_after_it(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(DependencyUnavailable, match="workflow"):
        machinery(tmp_path / "file" / "workflows.db").launch(lambda _run, _id: {})
    workflow = machinery(tmp_path / "workflows.db")
    workflow.launch(lambda _run, _id: {})
    workflow.close()


@pytest.mark.integration("workflow sqlite", "works")
def test_checkpoints_are_json_in_a_database_with_a_write_ahead_log(tmp_path: Path) -> None:
    workflow = machinery(tmp_path / "workflows.db")
    workflow.launch(lambda run, _: run.step("only", lambda: {"text": "✓"}))
    workflow.start("w1")
    workflow.result("w1", SOON)
    workflow.close()
    with sqlite3.connect(tmp_path / "workflows.db") as connection:
        assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
        kept = connection.execute("SELECT output, serialization FROM operation_outputs").fetchall()
    assert kept == [('{"text":"✓"}', "portable_json")]


@pytest.mark.integration("workflow sqlite", "lying")
def test_a_workflow_of_another_version_is_left_for_a_process_that_knows_it(tmp_path: Path) -> None:
    ran: list[str] = []
    asleep = threading.Event()

    def body(run: Run, _: str) -> dict[str, Any]:
        ran.append(run.step("first", lambda: {"name": "first"})["name"])
        asleep.set()
        run.sleep(timedelta(days=1))
        return {}

    old = machinery(tmp_path / "workflows.db", "1")
    old.launch(body)
    old.start("w1")
    assert asleep.wait(60)
    old.close()
    new = machinery(tmp_path / "workflows.db", "2")
    new.launch(body)
    assert new.status("w1") == "pending"
    new.close()
    assert ran == ["first"]
