"""Metrics scraped by ourselves, and metrics from Prometheus: failures, time, and that both answer alike, live."""

from __future__ import annotations

import json
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from adapters.metrics.base import MetricsPort
from adapters.metrics.evaluate import histogram_quantile
from adapters.metrics.prometheus import PrometheusMetrics
from adapters.metrics.scrape import ScrapedMetrics
from adapters.rest import Endpoint
from domain.clock import Clock, FrozenClock, SystemClock
from domain.errors import DependencyLied, DependencyTimeout, DependencyUnavailable, InvalidInput
from domain.signal import SeriesQuery, Stat
from tests.contract.promserver import free_port, needs_prometheus, prometheus
from tests.stubs.small_server import Asked, Said, SmallServer
from tests.support.waiting import until

SECOND = timedelta(seconds=1)
PAGE = "text/plain; version=0.0.4"


def open_prometheus(url: str, clock: Clock | None = None, **endpoint: Any) -> PrometheusMetrics:
    return PrometheusMetrics(endpoint=Endpoint(url=url, **endpoint), clock=clock or FrozenClock())


def page(text: str) -> Said:
    return Said(200, text.encode(), PAGE)


def open_scrape(url: str, folder: Path, clock: FrozenClock | SystemClock, interval: float = 1.0) -> ScrapedMetrics:
    return ScrapedMetrics(
        url=f"{url}/metrics",
        db_path=folder / "metrics.sqlite",
        clock=clock,
        interval=interval * SECOND,
        timeout=10 * SECOND,
    )


def test_nobody_listening_is_unavailable(tmp_path: Path) -> None:
    url = f"http://127.0.0.1:{free_port()}"
    metrics: list[MetricsPort] = [
        open_scrape(url, tmp_path, FrozenClock()),
        open_prometheus(url, timeout=SECOND, attempts=2),
    ]
    for one in metrics:
        with pytest.raises(DependencyUnavailable):
            one.read(SeriesQuery(metric="up"))
        with pytest.raises(DependencyUnavailable):
            one.labels("up", "job")


def prometheus_answer(value: object) -> Said:
    return Said(200, json.dumps({"status": "success", "data": value}).encode())


ROW = {"metric": {}, "value": [1767225600.5, "3"]}
VECTOR = {"resultType": "vector", "result": [ROW]}


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (Said(200, b"<html>"), DependencyLied),
        (Said(200, b"{}"), DependencyLied),
        (Said(200, b"[]"), DependencyLied),
        (prometheus_answer({"result": "none"}), DependencyLied),
        (prometheus_answer({"result": [{"metric": {}, "value": ["x"]}]}), DependencyLied),
        (prometheus_answer({"result": [ROW, ROW]}), DependencyLied),
        (prometheus_answer({"result": [{"metric": {}, "value": [1, "three"]}]}), DependencyLied),
        (Said(400, b'{"errorType": "bad_data", "error": "parse error"}'), InvalidInput),
        (Said(422, b'{"errorType": "execution", "error": "too many samples"}'), DependencyLied),
        (Said(400, b"what"), DependencyLied),
        (Said(404, b"nothing here"), DependencyUnavailable),
        (Said(503, b"overloaded"), DependencyUnavailable),
    ],
)
def test_what_prometheus_should_not_say_has_a_name(answer: Said, error: type[Exception]) -> None:
    with SmallServer(lambda _: answer) as stub, pytest.raises(error):
        open_prometheus(stub.url, attempts=2).read(SeriesQuery(metric="up"))


@pytest.mark.parametrize("value", ["NaN", "+Inf", "-Inf"])
def test_a_number_that_is_none_is_missing(value: str) -> None:
    result = {"result": [{"metric": {}, "value": [1767225600.5, value]}]}
    with SmallServer(lambda _: prometheus_answer(result)) as stub:
        assert open_prometheus(stub.url).read(SeriesQuery(metric="up")).value is None


def test_the_time_is_prometheus_own() -> None:
    with SmallServer(lambda _: prometheus_answer(VECTOR)) as stub:
        measured = open_prometheus(stub.url).read(SeriesQuery(metric="up", scale=2, unit="x"))
    assert (measured.value, measured.unit, measured.n) == (6, "x", 1)
    assert measured.at == datetime(2026, 1, 1, 0, 0, 0, 500_000, tzinfo=UTC)


def test_an_overloaded_prometheus_is_asked_again() -> None:
    answers = iter([Said(503, b"busy"), prometheus_answer(VECTOR)])
    with SmallServer(lambda _: next(answers)) as stub:
        assert open_prometheus(stub.url).read(SeriesQuery(metric="up")).value == 3


def test_a_prometheus_that_hangs_is_a_timeout() -> None:
    with SmallServer(lambda _: page("up 1\n"), delay=30) as stub, pytest.raises(DependencyTimeout):
        open_prometheus(stub.url, timeout=0.2 * SECOND, attempts=1).read(SeriesQuery(metric="up"))


def test_quantiles_without_the_buckets_for_them() -> None:
    inf = float("inf")
    assert histogram_quantile(0.5, []) is None
    assert histogram_quantile(0.5, [(inf, 5)]) is None
    assert histogram_quantile(0.5, [(1, 5), (2, 6)]) is None
    assert histogram_quantile(0.5, [(1, 0), (inf, 0)]) is None
    assert histogram_quantile(0.9, [(1, 5), (inf, 10)]) == 1
    assert histogram_quantile(0.5, [(-1, 8), (inf, 10)]) == -1
    assert histogram_quantile(0.5, [(1, 6), (2, 5), (inf, 10)]) == pytest.approx(5 / 6)  # made monotonic


class Live:
    """A real page of prometheus_client, with counters that grow while it is read."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.gauge = Gauge("score", "s", ["window"], registry=self.registry)
        self.work = Counter("work", "w", ["kind"], registry=self.registry)
        self.took = Histogram("took_seconds", "t", ["path"], buckets=(0.01, 0.1, 0.5, 1), registry=self.registry)
        self._turn = 0

    def step(self) -> None:
        self._turn += 1
        self.gauge.labels("current").set(0.5)
        for kind, amount in (("a", 2), ("b", 1)):
            self.work.labels(kind).inc(amount)
        for path, seconds in (("x", 0.05), ("y", 0.3)):
            self.took.labels(path).observe(seconds)

    def answer(self, _request: Asked) -> Said:
        return Said(200, generate_latest(self.registry), PAGE)


QUERIES = [
    SeriesQuery(metric="score", labels={"window": "current"}),
    SeriesQuery(metric="score", stat=Stat.MEAN, window_s=2),
    SeriesQuery(metric="work_total", stat=Stat.RATE, window_s=2),
    SeriesQuery(metric="work_total", labels={"kind": "b"}, stat=Stat.INCREASE, window_s=2),
    SeriesQuery(metric="took_seconds", stat=Stat.QUANTILE, q=0.4, window_s=2, scale=1000, unit="ms"),
    SeriesQuery(metric="took_seconds_count", stat=Stat.INCREASE, window_s=2),
    SeriesQuery(metric="not_there"),
]


@needs_prometheus
@pytest.mark.xdist_group("prometheus")
def test_a_live_service_reads_the_same_both_ways(tmp_path: Path) -> None:
    live = Live()
    live.step()
    with SmallServer(live.answer) as stub, prometheus(tmp_path / "prometheus", scrape=stub.url[7:]) as url:
        theirs = open_prometheus(url, SystemClock())
        ours = open_scrape(stub.url, tmp_path, SystemClock(), interval=0.2)
        ours.start()
        pairs: list[tuple[float | None, float | None]] = []

        def alike() -> bool:
            """A scrape that came late shows in one of the two: they are asked again, a little later."""
            for _ in range(10):
                live.step()
                time.sleep(0.02)
            moment = SystemClock().now()
            pairs[:] = [(ours.read(query, moment).value, theirs.read(query, moment).value) for query in QUERIES]
            known = [(own, other) for own, other in pairs[:-1] if own is not None and other is not None]
            return len(known) == len(pairs) - 1 and all(own == pytest.approx(other, rel=0.15) for own, other in known)

        until(alike)
        assert pairs[-1] == (None, None)
        ours.close()
        assert list(theirs.labels("work_total", "kind")) == ["a", "b"]
        until(lambda: _well(theirs))
        theirs.close()


def _well(metrics: PrometheusMetrics) -> bool:
    """Whether its one target is up: a scrape may have been too late just now."""
    try:
        return "1 targets are up" in metrics.check()
    except DependencyUnavailable:
        return False
