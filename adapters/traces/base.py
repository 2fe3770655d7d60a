"""The trace port. Contract: tracing never blocks and never fails what it traces; a lost span is counted."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager
from typing import Any, Protocol


class Span(Protocol):
    """An open span."""

    def done(self, outputs: Mapping[str, Any]) -> None:
        """Attach the outputs; called at most once."""
        ...


class TracesPort(Protocol):
    """Opens spans; nesting follows the thread's context."""

    name: str

    def span(self, name: str, kind: str, inputs: Mapping[str, Any], *, cycle_id: str) -> AbstractContextManager[Span]:
        """Open a span of kind ``chain``, ``tool`` or ``llm``; an exception inside is recorded on it and goes on."""
        ...

    def flush(self, seconds: float = 5.0) -> None:
        """Send what is waiting, for at most so long."""
        ...

    def check(self) -> str:
        """Return one line for `doctor`, or raise a DependencyError."""
        ...
