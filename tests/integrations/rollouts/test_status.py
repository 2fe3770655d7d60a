"""What a wait and the tool `rollout_status` are told of a Rollout."""

from __future__ import annotations

import pytest

from adapters.delivery.base import RolloutStatus
from domain.actor import Actor, Role
from domain.verdict import Verdict
from tests.integrations.rollouts.cluster import Cluster, analysis, metric, rollout
from tools.deliver.live import RolloutRead, RolloutView
from tools.tool import Call, Nothing, Scope

pytestmark = pytest.mark.integration("rollouts", "works")


def status(cluster: Cluster) -> RolloutStatus:
    rollouts = cluster.rollouts()
    try:
        return rollouts.status()
    finally:
        rollouts.close()


def test_a_pause_is_told_with_its_weight_and_reason_and_is_no_failure(cluster: Cluster) -> None:
    cluster.put(rollout(), analysis("Successful", metric()))
    found = status(cluster)
    assert (found.phase, found.pauses, found.aborted, found.failure) == ("Paused", ("CanaryPauseStep",), False, "")
    assert found.pending.endswith("(CanaryPauseStep)")
    assert [judged.verdict for judged in found.analyses] == [Verdict.PASS]


def test_a_failed_analysis_is_a_failure_with_its_name(cluster: Cluster) -> None:
    cluster.put(rollout(), analysis("Failed", metric(phase="Failed"), name="search-7"))
    assert "search-7 fail" in status(cluster).failure


def test_an_abort_is_a_failure_once_the_controller_has_seen_the_specification(cluster: Cluster) -> None:
    cluster.put(rollout(phase="Degraded", abort=True, message="RolloutAborted"))
    assert status(cluster).failure == "aborted: RolloutAborted"
    cluster.put(rollout(phase="Degraded", abort=True, observedGeneration="2"))
    assert (status(cluster).failure, status(cluster).pending != "") == ("", True)


def test_the_tool_tells_the_same(cluster: Cluster) -> None:
    cluster.put(rollout(phase="Degraded", abort=True, message="RolloutAborted"))
    rollouts = cluster.rollouts()
    scope = Scope("si_2026_01_01_001", "observe", "search", "dev", cluster.clock.now(), cluster.clock.now())
    call = Call(scope=scope, actor=Actor(role=Role.SUPERVISOR), key="k", place="p")
    view = RolloutRead(rollouts).run(Nothing(), call)
    rollouts.close()
    assert view == RolloutView(status=view.status, failure="aborted: RolloutAborted", pending=view.status.pending)
