"""What a query means, computed from samples as Prometheus 2 does it (promql/functions.go and promql/quantile.go there).

Times are whole milliseconds since the Unix epoch. A sample whose value is None marks the end of its series (a
staleness marker).
"""

from __future__ import annotations

import math
import re
from bisect import bisect_left, bisect_right
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import pairwise

from domain.errors import InvalidInput
from domain.signal import SeriesQuery, Stat

LOOKBACK_MS = 300_000
MOST_STEPS = 11_000
_LABEL = re.compile(r"^[a-zA-Z_][a-zA-Z0-9_]*$")
_COUNTER_SUFFIXES = ("_total", "_sum", "_count", "_bucket")


@dataclass(slots=True)
class Series:
    """One series: its labels without the metric's name, and its samples in order of time."""

    labels: Mapping[str, str]
    times: list[int] = field(default_factory=list)
    values: list[float | None] = field(default_factory=list)

    def last(self, at: int) -> tuple[int, float] | None:
        """The latest sample in the five minutes up to `at`, unless the series had ended."""
        index = bisect_right(self.times, at) - 1
        if index < 0 or self.times[index] <= at - LOOKBACK_MS:
            return None
        value = self.values[index]
        return None if value is None else (self.times[index], value)

    def window(self, at: int, length: int) -> tuple[list[int], list[float]]:
        """Samples in [at - length, at]."""
        low, high = bisect_left(self.times, at - length), bisect_right(self.times, at)
        kept = [(t, v) for t, v in zip(self.times[low:high], self.values[low:high], strict=True) if v is not None]
        return [t for t, _ in kept], [v for _, v in kept]


@dataclass(frozen=True, slots=True)
class Answer:
    """A finite number and the time of the youngest sample behind it."""

    value: float
    at: int


def metric_of(query: SeriesQuery) -> str:
    """Return the name of the series the query reads.

    Raises:
        InvalidInput: a label's name is not one, or a quantile is asked for without saying which.
    """
    for label in query.labels:
        check_label(label)
    if query.stat is not Stat.QUANTILE:
        return query.metric
    if query.q is None:
        raise InvalidInput("q", "is missing with stat quantile", "Give the quantile, e.g. 0.95")
    return f"{query.metric}_bucket"


def check_label(name: str) -> str:
    """Return `name` when it is a label's name.

    Raises:
        InvalidInput: it is not.
    """
    if not _LABEL.match(name):
        raise InvalidInput("labels", f"{name!r} is not a label name", "Use letters, digits and _")
    return name


def is_summed(metric: str) -> bool:
    """Whether several series of this name are added up (they count something) and not averaged."""
    return metric.endswith(_COUNTER_SUFFIXES)


def matches(labels: Mapping[str, str], wanted: Mapping[str, str]) -> bool:
    """Whether all wanted labels have their values; a label that is not there is empty."""
    return all(labels.get(name, "") == value for name, value in wanted.items())


def evaluate(query: SeriesQuery, series: Iterable[Series], at: int) -> Answer | None:
    """Return the query's number at a time, or None when there is none (or one that is not finite)."""
    length = round(query.window_s * 1000)
    found: Answer | None = None
    match query.stat:
        case Stat.LAST:
            found = _aggregated(query, [sample for one in series if (sample := one.last(at)) is not None])
        case Stat.MEAN:
            windows = [one.window(at, length) for one in series]
            found = _aggregated(query, [(t[-1], sum(v) / len(v)) for t, v in windows if v])
        case Stat.RATE | Stat.INCREASE:
            found = _summed(_increases(series, at, length, per_second=query.stat is Stat.RATE))
        case Stat.QUANTILE:
            found = _quantile_of(query.q or 0.5, list(series), at, length)
    if found is None or not math.isfinite(found.value):
        return None
    return Answer(found.value * query.scale, found.at)


def steps(start: datetime, end: datetime, step: timedelta, most: int = MOST_STEPS) -> list[datetime]:
    """Return start, start + step, ... up to end.

    Raises:
        InvalidInput: the end is before the start, the step is not positive, or there are more than `most` steps.
    """
    if step <= timedelta():
        raise InvalidInput("step", f"{step} is not a step", "Give a positive duration")
    if end < start:
        raise InvalidInput("end", f"{end.isoformat()} is before {start.isoformat()}", "Give a later end")
    count = (end - start) // step + 1
    if count > most:
        raise InvalidInput("step", f"{count} steps are more than {most}", "Take a longer step")
    return [start + step * number for number in range(count)]


def milliseconds(moment: datetime) -> int:
    """Return the time as samples carry it."""
    return round(moment.timestamp() * 1000)


def moment_of(at: int) -> datetime:
    """Return the time of a sample."""
    return datetime.fromtimestamp(at / 1000, UTC)


def _aggregated(query: SeriesQuery, samples: Sequence[tuple[int, float]]) -> Answer | None:
    total = _summed(samples)
    if total is None or is_summed(query.metric):
        return total
    return Answer(total.value / len(samples), total.at)


def _summed(samples: Sequence[tuple[int, float]]) -> Answer | None:
    if not samples:
        return None
    return Answer(math.fsum(value for _, value in samples), max(at for at, _ in samples))


def _increases(series: Iterable[Series], at: int, length: int, *, per_second: bool) -> list[tuple[int, float]]:
    found = []
    for one in series:
        times, values = one.window(at, length)
        grown = _extrapolated(times, values, at, length)
        if grown is not None:
            found.append((times[-1], grown / (length / 1000) if per_second else grown))
    return found


def _extrapolated(times: Sequence[int], values: Sequence[float], at: int, length: int) -> float | None:
    """The increase of a counter over the window, as `extrapolatedRate` has it.

    Resets are made good; towards the ends it is extrapolated by at most half a sampling interval, never below zero.
    """
    if len(values) < 2:
        return None
    grown = values[-1] - values[0]
    for before, after in pairwise(values):
        if after < before:
            grown += before
    sampled = (times[-1] - times[0]) / 1000
    between = sampled / (len(values) - 1)
    to_start, to_end = (times[0] - (at - length)) / 1000, (at - times[-1]) / 1000
    if grown > 0 and values[0] >= 0:
        to_start = min(to_start, sampled * (values[0] / grown))
    covered = sampled
    for gap in (to_start, to_end):
        covered += gap if gap < between * 1.1 else between / 2
    return grown * covered / sampled


def _quantile_of(q: float, series: Sequence[Series], at: int, length: int) -> Answer | None:
    """The quantile of the observations in the window, all matching histograms together."""
    counts: dict[float, float] = defaultdict(float)
    newest = 0
    for one in series:
        bound = _bound(one.labels.get("le", ""))
        for sampled_at, rate in _increases([one], at, length, per_second=True) if bound is not None else ():
            counts[bound] += rate  # type: ignore[index]  # None was left out in the line above
            newest = max(newest, sampled_at)
    value = histogram_quantile(q, sorted(counts.items()))
    return None if value is None else Answer(value, newest)


def histogram_quantile(q: float, buckets: Sequence[tuple[float, float]]) -> float | None:
    """Return the `q`-quantile of cumulative (upper bound, count) pairs by linear interpolation (`bucketQuantile`).

    None without a bucket up to infinity, with a single bucket, or without observations.
    """
    if len(buckets) < 2 or not math.isinf(buckets[-1][0]):
        return None
    bounds = [bound for bound, _ in buckets]
    counts: list[float] = []
    for _, count in buckets:
        counts.append(max(count, counts[-1]) if counts else count)
    if not counts[-1] > 0:
        return None
    rank = q * counts[-1]
    index = min(bisect_left(counts, rank), len(counts) - 1)
    if index == len(counts) - 1:
        return bounds[-2]
    if index == 0 and bounds[0] <= 0:
        return bounds[0]
    low, below = (bounds[index - 1], counts[index - 1]) if index > 0 else (0.0, 0.0)
    return low + (bounds[index] - low) * (rank - below) / (counts[index] - below)


def _bound(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None
