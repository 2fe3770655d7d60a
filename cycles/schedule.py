"""Schedules: what is done by the clock, once for every moment it is due, whichever process gets to it.

Why nothing runs twice: a run begins with a claim of its moment in the store, and of many claims exactly one is kept.
A moment that passed while no process was there is made up for once, at the next look; older ones are left. A process
that dies in the middle leaves a claim without an end: after the `lease` it is taken up once more.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from pydantic import BaseModel, ConfigDict

from adapters.audit.base import AuditPort
from adapters.store.base import Recording, StorePort
from cycles.cron import Timing
from domain.clock import Clock
from domain.errors import DependencyUnavailable, EvercrewError, InvalidInput
from domain.receipt import AuditEntry, RecordKind

SCHEDULE = "schedule"
ATTEMPTS = 2
_SINCE = "since"
_LOOK = timedelta(seconds=30)


class RunStatus(StrEnum):
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    ABANDONED = "abandoned"


class ScheduledRun(BaseModel):
    """One run: of which schedule, for which moment, by which process, and what came of it."""

    model_config = ConfigDict(frozen=True)

    name: str
    slot: datetime
    attempt: int
    by: str
    started_at: datetime
    ended_at: datetime | None = None
    status: RunStatus = RunStatus.RUNNING
    detail: str = ""


@dataclass(frozen=True)
class Schedule:
    """A job and when it is due. The job returns what it did, in one line; `lease` is how long it may take."""

    name: str
    timing: Timing
    job: Callable[[], str]
    about: str
    lease: timedelta = timedelta(hours=2)


class ScheduleState(BaseModel):
    """How a schedule stands."""

    model_config = ConfigDict(frozen=True)

    name: str
    about: str
    timing: str
    due: datetime
    last: ScheduledRun | None


class Scheduler:
    """Runs schedules that are due. `by` names this process in the records."""

    def __init__(
        self, schedules: Sequence[Schedule], *, store: StorePort, audit: AuditPort, clock: Clock, by: str
    ) -> None:
        self._schedules: Mapping[str, Schedule] = {schedule.name: schedule for schedule in schedules}
        self._store = store
        self._audit = audit
        self._clock = clock
        self._by = by

    def run_due(self) -> list[ScheduledRun]:
        """Run what is due and not done, and return the runs made here."""
        claims = ((schedule, self._claimed(schedule)) for schedule in self._schedules.values())
        return [self._run(schedule, run) for schedule, run in claims if run is not None]

    def once(self, name: str) -> ScheduledRun:
        """Run a schedule now, whenever it is due.

        Raises:
            InvalidInput: there is none of that name.
            ConflictError: it was started in this very moment by somebody else.
        """
        schedule = self._known(name)
        run = self._claim(schedule, self._clock.now(), 1)
        if run is None:
            raise InvalidInput("name", f"{name} was started this very moment", "Wait for that run")
        return self._run(schedule, run)

    def loop(self, stop: Callable[[], bool], told: Callable[[ScheduledRun], None], *, look: timedelta = _LOOK) -> None:
        """Run what is due until `stop` says so, looking at least every `look`."""
        while not stop():
            for run in self.run_due():
                told(run)
            now = self._clock.now()
            wait = min((s.timing.following(now) - now for s in self._schedules.values()), default=look)
            self._clock.sleep(min(wait, look))

    def state(self) -> list[ScheduleState]:
        """Return how each schedule stands."""
        now = self._clock.now()
        return [
            ScheduleState(
                name=s.name,
                about=s.about,
                timing=str(s.timing),
                due=s.timing.following(now),
                last=max(self._runs(s.name), key=lambda run: (run.started_at, run.attempt), default=None),
            )
            for s in self._schedules.values()
        ]

    def check(self) -> str:
        """Return one line for `doctor`.

        Raises:
            DependencyUnavailable: a last run failed, or a schedule was missed twice in a row.
        """
        now = self._clock.now()
        for schedule, state in zip(self._schedules.values(), self.state(), strict=True):
            last = state.last
            if last is not None and last.status in (RunStatus.FAILED, RunStatus.ABANDONED):
                problem = f"{state.name} failed at {last.started_at:%Y-%m-%d %H:%M} UTC: {last.detail}"
                raise DependencyUnavailable(SCHEDULE, problem, f"Mend it, then `evercrew schedule once {state.name}`")
            before = schedule.timing.latest(schedule.timing.latest(now) - timedelta(seconds=1))
            if last is not None and last.started_at < before:
                problem = f"{state.name} last ran at {last.started_at:%Y-%m-%d %H:%M} UTC"
                raise DependencyUnavailable(SCHEDULE, problem, "Keep `evercrew schedule run` running")
        return ", ".join(f"{s.name} next at {s.due:%Y-%m-%d %H:%M} UTC" for s in self.state()) or "nothing is scheduled"

    # -- claiming and running -----------------------------------------------------------------------------------------

    def _claimed(self, schedule: Schedule) -> ScheduledRun | None:
        """Claim the latest moment of a schedule when it is due and nobody else has it."""
        now = self._clock.now()
        slot = schedule.timing.latest(now)
        if slot <= self._since(schedule, now):
            return None
        runs = self._runs(schedule.name)
        for run in runs:
            if run.status is RunStatus.RUNNING and now - run.started_at > schedule.lease:
                again = ", and so did the one before" if run.attempt > 1 else ""
                self._end(run, RunStatus.ABANDONED, f"the process {run.by} died over it{again}")
        mine = [run for run in self._runs(schedule.name) if run.slot == slot]
        last = max(mine, key=lambda run: run.attempt, default=None)
        if last is None:
            return self._claim(schedule, slot, 1)
        if last.attempt < ATTEMPTS and last.status is RunStatus.ABANDONED:
            return self._claim(schedule, slot, last.attempt + 1)
        return None

    def _since(self, schedule: Schedule, now: datetime) -> datetime:
        """When the schedule was first seen: what was due before that was never missed."""
        place = f"{schedule.name}/{_SINCE}"
        self._store.claim(Recording(cycle_id=SCHEDULE, place=place, kind=_SINCE, payload={"at": now.isoformat()}))
        (marked,) = self._store.recordings(SCHEDULE, place)
        return datetime.fromisoformat(str(marked.payload["at"]))

    def _claim(self, schedule: Schedule, slot: datetime, attempt: int) -> ScheduledRun | None:
        run = ScheduledRun(name=schedule.name, slot=slot, attempt=attempt, by=self._by, started_at=self._clock.now())
        return run if self._store.claim(_recording(run)) else None

    def _run(self, schedule: Schedule, run: ScheduledRun) -> ScheduledRun:
        try:
            done = schedule.job()
        except (EvercrewError, OSError) as problem:
            return self._end(run, RunStatus.FAILED, str(problem))
        return self._end(run, RunStatus.DONE, done)

    def _end(self, run: ScheduledRun, status: RunStatus, detail: str) -> ScheduledRun:
        ended = run.model_copy(update={"status": status, "detail": detail, "ended_at": self._clock.now()})
        self._store.record(_recording(ended))
        entry = AuditEntry(
            kind=RecordKind.NOTE,
            cycle_id=SCHEDULE,
            stage=run.name,
            actor=self._by,
            status=f"scheduled_{status.value}",
            body=ended.model_dump(mode="json"),
        )
        self._audit.append(entry)
        return ended

    def _runs(self, name: str) -> list[ScheduledRun]:
        found = self._store.recordings(SCHEDULE, f"{name}/")
        return [ScheduledRun.model_validate(r.payload) for r in found if r.kind == SCHEDULE]

    def _known(self, name: str) -> Schedule:
        try:
            return self._schedules[name]
        except KeyError:
            there = ", ".join(sorted(self._schedules)) or "none"
            raise InvalidInput("name", f"{name!r} is not a schedule; there are: {there}", "Name one of them") from None


def _recording(run: ScheduledRun) -> Recording:
    place = f"{run.name}/{run.slot.isoformat()}/{run.attempt}"
    return Recording(cycle_id=SCHEDULE, place=place, kind=SCHEDULE, payload=run.model_dump(mode="json"))
