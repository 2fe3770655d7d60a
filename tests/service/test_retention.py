"""What is old goes; what is live, under test, gold or part of an open cycle stays."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from domain.cycle import Cycle
from domain.diagnosis import Action
from domain.errors import AuditUnavailable, DependencyUnavailable
from service.retention import Sweeper
from service.sections import RetentionConfig
from tests.support.jobs import bundle_of
from tests.support.office import MODEL, Rig, alert_of, office_in_memory, register
from tests.support.story import Story


def sweeper(rig: Rig, *, keep_days: float = 30, keep_last: int = 1) -> Sweeper:
    """Return the sweeper of an office."""
    return Sweeper(
        store=rig.store,
        audit=rig.audit,
        tracking=rig.ports.tracking,
        datasets=rig.ports.datasets,
        delivery=rig.ports.delivery,
        permits=rig.permits,
        clock=rig.clock,
        model=MODEL,
        retention=RetentionConfig(keep_days=keep_days, keep_last=keep_last),
    )


@pytest.fixture
def told(tmp_path: Path) -> Story:
    """A cycle that trained and promoted a model."""
    rig = office_in_memory(tmp_path, Action.RETRAIN)
    return Story(rig, Action.RETRAIN).runs()


def add(rig: Rig, folder: Path, name: str) -> str:
    """Register one more model; it is champion until the next."""
    bundle = bundle_of(folder / name, name, 0.5)
    return register(rig.ports.tracking, rig.permits, bundle, name, rig.clock.now().isoformat())


def test_a_young_model_stays_and_an_old_one_goes(told: Story, tmp_path: Path) -> None:
    rig = told.rig
    old = add(rig, tmp_path, "old")
    add(rig, tmp_path, "new")
    assert sweeper(rig).sweep().models.versions == ()
    rig.clock.sleep(timedelta(days=60))
    listed = sweeper(rig).sweep()
    ref = rig.ports.tracking.by_digest(MODEL, old)
    assert ref is not None
    assert ref.version in listed.models.versions
    done = sweeper(rig).sweep(dry_run=False)
    assert (done.models, done.dry_run) == (listed.models, False)
    assert rig.ports.tracking.by_digest(MODEL, old) is None
    live = rig.ports.delivery.live().digest
    assert rig.ports.tracking.by_digest(MODEL, live) is not None
    assert sweeper(rig).sweep(dry_run=False).models.versions == ()
    notes = [r.entry.status for r in rig.audit.records() if r.entry.tool == "retention"]
    assert notes == ["begun", "done"]


def test_what_an_open_cycle_names_stays(told: Story, tmp_path: Path) -> None:
    rig = told.rig
    named = add(rig, tmp_path, "named")
    add(rig, tmp_path, "new")
    cycle: Cycle = rig.open(alert_of(Action.ROLLBACK, rig.clock))
    rig.store.save(cycle.model_copy(update={"facts": {"suspect": {"digest": named}}}))
    rig.clock.sleep(timedelta(days=60))
    sweeper(rig).sweep(dry_run=False)
    assert rig.ports.tracking.by_digest(MODEL, named) is not None


def test_nothing_is_deleted_while_nobody_knows_what_is_live(told: Story, tmp_path: Path) -> None:
    rig = told.rig
    old = add(rig, tmp_path, "old")
    add(rig, tmp_path, "new")
    rig.clock.sleep(timedelta(days=60))

    class Away:
        def __getattr__(self, name: str) -> object:
            raise DependencyUnavailable("platform", "does not answer")

    with pytest.raises(DependencyUnavailable):
        replace(sweeper(rig), delivery=Away()).sweep(dry_run=False)  # type: ignore[arg-type]

    class Full:
        def append(self, entry: object) -> object:
            raise AuditUnavailable("the disk is full")

    with pytest.raises(AuditUnavailable):
        replace(sweeper(rig), audit=Full()).sweep(dry_run=False)  # type: ignore[arg-type]
    assert rig.ports.tracking.by_digest(MODEL, old) is not None
