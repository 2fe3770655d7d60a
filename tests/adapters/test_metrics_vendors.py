"""Metrics scraped by ourselves, and metrics from Prometheus: failures, time, and that both answer alike, live."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
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
from domain.errors import DependencyError, DependencyLied, DependencyTimeout, DependencyUnavailable, InvalidInput
from domain.signal import SeriesQuery, Stat
from tests.contract.promserver import free_port, needs_prometheus, prometheus
from tests.stubs.small_server import Asked, Said, SmallServer

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
        timeout=0.5 * SECOND,
    )


class Service:
    """A page whose content a test sets, and the clock of its reader."""

    def __init__(self, stub: SmallServer, folder: Path) -> None:
        self.stub = stub
        self.clock = FrozenClock()
        self.folder = folder
        self.metrics = open_scrape(stub.url, folder, self.clock)

    def later(self, seconds: float) -> None:
        self.clock.advance(seconds * SECOND)


@pytest.fixture
def text() -> dict[str, str]:
    return {"page": "up 1\n"}


@pytest.fixture
def service(text: dict[str, str], tmp_path: Path) -> Iterator[Service]:
    with SmallServer(lambda _: page(text["page"])) as stub:
        made = Service(stub, tmp_path)
        yield made
        made.metrics.close()


def test_a_read_scrapes_when_the_last_sample_is_old(service: Service, text: dict[str, str]) -> None:
    query = SeriesQuery(metric="up")
    assert [service.metrics.read(query).value for _ in range(3)] == [1, 1, 1]
    assert len(service.stub.seen) == 1
    text["page"] = "up 2\n"
    service.later(0.5)
    assert service.metrics.read(query).value == 1
    service.later(1)
    assert service.metrics.read(query).value == 2
    assert len(service.stub.seen) == 2


def test_the_history_survives_the_process(service: Service, text: dict[str, str]) -> None:
    begun = service.clock.now()
    for value in (10, 20, 30):
        text["page"] = f"work_total {value}\n"
        service.metrics.scrape()
        service.later(10)
    service.metrics.close()
    reopened = open_scrape(service.stub.url, service.folder, service.clock)
    text["page"] = "work_total 40\n"
    assert reopened.read(SeriesQuery(metric="work_total", stat=Stat.INCREASE, window_s=30)).value == 30
    assert reopened.read(SeriesQuery(metric="work_total"), begun + 12 * SECOND).value == 20
    reopened.close()


def test_a_series_that_is_no_longer_told_has_ended(service: Service, text: dict[str, str]) -> None:
    text["page"] = 'share{variant="a"} 1\nshare{variant="b"} 5\n'
    assert service.metrics.read(SeriesQuery(metric="share")).value == 3
    assert list(service.metrics.labels("share", "variant")) == ["a", "b"]
    text["page"] = 'share{variant="a"} 1\n'
    service.later(2)
    assert service.metrics.read(SeriesQuery(metric="share")).value == 1
    assert list(service.metrics.labels("share", "variant")) == ["a"]
    text["page"] = "up 1\n"
    service.later(2)
    assert service.metrics.read(SeriesQuery(metric="share")).value is None


def test_not_a_number_is_missing_and_infinity_too(service: Service, text: dict[str, str]) -> None:
    text["page"] = "odd NaN\nhuge +Inf\n"
    assert not service.metrics.read(SeriesQuery(metric="odd")).usable
    assert service.metrics.read(SeriesQuery(metric="huge")).value is None


def test_a_restarted_service_is_no_negative_rate(service: Service, text: dict[str, str]) -> None:
    for value in (100, 110, 0, 10):
        text["page"] = f"work_total {value}\n"
        service.metrics.scrape()
        service.later(10)
    rate = service.metrics.read(
        SeriesQuery(metric="work_total", stat=Stat.RATE, window_s=30), service.clock.now() - 10 * SECOND
    )
    assert rate.value == pytest.approx(20 / 30)


def test_old_samples_are_forgotten(text: dict[str, str], tmp_path: Path) -> None:
    clock = FrozenClock()
    with SmallServer(lambda _: page(text["page"])) as stub:
        kept = ScrapedMetrics(url=stub.url, db_path=tmp_path / "m.sqlite", clock=clock, retention=timedelta(minutes=1))
        begun = clock.now()
        kept.scrape()
        assert kept.read(SeriesQuery(metric="up"), begun).value == 1
        kept.close()
        clock.advance(timedelta(minutes=2))
        again = ScrapedMetrics(url=stub.url, db_path=tmp_path / "m.sqlite", clock=clock, retention=timedelta(minutes=1))
        again.scrape()
        assert again.read(SeriesQuery(metric="up"), begun).value is None
        again.close()


def test_the_thread_scrapes_by_itself_and_outlives_failures(tmp_path: Path) -> None:
    failing = threading.Event()
    counts = {"asked": 0}

    def answer(_request: Asked) -> Said:
        counts["asked"] += 1
        return Said(500) if failing.is_set() else page(f"asked_total {counts['asked']}\n")

    def wait_for(asked: int) -> None:
        for _ in range(500):
            if counts["asked"] >= asked:
                return
            time.sleep(0.01)

    with SmallServer(answer) as stub:
        metrics = open_scrape(stub.url, tmp_path, SystemClock(), interval=0.02)
        metrics.start()
        metrics.start()
        wait_for(3)
        failing.set()
        wait_for(counts["asked"] + 3)
        failing.clear()
        wait_for(counts["asked"] + 3)
        assert metrics.read(SeriesQuery(metric="asked_total")).usable
        metrics.stop()
        stopped_at = counts["asked"]
        time.sleep(0.1)
        assert counts["asked"] == stopped_at
        metrics.close()


def _sleeps(_request: Asked) -> Said:
    time.sleep(1.5)
    return page("up 1\n")


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (lambda _: Said(500, b"no"), DependencyUnavailable),
        (lambda _: page("this is { no page\n"), DependencyLied),
        (_sleeps, DependencyTimeout),
    ],
    ids=["refuses", "talks nonsense", "hangs"],
)
def test_a_page_that_does_not_come_is_an_error(
    answer: Callable[[Asked], Said], error: type[DependencyError], tmp_path: Path
) -> None:
    with SmallServer(answer) as stub:
        metrics = open_scrape(stub.url, tmp_path, FrozenClock())
        with pytest.raises(error):
            metrics.read(SeriesQuery(metric="up"))
        with pytest.raises(error):
            metrics.check()
        metrics.close()


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
    with SmallServer(_sleeps) as stub, pytest.raises(DependencyTimeout):
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
        ending = time.monotonic() + 30
        scraped_for = 0
        while scraped_for < 150 and time.monotonic() < ending:  # it takes seconds until it looks for its targets
            live.step()
            time.sleep(0.02)
            scraped_for += 1 if scraped_for else int(bool(theirs.labels("work_total", "kind")))
        moment = SystemClock().now()
        pairs = [(ours.read(query, moment).value, theirs.read(query, moment).value) for query in QUERIES]
        ours.close()
        assert list(theirs.labels("work_total", "kind")) == ["a", "b"]
        assert "1 targets are up" in theirs.check()
        theirs.close()
    assert pairs[-1] == (None, None)
    for own, other in pairs[:-1]:
        assert other is not None
        assert own == pytest.approx(other, rel=0.15)
