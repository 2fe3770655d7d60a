"""A collector for OTLP over HTTP: takes protobuf at /v1/traces, decodes it, and keeps the spans it finds."""

from __future__ import annotations

import gzip
import threading
from dataclasses import dataclass, field
from typing import Any

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from opentelemetry.proto.common.v1.common_pb2 import AnyValue
from opentelemetry.proto.trace.v1.trace_pb2 import Span as WireSpan

from tests.stubs.small_server import Asked, Said, SmallServer

_STATUS = {0: "", 1: "ok", 2: "error"}


@dataclass(frozen=True)
class Received:
    """A span as it came over the wire."""

    trace: str
    id: str
    parent: str
    name: str
    kind: str
    attributes: dict[str, Any]
    resource: dict[str, Any]
    status: str
    message: str
    seconds: float
    events: tuple[tuple[str, dict[str, Any]], ...] = ()
    links: tuple[str, ...] = ()


@dataclass
class OtlpStub:
    """Keeps what it was sent.

    Args:
        delay: seconds before each answer.
        status: answered in place of taking anything, where it is not 200.
        token: the only bearer it takes; any, when empty.
    """

    delay: float = 0.0
    status: int = 200
    token: str = ""
    spans: list[Received] = field(default_factory=list)
    bodies: list[bytes] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def __post_init__(self) -> None:
        self._server = SmallServer(self._answer)

    def start(self) -> str:
        """Serve in a thread and return the address."""
        return self._server.start()

    def stop(self) -> None:
        """Stop serving."""
        self._server.stop()

    def named(self, name: str) -> Received:
        """Return the one span of a name."""
        [found] = [span for span in self.spans if span.name == name]
        return found

    def _answer(self, request: Asked) -> Said:
        self._server.stopping.wait(self.delay)
        if (request.method, request.path) != ("POST", "/v1/traces"):
            return Said(404, b"not here", "text/plain")
        if self.token and request.headers.get("authorization") != f"Bearer {self.token}":
            return Said(401)
        if self.status != 200:
            return Said(self.status)
        body = request.body
        if request.headers.get("content-encoding") == "gzip":
            body = gzip.decompress(body)
        with self.lock:
            self.bodies.append(body)
            self.spans.extend(_read(ExportTraceServiceRequest.FromString(body)))
        return Said(200, ExportTraceServiceResponse().SerializeToString(), "application/x-protobuf")


def _read(request: ExportTraceServiceRequest) -> list[Received]:
    found = []
    for of in request.resource_spans:
        resource = {pair.key: _value(pair.value) for pair in of.resource.attributes}
        for scoped in of.scope_spans:
            found += [_span(span, resource) for span in scoped.spans]
    return found


def _span(span: WireSpan, resource: dict[str, Any]) -> Received:
    return Received(
        trace=span.trace_id.hex(),
        id=span.span_id.hex(),
        parent=span.parent_span_id.hex(),
        name=span.name,
        kind=WireSpan.SpanKind.Name(span.kind).removeprefix("SPAN_KIND_").lower(),
        attributes={pair.key: _value(pair.value) for pair in span.attributes},
        resource=resource,
        status=_STATUS[span.status.code],
        message=span.status.message,
        seconds=(span.end_time_unix_nano - span.start_time_unix_nano) / 1e9,
        events=tuple((e.name, {pair.key: _value(pair.value) for pair in e.attributes}) for e in span.events),
        links=tuple(f"{link.trace_id.hex()}/{link.span_id.hex()}" for link in span.links),
    )


def _value(value: AnyValue) -> Any:
    which = value.WhichOneof("value")
    return None if which is None else getattr(value, which)
