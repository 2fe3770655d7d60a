"""Intake: a webhook body becomes alerts, and an alert opens a cycle or joins the one that is open.

Bodies come from outside. They are checked against the shape their sender documents; a body that does not fit is an
`InvalidInput` that names the field, and nothing is opened. Labels and annotations stay untrusted text: of them only the
signal, the target and the environment are read, and only as names that the configuration knows.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError

from adapters.store.base import StorePort
from domain.alert import Alert, AlertStatus
from domain.clock import Clock
from domain.cycle import Cycle
from domain.errors import InvalidInput

MOST_ALERTS = 200


class _Alert(BaseModel):
    model_config = ConfigDict(extra="ignore")

    status: Literal["firing", "resolved"]
    labels: dict[str, str]
    annotations: dict[str, str] = Field(default_factory=dict)
    starts_at: AwareDatetime = Field(alias="startsAt")
    fingerprint: str = Field(min_length=1)


class _Body(BaseModel):
    """What Alertmanager's webhook (version 4) and Grafana's have in common."""

    model_config = ConfigDict(extra="ignore")

    version: Literal["4", "1"]
    receiver: str
    alerts: list[_Alert] = Field(max_length=MOST_ALERTS)
    truncated_alerts: int = Field(default=0, alias="truncatedAlerts", ge=0)


@dataclass(frozen=True)
class Routing:
    """How labels become names of ours.

    Signals that exist, alert names that stand for them, and where an unlabelled alert belongs.
    """

    signals: Sequence[str]
    alert_names: Mapping[str, str]
    targets: Sequence[str]
    environment: str


@dataclass(frozen=True)
class Taken:
    """What became of a body: cycles opened, cycles joined, and alerts that open none, each with the reason."""

    opened: tuple[Cycle, ...]
    joined: tuple[Cycle, ...]
    ignored: tuple[str, ...]
    truncated: int


def parse_alerts(body: Any, routing: Routing) -> tuple[list[Alert], list[str], int]:
    """Return the alerts of a webhook body, why others are none of ours, and how many the sender left out.

    Raises:
        InvalidInput: the body is not what Alertmanager (version 4) or Grafana (version 1) send; names the field.
    """
    try:
        parsed = _Body.model_validate(body)
    except ValidationError as problem:
        first = problem.errors()[0]
        field = ".".join(str(part) for part in first["loc"]) or "body"
        raise InvalidInput(
            field, first["msg"], "Send an Alertmanager version 4 or Grafana version 1 webhook body"
        ) from None
    alerts, ignored = [], []
    for raw in parsed.alerts:
        found = _signal(raw, routing)
        target = raw.labels.get("target", routing.targets[0])
        environment = raw.labels.get("environment", routing.environment)
        if found is None:
            ignored.append(f"{raw.fingerprint}: no signal of the contract; add a label `signal` or map its alertname")
        elif target not in routing.targets or environment != routing.environment:
            ignored.append(f"{raw.fingerprint}: target or environment is not one of this configuration")
        else:
            alerts.append(
                _normalised(raw, found, target, environment, "grafana" if parsed.version == "1" else "alertmanager")
            )
    return alerts, ignored, parsed.truncated_alerts


def take(body: Any, routing: Routing, store: StorePort, clock: Clock) -> Taken:
    """Open a cycle for each firing alert, or join the open one of its target; resolved alerts open none.

    Raises:
        InvalidInput: as `parse_alerts`; nothing was opened.
    """
    alerts, ignored, truncated = parse_alerts(body, routing)
    opened: list[Cycle] = []
    joined: list[Cycle] = []
    for alert in alerts:
        if alert.status is AlertStatus.RESOLVED:
            ignored.append(f"{alert.fingerprint}: resolved; an open cycle goes on and sees for itself")
            continue
        cycle, new = store.open_cycle(alert, clock.now())
        (opened if new else joined).append(cycle)
    return Taken(tuple(opened), tuple(joined), tuple(ignored), truncated)


def _signal(raw: _Alert, routing: Routing) -> str | None:
    named = raw.labels.get("signal", "")
    if named in routing.signals:
        return named
    mapped = routing.alert_names.get(raw.labels.get("alertname", ""))
    return mapped if mapped in routing.signals else None


def _normalised(raw: _Alert, signal: str, target: str, environment: str, source: str) -> Alert:
    return Alert(
        fingerprint=raw.fingerprint,
        name=raw.labels.get("alertname", signal),
        status=AlertStatus(raw.status),
        signal=signal,
        target=target,
        environment=environment,
        starts_at=raw.starts_at,
        labels=raw.labels,
        annotations=raw.annotations,
        source=source,
    )
