"""An alert that ends by itself: its cycle stops while nothing was done, and goes on once something was."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from adapters.inbox.base import NewLetter
from adapters.inbox.memory import MemoryInbox
from cycles.incidents import LINGER
from cycles.intake import take_turn
from cycles.resolved import REASON
from domain.alert import Alert, AlertStatus
from domain.diagnosis import Action
from domain.outcome import OutcomeKind
from domain.stage import Stage
from tests.support.meddling import flag, when_stage
from tests.support.replays import replayed
from tests.support.setting import alert_of
from tests.support.story import Story, given


class Told:
    """A story whose cycle is opened by way of an inbox, as the service does."""

    def __init__(self, folder: Path, action: Action = Action.RETRAIN) -> None:
        self.story: Story = given(folder, action)
        self.rig = self.story.rig
        self.inbox = MemoryInbox(self.rig.store, self.rig.clock)
        object.__setattr__(self.rig.office, "incidents", self.inbox)
        self.alert = alert_of(action, self.rig.clock)
        self.says(self.alert)

    def says(self, *alerts: Alert) -> None:
        """Tell of alerts, and take them."""
        for alert in alerts:
            ended = self.rig.clock.now() if alert.status is AlertStatus.RESOLVED else None
            self.inbox.put([NewLetter(alert=alert, ended_at=ended)])
        while take_turn(self.inbox, self.rig.clock):
            pass

    def resolves(self, *alerts: Alert) -> None:
        """Tell that alerts, or the one the cycle was opened for, are resolved."""
        self.says(*(one.model_copy(update={"status": AlertStatus.RESOLVED}) for one in alerts or (self.alert,)))


@pytest.fixture
def told(tmp_path: Path) -> Told:
    return Told(tmp_path)


@pytest.mark.parametrize(("stage", "what"), [("observe", "wait"), ("observe", "end"), ("diagnose", "end")])
def test_a_cycle_whose_alert_is_resolved_before_it_acted_ends_with_an_outcome_of_its_own(
    told: Told, stage: str, what: str
) -> None:
    when_stage(told.rig, stage, told.resolves, what=what)
    told.story.runs().expect_end(OutcomeKind.RESOLVED, Stage.STOPPED).said(REASON).is_proven()
    assert set(told.story.effects) <= {"notify"}


def test_a_cycle_goes_on_once_it_has_acted_and_sees_for_itself(told: Told) -> None:
    when_stage(told.rig, "train", told.resolves, what="end")
    told.story.runs().expect_end(OutcomeKind.IMPROVED)
    assert "promote" in told.story.effects


def test_a_cycle_with_another_alert_that_still_fires_goes_on(told: Told) -> None:
    other = told.alert.model_copy(update={"fingerprint": "other"})
    told.says(other)
    when_stage(told.rig, "observe", told.resolves, what="end")
    told.story.runs().expect_end(OutcomeKind.IMPROVED)


def test_a_cycle_whose_alerts_are_all_resolved_ends(told: Told) -> None:
    other = told.alert.model_copy(update={"fingerprint": "other"})
    told.says(other)
    when_stage(told.rig, "observe", lambda: told.resolves(told.alert, other), what="end")
    told.story.runs().expect_end(OutcomeKind.RESOLVED, Stage.STOPPED)


def test_an_alert_that_fires_again_before_the_next_step_keeps_its_cycle(told: Told) -> None:
    def flaps() -> None:
        told.resolves()
        again = told.alert.model_copy(update={"starts_at": told.rig.clock.now() + timedelta(seconds=1)})
        told.says(again)

    when_stage(told.rig, "observe", flaps, what="end")
    told.story.runs().expect_end(OutcomeKind.IMPROVED)


def test_a_cycle_that_waits_for_people_is_woken_and_takes_its_request_back(tmp_path: Path) -> None:
    told = Told(tmp_path, Action.ROLLBACK)
    flag(told.rig, "auto_rollback", False)
    when_stage(told.rig, "roll_back", told.resolves, what="wait")
    began = told.rig.clock.now()
    told.story.runs().expect_end(OutcomeKind.RESOLVED, Stage.STOPPED)
    waited = told.rig.clock.now() - began
    assert waited < told.rig.profile.poll.approval_timeout
    assert "roll_back" not in told.story.effects
    [asked] = told.rig.office.consent.store.requests(cycle_id=told.story.cycle.id)
    assert asked.withdrawn


def test_what_fires_while_the_cycle_ends_for_want_of_an_alert_leads_to_the_next_one(told: Told) -> None:
    when_stage(told.rig, "diagnose", told.resolves, what="end")
    late = told.alert.model_copy(update={"fingerprint": "late", "starts_at": told.rig.clock.now()})
    before = told.rig.office.observer

    def note(event: object) -> None:
        before(event)  # type: ignore[arg-type]  # an Event, as every observer is told
        if (getattr(event, "stage", ""), getattr(event, "what", "")) == ("learn", "begin"):
            told.says(late)

    object.__setattr__(told.rig.office, "observer", note)
    told.story.runs().expect_end(OutcomeKind.RESOLVED, Stage.STOPPED)
    assert told.inbox.counts().waiting == 1
    told.rig.clock.sleep(2 * LINGER)
    told.says()
    known = told.inbox.incident("dev/search", "late")
    assert known is not None
    assert known.cycle_id not in ("", told.story.cycle.id)


def test_a_cycle_that_nobody_told_an_alert_of_is_never_ended_by_one(told: Told) -> None:
    told.resolves()
    end = told.rig.store.cycles(open_only=True)[0]
    told.rig.store.save(end.model_copy(update={"stage": Stage.STOPPED}))
    told.rig.open(told.alert.model_copy(update={"source": "operator"}))
    told.story.runs().expect_end(OutcomeKind.IMPROVED)


def test_a_cycle_that_ended_with_its_alert_replays(told: Told) -> None:
    when_stage(told.rig, "diagnose", told.resolves, what="end")
    told.story.runs().expect_end(OutcomeKind.RESOLVED, Stage.STOPPED)
    found = replayed(told.rig, told.story.cycle)
    assert (found.same, found.partings) == (True, ())
