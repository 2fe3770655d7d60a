"""What every workflow machinery has to hold to."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import pytest

from adapters.workflow.base import Run, WorkflowPort
from domain.clock import FrozenClock
from domain.errors import DependencyUnavailable, InvalidInput

SOON = timedelta(seconds=60)


class Crash(BaseException):
    """Stands for the death of the process: no `Exception`, so nothing may record it as a failure."""


class Journal:
    """Counts what really ran, across machineries."""

    def __init__(self) -> None:
        self.ran: list[str] = []

    def work(self, name: str) -> Callable[[], dict[str, Any]]:
        """Return work that leaves its name."""

        def run() -> dict[str, Any]:
            self.ran.append(name)
            return {"name": name, "turn": len(self.ran)}

        return run

    def stop(self, error: BaseException) -> Callable[[], dict[str, Any]]:
        """Return work that raises the first time it is run and is done the second time."""

        def run() -> dict[str, Any]:
            self.ran.append("stop")
            if self.ran.count("stop") == 1:
                raise error
            return {"name": "stop"}

        return run


class WorkflowContract:
    """A vendor gives `make`: a machinery over the same checkpoints every time it is called, on `clock`."""

    @pytest.fixture
    def clock(self) -> FrozenClock:
        return FrozenClock()

    @pytest.fixture
    def journal(self) -> Journal:
        return Journal()

    @pytest.fixture
    def make(self, clock: FrozenClock) -> Callable[[], WorkflowPort]:
        raise NotImplementedError

    @pytest.fixture
    def workflow(self, make: Callable[[], WorkflowPort]) -> Iterator[WorkflowPort]:
        workflow = make()
        yield workflow
        workflow.close()

    def test_the_result_is_what_the_body_returned(self, workflow: WorkflowPort, journal: Journal) -> None:
        def body(run: Run, workflow_id: str) -> dict[str, Any]:
            first = run.step("first", journal.work("first"))
            second = run.step("second", journal.work("second"))
            return {"id": workflow_id, "steps": [first, second]}

        workflow.launch(body)
        workflow.start("w1")
        steps = [{"name": "first", "turn": 1}, {"name": "second", "turn": 2}]
        assert workflow.result("w1", SOON) == {"id": "w1", "steps": steps}
        assert workflow.status("w1") == "done"

    def test_the_same_identity_again_changes_nothing(self, workflow: WorkflowPort, journal: Journal) -> None:
        workflow.launch(lambda run, _: run.step("only", journal.work("only")))
        for _ in range(3):
            workflow.start("w1")
            workflow.result("w1", SOON)
        assert journal.ran == ["only"]

    def test_every_identity_is_a_workflow_of_its_own(self, workflow: WorkflowPort, journal: Journal) -> None:
        workflow.launch(lambda run, workflow_id: run.step("only", journal.work(workflow_id)))
        for number in range(3):
            workflow.start(f"w{number}")
        assert [workflow.result(f"w{number}", SOON)["name"] for number in range(3)] == ["w0", "w1", "w2"]

    def test_a_result_is_plain_json_on_the_first_run_too(self, workflow: WorkflowPort) -> None:
        workflow.launch(lambda run, _: {"got": run.step("pair", lambda: {"pair": (1, 2)})})
        workflow.start("w1")
        assert workflow.result("w1", SOON) == {"got": {"pair": [1, 2]}}

    def test_a_result_that_is_no_json_fails_the_workflow(self, workflow: WorkflowPort) -> None:
        workflow.launch(lambda run, _: run.step("worthless", lambda: {"value": float("nan")}))
        workflow.start("w1")
        with pytest.raises(DependencyUnavailable, match="worthless"):
            workflow.result("w1", SOON)

    def test_what_nobody_started_is_absent(self, workflow: WorkflowPort) -> None:
        workflow.launch(lambda run, _: {})
        assert workflow.status("w9") == "absent"
        for ask in (lambda: workflow.result("w9", SOON), lambda: workflow.resume("w9"), lambda: workflow.cancel("w9")):
            with pytest.raises(InvalidInput, match="w9"):
                ask()

    def test_those_that_nobody_started_are_told_from_the_others(self, workflow: WorkflowPort) -> None:
        workflow.launch(lambda run, _: {})
        workflow.start("w1")
        workflow.result("w1", SOON)
        assert list(workflow.missing(["w9", "w1", "w2"])) == ["w9", "w2"]
        assert list(workflow.missing([])) == []

    def test_a_step_that_raises_fails_the_workflow_and_says_why(self, workflow: WorkflowPort, journal: Journal) -> None:
        workflow.launch(lambda run, _: run.step("stop", journal.stop(ValueError("no disk"))))
        workflow.start("w1")
        with pytest.raises(DependencyUnavailable, match="no disk"):
            workflow.result("w1", SOON)
        assert workflow.status("w1") == "failed"

    def test_resume_goes_on_at_the_step_that_failed(self, workflow: WorkflowPort, journal: Journal) -> None:
        def body(run: Run, _: str) -> dict[str, Any]:
            run.step("first", journal.work("first"))
            run.step("stop", journal.stop(OSError("no disk")))
            return run.step("last", journal.work("last"))

        workflow.launch(body)
        workflow.start("w1")
        with pytest.raises(DependencyUnavailable):
            workflow.result("w1", SOON)
        workflow.resume("w1")
        assert workflow.result("w1", SOON)["name"] == "last"
        assert journal.ran == ["first", "stop", "stop", "last"]

    def test_resume_leaves_what_is_done_alone(self, workflow: WorkflowPort, journal: Journal) -> None:
        workflow.launch(lambda run, _: run.step("only", journal.work("only")))
        workflow.start("w1")
        before = workflow.result("w1", SOON)
        workflow.resume("w1")
        workflow.cancel("w1")
        assert workflow.result("w1", SOON) == before
        assert journal.ran == ["only"]

    def test_a_cancelled_workflow_stops_before_its_next_step_and_can_be_resumed(
        self, workflow: WorkflowPort, journal: Journal
    ) -> None:
        def cancelling() -> dict[str, Any]:
            journal.ran.append("cancel")
            workflow.cancel("w1")
            return {}

        def body(run: Run, _: str) -> dict[str, Any]:
            run.step("cancel", cancelling)
            return run.step("after", journal.work("after"))

        workflow.launch(body)
        workflow.start("w1")
        with pytest.raises(DependencyUnavailable, match="cancelled"):
            workflow.result("w1", SOON)
        assert workflow.status("w1") == "cancelled"
        assert journal.ran == ["cancel"]
        workflow.resume("w1")
        assert workflow.result("w1", SOON)["name"] == "after"
        assert journal.ran == ["cancel", "after"]

    def test_sleeps_are_slept_on_the_clock(self, workflow: WorkflowPort, clock: FrozenClock) -> None:
        def body(run: Run, _: str) -> dict[str, Any]:
            run.sleep(timedelta(days=7))
            run.sleep(timedelta())
            return {}

        before = clock.now()
        workflow.launch(body)
        workflow.start("w1")
        workflow.result("w1", SOON)
        assert clock.now() - before == timedelta(days=7)

    def test_a_sleep_is_over_early_once_its_condition_holds(self, workflow: WorkflowPort, clock: FrozenClock) -> None:
        looks: list[int] = []

        def third_look() -> bool:
            looks.append(1)
            if len(looks) == 2:
                raise DependencyUnavailable("approvals", "the database is away")
            return len(looks) >= 3

        def body(run: Run, _: str) -> dict[str, Any]:
            run.sleep(timedelta(days=7), until=third_look)
            return {}

        before = clock.now()
        workflow.launch(body)
        workflow.start("w1")
        workflow.result("w1", SOON)
        assert timedelta() < clock.now() - before < timedelta(days=1)

    def test_a_condition_that_never_holds_does_not_make_a_sleep_longer(
        self, workflow: WorkflowPort, clock: FrozenClock
    ) -> None:
        def body(run: Run, _: str) -> dict[str, Any]:
            run.sleep(timedelta(minutes=1), until=lambda: False)
            return {}

        before = clock.now()
        workflow.launch(body)
        workflow.start("w1")
        workflow.result("w1", SOON)
        assert clock.now() - before == timedelta(minutes=1)

    def test_a_sleep_that_was_over_early_is_over_in_a_replay_too(
        self, make: Callable[[], WorkflowPort], journal: Journal, clock: FrozenClock
    ) -> None:
        answers = [True]  # to the first look; a replay that looked would hear no

        def body(run: Run, _: str) -> dict[str, Any]:
            run.sleep(timedelta(hours=2), until=lambda: bool(answers and answers.pop()))
            run.step("first", journal.work("first"))
            run.step("stop", journal.stop(Crash()))
            return {}

        self._crash(make(), body, journal)
        moment = clock.now()
        after = make()
        after.launch(body)
        after.result("w1", SOON)
        after.close()
        assert clock.now() == moment
        assert journal.ran == ["first", "stop", "stop"]

    def test_after_a_crash_only_the_unfinished_step_is_run_again(
        self, make: Callable[[], WorkflowPort], journal: Journal
    ) -> None:
        def body(run: Run, _: str) -> dict[str, Any]:
            first = run.step("first", journal.work("first"))
            run.step("stop", journal.stop(Crash()))
            return {"first": first, "last": run.step("last", journal.work("last"))["name"]}

        self._crash(make(), body, journal)
        after = make()
        after.launch(body)
        assert after.result("w1", SOON) == {"first": {"name": "first", "turn": 1}, "last": "last"}
        after.close()
        assert journal.ran == ["first", "stop", "stop", "last"]

    def test_after_a_crash_only_the_rest_of_a_sleep_is_slept(
        self, make: Callable[[], WorkflowPort], journal: Journal, clock: FrozenClock
    ) -> None:
        def body(run: Run, _: str) -> dict[str, Any]:
            run.sleep(timedelta(hours=2))
            run.step("stop", journal.stop(Crash()))
            return {}

        self._crash(make(), body, journal)
        moment = clock.now()
        after = make()
        after.launch(body)
        after.result("w1", SOON)
        after.close()
        assert clock.now() == moment

    def test_a_done_workflow_stays_done_in_the_next_machinery(
        self, make: Callable[[], WorkflowPort], journal: Journal
    ) -> None:
        for _ in range(3):
            workflow = make()
            workflow.launch(lambda run, _: run.step("only", journal.work("only")))
            workflow.start("w1")
            assert workflow.result("w1", SOON) == {"name": "only", "turn": 1}
            workflow.close()
        assert journal.ran == ["only"]

    def _crash(self, workflow: WorkflowPort, body: Callable[[Run, str], dict[str, Any]], journal: Journal) -> None:
        """Run the body until it crashes, as the death of its process would leave it."""
        raise NotImplementedError
