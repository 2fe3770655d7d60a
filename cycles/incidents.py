"""Letters to incidents, and incidents to cycles: one cycle for each, whatever order and however often it is told of.

An incident is known by the fingerprint of its alert, and ordered by what the sender says: since when it fires, and when
it was resolved. What is older than what is known changes nothing. A firing that comes within `window` after the last
change belongs to the same incident: while its cycle is open it joins it; when that has ended, the firing is held for
the length of the window, and leads to a cycle of its own only if it still fires then: an alert that flaps opens no
cycle a minute, and one that comes back to stay is not lost.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from adapters.inbox.base import Fate, Handled, Handler, Held, Incident, Letter, Opener, Settled
from domain.alert import AlertStatus
from domain.clock import Clock

WINDOW = timedelta(minutes=5)


def handler(clock: Clock, window: timedelta = WINDOW) -> Handler:
    """Return what a turn of the inbox handles letters by."""

    def handle(letter: Letter, known: Incident | None, opener: Opener) -> Handled:
        if letter.alert.status is AlertStatus.RESOLVED:
            return _resolved(letter, known)
        return _Firing(letter, opener, clock.now(), window).told(known)

    return handle


class _Firing:
    """A letter that says an alert fires."""

    def __init__(self, letter: Letter, opener: Opener, now: datetime, window: timedelta) -> None:
        self._alert = letter.alert
        self._opener = opener
        self._now = now
        self._window = window

    def told(self, known: Incident | None) -> Handled:
        """Return what it comes to, by what is known."""
        if known is None:
            return self._leads(None)
        if self._alert.starts_at < known.starts_at:
            return _settled(known, Fate.STALE)
        if self._alert.starts_at > known.starts_at:
            return self._again(known)
        if known.held_until is not None and self._now >= known.held_until:
            return self._was_held(known)
        return _settled(known, Fate.STALE if known.status is AlertStatus.RESOLVED else Fate.DUPLICATE)

    def _again(self, known: Incident) -> Handled:
        """It fires anew: soon after the last change it is the same incident, later it is another."""
        soon = self._alert.starts_at - known.changed_at <= self._window
        if not soon or not known.cycle_id:
            return self._leads(known)
        present = self._opener.present(self._alert)
        flap = self._fires(known, flaps=known.flaps + 1)
        if present is not None and present.id == known.cycle_id:
            return _settled(flap, Fate.FLAPPING, known.cycle_id)
        if present is not None:
            return self._leads(known)
        until = self._now + self._window
        return Held(incident=_counted(flap, held_until=until), again=until)

    def _was_held(self, known: Incident) -> Handled:
        freed = known.model_copy(update={"held_until": None})
        if known.status is AlertStatus.RESOLVED:
            return _settled(freed, Fate.FLAPPING, known.cycle_id)
        return self._leads(freed)

    def _leads(self, known: Incident | None) -> Handled:
        cycle, new = self._opener.open(self._alert)
        incident = self._fires(known, cycle_id=cycle.id, held_until=None)
        return _settled(incident, Fate.OPENED if new else Fate.JOINED, cycle.id)

    def _fires(self, known: Incident | None, **changes: Any) -> Incident:
        start = self._alert.starts_at
        return _moved(known, self._alert.fingerprint, AlertStatus.FIRING, start, start, changes)


def _resolved(letter: Letter, known: Incident | None) -> Handled:
    start, ended = letter.alert.starts_at, max(letter.ended_at or letter.alert.starts_at, letter.alert.starts_at)
    if known is not None and start < known.starts_at:
        return _settled(known, Fate.STALE)
    again = known is not None and start == known.starts_at and known.status is AlertStatus.RESOLVED
    incident = _moved(known, letter.alert.fingerprint, AlertStatus.RESOLVED, start, ended, {})
    return _settled(incident, Fate.DUPLICATE if again else Fate.RESOLVED, incident.cycle_id)


def _moved(
    known: Incident | None,
    fingerprint: str,
    status: AlertStatus,
    starts_at: datetime,
    changed_at: datetime,
    changes: Mapping[str, Any],
) -> Incident:
    if known is None:
        known = Incident(fingerprint=fingerprint, status=status, starts_at=starts_at, changed_at=changed_at)
    latest = max(changed_at, known.changed_at)
    moved = {"status": status, "starts_at": starts_at, "changed_at": latest, **changes}
    return known.model_copy(update=moved)


def _settled(incident: Incident, fate: Fate, cycle_id: str = "") -> Settled:
    return Settled(incident=_counted(incident), fate=fate, cycle_id=cycle_id)


def _counted(incident: Incident, **changes: Any) -> Incident:
    return incident.model_copy(update={"letters": incident.letters + 1, **changes})
