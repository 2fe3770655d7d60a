"""The objects of these tests, and the patches that are sent, fit the schemas of Argo Rollouts."""

from __future__ import annotations

import pytest

from adapters.delivery.rollouts import EFFECT_ABORT, EFFECT_PAUSE, EFFECT_RESUME
from tests.contract.permits import permit_for
from tests.integrations.argocd.openapi import Specification
from tests.integrations.rollouts.cluster import Cluster, rollout
from tests.integrations.rollouts.schema import ROLLOUT, RUN_STATUS, SWAGGER, load
from tests.integrations.rollouts.test_verdicts import TABLE

pytestmark = pytest.mark.integration("rollouts", "works")


@pytest.fixture(scope="module")
def schemas() -> Specification:
    if not SWAGGER.exists():
        pytest.skip("the schemas are not there: ../shared/contracts/argo-rollouts/rollout.swagger.json")
    return load()


def test_the_objects_of_these_tests_fit(schemas: Specification) -> None:
    weights = {"canary": {"weight": 35}, "stable": {"weight": 65}, "verified": True}
    assert schemas.problems(rollout(canary={"weights": weights}, abort=True), ROLLOUT) == []
    assert [problem for _, run, _ in TABLE for problem in schemas.problems(run["status"], RUN_STATUS)] == []


def test_what_is_patched_fits_too(cluster: Cluster, schemas: Specification) -> None:
    cluster.put(rollout())
    it = cluster.rollouts()
    it.pause(key="k1", permit=permit_for(cluster.office, EFFECT_PAUSE, "k1"))
    it.resume(key="k2", permit=permit_for(cluster.office, EFFECT_RESUME, "k2"))
    it.abort(key="k3", permit=permit_for(cluster.office, EFFECT_ABORT, "k3"))
    patches = cluster.patches()
    assert len(patches) == 5
    # In a merge patch null removes a field; the schemas know no null.
    found = [{name: value for name, value in patch.get("status", {}).items() if value is not None} for patch in patches]
    cleaned = [{**patch, "status": status} for patch, status in zip(patches, found, strict=True)]
    assert [problem for patch in cleaned for problem in schemas.problems(patch, ROLLOUT)] == []


def test_a_field_that_is_none_is_found(schemas: Specification) -> None:
    assert any("pausd" in problem for problem in schemas.problems({"spec": {"pausd": True}}, ROLLOUT))
    assert schemas.problems({"status": {"currentStepIndex": "1"}}, ROLLOUT)
