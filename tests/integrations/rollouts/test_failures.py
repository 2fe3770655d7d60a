"""A cluster that refuses, is slow, lies, or is not the one that was meant."""

from __future__ import annotations

import asyncio
import json
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from adapters.delivery.rollouts import EFFECT_ABORT, EFFECT_PAUSE, ArgoRollouts
from adapters.rest import Refused
from domain.clock import FrozenClock
from domain.errors import ConfigurationError, ConflictError, DependencyLied, DependencyTimeout, DependencyUnavailable
from domain.observation import Seen
from domain.permit import PermitOffice
from testbed.servers.base import free_port
from tests.contract.permits import permit_for
from tests.integrations.rollouts.cluster import NAME, NAMESPACE, Cluster, endpoint, rollout
from tests.stubs.small_server import Asked, Said, SmallServer

refused = pytest.mark.integration("rollouts", "refused")
slow = pytest.mark.integration("rollouts", "slow")
lying = pytest.mark.integration("rollouts", "lying")
misconfigured = pytest.mark.integration("rollouts", "misconfigured")


def problem(status: int, message: str) -> Said:
    """Return a Status as the API server writes one."""
    body = {"kind": "Status", "apiVersion": "v1", "status": "Failure", "message": message, "code": status}
    return Said(status, json.dumps(body).encode())


def _said(answer: Said, request: Asked) -> Said:
    return answer


def on(url: str, **changes: Any) -> ArgoRollouts:
    """Return the adapter on another server."""
    clock = FrozenClock()
    settings: dict[str, Any] = {"endpoint": endpoint(url), "permits": PermitOffice(clock), "clock": clock}
    return ArgoRollouts(**settings | {"namespace": NAMESPACE, "name": NAME} | changes)


@refused
def test_a_token_it_does_not_know_is_told_from_a_missing_right() -> None:
    with (
        SmallServer(lambda request: problem(401, "Unauthorized")) as server,
        pytest.raises(Refused, match="a token the API"),
    ):
        on(server.url).state()
    said = 'rollouts.argoproj.io "search" is forbidden: User "system:serviceaccount:x:y" cannot get resource'
    with (
        SmallServer(lambda request: problem(403, said)) as server,
        pytest.raises(Refused, match=r"cannot get.*Bind a role"),
    ):
        on(server.url).state()


@refused
def test_a_cluster_that_is_away_is_named() -> None:
    with pytest.raises(DependencyUnavailable, match=r"delivery\.rollout\.url"):
        on(f"http://127.0.0.1:{free_port()}").state()


@refused
def test_a_rollout_that_somebody_changed_just_now_is_left_alone(cluster: Cluster) -> None:
    cluster.put(rollout())
    path = f"/apis/argoproj.io/v1alpha1/namespaces/{NAMESPACE}/rollouts/{NAME}"
    found = json.dumps(cluster.rollout()).encode()

    def answer(request: Asked) -> Said:
        assert request.path == path
        changed = problem(409, "the object has been modified")
        return Said(body=found) if request.method == "GET" else Said(changed.status, changed.body)

    with SmallServer(answer) as server:
        it = on(server.url, permits=cluster.office)
        with pytest.raises(ConflictError, match="has been modified"):
            it.pause(key="k1", permit=permit_for(cluster.office, EFFECT_PAUSE, "k1"))
        sent = json.loads(server.seen[-1].body)
    assert sent["metadata"]["resourceVersion"] == "41"


@slow
def test_an_answer_that_does_not_come_in_time_is_named(cluster: Cluster) -> None:
    cluster.put(rollout())
    cluster.answer("get /version", lambda: asyncio.sleep(5))
    hasty = endpoint(cluster.url, timeout=timedelta(milliseconds=200), attempts=1)
    with pytest.raises(DependencyTimeout, match="/version did not answer in time"):
        cluster.rollouts(endpoint=hasty).check()


@slow
def test_an_effect_whose_answer_was_late_is_found(cluster: Cluster) -> None:
    cluster.put(rollout())
    path = f"/apis/argoproj.io/v1alpha1/namespaces/{NAMESPACE}/rollouts/{NAME}/status"
    cluster.answer(f"patch {path}", lambda: asyncio.sleep(6))
    hasty = cluster.rollouts(endpoint=endpoint(cluster.url, timeout=timedelta(seconds=1), attempts=3))
    with pytest.raises(DependencyTimeout, match="did not answer in time"):
        hasty.abort(key="k1", permit=permit_for(cluster.office, EFFECT_ABORT, "k1"))
    assert len([patch for patch in cluster.patches() if "status" in patch]) == 1
    assert cluster.rollouts().observe("k1").seen is Seen.DONE


@lying
@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (b"<html>", "not JSON"),
        (b"[]", "no object"),
        (b"{}", "Rollout: field metadata"),
        (b'{"metadata": {"name": "search"}, "status": {"currentStepIndex": "one"}}', r"status\.currentStepIndex"),
    ],
)
def test_an_answer_that_is_no_rollout_is_not_taken_for_one(answer: bytes, said: str) -> None:
    with SmallServer(lambda request: Said(body=answer)) as server, pytest.raises(DependencyLied, match=said):
        on(server.url).state()


@lying
def test_a_list_without_items_is_no_empty_list(cluster: Cluster) -> None:
    cluster.put(rollout())
    cluster.answer(f"get /apis/argoproj.io/v1alpha1/namespaces/{NAMESPACE}/analysisruns", {"kind": "List"})
    with pytest.raises(DependencyLied, match="no items"):
        cluster.rollouts().judge()


@lying
def test_an_annotation_that_somebody_overwrote_is_no_key(cluster: Cluster) -> None:
    made = rollout()
    made["metadata"]["annotations"] = {"evercrew.io/keys": "scribble"}
    cluster.put(made)
    assert cluster.rollouts().observe("k1").seen is Seen.ABSENT


@misconfigured
def test_another_product_at_the_address_is_told() -> None:
    for answer in (Said(body=b"<html>"), Said(body=b'{"Version": "v3"}'), Said(status=404)):
        with (
            SmallServer(partial(_said, answer)) as server,
            pytest.raises(DependencyLied, match="not the Kubernetes API"),
        ):
            on(server.url).check()


@misconfigured
def test_a_missing_rollout_is_told(cluster: Cluster) -> None:
    cluster.put(rollout())
    with pytest.raises(ConfigurationError, match=r"no Rollout 'serch' in namespace 'search'.*delivery\.rollout\.name"):
        cluster.rollouts(name="serch").check()


@misconfigured
def test_a_cluster_without_argo_rollouts_is_told(cluster: Cluster) -> None:
    with pytest.raises(ConfigurationError, match="custom resources are installed"):
        cluster.rollouts().check()


@misconfigured
def test_a_missing_right_to_patch_is_told_and_is_no_problem_for_who_only_reads(cluster: Cluster) -> None:
    cluster.put(rollout())
    cluster.may_patch = False
    line = cluster.rollouts().check()
    assert line.endswith("; read only: patch of rollouts and rollouts/status is not allowed")


@misconfigured
def test_a_token_comes_from_a_file_that_is_read_anew(tmp_path: Path) -> None:
    file = tmp_path / "token"
    with SmallServer(lambda request: Said(body=json.dumps(rollout()).encode())) as server:
        it = on(server.url, endpoint=endpoint(server.url, token=None), token_file=file)
        with pytest.raises(ConfigurationError, match=r"delivery\.rollout\.token_file"):
            it.state()
        file.write_text("service-account-2\n", encoding="ascii")
        assert it.state().phase == "Paused"
