"""The inbox in memory: the same contract, gone with the process."""

from __future__ import annotations

import itertools
import threading
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from adapters.inbox.base import (
    MOST_A_TURN,
    RELEASED,
    Aside,
    Counts,
    Fate,
    Handler,
    InboxFull,
    Incident,
    Letter,
    NewLetter,
    Turn,
)
from adapters.inbox.serving import Served
from adapters.store.base import Recording, StorePort
from domain.alert import Alert, AlertStatus
from domain.clock import Clock
from domain.cycle import Cycle
from domain.errors import DependencyError, EvercrewError

MOST_TEXT = 64 * 1024


@dataclass
class _Kept:
    letter: Letter
    accepted_at: datetime
    again: datetime | None = None
    fate: Fate | None = None


class _Opening:
    """Opens cycles in the store beside it; a turn that fails afterwards finds them open when it is taken again."""

    def __init__(self, store: StorePort, now: datetime) -> None:
        self._store = store
        self._now = now

    def present(self, alert: Alert) -> Cycle | None:
        """See `Opener.present`."""
        same = (alert.target, alert.environment)
        opened = self._store.cycles(open_only=True, limit=100_000)
        return next((cycle for cycle in opened if (cycle.target, cycle.environment) == same), None)

    def open(self, alert: Alert) -> tuple[Cycle, bool]:
        """See `Opener.open`."""
        return self._store.open_cycle(alert, self._now)

    def released(self, cycle_id: str) -> bool:
        """See `Opener.released`."""
        return bool(self._store.recordings(cycle_id, RELEASED))


class MemoryInbox:
    """An `InboxPort` for tests and embedding."""

    def __init__(self, store: StorePort, clock: Clock, *, limit: int = 100_000) -> None:
        self._store = store
        self._clock = clock
        self._limit = limit
        self._lock = threading.RLock()
        self._letters: list[_Kept] = []
        self._incidents: dict[tuple[str, str], tuple[Incident, datetime]] = {}
        self._aside: list[Aside] = []
        self._served: dict[str, int] = {}
        self._numbers = itertools.count(1)

    def put(self, letters: Sequence[NewLetter]) -> None:
        """See `InboxPort.put`."""
        with self._lock:
            waiting = self.counts().waiting
            if waiting + len(letters) > self._limit:
                raise InboxFull(waiting, self._limit, timedelta(seconds=10))
            for new in letters:
                letter = Letter(alert=new.alert, ended_at=new.ended_at, number=next(self._numbers))
                self._letters.append(_Kept(letter, self._clock.now()))

    def set_aside(self, text: str, reason: str) -> int:
        """See `InboxPort.set_aside`."""
        with self._lock:
            number = next(self._numbers)
            self._aside.append(Aside(number=number, at=self._clock.now(), reason=reason, text=text[:MOST_TEXT]))
            return number

    def turn(self, handle: Handler, *, now: datetime, most: int = MOST_A_TURN) -> Turn | None:
        """See `InboxPort.turn`."""
        with self._lock:
            due = [kept for kept in self._letters if kept.fate is None and (kept.again is None or kept.again <= now)]
            if not due:
                return None
            lane = min({kept.letter.lane for kept in due}, key=lambda name: (self._served.get(name, 0), name))
            self._served[lane] = max(self._served.values(), default=0) + 1
            chosen = [kept for kept in due if kept.letter.lane == lane][:most]
            served = Served({name: known for (at, name), (known, _) in self._incidents.items() if at == lane})
            opening = _Opening(self._store, now)
            for kept in chosen:
                letter = kept.letter
                try:
                    served.note(letter, handle(letter, served.incidents.get(letter.alert.fingerprint), opening))
                except DependencyError:
                    raise
                except (EvercrewError, ValueError, TypeError, LookupError) as problem:
                    served.poison[letter.number] = f"{type(problem).__name__}: {problem}"
            self._keep(lane, served, now)
            return served.turn(lane)

    def incident(self, lane: str, fingerprint: str) -> Incident | None:
        """See `InboxPort.incident`."""
        with self._lock:
            known = self._incidents.get((lane, fingerprint))
            return known[0] if known else None

    def fires(self, lane: str, cycle_id: str) -> bool | None:
        """See `InboxPort.fires`."""
        with self._lock:
            known = [of for (at, _), (of, _) in self._incidents.items() if at == lane and of.cycle_id == cycle_id]
            return any(incident.status is AlertStatus.FIRING for incident in known) if known else None

    def release(self, lane: str, cycle_id: str) -> bool:
        """See `InboxPort.release`."""
        with self._lock:
            if self.fires(lane, cycle_id) is not False:
                return False
            self._store.claim(Recording(cycle_id=cycle_id, place=RELEASED, kind="incidents", payload={"lane": lane}))
            return True

    def aside(self, limit: int = 100) -> Sequence[Aside]:
        """See `InboxPort.aside`."""
        with self._lock:
            return self._aside[::-1][:limit]

    def counts(self) -> Counts:
        """See `InboxPort.counts`."""
        with self._lock:
            fates = Counter(kept.fate for kept in self._letters)
            waiting = fates.pop(None, 0)
            settled = {fate: count for fate, count in fates.items() if fate is not None}
            oldest = min((kept.accepted_at for kept in self._letters if kept.fate is None), default=None)
            return Counts(waiting=waiting, settled=settled, aside=len(self._aside), oldest=oldest)

    def prune(self, before: datetime) -> int:
        """See `InboxPort.prune`."""
        with self._lock:
            sizes = len(self._letters) + len(self._incidents) + len(self._aside)
            self._letters = [kept for kept in self._letters if kept.fate is None or kept.accepted_at >= before]
            self._incidents = {
                key: (known, at)
                for key, (known, at) in self._incidents.items()
                if known.status is not AlertStatus.RESOLVED or known.held_until or at >= before
            }
            self._aside = [aside for aside in self._aside if aside.at >= before]
            return sizes - len(self._letters) - len(self._incidents) - len(self._aside)

    def _keep(self, lane: str, served: Served, now: datetime) -> None:
        by_number = {kept.letter.number: kept for kept in self._letters}
        for (fate, _), numbers in served.fates.items():
            for number in numbers:
                by_number[number].fate = fate
        for again, numbers in served.held.items():
            for number in numbers:
                by_number[number].again = again
        for number, reason in served.poison.items():
            by_number[number].fate = Fate.POISON
            self.set_aside(by_number[number].letter.model_dump_json(), f"letter {number}: {reason}")
        for name, incident in served.incidents.items():
            self._incidents[(lane, name)] = (incident, now)
