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
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from fnmatch import fnmatchcase
from typing import Any

from adapters.inbox.base import MOST_A_TURN, InboxPort, NewLetter, Turn
from adapters.store.base import StorePort
from cycles.bodies import MOST_ALERTS as MOST_ALERTS
from cycles.bodies import Form, Part, opened, part_of
from cycles.incidents import WINDOW, handler
from domain.alert import Alert, AlertStatus
from domain.clock import Clock
from domain.cycle import Cycle
from domain.errors import InvalidInput

# So many that did not fit are named in a receipt; all of them are kept.
_MOST_NAMED = 20


@dataclass(frozen=True)
class Route:
    """Alerts whose labels match mean this signal and this target; what is empty is read from the labels as ever.

    A pattern may hold ``*`` for any text; every label it names has to be there. A route that matches on `environment`
    answers for it: such alerts belong to the configured one.
    """

    match: Mapping[str, str]
    signal: str = ""
    target: str = ""

    def matches(self, labels: Mapping[str, str]) -> bool:
        """Whether all patterns fit."""
        return all(name in labels and fnmatchcase(labels[name], pattern) for name, pattern in self.match.items())


@dataclass(frozen=True)
class Routing:
    """How labels become names of ours.

    Signals that exist, alert names that stand for them, where an unlabelled alert belongs, and routes: the first that
    matches says what an alert means, before its own labels do. `own` are the signals of targets with another contract.
    """

    signals: Sequence[str]
    alert_names: Mapping[str, str]
    targets: Sequence[str]
    environment: str
    routes: Sequence[Route] = ()
    own: Mapping[str, Sequence[str]] = field(default_factory=dict)

    def signals_of(self, target: str) -> Sequence[str]:
        """Return the signals of the contract of a target."""
        return self.own.get(target, self.signals)

    @property
    def known(self) -> Sequence[str]:
        """Every signal of any contract."""
        return list(dict.fromkeys([*self.signals, *(name for names in self.own.values() for name in names)]))


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
    number under which it is kept, how many alerts the sender left out, and by how many seconds the latest start of an
    alert lies ahead of our clock.
    """

    accepted: int
    ignored: tuple[str, ...] = ()
    malformed: tuple[str, ...] = ()
    truncated: int = 0
    ahead_s: float = 0.0


@dataclass(frozen=True)
class Examined:
    """One alert of a body, looked at: a letter, or why it is none of ours, or why it does not fit."""

    raw: Any
    letter: NewLetter | None = None
    ignored: str = ""
    unfit: str = ""


@dataclass(frozen=True)
class Looked:
    """A body looked at, alert by alert; nothing was done. `unfit` says why its frame does not fit, where it does not.

    `text` is what was sent, for what has to be kept of it.
    """

    text: str | bytes
    alerts: Sequence[Examined] = ()
    truncated: int = 0
    unfit: str = ""

    @property
    def letters(self) -> list[NewLetter]:
        """What can be put into the inbox."""
        return [found.letter for found in self.alerts if found.letter is not None]

    def ahead_s(self, now: datetime) -> float:
        """Return by how many seconds the latest start lies ahead of `now`; zero where none does."""
        return max(((letter.alert.starts_at - now).total_seconds() for letter in self.letters), default=0.0)


def parse_alerts(body: Any, routing: Routing) -> tuple[list[Alert], list[str], int]:
    """Return the alerts of a webhook body, why others are none of ours, and how many the sender left out.

    Raises:
        InvalidInput: the body is none of those that there are; names the field.
    """
    found = opened(body)
    parts = [part_of(raw, number, found.form) for number, raw in enumerate(found.parts)]
    routed = [_routed(part, routing, found.form) for part in parts]
    alerts = [one for one in routed if isinstance(one, Alert)]
    return alerts, [one for one in routed if isinstance(one, str)], found.truncated


def look(raw: str | bytes, routing: Routing, form: Form | None = None) -> Looked:
    """Return what a body holds; never raises, and does nothing.

    Args:
        form: what it has to be; None is whose it looks like.
    """
    try:
        found = opened(json.loads(raw), form)
    except InvalidInput as problem:
        return Looked(raw, unfit=str(problem))
    except (ValueError, RecursionError) as problem:
        return Looked(raw, unfit=f"body: is not JSON: {problem}")
    alerts = [_examined(part, number, found.form, routing) for number, part in enumerate(found.parts)]
    return Looked(raw, alerts, found.truncated)


def keep(looked: Looked, inbox: InboxPort, now: datetime | None = None) -> Receipt:
    """Put what was looked at into the inbox; when this returns it is on disk, and so is what does not fit.

    Raises:
        InboxFull: too many wait; nothing was accepted, and the sender is to come again.
        DependencyError: the inbox cannot be used; to come again does no harm, for what was accepted is a duplicate.
    """
    letters = looked.letters
    inbox.put(letters)
    ahead = 0.0 if now is None else looked.ahead_s(now)
    ignored = tuple(found.ignored for found in looked.alerts if found.ignored)
    return Receipt(len(letters), ignored, set_aside(looked, inbox), looked.truncated, max(ahead, 0.0))


def set_aside(looked: Looked, inbox: InboxPort) -> tuple[str, ...]:
    """Keep what does not fit of a body, under one number, and return the reasons with it.

    Raises:
        DependencyError: the inbox cannot be used.
    """
    if looked.unfit:
        number = inbox.set_aside(_text(looked.text), looked.unfit)
        return (f"{looked.unfit} (kept as number {number})",)
    unfit = [found for found in looked.alerts if found.unfit]
    if not unfit:
        return ()
    named = [found.unfit for found in unfit[:_MOST_NAMED]]
    parts = [found.raw for found in unfit]
    number = inbox.set_aside(json.dumps(parts[0] if len(parts) == 1 else parts), "; ".join(named))
    more = [f"and {len(unfit) - len(named)} more"] if len(unfit) > len(named) else []
    return tuple(f"{reason} (kept as number {number})" for reason in (*named, *more))


def accept(
    raw: str | bytes, routing: Routing, inbox: InboxPort, form: Form | None = None, now: datetime | None = None
) -> Receipt:
    """Put the alerts of a webhook body into the inbox; see `look` and `keep`.

    Raises:
        InboxFull, DependencyError: as `keep`.
    """
    return keep(look(raw, routing, form), inbox, now)


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
    opened_: list[Cycle] = []
    joined: list[Cycle] = []
    for alert in alerts:
        if alert.status is AlertStatus.RESOLVED:
            ignored.append(f"{alert.fingerprint}: resolved; an open cycle goes on and sees for itself")
            continue
        cycle, new = store.open_cycle(alert, clock.now())
        (opened_ if new else joined).append(cycle)
    return Taken(tuple(opened_), tuple(joined), tuple(ignored), truncated)


def _text(raw: str | bytes) -> str:
    text = raw if isinstance(raw, str) else raw.decode("utf-8", "replace")
    return text.encode("utf-8", "replace").decode("utf-8")


def _examined(raw: Any, number: int, form: Form, routing: Routing) -> Examined:
    try:
        part = part_of(raw, number, form)
    except InvalidInput as problem:
        return Examined(raw, unfit=str(problem))
    found = _routed(part, routing, form)
    if isinstance(found, str):
        return Examined(raw, ignored=found)
    ended = part.ends_at if part.status == "resolved" else None
    return Examined(raw, letter=NewLetter(alert=found, ended_at=ended))


def _routed(raw: Part, routing: Routing, form: Form) -> Alert | str:
    """Return the alert by our names, or why it is none of ours."""
    route = next((route for route in routing.routes if route.matches(raw.labels)), None)
    found = (route.signal if route else "") or _signal(raw, routing)
    target = (route.target if route else "") or raw.labels.get("target", routing.targets[0])
    environment = raw.labels.get("environment", routing.environment)
    if route is not None and "environment" in route.match:
        environment = routing.environment
    if not found:
        return f"{raw.fingerprint}: no signal of the contract; add a label `signal` or map its alertname"
    if target not in routing.targets or environment != routing.environment:
        return f"{raw.fingerprint}: target or environment is not one of this configuration"
    if found not in routing.signals_of(target):
        return f"{raw.fingerprint}: {found} is no signal of the contract of {target}"
    return _normalised(raw, found, target, environment, form)


def _signal(raw: Part, routing: Routing) -> str:
    named, known = raw.labels.get("signal", ""), routing.known
    if named in known:
        return named
    mapped = routing.alert_names.get(raw.labels.get("alertname", ""), "")
    return mapped if mapped in known else ""


def _normalised(raw: Part, signal: str, target: str, environment: str, form: Form) -> Alert:
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
        source=form.value,
    )
