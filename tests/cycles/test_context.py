"""What the policies are told: the facts of the cycle, of the day and of the call, or nothing at all."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from adapters.store.base import FlagRow, Recording, Tombstone
from cycles.context import ContextSource
from domain.actor import Actor, Role
from domain.diagnosis import Action
from domain.errors import InvalidInput
from domain.stage import Stage
from tests.support.office import Rig, office_in_memory
from tests.support.setting import alert_of
from tests.support.story import opened
from tools.outcome import Done, Refused

ACTOR = Actor(role=Role.DEVOPS_ENGINEER)


@pytest.fixture
def rig(tmp_path: Path) -> Rig:
    return office_in_memory(tmp_path)


def asked(
    rig: Rig, tool: str = "promote", facts: Mapping[str, Any] | None = None, args: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """Return the context of a call in the promote stage."""
    source = ContextSource(rig.store, rig.clock, rig.profile, rig.office.contract)
    desk = rig.desk(opened(rig, Action.RETRAIN, Stage.PROMOTE, (facts or {}).items()))
    return dict(source(desk.scope, rig.gate.registry.get(tool).spec, args or {}, ACTOR))


def test_the_gates_have_passed_only_when_both_have(rig: Rig) -> None:
    assert asked(rig)["verdict_ab"] == "insufficient"
    assert asked(rig, facts={"verdict_evaluate": "pass"})["gates_passed"] is False
    assert asked(rig, facts={"verdict_evaluate": "pass", "verdict_ab": "pass"})["gates_passed"] is True


def test_money_spent_is_taken_from_the_budget(rig: Rig) -> None:
    assert asked(rig)["budget_left_cents"] == 500
    assert asked(rig, facts={"cost_usd": 4.5})["budget_left_cents"] == 50
    assert asked(rig, facts={"cost_usd": 7})["budget_left_cents"] == -200


@pytest.mark.parametrize("field", ["digest", "candidate"])
def test_a_dead_digest_is_known_by_any_name_of_the_argument(rig: Rig, field: str) -> None:
    stone = Tombstone(digest="sha256:dead", cycle_id="si_2025_01_01_001", reason="r", at=rig.clock.now())
    rig.store.entomb(stone)
    assert asked(rig, args={field: "sha256:dead"})["tombstoned"] is True
    assert asked(rig, args={field: "sha256:alive"})["tombstoned"] is False
    assert asked(rig)["tombstoned"] is False


def test_flags_of_the_table_win_over_the_profile(rig: Rig) -> None:
    assert asked(rig)["auto_promote"] is True
    rig.store.set_flag(FlagRow(name="auto_promote", enabled=False, environment="dev"), by="a", at=rig.clock.now())
    rig.store.set_flag(FlagRow(name="kill_switch", enabled=True), by="a", at=rig.clock.now())
    told = asked(rig)
    assert (told["auto_promote"], told["kill_switch"]) == (False, True)


def test_calls_cycles_and_the_hour_are_counted(rig: Rig) -> None:
    source = ContextSource(rig.store, rig.clock, rig.profile, rig.office.contract)
    desk = rig.desk(rig.open(alert_of(Action.RETRAIN, rig.clock)))
    spec = rig.gate.registry.get("promote").spec
    told = [dict(source(desk.scope, spec, {}, ACTOR)) for _ in range(3)]
    assert [t["calls"] for t in told] == [1, 2, 3]
    assert (told[0]["cycles_today"], told[0]["hour"]) == (1, rig.clock.now().hour)
    assert told[0]["signal"] == "ndcg_at_10"


def test_a_cycle_that_is_not_there_has_no_context(rig: Rig) -> None:
    source = ContextSource(rig.store, rig.clock, rig.profile, rig.office.contract)
    desk = rig.desk(rig.open(alert_of(Action.RETRAIN, rig.clock)).model_copy(update={"id": "si_2020_01_01_001"}))
    with pytest.raises(InvalidInput, match="si_2020_01_01_001"):
        source(desk.scope, rig.gate.registry.get("promote").spec, {}, ACTOR)


def test_too_many_cycles_a_day_close_the_door_for_new_work(tmp_path: Path) -> None:
    rig = office_in_memory(tmp_path)
    few = rig.profile.model_copy(update={"max_cycles_per_day": 0})
    source = ContextSource(rig.store, rig.clock, few, rig.office.contract)
    rig.gate._context = source
    desk = rig.desk(rig.open(alert_of(Action.RETRAIN, rig.clock)))
    refused = desk.call("quarantine_feedback", {"since": rig.clock.now() - timedelta(hours=1)}, Role.DATA_ENGINEER)
    assert isinstance(refused, Refused)
    assert "used up" in refused.reason
    assert isinstance(desk.call("notify", {"title": "t", "body": "b"}, Role.SUPERVISOR), Done)


def test_nothing_that_is_written_beside_the_cycle_says_that_a_call_is_approved(rig: Rig) -> None:
    cycle = rig.open(alert_of(Action.RETRAIN, rig.clock))
    given = {"by": "a", "approved": True, "person": True}
    rig.store.record(Recording(cycle_id=cycle.id, place="approval/promote", kind="approval", payload=given))
    assert asked(rig, facts={"approved": True, "approval": given})["approved"] is False
