"""The watcher: evaluates the contract's signals as an alerting rule does, and writes what an alert manager would send.

A rule fires on a breach that is no chance: beyond the contract's threshold, and, where the noise of both sides is
known, by three standard errors; twice in a row. Where the noise is not known (a p95, a counter) the breach has to last
for a whole current window, the `for` of an alerting rule: one busy second stays in every look of a window, and is gone
after it.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from domain.canonical import sha256_text
from domain.measurement import Measurement
from tools.observe.reading import SignalReader

Z_LIMIT = 3.0
MIN_SAMPLES = 100
NEVER = "0001-01-01T00:00:00Z"


class Watcher:
    """Looks at some signals, against their baseline before `reference`."""

    def __init__(self, reader: SignalReader, signals: Sequence[str], reference: datetime) -> None:
        self._reader = reader
        self._baselines = {name: reader.baseline(name, reference) for name in signals}
        self._pending: dict[str, datetime] = {}

    @property
    def baselines(self) -> dict[str, Measurement]:
        """The signals before `reference`."""
        return dict(self._baselines)

    def look(self) -> tuple[dict[str, Measurement], str | None, datetime | None]:
        """Return the signals now, the one that fires (or None), and since when its rule is true."""
        windows = self._reader.windows
        at = self._reader.clock.now()
        now = {n: self._reader.measure(self._reader.catalog[n], windows.current) for n in self._baselines}
        fired: list[tuple[datetime, str]] = []
        for name, current in now.items():
            if not self._breached(name, current):
                self._pending.pop(name, None)
            elif name not in self._pending:
                self._pending[name] = at
            elif at - self._pending[name] >= self._lasting(name, current):
                fired.append((self._pending[name], name))
        if not fired:
            return now, None, None
        since, name = min(fired)
        return now, name, since

    def _lasting(self, name: str, current: Measurement) -> timedelta:
        """How long a breach has to last before it is believed."""
        known = current.stderr is not None and self._baselines[name].stderr is not None
        return timedelta() if known else self._reader.windows.current

    def _breached(self, name: str, current: Measurement) -> bool:
        baseline = self._baselines[name]
        if not (current.usable and baseline.usable) or current.n < MIN_SAMPLES:
            return False
        breached, _ = self._reader.judge(name, current, baseline)
        if not breached or current.stderr is None or baseline.stderr is None:
            return bool(breached)
        error = float((current.stderr**2 + baseline.stderr**2) ** 0.5)
        return error > 0 and abs(current.finite() - baseline.finite()) >= Z_LIMIT * error


def alert_body(signal: str, target: str, environment: str, since: datetime, summary: str) -> dict[str, Any]:
    """Return the Alertmanager webhook body (version 4) of one firing alert."""
    labels = {"alertname": "SignalBreached", "signal": signal, "target": target, "environment": environment}
    fingerprint = sha256_text("|".join(f"{k}={v}" for k, v in sorted(labels.items())))[:16]
    alert = {
        "status": "firing",
        "labels": labels,
        "annotations": {"summary": summary},
        "startsAt": since.isoformat(),
        "endsAt": NEVER,
        "generatorURL": "",
        "fingerprint": fingerprint,
    }
    return {
        "version": "4",
        "groupKey": "{}:{}",
        "truncatedAlerts": 0,
        "status": "firing",
        "receiver": "evercrew",
        "groupLabels": {},
        "commonLabels": labels,
        "commonAnnotations": {"summary": summary},
        "externalURL": "",
        "alerts": [alert],
    }
