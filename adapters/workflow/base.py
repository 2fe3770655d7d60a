"""The workflow port: durable execution.

Contract: the body is a deterministic function of its input and of what its steps returned; a step's result is
checkpointed, and a finished step is never run again; an unfinished one is run again after a crash (at least once).
Inputs and results are JSON, and a body sees the same plain JSON on its first run as on every replay.

A step that raises fails its workflow: the body lets the error pass, because a replay cannot give it back as the same
object; work that may fail and go on says so in its result. `resume` runs the failed step again. Something that is no
`Exception` (the end of the process, a test that simulates it) is a crash: nothing is recorded, the workflow stays
pending and is recovered at the next launch.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from datetime import timedelta
from typing import Any, Protocol


class Run(Protocol):
    """What a workflow body may do besides computing."""

    def step(self, name: str, work: Callable[[], dict[str, Any]]) -> dict[str, Any]:
        """Run `work` once to completion and return its result, now and on every replay.

        Raises:
            InvalidInput: the result is no plain JSON (NaN and infinities are none).
        """
        ...

    def sleep(self, duration: timedelta, *, until: Callable[[], bool] | None = None) -> None:
        """Wait durably: a restart waits only for what is left.

        `until` is looked at while waiting, and the sleep ends early once it says so; a dependency that fails while it
        looks is no answer, and the sleep goes on. What it says is never on the record: a replay that has a step on
        record after this sleep goes on without looking.
        """
        ...


Body = Callable[[Run, str], dict[str, Any]]
"""A workflow body: (run, workflow id) -> result."""


class WorkflowPort(Protocol):
    """Starts and finds workflows."""

    def launch(self, body: Body) -> None:
        """Register the body and recover what a dead process left; call once, before anything else.

        Raises:
            ConflictError: another process runs these workflows, or this process another machinery.
            DependencyUnavailable: the place where checkpoints are kept cannot be reached.
        """
        ...

    def start(self, workflow_id: str, *, lane: str = "") -> None:
        """Start the workflow in the background; the same id again changes nothing.

        Workflows of one lane do not take all the room there is, where room is limited.
        """
        ...

    def result(self, workflow_id: str, timeout: timedelta | None = None) -> dict[str, Any]:
        """Wait for the workflow and return its result.

        Raises:
            DependencyTimeout: it is not done in time.
            DependencyUnavailable: it failed (the message has the error's type and text) or was cancelled.
            InvalidInput: there is no such workflow.
        """
        ...

    def status(self, workflow_id: str) -> str:
        """Return ``absent``, ``pending``, ``done``, ``failed`` or ``cancelled``."""
        ...

    def missing(self, workflow_ids: Sequence[str]) -> Sequence[str]:
        """Return those that nobody started, in their order."""
        ...

    def resume(self, workflow_id: str) -> None:
        """Go on with a workflow that failed or was cancelled, at the step where it stopped; nothing for another.

        Raises:
            InvalidInput: there is no such workflow.
        """
        ...

    def cancel(self, workflow_id: str) -> None:
        """Stop it before its next step; nothing when it has ended.

        Raises:
            InvalidInput: there is no such workflow.
        """
        ...

    def close(self) -> None:
        """Stop the machinery at the next step of each workflow; those in flight are recovered at the next launch."""
        ...


class SharedWorkflow(WorkflowPort, Protocol):
    """One of several processes that run the workflows of one database, each under a name of its own."""

    def owners(self) -> Collection[str]:
        """Return the names under which workflows run now, dead or alive."""
        ...

    def adopt(self, dead: Collection[str]) -> int:
        """Let those who are alive go on with what the dead ran, each workflow once, and return how many those are.

        To name one that is alive is a defect of the caller; its steps are then no longer recorded.
        """
        ...
