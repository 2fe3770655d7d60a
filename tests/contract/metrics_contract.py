"""What every metrics system has to hold to, over one fixed history that each vendor is filled with."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import pytest
from pydantic import ValidationError

from adapters.metrics.base import MetricsPort
from domain.errors import InvalidInput
from domain.signal import SeriesQuery, Stat

SECOND = timedelta(seconds=1)
NASTY = 'a"b\\c\nd{}'


@dataclass(frozen=True)
class History:
    """Samples of one series: (seconds after the start, value)."""

    metric: str
    labels: Mapping[str, str]
    samples: Sequence[tuple[float, float]]
    kind: str = "gauge"


def _ramp(step: float, until: float = 120, every: float = 5) -> list[tuple[float, float]]:
    count = int(until / every)
    return [(number * every, number * every * step) for number in range(count + 1)]


BUCKETS = {"0.1": 2.0, "0.5": 6.0, "1": 8.0, "+Inf": 10.0}
HISTORIES = [
    History("gauge_one", {}, [(t, 10 + t) for t in range(0, 121, 5)]),
    History("gauge_two", {"side": "left"}, [(t, 1.0) for t in range(0, 121, 5)]),
    History("gauge_two", {"side": "right"}, [(t, 3.0) for t in range(0, 121, 5)]),
    History("gauge_nan", {}, [(t, math.nan) for t in range(0, 121, 5)]),
    History("gauge_short", {}, [(0.0, 7.0), (5.0, 7.0)]),
    History("gauge_label", {"text": NASTY}, [(t, 5.0) for t in range(0, 121, 5)]),
    History("work_total", {"kind": "a"}, _ramp(2.0), "counter"),
    History("work_total", {"kind": "b"}, _ramp(1.0), "counter"),
    History("reset_total", {}, [(t, float(t % 60) + 100) for t in range(0, 121, 5)], "counter"),
    History("once_total", {}, [(100.0, 5.0)], "counter"),
    *(
        History("took_seconds_bucket", {"le": le, "path": path}, _ramp(count * weight), "histogram")
        for le, count in BUCKETS.items()
        for path, weight in (("x", 1.0), ("y", 0.5))
    ),
    *(
        History("idle_seconds_bucket", {"le": le}, [(t, 4.0) for t in range(0, 121, 5)], "histogram")
        for le in ("0.1", "+Inf")
    ),
]


class MetricsContract:
    """A vendor gives `metrics` filled with HISTORIES from `start` on."""

    @pytest.fixture
    def start(self) -> datetime:
        return datetime(2026, 1, 1, tzinfo=UTC)

    @pytest.fixture
    def metrics(self, start: datetime) -> MetricsPort:
        raise NotImplementedError

    def value(self, metrics: MetricsPort, start: datetime, query: SeriesQuery, at: float = 120) -> float | None:
        measured = metrics.read(query, start + at * SECOND)
        assert measured.n == (0 if measured.value is None else 1)
        assert measured.source == metrics.name
        return measured.value

    def test_the_last_value_of_a_gauge(self, metrics: MetricsPort, start: datetime) -> None:
        assert self.value(metrics, start, SeriesQuery(metric="gauge_one")) == 130
        assert self.value(metrics, start, SeriesQuery(metric="gauge_one"), at=62) == 70
        assert self.value(metrics, start, SeriesQuery(metric="gauge_one", scale=1000)) == 130_000

    def test_gauges_are_averaged_and_counters_summed(self, metrics: MetricsPort, start: datetime) -> None:
        assert self.value(metrics, start, SeriesQuery(metric="gauge_two")) == 2
        assert self.value(metrics, start, SeriesQuery(metric="gauge_two", labels={"side": "right"})) == 3
        assert self.value(metrics, start, SeriesQuery(metric="work_total")) == 360

    def test_the_mean_over_the_window(self, metrics: MetricsPort, start: datetime) -> None:
        query = SeriesQuery(metric="gauge_one", stat=Stat.MEAN, window_s=20, unit="score")
        measured = metrics.read(query, start + 120 * SECOND)
        assert measured.value == pytest.approx(120)
        assert measured.unit == "score"
        assert measured.window == timedelta(seconds=20)

    def test_rate_and_increase_of_counters(self, metrics: MetricsPort, start: datetime) -> None:
        query = SeriesQuery(metric="work_total", stat=Stat.RATE, window_s=60)
        assert self.value(metrics, start, query) == pytest.approx(3)
        assert self.value(metrics, start, query.model_copy(update={"labels": {"kind": "b"}})) == pytest.approx(1)
        assert self.value(metrics, start, query.model_copy(update={"stat": Stat.INCREASE})) == pytest.approx(180)

    def test_a_counter_that_began_anew_is_made_good(self, metrics: MetricsPort, start: datetime) -> None:
        query = SeriesQuery(metric="reset_total", stat=Stat.INCREASE, window_s=40)
        # 100..155, then 100 again at 60 s: from 50 to 85 s that is 5 + 100 + 25.
        assert self.value(metrics, start, query, at=85) == pytest.approx(130 * 40 / 40, rel=0.2)
        assert (self.value(metrics, start, query, at=85) or 0) > 100

    def test_one_sample_makes_no_rate(self, metrics: MetricsPort, start: datetime) -> None:
        query = SeriesQuery(metric="once_total", stat=Stat.RATE, window_s=60)
        assert self.value(metrics, start, query) is None

    def test_quantiles_of_a_histogram_are_interpolated(self, metrics: MetricsPort, start: datetime) -> None:
        query = SeriesQuery(metric="took_seconds", stat=Stat.QUANTILE, q=0.5, window_s=60)
        assert self.value(metrics, start, query) == pytest.approx(0.4)
        assert self.value(metrics, start, query.model_copy(update={"q": 0.1})) == pytest.approx(0.05)
        assert self.value(metrics, start, query.model_copy(update={"q": 0.99})) == pytest.approx(1)
        narrowed = query.model_copy(update={"labels": {"path": "y"}, "scale": 1000})
        assert self.value(metrics, start, narrowed) == pytest.approx(400)

    def test_a_quantile_of_nothing_is_missing(self, metrics: MetricsPort, start: datetime) -> None:
        for metric in ("idle_seconds", "unknown_seconds"):
            query = SeriesQuery(metric=metric, stat=Stat.QUANTILE, q=0.5, window_s=60)
            assert self.value(metrics, start, query) is None

    def test_a_quantile_has_to_be_named(self, metrics: MetricsPort, start: datetime) -> None:
        with pytest.raises(InvalidInput, match="q"):
            metrics.read(SeriesQuery(metric="took_seconds", stat=Stat.QUANTILE), start + 120 * SECOND)

    @pytest.mark.parametrize("stat", [Stat.LAST, Stat.MEAN, Stat.RATE, Stat.INCREASE])
    def test_missing_and_not_a_number_are_missing(self, metrics: MetricsPort, start: datetime, stat: Stat) -> None:
        for query in (
            SeriesQuery(metric="gauge_nan", stat=stat),
            SeriesQuery(metric="nobody_knows_this", stat=stat),
            SeriesQuery(metric="gauge_two", labels={"side": "neither"}, stat=stat),
        ):
            assert self.value(metrics, start, query) is None

    def test_a_value_from_before_the_look_back_is_missing(self, metrics: MetricsPort, start: datetime) -> None:
        assert self.value(metrics, start, SeriesQuery(metric="gauge_short"), at=100) == 7
        assert self.value(metrics, start, SeriesQuery(metric="gauge_short"), at=310) is None
        assert self.value(metrics, start, SeriesQuery(metric="gauge_short"), at=-1) is None

    def test_a_label_may_hold_anything(self, metrics: MetricsPort, start: datetime) -> None:
        assert self.value(metrics, start, SeriesQuery(metric="gauge_label", labels={"text": NASTY})) == 5
        for other in ('a"b', '"} or gauge_two{side="left', ""):
            assert self.value(metrics, start, SeriesQuery(metric="gauge_label", labels={"text": other})) is None
        with pytest.raises(ValidationError, match="labels"):
            SeriesQuery(metric="gauge_label", labels={'x"': "y"})

    def test_a_range_has_every_step_and_its_gaps(self, metrics: MetricsPort, start: datetime) -> None:
        points = metrics.range(
            SeriesQuery(metric="gauge_short"), start - 60 * SECOND, start + 360 * SECOND, 60 * SECOND
        )
        assert [point.at for point in points] == [start + 60 * n * SECOND for n in range(-1, 7)]
        assert [point.value for point in points] == [None, 7, 7, 7, 7, 7, 7, None]

    def test_a_range_between_whole_seconds(self, metrics: MetricsPort, start: datetime) -> None:
        query = SeriesQuery(metric="gauge_one", scale=2)
        points = metrics.range(query, start + 4.5 * SECOND, start + 5.5 * SECOND, 0.5 * SECOND)
        assert [point.value for point in points] == [20, 30, 30]

    def test_a_range_that_cannot_be_is_refused(self, metrics: MetricsPort, start: datetime) -> None:
        query = SeriesQuery(metric="gauge_one")
        with pytest.raises(InvalidInput, match="end"):
            metrics.range(query, start, start - SECOND, SECOND)
        for step in (timedelta(), -SECOND, timedelta(microseconds=1)):
            with pytest.raises(InvalidInput, match="step"):
                metrics.range(query, start, start + 120 * SECOND, step)

    def test_the_labels_of_a_metric_nobody_knows_are_none(self, metrics: MetricsPort) -> None:
        assert list(metrics.labels("nobody_knows_this", "side")) == []
