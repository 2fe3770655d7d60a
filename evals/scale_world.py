"""The platforms of the scale bench: many sites that are slow until somebody tunes them, kept in the bench's PostgreSQL.

Each has a values repository (rows of commits) and a message log. As with the real systems, an effect is looked for by
its key and then made, in two steps; nothing but the product's own fences and keys keeps it from being made twice, and
the tables would show it.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import datetime, timedelta
from typing import Any

from adapters.metrics.evaluate import steps
from adapters.notify.base import EFFECT_SEND, Message
from adapters.platform.memory import MemoryPlatform
from adapters.vcs.base import Commit
from adapters.vcs.memory import MemoryVcs
from domain.candidate import LiveState
from domain.clock import Clock
from domain.cycle import Cycle
from domain.measurement import Measurement, Point
from domain.observation import Observation
from domain.permit import Permit, PermitOffice
from domain.signal import SeriesQuery, SignalSpec, Stat
from testbed.sites import CommitRow, SiteRows
from tools.deliver.values import parse_values

DIGEST = "sha256:" + "1" * 64
VALUES = f"""\
model:
  name: reranker
  version: "1"
  digest: {DIGEST}
variants:
  - name: champion
    digest: {DIGEST}
    weight: 100
search:
  mode: balanced
  tier: standard
index:
  generation: 1
"""
SLOW, FAST, ONSET = 1.2, 0.1, timedelta(seconds=5)
_SITE: ContextVar[Site] = ContextVar("site")
_COUNT = SeriesQuery(metric="requests", stat=Stat.INCREASE)


def _signal(name: str, unit: str, value: SeriesQuery, *, good: bool) -> SignalSpec:
    return SignalSpec(name=name, unit=unit, value=value, count=_COUNT, higher_is_better=good)


_P95 = SeriesQuery(metric="latency", stat=Stat.QUANTILE, q=0.95, scale=1000)
CATALOG: Mapping[str, SignalSpec] = {
    "ndcg_at_10": _signal("ndcg_at_10", "score", SeriesQuery(metric="ndcg"), good=True),
    "latency_p95_ms": _signal("latency_p95_ms", "ms", _P95, good=False),
}


class Site(MemoryVcs):
    """A values repository whose commits are rows; what was read is kept until something is committed."""

    def __init__(self, name: str, alert_at: datetime, rows: SiteRows, permits: PermitOffice, clock: Clock) -> None:
        super().__init__(text=VALUES, permits=permits, clock=_Still(alert_at - timedelta(days=1)))
        self._clock = clock
        self.name = name
        self.alert_at = alert_at
        self._rows = rows
        self._load()

    def commit(
        self, *, text: str, message: str, expected_head: str, cycle_id: str, key: str, permit: Permit | None
    ) -> str:
        """See `VcsPort.commit`; the repository is read anew first, as a push would."""
        self._load()
        return super().commit(
            text=text, message=message, expected_head=expected_head, cycle_id=cycle_id, key=key, permit=permit
        )

    def observe(self, key: str) -> Observation:
        """See `VcsPort.observe`."""
        self._load()
        return super().observe(key)

    @property
    def slow(self) -> bool:
        """Whether somebody's setting makes it slow still: it is gone with the first change of the values."""
        return len(self._commits) == 1

    def live(self) -> LiveState:
        """What is served: what the values say, but for a mode that somebody set at run time."""
        values = parse_values(self.read())
        return LiveState(
            digest=values.model.digest,
            revision=self.head(),
            mode="exhaustive" if self.slow else values.search.mode,
            mode_source="runtime" if self.slow else "values",
            tier=values.search.tier,
            variants=values.variants,
            index_generation=values.index.generation,
        )

    def _load(self) -> None:
        del self._commits[1:], self._texts[1:], self._touches[1:]
        for row in self._rows.commits(self.name):
            trailers = json.loads(row.trailers)
            self._commits.append(
                Commit(revision=row.revision, author="Evercrew", at=row.at, message=row.message, trailers=trailers)
            )
            self._touches.append(row.text != self._texts[-1])
            self._texts.append(row.text)

    def _append(self, text: str | None, message: str, trailers: Mapping[str, str], author: str) -> str:
        revision = super()._append(text, message, trailers, author)
        if len(self._commits) > 1:
            made = self._commits[-1]
            self._rows.commit(
                CommitRow(
                    site=self.name,
                    key=trailers.get("Evercrew-Key", ""),
                    revision=revision,
                    at=made.at,
                    message=made.message,
                    trailers=json.dumps(dict(trailers)),
                    text=self._texts[-1],
                )
            )
        return revision


class _Still:
    """A clock for the first commit, which was made the day before."""

    def __init__(self, at: datetime) -> None:
        self._at = at

    def now(self) -> datetime:
        return self._at

    def monotonic(self) -> float:
        return 0.0

    def sleep(self, duration: timedelta) -> None:
        """Nothing waits on it."""


class Sites:
    """The site that the calling thread works on, behind all ports that belong to one."""

    reviewed = False

    def __init__(self, rows: SiteRows, permits: PermitOffice, clock: Clock) -> None:
        self._rows = rows
        self._permits = permits
        self._clock = clock

    @contextmanager
    def at(self, cycle: Cycle) -> Iterator[None]:
        """Work on the site of a cycle."""
        site = Site(cycle.target, cycle.alert.starts_at, self._rows, self._permits, self._clock)
        token = _SITE.set(site)
        try:
            yield
        finally:
            _SITE.reset(token)

    def __getattr__(self, name: str) -> Any:
        """Be the site: its repository, and what is live there."""
        return getattr(_SITE.get(), name)


class SitePlatform(MemoryPlatform):
    """The platform of the site."""

    def live(self) -> LiveState:
        """See `PlatformPort.live`."""
        return _SITE.get().live()


class SiteMetrics:
    """`MetricsPort` over the site: a search is slow from shortly before the alert until the site is tuned."""

    name = "site"

    def __init__(self, clock: Clock) -> None:
        self._clock = clock

    def read(self, query: SeriesQuery, at: datetime | None = None) -> Measurement:
        """See `MetricsPort.read`."""
        moment = at or self._clock.now()
        middle = moment if query.stat is Stat.LAST else moment - timedelta(seconds=query.window_s / 2)
        site = _SITE.get()
        wobble = 1 + 0.02 * math.sin(middle.timestamp() * 12.9898)
        slow = site.slow and middle >= site.alert_at - ONSET
        known = {
            "requests": 300.0 * query.window_s,
            "ndcg": 0.6 * wobble,
            "latency": (SLOW if slow else FAST) * wobble,
        }
        value = known.get(query.metric)
        if value is None:
            return Measurement.missing(query.unit, self.name, moment)
        return Measurement(value=value * query.scale, unit=query.unit, n=1, source=self.name, at=moment)

    def range(self, query: SeriesQuery, start: datetime, end: datetime, step: timedelta) -> Sequence[Point]:
        """See `MetricsPort.range`."""
        return [Point(at=at, value=self.read(query, at).value) for at in steps(start, end, step)]

    def labels(self, metric: str, label: str) -> Sequence[str]:
        """See `MetricsPort.labels`."""
        return []

    def check(self) -> str:
        """See `MetricsPort.check`."""
        return "site: answers"


class RowNotify:
    """`NotifyPort` into the table of messages."""

    def __init__(self, rows: SiteRows, permits: PermitOffice) -> None:
        self._rows = rows
        self._permits = permits

    def send(self, message: Message, *, key: str, permit: Permit | None) -> None:
        """See `NotifyPort.send`."""
        self._permits.spend(permit, effect=EFFECT_SEND, key=key)
        if not self._rows.sent(key):
            self._rows.send(key, permit.cycle_id if permit else "")

    def observe(self, key: str) -> Observation:
        """See `NotifyPort.observe`."""
        return Observation.done({}) if self._rows.sent(key) else Observation.absent()

    def check(self) -> str:
        """See `NotifyPort.check`."""
        return "rows: answers"
