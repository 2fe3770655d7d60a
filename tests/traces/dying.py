"""A process that takes a step of a cycle with traces on, and dies in the middle of it, or does not.

``python -m tests.traces.dying DATABASE ENDPOINT CYCLE POINT``; without a point it finishes the step and the cycle.
"""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

from adapters.database import Database
from adapters.store.sqlalchemy import SqlStore
from adapters.traces.langsmith import LangSmithTraces
from cycles.tracing import ended, step_span
from domain.clock import SystemClock
from domain.cycle import Cycle
from domain.outcome import OutcomeKind
from domain.stage import Stage
from service.tracers import StoreJournal
from tests.support.sinks import flushed


def work(database: Path, endpoint: str, cycle_id: str, point: str) -> None:
    """Take the step; die at the point."""
    store = SqlStore(Database(f"sqlite:///{database}"))
    traces = LangSmithTraces(api_key="k", clock=SystemClock(), endpoint=endpoint, journal=StoreJournal(store))
    cycle = store.cycle(cycle_id)
    assert cycle is not None
    step(traces, cycle, point)
    ended(traces, cycle.model_copy(update={"stage": Stage.DONE, "outcome": OutcomeKind.IMPROVED}))
    flushed(traces)


def step(traces: LangSmithTraces, cycle: Cycle, point: str) -> None:
    """Take the first step of a cycle: a crew asks, a model answers, a tool is called."""
    number = int(cycle.facts.get("steps", 0))
    with step_span(traces, cycle, number), traces.span("crew diagnosis", "chain", {}, cycle_id=cycle.id):
        with traces.span("diagnosis_propose", "llm", {}, cycle_id=cycle.id):
            _die(traces, point, "in the model")
        with traces.span("query_metric", "tool", {}, cycle_id=cycle.id):
            with traces.span("door", "decision", {}, cycle_id=cycle.id):
                pass
            _die(traces, point, "in the tool")


def _die(traces: LangSmithTraces, point: str, here: str) -> None:
    if point == here:
        flushed(traces)
        os.kill(os.getpid(), signal.SIGKILL)


if __name__ == "__main__":
    work(Path(sys.argv[1]), sys.argv[2], sys.argv[3], sys.argv[4] if len(sys.argv) > 4 else "")
