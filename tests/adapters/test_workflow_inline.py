"""The inline machinery: its checkpoints in files, and what it does with a replay that took another path."""

from __future__ import annotations

from pathlib import Path

import pytest

from adapters.workflow.inline import InlineWorkflow
from domain.clock import FrozenClock
from domain.errors import DependencyUnavailable, InvalidInput
from tests.contract.workflow_contract import Crash


def test_without_a_folder_everything_stays_in_memory() -> None:
    workflow = InlineWorkflow(FrozenClock())
    workflow.launch(lambda run, _: run.step("only", lambda: {"n": 1}))
    workflow.start("w1")
    assert workflow.result("w1") == {"n": 1}


def test_nothing_starts_before_the_launch() -> None:
    with pytest.raises(InvalidInput, match="launch"):
        InlineWorkflow(FrozenClock()).start("w1")


def test_a_replay_that_takes_another_path_fails_instead_of_using_a_wrong_result(tmp_path: Path) -> None:
    def crash() -> dict[str, object]:
        raise Crash

    first = InlineWorkflow(FrozenClock(), tmp_path)
    first.launch(lambda run, _: {**run.step("old name", dict), **run.step("crash", crash)})
    with pytest.raises(Crash):
        first.start("w1")
    second = InlineWorkflow(FrozenClock(), tmp_path)
    second.launch(lambda run, _: run.step("new name", dict))
    with pytest.raises(DependencyUnavailable, match="old name"):
        second.result("w1")


def test_a_damaged_checkpoint_is_named(tmp_path: Path) -> None:
    (tmp_path / "w1.json").write_text("{")
    with pytest.raises(DependencyUnavailable, match=r"w1\.json"):
        InlineWorkflow(FrozenClock(), tmp_path).launch(lambda _run, _id: {})


def test_checkpoints_that_cannot_be_written_are_a_dependency_that_failed(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    workflow = InlineWorkflow(FrozenClock(), tmp_path / "file")
    workflow.launch(lambda _run, _id: {})
    with pytest.raises(DependencyUnavailable, match="checkpoint"):
        workflow.start("w1")
