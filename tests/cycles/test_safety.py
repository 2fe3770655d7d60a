"""The kill switch in the middle of a cycle: the next effect is refused, what is half done comes to a safe state."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from adapters.store.base import FlagRow
from cycles.safety import KILLED
from domain.clock import FrozenClock
from domain.diagnosis import Action
from domain.errors import DependencyUnavailable
from domain.events import Event
from domain.outcome import OutcomeKind
from domain.stage import Stage
from policies.profiles import Profile
from tests.support.flaky import Flaky, always
from tests.support.meddling import cancel, flag, notes, when_stage
from tests.support.office import Rig, ended, office_in_memory
from tests.support.setting import alert_of, profile
from tests.support.story import Story, given, opened
from tools.deliver.values import parse_values

SAFE = {"ab_stop", "roll_back", "notify", "set_alias", "point_dataset", "restore_flags", "sync_live", "lift_silence"}
CLAIMS = {OutcomeKind.IMPROVED, OutcomeKind.RESTORED, OutcomeKind.REPAIRED, OutcomeKind.TUNED, OutcomeKind.LEFT_ALONE}


def throw(rig: Rig, on: bool = True, name: str = "kill_switch") -> None:
    """Throw or lift a switch everywhere."""
    flag(rig, name, on)


def when_called(rig: Rig, tool: str, act: Callable[[], object]) -> None:
    """Do something once, as soon as a call of the tool came back done."""
    done: list[bool] = []

    def note(event: Event) -> None:
        rig.events.append(event)
        if (event.kind, event.what, event.answer) == ("call", tool, "done") and not done:
            done.append(True)
            act()

    rig.gate._observer = note


class Alarm(FrozenClock):
    """A frozen clock on which things happen while somebody sleeps."""

    def __init__(self) -> None:
        super().__init__()
        self.due: list[tuple[timedelta, Callable[[], object]]] = []

    def after(self, wait: timedelta, act: Callable[[], object]) -> None:
        """Do something so long from now."""
        self.due.append((self.now() - FrozenClock().now() + wait, act))

    def advance(self, duration: timedelta) -> None:
        """See `FrozenClock.advance`."""
        super().advance(duration)
        passed = self.now() - FrozenClock().now()
        for entry in [e for e in self.due if e[0] <= passed]:
            self.due.remove(entry)
            entry[1]()


def holding(**changes: Any) -> Profile:
    """Return the profile that keeps what is not judged."""
    return profile(**changes).model_copy(update={"on_kill": "hold"})


def after_kill(story: Story) -> list[str]:
    """Return the effects that were begun after the switch was noticed."""
    records = story.rig.audit.records(story.cycle.id)
    noticed = next(r.sequence for r in records if r.entry.status == KILLED)
    return [r.entry.tool for r in records if r.entry.kind.value == "intent" and r.sequence > noticed]


def serves_the_champion_alone(rig: Rig, digest: str) -> bool:
    """Whether everybody gets the model, by git and by the platform."""
    values, live = parse_values(rig.ports.vcs.read(rig.ports.vcs.head())), rig.world.live()
    shares = {v.digest: v.weight for v in live.variants if v.weight}
    return values.model.digest == live.digest == digest and set(shares) == {digest}


# -- nothing is live yet ----------------------------------------------------------------------------------


@pytest.mark.parametrize("stage", ["observe", "diagnose", "plan", "augment", "train", "evaluate"])
def test_before_anything_is_live_the_cycle_ends_at_once_and_claims_nothing(tmp_path: Path, stage: str) -> None:
    story = given(tmp_path, Action.RETRAIN)
    head = story.rig.ports.vcs.head()
    when_stage(story.rig, stage, lambda: throw(story.rig))
    story.runs().expect_end(OutcomeKind.STOPPED, Stage.STOPPED).said("kill switch", "nothing of it is live")
    assert after_kill(story) == ["notify"]
    assert story.rig.ports.vcs.head() == head
    assert story.cycle.outcome is not None
    assert not story.cycle.outcome.verified
    outcome = story.rig.office.artifacts.read(story.cycle.id, "outcome.json")
    assert outcome is not None
    assert (outcome["outcome"], outcome["verified"]) == ("stopped", False)


def test_between_two_effects_of_one_stage_the_second_is_refused(tmp_path: Path) -> None:
    story = given(tmp_path, Action.RETRAIN)
    when_called(story.rig, "train_model", lambda: throw(story.rig))
    story.runs().expect_end(OutcomeKind.STOPPED, Stage.STOPPED)
    assert story.effects == ["dataset_version", "train_model", "notify"]
    refused = [r.entry for r in story.rig.audit.records(story.cycle.id) if r.entry.kind.value == "refusal"]
    assert ("register_candidate", ("forbid-kill-switch",)) in [(e.tool, e.policies) for e in refused]


def test_a_cycle_that_opens_under_the_switch_changes_nothing(tmp_path: Path) -> None:
    story = given(tmp_path, Action.ROLLBACK).before(throw).runs()
    story.expect_end(OutcomeKind.STOPPED, Stage.STOPPED).did("notify")
    assert story.path == ["observe", "learn", "stopped"]


# -- an A/B test runs -------------------------------------------------------------------------------------


@pytest.mark.parametrize("on_kill", ["roll_back", "hold"])
def test_a_running_test_is_ended_and_everybody_gets_the_champion(tmp_path: Path, on_kill: str) -> None:
    story = given(tmp_path, Action.RETRAIN, of=profile().model_copy(update={"on_kill": on_kill}))
    champion = story.rig.world.live().digest
    when_stage(story.rig, "ab", lambda: throw(story.rig), "wait")
    story.runs().expect_end(OutcomeKind.STOPPED, Stage.STOPPED).said("its test was ended")
    assert after_kill(story) == ["ab_stop", "notify"]
    assert serves_the_champion_alone(story.rig, champion)


# -- a change is live and not judged ----------------------------------------------------------------------


@pytest.mark.parametrize("tool", ["promote", "await_live"])
def test_a_promotion_in_flight_ends_on_the_old_model_verified_live(tmp_path: Path, tool: str) -> None:
    story = given(tmp_path, Action.RETRAIN)
    champion = story.rig.world.live().digest
    when_called(story.rig, "promote", lambda: when_called(story.rig, tool, lambda: throw(story.rig)))
    if tool == "promote":
        when_called(story.rig, tool, lambda: throw(story.rig))
    story.runs().expect_end(OutcomeKind.ROLLED_BACK).said("kill switch")
    assert set(after_kill(story)) <= SAFE
    assert "roll_back" in story.effects
    assert serves_the_champion_alone(story.rig, champion)
    digest = story.cycle.facts["candidate"]["model"]["digest"]
    assert story.rig.store.tombstone(digest) is None


def test_a_promotion_under_watch_is_taken_back(tmp_path: Path) -> None:
    story = given(tmp_path, Action.RETRAIN)
    champion = story.rig.world.live().digest
    when_stage(story.rig, "watch", lambda: throw(story.rig), "wait")
    story.runs().expect_end(OutcomeKind.ROLLED_BACK)
    assert serves_the_champion_alone(story.rig, champion)
    assert set(after_kill(story)) <= SAFE


def test_a_tuning_under_watch_is_taken_back(tmp_path: Path) -> None:
    story = given(tmp_path, Action.TUNE)
    text = story.rig.ports.vcs.read(story.rig.ports.vcs.head())
    before = parse_values(text)
    when_stage(story.rig, "watch", lambda: throw(story.rig))
    story.runs()
    release = story.cycle.facts["release"]
    assert story.cycle.outcome is (OutcomeKind.ROLLED_BACK if release["patch"] else OutcomeKind.STOPPED)
    assert parse_values(story.rig.ports.vcs.read(story.rig.ports.vcs.head())) == before


def test_a_mended_data_set_is_kept_and_nothing_is_claimed(tmp_path: Path) -> None:
    story = given(tmp_path, Action.DATA_FIX)
    when_stage(story.rig, "watch", lambda: throw(story.rig), "wait")
    story.runs().expect_end(OutcomeKind.STOPPED, Stage.STOPPED).said("stay set aside")


def test_a_roll_back_under_way_goes_on_and_is_not_watched_any_more(tmp_path: Path) -> None:
    story = given(tmp_path, Action.ROLLBACK)
    when_stage(story.rig, "roll_back", lambda: throw(story.rig))
    story.runs().expect_end(OutcomeKind.STOPPED, Stage.STOPPED).said("the roll-back is live")
    assert "roll_back" in story.effects


def test_a_release_the_process_died_over_is_found_by_the_chain(tmp_path: Path) -> None:
    story = given(tmp_path, Action.RETRAIN)
    champion = story.rig.world.live().digest

    def forget() -> None:
        [cycle] = story.rig.store.cycles()
        kept = {name: fact for name, fact in cycle.facts.items() if name not in ("release", "changed_at", "live")}
        story.rig.store.save(cycle.model_copy(update={"stage": Stage.PROMOTE, "facts": kept}))
        throw(story.rig)

    when_stage(story.rig, "watch", forget, "wait")
    story.runs().expect_end(OutcomeKind.ROLLED_BACK)
    assert serves_the_champion_alone(story.rig, champion)


# -- held -------------------------------------------------------------------------------------------------


def test_a_held_promotion_stays_as_it_is_and_goes_on_when_the_switch_is_lifted(tmp_path: Path) -> None:
    clock = Alarm()
    story = given(tmp_path, Action.RETRAIN, of=holding(), clock=clock)
    seen: list[tuple[str, str]] = []

    def lift() -> None:
        [cycle] = story.rig.store.cycles()
        seen.append((cycle.stage.value, story.rig.world.live().digest))
        throw(story.rig, on=False)

    def kill() -> None:
        throw(story.rig)
        clock.after(timedelta(hours=3), lift)

    when_stage(story.rig, "watch", kill, "wait")
    story.runs()
    candidate = story.cycle.facts["candidate"]["model"]["digest"]
    assert seen == [("watch", candidate)]
    records = story.rig.audit.records(story.cycle.id)
    marks = {r.entry.status: r for r in records if r.entry.status in (KILLED, "let_go")}
    assert marks["let_go"].entry.body["held_s"] >= timedelta(hours=3).total_seconds() - 1
    assert marks["let_go"].at - marks[KILLED].at < timedelta(hours=3, seconds=5)
    between = [r.entry.tool for r in records if marks[KILLED].sequence < r.sequence < marks["let_go"].sequence]
    assert {tool for tool in between if tool} == {"notify"}
    assert "goes on" in notes(story)
    assert story.cycle.stage.terminal


def test_a_held_cycle_that_is_cancelled_takes_its_change_back(tmp_path: Path) -> None:
    clock = Alarm()
    story = given(tmp_path, Action.RETRAIN, of=holding(), clock=clock)
    champion = story.rig.world.live().digest

    def kill() -> None:
        throw(story.rig)
        clock.after(timedelta(minutes=5), lambda: cancel(story.rig))

    when_stage(story.rig, "watch", kill, "wait")
    story.runs().expect_end(OutcomeKind.ROLLED_BACK)
    assert serves_the_champion_alone(story.rig, champion)


# -- sleeping ---------------------------------------------------------------------------------------------


def test_a_sleeping_cycle_notices_at_once(tmp_path: Path) -> None:
    clock = Alarm()
    slow = profile(watch={"window": "2h", "checks": 12, "interval": "10m"})
    story = given(tmp_path, Action.RETRAIN, of=slow, clock=clock)
    thrown: list[Any] = []

    def kill() -> None:
        thrown.append(clock.now())
        throw(story.rig)

    when_stage(story.rig, "watch", lambda: clock.after(timedelta(minutes=3), kill), "wait")
    story.runs().expect_end(OutcomeKind.ROLLED_BACK)
    records = story.rig.audit.records(story.cycle.id)
    noticed = next(r.at for r in records if r.entry.status == KILLED)
    assert noticed - thrown[0] <= timedelta(seconds=2)


def test_a_cycle_that_waits_for_a_slow_delivery_notices_within_a_minute(tmp_path: Path) -> None:
    clock = Alarm()
    story = given(tmp_path, Action.RETRAIN, of=profile(poll={"delivery_timeout": "15m"}), clock=clock)
    champion = story.rig.world.live().digest
    thrown: list[Any] = []

    def stick() -> None:
        story.rig.world.frozen_at = story.rig.ports.vcs.head()

    def kill() -> None:
        thrown.append(clock.now())
        story.rig.world.frozen_at = None
        throw(story.rig)

    when_called(story.rig, "rehearse_rollback", stick)
    when_stage(story.rig, "promote", lambda: clock.after(timedelta(seconds=90), kill), "wait")
    story.runs().expect_end(OutcomeKind.ROLLED_BACK)
    noticed = next(r.at for r in story.rig.audit.records(story.cycle.id) if r.entry.status == KILLED)
    assert noticed - thrown[0] <= timedelta(minutes=1, seconds=2)
    assert serves_the_champion_alone(story.rig, champion)


def test_while_the_switch_cannot_be_read_nothing_goes_on(tmp_path: Path) -> None:
    rig = office_in_memory(tmp_path)
    cycle = opened(rig, Action.RETRAIN, Stage.TRAIN)
    away = Flaky(rig.store, {"flags": always(DependencyUnavailable("store", "its flags cannot be read"))})
    object.__setattr__(rig.office, "store", away)
    told = rig.engine.advance(cycle.id)
    assert (told["stage"], told["ended"]) == ("train", False)
    assert "cannot be read" in rig.now(cycle.id).reason
    assert [r for r in rig.audit.records(cycle.id) if r.entry.kind.value == "intent"] == []


# -- one role, one tool -----------------------------------------------------------------------------------


def test_the_switch_of_a_tool_stops_that_tool_alone(tmp_path: Path) -> None:
    story = given(tmp_path, Action.RETRAIN)
    champion = story.rig.world.live().digest
    throw(story.rig, name="kill_switch/tool/promote")
    story.runs().expect_end(OutcomeKind.HANDED_OFF).said("promote was refused", "kill switch")
    assert "ab_start" in story.effects
    assert serves_the_champion_alone(story.rig, champion)


def test_the_switch_of_a_role_stops_its_effects_and_nobody_elses(tmp_path: Path) -> None:
    story = given(tmp_path, Action.RETRAIN)
    throw(story.rig, name="kill_switch/agent/ml_engineer")
    story.runs().expect_end(OutcomeKind.HANDED_OFF).said("train_model was refused")
    assert story.effects == ["dataset_version", "notify"]


def test_the_switch_of_another_environment_is_none_here(tmp_path: Path) -> None:
    story = given(tmp_path, Action.NOISE)
    row = FlagRow(name="kill_switch", enabled=True, environment="production")
    story.rig.store.set_flag(row, by="a", at=story.rig.clock.now())
    story.runs().expect_end(OutcomeKind.LEFT_ALONE)


def test_a_killed_cycle_never_claims_success_whenever_it_is_thrown(tmp_path: Path) -> None:
    for number in range(1, 40, 3):
        rig = office_in_memory(tmp_path / str(number))
        calls: list[str] = []

        def note(event: Event, rig: Rig = rig, calls: list[str] = calls, number: int = number) -> None:
            if event.kind == "call":
                calls.append(event.what)
                if len(calls) == number:
                    throw(rig)

        rig.gate._observer = note
        cycle = ended(rig, Action.RETRAIN)
        if KILLED in cycle.facts:
            assert cycle.outcome not in CLAIMS, (number, cycle.reason)
            assert cycle.stage.terminal
    assert alert_of(Action.RETRAIN, FrozenClock()).signal == "ndcg_at_10"
