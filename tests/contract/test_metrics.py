"""The metrics systems hold to their contract, and give the same answers."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest

from adapters.metrics.base import MetricsPort
from adapters.metrics.labelled import LabelledMetrics
from adapters.metrics.memory import MemoryMetrics
from adapters.metrics.prometheus import PrometheusMetrics
from adapters.rest import Endpoint
from domain.clock import FrozenClock
from domain.signal import SeriesQuery, Stat
from tests.contract.metrics_contract import HISTORIES, SECOND, MetricsContract
from tests.contract.promserver import backfill, needs_prometheus, prometheus

START = datetime(2026, 1, 1, 12, tzinfo=UTC)


def filled_memory() -> MemoryMetrics:
    metrics = MemoryMetrics(FrozenClock(START + 120 * SECOND))
    for history in HISTORIES:
        for offset, value in history.samples:
            metrics.add(history.metric, value, history.labels, START + offset * SECOND)
    return metrics


class TestMemoryMetrics(MetricsContract):
    @pytest.fixture
    def start(self) -> datetime:
        return START

    @pytest.fixture
    def metrics(self, start: datetime) -> MetricsPort:
        return filled_memory()

    def test_the_labels_present(self, metrics: MetricsPort) -> None:
        assert list(metrics.labels("gauge_two", "side")) == ["left", "right"]


class TestLabelledMetrics(MetricsContract):
    """The series of one target among those of another, which are larger."""

    @pytest.fixture
    def start(self) -> datetime:
        return START

    @pytest.fixture
    def metrics(self, start: datetime) -> MetricsPort:
        shared = MemoryMetrics(FrozenClock(START + 120 * SECOND))
        for history in HISTORIES:
            for offset, value in history.samples:
                at = START + offset * SECOND
                shared.add(history.metric, value, {**history.labels, "service": "ads"}, at)
                shared.add(history.metric, 7 * value, {**history.labels, "service": "search"}, at)
        return LabelledMetrics(shared, {"service": "ads"})


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("prometheus")
    backfill(folder, HISTORIES, START)
    with prometheus(folder) as url:
        yield url


@needs_prometheus
@pytest.mark.xdist_group("prometheus")
class TestPrometheusMetrics(MetricsContract):
    @pytest.fixture
    def start(self) -> datetime:
        return START

    @pytest.fixture
    def metrics(self, server: str) -> Iterator[MetricsPort]:
        metrics = PrometheusMetrics(endpoint=Endpoint(url=server), clock=FrozenClock(START + 120 * SECOND))
        yield metrics
        metrics.close()

    @pytest.mark.parametrize("stat", list(Stat))
    def test_memory_and_prometheus_agree_to_the_last_digits(self, metrics: MetricsPort, stat: Stat) -> None:
        memory = filled_memory()
        suffix = "_bucket" if stat is Stat.QUANTILE else ""
        names = {history.metric.removesuffix(suffix) for history in HISTORIES}
        compared = 0
        for name in sorted(names):
            for window in (7.0, 33.3, 60.0, 200.0):
                query = SeriesQuery(metric=name, stat=stat, window_s=window, q=0.9 if stat is Stat.QUANTILE else None)
                ours = memory.range(query, START, START + 300 * SECOND, timedelta(seconds=1.7))
                theirs = metrics.range(query, START, START + 300 * SECOND, timedelta(seconds=1.7))
                assert [p.value is None for p in ours] == [p.value is None for p in theirs], query
                pairs = [(a.value, b.value) for a, b in zip(ours, theirs, strict=True) if a.value is not None]
                assert [a for a, _ in pairs] == pytest.approx([b for _, b in pairs], rel=1e-9, abs=1e-12), query
                compared += len(pairs)
        assert compared > 100
