"""Metrics scraped by ourselves: the history, the page that fails, and the file they are kept in."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from adapters.metrics.base import MetricsPort
from adapters.metrics.evaluate import milliseconds
from adapters.metrics.samples import Sample, SampleStore
from adapters.metrics.scrape import ScrapedMetrics
from domain.clock import FrozenClock, SystemClock
from domain.errors import DependencyError, DependencyLied, DependencyTimeout, DependencyUnavailable
from domain.signal import SeriesQuery, Stat
from tests.contract.metrics_contract import HISTORIES, SECOND, MetricsContract
from tests.stubs.small_server import Asked, Said, SmallServer
from tests.support.waiting import until

START = datetime(2026, 1, 1, 12, tzinfo=UTC)
PAGE = "text/plain; version=0.0.4"


def page(text: str) -> Said:
    return Said(200, text.encode(), PAGE)


def _sleeps(_request: Asked) -> Said:
    time.sleep(10)
    return page("up 1\n")


def open_scrape(
    url: str, folder: Path, clock: FrozenClock | SystemClock, interval: float = 1.0, timeout: float = 10.0
) -> ScrapedMetrics:
    return ScrapedMetrics(
        url=f"{url}/metrics",
        db_path=folder / "metrics.sqlite",
        clock=clock,
        interval=interval * SECOND,
        timeout=timeout * SECOND,
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


@pytest.mark.integration("scrape", "works")
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


@pytest.mark.integration("scrape", "works")
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


@pytest.mark.integration("scrape", "works")
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


@pytest.mark.integration("scrape", "works")
def test_not_a_number_is_missing_and_infinity_too(service: Service, text: dict[str, str]) -> None:
    text["page"] = "odd NaN\nhuge +Inf\n"
    assert not service.metrics.read(SeriesQuery(metric="odd")).usable
    assert service.metrics.read(SeriesQuery(metric="huge")).value is None


@pytest.mark.integration("scrape", "works")
def test_a_restarted_service_is_no_negative_rate(service: Service, text: dict[str, str]) -> None:
    for value in (100, 110, 0, 10):
        text["page"] = f"work_total {value}\n"
        service.metrics.scrape()
        service.later(10)
    rate = service.metrics.read(
        SeriesQuery(metric="work_total", stat=Stat.RATE, window_s=30), service.clock.now() - 10 * SECOND
    )
    assert rate.value == pytest.approx(20 / 30)


@pytest.mark.integration("scrape", "works")
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


@pytest.mark.integration("scrape", "works")
def test_the_thread_scrapes_by_itself_and_outlives_failures(tmp_path: Path) -> None:
    failing = threading.Event()
    counts = {"asked": 0}

    def answer(_request: Asked) -> Said:
        counts["asked"] += 1
        return Said(500) if failing.is_set() else page(f"asked_total {counts['asked']}\n")

    def wait_for(asked: int) -> None:
        until(lambda: counts["asked"] >= asked)

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


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        pytest.param(
            lambda _: Said(500, b"no"),
            DependencyUnavailable,
            marks=pytest.mark.integration("scrape", "refused"),
            id="refuses",
        ),
        pytest.param(
            lambda _: page("this is { no page\n"),
            DependencyLied,
            marks=pytest.mark.integration("scrape", "lying"),
            id="talks nonsense",
        ),
        pytest.param(_sleeps, DependencyTimeout, marks=pytest.mark.integration("scrape", "slow"), id="hangs"),
    ],
)
def test_a_page_that_does_not_come_is_an_error(
    answer: Callable[[Asked], Said], error: type[DependencyError], tmp_path: Path
) -> None:
    with SmallServer(answer) as stub:
        metrics = open_scrape(stub.url, tmp_path, FrozenClock(), timeout=1.0)
        with pytest.raises(error):
            metrics.read(SeriesQuery(metric="up"))
        with pytest.raises(error):
            metrics.check()
        metrics.close()


def fill(database: Path) -> None:
    """Write the histories into a file of scraped samples, as scrapes would have; no series is taken to have ended."""
    by_time: dict[float, list[Sample]] = {}
    for history in HISTORIES:
        for offset, value in history.samples:
            by_time.setdefault(offset, []).append((history.metric, history.labels, value))
    store = SampleStore(database)
    for offset, samples in by_time.items():
        store.append(milliseconds(START + offset * SECOND), samples, ends=False)
    store.close()


@pytest.mark.integration("scrape", "works")
class TestScrapedMetrics(MetricsContract):
    @pytest.fixture
    def start(self) -> datetime:
        return START

    @pytest.fixture
    def metrics(self, start: datetime, tmp_path: Path) -> Iterator[MetricsPort]:
        fill(tmp_path / "metrics.sqlite")
        metrics = ScrapedMetrics(
            url="http://127.0.0.1:1/metrics",  # never asked: the kept samples are fresh by this clock
            db_path=tmp_path / "metrics.sqlite",
            clock=FrozenClock(START + 120 * SECOND),
        )
        yield metrics
        metrics.close()

    def test_the_labels_present(self, metrics: MetricsPort) -> None:
        assert list(metrics.labels("gauge_two", "side")) == ["left", "right"]
