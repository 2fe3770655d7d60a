"""Spans as OpenTelemetry has them, with our identities: what the OTLP and the MLflow sinks share."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import Event, ReadableSpan
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import Link, SpanContext, SpanKind, TraceFlags
from opentelemetry.trace.status import Status, StatusCode

from domain.trace import MODEL, REQUEST, SpanData, SpanPlace, short_id

_SAMPLED = TraceFlags(TraceFlags.SAMPLED)
_KINDS = {REQUEST: SpanKind.SERVER, MODEL: SpanKind.CLIENT}


def readable(
    span: SpanData,
    attributes: Mapping[str, Any],
    *,
    resource: Resource | None = None,
    scope: InstrumentationScope | None = None,
    events: tuple[Event, ...] = (),
) -> ReadableSpan:
    """Return a span for an exporter, with these attributes."""
    status = Status(StatusCode.ERROR, span.error) if span.error else Status(StatusCode.OK)
    return ReadableSpan(
        name=span.name,
        context=context_of(span.place),
        parent=_parent(span.place),
        resource=resource,
        attributes=attributes,
        events=events,
        links=(Link(context_of(span.link)),) if span.link is not None else (),
        kind=_KINDS.get(span.kind, SpanKind.INTERNAL),
        status=status if span.end is not None else Status(StatusCode.UNSET),
        start_time=nanos(span.start),
        end_time=nanos(span.end) if span.end is not None else None,
        instrumentation_scope=scope,
    )


def context_of(place: SpanPlace) -> SpanContext:
    """Return the identity of a span."""
    return SpanContext(int(place.trace, 16), int(short_id(place.id), 16), is_remote=False, trace_flags=_SAMPLED)


def _parent(place: SpanPlace) -> SpanContext | None:
    above = short_id(place.parent) if place.parent else place.remote
    if not above:
        return None
    remote = not place.parent
    return SpanContext(int(place.trace, 16), int(above, 16), is_remote=remote, trace_flags=_SAMPLED)


def nanos(moment: datetime) -> int:
    """Return a moment in nanoseconds since 1970 (UTC), without the rounding of a float."""
    return int(moment.timestamp()) * 1_000_000_000 + moment.microsecond * 1000


def text(value: Any) -> str:
    """Return a masked value as JSON text; attributes hold no nested values."""
    return json.dumps(value, ensure_ascii=False, sort_keys=True)


def flat(facts: Mapping[str, Any], prefix: str) -> dict[str, str | bool | int | float]:
    """Return facts as attributes: plain ones as they are, others as JSON."""
    given: dict[str, str | bool | int | float] = {}
    for name, value in facts.items():
        if value is None or value == "" or value == [] or value == {}:
            continue
        given[f"{prefix}{name}"] = value if isinstance(value, str | bool | int | float) else text(value)
    return given
