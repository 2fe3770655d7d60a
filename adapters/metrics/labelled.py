"""The series of one target, of a metrics system that has others' too: every query carries the target's labels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

from adapters.metrics.base import MetricsPort
from domain.measurement import Measurement, Point
from domain.signal import SeriesQuery


def with_labels(query: SeriesQuery, labels: Mapping[str, str]) -> SeriesQuery:
    """Return the query narrowed to series that have the labels; they count more than what it says of them itself."""
    return query.model_copy(update={"labels": {**query.labels, **labels}})


class LabelledMetrics:
    """`MetricsPort` over another, narrowed to series with these labels."""

    def __init__(self, metrics: MetricsPort, labels: Mapping[str, str]) -> None:
        self._metrics = metrics
        self._labels = dict(labels)
        self.name = metrics.name

    def read(self, query: SeriesQuery, at: datetime | None = None) -> Measurement:
        """See `MetricsPort.read`."""
        return self._metrics.read(with_labels(query, self._labels), at)

    def range(self, query: SeriesQuery, start: datetime, end: datetime, step: timedelta) -> Sequence[Point]:
        """See `MetricsPort.range`."""
        return self._metrics.range(with_labels(query, self._labels), start, end, step)

    def labels(self, metric: str, label: str) -> Sequence[str]:
        """See `MetricsPort.labels`; of all series of the metric."""
        return self._metrics.labels(metric, label)

    def check(self) -> str:
        """See `MetricsPort.check`."""
        return self._metrics.check()
