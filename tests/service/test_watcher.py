"""When an alert fires: a breach that is no chance, and that lasts."""

from __future__ import annotations

from datetime import timedelta

import pytest

from adapters.metrics.memory import MemoryMetrics
from domain.clock import FrozenClock
from domain.measurement import Measurement
from domain.signal import SeriesQuery, SignalSpec, Stat
from service.watcher import Watcher, alert_body
from tools.observe.reading import SignalReader, Windows

SECOND = timedelta(seconds=1)
WINDOWS = Windows(current=12 * SECOND, baseline=20 * SECOND, gap=10 * SECOND)
CATALOG = {
    "speed": SignalSpec(
        name="speed",
        unit="ms",
        value=SeriesQuery(metric="speed"),
        count=SeriesQuery(metric="requests", stat=Stat.INCREASE),
        higher_is_better=False,
    ),
    "quality": SignalSpec(
        name="quality",
        unit="score",
        value=SeriesQuery(metric="sum", stat=Stat.INCREASE),
        count=SeriesQuery(metric="sessions", stat=Stat.INCREASE),
        squares=SeriesQuery(metric="squares", stat=Stat.INCREASE),
        mean=True,
        higher_is_better=True,
    ),
}


def _judge(name: str, current: Measurement, baseline: Measurement) -> tuple[bool | None, str]:
    """Twice as slow, or three percent worse."""
    ratio = current.finite() / baseline.finite()
    return (ratio >= 2 if name == "speed" else ratio <= 0.97), ""


class Platform:
    """A platform whose figures are what the test says, second by second."""

    def __init__(self) -> None:
        self.clock = FrozenClock()
        self.metrics = MemoryMetrics(self.clock)
        self.totals = {"requests": 0.0, "sessions": 0.0, "sum": 0.0, "squares": 0.0}
        self.reader = SignalReader(self.metrics, CATALOG, WINDOWS, _judge, self.clock)
        self.run(30)
        self.watcher = Watcher(self.reader, ("speed", "quality"), self.clock.now() + WINDOWS.gap)

    def run(self, seconds: int, *, speed: float = 5.0, found: float = 0.8) -> list[str | None]:
        """Let time pass with 60 sessions a second, and look after each second; `found` is the share that succeeds."""
        fired: list[str | None] = []
        for _ in range(seconds):
            self.clock.advance(SECOND)
            gained = {"requests": 60.0, "sessions": 60.0, "sum": 60 * found, "squares": 60 * found}
            self.totals = {name: total + gained[name] for name, total in self.totals.items()}
            for name, value in {**self.totals, "speed": speed}.items():
                self.metrics.add(name, value)
            if hasattr(self, "watcher"):
                fired.append(self.watcher.look()[1])
        return fired


@pytest.fixture
def platform() -> Platform:
    return Platform()


def test_a_healthy_platform_raises_no_alert(platform: Platform) -> None:
    assert set(platform.run(60)) == {None}


def test_a_slow_moment_that_passes_within_a_window_raises_no_alert(platform: Platform) -> None:
    assert set(platform.run(11, speed=20.0)) == {None}
    assert set(platform.run(20)) == {None}


def test_slowness_that_lasts_a_whole_window_fires_with_the_moment_it_began(platform: Platform) -> None:
    began = platform.clock.now()
    fired = platform.run(13, speed=20.0)
    assert fired == [None] * 12 + ["speed"]
    _, signal, since = platform.watcher.look()
    assert (signal, since) == ("speed", began + SECOND)


def test_a_fall_beyond_its_noise_fires_at_the_second_look(platform: Platform) -> None:
    fired = platform.run(12, found=0.4)
    first = next(number for number, name in enumerate(fired) if name is not None)
    assert fired[first:] == ["quality"] * (12 - first)
    assert first <= 5


def test_a_fall_within_its_noise_does_not_fire(platform: Platform) -> None:
    assert set(platform.run(30, found=0.77)) == {None}


def test_the_alert_has_the_form_of_an_alert_managers_webhook() -> None:
    clock = FrozenClock()
    body = alert_body("quality", "search", "dev", clock.now(), "it fell")
    alert = body["alerts"][0]
    assert (body["version"], body["status"]) == ("4", "firing")
    assert alert["labels"] == {
        "alertname": "SignalBreached",
        "signal": "quality",
        "target": "search",
        "environment": "dev",
    }
    again = alert_body("quality", "search", "dev", clock.now() + SECOND, "still")["alerts"][0]
    assert again["fingerprint"] == alert["fingerprint"]
