"""The process that waits for people is killed as by `kill -9`; another one goes on, on DBOS, git and SQLite."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from multiprocessing.context import ForkServerContext
from multiprocessing.process import BaseProcess
from pathlib import Path

import pytest

from adapters.approvals.sqlalchemy import SqlApprovals
from adapters.audit.sqlite import SqliteAudit
from adapters.database import Database
from adapters.store.base import FlagRow
from adapters.store.sqlalchemy import SqlStore
from domain.approval import ApprovalRequest, ApprovalState, VoteAnswer
from domain.clock import SystemClock
from tests.approvals import child
from tests.durability.counts import chain, count
from tests.durability.wiring import FastClock, Setup
from tests.support.people import PEOPLE
from tests.support.waiting import until
from tools.ballots import Ballots

# Each test is several processes, one after the other, on a machine that may have other things to do.
pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

PATIENCE = timedelta(seconds=180)


class Waiting:
    """The folder of a cycle whose rollback is not automatic, seen by the people who are asked."""

    def __init__(self, folder: Path, forks: ForkServerContext) -> None:
        self._folder = folder
        self._forks = forks
        self._database = Database(f"sqlite:///{folder}/store.db")
        self._store = SqlApprovals(self._database)
        off = FlagRow(name="auto_rollback", enabled=False)
        SqlStore(self._database).set_flag(off, by="somebody", at=SystemClock().now())

    @contextmanager
    def process(self, point: str = "") -> Iterator[BaseProcess]:
        """Run a process that works on the cycle, and see to it that it is gone afterwards."""
        process = self._forks.Process(target=child.run, args=(str(self._folder), point))
        process.start()
        try:
            yield process
        finally:
            process.kill()
            process.join()

    def asked(self, process: BaseProcess) -> ApprovalRequest:
        """Return the request once people have been told, and the process waits for them."""
        assert process.pid is not None
        mark, problem = child.waits(self._folder, process.pid), self._folder / "error.txt"
        until(lambda: mark.exists() or not process.is_alive(), PATIENCE.total_seconds())
        assert mark.exists(), f"nobody was asked: {problem.read_text()[-1500:] if problem.exists() else ''}"
        assert (self._folder / "messages.jsonl").read_text().strip()
        [request] = self._store.requests()
        return request

    def left_waiting(self) -> ApprovalRequest:
        """Let a process ask people, kill it while it waits, and return the request."""
        with self.process() as process:
            request = self.asked(process)
            assert process.pid is not None
            os.kill(process.pid, signal.SIGKILL)
            process.join()
            assert process.exitcode == -signal.SIGKILL
        return request

    def approve(self, request: ApprovalRequest) -> ApprovalRequest:
        """Approve it, as a command in a third process would."""
        audit = SqliteAudit(self._folder / "audit.db", SystemClock())
        origin = Setup.model_validate_json((self._folder / "setup.json").read_text()).origin
        ballots = Ballots(self._store, audit, FastClock(origin), PEOPLE)
        after = ballots.vote(request.id, "Ann", VoteAnswer.APPROVE, account="ann")
        audit.close()
        return after

    def ends(self) -> ApprovalRequest:
        """Let a process work on the cycle to its end, and return the request."""
        with self.process() as process:
            process.join(PATIENCE.total_seconds())
            problem = self._folder / "error.txt"
            assert process.exitcode == 0, problem.read_text()[-1500:] if problem.exists() else "it did not end"
        [request] = self._store.requests()
        told = json.loads((self._folder / "result.json").read_text())
        assert (told["outcome"], told["unproven"]) == ("restored", []), told["reason"]
        assert count(self._folder)["commits"] == 1
        length, done = chain(self._folder)
        assert [tool for tool in done if tool != "notify"] == ["roll_back", "set_alias"]
        assert length > len(done)
        return request

    def close(self) -> None:
        """Give the connections back."""
        self._database.close()


@pytest.fixture
def waiting(folder: Path, forks: ForkServerContext) -> Iterator[Waiting]:
    waiting = Waiting(folder, forks)
    yield waiting
    waiting.close()


def test_with_the_process_killed_while_it_waits_the_approval_given_afterwards_still_works(waiting: Waiting) -> None:
    request = waiting.left_waiting()
    assert waiting.approve(request).state(request.asked_at) is ApprovalState.GRANTED
    used = waiting.ends()
    assert (used.id, used.state(request.asked_at)) == (request.id, ApprovalState.USED)


def test_with_two_processes_killed_while_they_wait_people_are_asked_once(waiting: Waiting) -> None:
    first, second = waiting.left_waiting(), waiting.left_waiting()
    assert first == second
    waiting.approve(second)
    assert waiting.ends().id == first.id


def test_with_the_process_killed_after_its_approval_was_used_the_rollback_is_made_once(waiting: Waiting) -> None:
    request = waiting.left_waiting()
    waiting.approve(request)
    with waiting.process("before roll_back") as process:
        process.join(PATIENCE.total_seconds())
        assert process.exitcode == -signal.SIGKILL
    assert waiting.ends().id == request.id
