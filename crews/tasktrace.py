"""The span of one task of a crew: opened when its agent is first at work, closed with its answer.

CrewAI runs the tasks of a crew one after the other in one thread, and a task's tool calls in several; so the span is
nobody's context by itself, and is entered around each model call and each tool call of the task.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from adapters.traces.base import Span, TracesPort
from domain.actor import Role
from domain.brief import Brief
from domain.trace import CHAIN


class TaskTrace:
    """The span of a task, in the span of the crew it was made in."""

    def __init__(self, traces: TracesPort, task: str, role: Role, brief: Brief) -> None:
        self._traces = traces
        self._task = task
        self._role = role
        self._brief = brief
        self._lock = threading.Lock()
        self._span: Span | None = None
        self._above = traces.current()

    @contextmanager
    def within(self) -> Iterator[None]:
        """Open other spans inside of the task's."""
        with self._opened().inside():
            yield

    def answered(self, outputs: Mapping[str, Any]) -> None:
        """Note the task's answer."""
        self._opened().done(outputs)

    def close(self, error: str = "") -> None:
        """Close it, where it was opened; in a later round the task has a span of its own again."""
        with self._lock:
            if self._span is not None:
                self._span.end(error)
                self._span = None

    def _opened(self) -> Span:
        with self._lock:
            if self._span is None:
                self._span = self._traces.begin(
                    f"task {self._task}",
                    CHAIN,
                    {"task": self._task, "role": self._role.value},
                    cycle_id=self._brief.cycle_id,
                    under=self._above,
                    facts={"stage": self._brief.stage, "agent": self._role.value},
                )
            return self._span
