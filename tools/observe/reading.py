"""Reading a signal now and at its baseline: one home for how a signal becomes a measurement."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from adapters.metrics.base import MetricsPort
from domain.clock import Clock
from domain.measurement import Measurement
from domain.signal import SeriesQuery, SignalReading, SignalSpec, Stat
from domain.verdict import Verdict
from learning.seasonal import SeasonalBaseline
from policies.contract import Contract, breached


@dataclass(frozen=True)
class Windows:
    """Widths in time: what counts as current, and the stretch before the alert that is the baseline.

    The baseline ends `gap` before the alert.
    """

    current: timedelta
    baseline: timedelta
    gap: timedelta


Judge = Callable[[str, Measurement, Measurement], tuple[bool | None, str]]
"""(signal, current, baseline) -> whether the contract's threshold is breached (None: cannot be told) and why."""


def judge_of(contract: Callable[[], Contract]) -> Judge:
    """Return the judge that goes by the contract as it stands at every reading: people may change it meanwhile."""

    def judge(name: str, current: Measurement, baseline: Measurement) -> tuple[bool | None, str]:
        found = breached(contract(), name, current, baseline)
        return {Verdict.FAIL: True, Verdict.PASS: False}.get(found.verdict), found.reason

    return judge


class SignalReader:
    """Measures the signals of a catalog.

    Args:
        judge: the contract's word on a reading.
        seasonal: the same window of the weeks before is the baseline, in place of the stretch before the alert.
    """

    def __init__(
        self,
        metrics: MetricsPort,
        catalog: Mapping[str, SignalSpec],
        windows: Windows,
        judge: Judge,
        clock: Clock,
        seasonal: SeasonalBaseline | None = None,
    ) -> None:
        self._seasonal = seasonal
        self._metrics = metrics
        self.catalog = catalog
        self.windows = windows
        self.judge = judge
        self.clock = clock

    def measure(
        self, spec: SignalSpec, window: timedelta, at: datetime | None = None, labels: Mapping[str, str] | None = None
    ) -> Measurement:
        """Return the signal over `window` that ends `at` (default: now), for the series that carry `labels`."""
        value = self._read(spec.value, window, at, labels)
        if spec.count is None:
            return value.model_copy(update={"unit": spec.unit, "window": window})
        count = self._read(spec.count, window, at, labels)
        n = int(count.value) if count.usable and count.value is not None else 0
        if not value.usable or n <= 0:
            return Measurement(value=None, unit=spec.unit, n=0, window=window, source=value.source, at=value.at)
        if not spec.mean:
            return value.model_copy(update={"unit": spec.unit, "window": window, "n": n})
        return self._mean(spec, value, n, window, at, labels)

    def reading(self, name: str, alert_at: datetime) -> SignalReading:
        """Return the signal as it stands and as it stood before the alert."""
        spec = self.catalog[name]
        current = self.measure(spec, self.windows.current)
        baseline = self.baseline(name, alert_at)
        breached, reason = self.judge(name, current, baseline)
        return SignalReading(name=name, current=current, baseline=baseline, breached=breached, reason=reason)

    def baseline(self, name: str, alert_at: datetime) -> Measurement:
        """Return the signal over the baseline window before the alert, or as it was at that hour in earlier weeks."""
        if self._seasonal is not None:
            spec = self.catalog[name]
            return self._seasonal.read(lambda at: self.measure(spec, self.windows.current, at), alert_at)
        return self.measure(self.catalog[name], self.windows.baseline, alert_at - self.windows.gap)

    def series(self, name: str, start: datetime, end: datetime, step: timedelta) -> list[tuple[datetime, float | None]]:
        """Return the signal evaluated at each step, each value over one current window."""
        spec = self.catalog[name]
        values = self._range(spec.value, start, end, step)
        if not spec.mean or spec.count is None:
            return values
        counts = dict(self._range(spec.count, start, end, step))
        return [(at, value / n if value is not None and (n := counts.get(at)) else None) for at, value in values]

    def _mean(
        self,
        spec: SignalSpec,
        total: Measurement,
        n: int,
        window: timedelta,
        at: datetime | None,
        labels: Mapping[str, str] | None,
    ) -> Measurement:
        mean = total.finite() / n
        stderr = None
        if spec.squares is not None:
            squares = self._read(spec.squares, window, at, labels)
            if squares.usable:
                stderr = math.sqrt(max(squares.finite() / n - mean * mean, 0.0) / n)
        return Measurement(
            value=mean, unit=spec.unit, n=n, window=window, source=total.source, at=total.at, stderr=stderr
        )

    def _read(
        self, query: SeriesQuery, window: timedelta, at: datetime | None, labels: Mapping[str, str] | None
    ) -> Measurement:
        return self._metrics.read(_widened(query, window, labels), at)

    def _range(
        self, query: SeriesQuery, start: datetime, end: datetime, step: timedelta
    ) -> list[tuple[datetime, float | None]]:
        return [
            (p.at, p.value) for p in self._metrics.range(_widened(query, self.windows.current, None), start, end, step)
        ]


def _widened(query: SeriesQuery, window: timedelta, labels: Mapping[str, str] | None) -> SeriesQuery:
    changes: dict[str, object] = {"labels": {**query.labels, **(labels or {})}}
    if query.stat is not Stat.LAST:
        changes["window_s"] = window.total_seconds()
    return query.model_copy(update=changes)
