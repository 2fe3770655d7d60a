"""No traces."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from adapters.traces.base import Span


class _Nothing:
    def done(self, outputs: Mapping[str, Any]) -> None:
        """See `Span.done`."""


class NoTraces:
    """A `TracesPort` that keeps nothing."""

    name = "none"

    @contextmanager
    def span(self, name: str, kind: str, inputs: Mapping[str, Any], *, cycle_id: str) -> Iterator[Span]:
        """See `TracesPort.span`."""
        yield _Nothing()

    def flush(self, seconds: float = 5.0) -> None:
        """See `TracesPort.flush`."""

    def check(self) -> str:
        """See `TracesPort.check`."""
        return "traces: none"
