"""A process that traces a good deal of work and ends: ``python -m tests.traces.ending none|ENDPOINT``.

It prints how long the work took, and how long closing did, in seconds.
"""

from __future__ import annotations

import sys
from contextlib import ExitStack
from pathlib import Path

from adapters.traces.langsmith import LangSmithTraces
from adapters.traces.none import NoTraces
from adapters.traces.otel import OtelTraces
from adapters.traces.together import TogetherTraces
from domain.clock import SystemClock
from service.config import Config
from service.settings import Settings, load
from service.tracers import traces_of
from tests.integrations.backup.office import config_in

SPANS = 500


def work(endpoint: str, folder: Path) -> str:
    """Trace the work, and close as the application does."""
    clock = SystemClock()
    with ExitStack() as closing:
        traces = traces_of(_config(folder), _settings(endpoint), clock, closing)
        began = clock.monotonic()
        for number in range(SPANS):
            with traces.span("call", "tool", {"number": number}, cycle_id="si_2026_01_31_001") as span:
                span.done({"ok": True})
        worked = clock.monotonic() - began
        began = clock.monotonic()
    return f"{worked:.3f} {clock.monotonic() - began:.3f}"


def _settings(endpoint: str) -> Settings:
    if endpoint == "none":
        return load({"EVERCREW_TRACES": "none"})
    given = {"EVERCREW_TRACES": "langsmith,otel", "LANGSMITH_API_KEY": "k", "LANGSMITH_ENDPOINT": endpoint}
    return load({**given, "EVERCREW_OTLP_ENDPOINT": endpoint})


def _config(folder: Path) -> Config:
    return config_in(folder)


# Imported by both kinds of process alike, so that only the tracing differs.
USED = (LangSmithTraces, NoTraces, OtelTraces, TogetherTraces)

if __name__ == "__main__":
    print(work(sys.argv[1], Path(sys.argv[2])))  # noqa: T201  how it tells its parent
