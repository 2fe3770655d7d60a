"""A platform in memory as its users and its metrics system see it: what benches and tests of whole cycles run on.

What it measures follows from what is live and from what is wrong with it; nobody's words are in the numbers.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from functools import lru_cache

from adapters.metrics.evaluate import steps
from domain.candidate import LiveState
from domain.clock import Clock
from domain.measurement import Measurement, Point
from domain.signal import SeriesQuery, SignalSpec, Stat
from tools.deliver.values import Values
from tools.deliver.values import parse_values as slowly_parsed

HEALTHY, DEGRADED, IMPROVED, BAD = 0.60, 0.48, 0.58, 0.45
SESSIONS_PER_S = 100.0
SD = 0.35
ONSET = timedelta(seconds=8)

_SESSIONS = SeriesQuery(metric="sessions_total", stat=Stat.INCREASE)
_REQUESTS = SeriesQuery(metric="requests_total", stat=Stat.INCREASE)


def _signal(name: str, unit: str, value: SeriesQuery, count: SeriesQuery, good: bool) -> SignalSpec:
    return SignalSpec(name=name, unit=unit, value=value, count=count, higher_is_better=good)


CATALOG: Mapping[str, SignalSpec] = {
    "ndcg_at_10": SignalSpec(
        name="ndcg_at_10",
        unit="score",
        value=SeriesQuery(metric="ndcg_sum", stat=Stat.INCREASE),
        count=_SESSIONS,
        squares=SeriesQuery(metric="ndcg_squares_sum", stat=Stat.INCREASE),
        mean=True,
        higher_is_better=True,
    ),
    "recall_at_20": _signal("recall_at_20", "score", SeriesQuery(metric="recall"), _SESSIONS, True),
    "latency_p95_ms": _signal(
        "latency_p95_ms",
        "ms",
        SeriesQuery(metric="latency_seconds", stat=Stat.QUANTILE, q=0.95, scale=1000),
        _REQUESTS,
        False,
    ),
    "cost_per_1k_requests": _signal("cost_per_1k_requests", "USD", SeriesQuery(metric="cost"), _REQUESTS, False),
    "vector_index_errors": _signal(
        "vector_index_errors", "errors", SeriesQuery(metric="index_errors_total", stat=Stat.INCREASE), _REQUESTS, False
    ),
    "user_satisfaction": _signal("user_satisfaction", "score_1_5", SeriesQuery(metric="satisfaction"), _SESSIONS, True),
}

METRICS = frozenset(
    query.metric for spec in CATALOG.values() for query in (spec.value, spec.count, spec.squares) if query is not None
)


class Fault(StrEnum):
    """What is wrong with the platform; no agent is told."""

    NONE = "none"
    SHIFT = "shift"
    BAD_RELEASE = "bad_release"
    LABELS = "labels"
    LATENCY = "latency"
    NOISE = "noise"

    @property
    def signal(self) -> str:
        """The signal that is alerted about."""
        return "latency_p95_ms" if self is Fault.LATENCY else "ndcg_at_10"


@lru_cache(maxsize=256)
def parse_values(text: str) -> Values:
    """Return the typed values; the same text is parsed once."""
    return slowly_parsed(text)


@dataclass
class World:
    """The state behind the numbers.

    `values` and `head` answer what git says; `quarantined` whether damaged rows are set aside. `skills` are the
    qualities of known digests; any other digest has `candidate`'s. `arms` are users exposed in champion and candidate.
    """

    clock: Clock
    fault: Fault
    alert_at: datetime
    values: Callable[[], str]
    head: Callable[[], str]
    quarantined: Callable[[], bool] = field(default=lambda: False)
    skills: Mapping[str, float] = field(default_factory=dict)
    candidate: float = IMPROVED
    after_promotion: float | None = None
    arms: tuple[int, int] = (1600, 400)
    override: str | None = None
    overridden_at: str = ""
    frozen_at: str | None = None
    quiet: Callable[[datetime], bool] = field(default=lambda _: False)

    def live(self) -> LiveState:
        """Return what is served: what git says, but for a mode that somebody set at run time."""
        text, revision = self.values(), self.head()
        if self.frozen_at is not None:
            revision = self.frozen_at
        values = parse_values(text)
        overridden = self.override is not None and revision == self.overridden_at
        return LiveState(
            digest=values.model.digest,
            revision=revision,
            mode=self.override if overridden and self.override else values.search.mode,
            mode_source="runtime" if overridden else "values",
            tier=values.search.tier,
            variants=values.variants,
            index_generation=values.index.generation,
        )

    def quality(self, digest: str, at: datetime) -> float:
        """Return the mean nDCG@10 that a model gives users at a time."""
        started = at >= self.alert_at - ONSET
        skill = self.skills.get(digest, self.candidate)
        if digest not in self.skills and self.after_promotion is not None:
            text = self.values()
            skill = self.after_promotion if parse_values(text).model.digest == digest else skill
        match self.fault:
            case Fault.SHIFT if started and digest in self.skills:
                return DEGRADED
            case Fault.LABELS if started and not self.quarantined():
                return DEGRADED
            case Fault.NOISE if started and at < self.alert_at + timedelta(seconds=6):
                return DEGRADED
            case _:
                return skill

    def latency_s(self, at: datetime) -> float:
        """Return the p95 in seconds."""
        slow = self.fault is Fault.LATENCY and at >= self.alert_at - ONSET and self.live().mode == "exhaustive"
        return 1.2 if slow else 0.1


def wobble(at: datetime, scale: float) -> float:
    """Return a small number that looks like noise and is the same in every run."""
    return scale * math.sin(at.timestamp() * 12.9898) * 0.9


class WorldMetrics:
    """`MetricsPort` over a `World`: counters grow at a constant rate, gauges have the value of the moment.

    `asked` is every query it was given.
    """

    name = "world"

    def __init__(self, world: World) -> None:
        self.world = world
        self.asked: list[SeriesQuery] = []

    def read(self, query: SeriesQuery, at: datetime | None = None) -> Measurement:
        """See `MetricsPort.read`."""
        self.asked.append(query)
        moment = at or self.world.clock.now()
        value = self._value(query, moment)
        if value is None or not math.isfinite(value):
            return Measurement.missing(query.unit, self.name, moment)
        return Measurement(value=value * query.scale, unit=query.unit, n=1, source=self.name, at=moment)

    def range(self, query: SeriesQuery, start: datetime, end: datetime, step: timedelta) -> Sequence[Point]:
        """See `MetricsPort.range`."""
        return [Point(at=at, value=self.read(query, at).value) for at in steps(start, end, step)]

    def labels(self, metric: str, label: str) -> Sequence[str]:
        """See `MetricsPort.labels`."""
        return sorted({v.digest for v in self.world.live().variants}) if label == "digest" else []

    def check(self) -> str:
        """See `MetricsPort.check`."""
        return "world: answers"

    def _value(self, query: SeriesQuery, at: datetime) -> float | None:
        if query.metric.startswith("experiment_"):
            return self._experiment(query, at)
        middle = at if query.stat is Stat.LAST else at - timedelta(seconds=query.window_s / 2)
        n = 0.0 if self.world.quiet(middle) else SESSIONS_PER_S * query.window_s
        mean = self._mean(query.labels, middle)
        known = {
            "sessions_total": n,
            "requests_total": 3 * n,
            "ndcg_sum": n * mean,
            "ndcg_squares_sum": n * (mean * mean + SD * SD),
            "recall": 0.8 + wobble(middle, 0.004),
            "latency_seconds": self.world.latency_s(middle) * (1 + wobble(middle, 0.02)),
            "cost": 0.2 + wobble(middle, 0.001),
            "index_errors_total": 0.0,
            "satisfaction": 4.3 + wobble(middle, 0.01),
        }
        return known.get(query.metric)

    def _mean(self, labels: Mapping[str, str], at: datetime) -> float:
        named = labels.get("digest")
        if not named and at < self.world.alert_at - ONSET:
            return HEALTHY + wobble(at, 0.004)
        return self.world.quality(named or self.world.live().digest, at) + wobble(at, 0.004)

    def _experiment(self, query: SeriesQuery, at: datetime) -> float | None:
        variants = {v.name: v.digest for v in self.world.live().variants}
        if "candidate" not in variants:
            return None
        name = query.labels["variant"]
        users = self.world.arms[("champion", "candidate").index(name)]
        known = {
            "experiment_users": float(users),
            "experiment_exposed_users": float(users),
            "experiment_user_ndcg_mean": self.world.quality(variants[name], at),
            "experiment_user_ndcg_variance": 0.04,
            "experiment_latency_p95_seconds": 0.1,
            "experiment_cost_per_1k": 0.2,
            "experiment_satisfaction_mean": 4.3,
        }
        return known.get(query.metric)
