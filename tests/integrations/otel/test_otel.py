"""Spans as a collector decodes them: one tree, conventional attributes, nothing unmasked; and collectors in trouble."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime

import pytest

from adapters.traces.base import TracesPort
from adapters.traces.otel import OtelTraces, headers_of
from adapters.traces.redact import MASK
from domain.clock import SystemClock
from domain.errors import ConfigurationError, DependencyLied, DependencyTimeout, DependencyUnavailable
from domain.trace import Rating, SpanData, SpanPlace, Step, root_place, short_id, trace_id_of
from tests.contract.traces_contract import Seen, TracesContract
from tests.stubs.otlp_server import OtlpStub
from tests.stubs.small_server import NOBODY, Said, SmallServer, said
from tests.support.sinks import flushed

CLOCK = SystemClock()
CYCLE, OPENED = "si_2026_01_31_001", datetime(2026, 1, 31, 10, tzinfo=UTC)

works = pytest.mark.integration("otel", "works")
refused = pytest.mark.integration("otel", "refused")
slow = pytest.mark.integration("otel", "slow")
lying = pytest.mark.integration("otel", "lying")
misconfigured = pytest.mark.integration("otel", "misconfigured")


def traces(url: str, **other: object) -> OtelTraces:
    given = {"timeout_s": 10.0, **other}
    return OtelTraces(endpoint=url, clock=CLOCK, **given)  # type: ignore[arg-type]


@pytest.fixture
def stub() -> Iterator[OtlpStub]:
    made = OtlpStub()
    yield made
    made.stop()


@works
class TestOtelTraces(TracesContract):
    @pytest.fixture
    def traces(self, stub: OtlpStub) -> TracesPort:
        return OtelTraces(endpoint=stub.start(), clock=CLOCK)

    @pytest.fixture
    def seen(self, traces: TracesPort, stub: OtlpStub) -> Callable[[], dict[str, Seen]]:
        def read() -> dict[str, Seen]:
            names = {span.id: span.name for span in stub.spans}
            return {
                span.name: Seen(
                    name=span.name,
                    kind=span.attributes["evercrew.kind"],
                    parent=names.get(span.parent, ""),
                    inputs=_json(span.attributes, "evercrew.input", "gen_ai.tool.call.arguments"),
                    outputs=_json(span.attributes, "evercrew.output", "gen_ai.tool.call.result"),
                    error=span.message,
                )
                for span in stub.spans
            }

        return read


def _json(attributes: dict[str, object], *names: str) -> dict[str, object]:
    found = [str(attributes[name]) for name in names if name in attributes]
    return dict(json.loads(found[0])) if found else {}


@works
def test_a_cycle_has_one_trace_id_in_every_process_and_its_root_comes_last(stub: OtlpStub) -> None:
    url, root = stub.start(), root_place(CYCLE, OPENED)
    for _process in range(2):
        given = traces(url)
        with given.span("training", "chain", {}, cycle_id=CYCLE, under=root):
            pass
        flushed(given)
    last = traces(url)
    last.rate(Rating(root, "outcome_verified", OPENED, 1.0, "improved"))
    last.put(SpanData("self_improvement_cycle", "chain", CYCLE, root, end=CLOCK.now()))
    flushed(last)
    trace = trace_id_of(CYCLE, OPENED)
    assert [span.trace for span in stub.spans] == [trace] * 3
    whole = stub.named("self_improvement_cycle")
    assert (whole.id, whole.parent) == (short_id(trace), "")
    assert {span.parent for span in stub.spans if span.name == "training"} == {whole.id}
    assert whole.events == (
        (
            "gen_ai.evaluation.result",
            {
                "gen_ai.evaluation.name": "outcome_verified",
                "gen_ai.evaluation.score.value": 1.0,
                "gen_ai.evaluation.score.label": "improved",
            },
        ),
    )


@works
def test_model_calls_follow_the_semantic_conventions_for_generative_ai(stub: OtlpStub) -> None:
    given = traces(stub.start(), version="1.2.3", instance="worker-1")
    usage = {"asked": "gpt-4o-mini", "model": "gpt-4o-mini-2026", "provider": "openai", "cost_usd": 0.002}
    tokens = {"input_tokens": 120, "output_tokens": 30, "total_tokens": 150}
    with given.span(
        "diagnosis_propose", "llm", {"messages": [{"role": "user", "content": "why?"}]}, cycle_id=CYCLE
    ) as s:
        s.done({"text": "because"})
        s.tell(usage={**usage, **tokens}, agent="metrics_analyst")
    flushed(given)
    span = stub.named("diagnosis_propose")
    assert span.kind == "client"
    expected = {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "openai",
        "gen_ai.request.model": "gpt-4o-mini",
        "gen_ai.response.model": "gpt-4o-mini-2026",
        "gen_ai.usage.input_tokens": 120,
        "gen_ai.usage.output_tokens": 30,
        "gen_ai.agent.name": "metrics_analyst",
        "gen_ai.conversation.id": CYCLE,
        "evercrew.usage.cost_usd": 0.002,
    }
    assert {name: span.attributes.get(name) for name in expected} == expected
    assert json.loads(span.attributes["gen_ai.input.messages"]) == {"messages": [{"role": "user", "content": "why?"}]}
    assert span.resource == {"service.name": "evercrew", "service.version": "1.2.3", "service.instance.id": "worker-1"}


@works
def test_a_tool_call_and_its_decision_are_told_with_policies_and_records(stub: OtlpStub) -> None:
    given = traces(stub.start())
    with given.span("promote", "tool", {"args": {"version": "3"}}, cycle_id=CYCLE) as call:
        with given.span("door", "decision", {"tool": "promote"}, cycle_id=CYCLE) as door:
            door.done({"answer": "allow", "policies": ["promote-with-verdicts"]})
        call.tell(audit=[{"sequence": 7, "hash": "ab", "kind": "intent"}])
    flushed(given)
    call_seen, door_seen = stub.named("promote"), stub.named("door")
    assert (call_seen.attributes["gen_ai.operation.name"], call_seen.attributes["gen_ai.tool.name"]) == (
        "execute_tool",
        "promote",
    )
    assert json.loads(call_seen.attributes["evercrew.audit"]) == [{"hash": "ab", "kind": "intent", "sequence": 7}]
    assert door_seen.attributes["evercrew.decision.answer"] == "allow"
    assert door_seen.parent == call_seen.id


@works
def test_nothing_leaves_unmasked_and_content_can_be_left_out(stub: OtlpStub) -> None:
    url = stub.start()
    for given in (traces(url), traces(url, content=False)):
        with given.span("call", "tool", {"to": "ada@example.org"}, cycle_id=CYCLE) as span:
            span.done({"api_key": "0123456789"})
        flushed(given)
    open_span, closed_span = stub.spans
    assert MASK in open_span.attributes["gen_ai.tool.call.arguments"]
    assert "gen_ai.tool.call.arguments" not in closed_span.attributes
    assert not any(b"ada@" in body or b"0123456789" in body for body in stub.bodies)


@works
def test_a_request_continues_the_trace_of_whoever_sent_it(stub: OtlpStub) -> None:
    given = traces(stub.start())
    place = SpanPlace("a" * 32, (Step(CLOCK.now(), "0" * 16 + "b" * 16),), remote="c" * 16)
    given.put(
        SpanData("GET /api/v1/cycles", "request", "", place, facts={"http.route": "/api/v1/cycles"}, end=CLOCK.now())
    )
    flushed(given)
    span = stub.named("GET /api/v1/cycles")
    assert (span.trace, span.id, span.parent, span.kind) == ("a" * 32, "b" * 16, "c" * 16, "server")
    assert span.attributes["http.route"] == "/api/v1/cycles"


@works
def test_a_rating_that_comes_after_the_end_is_a_span_of_its_own(stub: OtlpStub) -> None:
    given = traces(stub.start())
    given.rate(Rating(root_place(CYCLE, OPENED), "outcome_verified", OPENED, 0.0, "unverified"))
    flushed(given)
    span = stub.named("rating outcome_verified")
    assert span.parent == short_id(trace_id_of(CYCLE, OPENED))
    assert span.events[0][1]["gen_ai.evaluation.score.label"] == "unverified"


@refused
def test_a_dead_collector_costs_nothing_and_is_counted() -> None:
    given, before = traces(NOBODY), CLOCK.monotonic()
    for _ in range(50):
        with given.span("call", "tool", {}, cycle_id=CYCLE):
            pass
    assert CLOCK.monotonic() - before < 20
    flushed(given)
    with pytest.raises(DependencyUnavailable, match="EVERCREW_OTLP_ENDPOINT"):
        given.check()


@refused
def test_credentials_that_are_refused_are_told(stub: OtlpStub) -> None:
    stub.token = "right"
    url = stub.start()
    with pytest.raises(DependencyUnavailable, match="EVERCREW_OTLP_HEADERS"):
        traces(url).check()
    assert "otel, OTLP over HTTP" in traces(url, headers=headers_of("Authorization=Bearer right")).check()


@slow
def test_a_slow_collector_does_not_hold_up_the_caller_and_flush_gives_up_in_time(stub: OtlpStub) -> None:
    stub.delay = 30
    given, before = traces(stub.start(), timeout_s=20.0), CLOCK.monotonic()
    with given.span("call", "tool", {}, cycle_id=CYCLE):
        pass
    given.flush(0.2)
    assert CLOCK.monotonic() - before < 10


@slow
def test_a_check_that_is_not_answered_is_a_timeout(stub: OtlpStub) -> None:
    stub.delay = 30
    with pytest.raises(DependencyTimeout, match="in time"):
        traces(stub.start(), timeout_s=0.2).check()


@lying
@pytest.mark.parametrize("status", [400, 500, 503])
def test_what_the_collector_does_not_take_is_counted(stub: OtlpStub, status: int) -> None:
    stub.status = status
    given = traces(stub.start())
    with given.span("call", "tool", {}, cycle_id=CYCLE):
        pass
    flushed(given)
    flushed(given)
    assert stub.spans == []
    assert given.lost >= 1


@misconfigured
@pytest.mark.parametrize("answer", [Said(200, b"<html>Hello</html>", "text/html"), said({}, 404), said({}, 405)])
def test_another_product_at_the_address_is_told(answer: Said) -> None:
    with SmallServer(lambda _: answer) as server, pytest.raises(DependencyLied, match="no OTLP endpoint"):
        traces(server.url).check()


@misconfigured
@pytest.mark.parametrize("url", ["", "nonsense", "ftp://collector.example"])
def test_an_address_that_is_none_names_the_setting(url: str) -> None:
    with pytest.raises(ConfigurationError, match="EVERCREW_OTLP_ENDPOINT"):
        traces(url)


@misconfigured
@pytest.mark.parametrize("given", ["novalue", "=x", "a="])
def test_headers_that_are_none_name_the_setting(given: str) -> None:
    with pytest.raises(ConfigurationError, match="EVERCREW_OTLP_HEADERS"):
        headers_of(given)


@refused
def test_a_dead_collector_does_not_hold_up_the_end_of_the_process() -> None:
    program = (
        "from adapters.traces.otel import OtelTraces\n"
        "from domain.clock import SystemClock\n"
        f"traces = OtelTraces(endpoint={NOBODY!r}, clock=SystemClock())\n"
        "with traces.span('call', 'tool', {}, cycle_id='c1'): pass\n"
        "traces.flush(0.1)\n"
        "print('traced')\n"
    )
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=120, check=True)
    assert (ended.stdout, ended.stderr) == ("traced\n", "")
