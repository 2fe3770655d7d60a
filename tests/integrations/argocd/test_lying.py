"""What Argo CD says is not so, breaks off, or contradicts itself: never a success."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import pytest

from adapters.delivery.argocd import ArgoCdDelivery
from adapters.delivery.base import ComparisonFailed, Degraded, NotLive
from adapters.delivery.local import LocalDelivery
from domain.errors import DependencyLied, DependencyTimeout, DependencyUnavailable
from testbed.argocd import ArgoCd, Fault
from tests.integrations.argocd.bench import APPLICATION, Bench
from tests.integrations.argocd.test_works import wait
from tests.stubs.small_server import Said, SmallServer

pytestmark = pytest.mark.integration("argocd", "lying")


def test_synced_but_the_old_digest_is_live_is_no_success(it: Bench, argo: ArgoCd) -> None:
    argo.fault(Fault.LIE)
    it.push(it.new)
    told: list[str] = []
    delivery = it.delivery(argo)
    with pytest.raises(
        NotLive, match=rf"Argo CD says Synced and Healthy, but the platform serves .*{it.old.digest[:19]}"
    ):
        wait(delivery, it.new, told)
    status = delivery.application().status
    assert (status.sync.status, status.sync.revision, status.health.status) == ("Synced", it.new.revision, "Healthy")
    assert it.applied() == it.old.revision
    assert len(told) == 1


def test_the_right_revision_with_the_old_digest_is_no_success(it: Bench, argo: ArgoCd) -> None:
    it.becomes(it.new.model_copy(update={"digest": it.old.digest}))
    with pytest.raises(NotLive, match=it.old.digest[:19]):
        wait(it.delivery(argo), it.new)


def test_once_the_lie_ends_the_wait_ends_well(it: Bench, argo: ArgoCd) -> None:
    argo.fault(Fault.LIE)
    it.becomes(it.new)

    def mend(reason: str) -> None:
        argo.fault(Fault.LIE, on=False)

    argo.controller.reconcile()
    second = timedelta(seconds=1)
    it.platform.becomes(it.old)
    it.platform.becomes(it.new, 3 * second)
    live = it.delivery(argo).wait_until(it.new.revision, digest=None, timeout=30 * second, poll=second, tell=mend)
    assert live == it.new
    assert it.applied() == it.new.revision


def test_a_platform_that_cannot_be_asked_is_not_believed_to_be_well(it: Bench, argo: ArgoCd) -> None:
    class Away:
        def live(self) -> Any:
            raise DependencyUnavailable("platform", "the connection was refused")

    with pytest.raises(NotLive, match=r"the platform cannot be asked: .*refused"):
        wait(it.delivery(argo, platform=Away()), it.old, seconds=3)
    with pytest.raises(DependencyUnavailable):
        it.delivery(argo, platform=LocalDelivery(source=Away(), clock=it.clock)).check()


def test_degraded_is_believed_when_it_lasts_and_names_the_resource(it: Bench, argo: ArgoCd) -> None:
    argo.fault(Fault.DEGRADED)
    it.becomes(it.new)
    begun = it.clock.now()
    with pytest.raises(Degraded, match=r"Deployment/search-staging: Deployment exceeded its progress deadline"):
        wait(it.delivery(argo, grace=timedelta(seconds=5)), it.new)
    assert it.clock.now() - begun == timedelta(seconds=5)


def test_degraded_for_a_moment_is_waited_through(it: Bench, argo: ArgoCd) -> None:
    argo.fault(Fault.DEGRADED)
    it.becomes(it.new)
    told: list[str] = []

    def mend(reason: str) -> None:
        told.append(reason)
        argo.fault(Fault.DEGRADED, on=False)

    second = timedelta(seconds=1)
    wait_until = it.delivery(argo).wait_until
    assert wait_until(it.new.revision, digest=it.new.digest, timeout=9 * second, poll=second, tell=mend) == it.new
    assert told[0].startswith("it is Degraded: Deployment/search-staging")


def test_degraded_at_the_deadline_is_said_even_when_it_has_not_lasted(it: Bench, argo: ArgoCd) -> None:
    argo.fault(Fault.DEGRADED)
    with pytest.raises(Degraded):
        wait(it.delivery(argo), it.old, seconds=2)


def test_a_comparison_error_is_said_with_its_words(it: Bench, argo: ArgoCd) -> None:
    argo.fault(Fault.COMPARISON_ERROR)
    it.becomes(it.new)
    with pytest.raises(ComparisonFailed, match=r"ComparisonError: Failed to load target state: .*no valid YAML"):
        wait(it.delivery(argo, grace=timedelta(seconds=3)), it.new)


def test_an_answer_that_breaks_off_is_waited_through_and_named(it: Bench, argo: ArgoCd) -> None:
    delivery = it.delivery(argo)
    argo.fault(Fault.BROKEN_JSON)
    with pytest.raises(DependencyTimeout, match="not JSON"):
        wait(delivery, it.old, seconds=2)
    with pytest.raises(DependencyLied, match="not Argo CD"):
        delivery.check()
    argo.fault(Fault.BROKEN_JSON, on=False)
    assert wait(delivery, it.old) == it.old


def told_of(it: Bench, application: object) -> ArgoCdDelivery:
    """Return the adapter on a server that answers everything with one object."""
    server = SmallServer(lambda request: Said(body=json.dumps(application).encode()))
    it.enter(server)
    return it.delivery(server.url)


@pytest.mark.parametrize(
    ("answer", "problem"),
    [
        ([], "application search-staging"),
        (None, "application search-staging"),
        ({"metadata": {}, "spec": {}}, r"metadata\.name"),
        ({"metadata": {"name": "another"}, "spec": {}}, "'another'"),
        (
            {"metadata": {"name": APPLICATION}, "spec": {}, "status": {"sync": {"revision": 7}}},
            r"status\.sync\.revision",
        ),
        ({"metadata": {"name": APPLICATION}, "spec": {}, "status": {"history": "none"}}, r"status\.history"),
    ],
)
def test_an_answer_that_is_no_application_is_not_taken_for_one(it: Bench, answer: object, problem: str) -> None:
    with pytest.raises(DependencyLied, match=problem):
        told_of(it, answer).application()


def test_healthy_without_a_revision_is_no_success(it: Bench) -> None:
    well = {"sync": {"status": "Synced"}, "health": {"status": "Healthy"}}
    application = {"metadata": {"name": APPLICATION}, "spec": {"source": None}, "status": {**well, "conditions": None}}
    with pytest.raises(DependencyTimeout, match="no revision"):
        wait(told_of(it, application), it.old, seconds=2)
