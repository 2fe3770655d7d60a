"""Traces in memory."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from typing import Any

from adapters.traces.tree import SpanTree
from domain.clock import Clock
from domain.trace import Rating, SpanData


@dataclass
class MemorySpan:
    """A span as it was kept; `parent` is the name of the span it was opened in."""

    name: str
    kind: str
    cycle_id: str
    inputs: dict[str, Any]
    parent: str = ""
    outputs: dict[str, Any] = field(default_factory=dict)
    error: str = ""
    closed: bool = False
    facts: dict[str, Any] = field(default_factory=dict)


class MemoryTraces(SpanTree):
    """A `TracesPort` that keeps its spans, in the order they were opened."""

    name = "memory"

    def __init__(self, clock: Clock | None = None) -> None:
        super().__init__(clock)
        self.spans: list[MemorySpan] = []
        self.taken: list[SpanData] = []
        self.ratings: list[Rating] = []
        self._known: dict[str, MemorySpan] = {}
        self._lock = threading.Lock()

    def take(self, span: SpanData) -> None:
        """See `SpanTree.take`."""
        with self._lock:
            self.taken.append(span)
            known = self._known.get(span.place.id)
            if known is None:
                above = self._known.get(span.place.parent)
                known = MemorySpan(span.name, span.kind, span.cycle_id, {}, parent=above.name if above else "")
                self._known[span.place.id] = known
                self.spans.append(known)
            known.inputs, known.outputs, known.facts = dict(span.inputs), dict(span.outputs), dict(span.facts)
            known.name = span.name
            known.error, known.closed = span.error, span.end is not None

    def take_rating(self, rating: Rating) -> None:
        """See `SpanTree.take_rating`."""
        with self._lock:
            self.ratings.append(rating)

    def flush(self, seconds: float = 5.0) -> None:
        """See `TracesPort.flush`."""

    def check(self) -> str:
        """See `TracesPort.check`."""
        return f"traces: in memory, {len(self.spans)} spans"
