"""What an operator wants of a cycle holds to its end: what is not to go live does not, whatever the gates say."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from domain.actor import Actor, Role
from domain.alert import Alert
from domain.clock import FrozenClock
from domain.cycle import Cycle
from domain.diagnosis import Action
from domain.outcome import OutcomeKind
from domain.stage import Stage
from domain.wish import SOURCE, Wish
from tests.support.office import Rig, dones, office_in_memory
from tests.support.setting import alert_of
from tests.support.story import opened
from tools.outcome import Refused

_LIVE = {"ab_start", "promote", "apply_tuning"}


def alert(action: Action = Action.RETRAIN) -> Alert:
    return alert_of(action, FrozenClock())


def wished(action_found: Action = Action.RETRAIN, **wish: Any) -> Alert:
    asked = Wish(by="Dora", **wish).annotations()
    return alert(action_found).model_copy(update={"source": SOURCE, "annotations": asked})


def run(rig: Rig, asked: Alert) -> Cycle:
    cycle = rig.open(asked.model_copy(update={"starts_at": rig.clock.now()}))
    rig.engine.launch()
    rig.engine.start(cycle.id)
    return rig.engine.wait(cycle.id)


def effects(rig: Rig, cycle: Cycle) -> set[str]:
    return set(dones(rig, cycle.id))


def test_a_cycle_that_is_not_to_promote_trains_and_evaluates_and_stops_there(tmp_path: Path) -> None:
    rig = office_in_memory(tmp_path, Action.RETRAIN)
    cycle = run(rig, wished(action="retrain", model="reranker", do_not_promote=True))
    assert cycle.outcome is OutcomeKind.NOT_PROMOTED
    assert {"train_model", "register_candidate", "offline_evaluation"} <= effects(rig, cycle)
    assert not _LIVE & effects(rig, cycle)
    assert "Dora asked" in cycle.reason
    assert "stays a candidate" in cycle.reason
    assert "offline evaluation: pass" in cycle.reason


def test_the_same_cycle_without_the_bound_promotes(tmp_path: Path) -> None:
    rig = office_in_memory(tmp_path, Action.RETRAIN)
    cycle = run(rig, wished(action="retrain", model="reranker"))
    assert cycle.outcome is OutcomeKind.IMPROVED
    assert {"ab_start", "promote"} <= effects(rig, cycle)


@pytest.mark.parametrize("tool", sorted(_LIVE))
def test_the_door_itself_lets_nothing_of_it_go_live(tmp_path: Path, tool: str) -> None:
    rig = office_in_memory(tmp_path, Action.RETRAIN)
    passed = {"verdict_evaluate": "pass", "verdict_ab": "pass"}
    cycle = opened(rig, Action.RETRAIN, Stage.PROMOTE, passed.items())
    rig.office.store.save(cycle.model_copy(update={"alert": wished(action="retrain", do_not_promote=True)}))
    known: dict[str, dict[str, Any]] = {
        "promote": {"name": "reranker", "version": "3", "digest": "sha256:" + "c" * 64},
        "ab_start": {"candidate": "sha256:" + "c" * 64, "share": 0.2},
        "apply_tuning": {"mode": "balanced"},
    }
    outcome = rig.gate.call(tool, known[tool], Actor(role=Role.DEVOPS_ENGINEER), rig.desk(cycle).scope)
    assert isinstance(outcome, Refused)
    assert "asked that nothing of it goes live" in outcome.reason


def test_a_cycle_that_is_to_look_changes_nothing(tmp_path: Path) -> None:
    rig = office_in_memory(tmp_path, Action.RETRAIN)
    cycle = run(rig, wished(only_diagnose=True))
    assert cycle.outcome is OutcomeKind.HANDED_OFF
    assert cycle.action is Action.RETRAIN
    assert "nothing is changed" in cycle.reason
    assert not {"dataset_version", "train_model"} & effects(rig, cycle)


def test_training_that_is_wished_for_is_done_where_the_diagnosis_sees_no_need(tmp_path: Path) -> None:
    rig = office_in_memory(tmp_path, Action.NOISE)
    cycle = run(rig, wished(Action.NOISE, action="retrain", model="reranker", do_not_promote=True))
    assert cycle.action is Action.RETRAIN
    assert not _LIVE & effects(rig, cycle)
    plain = office_in_memory(tmp_path / "plain", Action.NOISE)
    assert run(plain, alert(Action.NOISE)).outcome is OutcomeKind.LEFT_ALONE


def test_training_that_is_wished_for_is_not_done_where_the_cause_is_another(tmp_path: Path) -> None:
    rig = office_in_memory(tmp_path, Action.ROLLBACK)
    cycle = run(rig, wished(Action.ROLLBACK, action="retrain", model="reranker"))
    assert cycle.outcome is OutcomeKind.HANDED_OFF
    assert "a person has to decide" in cycle.reason
    assert "train_model" not in effects(rig, cycle)


def test_a_model_that_no_cycle_trains_is_handed_back(tmp_path: Path) -> None:
    rig = office_in_memory(tmp_path, Action.RETRAIN)
    assert run(rig, wished(action="retrain", model="summariser")).outcome is OutcomeKind.HANDED_OFF


def test_a_wish_that_cannot_be_read_is_the_strictest_one() -> None:
    for spoilt in ("", "{", '{"by": "Dora", "promote_anyway": true}', '{"by": ""}'):
        found = Wish.of(alert().model_copy(update={"source": SOURCE, "annotations": {"by": "Dora", "wish": spoilt}}))
        assert found is not None
        assert found.do_not_promote
        assert found.only_diagnose


def test_what_a_sender_of_alerts_calls_a_wish_is_none() -> None:
    asked = Wish(by="Mallory", action="retrain").annotations()
    assert Wish.of(alert().model_copy(update={"annotations": asked})) is None
