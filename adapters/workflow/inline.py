"""Workflows in the calling thread: `start` returns when the body has ended. For tests, and where nothing needs to wait.

Checkpoints go to memory, or to one JSON file a workflow, replaced atomically and flushed after every step; with
files, a workflow whose process died goes on in the next `launch` on the same folder.
"""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Callable, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from adapters.workflow.base import Body
from adapters.workflow.checkpoint import (
    ABSENT,
    CANCELLED,
    DONE,
    FAILED,
    PENDING,
    describe,
    holds,
    left,
    no_result,
    no_such,
    plain_result,
    too_late,
    wake_time,
)
from domain.clock import Clock
from domain.errors import DependencyLied, DependencyUnavailable, InvalidInput

_SLICE = timedelta(seconds=1)  # how long a sleep goes without looking whether it is over early


class _Step(BaseModel):
    model_config = ConfigDict(frozen=True)

    name: str
    result: dict[str, Any]


class _State(BaseModel):
    """One workflow as it is kept."""

    id: str
    status: str = PENDING
    steps: list[_Step] = Field(default_factory=list)
    result: dict[str, Any] = Field(default_factory=dict)
    problem: str = ""


class _Cancelled(BaseException):
    """Ends a body before its next step. No `Exception`, so that no body takes it for a failure of its own."""


class _Ending:
    """Around a body: an error of any kind fails the workflow, a cancellation ends it, a crash passes through."""

    def __init__(self, on_failure: Callable[[str], None]) -> None:
        self._on_failure = on_failure

    def __enter__(self) -> None:
        return None

    def __exit__(self, _kind: object, error: BaseException | None, _trace: object) -> bool:
        if isinstance(error, Exception):
            self._on_failure(describe(error))
        return isinstance(error, Exception | _Cancelled)


class InlineWorkflow:
    """A `WorkflowPort` that runs bodies where they are started.

    Args:
        clock: sleeps are slept on it: a frozen clock passes a week at once.
        folder: where checkpoints are kept; None keeps them in memory.
    """

    def __init__(self, clock: Clock, folder: Path | None = None) -> None:
        self._clock = clock
        self._folder = folder
        self._body: Body | None = None
        self._states: dict[str, _State] = {}
        self._running: set[str] = set()
        self._asked: set[str] = set()  # workflows that run and are to be cancelled at their next step
        self._lock = threading.RLock()

    def launch(self, body: Body) -> None:
        """See `WorkflowPort.launch`."""
        self._body = body
        self._load()
        for workflow_id in [state.id for state in self._states.values() if state.status == PENDING]:
            self._run(workflow_id)

    def start(self, workflow_id: str, *, lane: str = "") -> None:
        """See `WorkflowPort.start`; returns when the body has ended."""
        with self._lock:
            if workflow_id in self._states:
                return
            self._keep(_State(id=workflow_id))
        self._run(workflow_id)

    def result(self, workflow_id: str, timeout: timedelta | None = None) -> dict[str, Any]:
        """See `WorkflowPort.result`."""
        state = self._known(workflow_id)
        if state.status == DONE:
            return json.loads(json.dumps(state.result))  # type: ignore[no-any-return]
        if state.status == PENDING:
            raise too_late(workflow_id, PENDING, timeout or timedelta())
        raise no_result(workflow_id, state.status, state.problem)

    def status(self, workflow_id: str) -> str:
        """See `WorkflowPort.status`."""
        with self._lock:
            state = self._states.get(workflow_id)
            return ABSENT if state is None else state.status

    def missing(self, workflow_ids: Sequence[str]) -> Sequence[str]:
        """See `WorkflowPort.missing`."""
        with self._lock:
            return [workflow_id for workflow_id in workflow_ids if workflow_id not in self._states]

    def resume(self, workflow_id: str) -> None:
        """See `WorkflowPort.resume`."""
        with self._lock:
            state = self._known(workflow_id)
            if state.status not in (FAILED, CANCELLED):
                return
            self._keep(state.model_copy(update={"status": PENDING, "problem": ""}))
        self._run(workflow_id)

    def cancel(self, workflow_id: str) -> None:
        """See `WorkflowPort.cancel`."""
        with self._lock:
            state = self._known(workflow_id)
            if workflow_id in self._running:
                self._asked.add(workflow_id)
            elif state.status == PENDING:
                self._keep(state.model_copy(update={"status": CANCELLED}))

    def close(self) -> None:
        """See `WorkflowPort.close`; what runs, runs in its caller's thread and is not touched."""
        self._body = None

    def recorded(self, workflow_id: str, place: int, name: str, work: Callable[[], dict[str, Any]]) -> dict[str, Any]:
        """Return the result of the step at `place` of a workflow, running `work` when there is none yet."""
        if workflow_id in self._asked:
            self._end(workflow_id, CANCELLED)
            raise _Cancelled(workflow_id)
        state = self._known(workflow_id)
        if place < len(state.steps):
            known = state.steps[place]
            if known.name != name:
                raise DependencyLied(
                    "workflow", f"the replay of {workflow_id} asks for step {name} where {known.name} is recorded"
                )
            return json.loads(json.dumps(known.result))  # type: ignore[no-any-return]
        result = plain_result(name, work)
        with self._lock:
            self._keep(state.model_copy(update={"steps": [*state.steps, _Step(name=name, result=result)]}))
        return result

    def went_on(self, workflow_id: str, place: int) -> bool:
        """Whether a step at `place` is recorded already."""
        return place < len(self._known(workflow_id).steps)

    def _run(self, workflow_id: str) -> None:
        if self._body is None:
            raise InvalidInput("workflow", "it has no body", "Call launch(body) first")
        run, body = _InlineRun(self, workflow_id, self._clock), self._body
        self._running.add(workflow_id)
        try:
            with _Ending(lambda problem: self._end(workflow_id, FAILED, problem=problem)):
                result = plain_result("the body", lambda: body(run, workflow_id))
                self._end(workflow_id, DONE, result=result)
        finally:
            self._running.discard(workflow_id)
            self._asked.discard(workflow_id)

    def _end(self, workflow_id: str, status: str, *, result: dict[str, Any] | None = None, problem: str = "") -> None:
        with self._lock:
            state = self._known(workflow_id)
            self._keep(state.model_copy(update={"status": status, "result": result or {}, "problem": problem}))

    def _known(self, workflow_id: str) -> _State:
        with self._lock:
            if workflow_id not in self._states:
                raise no_such(workflow_id)
            return self._states[workflow_id]

    def _keep(self, state: _State) -> None:
        self._states[state.id] = state
        if self._folder is None:
            return
        path = self._folder / f"{state.id}.json"
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            fresh = path.with_suffix(".new")
            with fresh.open("w", encoding="utf-8") as out:
                out.write(state.model_dump_json())
                out.flush()
                os.fsync(out.fileno())
            fresh.replace(path)
        except OSError as error:
            raise DependencyUnavailable("workflow", f"the checkpoint {path} cannot be written: {error}") from error

    def _load(self) -> None:
        if self._folder is None or not self._folder.is_dir():
            return
        for path in sorted(self._folder.glob("*.json")):
            try:
                state = _State.model_validate_json(path.read_text(encoding="utf-8"))
            except (OSError, ValueError) as error:
                raise DependencyUnavailable("workflow", f"the checkpoint {path} cannot be read: {error}") from error
            self._states[state.id] = state


class _InlineRun:
    """The `Run` of one execution; counts the steps it passes."""

    def __init__(self, home: InlineWorkflow, workflow_id: str, clock: Clock) -> None:
        self._home = home
        self._id = workflow_id
        self._clock = clock
        self._place = 0

    def step(self, name: str, work: Callable[[], dict[str, Any]]) -> dict[str, Any]:
        """See `Run.step`."""
        place, self._place = self._place, self._place + 1
        return self._home.recorded(self._id, place, name, work)

    def sleep(self, duration: timedelta, *, until: Callable[[], bool] | None = None) -> None:
        """See `Run.sleep`; without `until` it is slept in one go."""
        recorded = self.step("sleep", lambda: wake_time(self._clock, duration))
        if until is not None and self._home.went_on(self._id, self._place):
            return
        while (remaining := left(self._clock, recorded)) > timedelta():
            if until is not None and holds(until):
                return
            self._clock.sleep(remaining if until is None else min(remaining, _SLICE))
