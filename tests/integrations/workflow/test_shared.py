"""Several executors on one PostgreSQL: sleeping holds no thread, the dead are taken over, the paused are fenced."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from adapters.database import Database
from adapters.workflow.base import Run
from adapters.workflow.dbos import DbosWorkflow
from domain.clock import SystemClock
from domain.errors import DependencyUnavailable
from tests.support.waiting import until

CLOCK, SOON = SystemClock(), timedelta(seconds=60)
POSTGRES = "workflow postgresql"


def shared(url: str, name: str = "a#1", slots: int = 2) -> DbosWorkflow:
    return DbosWorkflow(url, clock=CLOCK, application_version="1", executor_id=name, slots=slots)


@contextmanager
def launched(url: str, body: Callable[[Run, str], dict[str, Any]], slots: int = 2) -> Iterator[DbosWorkflow]:
    workflow = shared(url, slots=slots)
    workflow.launch(body)
    yield workflow
    workflow.close()


@pytest.mark.integration(POSTGRES, "works")
def test_forty_sleeping_workflows_hold_no_thread_and_each_step_is_run_once(fresh_url: Callable[[], str]) -> None:
    ran: list[str] = []

    def note(what: str) -> dict[str, Any]:
        ran.append(what)
        return {}

    def body(run: Run, workflow_id: str) -> dict[str, Any]:
        run.step("first", lambda: note(f"{workflow_id}/first"))
        run.sleep(timedelta(seconds=4))
        run.step("second", lambda: note(f"{workflow_id}/second"))
        return {"id": workflow_id}

    with launched(fresh_url(), body) as workflow:
        names = [f"w{number}" for number in range(40)]
        for number, name in enumerate(names):
            workflow.start(name, lane=f"t{number % 4}")
        most = [0]

        def all_asleep() -> bool:
            most[0] = max(most[0], workflow.running())
            return len(ran) >= 40 and workflow.running() == 0

        until(all_asleep)
        assert most[0] <= 2
        assert {workflow.status(name) for name in names[-3:]} == {"pending"}
        assert [workflow.result(name, SOON)["id"] for name in names] == names
    assert sorted(ran) == sorted(f"{name}/{step}" for name in names for step in ("first", "second"))


@pytest.mark.integration(POSTGRES, "works")
def test_a_workflow_that_sleeps_in_the_queue_is_woken_by_its_condition_and_can_be_cancelled(
    fresh_url: Callable[[], str],
) -> None:
    decided = threading.Event()

    def body(run: Run, workflow_id: str) -> dict[str, Any]:
        run.sleep(timedelta(days=1), until=decided.is_set if workflow_id == "w1" else None)
        return run.step("after", lambda: {"id": workflow_id})

    with launched(fresh_url(), body) as workflow:
        workflow.start("w1")
        workflow.start("w2")
        until(lambda: workflow.running() == 0 and bool(workflow._watched))
        workflow.cancel("w2")
        # Where it had not gone to sleep yet, it ends at its next look.
        until(lambda: workflow.status("w2") == "cancelled")
        decided.set()
        assert workflow.result("w1", SOON) == {"id": "w1"}
        with pytest.raises(DependencyUnavailable, match="cancelled"):
            workflow.result("w2", SOON)


@pytest.mark.integration(POSTGRES, "works")
def test_a_lane_with_many_workflows_leaves_room_for_others(fresh_url: Callable[[], str]) -> None:
    order: list[str] = []
    all_wait = threading.Event()

    def body(run: Run, workflow_id: str) -> dict[str, Any]:
        def work() -> dict[str, Any]:
            all_wait.wait(60)
            order.append(workflow_id)
            CLOCK.sleep(timedelta(milliseconds=150))
            return {}

        return run.step("work", work)

    with launched(fresh_url(), body) as workflow:
        for number in range(20):
            workflow.start(f"noisy{number}", lane="noisy")
        workflow.start("quiet", lane="quiet")
        all_wait.set()
        workflow.result("quiet", SOON)
        assert order.index("quiet") < 10
        for number in range(20):
            workflow.result(f"noisy{number}", SOON)
    assert len(order) == 21


@pytest.mark.integration(POSTGRES, "slow")
def test_what_a_killed_or_a_paused_executor_ran_is_taken_over_once(
    fresh_url: Callable[[], str], tmp_path: Path
) -> None:
    url, journal = fresh_url(), tmp_path / "journal"
    journal.touch()
    Database(url).close()
    members = {name: _member(url, name, journal) for name in ("one", "two")}
    try:
        until(lambda: all(f"ready {name}" in journal.read_text() for name in members), 120)
        _enqueue(url, ["w-hang", "w1", "w2"])
        until(lambda: "w-hang/second" in journal.read_text())
        holder = next(line.split()[1] for line in journal.read_text().splitlines() if "w-hang/second" in line)
        members[holder].send_signal(signal.SIGSTOP)
        until(lambda: "w-hang/third" in journal.read_text(), 120)
        members[holder].send_signal(signal.SIGCONT)
        assert members[holder].wait(60) == 4
        lines = journal.read_text().splitlines()
    finally:
        for member in members.values():
            member.kill()
            member.wait()
    other = next(name for name in members if name != holder)
    assert f"fenced {holder}" in lines
    assert f"w-hang/third {other}" in lines
    assert f"w-hang/third {holder}" not in lines
    for step in ("w-hang/first", "w-hang/third", "w1/first", "w1/second", "w1/third", "w2/third"):
        assert sum(line.startswith(f"{step} ") for line in lines) == 1, lines


def _member(url: str, name: str, journal: Path) -> subprocess.Popen[bytes]:
    words = [sys.executable, "-m", "tests.integrations.workflow.member", url, name, str(journal)]
    return subprocess.Popen(words)


def _enqueue(url: str, names: list[str]) -> None:
    """Start workflows in an executor that is gone before it finished one: they are taken over too."""
    starter = shared(url, "starter#1", slots=1)
    starter.launch(lambda _run, _id: _crash())
    for name in names:
        starter.start(name, lane=name)
    starter.close()


def _crash() -> dict[str, Any]:
    raise SystemExit
