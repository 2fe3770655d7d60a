"""What a cycle may spend: counted when it begins, ended cleanly where it does not reach, and told in its report."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from adapters.ledger.base import Account
from adapters.ledger.memory import MemoryLedger
from cycles.budget import settle_left
from cycles.desk import Desk
from cycles.dues import left_over, overdrawn, settle
from domain.budget import Amounts, Ceiling
from domain.diagnosis import Action
from domain.errors import DependencyUnavailable
from domain.events import Event
from domain.outcome import OutcomeKind
from domain.stage import Stage
from evals import simulated_office
from evals.simulated_office import JOBS
from tests.support.office import Rig, ended
from tests.support.setting import alert_of, profile
from tests.support.story import Story, given

DEAR = JOBS.model_copy(update={"usd_per_hour": 90.0})


def story(folder: Path, action: Action = Action.RETRAIN, **budget: object) -> Story:
    """Return a story in which running something for an hour costs 90 dollars."""
    return given(folder, action, of=profile(budget=budget))


@pytest.fixture
def dear(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(simulated_office, "JOBS", DEAR)


def purse_of(rig: Rig) -> Any:
    """Return the purse of an office."""
    assert rig.office.purse is not None
    return rig.office.purse


def outcome(told: Story) -> Mapping[str, Any]:
    """Return the written outcome."""
    written = told.rig.office.artifacts.read(told.cycle.id, "outcome.json")
    assert written is not None
    return written


def test_a_cycle_tells_what_it_spent_and_leaves_nothing_set_aside(tmp_path: Path, dear: None) -> None:
    told = story(tmp_path, cycle_usd=50).runs()
    told.expect_end(OutcomeKind.IMPROVED).is_proven()
    said = outcome(told)["budget"]
    assert [line["name"].split("/")[0] for line in said["accounts"]] == ["cycle", "period"]
    assert said["refused"] is None
    assert all(line["reserved"] == Amounts().model_dump() for line in said["accounts"])
    assert purse_of(told.rig).ledger.open_reservations() == []
    assert purse_of(told.rig).ledger.faults() == []
    assert left_over(purse_of(told.rig).ledger, told.rig.store, told.rig.audit) == []


def test_a_training_that_does_not_fit_is_a_clean_stop_with_a_report(tmp_path: Path, dear: None) -> None:
    told = story(tmp_path, cycle_usd=1).runs()
    told.expect_end(OutcomeKind.HANDED_OFF).is_proven()
    told.said("the budget of cycle/", "3.00 USD needed, 1.00 USD left of 1.00 USD")
    assert "train_model" not in told.effects
    said = outcome(told)
    assert "3.00 USD needed" in said["budget"]["refused"]
    assert said["post_mortem"] is None
    assert [e.answer for e in told.rig.events if e.kind == "budget"] == ["refused"]
    refusals = [r for r in told.rig.audit.records(told.cycle.id) if r.entry.status == "budget"]
    assert len(refusals) == 1
    assert told.path == ["observe", "diagnose", "plan", "augment", "train", "learn", "done"]


def test_a_cycle_beyond_the_day_is_opened_and_ends_at_once_with_nothing_done(tmp_path: Path) -> None:
    told = given(tmp_path, Action.NOISE, of=profile().model_copy(update={"max_cycles_per_day": 1})).runs()
    told.expect_end(OutcomeKind.LEFT_ALONE)
    again = Story(told.rig, Action.NOISE).runs()
    again.expect_end(OutcomeKind.HANDED_OFF).said("1 cycles needed, 0 cycles left of 1 cycles")
    assert again.path == ["observe", "learn", "done"]
    assert again.rig.store.recordings(again.cycle.id, "observe/") == []
    assert outcome(again)["post_mortem"] is None


def test_a_ledger_that_is_away_ends_the_cycle_before_it_begins(tmp_path: Path) -> None:
    told = given(tmp_path, Action.RETRAIN)
    purse_of(told.rig).ledger.reservation = _away
    told.runs().expect_end(OutcomeKind.HANDED_OFF).did("notify").said("ledger: it is away")


def _away(*_: object, **__: object) -> None:
    raise DependencyUnavailable("ledger", "it is away")


def test_a_ledger_that_goes_away_while_a_model_is_live_does_not_keep_it_from_being_taken_back(tmp_path: Path) -> None:
    told = given(tmp_path, Action.RETRAIN).when(after_promotion=0.3)
    rig = told.rig

    def away_from_the_watch_on(event: Event) -> None:
        rig.events.append(event)
        if event.kind == "stage" and event.stage == "watch":
            for name in ("reserve", "settle", "release", "account", "open_reservations", "reservation"):
                setattr(purse_of(rig).ledger, name, _away)

    object.__setattr__(rig.office, "observer", away_from_the_watch_on)
    told.runs().expect_end(OutcomeKind.ROLLED_BACK)
    assert "roll_back" in told.effects


def test_what_a_dead_process_left_is_settled_before_the_stage_runs(tmp_path: Path) -> None:
    told = given(tmp_path, Action.NOISE)
    rig = told.rig
    cycle = rig.open(alert_of(Action.NOISE, rig.clock))
    desk = Desk(rig.office, cycle)
    purse_of(rig).reserve(f"ask/{cycle.id}/observe/x", desk.scope, Amounts(tokens=77))
    settle_left(desk)
    standing = purse_of(rig).ledger.account(f"cycle/{cycle.id}")
    assert (standing.reserved, standing.spent) == (Amounts(), Amounts(tokens=77))
    assert any("charged in full" in event.what for event in rig.events)


def test_what_cannot_be_settled_yet_is_told_and_stays(tmp_path: Path) -> None:
    rig = given(tmp_path, Action.NOISE).rig
    cycle = rig.open(alert_of(Action.NOISE, rig.clock))
    purse_of(rig).ledger.open_reservations = _away
    settle_left(Desk(rig.office, cycle))
    assert any("stays so for now" in event.what for event in rig.events)


def test_what_is_left_of_ended_cycles_is_found_and_mended(tmp_path: Path) -> None:
    told = given(tmp_path, Action.NOISE).runs()
    rig, purse = told.rig, purse_of(told.rig)
    scope = Desk(rig.office, told.cycle).scope
    purse.reserve(f"ask/{told.cycle.id}/learn/x", scope, Amounts(tokens=5))
    purse.reserve("0" * 32, scope, Amounts(usd_micros=9))
    dues = left_over(purse.ledger, rig.store, rig.audit)
    assert sorted(due.held.key for due in dues) == sorted(["0" * 32, f"ask/{told.cycle.id}/learn/x"])
    assert all(told.cycle.id in due.said() for due in dues)
    assert settle(purse, dues) == []
    assert left_over(purse.ledger, rig.store, rig.audit) == []
    assert purse.ledger.account(f"cycle/{told.cycle.id}").spent == Amounts(tokens=5)


def test_what_open_cycles_have_set_aside_is_not_left_over(tmp_path: Path) -> None:
    rig = given(tmp_path, Action.NOISE).rig
    cycle = rig.open(alert_of(Action.NOISE, rig.clock))
    purse_of(rig).reserve("0" * 32, Desk(rig.office, cycle).scope, Amounts(tokens=5))
    assert left_over(purse_of(rig).ledger, rig.store, rig.audit) == []


def test_an_account_that_spent_more_than_there_was_is_named(tmp_path: Path) -> None:
    ledger = MemoryLedger(given(tmp_path, Action.NOISE).rig.clock)

    account = Account(name="cycle/x", ceiling=Ceiling(tokens=10))
    ledger.reserve("k", (account,), Amounts(tokens=10))
    assert overdrawn(ledger.accounts()) == []
    ledger.settle("k", Amounts(tokens=11))
    assert overdrawn(ledger.accounts()) == ["cycle/x is overdrawn: 11 tokens of 10 tokens are spent"]


def test_two_cycles_share_the_period_and_not_their_own_accounts(tmp_path: Path) -> None:
    rig = given(tmp_path, Action.NOISE).rig
    first, second = ended(rig, Action.NOISE), ended(rig, Action.NOISE)
    assert (first.stage, second.stage) == (Stage.DONE, Stage.DONE)
    names = [s.name for s in purse_of(rig).ledger.accounts()]
    assert len([name for name in names if name.startswith("period/")]) == 1
    assert [s.spent.cycles for s in purse_of(rig).ledger.accounts("day/")] == [2]
