"""The trace port. Contract: tracing never blocks and never fails what it traces; a lost span is counted.

What leaves the machine is masked first (`redact.py`). A span that was still open when its process died is closed as
interrupted by the next process that goes on with its cycle, where the port was given a journal.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any, Protocol

from domain.trace import Rating, SpanData, SpanPlace


class Span(Protocol):
    """An open span."""

    place: SpanPlace | None

    def done(self, outputs: Mapping[str, Any]) -> None:
        """Attach the outputs; called at most once."""
        ...

    def tell(self, **facts: Any) -> None:
        """Add facts; of one that is told twice, the later counts."""
        ...

    def called(self, name: str) -> None:
        """Give it another name, where what it is becomes known only later."""
        ...

    def inside(self) -> AbstractContextManager[None]:
        """Make this the span that others are opened in, in this thread's context, without closing it afterwards."""
        ...

    def end(self, error: str = "") -> None:
        """Close it; a second time does nothing."""
        ...


class TracesPort(Protocol):
    """Opens spans; nesting follows the thread's context."""

    name: str

    def span(
        self,
        name: str,
        kind: str,
        inputs: Mapping[str, Any],
        *,
        cycle_id: str,
        under: SpanPlace | None = None,
        facts: Mapping[str, Any] | None = None,
    ) -> AbstractContextManager[Span]:
        """Open a span for as long as the context is; an exception inside is recorded on it and goes on.

        Args:
            kind: ``chain``, ``tool``, ``llm``, ``decision`` or ``request``.
            under: where it stands when no span is open in this context; a root of its own without.
            facts: see `SpanData`.
        """
        ...

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
        """Open a span that somebody else will end; it is not the one others are opened in until asked to be."""
        ...

    def put(self, span: SpanData) -> None:
        """Take a span over as it is: a root that several processes share, or one whose end is known already."""
        ...

    def rate(self, rating: Rating) -> None:
        """Write back to a trace what became known about it."""
        ...

    def current(self) -> SpanPlace | None:
        """Return the place of the span that is open in this context, None outside of one."""
        ...

    def tell(self, **facts: Any) -> None:
        """Add facts to the span that is open in this context; outside of one, nothing happens."""
        ...

    def flush(self, seconds: float = 5.0) -> None:
        """Send what is waiting, for at most so long."""
        ...

    def check(self) -> str:
        """Return one line for `doctor`, or raise a DependencyError."""
        ...


class Journal(Protocol):
    """Remembers, beyond the death of a process, which spans of a cycle are open at a sink."""

    def keep(self, sink: str, cycle_id: str, spans: Sequence[SpanData]) -> None:
        """Replace what is kept.

        Raises:
            DependencyError: it could not be.
        """
        ...

    def left(self, sink: str, cycle_id: str) -> Sequence[SpanData]:
        """Return what other processes have left.

        Raises:
            DependencyError: it could not be read.
        """
        ...
