"""What a webhook body would do, found out without doing it."""

from __future__ import annotations

import json
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict

from adapters.inbox.base import Fate, Held, InboxPort, Incident, Letter, NewLetter
from adapters.store.base import StorePort
from cycles.bodies import Form, form_named, form_of
from cycles.incidents import handler
from cycles.intake import Examined, Routing, look
from domain.alert import Alert
from domain.clock import Clock, SystemClock
from domain.cycle import Cycle
from domain.stage import Stage
from service.config import Config
from service.contracts import contract_of, signals_of_further
from service.profile import profile_of
from service.serve_sections import routing_of

_MOST_OPEN = 10_000
_WOULD = {
    Fate.OPENED: "it would open a cycle",
    Fate.JOINED: "it would join {cycle}, which is open",
    Fate.DUPLICATE: "it is known already: it would change nothing",
    Fate.FLAPPING: "it fires again soon after it was resolved: it would belong to {cycle}",
    Fate.RESOLVED: "it would be noted as resolved; a cycle that did nothing about it yet would end",
    Fate.STALE: "it is older than what is known of it: it would change nothing",
    Fate.POISON: "it could not be handled, and would be set aside",
}


class TriedAlert(BaseModel):
    """One alert: what it means here, and what it would do, in a word (`fate`) and in a sentence (`would`)."""

    model_config = ConfigDict(frozen=True)

    accepted: bool
    fate: str
    would: str
    name: str = ""
    status: str = ""
    fingerprint: str = ""
    signal: str = ""
    target: str = ""
    environment: str = ""
    starts_at: datetime | None = None
    cycle_id: str = ""


class Tried(BaseModel):
    """A body: whose it looks like, what it would be answered, and its alerts."""

    model_config = ConfigDict(frozen=True)

    sender: str
    status: int
    said: str
    truncated: int = 0
    alerts: tuple[TriedAlert, ...] = ()


def try_body(raw: bytes, config: Config, sender: str = "") -> Tried:
    """Return what a body would do under a configuration, and where its alerts stand now.

    Raises:
        InvalidInput: there is no such sender.
        ConfigurationError, DependencyError: the configuration, or its store, cannot be used.
    """
    profile = profile_of(config)
    contract = contract_of(config, profile)
    routing = routing_of(
        list(contract.signals),
        config.alert_names,
        config.target,
        config.environment,
        config.routes,
        signals_of_further(config, profile),
    )
    with ExitStack() as closing:
        store, inbox = _kept(config, closing)
        return tried(raw, routing, store, inbox, SystemClock(), sender)


def tried(
    raw: bytes, routing: Routing, store: StorePort | None, inbox: InboxPort | None, clock: Clock, sender: str = ""
) -> Tried:
    """Return what a body would do; without a store, as if nothing was known.

    Raises:
        InvalidInput: there is no such sender. DependencyError: store or inbox cannot be read.
    """
    form = form_named(sender) or _looks_like(raw)
    looked = look(raw, routing, form)
    trial = _Trial(store, inbox, clock)
    alerts = tuple(trial.of(found) for found in looked.alerts)
    name = form.value if form else ""
    if looked.unfit:
        return Tried(sender=name, status=400, said=looked.unfit)
    accepted, unfit = sum(alert.accepted for alert in alerts), [found.unfit for found in looked.alerts if found.unfit]
    status = 400 if unfit and not accepted else 200
    said = f"{accepted} of {len(alerts)} alerts would be accepted" + (f"; {len(unfit)} kept aside" if unfit else "")
    return Tried(sender=name, status=status, said=said, truncated=looked.truncated, alerts=alerts)


class _Trial:
    """Handles letters as a turn would, and keeps what came of each for the next alert of the same body."""

    def __init__(self, store: StorePort | None, inbox: InboxPort | None, clock: Clock) -> None:
        self._opener = _Dry(store, inbox, clock)
        self._inbox = inbox
        self._handle = handler(clock)
        self._known: dict[tuple[str, str], Incident | None] = {}

    def of(self, found: Examined) -> TriedAlert:
        """Return what became of one."""
        if found.letter is None:
            labels = found.raw.get("labels", {}) if isinstance(found.raw, dict) else {}
            name = str(labels.get("alertname", "")) if isinstance(labels, dict) else ""
            fate = "malformed" if found.unfit else "ignored"
            return TriedAlert(accepted=False, fate=fate, would=found.unfit or found.ignored, name=name)
        letter = Letter(number=1, **dict(found.letter))
        key = (letter.lane, letter.alert.fingerprint)
        if key not in self._known:
            self._known[key] = self._inbox.incident(*key) if self._inbox is not None else None
        handled = self._handle(letter, self._known[key], self._opener)
        self._known[key] = handled.incident
        if isinstance(handled, Held):
            would = f"it would wait until {handled.again:%H:%M:%S} UTC, and lead to a cycle if it still fires then"
            return _told(found.letter, "held", would)
        would = _WOULD[handled.fate].format(cycle=handled.cycle_id or "a cycle")
        return _told(found.letter, handled.fate.value, would, "" if handled.cycle_id == NEW else handled.cycle_id)


NEW = "a new cycle"


class _Dry:
    """Opens nothing; what would be opened is open for the alerts after it."""

    def __init__(self, store: StorePort | None, inbox: InboxPort | None, clock: Clock) -> None:
        self._clock = clock
        opened = store.cycles(open_only=True, limit=_MOST_OPEN) if store is not None else ()
        self._open = {(cycle.target, cycle.environment): cycle for cycle in opened}
        self._store = store

    def present(self, alert: Alert) -> Cycle | None:
        """See `Opener.present`."""
        return self._open.get((alert.target, alert.environment))

    def open(self, alert: Alert) -> tuple[Cycle, bool]:
        """See `Opener.open`."""
        present = self.present(alert)
        if present is not None:
            return present, False
        now = self._clock.now()
        made = Cycle(
            id=NEW,
            alert=alert,
            target=alert.target,
            environment=alert.environment,
            stage=Stage.OBSERVE,
            opened_at=now,
            updated_at=now,
        )
        self._open[(alert.target, alert.environment)] = made
        return made, True

    def released(self, cycle_id: str) -> bool:
        """See `Opener.released`."""
        from adapters.inbox.base import RELEASED

        return self._store is not None and bool(self._store.recordings(cycle_id, RELEASED))


def _looks_like(raw: bytes) -> Form | None:
    try:
        body: Any = json.loads(raw)
    except (ValueError, RecursionError):
        return None
    return form_of(body)


def _told(letter: NewLetter, fate: str, would: str, cycle_id: str = "") -> TriedAlert:
    alert = letter.alert
    return TriedAlert(
        accepted=True,
        fate=fate,
        would=would,
        name=alert.name,
        status=alert.status.value,
        fingerprint=alert.fingerprint,
        signal=alert.signal,
        target=alert.target,
        environment=alert.environment,
        starts_at=alert.starts_at.astimezone(UTC),
        cycle_id=cycle_id,
    )


def _kept(config: Config, closing: ExitStack) -> tuple[StorePort | None, InboxPort | None]:
    """Return store and inbox; none where nothing was ever kept: a trial makes no database."""
    if config.store_url is None and not Path(config.state / "evercrew.db").exists():
        return None, None
    from service.database import database_of, store_of
    from service.vendors import inbox_of

    database = database_of(config, closing)
    return store_of(database), inbox_of(database, SystemClock())
