"""Rules for a Prometheus server: alerts on the contract's signals, and recordings of them for longer memory.

An alert means what the watcher means (`service/watcher.py`): the contract's limits over the same windows, the baseline
ending `gap` before the moment; beyond the noise where that is known, and lasting a whole current window where it is
not. One difference: a rule has no alert to hold on to, so its baseline moves on with the moment. A signal that stays
bad for longer than the gap becomes its own baseline bit by bit, and its alert resolves.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import yaml

from adapters.metrics.promql import render
from domain.signal import SeriesQuery, SignalSpec, Stat
from policies.contract import Contract, Limit, Signal
from service.catalog import catalog
from service.config import Config
from service.contracts import contract_of
from service.profile import profile_of
from service.watcher import MIN_SAMPLES, Z_LIMIT
from tools.notify.silences import ALERT_NAME
from tools.observe.reading import Windows

VALUE, COUNT, STDERR = "evercrew:signal:value", "evercrew:signal:count", "evercrew:signal:stderr"
# A signal whose reaction time is this short wakes somebody.
URGENT = timedelta(minutes=10)


@dataclass(frozen=True)
class Scene:
    """Whose signals they are, and how often a rule is evaluated."""

    target: str
    environment: str
    interval: timedelta

    def labels(self, signal: str) -> dict[str, str]:
        """Return the labels that tell one signal of one target from all others."""
        return {"signal": signal, "target": self.target, "environment": self.environment}


def alerting_rules(
    contract: Contract,
    catalog: Mapping[str, SignalSpec],
    windows: Windows,
    scene: Scene,
    *,
    min_samples: int = MIN_SAMPLES,
) -> str:
    """Return a rules file with one alert for each signal of the contract that the catalog knows how to read.

    Labels are `signal`, `target`, `environment` and `severity` (critical where the contract wants a reaction within ten
    minutes); `min_samples` is what the current window has to rest on.
    """
    rules = [
        _alert(name, row, catalog[name], windows, scene, min_samples)
        for name, row in contract.signals.items()
        if name in catalog
    ]
    return _file("evercrew-alerts", scene, rules)


def rules_of(config: Config, interval: timedelta, *, recording: bool = False) -> tuple[str, tuple[str, ...]]:
    """Return the rules file of a configuration (alerts, or recordings), and the signals that no rule watches.

    Raises:
        ConfigurationError: the profile or the contract cannot be read.
    """
    profile = profile_of(config)
    contract = contract_of(config, profile)
    found, measure = catalog(config), profile.measure
    windows = Windows(current=measure.current, baseline=measure.baseline, gap=measure.gap)
    scene = Scene(target=config.target, environment=config.environment, interval=interval)
    text = recording_rules(found, windows, scene) if recording else alerting_rules(contract, found, windows, scene)
    return text, not_covered(contract, found)


def not_covered(contract: Contract, catalog: Mapping[str, SignalSpec]) -> tuple[str, ...]:
    """Return the signals of the contract that no rule watches, because no metric is named for them."""
    return tuple(name for name in contract.signals if name not in catalog)


def recording_rules(catalog: Mapping[str, SignalSpec], windows: Windows, scene: Scene) -> str:
    """Return a rules file that records value, sample size and, where it is known, standard error of every signal.

    Recorded series are few and small: they can be kept for the weeks that a seasonal baseline looks back.
    """
    rules: list[dict[str, Any]] = []
    for name, spec in catalog.items():
        read = _read(spec, windows.current, timedelta())
        recorded = {VALUE: read.value, COUNT: read.count, STDERR: f"sqrt({read.variance})" if read.variance else ""}
        rules += [
            {"record": record, "expr": expression, "labels": scene.labels(name)}
            for record, expression in recorded.items()
            if expression
        ]
    return _file("evercrew-signals", scene, rules)


def recorded(signal: str, scene: Scene, what: str = VALUE) -> SeriesQuery:
    """Return the query for a recorded signal."""
    return SeriesQuery(metric=what, labels=scene.labels(signal))


@dataclass(frozen=True)
class _Read:
    """PromQL for a signal over one window: its value, its sample size and the square of its standard error."""

    value: str
    count: str = ""
    variance: str = ""


def _read(spec: SignalSpec, window: timedelta, offset: timedelta) -> _Read:
    value = _expression(spec.value, window, offset)
    if spec.count is None:
        return _Read(value)
    count = _expression(spec.count, window, offset)
    if not spec.mean:
        return _Read(value, count)
    mean = f"({value} / {count})"
    if spec.squares is None:
        return _Read(mean, count)
    squares = _expression(spec.squares, window, offset)
    return _Read(mean, count, f"(clamp_min({squares} / {count} - {mean} ^ 2, 0) / {count})")


def _expression(query: SeriesQuery, window: timedelta, offset: timedelta) -> str:
    if query.stat is not Stat.LAST:
        query = query.model_copy(update={"window_s": window.total_seconds()})
    text = render(query, offset=offset)
    return text if query.scale == 1 else f"({query.scale!r} * {text})"


def _alert(
    name: str, row: Signal, spec: SignalSpec, windows: Windows, scene: Scene, min_samples: int
) -> dict[str, Any]:
    now, before = _read(spec, windows.current, timedelta()), _read(spec, windows.baseline, windows.gap)
    breached = " or ".join(_breached(row, limit, now, before) for limit in row.limits)
    enough = f" and ({now.count} >= {min_samples})" if now.count else ""
    # Where the noise is known two looks in a row are believed, else a breach that lasts.
    lasting = scene.interval if now.variance else windows.current
    return {
        "alert": ALERT_NAME,
        "expr": f"({breached}){enough}",
        "for": _duration(lasting),
        "labels": {**scene.labels(name), "severity": "critical" if row.reaction <= URGENT else "warning"},
        "annotations": {
            "summary": f"{name} of {scene.target} is {{{{ $value }}}} {row.unit}, beyond the limit of {row.trigger}"
        },
    }


def _breached(row: Signal, limit: Limit, now: _Read, before: _Read) -> str:
    up = row.bad_direction == "up"
    if limit.kind == "absolute":
        return f"({now.value} {'>' if up else '<'} {limit.threshold!r})"
    factor = 1 + limit.threshold if up else 1 - limit.threshold
    parts = [f"({now.value} {'>=' if up else '<='} {factor!r} * {before.value})", f"({before.value} > 0)"]
    if before.count:
        parts.append(f"({before.count} >= 1)")
    if now.variance and before.variance:
        noise = f"({now.variance} + {before.variance})"
        parts.append(f"(abs({now.value} - {before.value}) >= {Z_LIMIT!r} * sqrt({noise}))")
        parts.append(f"({noise} > 0)")
    return f"({' and '.join(parts)})"


def _file(group: str, scene: Scene, rules: Sequence[Mapping[str, Any]]) -> str:
    named = f"{group}-{scene.target}-{scene.environment}"
    content = {"groups": [{"name": named, "interval": _duration(scene.interval), "rules": list(rules)}]}
    return str(yaml.safe_dump(content, sort_keys=False, width=10_000))


def _duration(duration: timedelta) -> str:
    return f"{max(round(duration / timedelta(milliseconds=1)), 1)}ms"
