"""Workflow machineries, held to their contract."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from adapters.workflow.base import Body, WorkflowPort
from adapters.workflow.dbos import DbosWorkflow
from adapters.workflow.inline import InlineWorkflow
from domain.clock import FrozenClock
from tests.contract.postgres import server
from tests.contract.workflow_contract import Crash, Journal, WorkflowContract


class TestInlineWorkflow(WorkflowContract):
    @pytest.fixture
    def make(self, clock: FrozenClock, tmp_path: Path) -> Callable[[], WorkflowPort]:
        return lambda: InlineWorkflow(clock, tmp_path / "checkpoints")

    def _crash(self, workflow: WorkflowPort, body: Body, journal: Journal) -> None:
        workflow.launch(body)
        with pytest.raises(Crash):
            workflow.start("w1")
        assert workflow.status("w1") == "pending"
        workflow.close()


class TestDbosWorkflow(WorkflowContract):
    @pytest.fixture
    def make(self, clock: FrozenClock, tmp_path: Path) -> Callable[[], WorkflowPort]:
        url = f"sqlite:///{tmp_path / 'workflows.db'}"
        return lambda: DbosWorkflow(url, clock=clock, application_version="1", slice_=timedelta(hours=1))

    def _crash(self, workflow: WorkflowPort, body: Body, journal: Journal) -> None:
        workflow.launch(body)
        workflow.start("w1")
        pause = threading.Event()
        for _ in range(400):
            if "stop" in journal.ran:
                break
            pause.wait(0.02)
        assert journal.ran[-1] == "stop"
        workflow.close()


@pytest.fixture(scope="module")
def fresh_url() -> Iterator[Callable[[], str]]:
    with server() as fresh:
        yield fresh


class TestDbosWorkflowOnPostgres(TestDbosWorkflow):
    @pytest.fixture
    def make(self, clock: FrozenClock, fresh_url: Callable[[], str]) -> Callable[[], WorkflowPort]:
        url = fresh_url()
        return lambda: DbosWorkflow(url, clock=clock, application_version="1", slice_=timedelta(hours=1))
