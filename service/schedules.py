"""The schedules of a configuration: when they are due, by profile and configuration, and what they do."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from cycles.cron import Timing
from cycles.routine import HealthCheck, rehearse_gold
from cycles.schedule import Schedule, Scheduler
from domain.errors import ConfigurationError, DependencyUnavailable, EvercrewError
from policies.durations import Duration
from policies.profiles import Profile
from service.cli_rollback import restorer_of
from service.retention import retirement_of
from service.weekly.make import by_the_clock
from service.wiring import App

REHEARSAL, BACKUP, HEALTH, RETENTION, WEEKLY = "rehearsal", "backup", "health", "retention", "weekly_report"
_ABOUT = {
    REHEARSAL: "the way back to gold is gone in a scratch copy",
    BACKUP: "state, models and data are backed up",
    HEALTH: "every signal is read; a cycle opens where one is beyond its limit",
    RETENTION: "models and data that are old and needed by nothing are deleted",
    WEEKLY: "the report of the last week is computed, kept and told",
}


class ScheduleConfig(BaseModel):
    """One entry of `schedules`: another time, or none at all."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    cron: str | None = None
    every: Duration | None = None
    enabled: bool = True


def timings(
    profile: Profile, given: Mapping[str, Mapping[str, Any]], *, backup: bool, retention: bool = False
) -> dict[str, Timing]:
    """Return when each schedule is due: the profile's times, and the configuration's in their place.

    The backup is on where the profile has it enabled and `backup` says there is a place for it; `retention` says
    whether what is old may be deleted at all.

    Raises:
        ConfigurationError: an entry names no schedule, or no time.
    """
    times = {
        REHEARSAL: Timing(cron="30 3 * * 0"),
        HEALTH: Timing(every=profile.cycle_interval),
        WEEKLY: Timing(cron=profile.weekly_report),
    }
    if profile.backup.enabled and backup:
        times[BACKUP] = Timing(cron=profile.backup.schedule)
    if retention:
        times[RETENTION] = Timing(cron="30 4 * * 0")
    for name, entry in given.items():
        if name not in _ABOUT:
            raise ConfigurationError(f"schedules.{name}", "is not a schedule", f"Use {', '.join(sorted(_ABOUT))}")
        try:
            read = ScheduleConfig.model_validate(dict(entry))
            if not read.enabled:
                times.pop(name, None)
            elif read.cron is not None or read.every is not None or name not in times:
                times[name] = Timing(cron=read.cron, every=read.every)
        except ValidationError as problem:
            first = problem.errors()[0]
            field = ".".join(["schedules", name, *(str(part) for part in first["loc"])])
            raise ConfigurationError(field, first["msg"], "Write e.g. cron: '30 3 * * 0' or every: 4h") from None
    if BACKUP in times and not backup:
        raise ConfigurationError("schedules.backup", "there is nowhere to back up to", "Name a place in backup.to")
    if RETENTION in times and not retention:
        field, remedy = "schedules.retention", "Set tracking.retention.enabled to true"
        raise ConfigurationError(field, "nothing is ever deleted here", remedy)
    return times


def scheduler_of(built: App, *, by_inbox: bool = False) -> Scheduler:
    """Return the scheduler of an application.

    Args:
        by_inbox: whether a health check that finds something puts an alert into the inbox, for a worker to take.

    Raises:
        ConfigurationError: the section `schedules` names what is none, or a time that is none.
    """
    config = built.config
    retention = config.tracking.retention
    times = timings(built.profile, config.schedules, backup=config.backup is not None, retention=retention.enabled)
    jobs: dict[str, tuple[Callable[[], str], timedelta]] = {
        REHEARSAL: (lambda: _each(built, lambda one: rehearse_gold(restorer_of(one))), timedelta(hours=2)),
        BACKUP: (lambda: _back_up(built), timedelta(hours=6)),
        HEALTH: (lambda: _each(built, lambda one: _health(one, by_inbox=by_inbox)()), timedelta(minutes=30)),
        RETENTION: (lambda: retirement_of(built)(), timedelta(hours=2)),
        WEEKLY: (lambda: by_the_clock(built), timedelta(hours=1)),
    }
    schedules = [
        Schedule(name, timing, job=jobs[name][0], about=_ABOUT[name], lease=jobs[name][1])
        for name, timing in times.items()
    ]
    return Scheduler(
        schedules, store=built.ports.store, audit=built.audit, clock=built.clock, by=built.settings.executor_id
    )


def _health(built: App, *, by_inbox: bool) -> HealthCheck:
    return HealthCheck(
        built.reader,
        built.ports.store,
        built.clock,
        built.engine.start,
        target=built.config.target,
        environment=built.config.environment,
        inbox=built.inbox if by_inbox else None,
    )


def _each(built: App, job: Callable[[App], str]) -> str:
    """Do a job for every target, and return what it said; one that fails keeps none of the others from theirs.

    Raises:
        DependencyError: it failed for some, after it was done for the others; names them.
    """
    names = built.targets
    if len(names) == 1:
        return job(built.at(names[0]))
    said: dict[str, str] = {}
    failed: dict[str, str] = {}
    for name in names:
        try:
            said[name] = job(built.at(name))
        except EvercrewError as problem:
            failed[name] = str(problem)
    told = "; ".join(f"{name}: {words}" for name, words in (said | failed).items())
    if failed:
        raise DependencyUnavailable(", ".join(f"targets.{name}" for name in failed), told)
    return told


def _back_up(built: App) -> str:
    from service.backup import back_up, objects_of

    target = built.config.backup
    if target is None:
        raise ConfigurationError("backup.to", "is not set", "Name a folder or s3://bucket/prefix there")
    record = back_up(built.config, objects_of(target), built.clock, target=target)
    return f"backup {record.stamp}: {record.files} files, {record.uploaded_files} of them new"
