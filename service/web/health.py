"""How the target is: every signal of the contract now, against its baseline and its limits, with its course.

Metrics may be slow or down: then a page says so, with what was known last, and is drawn all the same.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from markupsafe import Markup

from domain.errors import DependencyUnavailable
from domain.measurement import Measurement
from domain.signal import SignalReading
from policies.contract import Limit, Signal
from service.web.background import STILL_ASKING, Background
from service.web.moments import span
from service.web.spark import sparkline
from service.wiring import App
from service.wording import percent, signal_label, signal_value

POINTS = 48
# What is older than this is told with its age.
OLD = timedelta(seconds=45)
_ORDER = (
    "ndcg_at_10",
    "recall_at_20",
    "latency_p95_ms",
    "user_satisfaction",
    "cost_per_1k_requests",
    "budget_share",
    "etl_backlog_s",
    "vector_index_errors",
)

Series = Sequence[tuple[datetime, float | None]]


@dataclass(frozen=True)
class Seen:
    """What was read of one signal."""

    reading: SignalReading
    series: Series


@dataclass(frozen=True)
class SignalCard:
    """A signal as a page shows it; `tone` is good, bad or idle (it cannot be told)."""

    name: str
    label: str
    value: str
    delta: str
    delta_tone: str
    against: str
    limits: str
    tone: str
    said: str
    picture: Markup | None


@dataclass(frozen=True)
class Health:
    """The signals, and what is wrong with knowing them: `problem` names the source, `age` how old the figures are.

    Of a target that cannot be opened there are no cards, and `source` is in words: which source it has is not known.
    """

    cards: tuple[SignalCard, ...]
    source: str
    problem: str = ""
    age: str = ""
    target: str = ""

    @property
    def asking(self) -> bool:
        """Whether the source has simply not answered yet."""
        return self.problem == STILL_ASKING

    @property
    def breached(self) -> int:
        """How many are beyond their limits."""
        return sum(1 for card in self.cards if card.tone == "bad")

    @property
    def known(self) -> int:
        """How many could be told."""
        return sum(1 for card in self.cards if card.tone != "idle")


def health_of(app: App, background: Background, alert_at: datetime | None = None, *, target: str = "") -> Health:
    """Return how a target is, as far as it is known in the time a page has.

    Args:
        alert_at: the moment whose past is the baseline; by default now.
        target: which; by default the application's own.
    """
    name, whole = target or app.config.target, app
    known = background.ask(("health", name, alert_at), lambda: _read(whole.at(name), alert_at or whole.clock.now()))
    try:
        app = whole.at(name)
    except DependencyUnavailable as shut:
        return Health((), f"of {name}", str(shut), "", name)
    seen = known.value or {}
    contract = app.contract
    names = [name for name in _ordered(app) if name in contract.signals]
    cards = tuple(_card(name, contract.signal(name), seen.get(name)) for name in names)
    age = span(known.age.total_seconds()) if known.value is not None and known.age > OLD else ""
    return Health(cards, app.ports.metrics.name, known.problem, age, name)


def _ordered(app: App) -> list[str]:
    ranks = {name: rank for rank, name in enumerate(_ORDER)}
    return sorted(app.reader.catalog, key=lambda name: (ranks.get(name, len(ranks)), name))


def _read(app: App, alert_at: datetime) -> dict[str, Seen]:
    """Read every signal; raises a DependencyError where the source does not answer."""
    reader, now = app.reader, app.clock.now()
    windows = reader.windows
    length = windows.baseline + windows.gap + windows.current
    step = max(length / POINTS, timedelta(milliseconds=500))
    return {
        name: Seen(reader.reading(name, alert_at), reader.series(name, now - length, now, step))
        for name in reader.catalog
        if name in app.contract.signals
    }


def _card(name: str, row: Signal, seen: Seen | None) -> SignalCard:
    label, limits = signal_label(name), limits_said(name, row)
    if seen is None or not seen.reading.current.usable:
        return SignalCard(name, label, "no data", "", "", "", limits, "idle", f"{label}: no data", None)
    reading = seen.reading
    now = signal_value(name, reading.current.value)
    tone = {True: "bad", False: "good"}.get(reading.breached, "idle") if reading.breached is not None else "idle"
    before = reading.baseline if reading.baseline.usable else None
    delta = reading.relative_delta
    worse = delta is not None and (delta > 0) == (row.bad_direction == "up")
    said = f"{label}: {now}, {reading.reason}"
    picture = sparkline(said, seen.series, baseline=before.finite() if before else None, limit=limit_level(row, before))
    return SignalCard(
        name=name,
        label=label,
        value=now,
        delta=percent(delta) if delta is not None else "",
        delta_tone="" if delta is None or abs(delta) < 0.005 else "bad" if worse and tone == "bad" else "",
        against=f"baseline {signal_value(name, before.value)}" if before else "no baseline yet",
        limits=limits,
        tone=tone,
        said=said,
        picture=picture,
    )


def limit_level(row: Signal, baseline: Measurement | None) -> float | None:
    """Return the level at which the strictest limit of a signal is reached; None where it cannot be told."""
    sign = 1 if row.bad_direction == "up" else -1
    levels = [limit.threshold for limit in row.limits if limit.kind == "absolute"]
    if baseline is not None and baseline.usable:
        levels += [baseline.finite() * (1 + sign * limit.threshold) for limit in row.limits if limit.kind != "absolute"]
    if not levels:
        return None
    return min(levels) if sign > 0 else max(levels)


def limits_said(name: str, row: Signal) -> str:
    """Return when a signal counts as breached, e.g. ``3 % below baseline``."""
    return " or ".join(_limit_said(name, row, limit) for limit in row.limits)


def _limit_said(name: str, row: Signal, limit: Limit) -> str:
    word = "above" if row.bad_direction == "up" else "below"
    if limit.kind == "absolute":
        return f"{word} {signal_value(name, limit.threshold)}"
    return f"{limit.threshold:.0%} {word} baseline".replace("%", "\N{NO-BREAK SPACE}%")
