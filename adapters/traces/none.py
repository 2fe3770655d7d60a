"""No traces."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext
from typing import Any

from adapters.traces.base import Span
from domain.trace import Rating, SpanData, SpanPlace


class _Nothing:
    place: SpanPlace | None = None

    def done(self, outputs: Mapping[str, Any]) -> None:
        """See `Span.done`."""

    def tell(self, **facts: Any) -> None:
        """See `Span.tell`."""

    def called(self, name: str) -> None:
        """See `Span.called`."""

    def inside(self) -> nullcontext[None]:
        """See `Span.inside`."""
        return nullcontext()

    def end(self, error: str = "") -> None:
        """See `Span.end`."""


class NoTraces:
    """A `TracesPort` that keeps nothing."""

    name = "none"

    @contextmanager
    def span(
        self,
        name: str,
        kind: str,
        inputs: Mapping[str, Any],
        *,
        cycle_id: str,
        under: SpanPlace | None = None,
        facts: Mapping[str, Any] | None = None,
    ) -> Iterator[Span]:
        """See `TracesPort.span`."""
        yield _Nothing()

    def begin(
        self,
        name: str,
        kind: str,
        inputs: Mapping[str, Any],
        *,
        cycle_id: str,
        under: SpanPlace | None = None,
        facts: Mapping[str, Any] | None = None,
    ) -> Span:
        """See `TracesPort.begin`."""
        return _Nothing()

    def put(self, span: SpanData) -> None:
        """See `TracesPort.put`."""

    def rate(self, rating: Rating) -> None:
        """See `TracesPort.rate`."""

    def current(self) -> SpanPlace | None:
        """See `TracesPort.current`."""
        return None

    def tell(self, **facts: Any) -> None:
        """See `TracesPort.tell`."""

    def flush(self, seconds: float = 5.0) -> None:
        """See `TracesPort.flush`."""

    def check(self) -> str:
        """See `TracesPort.check`."""
        return "traces: none"
