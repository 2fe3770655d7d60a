"""The way to a sink: never blocking, bounded, counted; and several sinks beside one another."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from datetime import timedelta

import pytest

from adapters.traces.pump import STUCK_S, Pump
from adapters.traces.sink import SinkTraces
from adapters.traces.together import TogetherTraces
from domain.clock import SystemClock
from domain.errors import DependencyLied, DependencyUnavailable
from domain.trace import Rating, SpanData
from tests.stubs.langsmith_server import LangSmithStub
from tests.stubs.otlp_server import OtlpStub
from tests.support.sinks import drained, flushed
from tests.support.waiting import until

CLOCK = SystemClock()


class Taker:
    """Takes batches; fails as often as it is told to."""

    def __init__(self, failures: int = 0, error: type[DependencyUnavailable | DependencyLied] = DependencyUnavailable):
        self.batches: list[list[int]] = []
        self.attempts = 0
        self.open = threading.Event()
        self.open.set()
        self._failures = failures
        self._error = error

    def __call__(self, jobs: Sequence[int]) -> None:
        self.open.wait(60)
        self.attempts += 1
        if self.attempts <= self._failures:
            raise self._error("taker", "it does not take")
        self.batches.append(list(jobs))

    @property
    def taken(self) -> list[int]:
        return [job for batch in self.batches for job in batch]


def failing(pump: Pump[int]) -> None:
    """Wait until the pump has failed once."""
    until(lambda: pump.problem)


def test_everything_arrives_in_order() -> None:
    taker = Taker()
    pump = Pump[int]("t", taker)
    for job in range(250):
        pump.put(job)
    drained(pump)
    assert taker.taken == list(range(250))
    assert pump.lost == 0


def test_a_sink_that_is_away_for_a_moment_loses_nothing() -> None:
    taker = Taker(failures=2)
    pump = Pump[int]("t", taker, pause_s=0.01)
    pump.put(1)
    drained(pump)
    assert (taker.taken, pump.lost, pump.problem) == ([1], 0, "")


def test_what_is_not_taken_after_some_attempts_is_counted_and_the_rest_goes_on() -> None:
    taker = Taker(failures=3)
    pump = Pump[int]("t", taker, pause_s=0.01)
    pump.put(1)
    drained(pump)
    pump.put(2)
    drained(pump)
    assert (taker.taken, pump.lost) == ([2], 1)


def test_what_is_refused_for_what_it_is_is_not_tried_again() -> None:
    taker = Taker(failures=1, error=DependencyLied)
    pump = Pump[int]("t", taker)
    pump.put(1)
    drained(pump)
    assert (taker.attempts, pump.lost) == (1, 1)
    assert "does not take" in pump.problem


def test_what_does_not_fit_is_counted_and_nobody_waits() -> None:
    taker = Taker()
    taker.open.clear()
    pump = Pump[int]("t", taker, waiting=5)
    before = CLOCK.monotonic()
    for job in range(200):
        pump.put(job)
    assert CLOCK.monotonic() - before < 30  # half of what the taker takes for the first
    assert pump.lost >= 90
    taker.open.set()
    drained(pump)
    assert len(taker.taken) + pump.lost == 200


def test_flush_does_not_wait_for_a_sink_that_was_found_dead() -> None:
    taker = Taker(failures=100)
    pump = Pump[int]("t", taker, pause_s=150)
    pump.put(1)
    failing(pump)
    before = CLOCK.monotonic()
    pump.flush(120)
    assert CLOCK.monotonic() - before < 60


def test_flush_hurries_a_sink_that_waits_to_try_again() -> None:
    taker = Taker(failures=1)
    pump = Pump[int]("t", taker, pause_s=150)
    pump.put(1)
    failing(pump)
    drained(pump)
    assert taker.taken == [1]


def langsmith(stub: LangSmithStub) -> SinkTraces:
    from adapters.traces.langsmith import LangSmithTraces

    return LangSmithTraces(api_key="k", clock=CLOCK, endpoint=stub.start())


def otel(url: str) -> SinkTraces:
    from adapters.traces.otel import OtelTraces

    return OtelTraces(endpoint=url, clock=CLOCK, timeout_s=10.0)


def test_several_sinks_get_the_same_tree() -> None:
    first, second = LangSmithStub(), OtlpStub()
    traces = TogetherTraces([langsmith(first), otel(second.start())], CLOCK)
    with traces.span("stage", "chain", {}, cycle_id="c"), traces.span("call", "tool", {}, cycle_id="c") as call:
        call.done({"ok": True})
    flushed(traces)
    first.stop()
    second.stop()
    assert traces.name == "langsmith + otel"
    ours = {run["name"]: identity.replace("-", "") for identity, run in first.runs.items()}
    assert {span.name: span.id for span in second.spans} == {name: found[-16:] for name, found in ours.items()}
    assert {span.trace for span in second.spans} == {ours["stage"]}


def test_a_dead_sink_takes_nothing_from_the_others_and_is_named_by_the_check() -> None:
    stub = LangSmithStub()
    traces = TogetherTraces([otel("http://127.0.0.1:9"), langsmith(stub)], CLOCK)
    before = CLOCK.monotonic()
    for _ in range(20):
        with traces.span("call", "tool", {}, cycle_id="c"):
            pass
    assert CLOCK.monotonic() - before < 30
    flushed(traces)
    assert len(stub.runs) == 20
    with pytest.raises(DependencyUnavailable, match="otel"):
        traces.check()
    stub.stop()


def test_two_dead_sinks_are_named_both() -> None:
    traces = TogetherTraces([otel("http://127.0.0.1:9"), otel("http://127.0.0.1:10")], CLOCK)
    with pytest.raises(DependencyUnavailable, match=r"otel.*otel"):
        traces.check()


def test_a_batch_that_cannot_be_made_ready_loses_itself_and_not_the_sender() -> None:
    given: list[SpanData | Rating] = []

    class Odd(SinkTraces):
        name = "odd"

        def send(self, spans: Sequence[SpanData], ratings: Sequence[Rating]) -> None:
            given.extend(spans)

        def check(self) -> str:
            return "traces: odd"

    traces = Odd(clock=CLOCK)
    with traces.span("first", "chain", {"what": {1: {2: object()}}}, cycle_id="c"):
        pass
    flushed(traces)
    assert [span.name for span in given if isinstance(span, SpanData)] == ["first", "first"]


def test_what_comes_before_the_first_sending_is_no_dead_sink() -> None:
    given: list[SpanData | Rating] = []

    class Late(SinkTraces):
        name = "late"

        def ready(self) -> None:
            CLOCK.sleep(timedelta(seconds=STUCK_S + 1))

        def send(self, spans: Sequence[SpanData], ratings: Sequence[Rating]) -> None:
            given.extend(spans)

        def check(self) -> str:
            return "traces: late"

    traces = Late(clock=CLOCK)
    with traces.span("first", "chain", {}, cycle_id="c"):
        pass
    traces.flush(60)
    assert given
