"""What LangSmith and MLflow traces do when the other side is down, slow or old, and what never leaves the machine."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator

import pytest

from adapters.traces.base import TracesPort
from adapters.traces.langsmith import LangSmithTraces
from adapters.traces.mlflow import MlflowTraces
from adapters.traces.redact import MASK
from domain.clock import SystemClock
from domain.errors import DependencyUnavailable
from tests.contract.traces_contract import Seen, TracesContract
from tests.stubs.langsmith_server import LangSmithStub
from tests.support.sinks import flushed

CLOCK = SystemClock()
DEAD = "http://127.0.0.1:9"


def trace(traces: LangSmithTraces | MlflowTraces, times: int = 1) -> float:
    """Open so many spans and return the seconds it took."""
    before = CLOCK.monotonic()
    for number in range(times):
        with traces.span("call", "tool", {"number": number}, cycle_id="c1") as span:
            span.done({"ok": True})
    return CLOCK.monotonic() - before


@pytest.mark.integration("langsmith", "refused")
def test_a_dead_endpoint_costs_nothing_and_is_counted() -> None:
    traces = LangSmithTraces(api_key="k", clock=CLOCK, endpoint=DEAD)
    assert trace(traces, 50) < 10
    flushed(traces)
    assert traces.lost == 100
    with pytest.raises(DependencyUnavailable, match="langsmith"):
        traces.check()


@pytest.mark.integration("langsmith", "slow")
def test_a_slow_endpoint_does_not_hold_up_the_caller_and_flush_gives_up_in_time() -> None:
    stub = LangSmithStub(delay=30)
    traces = LangSmithTraces(api_key="k", clock=CLOCK, endpoint=stub.start())
    assert trace(traces, 50) < 10
    before = CLOCK.monotonic()
    traces.flush(0.2)
    assert CLOCK.monotonic() - before < 10
    stub.stop()


@pytest.mark.integration("langsmith", "refused")
def test_what_the_endpoint_refuses_is_counted() -> None:
    stub = LangSmithStub(status=500)
    traces = LangSmithTraces(api_key="k", clock=CLOCK, endpoint=stub.start())
    trace(traces)
    flushed(traces)
    assert traces.lost == 2
    assert stub.runs == {}
    stub.stop()


@pytest.mark.integration("langsmith", "slow")
def test_what_does_not_fit_the_queue_is_counted() -> None:
    stub = LangSmithStub(delay=30)
    traces = LangSmithTraces(api_key="k", clock=CLOCK, endpoint=stub.start(), waiting=4)
    trace(traces, 200)
    assert traces.lost >= 200
    stub.stop()


@pytest.mark.integration("langsmith", "works")
def test_an_endpoint_without_multipart_gets_batches() -> None:
    stub = LangSmithStub(multipart=False)
    traces = LangSmithTraces(api_key="k", clock=CLOCK, endpoint=stub.start())
    trace(traces, 3)
    flushed(traces)
    assert traces.lost == 0
    assert len(stub.runs) == 3
    assert stub.paths[-1] == "/runs/batch"
    stub.stop()


@pytest.mark.integration("langsmith", "works")
def test_the_key_the_project_and_the_cycle_go_along() -> None:
    stub = LangSmithStub()
    traces = LangSmithTraces(api_key="k-1", clock=CLOCK, endpoint=stub.start(), project="team")
    trace(traces)
    flushed(traces)
    (run,) = stub.runs.values()
    assert run["session_name"] == "team"
    assert run["extra"]["metadata"]["cycle_id"] == "c1"
    assert run["end_time"] >= run["start_time"]
    assert stub.keys == {"k-1"}
    stub.stop()


@pytest.mark.integration("langsmith", "works")
def test_inputs_and_outputs_can_be_hidden_and_secrets_always_are() -> None:
    secret = "sk-abcdefghijklmnop"
    stub = LangSmithStub()
    endpoint = stub.start()
    open_traces = LangSmithTraces(api_key="k", clock=CLOCK, endpoint=endpoint)
    with open_traces.span("open", "llm", {"prompt": f"use {secret}", "api_key": "x"}, cycle_id="c1") as span:
        span.done({"text": secret})
    hidden = LangSmithTraces(api_key="k", clock=CLOCK, endpoint=endpoint, content=False)
    with hidden.span("hidden", "llm", {"prompt": "private"}, cycle_id="c1") as span:
        span.done({"text": "private"})
    flushed(open_traces)
    flushed(hidden)
    runs = {run["name"]: run for run in stub.runs.values()}
    assert runs["open"]["inputs"] == {"prompt": f"use {MASK}", "api_key": MASK}
    assert runs["open"]["outputs"] == {"text": MASK}
    assert not runs["hidden"]["inputs"]
    assert not runs["hidden"]["outputs"]
    stub.stop()


@pytest.mark.integration("langsmith", "refused")
def test_a_dead_endpoint_does_not_hold_up_the_end_of_the_process() -> None:
    program = (
        "from adapters.traces.langsmith import LangSmithTraces\n"
        "from domain.clock import SystemClock\n"
        f"traces = LangSmithTraces(api_key='k', clock=SystemClock(), endpoint={DEAD!r})\n"
        "with traces.span('call', 'tool', {}, cycle_id='c1'): pass\n"
        "traces.flush(0.1)\n"
        "print('traced')\n"
    )
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=120, check=True)
    assert ended.stdout == "traced\n"


@pytest.mark.integration("langsmith", "works")
class TestLangSmithTraces(TracesContract):
    @pytest.fixture
    def stub(self) -> Iterator[LangSmithStub]:
        stub = LangSmithStub()
        yield stub
        stub.stop()

    @pytest.fixture
    def traces(self, stub: LangSmithStub) -> TracesPort:
        return LangSmithTraces(api_key="key", clock=SystemClock(), endpoint=stub.start())

    @pytest.fixture
    def seen(self, traces: TracesPort, stub: LangSmithStub) -> Callable[[], dict[str, Seen]]:
        def read() -> dict[str, Seen]:
            names = {identity: run["name"] for identity, run in stub.runs.items()}
            return {
                run["name"]: Seen(
                    name=run["name"],
                    kind=run["run_type"],
                    parent=names.get(run.get("parent_run_id") or "", ""),
                    inputs=run.get("inputs") or {},
                    outputs=run.get("outputs") or {},
                    error=run.get("error") or "",
                )
                for run in stub.runs.values()
            }

        return read
