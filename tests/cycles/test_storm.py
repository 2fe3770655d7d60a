"""A storm of cycles that changed nothing hides none that did: cool-down and circles look past all of them."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from adapters.store.base import StorePort
from adapters.store.memory import MemoryStore
from adapters.store.sqlalchemy import SqlStore
from cycles.limits import cooling, ended_since
from domain.cycle import Cycle
from domain.diagnosis import Action
from domain.outcome import OutcomeKind
from domain.stage import Stage
from tests.cycles.test_pace import after, limited
from tests.cycles.test_pathologies import change, loops, past, released, story
from tests.support.office import Rig, office_in_memory
from tests.support.setting import alert_of
from tests.support.story import opened

STORM = 100


def storm(rig: Rig, count: int = STORM) -> None:
    """Let so many cycles end that did nothing: the budget refused them, or there was nothing to do."""
    for number in range(count):
        alert = alert_of(Action.NOISE, rig.clock).model_copy(update={"fingerprint": f"storm-{number}"})
        cycle = rig.open(alert)
        ended = {"stage": Stage.DONE, "outcome": OutcomeKind.HANDED_OFF, "updated_at": rig.clock.now()}
        rig.store.save(cycle.model_copy(update=ended))


@pytest.mark.parametrize("count", [9, 10, 11, STORM])
def test_a_bad_change_has_to_settle_however_many_cycles_came_after_it(tmp_path: Path, count: int) -> None:
    rig = office_in_memory(tmp_path, of=limited(cool_down_after_bad="2h"))
    bad = after(rig, OutcomeKind.ROLLED_BACK)
    storm(rig, count)
    cycle = opened(rig, Action.RETRAIN, Stage.PLAN)
    found = cooling(rig.store, rig.profile, cycle, rig.clock.now())
    assert found is not None
    assert found.after == bad.id
    assert cooling(rig.store, rig.profile, cycle, rig.clock.now() + timedelta(hours=2)) is None


def test_a_value_is_not_set_back_and_forth_in_a_storm(tmp_path: Path) -> None:
    told = story(tmp_path, Action.TUNE)
    facts = released(told.rig, change("mode", "balanced", "exhaustive"))
    past(told.rig, Action.TUNE, OutcomeKind.TUNED, ago=timedelta(hours=2), **facts)
    storm(told.rig)
    told.runs().expect_end(OutcomeKind.HANDED_OFF).said("oscillation")
    assert loops(told) == ["oscillation"]


@pytest.mark.parametrize("kind", ["memory", "sqlite"])
def test_of_the_ended_all_of_a_time_are_told_last_first_and_no_older_ones(tmp_path: Path, kind: str) -> None:
    store: StorePort = MemoryStore() if kind == "memory" else SqlStore(f"sqlite:///{tmp_path}/store.db")
    rig = office_in_memory(tmp_path, store=store)
    began = rig.clock.now()
    made: list[Cycle] = []
    for _ in range(25):
        rig.clock.sleep(timedelta(minutes=1))
        made.append(after(rig, OutcomeKind.IMPROVED))
    told = [c.id for c in ended_since(store, "search", "dev", began + timedelta(minutes=5))]
    assert told == [c.id for c in reversed(made[5:])]
    assert len(list(ended_since(store, "search", "dev", began))) == 25
    assert list(ended_since(store, "ads", "dev", began)) == []
