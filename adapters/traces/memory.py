"""Traces in memory."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from contextlib import AbstractContextManager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any

from adapters.traces.base import Span


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

    def done(self, outputs: Mapping[str, Any]) -> None:
        """See `Span.done`."""
        self.outputs = dict(outputs)


class _Opened(AbstractContextManager["MemorySpan"]):
    """The span while it is open, and the parent of those opened in it."""

    def __init__(self, span: MemorySpan, current: ContextVar[str]) -> None:
        self._span = span
        self._current = current

    def __enter__(self) -> MemorySpan:
        self._token = self._current.set(self._span.name)
        return self._span

    def __exit__(self, _kind: object, error: BaseException | None, _trace: object) -> None:
        self._current.reset(self._token)
        self._span.error = f"{type(error).__name__}: {error}" if error else ""
        self._span.closed = True


class MemoryTraces:
    """A `TracesPort` that keeps its spans, in the order they were opened."""

    name = "memory"

    def __init__(self) -> None:
        self.spans: list[MemorySpan] = []
        self._lock = threading.Lock()
        self._current: ContextVar[str] = ContextVar("evercrew_memory_span", default="")

    def span(self, name: str, kind: str, inputs: Mapping[str, Any], *, cycle_id: str) -> AbstractContextManager[Span]:
        """See `TracesPort.span`."""
        span = MemorySpan(name, kind, cycle_id, dict(inputs), parent=self._current.get())
        with self._lock:
            self.spans.append(span)
        return _Opened(span, self._current)

    def flush(self, seconds: float = 5.0) -> None:
        """See `TracesPort.flush`."""

    def check(self) -> str:
        """See `TracesPort.check`."""
        return f"traces: in memory, {len(self.spans)} spans"
