"""Where traces go: the sinks the settings name, together, and the journal of what is open in them."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from datetime import datetime
from importlib import metadata
from typing import TYPE_CHECKING, Any

from adapters.store.base import Recording, StorePort
from adapters.traces.base import TracesPort
from domain.clock import Clock
from domain.errors import ConfigurationError
from domain.trace import SpanData, SpanPlace, Step
from service.config import Config
from service.settings import Settings

if TYPE_CHECKING:
    from adapters.traces.sink import SinkTraces

KIND = "trace"
AUTO, NONE = "auto", "none"


class StoreJournal:
    """A `Journal` among the recordings of the cycle, where every process finds it."""

    def __init__(self, store: StorePort) -> None:
        self._store = store

    def keep(self, sink: str, cycle_id: str, spans: Sequence[SpanData]) -> None:
        """See `Journal.keep`."""
        payload = {"open": [_plain(span) for span in spans]}
        self._store.record(Recording(cycle_id=cycle_id, place=_place(sink), kind=KIND, payload=payload))

    def left(self, sink: str, cycle_id: str) -> Sequence[SpanData]:
        """See `Journal.left`."""
        place = _place(sink)
        kept = [r for r in self._store.recordings(cycle_id, place) if r.place == place]
        return [_read(cycle_id, told) for recording in kept for told in recording.payload.get("open", ())]


def traces_of(
    config: Config, settings: Settings, clock: Clock, closing: ExitStack, store: StorePort | None = None
) -> TracesPort:
    """Return where traces go; with a store, what a dead process left open there is closed by the next one."""
    names = sinks_of(settings)
    if not names:
        from adapters.traces.none import NoTraces

        return NoTraces()
    from adapters.traces.together import TogetherTraces

    journal = StoreJournal(store) if store is not None else None
    traces = TogetherTraces([_sink(name, config, settings, clock, journal) for name in names], clock)
    closing.callback(traces.flush, settings.traces_flush_s)
    return traces


def sinks_of(settings: Settings) -> list[str]:
    """Return the names of the sinks, each once."""
    if settings.traces == NONE:
        return []
    if settings.traces != AUTO:
        return list(dict.fromkeys(name.strip() for name in settings.traces.split(",")))
    return ["langsmith" if settings.langsmith_api_key else "mlflow", *(["otel"] if settings.otlp_endpoint else [])]


def _sink(name: str, config: Config, settings: Settings, clock: Clock, journal: StoreJournal | None) -> SinkTraces:
    shared: dict[str, Any] = {"clock": clock, "content": settings.traces_content, "journal": journal}
    if name == "langsmith":
        from adapters.traces.langsmith import LangSmithTraces

        return LangSmithTraces(
            api_key=settings.langsmith_api_key,
            endpoint=settings.langsmith_endpoint,
            project=settings.langsmith_project,
            **shared,
        )
    if name == "mlflow":
        from adapters.traces.mlflow import MlflowTraces

        return MlflowTraces(config.tracking.uri, artifacts=config.tracking.artifacts, **shared)
    if not settings.otlp_endpoint:
        remedy = "Name the collector, e.g. http://127.0.0.1:4318, or leave otel out of EVERCREW_TRACES"
        raise ConfigurationError("EVERCREW_OTLP_ENDPOINT", "is empty, and EVERCREW_TRACES names otel", remedy)
    from adapters.traces.otel import OtelTraces, headers_of

    return OtelTraces(
        endpoint=settings.otlp_endpoint,
        headers=headers_of(settings.otlp_headers),
        version=metadata.version("evercrew"),
        instance=settings.executor_id,
        **shared,
    )


def _place(sink: str) -> str:
    return f"{KIND}/{sink}"


def _plain(span: SpanData) -> dict[str, Any]:
    path = [[step.start.isoformat(), step.id] for step in span.place.path]
    return {"name": span.name, "kind": span.kind, "trace": span.place.trace, "path": path}


def _read(cycle_id: str, told: Any) -> SpanData:
    path = tuple(Step(datetime.fromisoformat(start), identity) for start, identity in told["path"])
    return SpanData(str(told["name"]), str(told["kind"]), cycle_id, SpanPlace(str(told["trace"]), path))
