"""Letters to incidents, and incidents to cycles: one cycle for each, whatever order and however often it is told of.

An incident is known by the fingerprint of its alert, and ordered by what the sender says: since when it fires, and when
it was resolved. What is older than what is known changes nothing. A firing that comes within `window` after the last
change belongs to the same incident: while its cycle is open it joins it; when that has ended, the firing is held for
the length of the window, and leads to a cycle of its own only if it still fires then: an alert that flaps opens no
cycle a minute, and one that comes back to stay is not lost.

Nothing joins a cycle that is about to end: it waits until that has ended, and leads to the next one if it still fires.

The sender's clock orders an incident, and ours is not believed more than its; but a start that lies further ahead of
our clock than `skew` gives way to one that does not, so that a wrong clock silences no alert. A cycle is never told
that its alert begins in the future.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from adapters.inbox.base import Fate, Handled, Handler, Held, Incident, Letter, Opener, Settled
from domain.alert import Alert, AlertStatus
from domain.clock import Clock
from domain.cycle import Cycle
from domain.stage import Stage

WINDOW = timedelta(minutes=5)
SKEW = timedelta(minutes=5)
# How soon what waits for the end of a cycle is looked at again.
LINGER = timedelta(seconds=5)


def handler(clock: Clock, window: timedelta = WINDOW, skew: timedelta = SKEW) -> Handler:
    """Return what a turn of the inbox handles letters by."""

    def handle(letter: Letter, known: Incident | None, opener: Opener) -> Handled:
        now = clock.now()
        if known is not None and known.starts_at > now + skew >= letter.alert.starts_at:
            known = _corrected(known, letter.alert.starts_at)
        if letter.alert.status is AlertStatus.RESOLVED:
            return _resolved(letter, known)
        return _Firing(letter, opener, now, window).told(known)

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
        if present is not None and not self._ends(present):
            if present.id == known.cycle_id:
                return _settled(flap, Fate.FLAPPING, known.cycle_id)
            return self._leads(known)
        return self._held(flap, self._window)

    def _was_held(self, known: Incident) -> Handled:
        freed = known.model_copy(update={"held_until": None})
        if known.status is AlertStatus.RESOLVED:
            return _settled(freed, Fate.FLAPPING, known.cycle_id)
        return self._leads(freed)

    def _leads(self, known: Incident | None) -> Handled:
        present = self._opener.present(self._alert)
        if present is not None and self._ends(present):
            return self._held(self._fires(known), LINGER)
        cycle, new = self._opener.open(_begun(self._alert, self._now))
        incident = self._fires(known, cycle_id=cycle.id, held_until=None)
        return _settled(incident, Fate.OPENED if new else Fate.JOINED, cycle.id)

    def _ends(self, cycle: Cycle) -> bool:
        return cycle.stage is Stage.LEARN or self._opener.released(cycle.id)

    def _held(self, incident: Incident, wait: timedelta) -> Held:
        until = self._now + wait
        return Held(incident=_counted(incident, held_until=until), again=until)

    def _fires(self, known: Incident | None, **changes: Any) -> Incident:
        start = self._alert.starts_at
        return _moved(known, self._alert.fingerprint, AlertStatus.FIRING, start, start, changes)


def _corrected(known: Incident, start: datetime) -> Incident:
    """Return what is known, told by a clock that was wrong, as it stands by one that is not.

    What fires is the same incident. What was resolved fires anew with `start`, whenever that was said to be.
    """
    begun = start if known.status is AlertStatus.FIRING else start - timedelta(microseconds=1)
    return known.model_copy(update={"starts_at": begun, "changed_at": begun})


def _begun(alert: Alert, now: datetime) -> Alert:
    """Return the alert as its cycle knows it: windows and reaction times are counted from a moment that has been."""
    return alert if alert.starts_at <= now else alert.model_copy(update={"starts_at": now})


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
