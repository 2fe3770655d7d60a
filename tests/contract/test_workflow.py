"""Workflow machineries, held to their contract."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from adapters.workflow.base import Body, WorkflowPort
from adapters.workflow.inline import InlineWorkflow
from domain.clock import FrozenClock
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
