"""What a class of action may do by itself: by what the chain says was verified, never by what anybody claims."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from adapters.autonomy.memory import MemoryAutonomy
from cycles.autonomy import ENDED, ENGINE, AutonomyRecord
from domain.autonomy import Cap, Level, Trial
from domain.diagnosis import Action
from domain.errors import DependencyUnavailable, InvalidInput
from domain.outcome import OutcomeKind
from domain.receipt import AuditEntry, RecordKind
from policies.consent import CLASSES, AutonomyProfile
from policies.packaged import packaged_policy_files, packaged_profile
from policies.profiles import Profile, load_profile
from tests.approvals.asked import Asking, refused
from tests.support.meddling import flag
from tests.support.people import PEOPLE
from tests.support.setting import profile
from tests.support.story import given
from tools.outcome import Done

EARNED = AutonomyProfile(mode="earned")


def earning() -> Profile:
    """Return the profile of tests where classes of action have to earn it."""
    return profile().model_copy(update={"autonomy": EARNED})


@pytest.fixture
def asking(tmp_path: Path) -> Asking:
    """A promotion that is automatic, as far as the flags go."""
    made = Asking(tmp_path, of=earning())
    flag(made.rig, "auto_promote", True)
    return made


def record_of(asking: Asking) -> AutonomyRecord:
    return asking.rig.office.autonomy


def store_of(asking: Asking) -> MemoryAutonomy:
    store = record_of(asking)._store
    assert isinstance(store, MemoryAutonomy)
    return store


def simulated(asking: Asking, number: int, outcome: OutcomeKind = OutcomeKind.IMPROVED, *, done: bool = True) -> Trial:
    """Put a cycle into the chain, as the gate and the engine do, and return its trial."""
    cycle_id, key = f"si_2025_12_01_{number:03d}", f"k{number}"
    harmful = outcome is OutcomeKind.ROLLED_BACK
    common: dict[str, Any] = {"cycle_id": cycle_id, "stage": "promote", "tool": "promote", "key": key}
    if done:
        asking.audit.append(AuditEntry(kind=RecordKind.INTENT, **common))
        asking.audit.append(AuditEntry(kind=RecordKind.OUTCOME, status="done", **common))
    body = {"outcome": outcome.value, "harmful": harmful, "classes": ["promote"], "environment": "dev"}
    noted = asking.audit.append(
        AuditEntry(kind=RecordKind.NOTE, cycle_id=cycle_id, actor=ENGINE, status=ENDED, body=body)
    )
    trial = Trial(
        cycle_id=cycle_id,
        kind="promote",
        environment="dev",
        outcome=outcome,
        harmful=harmful,
        at=noted.at,
        record=noted.sequence,
        record_hash=noted.hash,
    )
    store_of(asking).add(trial)
    asking.clock.advance(timedelta(seconds=1))
    return trial


def level(asking: Asking) -> Level:
    return record_of(asking).standing("promote", "dev").level


# -- earning, and losing ----------------------------------------------------------------------------------------------


def test_what_has_not_earned_it_asks_people_and_what_has_acts(asking: Asking) -> None:
    for number in range(13):
        simulated(asking, number)
    refused(asking.call())
    assert level(asking) is Level.APPROVE
    simulated(asking, 13)
    assert level(asking) is Level.ACT
    assert isinstance(asking.call(), Done)


def test_what_is_not_earned_can_be_approved_by_a_person(asking: Asking) -> None:
    asking.approve(asking.asked())
    assert isinstance(asking.call(), Done)


def test_one_bad_outcome_demotes_it_until_the_cool_down_is_over(asking: Asking) -> None:
    for number in range(40):
        simulated(asking, number)
    assert level(asking) is Level.ACT
    simulated(asking, 40, OutcomeKind.ROLLED_BACK)
    standing = record_of(asking).standing("promote", "dev")
    assert (standing.level, standing.until) == (
        Level.APPROVE,
        asking.clock.now() - timedelta(seconds=1) + EARNED.cool_down,
    )
    refused(asking.call())
    asking.clock.advance(EARNED.cool_down)
    assert level(asking) is Level.ACT


def test_what_was_earned_in_one_environment_is_not_earned_in_another(asking: Asking) -> None:
    for number in range(40):
        simulated(asking, number)
    assert record_of(asking).standing("promote", "production").level is Level.APPROVE
    assert record_of(asking).standing("tune", "dev").level is Level.APPROVE


# -- claims -----------------------------------------------------------------------------------------------------------


def test_rows_that_the_chain_knows_nothing_of_earn_nothing(asking: Asking) -> None:
    true = simulated(asking, 0)
    for number in range(1, 60):
        forged = true.model_copy(update={"cycle_id": f"si_2025_11_01_{number:03d}"})
        store_of(asking).add(forged)
    standing = record_of(asking).standing("promote", "dev")
    assert (standing.trials, standing.level) == (1, Level.APPROVE)
    refused(asking.call())


@pytest.mark.parametrize(
    "change",
    [
        {"outcome": OutcomeKind.IMPROVED, "harmful": False},
        {"record_hash": "0" * 64},
        {"record": 1},
        {"environment": "production"},
        {"kind": "tune"},
    ],
    ids=lambda change: next(iter(change)),
)
def test_a_row_that_says_something_else_than_the_chain_does_not_count(asking: Asking, change: dict[str, Any]) -> None:
    bad = simulated(asking, 1, OutcomeKind.ROLLED_BACK)
    forged = bad.model_copy(update=change)
    record = record_of(asking)
    store = MemoryAutonomy()
    store.add(forged)
    record._store = store
    assert record.standing(forged.kind, forged.environment).trials == 0


def test_an_outcome_without_an_action_that_was_taken_does_not_count(asking: Asking) -> None:
    for number in range(40):
        simulated(asking, number, done=False)
    standing = record_of(asking).standing("promote", "dev")
    assert (standing.trials, standing.level) == (0, Level.APPROVE)


def test_what_a_model_says_of_itself_is_no_trial(tmp_path: Path) -> None:
    story = given(tmp_path, Action.NOISE, of=earning()).runs()
    record = story.rig.office.autonomy
    assert [s.trials for s in record.standings("dev")] == [0] * len(CLASSES)


# -- the engine writes it ---------------------------------------------------------------------------------------------


def test_a_cycle_that_acted_and_was_verified_is_one_success_of_its_class(tmp_path: Path) -> None:
    story = given(tmp_path, Action.RETRAIN).runs().expect_end(OutcomeKind.IMPROVED)
    record = story.rig.office.autonomy
    standing = record.standing("promote", "dev")
    assert (standing.trials, standing.successes, standing.level) == (1, 1, Level.ACT)
    assert record.standing("tune", "dev").trials == 0


def test_a_change_that_was_taken_back_is_a_bad_outcome(tmp_path: Path) -> None:
    story = given(tmp_path, Action.RETRAIN).when(after_promotion=0.3).runs().expect_end(OutcomeKind.ROLLED_BACK)
    [trial] = story.rig.office.autonomy.trials("promote", "dev")
    assert (trial.harmful, trial.success, trial.outcome) == (True, False, OutcomeKind.ROLLED_BACK)


def test_a_bad_outcome_that_cannot_be_kept_is_not_passed_over(tmp_path: Path) -> None:
    story = given(tmp_path, Action.RETRAIN).when(after_promotion=0.3)
    record = story.rig.office.autonomy

    class Away(MemoryAutonomy):
        def add(self, trial: Trial) -> None:
            raise DependencyUnavailable("store", "the database is away")

    record._store = Away()
    story.runs()
    assert story.cycle.stage.value == "stopped"
    assert "is away" in story.cycle.reason


# -- caps -------------------------------------------------------------------------------------------------------------


def capped(asking: Asking, to: Level | None, by: str = "Ann", **how: Any) -> Cap:
    word = {"kind": "promote", "environment": "dev", "reason": "an audit", "account": by.casefold(), **how}
    return record_of(asking).put_cap(PEOPLE, by, to, **word)


def test_an_admin_caps_what_was_earned_and_lifts_it_again(asking: Asking) -> None:
    for number in range(20):
        simulated(asking, number)
    capped(asking, Level.APPROVE)
    refused(asking.call())
    capped(asking, None, reason="it is over")
    assert isinstance(asking.call(), Done)
    assert [(c.level, c.by) for c in record_of(asking).caps("promote", "dev")] == [
        (Level.APPROVE, "Ann"),
        (None, "Ann"),
    ]


def test_what_is_capped_at_suggest_no_approval_opens(asking: Asking) -> None:
    capped(asking, Level.SUGGEST)
    refused(asking.call(), "denied")
    capped(asking, Level.APPROVE)
    asking.approve(asking.asked())
    capped(asking, Level.SUGGEST)
    refused(asking.call(), "denied")
    assert asking.promotions == 0


def test_a_cap_holds_also_where_nothing_has_to_be_earned(tmp_path: Path) -> None:
    asking = Asking(tmp_path)
    flag(asking.rig, "auto_promote", True)
    capped(asking, Level.APPROVE)
    refused(asking.call())
    assert level(asking) is Level.APPROVE


@contextmanager
def said(words: str) -> Iterator[None]:
    with pytest.raises(InvalidInput, match=words):
        yield


def test_only_an_admin_who_proves_it_and_says_why_caps(asking: Asking) -> None:
    with said("Bob is no admin"):
        capped(asking, Level.APPROVE, "Bob")
    with said("the account mallory is none of Ann"):
        capped(asking, Level.APPROVE, account="mallory")
    with said("on record with a reason"):
        capped(asking, Level.APPROVE, reason=" ")
    with said("no class of action"):
        capped(asking, Level.APPROVE, kind="everything")
    with said("not among the people"):
        capped(asking, Level.APPROVE, "Mallory")
    assert record_of(asking).caps() == []


def test_a_lifting_that_was_only_written_into_the_table_lifts_nothing(asking: Asking) -> None:
    for number in range(20):
        simulated(asking, number)
    cap = capped(asking, Level.APPROVE)
    forged = cap.model_copy(update={"level": None, "by": "Mallory"})
    store_of(asking).cap(cap.kind, cap.environment, lambda: forged)
    assert level(asking) is Level.APPROVE
    refused(asking.call())


# -- where it is decided ----------------------------------------------------------------------------------------------


def test_while_the_record_cannot_be_read_nothing_of_a_class_is_done(asking: Asking) -> None:
    class Away(MemoryAutonomy):
        def trials(self, *_: Any) -> Any:
            raise DependencyUnavailable("store", "the database is away")

    record_of(asking)._store = Away()
    assert "away" in refused(asking.call(), "denied").reason


def test_only_the_demo_acts_unasked_and_the_policies_name_every_tool_of_a_class() -> None:
    modes = {
        name: load_profile(packaged_profile(name), file=name).autonomy.mode for name in ("dev", "staging", "production")
    }
    assert modes == {"dev": "act", "staging": "earned", "production": "earned"}
    text = packaged_policy_files()["forbids.cedar"].decode()
    [policy] = [p for p in text.split("@id(") if p.startswith('"forbid-unearned"')]
    for tool in (tool for tools in CLASSES.values() for tool in tools):
        assert f'Action::"{tool}"' in policy, tool
