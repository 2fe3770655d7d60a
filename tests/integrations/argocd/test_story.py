"""A whole cycle whose release does not come live: it is taken back or handed to a person, and never a success."""

from __future__ import annotations

from pathlib import Path

import pytest

from adapters.delivery.base import Degraded, NotLive, OperationFailed, StillProgressing, Superseded
from domain.diagnosis import Action
from domain.errors import EvercrewError
from domain.outcome import OutcomeKind
from domain.stage import Stage
from tests.support.flaky import Plan
from tests.support.meddling import failing
from tests.support.story import given

pytestmark = pytest.mark.integration("argocd", "lying")

# A retrain waits for its A/B test first, for its promotion second, for the way back third.
PROMOTION, WAY_BACK = 2, 3
REMEDY = "See the application's page"
ENDS = [
    NotLive("argocd", "Argo CD says Synced and Healthy, but the platform serves revision 0000", REMEDY),
    Superseded("argocd: aaaa is superseded by bbbb: somebody else's commit is the newest now"),
    Degraded("argocd", "it is Degraded: Deployment/search: exceeded its progress deadline", REMEDY),
    OperationFailed("argocd", "the sync of aaaa failed", REMEDY),
    StillProgressing("argocd", "after 60 s it is Progressing", REMEDY),
]


def only(number: int, error: EvercrewError) -> Plan:
    """Fail at one call."""
    return lambda call: error if call == number else None


@pytest.mark.parametrize("error", ENDS, ids=[type(error).__name__ for error in ENDS])
def test_a_promotion_that_does_not_come_live_is_taken_back(tmp_path: Path, error: EvercrewError) -> None:
    story = given(tmp_path, Action.RETRAIN, change=failing("delivery", wait_until=only(PROMOTION, error)))
    story.runs().expect_end(OutcomeKind.ROLLED_BACK).said("did not come live", type(error).__name__).is_proven()
    assert story.effects[-5:] == ["promote", "roll_back", "ab_stop", "describe_model", "notify"]


def test_a_tuning_that_somebody_else_overtakes_goes_to_a_person(tmp_path: Path) -> None:
    """It only says in git what git said before, so there is no change to revert."""
    story = given(tmp_path, Action.TUNE, change=failing("delivery", wait_until=only(1, ENDS[1])))
    story.runs().expect_end(OutcomeKind.HANDED_OFF).said("changed nothing: there is nothing to revert").is_proven()
    assert story.effects == ["apply_tuning", "notify"]
    assert "superseded by bbbb" in story.cycle.facts["roll_back"]["reason"]


def test_a_way_back_that_does_not_come_live_goes_to_a_person(tmp_path: Path) -> None:
    def plan(call: int) -> EvercrewError | None:
        return ENDS[0] if call >= PROMOTION else None

    story = given(tmp_path, Action.RETRAIN, change=failing("delivery", wait_until=plan)).runs()
    assert story.cycle.outcome is OutcomeKind.HANDED_OFF
    assert story.cycle.stage in (Stage.DONE, Stage.STOPPED)
    assert story.effects.count("roll_back") == 1


def test_a_moment_s_trouble_on_the_way_back_is_waited_through(tmp_path: Path) -> None:
    def plan(call: int) -> EvercrewError | None:
        return ENDS[0] if call in (PROMOTION, WAY_BACK) else None

    story = given(tmp_path, Action.RETRAIN, change=failing("delivery", wait_until=plan)).runs()
    story.expect_end(OutcomeKind.ROLLED_BACK).is_proven()
    assert story.effects.count("roll_back") == 1
