"""A release waited for while a Rollout shifts its traffic: what the Rollout says can end the wait, and never well."""

from __future__ import annotations

from datetime import timedelta

import pytest

from adapters.delivery.base import Degraded, RolloutStatus, StillProgressing
from domain.errors import DependencyUnavailable
from domain.verdict import Judgement, Verdict
from testbed.argocd import ArgoCd
from tests.integrations.argocd.bench import Bench
from tests.integrations.argocd.test_works import wait
from tests.support.cluster import MemoryRollout

pytestmark = pytest.mark.integration("argocd", "lying")

WELL = RolloutStatus(phase="Healthy", weight=100)
HALF = RolloutStatus(phase="Paused", updating=True, weight=20, pauses=("CanaryPauseStep",))
NDCG = Judgement(verdict=Verdict.FAIL, reason="Failed: ndcg below 0.5", name="search-1")
GRACE = timedelta(seconds=4)


def test_a_rollout_that_is_everywhere_stands_in_nobody_s_way(it: Bench, argo: ArgoCd) -> None:
    it.becomes(it.new)
    assert wait(it.delivery(argo, rollout=MemoryRollout(WELL)), it.new) == it.new
    past = WELL.model_copy(update={"analyses": (NDCG,)})
    assert wait(it.delivery(argo, rollout=MemoryRollout(past)), it.new) == it.new


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"aborted": True, "phase": "Degraded", "message": "RolloutAborted"}, "aborted: RolloutAborted"),
        ({"phase": "Degraded", "message": "no progress"}, "Degraded: no progress"),
        ({"analyses": (NDCG,)}, "Paused; search-1 fail: Failed: ndcg below 0.5"),
        ({"analyses": (NDCG.model_copy(update={"verdict": Verdict.ERROR}),)}, "search-1 error"),
    ],
)
def test_a_rollout_that_failed_ends_the_wait_with_its_reason(
    it: Bench, argo: ArgoCd, changes: dict[str, object], words: str
) -> None:
    it.becomes(it.new)
    begun = it.clock.now()
    rollout = MemoryRollout(HALF.model_copy(update=changes))
    with pytest.raises(Degraded, match=rf"its Rollout is .*{words}"):
        wait(it.delivery(argo, rollout=rollout, grace=GRACE), it.new)
    assert it.clock.now() - begun == GRACE


def test_a_rollout_on_its_way_is_not_live_though_argo_cd_and_the_platform_say_so(it: Bench, argo: ArgoCd) -> None:
    it.becomes(it.new)
    with pytest.raises(StillProgressing, match=r"its Rollout is Paused at 20 % \(CanaryPauseStep\)"):
        wait(it.delivery(argo, rollout=MemoryRollout(HALF)), it.new, seconds=3)


def test_what_an_old_status_says_is_not_held_against_the_new_version(it: Bench, argo: ArgoCd) -> None:
    it.becomes(it.new)
    old = RolloutStatus(phase="", aborted=True, analyses=(NDCG,))
    with pytest.raises(StillProgressing, match="its Rollout is not looked at yet"):
        wait(it.delivery(argo, rollout=MemoryRollout(old), grace=timedelta()), it.new, seconds=3)


def test_a_rollout_that_cannot_be_asked_is_not_taken_for_well(it: Bench, argo: ArgoCd) -> None:
    class Away(MemoryRollout):
        def status(self) -> RolloutStatus:
            raise DependencyUnavailable("rollouts", "the connection was refused")

    it.becomes(it.new)
    with pytest.raises(StillProgressing, match=r"its Rollout cannot be asked: .*refused"):
        wait(it.delivery(argo, rollout=Away(WELL)), it.new, seconds=3)
