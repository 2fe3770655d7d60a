"""Limits hold a cycle back in an orderly way, the door refuses what goes past them, and a late reaction is noticed."""

from __future__ import annotations

import threading
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from adapters.store.base import StorePort
from adapters.store.memory import MemoryStore
from adapters.store.sqlalchemy import SqlStore
from cycles import engine
from cycles.limits import cooling, promoted_before, share_bp
from cycles.pace import OVERDUE
from domain.actor import Role
from domain.alert import Alert
from domain.clock import FrozenClock
from domain.cycle import Cycle
from domain.diagnosis import Action
from domain.outcome import OutcomeKind
from domain.stage import Stage
from policies.limits import ChangeWindows, Limits
from policies.profiles import Profile
from tests.support.meddling import notes, when_stage
from tests.support.office import Rig, office_in_memory
from tests.support.setting import alert_of, profile
from tests.support.story import Story, given, opened
from tools.outcome import Refused

# The frozen clock begins on Thursday, the first of January 2026, at midnight.
CLOSED = {"closed": [{"days": ["thu"], "end": "06:00"}], "patience": "2d"}


def limited(**changed: Any) -> Profile:
    """Return the profile with other limits."""
    return profile().model_copy(update={"limits": Limits.model_validate(changed)})


def windowed(windows: dict[str, Any]) -> Profile:
    """Return the profile with change windows."""
    return profile().model_copy(update={"windows": ChangeWindows.model_validate(windows)})


def statuses(story: Story) -> list[str]:
    """Return what the notes of the chain say."""
    records = story.rig.audit.records(story.cycle.id)
    return [r.entry.status for r in records if r.entry.kind.value == "note"]


# -- change windows ---------------------------------------------------------------------------------------


def test_a_promotion_waits_until_the_window_opens(tmp_path: Path) -> None:
    story = given(tmp_path, Action.RETRAIN, of=windowed(CLOSED))
    begun = story.rig.clock.now()
    story.runs()
    records = story.rig.audit.records(story.cycle.id)
    promoted = next(r.at for r in records if r.entry.tool == "promote" and r.entry.kind.value == "intent")
    assert begun.hour < 1
    assert (promoted.hour, promoted.day) == (6, begun.day)
    assert statuses(story).count("window_closed") == 1
    assert "a change window is closed; it opens at 2026-01-01 06:00 UTC" in notes(story)


def test_what_waits_for_longer_than_the_profile_has_patience_ends_without_the_change(tmp_path: Path) -> None:
    story = given(tmp_path, Action.RETRAIN, of=windowed({**CLOSED, "patience": "1h"}))
    story.runs().expect_end(OutcomeKind.HANDED_OFF).said("a change window is closed", "1:00:00")
    assert "promote" not in story.effects
    assert story.effects.index("ab_start") < story.effects.index("ab_stop")


@pytest.mark.parametrize("action", [Action.ROLLBACK, Action.TUNE])
def test_a_roll_back_and_a_repair_wait_for_no_window(tmp_path: Path, action: Action) -> None:
    story = given(tmp_path, action, of=windowed(CLOSED)).runs()
    assert {"roll_back", "apply_tuning"} & set(story.effects)
    assert story.rig.clock.now().hour < 6


def test_the_door_itself_is_shut_while_a_window_is_closed(tmp_path: Path) -> None:
    rig = office_in_memory(tmp_path, of=windowed(CLOSED))
    refused = asked_to_promote(rig)
    assert "forbid-closed-window" in refused
    rig.clock.sleep(timedelta(hours=6))
    assert "forbid-closed-window" not in asked_to_promote(rig)


def asked_to_promote(rig: Rig) -> tuple[str, ...]:
    """Ask for a promotion of a cycle whose gates have passed, and return the policies that refused it."""
    passed = {"verdict_evaluate": "pass", "verdict_ab": "pass"}
    desk = rig.desk(opened(rig, Action.RETRAIN, Stage.PROMOTE, passed.items()))
    args = {"name": "reranker", "version": "1", "digest": f"sha256:{'a' * 64}"}
    outcome = desk.call("promote", args, Role.DEVOPS_ENGINEER)
    records = rig.audit.records(desk.cycle.id)
    return records[-1].entry.policies if isinstance(outcome, Refused) else ()


# -- cool-down --------------------------------------------------------------------------------------------


def after(rig: Rig, outcome: OutcomeKind, **facts: Any) -> Cycle:
    """Return a cycle that ended just now, as if it had changed something."""
    alert = alert_of(Action.RETRAIN, rig.clock).model_copy(update={"fingerprint": "before"})
    cycle = rig.open(alert)
    ended = cycle.model_copy(
        update={
            "stage": Stage.DONE,
            "outcome": outcome,
            "updated_at": rig.clock.now(),
            "facts": facts or {"release": {}},
        }
    )
    rig.store.save(ended)
    return ended


@pytest.mark.parametrize(
    ("outcome", "wait"),
    [(OutcomeKind.IMPROVED, timedelta(minutes=5)), (OutcomeKind.ROLLED_BACK, timedelta(minutes=40))],
)
def test_nothing_new_is_begun_before_the_last_change_has_settled(
    tmp_path: Path, outcome: OutcomeKind, wait: timedelta
) -> None:
    story = given(tmp_path, Action.RETRAIN, of=limited(cool_down="5m", cool_down_after_bad="40m"))
    ended = after(story.rig, outcome)
    story.runs()
    records = story.rig.audit.records(story.cycle.id)
    effects = [r.at for r in records if r.entry.kind.value == "intent"]
    assert ended.updated_at + wait <= effects[0] < ended.updated_at + wait + timedelta(minutes=1)
    assert statuses(story).count("cool_down") == 1
    assert f"after {ended.id}" in notes(story)


def test_what_cools_down_is_bounded_by_its_time_and_not_by_its_looks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    most = 45
    monkeypatch.setattr(engine, "MOST_STEPS", most)
    story = given(tmp_path, Action.RETRAIN, of=limited(cool_down="30h"))
    after(story.rig, OutcomeKind.IMPROVED)
    story.runs().expect_end(OutcomeKind.IMPROVED)
    assert len([e for e in story.rig.events if (e.stage, e.what) == ("plan", "wait")]) > most
    assert engine.OVERRUN not in story.cycle.facts


def test_what_healed_in_the_meantime_is_left_alone(tmp_path: Path) -> None:
    story = given(tmp_path, Action.RETRAIN, of=limited(cool_down="5m"))
    after(story.rig, OutcomeKind.IMPROVED)
    healed = {"healthy": False}

    def heal() -> None:
        healed["healthy"] = True
        story.rig.world.skills = {}
        story.rig.world.candidate = 0.6

    when_stage(story.rig, "plan", heal, "wait")
    story.runs().expect_end(OutcomeKind.LEFT_ALONE).said("after the cool-down").did("notify")
    assert healed["healthy"]


def test_a_bad_release_is_taken_back_in_a_cool_down_too(tmp_path: Path) -> None:
    story = given(tmp_path, Action.ROLLBACK, of=limited(cool_down="1d"))
    after(story.rig, OutcomeKind.IMPROVED)
    story.runs()
    assert "roll_back" in story.effects
    assert "cool_down" not in statuses(story)


def test_the_door_refuses_new_work_in_a_cool_down(tmp_path: Path) -> None:
    rig = office_in_memory(tmp_path, of=limited(cool_down="1h"))
    after(rig, OutcomeKind.IMPROVED)
    desk = rig.desk(opened(rig, Action.DATA_FIX, Stage.AUGMENT))
    refused = desk.call("quarantine_feedback", {"since": rig.clock.now()}, Role.DATA_ENGINEER)
    assert isinstance(refused, Refused)
    assert "has to settle" in refused.reason
    rig.clock.sleep(timedelta(hours=1))
    assert not isinstance(desk.call("quarantine_feedback", {"since": rig.clock.now()}, Role.DATA_ENGINEER), Refused)


def test_only_what_changed_something_on_the_same_target_has_to_settle(tmp_path: Path) -> None:
    rig = office_in_memory(tmp_path, of=limited(cool_down="1h"))
    cycle = opened(rig, Action.RETRAIN, Stage.PLAN)
    now = rig.clock.now()
    assert cooling(rig.store, rig.profile, cycle, now) is None
    rig.store.save(cycle.model_copy(update={"stage": Stage.DONE, "outcome": OutcomeKind.LEFT_ALONE}))
    after(rig, OutcomeKind.HANDED_OFF, snapshot={})
    following = opened(rig, Action.RETRAIN, Stage.PLAN)
    assert cooling(rig.store, rig.profile, following, now) is None
    rig.store.save(following.model_copy(update={"stage": Stage.DONE}))
    changed = after(rig, OutcomeKind.UNVERIFIED, quarantined=3)
    last = opened(rig, Action.RETRAIN, Stage.PLAN)
    found = cooling(rig.store, rig.profile, last, now)
    assert found is not None
    assert (found.after, found.bad) == (changed.id, True)
    assert cooling(rig.store, rig.profile, last.model_copy(update={"target": "ads"}), now) is None
    assert cooling(rig.store, profile(), last, now) is None


# -- blast radius -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["memory", "sqlite"])
def test_of_cycles_that_promote_at_once_one_is_the_first(tmp_path: Path, kind: str) -> None:
    store: StorePort = MemoryStore() if kind == "memory" else SqlStore(f"sqlite:///{tmp_path}/store.db")
    clock = FrozenClock()
    cycles = [store.open_cycle(_alert(f"target-{n}", clock), clock.now())[0] for n in range(6)]
    ready = threading.Barrier(len(cycles))
    seen: list[tuple[int, int]] = []

    def promote(cycle: Cycle) -> None:
        ready.wait()
        found = promoted_before(store, cycle, clock.now(), claim=True)
        seen.append((found.today, found.at_once))

    threads = [threading.Thread(target=promote, args=(cycle,)) for cycle in cycles]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(seen) == [(n, n) for n in range(6)]
    again = promoted_before(store, cycles[0], clock.now(), claim=True)
    assert (again.today, again.at_once) in seen
    clock.advance(timedelta(days=1))
    tomorrow = promoted_before(store, cycles[0], clock.now(), claim=False)
    assert (tomorrow.today, tomorrow.at_once) == (0, 5)


def _alert(target: str, clock: FrozenClock) -> Alert:
    return alert_of(Action.RETRAIN, clock).model_copy(update={"target": target, "fingerprint": target})


def test_when_enough_models_were_promoted_today_the_next_waits_for_tomorrow(tmp_path: Path) -> None:
    story = given(tmp_path, Action.RETRAIN, of=limited(max_models_per_day=1))
    other, _ = story.rig.store.open_cycle(_alert("ads", FrozenClock()), story.rig.clock.now())
    promoted_before(story.rig.store, other, story.rig.clock.now(), claim=True)
    story.rig.store.save(other.model_copy(update={"stage": Stage.DONE}))
    story.runs()
    records = story.rig.audit.records(story.cycle.id)
    promoted = next(r.at for r in records if r.entry.tool == "promote" and r.entry.kind.value == "intent")
    assert promoted.day == 2
    assert "1 models were promoted today" in notes(story)


def test_while_another_model_is_not_judged_yet_the_next_waits(tmp_path: Path) -> None:
    story = given(tmp_path, Action.RETRAIN)
    store = story.rig.store
    other, _ = store.open_cycle(_alert("ads", FrozenClock()), story.rig.clock.now())
    promoted_before(store, other, story.rig.clock.now(), claim=True)
    when_stage(story.rig, "promote", lambda: store.save(other.model_copy(update={"stage": Stage.DONE})), "wait")
    story.runs().expect_end(OutcomeKind.IMPROVED)
    assert "1 models are live and not judged yet" in notes(story)


def test_the_door_refuses_one_model_more_than_there_may_be(tmp_path: Path) -> None:
    rig = office_in_memory(tmp_path, of=limited(max_models_per_day=0))
    assert "forbid-too-many-models" in asked_to_promote(rig)


def test_a_candidate_gets_no_more_users_than_the_environment_allows(tmp_path: Path) -> None:
    story = given(tmp_path, Action.RETRAIN, of=limited(max_share=0.1))
    story.runs().expect_end(OutcomeKind.HANDED_OFF).said("more of the users than this environment allows")
    assert "ab_start" not in story.effects


def test_a_share_is_counted_in_hundredths_of_a_percent_and_never_below_zero() -> None:
    assert [share_bp(args) for args in ({"share": 0.2}, {"share": -1}, {"share": "all"}, {})] == [2000, 0, 0, 0]


# -- reaction ---------------------------------------------------------------------------------------------


def test_a_cycle_that_does_nothing_in_time_is_noticed_while_it_waits(tmp_path: Path) -> None:
    story = given(tmp_path, Action.RETRAIN, of=limited(cool_down="3h"))
    after(story.rig, OutcomeKind.IMPROVED)
    story.runs()
    records = story.rig.audit.records(story.cycle.id)
    overdue = [r for r in records if r.entry.status == OVERDUE]
    alert = story.cycle.alert
    assert [r.entry.stage for r in overdue] == ["plan"]
    assert timedelta(hours=1) <= overdue[0].at - alert.starts_at < timedelta(hours=1, seconds=5)
    assert "nothing was done about ndcg_at_10 within the 3600 s" in notes(story)
    assert "reaction_late" in statuses(story)


def test_a_cycle_that_acts_in_time_is_not_called_late(tmp_path: Path) -> None:
    story = given(tmp_path, Action.RETRAIN).runs()
    assert OVERDUE not in statuses(story)
    assert "reaction" in statuses(story)
