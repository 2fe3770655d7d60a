"""Schedules: every moment once, whoever gets to it, whatever dies."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import NoReturn

import pytest

from adapters.audit.memory import MemoryAudit
from adapters.store.base import StorePort
from adapters.store.memory import MemoryStore
from adapters.store.sqlalchemy import SqlStore
from cycles.cron import Timing
from cycles.schedule import SCHEDULE, RunStatus, Schedule, ScheduledRun, Scheduler
from domain.clock import FrozenClock
from domain.errors import AuditUnavailable, DependencyUnavailable, InvalidInput
from domain.receipt import AuditEntry
from tests.contract.store_contract import at_once

MONDAY = datetime(2026, 2, 2, tzinfo=UTC)
HOUR, DAY = timedelta(hours=1), timedelta(days=1)


class Office:
    """Jobs that note when they ran, in a frozen clock."""

    def __init__(self, store: StorePort | None = None) -> None:
        self.clock = FrozenClock(MONDAY + timedelta(minutes=1))
        self.store = store or MemoryStore()
        self.audit = MemoryAudit(self.clock)
        self.ran: list[tuple[str, datetime]] = []
        self.problem: BaseException | None = None

    def job(self, name: str) -> Callable[[], str]:
        def run() -> str:
            self.ran.append((name, self.clock.now()))
            if self.problem is not None:
                raise self.problem
            return f"{name} done"

        return run

    def scheduler(self, *names: str, by: str = "one") -> Scheduler:
        times = {
            "rehearsal": Timing(cron="30 3 * * 0"),
            "backup": Timing(cron="0 2 * * *"),
            "health": Timing(every=timedelta(hours=4)),
        }
        schedules = [Schedule(n, times[n], self.job(n), "about") for n in names or times]
        return Scheduler(schedules, store=self.store, audit=self.audit, clock=self.clock, by=by)

    def at(self, name: str) -> list[datetime]:
        return [at for other, at in self.ran if other == name]


def test_in_a_week_every_moment_is_met_once() -> None:
    office = Office()
    told: list[ScheduledRun] = []
    office.scheduler().loop(lambda: office.clock.now() >= MONDAY + 7 * DAY, told.append, look=timedelta(minutes=10))
    assert office.at("rehearsal") == [datetime(2026, 2, 8, 3, 30, tzinfo=UTC)]
    assert office.at("backup") == [MONDAY + 2 * HOUR + n * DAY for n in range(7)]
    assert office.at("health") == [MONDAY + 4 * HOUR * n for n in range(1, 42)]
    assert len(told) == 49
    assert {run.status for run in told} == {RunStatus.DONE}
    assert all(run.slot == run.started_at for run in told)
    notes = [r.entry for r in office.audit.records(SCHEDULE)]
    assert [note.status for note in notes] == ["scheduled_done"] * 49


def test_what_was_due_before_it_was_first_seen_was_not_missed() -> None:
    office = Office()
    assert office.scheduler().run_due() == []
    assert office.ran == []


def test_a_moment_missed_while_the_machine_was_off_is_made_up_for_once() -> None:
    office = Office()
    office.scheduler("backup").run_due()
    office.clock.advance(3 * DAY + 5 * HOUR)
    (run,) = office.scheduler("backup").run_due()
    assert (run.slot, run.started_at) == (MONDAY + 3 * DAY + 2 * HOUR, office.clock.now())
    assert office.scheduler("backup").run_due() == []


@pytest.mark.parametrize("kind", ["memory", "sqlite"])
def test_of_many_processes_one_runs_a_moment(kind: str, tmp_path: Path) -> None:
    stores = [SqlStore(f"sqlite:///{tmp_path}/store.db") for _ in range(4)] if kind == "sqlite" else []
    office = Office(stores[0] if stores else None)
    office.scheduler("backup").run_due()
    office.clock.advance(DAY)
    runs: list[ScheduledRun] = []

    def process(number: int) -> None:
        office_of_it = Office(stores[number] if stores else office.store)
        office_of_it.clock = office.clock
        runs.extend(office_of_it.scheduler("backup", by=f"process {number}").run_due())

    at_once(4, process)
    assert len(runs) == 1
    (kept,) = [r for r in office.store.recordings(SCHEDULE, "backup/") if r.kind == SCHEDULE]
    assert ScheduledRun.model_validate(kept.payload) == runs[0]
    for store in stores:
        store.close()


def test_a_run_that_died_is_taken_up_once_more_after_its_lease() -> None:
    office = Office()
    office.scheduler("backup").run_due()
    office.clock.advance(DAY + 3 * HOUR)
    office.problem = KeyboardInterrupt()
    with pytest.raises(KeyboardInterrupt):
        office.scheduler("backup").run_due()
    office.problem = None
    office.clock.advance(HOUR)
    assert office.scheduler("backup", by="two").run_due() == []
    office.clock.advance(HOUR + timedelta(seconds=1))
    (run,) = office.scheduler("backup", by="two").run_due()
    assert (run.attempt, run.status, run.slot) == (2, RunStatus.DONE, MONDAY + DAY + 2 * HOUR)
    assert office.scheduler("backup").run_due() == []


def test_a_run_that_dies_twice_is_given_up_and_told() -> None:
    office = Office()
    office.scheduler("backup").run_due()
    office.clock.advance(DAY + 3 * HOUR)
    office.problem = KeyboardInterrupt()
    for _ in range(2):
        with pytest.raises(KeyboardInterrupt):
            office.scheduler("backup").run_due()
        office.clock.advance(timedelta(hours=2, seconds=1))
    assert office.scheduler("backup").run_due() == []
    with pytest.raises(DependencyUnavailable, match="died over it, and so did the one before"):
        office.scheduler("backup").check()


def test_a_run_that_died_before_the_next_moment_is_told() -> None:
    office = Office()
    office.scheduler("backup").run_due()
    office.clock.advance(3 * HOUR)
    office.problem = KeyboardInterrupt()
    with pytest.raises(KeyboardInterrupt):
        office.scheduler("backup").run_due()
    office.problem = None
    office.clock.advance(DAY)
    (run,) = office.scheduler("backup", by="two").run_due()
    assert run.slot == MONDAY + DAY + 2 * HOUR
    first = ScheduledRun.model_validate(office.store.recordings(SCHEDULE, "backup/2026-02-02")[0].payload)
    assert (first.status, first.detail) == (RunStatus.ABANDONED, "the process one died over it")


def test_a_failure_is_kept_shown_and_no_reason_to_stop() -> None:
    office = Office()
    office.scheduler().run_due()
    office.problem = DependencyUnavailable("s3", "the bucket is not there")
    office.clock.advance(3 * HOUR)
    (run,) = office.scheduler().run_due()
    assert (run.status, run.name) == (RunStatus.FAILED, "backup")
    (state,) = [s for s in office.scheduler().state() if s.name == "backup"]
    assert state.last is not None
    assert "the bucket is not there" in state.last.detail
    with pytest.raises(DependencyUnavailable, match=r"backup failed .* `evercrew schedule once backup`"):
        office.scheduler().check()
    office.problem = None
    office.clock.advance(timedelta(minutes=1))
    assert office.scheduler().once("backup").status is RunStatus.DONE
    assert "backup next at 2026-02-03 02:00 UTC" in office.scheduler("backup").check()


def test_a_full_disk_fails_one_run_and_not_the_process_with_all_it_does() -> None:
    office = Office()
    office.scheduler().run_due()
    office.problem = OSError(28, "No space left on device")
    office.clock.advance(4 * HOUR)
    runs = office.scheduler().run_due()
    assert [(run.name, run.status) for run in runs] == [("backup", RunStatus.FAILED), ("health", RunStatus.FAILED)]
    assert all("No space left" in run.detail for run in runs)
    assert [record.entry.status for record in office.audit.records(SCHEDULE)][-2:] == ["scheduled_failed"] * 2


def test_a_done_run_that_cannot_be_audited_is_not_told_as_failed(monkeypatch: pytest.MonkeyPatch) -> None:
    office = Office()
    scheduler = office.scheduler("backup")
    scheduler.run_due()
    monkeypatch.setattr(office.audit, "append", refused)
    office.clock.advance(3 * HOUR)
    with pytest.raises(AuditUnavailable):
        scheduler.run_due()
    (kept,) = office.store.recordings(SCHEDULE, "backup/2026")
    assert ScheduledRun.model_validate(kept.payload).status is RunStatus.DONE


def refused(_entry: AuditEntry) -> NoReturn:
    raise AuditUnavailable("the disk is full")


def test_a_schedule_nobody_runs_any_more_is_told() -> None:
    office = Office()
    office.scheduler("backup").run_due()
    assert office.scheduler("backup").check()
    office.clock.advance(DAY)
    office.scheduler("backup").run_due()
    office.clock.advance(2 * DAY + HOUR)
    with pytest.raises(DependencyUnavailable, match="Keep `evercrew schedule run` running"):
        office.scheduler("backup").check()


def test_a_schedule_that_is_none_is_named_with_those_there_are() -> None:
    with pytest.raises(InvalidInput, match="'dinner' is not a schedule; there are: backup, health, rehearsal"):
        Office().scheduler().once("dinner")


def test_a_try_by_hand_takes_nothing_from_the_schedule() -> None:
    office = Office()
    office.scheduler("backup").run_due()
    office.clock.advance(HOUR)
    assert office.scheduler("backup").once("backup").slot == office.clock.now()
    office.clock.advance(HOUR)
    (run,) = office.scheduler("backup").run_due()
    assert run.slot == MONDAY + 2 * HOUR
