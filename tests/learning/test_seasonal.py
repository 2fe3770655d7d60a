"""The seasonal baseline: what is usual at this hour, from the weeks before."""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.errors import InvalidInput
from domain.measurement import Measurement
from learning.seasonal import SeasonalBaseline

MONDAY = datetime(2026, 3, 30, 9, tzinfo=UTC)
WEEK = timedelta(days=7)


def measured(value: float | None, **more: Any) -> Measurement:
    fields = {"unit": "ms", "n": 0 if value is None else 400, "window": timedelta(minutes=30), "source": "prometheus"}
    return Measurement(value=value, **{**fields, **more})


def test_the_same_moment_of_the_weeks_before_is_asked_for() -> None:
    asked: list[datetime] = []

    def measure(at: datetime) -> Measurement:
        asked.append(at)
        return measured(100.0 + len(asked))

    usual = SeasonalBaseline(weeks=3).read(measure, MONDAY)
    assert asked == [MONDAY - WEEK, MONDAY - 2 * WEEK, MONDAY - 3 * WEEK]
    assert (usual.value, usual.n, usual.unit, usual.at) == (102.0, 3, "ms", MONDAY)
    assert usual.window == timedelta(minutes=30)
    assert "3 weeks" in usual.source


def test_a_week_that_was_an_incident_does_not_become_the_measure() -> None:
    values = [100.0, 101.0, 99.0, 5000.0]
    median = SeasonalBaseline().combined([measured(v) for v in values], MONDAY)
    mean = SeasonalBaseline(statistic="mean").combined([measured(v) for v in values], MONDAY)
    assert (median.value, mean.value) == (100.5, 1325.0)


def test_weeks_without_data_are_left_out_and_counted_as_such() -> None:
    seasons = [measured(10.0), measured(None), measured(math.nan), measured(14.0)]
    usual = SeasonalBaseline().combined(seasons, MONDAY)
    assert (usual.value, usual.n) == (12.0, 2)
    assert usual.stderr == pytest.approx(2.0 * math.sqrt(math.pi / 2))


@pytest.mark.parametrize(
    "seasons",
    [
        [],
        [measured(None)] * 4,
        [measured(10.0), *[measured(None)] * 3],
        [measured(10.0), measured(10.0, unit="s")],
        [measured(10.0), measured(10.0, n=0)],
        [measured(math.inf), measured(3.0)],
    ],
    ids=["nothing", "no data", "one week", "two units", "no samples", "not finite"],
)
def test_fewer_than_two_weeks_are_missing(seasons: list[Measurement]) -> None:
    usual = SeasonalBaseline().combined(seasons, MONDAY)
    assert not usual.usable
    assert usual.n == 0


def test_one_week_is_no_baseline() -> None:
    with pytest.raises(InvalidInput, match="weeks"):
        SeasonalBaseline(weeks=1)


@given(st.lists(st.floats(-1e9, 1e9), min_size=2, max_size=8))
def test_what_is_usual_lies_between_the_weeks(values: list[float]) -> None:
    for baseline in (SeasonalBaseline(weeks=8), SeasonalBaseline(weeks=8, statistic="mean")):
        usual = baseline.combined([measured(v) for v in values], MONDAY)
        assert min(values) - 1e-3 <= usual.finite() <= max(values) + 1e-3
        assert usual.stderr is not None
        assert usual.stderr >= 0
