"""Spans of requests to our own HTTP interface, in the trace of whoever sent them (W3C Trace Context, `traceparent`).

They go to OpenTelemetry only: what a request causes (a cycle, a conversation) is a trace of its own, which names the
request it came from.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from adapters.traces.base import Span, TracesPort
from domain.trace import REQUEST, SpanPlace

_PARENT = re.compile(r"(?P<version>[0-9a-f]{2})-(?P<trace>[0-9a-f]{32})-(?P<span>[0-9a-f]{16})-(?P<flags>[0-9a-f]{2})")
_NEVER = "ff"
_SAMPLED = 0x01
# Asked for all the time, and telling nothing.
UNTRACED = ("/healthz", "/readyz", "/metrics", "/static/")


def continued(traceparent: str) -> tuple[SpanPlace | None, bool]:
    """Return the span a request continues (None: it begins a trace), and whether its sender wants it recorded.

    A header that is no traceparent counts as none, as the specification asks for.
    """
    found = _PARENT.match(traceparent.strip().lower())
    if found is None or found["version"] == _NEVER or not int(found["trace"], 16) or not int(found["span"], 16):
        return None, True
    rest = traceparent.strip()[found.end() :]
    if rest and (found["version"] == "00" or not rest.startswith("-")):
        return None, True
    return SpanPlace(found["trace"], (), remote=found["span"]), bool(int(found["flags"], 16) & _SAMPLED)


@contextmanager
def traced_request(traces: TracesPort, name: str, traceparent: str = "", **facts: Any) -> Iterator[Span | None]:
    """Open the span of a request for as long as it is answered; None where its sender wants none recorded."""
    above, wanted = continued(traceparent)
    if not wanted:
        yield None
        return
    with traces.span(name, REQUEST, {}, cycle_id="", under=above, facts=facts) as span:
        yield span


class TracedRequests:
    """ASGI middleware: a span for every request, named by the route that answered it."""

    def __init__(self, app: ASGIApp, traces: TracesPort) -> None:
        self._app = app
        self._traces = traces

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http" or str(scope["path"]).startswith(UNTRACED):
            await self._app(scope, receive, send)
            return
        method = str(scope["method"])
        sent = _header(scope["headers"], b"traceparent")
        facts = {"http.request.method": method, "url.scheme": str(scope.get("scheme", "http"))}
        with traced_request(self._traces, method, sent, **facts) as span:

            async def told(message: Message) -> None:
                if span is not None and message["type"] == "http.response.start":
                    span.tell(**{"http.response.status_code": int(message["status"])})
                await send(message)

            try:
                await self._app(scope, receive, told)
            finally:
                _named(span, method, scope)


def _named(span: Span | None, method: str, scope: Mapping[str, Any]) -> None:
    """Name the span by the template of its route: a name has no identities in it."""
    route = getattr(scope.get("route"), "path", None)
    if span is not None and route:
        span.called(f"{method} {route}")
        span.tell(**{"http.route": str(route)})


def _header(headers: Iterable[tuple[bytes, bytes]], name: bytes) -> str:
    return next((value.decode("latin-1") for key, value in headers if key == name), "")
