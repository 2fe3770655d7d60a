"""Metrics in memory, for tests and embedding; queries mean what they mean in Prometheus."""

from __future__ import annotations

from bisect import insort
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

from adapters.metrics.answers import measurement, points, present
from adapters.metrics.evaluate import Series, matches, metric_of, milliseconds
from domain.clock import Clock
from domain.measurement import Measurement, Point
from domain.signal import SeriesQuery


class MemoryMetrics:
    """`MetricsPort` over samples that `add` puts in."""

    name = "memory"

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._samples: dict[tuple[str, tuple[tuple[str, str], ...]], list[tuple[int, float]]] = {}

    def add(
        self, metric: str, value: float, labels: Mapping[str, str] | None = None, at: datetime | None = None
    ) -> None:
        """Add one sample."""
        key = (metric, tuple(sorted((labels or {}).items())))
        moment = milliseconds(at or self._clock.now())
        insort(self._samples.setdefault(key, []), (moment, value), key=lambda sample: sample[0])

    def read(self, query: SeriesQuery, at: datetime | None = None) -> Measurement:
        """See `MetricsPort.read`."""
        moment = milliseconds(at or self._clock.now())
        return measurement(query, self._matching(query), moment, self.name)

    def range(self, query: SeriesQuery, start: datetime, end: datetime, step: timedelta) -> Sequence[Point]:
        """See `MetricsPort.range`."""
        return points(query, self._matching(query), start, end, step)

    def labels(self, metric: str, label: str) -> Sequence[str]:
        """See `MetricsPort.labels`."""
        return present(label, self._matching(SeriesQuery(metric=metric)), milliseconds(self._clock.now()))

    def check(self) -> str:
        """See `MetricsPort.check`."""
        return f"memory: {len(self._samples)} series"

    def _matching(self, query: SeriesQuery) -> list[Series]:
        metric = metric_of(query)
        return [
            Series(dict(labels), [t for t, _ in samples], [v for _, v in samples])
            for (name, labels), samples in self._samples.items()
            if name == metric and matches(dict(labels), query.labels)
        ]
