"""Requests to our own interface: in the trace of whoever sent them, named by their route, wanted or not."""

from __future__ import annotations

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient

from adapters.traces.memory import MemoryTraces
from adapters.traces.otel import OtelTraces
from domain.clock import SystemClock
from domain.trace import SpanData
from service.tracing import TracedRequests, continued
from tests.stubs.otlp_server import OtlpStub
from tests.support.sinks import flushed

TRACE, SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"


def app_on(traces: MemoryTraces | OtelTraces) -> TestClient:
    app = FastAPI()

    @app.get("/cycles/{identity}")
    def show(identity: str) -> dict[str, str]:
        with traces.span("crew operator", "chain", {}, cycle_id=""):
            return {"id": identity}

    @app.get("/broken")
    def broken() -> None:
        raise ZeroDivisionError("a defect")

    @app.get("/healthz")
    def health() -> dict[str, str]:
        return {}

    app.add_middleware(TracedRequests, traces=traces)
    return TestClient(app, raise_server_exceptions=False)


def closed(traces: MemoryTraces) -> list[SpanData]:
    return [span for span in traces.taken if span.end is not None]


def test_a_request_continues_the_trace_it_came_with() -> None:
    traces = MemoryTraces()
    app_on(traces).get("/cycles/si_1", headers={"traceparent": f"00-{TRACE}-{SPAN}-01"})
    caused, request = closed(traces)
    assert (request.name, request.place.trace, request.place.remote) == ("GET /cycles/{identity}", TRACE, SPAN)
    assert request.facts["http.response.status_code"] == 200
    assert request.facts["http.route"] == "/cycles/{identity}"
    assert caused.link == request.place
    assert caused.place.trace != TRACE


def test_over_the_wire_the_parent_is_the_senders_span() -> None:
    stub = OtlpStub()
    traces = OtelTraces(endpoint=stub.start(), clock=SystemClock())
    app_on(traces).get("/cycles/si_1", headers={"traceparent": f"00-{TRACE}-{SPAN}-01"})
    flushed(traces)
    stub.stop()
    request, caused = stub.named("GET /cycles/{identity}"), stub.named("crew operator")
    assert (request.trace, request.parent, request.kind) == (TRACE, SPAN, "server")
    assert caused.links == (f"{TRACE}/{request.id}",)


def test_without_a_parent_it_begins_a_trace_and_a_defect_is_told() -> None:
    traces = MemoryTraces()
    app_on(traces).get("/broken")
    [request] = closed(traces)
    assert request.is_root
    assert "ZeroDivisionError" in request.error


def test_what_the_sender_wants_unrecorded_and_what_tells_nothing_is_not_recorded() -> None:
    traces = MemoryTraces()
    client = app_on(traces)
    client.get("/healthz")
    client.get("/broken", headers={"traceparent": f"00-{TRACE}-{SPAN}-00"})
    assert traces.spans == []


@pytest.mark.parametrize(
    "header",
    [
        "",
        "nonsense",
        f"ff-{TRACE}-{SPAN}-01",
        f"00-{'0' * 32}-{SPAN}-01",
        f"00-{TRACE}-{'0' * 16}-01",
        f"00-{TRACE}-{SPAN}-01-more",
        f"00-{TRACE[:-1]}-{SPAN}-01",
    ],
)
def test_a_header_that_is_none_counts_as_none(header: str) -> None:
    assert continued(header) == (None, True)


def test_a_later_version_may_say_more() -> None:
    place, wanted = continued(f"01-{TRACE}-{SPAN}-03-what-comes")
    assert place is not None
    assert (place.trace, place.remote, wanted) == (TRACE, SPAN, True)
