"""What every trace store has to hold to."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from pydantic import BaseModel

from adapters.traces.base import TracesPort
from tests.support.sinks import flushed

CYCLE = "si_2026_01_31_001"


class Seen(BaseModel):
    """A span as the vendor tells of it."""

    name: str
    kind: str
    parent: str
    inputs: dict[str, object]
    outputs: dict[str, object]
    error: str


class TracesContract:
    """A vendor gives `traces` and `seen`: what has arrived, by name (nothing for one that keeps nothing)."""

    keeps = True

    @pytest.fixture
    def traces(self) -> TracesPort:
        raise NotImplementedError

    @pytest.fixture
    def seen(self, traces: TracesPort) -> Callable[[], dict[str, Seen]]:
        raise NotImplementedError

    def test_spans_nest_and_carry_inputs_and_outputs(
        self, traces: TracesPort, seen: Callable[[], dict[str, Seen]]
    ) -> None:
        with traces.span("diagnose", "chain", {"cycle": 1}, cycle_id=CYCLE) as stage:
            with traces.span("query_metric", "tool", {"name": "ndcg"}, cycle_id=CYCLE) as call:
                call.done({"value": 0.31})
            stage.done({"action": "retrain"})
        flushed(traces)
        found = seen()
        assert set(found) == ({"diagnose", "query_metric"} if self.keeps else set())
        if self.keeps:
            stage_seen, call_seen = found["diagnose"], found["query_metric"]
            assert (stage_seen.kind, stage_seen.parent, stage_seen.error) == ("chain", "", "")
            assert (call_seen.kind, call_seen.parent) == ("tool", "diagnose")
            assert (call_seen.inputs, call_seen.outputs) == ({"name": "ndcg"}, {"value": 0.31})
            assert stage_seen.outputs == {"action": "retrain"}

    def test_an_error_inside_is_recorded_and_goes_on(
        self, traces: TracesPort, seen: Callable[[], dict[str, Seen]]
    ) -> None:
        with pytest.raises(ValueError, match="broken"), traces.span("train", "tool", {}, cycle_id=CYCLE):
            raise ValueError("broken")
        with traces.span("after", "chain", {}, cycle_id=CYCLE):
            pass
        flushed(traces)
        found = seen()
        if self.keeps:
            assert "ValueError: broken" in found["train"].error
            assert found["after"].parent == ""
        assert bool(found) is self.keeps

    def test_what_cannot_be_written_does_not_disturb_what_is_traced(self, traces: TracesPort) -> None:
        done = False
        with traces.span("odd", "llm", {"object": object(), "number": float("nan")}, cycle_id=CYCLE) as span:
            span.done({"type": type(self)})
            done = True
        flushed(traces)
        assert done

    def test_check_says_what_it_is(self, traces: TracesPort) -> None:
        assert traces.check().startswith(f"traces: {'in memory' if traces.name == 'memory' else traces.name}")
