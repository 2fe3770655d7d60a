"""Intake: a webhook body becomes alerts, and an alert opens a cycle or joins the one that is open.

Bodies come from outside. They are checked against the shape their sender documents; a body that does not fit is an
`InvalidInput` that names the field, and nothing is opened. Where there is an inbox, a body is accepted when its alerts
are on disk, and what does not fit is kept beside them with the reason, alert by alert. Labels and annotations stay
untrusted text: of them only the signal, the target and the environment are read, and only as names that the
configuration knows.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError

from adapters.inbox.base import MOST_A_TURN, InboxPort, NewLetter, Turn
from adapters.store.base import StorePort
from cycles.incidents import WINDOW, handler
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
    ends_at: AwareDatetime | None = Field(default=None, alias="endsAt")
    fingerprint: str = Field(min_length=1, max_length=200)


class _Envelope(BaseModel):
    """What Alertmanager's webhook (version 4) and Grafana's have in common, around the alerts."""

    model_config = ConfigDict(extra="ignore")

    version: Literal["4", "1"]
    receiver: str
    alerts: list[Any] = Field(max_length=MOST_ALERTS)
    truncated_alerts: int = Field(default=0, alias="truncatedAlerts", ge=0)


class _Body(_Envelope):
    """The whole of it."""

    alerts: list[_Alert] = Field(max_length=MOST_ALERTS)


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


@dataclass(frozen=True)
class Receipt:
    """What became of a body at the inbox.

    Alerts that are on disk, alerts that are none of ours with the reason, what does not fit with the reason and the
    number under which it is kept, and how many alerts the sender left out.
    """

    accepted: int
    ignored: tuple[str, ...] = ()
    malformed: tuple[str, ...] = ()
    truncated: int = 0


def parse_alerts(body: Any, routing: Routing) -> tuple[list[Alert], list[str], int]:
    """Return the alerts of a webhook body, why others are none of ours, and how many the sender left out.

    Raises:
        InvalidInput: the body is not what Alertmanager (version 4) or Grafana (version 1) send; names the field.
    """
    try:
        parsed = _Body.model_validate(body)
    except ValidationError as problem:
        raise _unfit(problem) from None
    routed = [_routed(raw, routing, parsed.version) for raw in parsed.alerts]
    alerts = [found for found in routed if isinstance(found, Alert)]
    return alerts, [found for found in routed if isinstance(found, str)], parsed.truncated_alerts


def accept(raw: str | bytes, routing: Routing, inbox: InboxPort) -> Receipt:
    """Put the alerts of a webhook body into the inbox; when this returns they are on disk, and so is what does not fit.

    Raises:
        InboxFull: too many wait; nothing was accepted, and the sender is to come again.
        DependencyError: the inbox cannot be used; nothing was accepted.
    """
    try:
        envelope = _Envelope.model_validate(json.loads(raw))
    except ValidationError as problem:
        return Receipt(0, malformed=(_aside(inbox, _text(raw), str(_unfit(problem))),))
    except (ValueError, RecursionError) as problem:
        return Receipt(0, malformed=(_aside(inbox, _text(raw), f"body: is not JSON: {problem}"),))
    letters: list[NewLetter] = []
    ignored: list[str] = []
    unfit: list[tuple[str, str]] = []
    for number, part in enumerate(envelope.alerts):
        try:
            alert = _Alert.model_validate(part)
            json.dumps(part, ensure_ascii=False).encode()
        except ValidationError as problem:
            unfit.append((json.dumps(part), str(_unfit(problem, f"alerts.{number}"))))
            continue
        except UnicodeEncodeError as problem:
            unfit.append((json.dumps(part), f"alerts.{number}: holds what is no text: {problem.reason}"))
            continue
        found = _routed(alert, routing, envelope.version)
        if isinstance(found, str):
            ignored.append(found)
        else:
            letters.append(NewLetter(alert=found, ended_at=_ended(alert)))
    inbox.put(letters)
    malformed = tuple(_aside(inbox, text, reason) for text, reason in unfit)
    return Receipt(len(letters), tuple(ignored), malformed, envelope.truncated_alerts)


def take_turn(inbox: InboxPort, clock: Clock, window: timedelta = WINDOW, *, most: int = MOST_A_TURN) -> Turn | None:
    """Turn the letters of one lane into cycles; None when nothing waits.

    The workflows of the cycles in `Turn.opened` are to be started.

    Raises:
        DependencyError: a part does not answer; everything goes on waiting.
    """
    return inbox.turn(handler(clock, window), now=clock.now(), most=most)


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


def _unfit(problem: ValidationError, where: str = "") -> InvalidInput:
    first = problem.errors()[0]
    field = ".".join([*([where] if where else []), *(str(part) for part in first["loc"])]) or "body"
    return InvalidInput(field, first["msg"], "Send an Alertmanager version 4 or Grafana version 1 webhook body")


def _aside(inbox: InboxPort, text: str, reason: str) -> str:
    return f"{reason} (kept as number {inbox.set_aside(text, reason)})"


def _text(raw: str | bytes) -> str:
    text = raw if isinstance(raw, str) else raw.decode("utf-8", "replace")
    return text.encode("utf-8", "replace").decode("utf-8")


def _ended(raw: _Alert) -> datetime | None:
    return raw.ends_at if raw.status == "resolved" else None


def _routed(raw: _Alert, routing: Routing, version: str) -> Alert | str:
    """Return the alert by our names, or why it is none of ours."""
    found = _signal(raw, routing)
    target = raw.labels.get("target", routing.targets[0])
    environment = raw.labels.get("environment", routing.environment)
    if found is None:
        return f"{raw.fingerprint}: no signal of the contract; add a label `signal` or map its alertname"
    if target not in routing.targets or environment != routing.environment:
        return f"{raw.fingerprint}: target or environment is not one of this configuration"
    return _normalised(raw, found, target, environment, "grafana" if version == "1" else "alertmanager")


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
