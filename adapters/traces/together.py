"""Several sinks at once: one tree, each span handed to all of them."""

from __future__ import annotations

import threading
from collections.abc import Sequence

from adapters.traces.sink import SinkTraces
from adapters.traces.tree import SpanTree
from domain.clock import Clock
from domain.errors import DependencyError, DependencyUnavailable
from domain.trace import Rating, SpanData


class TogetherTraces(SpanTree):
    """A `TracesPort` on several others; one that fails or is slow takes nothing from the rest."""

    def __init__(self, sinks: Sequence[SinkTraces], clock: Clock) -> None:
        super().__init__(clock)
        self.sinks = tuple(sinks)
        self.name = " + ".join(sink.name for sink in sinks)

    @property
    def lost(self) -> int:
        """How many spans were not taken, by all of them."""
        return sum(sink.lost for sink in self.sinks)

    def take(self, span: SpanData) -> None:
        """See `SpanTree.take`."""
        for sink in self.sinks:
            sink.take(span)

    def take_rating(self, rating: Rating) -> None:
        """See `SpanTree.take_rating`."""
        for sink in self.sinks:
            sink.take_rating(rating)

    def flush(self, seconds: float = 5.0) -> None:
        """See `TracesPort.flush`; all at once."""
        flushing = [threading.Thread(target=sink.flush, args=(seconds,), daemon=True) for sink in self.sinks]
        for thread in flushing:
            thread.start()
        for thread in flushing:
            thread.join(seconds)

    def check(self) -> str:
        """See `TracesPort.check`; names every one that is broken."""
        told, problems = [], list[DependencyError]()
        for sink in self.sinks:
            try:
                told.append(sink.check().removeprefix("traces: "))
            except DependencyError as problem:
                problems.append(problem)
        if len(problems) == 1:
            raise problems[0]
        if problems:
            remedy = " ".join(dict.fromkeys(problem.remedy for problem in problems))
            raise DependencyUnavailable("traces", "; ".join(str(p).removesuffix(p.remedy) for p in problems), remedy)
        return f"traces: {'; '.join(told)}"
