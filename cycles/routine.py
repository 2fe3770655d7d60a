"""What is done by the clock: rehearsing the way back to gold, and looking after the platform when no alert came."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime

from adapters.inbox.base import InboxPort, NewLetter, lane_of
from adapters.store.base import StorePort
from domain.alert import Alert, AlertStatus
from domain.clock import Clock
from domain.errors import IntegrityError
from domain.gold import GOLD
from domain.signal import SignalReading
from tools.deliver.restore import Restorer
from tools.observe.reading import SignalReader


def rehearse_gold(restorer: Restorer) -> str:
    """Go back to the newest gold baseline in a scratch copy, and say how it went.

    Raises:
        IntegrityError: a step failed: the way back is not open. Names every step that failed.
        DependencyError: git, the registry or the datasets cannot be reached at all.
    """
    known = restorer.baselines()
    if not known:
        return "there is no gold baseline yet: nothing to rehearse"
    steps = restorer.rehearse(restorer.resolve(GOLD))
    failed = [f"{step.name}: {step.detail}" for step in steps if not step.ok]
    if failed:
        raise IntegrityError(f"{known[-1].name} cannot be restored: {'; '.join(failed)}")
    return f"{known[-1].name} can be restored: {'; '.join(step.detail for step in steps)}"


class HealthCheck:
    """Reads every signal against its baseline, and opens a cycle where one is beyond the contract.

    A healthy platform opens none: a cycle that finds nothing would be taken from the day's number of them.
    """

    def __init__(
        self,
        reader: SignalReader,
        store: StorePort,
        clock: Clock,
        start: Callable[[str], None],
        *,
        target: str,
        environment: str,
        inbox: InboxPort | None = None,
    ) -> None:
        self._reader = reader
        self._store = store
        self._clock = clock
        self._start = start
        self._target = target
        self._environment = environment
        self._inbox = inbox

    def __call__(self) -> str:
        """Look once, and say what was found."""
        now = self._clock.now()
        readings = [self._reader.reading(name, now - self._reader.windows.current) for name in self._reader.catalog]
        breached = [reading for reading in readings if reading.breached]
        unknown = sum(reading.breached is None for reading in readings)
        if self._inbox is not None:
            self._tell(self._inbox, readings, now)
        if not breached:
            return f"{len(readings)} signals read, none is beyond its limit, {unknown} cannot be judged"
        names = ", ".join(reading.name for reading in breached)
        if self._inbox is not None:
            return f"{names} beyond the limit: told to the inbox"
        cycle, new = self._store.open_cycle(self._alert(breached[0], now), now)
        self._start(cycle.id)
        return f"{names} beyond the limit: {cycle.id} {'opened' if new else 'works on it already'}"

    def _tell(self, inbox: InboxPort, readings: Sequence[SignalReading], now: datetime) -> None:
        """Take the way every alert takes: the worst signal fires, and those that fired and are well are resolved.

        A signal that is beyond its limit at the next check too fires anew: it joins the cycle that is open, or opens
        the next.
        """
        lane = lane_of(self._environment, self._target)
        letters: list[NewLetter] = []
        for reading in readings:
            name = f"scheduled-{reading.name}"
            known = inbox.incident(lane, name)
            fires = known is not None and known.status is AlertStatus.FIRING
            if reading.breached and not any(letter.alert.status is AlertStatus.FIRING for letter in letters):
                alert = self._alert(reading, now).model_copy(update={"fingerprint": name})
                letters.append(NewLetter(alert=alert))
            elif known is not None and fires and reading.breached is False:
                over = {"fingerprint": name, "starts_at": known.starts_at, "status": AlertStatus.RESOLVED}
                letters.append(NewLetter(alert=self._alert(reading, now).model_copy(update=over), ended_at=now))
        inbox.put(letters)

    def _alert(self, reading: SignalReading, now: datetime) -> Alert:
        return Alert(
            fingerprint=f"scheduled-{reading.name}-{now:%Y%m%dT%H%M%S}",
            name="ScheduledHealthCheck",
            status=AlertStatus.FIRING,
            signal=reading.name,
            target=self._target,
            environment=self._environment,
            starts_at=now - self._reader.windows.current,
            annotations={"summary": reading.reason},
            source="schedule",
        )
