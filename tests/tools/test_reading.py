"""What a signal is compared with: the stretch before the alert, or the same hour of earlier weeks."""

from __future__ import annotations

from datetime import timedelta

import pytest

from adapters.metrics.memory import MemoryMetrics
from domain.clock import FrozenClock
from domain.measurement import Measurement
from domain.signal import SeriesQuery, SignalSpec
from learning.seasonal import SeasonalBaseline
from tools.observe.reading import SignalReader, Windows

HOUR = timedelta(hours=1)
WEEK = timedelta(days=7)
WINDOWS = Windows(current=HOUR, baseline=6 * HOUR, gap=HOUR)
CATALOG = {
    "speed": SignalSpec(name="speed", unit="ms", value=SeriesQuery(metric="speed"), higher_is_better=False),
}


def _judge(name: str, current: Measurement, baseline: Measurement) -> tuple[bool | None, str]:
    if not (current.usable and baseline.usable):
        return None, "nothing to compare with"
    return current.finite() >= 1.5 * baseline.finite(), ""


def _reader(weeks: int, seasonal: SeasonalBaseline | None) -> SignalReader:
    """Nights at 10 ms and this hour of the week at 30 ms, for so many weeks, and now."""
    clock = FrozenClock()
    metrics = MemoryMetrics(clock)
    now = clock.now()
    for week in range(weeks + 1):
        for hour in range(1, 12):
            metrics.add("speed", 10.0, at=now - week * WEEK - hour * HOUR)
        metrics.add("speed", 30.0, at=now - week * WEEK)
    return SignalReader(metrics, CATALOG, WINDOWS, _judge, clock, seasonal)


@pytest.mark.parametrize(("seasonal", "breached"), [(None, True), (SeasonalBaseline(), False)])
def test_a_monday_morning_is_an_anomaly_against_the_night_and_none_against_earlier_mondays(
    seasonal: SeasonalBaseline | None, breached: bool
) -> None:
    reader = _reader(4, seasonal)
    assert reader.reading("speed", reader.clock.now()).breached is breached


def test_without_earlier_weeks_there_is_no_answer_rather_than_a_wrong_one() -> None:
    reader = _reader(1, SeasonalBaseline())
    reading = reader.reading("speed", reader.clock.now())
    assert not reading.baseline.usable
    assert reading.breached is None
