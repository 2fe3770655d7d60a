"""A sink: where spans go, behind a pump. What leaves is masked here, in the sender's thread."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from adapters.traces.base import Journal
from adapters.traces.hanging import Hanging
from adapters.traces.pump import WAITING, Pump
from adapters.traces.redact import redacted, redacted_text
from adapters.traces.tree import SpanTree
from domain.clock import Clock
from domain.trace import Rating, SpanData

Anonymizer = Callable[[Mapping[str, Any]], dict[str, Any]]


class SinkTraces(SpanTree):
    """A `TracesPort` whose spans go to a sink. `lost` counts what was not taken.

    Args:
        content: whether inputs and outputs are sent; without, names, times, answers, tokens and costs remain.
        anonymizer: applied to everything that leaves.
        waiting: how many spans may wait; more are lost.
    """

    def __init__(
        self,
        *,
        clock: Clock | None = None,
        content: bool = True,
        anonymizer: Anonymizer = redacted,
        waiting: int = WAITING,
        journal: Journal | None = None,
    ) -> None:
        super().__init__(clock)
        self.journaled = journal is not None
        self._content = content
        self._anonymizer = anonymizer
        self._pump = Pump[SpanData | Rating](
            self.name, self._sent, before=self._prepared, after=self._settled, clock=clock, waiting=waiting
        )
        self._hanging = Hanging(self.name, journal) if journal is not None else None

    @abstractmethod
    def send(self, spans: Sequence[SpanData], ratings: Sequence[Rating]) -> None:
        """Send; opened and closed spans, masked, in order.

        Raises:
            DependencyUnavailable, DependencyTimeout: it may go better later. DependencyError: it will not.
        """

    @abstractmethod
    def check(self) -> str:
        """See `TracesPort.check`."""

    def ready(self) -> None:
        """Do what comes before the first sending and waits for no sink; a flush waits for it. Never raises."""

    @property
    def waiting(self) -> int:
        """How many spans were neither taken nor lost yet."""
        return self._pump.left

    @property
    def lost(self) -> int:
        """How many spans were not taken."""
        return self._pump.lost

    def take(self, span: SpanData) -> None:
        """See `SpanTree.take`."""
        self._pump.put(span)

    def take_rating(self, rating: Rating) -> None:
        """See `SpanTree.take_rating`."""
        self._pump.put(rating)

    def flush(self, seconds: float = 5.0) -> None:
        """See `TracesPort.flush`."""
        self._pump.flush(seconds)

    def masked(self, span: SpanData) -> SpanData:
        """Return the span as it may leave."""
        content: dict[str, Any] = {"inputs": {}, "outputs": {}}
        if self._content:
            content = {"inputs": self._anonymizer(span.inputs), "outputs": self._anonymizer(span.outputs)}
        return replace(span, **content, facts=self._anonymizer(span.facts), error=redacted_text(span.error))

    def _prepared(self, jobs: Sequence[SpanData | Rating]) -> Sequence[SpanData | Rating]:
        self.ready()
        spans = [job for job in jobs if isinstance(job, SpanData)]
        whole = self._hanging.taken(spans) if self._hanging is not None else spans
        return [*(self.masked(span) for span in whole), *(job for job in jobs if isinstance(job, Rating))]

    def _sent(self, jobs: Sequence[SpanData | Rating]) -> None:
        self.send([j for j in jobs if isinstance(j, SpanData)], [j for j in jobs if isinstance(j, Rating)])

    def _settled(self, jobs: Sequence[SpanData | Rating]) -> None:
        if self._hanging is not None:
            self._hanging.sent([j for j in jobs if isinstance(j, SpanData)], at_leisure=self._pump.idle)
