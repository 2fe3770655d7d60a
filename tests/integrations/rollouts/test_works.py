"""A Rollout is read, paused, resumed and aborted through a Kubernetes API."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from adapters.delivery.rollouts import EFFECT_ABORT, EFFECT_PAUSE, EFFECT_RESUME
from domain.clock import FrozenClock
from domain.errors import ConflictError
from domain.observation import Seen
from domain.permit import PermitOffice
from domain.verdict import Verdict
from tests.contract.permits import Effect, EffectContract, permit_for
from tests.integrations.rollouts.cluster import NEW, STABLE, Cluster, analysis, metric, rollout

pytestmark = pytest.mark.integration("rollouts", "works")


class TestEffects(EffectContract):
    """Every effect under every rule for effects; each on a Rollout that waits at its first step."""

    @pytest.fixture(params=[EFFECT_PAUSE, EFFECT_RESUME, EFFECT_ABORT])
    def effects(self, cluster: Cluster, request: pytest.FixtureRequest) -> list[Effect]:
        cluster.put(rollout())
        it, name = cluster.rollouts(), str(request.param)
        act = {EFFECT_PAUSE: it.pause, EFFECT_RESUME: it.resume, EFFECT_ABORT: it.abort}[name]
        place = "spec" if name == EFFECT_PAUSE else "status"
        return [
            Effect(
                name,
                lambda key, permit: act(key=key, permit=permit),
                lambda: len([patch for patch in cluster.patches() if place in patch]),
            )
        ]

    @pytest.fixture
    def office_clock(self, cluster: Cluster) -> FrozenClock:
        return cluster.clock

    @pytest.fixture
    def office(self, cluster: Cluster) -> PermitOffice:
        return cluster.office


def test_how_far_a_new_version_is_can_be_read(cluster: Cluster) -> None:
    cluster.put(rollout())
    state = cluster.rollouts().state()
    assert (state.phase, state.updating, state.paused, state.aborted) == ("Paused", True, True, False)
    assert (state.weight, state.step, state.steps) == (20, 1, 5)
    assert (state.version, state.stable) == (NEW, STABLE)
    assert [(p.reason, p.since) for p in state.pauses] == [("CanaryPauseStep", datetime(2026, 1, 1, 0, 5, tzinfo=UTC))]


def test_the_weight_is_what_is_routed_where_that_is_known(cluster: Cluster) -> None:
    weights = {"canary": {"weight": 35}, "stable": {"weight": 65}, "verified": True}
    cluster.put(rollout(canary={"weights": weights}, currentStepIndex=2))
    assert cluster.rollouts().state().weight == 35
    cluster.change(canary={"weights": None})
    assert cluster.rollouts().state().weight == 60
    cluster.change(stableRS=NEW)
    assert (cluster.rollouts().state().weight, cluster.rollouts().state().updating) == (None, False)


def test_a_status_of_an_older_specification_has_no_phase(cluster: Cluster) -> None:
    cluster.put(rollout(phase="Healthy", observedGeneration="2"))
    assert cluster.rollouts().state().phase == ""


def test_a_pause_a_resume_and_an_abort_are_found_again(cluster: Cluster) -> None:
    cluster.put(rollout())
    it = cluster.rollouts()
    it.pause(key="k1", permit=permit_for(cluster.office, EFFECT_PAUSE, "k1"))
    assert cluster.rollout()["spec"]["paused"] is True
    it.resume(key="k2", permit=permit_for(cluster.office, EFFECT_RESUME, "k2"))
    now = cluster.rollout()
    assert (now["spec"]["paused"], "pauseConditions" in now["status"]) == (False, False)
    it.abort(key="k3", permit=permit_for(cluster.office, EFFECT_ABORT, "k3"))
    assert cluster.rollout()["status"]["abort"] is True
    effects = [it.observe(key).outcome["effect"] for key in ("k1", "k2", "k3")]
    assert effects == [EFFECT_PAUSE, EFFECT_RESUME, EFFECT_ABORT]
    assert it.observe("k4").seen is Seen.ABSENT


def test_an_effect_that_broke_off_half_way_is_taken_up_again(cluster: Cluster) -> None:
    cluster.put(rollout())
    it = cluster.rollouts()
    it.abort(key="k1", permit=permit_for(cluster.office, EFFECT_ABORT, "k1"))
    cluster.change(abort=None)
    assert it.observe("k1").seen is Seen.ABSENT
    it.abort(key="k1", permit=permit_for(cluster.office, EFFECT_ABORT, "k1"))
    assert it.observe("k1").seen is Seen.DONE


def test_a_later_pause_is_not_ended_by_the_resume_of_an_earlier_one(cluster: Cluster) -> None:
    cluster.put(rollout())
    it = cluster.rollouts()
    it.resume(key="k1", permit=permit_for(cluster.office, EFFECT_RESUME, "k1"))
    later = [{"reason": "CanaryPauseStep", "startTime": "2026-01-01T00:20:00Z"}]
    cluster.change(pauseConditions=later, currentStepIndex=4)
    it.resume(key="k1", permit=permit_for(cluster.office, EFFECT_RESUME, "k1"))
    assert cluster.rollout()["status"]["pauseConditions"] == later
    assert it.observe("k1").seen is Seen.DONE


def test_nothing_is_resumed_or_aborted_where_nothing_is_on_its_way(cluster: Cluster) -> None:
    cluster.put(rollout(pauseConditions=[], stableRS=NEW))
    it = cluster.rollouts()
    with pytest.raises(ConflictError, match="not paused"):
        it.resume(key="k1", permit=permit_for(cluster.office, EFFECT_RESUME, "k1"))
    with pytest.raises(ConflictError, match="no new version"):
        it.abort(key="k2", permit=permit_for(cluster.office, EFFECT_ABORT, "k2"))
    cluster.change(abort=True, stableRS=STABLE)
    with pytest.raises(ConflictError, match="was aborted"):
        it.resume(key="k3", permit=permit_for(cluster.office, EFFECT_RESUME, "k3"))
    assert cluster.patches() == []


def test_only_the_last_few_keys_are_kept(cluster: Cluster) -> None:
    cluster.put(rollout())
    it = cluster.rollouts()
    for number in range(20):
        it.pause(key=f"k{number}", permit=permit_for(cluster.office, EFFECT_PAUSE, f"k{number}"))
    assert it.observe("k19").seen is Seen.DONE
    assert it.observe("k3").seen is Seen.ABSENT


def test_the_analyses_of_the_present_version_are_judged_together(cluster: Cluster) -> None:
    good, other = analysis("Successful", metric()), analysis("Failed", metric(phase="Failed"), name="b", version=STABLE)
    cluster.put(rollout(), good, other, analysis("Failed", name="c", uid="another"))
    it = cluster.rollouts()
    assert [run.metadata.name for run in it.analyses()] == ["search-1"]
    assert it.judge().verdict is Verdict.PASS
    cluster.put(None, analysis("Running", name="d"))
    assert it.judge().verdict is Verdict.INSUFFICIENT


def test_without_any_analysis_there_is_no_verdict(cluster: Cluster) -> None:
    cluster.put(rollout())
    assert cluster.rollouts().judge().verdict is Verdict.INSUFFICIENT


def test_the_doctor_is_told_what_answers(cluster: Cluster) -> None:
    cluster.put(rollout())
    line = cluster.rollouts().check()
    assert line.startswith("rollouts: Kubernetes v")
    assert line.endswith("search is Paused, canary weight 20 %; patch is allowed")
