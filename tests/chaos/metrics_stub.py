"""A server that speaks Prometheus' HTTP API over the simulated platform, and the adapter that asks it.

It evaluates no PromQL: the adapter writes what each expression was rendered from into a book, and the server looks it
up. What goes over the wire is what goes over it in production.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from adapters.metrics.prometheus import PrometheusMetrics
from adapters.metrics.promql import render
from domain.measurement import Measurement, Point
from domain.signal import SeriesQuery
from evals.simulated import WorldMetrics
from tests.stubs.small_server import Asked, Said, said

OLD = timedelta(minutes=30)
LIES = ("stale", "nan", "duplicate", "another product")


class Booked(PrometheusMetrics):
    """The adapter; `book` says what each expression means."""

    book: dict[str, SeriesQuery]

    def read(self, query: SeriesQuery, at: datetime | None = None) -> Measurement:
        """See `MetricsPort.read`."""
        self.book[render(query, freshness=self._freshness())] = query
        return super().read(query, at)

    def range(self, query: SeriesQuery, start: datetime, end: datetime, step: timedelta) -> Sequence[Point]:
        """See `MetricsPort.range`."""
        self.book[render(query, freshness=self._freshness())] = query
        return super().range(query, start, end, step)


class Api:
    """What the server answers; `lie` is one of `LIES`, or empty."""

    def __init__(self, world: WorldMetrics) -> None:
        self._world = world
        self.book: dict[str, SeriesQuery] = {}
        self.lie = ""

    def __call__(self, asked: Asked) -> Said:
        """Answer a query of one moment or of a range."""
        if self.lie == "another product":
            return Said(200, b"<!doctype html><title>Sign in</title>", "text/html")
        series = self._range(asked) if asked.path.endswith("query_range") else self._moment(asked)
        if self.lie == "duplicate":
            series = [*series, *series]
        return said({"status": "success", "data": {"resultType": "vector", "result": series}})

    def _moment(self, asked: Asked) -> list[dict[str, Any]]:
        expression = asked.query["query"]
        if expression.startswith("group by"):
            digests = {variant.digest for variant in self._world.world.live().variants}
            return [{"metric": {"digest": digest}, "value": [0, "1"]} for digest in sorted(digests)]
        at = self._at(asked.query.get("time"))
        value = self._value(expression, at)
        stamp = at - OLD if self.lie == "stale" else at
        return [] if value is None else [{"metric": {}, "value": [stamp.timestamp(), value]}]

    def _range(self, asked: Asked) -> list[dict[str, Any]]:
        start, end, step = (float(asked.query[name]) for name in ("start", "end", "step"))
        moments = [start + n * step for n in range(round((end - start) / step) + 1)]
        shift = OLD.total_seconds() if self.lie == "stale" else 0.0
        values = [[m - shift, self._value(asked.query["query"], self._at(str(m)))] for m in moments]
        return [{"metric": {}, "values": [pair for pair in values if pair[1] is not None]}]

    def _value(self, expression: str, at: datetime) -> str | None:
        query = self.book[expression]
        found = self._world.read(query.model_copy(update={"scale": 1.0}), at).value
        if self.lie == "nan":
            return "NaN"
        return None if found is None else repr(found)

    def _at(self, text: str | None) -> datetime:
        return self._world.world.clock.now() if text is None else datetime.fromtimestamp(float(text), UTC)
