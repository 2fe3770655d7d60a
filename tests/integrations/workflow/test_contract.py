"""DBOS, held to the contract of workflow machineries."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest

from adapters.workflow.base import Body, WorkflowPort
from adapters.workflow.dbos import DbosWorkflow
from domain.clock import FrozenClock
from tests.contract.workflow_contract import Journal, WorkflowContract
from tests.support.waiting import until


@pytest.mark.integration("workflow sqlite", "works")
class TestDbosWorkflow(WorkflowContract):
    @pytest.fixture
    def make(self, clock: FrozenClock, tmp_path: Path) -> Callable[[], WorkflowPort]:
        url = f"sqlite:///{tmp_path / 'workflows.db'}"
        return lambda: DbosWorkflow(url, clock=clock, application_version="1", slice_=timedelta(hours=1))

    def _crash(self, workflow: WorkflowPort, body: Body, journal: Journal) -> None:
        workflow.launch(body)
        workflow.start("w1")
        until(lambda: "stop" in journal.ran)
        assert journal.ran[-1] == "stop"
        workflow.close()


@pytest.mark.integration("workflow postgresql", "works")
class TestDbosWorkflowOnPostgres(TestDbosWorkflow):
    @pytest.fixture
    def make(self, clock: FrozenClock, fresh_url: Callable[[], str]) -> Callable[[], WorkflowPort]:
        url = fresh_url()
        return lambda: DbosWorkflow(url, clock=clock, application_version="1", slice_=timedelta(hours=1))
