"""Traces by OpenTelemetry: OTLP over HTTP, to a collector or to any of the many products that take it.

A span is sent when it is closed. Attributes follow the semantic conventions of OpenTelemetry for generative AI
(`gen_ai.*`, 1.38) where there is one for what we mean, and are `evercrew.*` else.
"""

from __future__ import annotations

import gzip
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import Event, ReadableSpan
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from requests import RequestException, Response, Session, Timeout

from adapters.address import http_address
from adapters.traces.base import Journal
from adapters.traces.pump import WAITING
from adapters.traces.readable import flat, nanos, readable, text
from adapters.traces.redact import redacted
from adapters.traces.sink import Anonymizer, SinkTraces
from domain.clock import Clock
from domain.errors import ConfigurationError, DependencyLied, DependencyTimeout, DependencyUnavailable
from domain.trace import CHAIN, DECISION, MODEL, REQUEST, TOOL, Rating, SpanData, Step

_NAME = "otel"
_PATH = "v1/traces"
_REMEDY = "Mend EVERCREW_OTLP_ENDPOINT: it has to be a collector's address for OTLP over HTTP, usually port 4318"
_SCOPE = "evercrew"
_OPERATIONS = {MODEL: "chat", TOOL: "execute_tool"}


class OtelTraces(SinkTraces):
    """A `TracesPort` on OTLP/HTTP; see `SinkTraces` for what it shares with others.

    Args:
        endpoint: the collector, with or without the path ``v1/traces``.
        headers: sent with every request, e.g. ``authorization``.
        service: what the spans say they come from, besides its version and this process's name.

    Raises:
        ConfigurationError: the address cannot be one.
    """

    name = _NAME

    def __init__(
        self,
        *,
        endpoint: str,
        clock: Clock,
        headers: Mapping[str, str] | None = None,
        service: str = "evercrew",
        version: str = "",
        instance: str = "",
        content: bool = True,
        anonymizer: Anonymizer = redacted,
        waiting: int = WAITING,
        timeout_s: float = 5.0,
        journal: Journal | None = None,
    ) -> None:
        super().__init__(clock=clock, content=content, anonymizer=anonymizer, waiting=waiting, journal=journal)
        address = str(http_address(endpoint, field="EVERCREW_OTLP_ENDPOINT")).rstrip("/")
        self._url = address if address.endswith(_PATH) else f"{address}/{_PATH}"
        self._headers = dict(headers or {})
        self._timeout_s = timeout_s
        told = {"service.name": service, "service.version": version, "service.instance.id": instance}
        self._resource = Resource({key: value for key, value in told.items() if value})
        self._scope = InstrumentationScope(_SCOPE, version or None)
        self._session = Session()

    def send(self, spans: Sequence[SpanData], ratings: Sequence[Rating]) -> None:
        """See `SinkTraces.send`."""
        closed = [span for span in spans if span.end is not None]
        roots = {span.place.id for span in closed if span.is_root}
        late = [rating for rating in ratings if rating.place.id not in roots]
        exported = [self._exported(span, [r for r in ratings if r.place.id == span.place.id]) for span in closed]
        exported += [self._exported(_late(rating), [rating]) for rating in late]
        if exported:
            # The SDK's own exporter tries again by itself for seconds, and a process that ends would wait for it.
            self._posted(gzip.compress(encode_spans(exported).SerializeToString(), compresslevel=1), gzipped=True)

    def check(self) -> str:
        """See `TracesPort.check`. An export without spans is a question that changes nothing."""
        self._posted(b"")
        return f"traces: otel, OTLP over HTTP at {self._url}, {self.lost} lost"

    def _posted(self, body: bytes, *, gzipped: bool = False) -> None:
        headers = {"content-type": "application/x-protobuf", **({"content-encoding": "gzip"} if gzipped else {})}
        try:
            answer = self._session.post(
                self._url, data=body, headers={**headers, **self._headers}, timeout=self._timeout_s
            )
        except Timeout as error:
            raise DependencyTimeout(_NAME, "it did not answer in time", "Look at the collector's load") from error
        except RequestException as error:
            told = " ".join(str(error).split())[:200]
            raise DependencyUnavailable(_NAME, f"it cannot be reached: {told}", _REMEDY) from error
        self._judged(answer)

    def _judged(self, answer: Response) -> None:
        status, kind = answer.status_code, answer.headers.get("content-type", "")
        if status in (401, 403):
            remedy = "Mend EVERCREW_OTLP_HEADERS, e.g. authorization=Bearer ..."
            raise DependencyUnavailable(_NAME, f"it refuses the credentials ({status})", remedy)
        if status >= 500 or status == 429:
            raise DependencyUnavailable(_NAME, f"it answers {status}", "Look at the collector's log")
        if status >= 300 or kind.startswith("text/html"):
            raise DependencyLied(_NAME, f"{self._url} is no OTLP endpoint ({status} {kind})", _REMEDY)

    def _exported(self, span: SpanData, ratings: Sequence[Rating]) -> ReadableSpan:
        events = tuple(_event(rating) for rating in ratings)
        return readable(span, attributes(span), resource=self._resource, scope=self._scope, events=events)


def attributes(span: SpanData) -> dict[str, Any]:
    """Return the attributes of a masked span."""
    facts = dict(span.facts)
    usage = facts.pop("usage", None)
    given: dict[str, Any] = {"evercrew.kind": span.kind}
    if span.cycle_id:
        given |= {"evercrew.cycle_id": span.cycle_id, "gen_ai.conversation.id": span.cycle_id}
    if span.kind in _OPERATIONS:
        given["gen_ai.operation.name"] = _OPERATIONS[span.kind]
    if "agent" in facts:
        given["gen_ai.agent.name"] = facts.pop("agent")
    if span.kind == MODEL:
        given |= _of_model(usage if isinstance(usage, Mapping) else {}, span)
    elif span.kind == TOOL:
        given |= {"gen_ai.tool.name": span.name, "gen_ai.tool.type": "function"}
        given |= _content(span, "gen_ai.tool.call.arguments", "gen_ai.tool.call.result")
    elif span.kind == REQUEST:
        return given | facts | ({"error.type": span.error.partition(":")[0]} if span.error else {})
    else:
        given |= _content(span, "evercrew.input", "evercrew.output")
    if span.kind == DECISION:
        given |= flat(span.outputs, "evercrew.decision.")
    if span.error:
        given["error.type"] = span.error.partition(":")[0]
    return given | flat(facts, "evercrew.")


def _of_model(usage: Mapping[str, Any], span: SpanData) -> dict[str, Any]:
    given = {
        "gen_ai.provider.name": usage.get("provider"),
        "gen_ai.request.model": usage.get("asked"),
        "gen_ai.response.model": usage.get("model"),
        "gen_ai.usage.input_tokens": usage.get("input_tokens"),
        "gen_ai.usage.output_tokens": usage.get("output_tokens"),
        "evercrew.usage.total_tokens": usage.get("total_tokens"),
        "evercrew.usage.cost_usd": usage.get("cost_usd"),
        **_content(span, "gen_ai.input.messages", "gen_ai.output.messages"),
    }
    return {name: value for name, value in given.items() if value not in (None, "")}


def _content(span: SpanData, inputs: str, outputs: str) -> dict[str, str]:
    given = {inputs: span.inputs, outputs: span.outputs}
    return {name: text(value) for name, value in given.items() if value}


def _late(rating: Rating) -> SpanData:
    """Return a span that carries what became known after its trace was closed."""
    place = replace(rating.place, path=(*rating.place.path, Step(rating.at, rating.id)))
    return SpanData(f"rating {rating.key}", CHAIN, "", place, end=rating.at)


def _event(rating: Rating) -> Event:
    told = {
        "gen_ai.evaluation.name": rating.key,
        "gen_ai.evaluation.score.value": rating.score,
        "gen_ai.evaluation.score.label": rating.value,
        "gen_ai.evaluation.explanation": rating.comment,
    }
    kept = {name: value for name, value in told.items() if value not in (None, "")}
    return Event("gen_ai.evaluation.result", attributes=kept, timestamp=nanos(rating.at))


def headers_of(given: str) -> dict[str, str]:
    """Return headers written as ``name=value,name=value``.

    Raises:
        ConfigurationError: they are written otherwise.
    """
    headers = {}
    for part in filter(None, (part.strip() for part in given.split(","))):
        name, mark, value = part.partition("=")
        if not mark or not name.strip() or not value.strip():
            remedy = "Write name=value, several with commas between them"
            raise ConfigurationError("EVERCREW_OTLP_HEADERS", "is not a list of headers", remedy)
        headers[name.strip().lower()] = value.strip()
    return headers
