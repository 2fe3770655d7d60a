"""Answers of the port from series held by ourselves."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from adapters.metrics.evaluate import Series, evaluate, milliseconds, moment_of, steps
from domain.measurement import Measurement, Point
from domain.signal import SeriesQuery, Stat


def measurement(query: SeriesQuery, series: Sequence[Series], at: int, source: str) -> Measurement:
    """Return the query's number at a time as a measurement."""
    answer = evaluate(query, series, at)
    if answer is None:
        return Measurement.missing(query.unit, source, moment_of(at))
    window = None if query.stat is Stat.LAST else timedelta(seconds=query.window_s)
    return Measurement(value=answer.value, unit=query.unit, n=1, window=window, source=source, at=moment_of(answer.at))


def points(
    query: SeriesQuery, series: Sequence[Series], start: datetime, end: datetime, step: timedelta
) -> Sequence[Point]:
    """Return the query's numbers at start, start + step, ... up to end."""
    moments = steps(start, end, step)
    answers = [evaluate(query, series, milliseconds(moment)) for moment in moments]
    return [Point(at=m, value=None if a is None else a.value) for m, a in zip(moments, answers, strict=True)]


def present(label: str, series: Sequence[Series], at: int) -> Sequence[str]:
    """Return the values of a label on the series that have not ended."""
    alive = [one for one in series if one.last(at) is not None]
    return sorted({one.labels[label] for one in alive if one.labels.get(label)})
