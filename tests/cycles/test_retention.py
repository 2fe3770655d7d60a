"""What is old goes, once and through the door; what is live, under test, gold or part of an open cycle stays."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from adapters.audit.memory import MemoryAudit
from adapters.datasets.base import EFFECT_VERSION
from adapters.store.base import FlagRow
from cycles.desk import CallFailed, CallRefused
from cycles.retention import Retirement
from domain.actor import Actor, Role
from domain.candidate import ModelRef
from domain.dataset import DatasetRef
from domain.diagnosis import Action
from domain.errors import DependencyUnavailable
from domain.outcome import OutcomeKind
from service.toolbox import Ports
from tests.support.office import Rig, ended, office_in_memory
from tests.support.setting import MODEL, alert_of
from tests.support.strays import stray
from tools.model.retire import RETENTION, OldVersion, RetireArgs
from tools.outcome import Failed, Refused
from tools.tool import Scope

OLD = timedelta(days=60)


class Crash(Exception):
    """The process is gone."""


def retirement(rig: Rig, *, keep_days: float = 30, keep_last: int = 1) -> Retirement:
    """Return the scheduled round of an office."""
    return Retirement(
        rig.gate,
        rig.audit,
        rig.clock,
        keep_days=keep_days,
        keep_last=keep_last,
        target="search",
        environment="dev",
    )


def data(rig: Rig, folder: Path, name: str) -> DatasetRef:
    """Version a dataset of one row."""
    folder.mkdir(parents=True)
    (folder / "rows.txt").write_text(name)
    permit = rig.permits.mint(
        tool="set-up", effects=(EFFECT_VERSION,), args_hash="", actor="a person", cycle_id="", key=f"data-{name}"
    )
    return rig.ports.datasets.version(source=folder, name=name, message="m", key=f"data-{name}", permit=permit)


def told(folder: Path, change: Callable[[Ports], Ports] = lambda ports: ports) -> tuple[Rig, ModelRef, DatasetRef]:
    """Return an office with a cycle that ended gold, a stray model with its dataset, and newer ones, all old by now.

    The first model, which the cycle's took the place of, is needed by nothing any more either.
    """
    rig = office_in_memory(folder, Action.RETRAIN, change=change)
    assert ended(rig, Action.RETRAIN).outcome is OutcomeKind.IMPROVED
    rows = data(rig, folder / "rows", "stray_rows")
    old = stray(rig, folder / "stray", "stray", rows)
    stray(rig, folder / "newest", "newest", data(rig, folder / "more", "newest_rows"))
    rig.clock.sleep(OLD)
    return rig, old, rows


def there(rig: Rig) -> set[str]:
    """Return the digests the registry has."""
    return {ref.digest for ref in rig.ports.tracking.versions(MODEL)}


def lost(rig: Rig, ref: DatasetRef) -> bool:
    """Whether the content of a dataset is gone."""
    try:
        rig.ports.datasets.verify(ref)
    except DependencyUnavailable:
        return True
    return False


def did(rig: Rig) -> list[str]:
    """Return kind and status of the records of the deletion."""
    records = rig.audit.records(RETENTION)
    entries = [r.entry for r in records if r.entry.tool == "retire_models_and_data"]
    return [f"{entry.kind.value} {entry.status}".strip() for entry in entries]


def test_what_is_old_goes_once_and_what_is_live_gold_or_newest_stays(tmp_path: Path) -> None:
    rig, old, rows = told(tmp_path)
    live, gold = rig.ports.delivery.live().digest, rig.ports.tracking.by_alias(MODEL, "gold")
    cycle = rig.store.cycles()[0]
    report = retirement(rig).report()
    first = rig.ports.tracking.versions(MODEL)[0]
    assert [listed.digest for listed in report.versions] == [first.digest, old.digest]
    assert report.datasets == (rows.md5,)
    assert old.digest in there(rig)
    said = retirement(rig)()
    assert said.startswith("deleted 2 versions, 2 runs and 1 datasets")
    assert old.digest not in there(rig)
    assert lost(rig, rows)
    assert gold is not None
    assert {live, gold.digest} <= there(rig)
    assert not lost(rig, DatasetRef.model_validate(cycle.facts["dataset"]["ref"]))
    assert did(rig) == ["intent", "outcome done"]
    assert "nothing is old and needed by nothing" in retirement(rig)()
    assert did(rig) == ["intent", "outcome done"]


def test_what_is_young_stays(tmp_path: Path) -> None:
    rig, old, _ = told(tmp_path)
    assert "nothing is old" in retirement(rig, keep_days=90)()
    assert "nothing is old" in retirement(rig, keep_last=20)()
    assert old.digest in there(rig)


def test_what_an_open_cycle_names_stays(tmp_path: Path) -> None:
    rig, old, rows = told(tmp_path)
    cycle = rig.open(alert_of(Action.ROLLBACK, rig.clock))
    rig.store.save(cycle.with_fact("suspect", {"digest": old.digest}).with_fact("rows", rows.md5))
    assert retirement(rig)().startswith("deleted 1 versions, 1 runs and 0 datasets")
    assert old.digest in there(rig)
    assert not lost(rig, rows)


def test_what_is_under_test_stays(tmp_path: Path) -> None:
    rig, old, _ = told(tmp_path)
    values = rig.ports.vcs.read()
    live = rig.ports.delivery.live().digest
    second = f"    weight: 90\n  - name: candidate\n    digest: {old.digest}\n    weight: 10"
    tested = values.replace("    weight: 100", second)
    assert hasattr(rig.ports.vcs, "push_from_outside")
    rig.ports.vcs.push_from_outside(tested, "a test by hand")
    assert {v.digest for v in rig.ports.delivery.live().variants} == {live, old.digest}
    retirement(rig)()
    assert old.digest in there(rig)


def _asked(rig: Rig, *, versions: tuple[OldVersion, ...] = (), datasets: tuple[str, ...] = (), **more: Any) -> Any:
    given = {"before": rig.clock.now() - timedelta(days=31), "keep_last": 1, **more}
    args = RetireArgs(versions=versions, datasets=datasets, **given)
    scope = Scope(RETENTION, RETENTION, "search", "dev", rig.clock.now(), rig.clock.now())
    return rig.gate.call("retire_models_and_data", args, Actor(role=Role.DEVOPS_ENGINEER), scope)


def test_the_policies_refuse_a_call_that_names_what_is_needed(tmp_path: Path) -> None:
    rig, _, _ = told(tmp_path)
    gold = rig.ports.tracking.by_alias(MODEL, "gold")
    live = rig.ports.tracking.by_digest(MODEL, rig.ports.delivery.live().digest)
    cycle = rig.store.cycles()[0]
    before = there(rig)
    for ref in (gold, live):
        assert ref is not None
        outcome = _asked(rig, versions=(OldVersion(version=ref.version, digest=ref.digest),))
        assert isinstance(outcome, Refused)
        assert "gold" in outcome.reason
    outcome = _asked(rig, datasets=(cycle.facts["dataset"]["ref"]["md5"],))
    assert isinstance(outcome, Refused)
    assert there(rig) == before
    assert not any(status.startswith("outcome") for status in did(rig))


def test_the_tool_refuses_what_is_too_young_kept_by_the_configuration_or_under_another_digest(tmp_path: Path) -> None:
    rig, old, _ = told(tmp_path)
    newest = rig.ports.tracking.versions(MODEL)[-1]
    listed = OldVersion(version=old.version, digest=old.digest)
    cases: tuple[tuple[dict[str, Any], str], ...] = (
        ({"before": rig.clock.now() - timedelta(days=29)}, "less than 30 days"),
        ({"versions": (OldVersion(version=newest.version, digest=newest.digest),)}, "is needed, or too young"),
    )
    for asked, said in cases:
        outcome = _asked(rig, **{"versions": (listed,), **asked})
        assert isinstance(outcome, Failed)
        assert said in outcome.reason
    assert {old.digest, newest.digest} <= there(rig)


@pytest.mark.parametrize("switch", ["kill_switch", "self_improvement_enabled"])
def test_the_switches_stop_it(tmp_path: Path, switch: str) -> None:
    rig, old, _ = told(tmp_path)
    rig.store.set_flag(FlagRow(name=switch, enabled=switch == "kill_switch"), by="a person", at=rig.clock.now())
    with pytest.raises(CallRefused, match="switch"):
        retirement(rig)()
    assert old.digest in there(rig)


def test_nothing_goes_while_nobody_knows_what_is_live_or_nothing_can_be_recorded(tmp_path: Path) -> None:
    rig, old, _ = told(tmp_path)
    report = retirement(rig).report()

    def away() -> object:
        raise DependencyUnavailable("platform", "does not answer")

    live, rig.world.live = rig.world.live, away  # type: ignore[method-assign,assignment]
    with pytest.raises(CallFailed, match="does not answer"):
        retirement(rig)()
    refused = _asked(rig, versions=report.versions)
    assert isinstance(refused, Refused)
    assert "no decision could be had" in refused.reason
    rig.world.live = live  # type: ignore[method-assign]
    assert isinstance(rig.audit, MemoryAudit)
    rig.audit.broken = True
    with pytest.raises(CallRefused):
        retirement(rig)()
    rig.audit.broken = False
    assert old.digest in there(rig)


class Dying:
    """A port whose process dies before or after one of its methods, once."""

    def __init__(self, port: object, point: str) -> None:
        self._port = port
        self._when, self._method = point.split()
        self.armed = True

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._port, name)
        if name != self._method:
            return found

        def called(*args: Any, **kwargs: Any) -> Any:
            armed, self.armed = self.armed, False
            if armed and self._when == "before":
                raise Crash
            result = found(*args, **kwargs)
            if armed:
                raise Crash
            return result

        return called


def dying(point: str) -> Callable[[Ports], Ports]:
    """Return what puts a dying port in the place of the one the point is of."""
    port = "tracking" if point.endswith("retire") else "datasets"

    def change(ports: Ports) -> Ports:
        return replace(ports, **{port: Dying(getattr(ports, port), point)})

    return change


@pytest.mark.parametrize("point", ["before retire", "after retire", "before collect", "after collect"])
def test_a_round_that_was_broken_off_is_finished_and_nothing_goes_twice(tmp_path: Path, point: str) -> None:
    rig, old, rows = told(tmp_path, dying(point))
    with pytest.raises(Crash):
        retirement(rig)()
    assert len(rig.audit.open_intents(RETENTION)) == 1
    kept = {ref.digest for ref in rig.ports.tracking.versions(MODEL)[-3:]} - {old.digest}
    rig.clock.sleep(timedelta(days=7))
    said = retirement(rig)()
    assert said.startswith("finished what was broken off: deleted 2 versions, 2 runs and 1 datasets"), said
    assert rig.audit.open_intents(RETENTION) == []
    assert there(rig) == kept
    assert lost(rig, rows)
    assert did(rig)[-1] == "outcome done"
    assert did(rig).count("outcome done") == 1


def test_a_round_that_may_not_go_on_is_closed_and_what_is_needed_stays(tmp_path: Path) -> None:
    rig, old, _ = told(tmp_path, dying("before retire"))
    with pytest.raises(Crash):
        retirement(rig)()
    cycle = rig.open(alert_of(Action.ROLLBACK, rig.clock))
    rig.store.save(cycle.with_fact("suspect", {"digest": old.digest}))
    assert retirement(rig)().startswith("a round that was broken off may not go on; ")
    assert rig.audit.open_intents(RETENTION) == []
    assert old.digest in there(rig)
