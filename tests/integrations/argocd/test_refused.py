"""Argo CD says no, or a sync fails: each has its own answer, and none of them is a success."""

from __future__ import annotations

import pytest

from adapters.delivery.argocd_client import PermissionDenied, Unauthenticated
from adapters.delivery.base import EFFECT_SYNC, OperationFailed, Superseded
from domain.errors import DependencyTimeout, DependencyUnavailable
from testbed.argocd import ArgoCd, Fault
from testbed.servers.base import free_port
from tests.contract.permits import permit_for
from tests.integrations.argocd.bench import NOBODY, READER, SECOND, Bench, endpoint
from tests.integrations.argocd.test_works import wait

pytestmark = pytest.mark.integration("argocd", "refused")


def test_a_token_it_does_not_know_is_told_from_a_right_it_does_not_give(it: Bench, argo: ArgoCd) -> None:
    with pytest.raises(Unauthenticated, match="EVERCREW_DELIVERY_TOKEN"):
        wait(it.delivery(argo, endpoint=endpoint(argo.url, "stolen")), it.old)
    with pytest.raises(PermissionDenied, match="RBAC"):
        wait(it.delivery(argo, endpoint=endpoint(argo.url, NOBODY), project="default"), it.old)


def test_a_reader_may_look_and_not_sync(it: Bench) -> None:
    argo = it.argo(automated=False)
    delivery = it.delivery(argo, endpoint=endpoint(argo.url, READER))
    assert wait(delivery, it.old) == it.old
    it.push(it.new)
    with pytest.raises(PermissionDenied, match="RBAC"):
        delivery.sync(it.new.revision, key="k1", permit=permit_for(it.office, EFFECT_SYNC, "k1"))
    assert it.applied() == it.old.revision


def test_a_wrong_password_opens_no_session(it: Bench, argo: ArgoCd) -> None:
    wrong = endpoint(argo.url, None, username="evercrew", password="guess-77")
    with pytest.raises(
        Unauthenticated, match=r"refuses the password of 'evercrew'.*EVERCREW_DELIVERY_PASSWORD"
    ) as told:
        it.delivery(argo, endpoint=wrong).application()
    assert "guess-77" not in str(told.value)


def test_an_argo_cd_that_is_away_is_waited_for_and_then_named(it: Bench) -> None:
    nowhere = f"http://127.0.0.1:{free_port()}"
    told: list[str] = []
    with pytest.raises(DependencyUnavailable, match=r"delivery\.url"):
        it.delivery(nowhere).check()
    with pytest.raises(DependencyTimeout, match="Argo CD cannot be asked"):
        wait(it.delivery(nowhere), it.old, told, seconds=3)
    assert [reason.startswith("Argo CD cannot be asked") for reason in told] == [True]


def test_a_failed_hook_is_named_with_what_it_said(it: Bench, argo: ArgoCd) -> None:
    argo.fault(Fault.HOOK_FAILED)
    it.becomes(it.new)
    begun = it.clock.now()
    with pytest.raises(OperationFailed, match=r"hook Job/warm-up \(PreSync\): Job has reached .* Mend the hook"):
        wait(it.delivery(argo), it.new)
    assert it.clock.now() == begun
    assert it.applied() == it.old.revision


def test_a_sync_that_was_ended_by_hand_is_a_failure(it: Bench, argo: ArgoCd) -> None:
    argo.fault(Fault.HOOK_WAITING)
    it.becomes(it.new)
    argo.controller.reconcile()
    argo.controller.terminate()
    with pytest.raises(OperationFailed, match="Operation terminated"):
        wait(it.delivery(argo), it.new)


def test_the_commit_of_somebody_else_during_the_wait_ends_it(it: Bench, argo: ArgoCd) -> None:
    it.push(it.new)

    def meddle(reason: str) -> None:
        it.becomes(it.other)

    with pytest.raises(Superseded, match=rf"superseded by {it.other.revision[:12]}"):
        it.delivery(argo).wait_until(
            it.new.revision, digest=it.new.digest, timeout=30 * SECOND, poll=SECOND, tell=meddle
        )


def test_a_commit_that_came_before_the_first_look_is_found_by_its_date(it: Bench, argo: ArgoCd) -> None:
    it.becomes(it.other)
    begun = it.clock.now()
    with pytest.raises(Superseded, match=it.other.revision[:12]):
        wait(it.delivery(argo), it.new)
    assert it.clock.now() - begun == SECOND


def test_an_older_commit_is_waited_through(it: Bench, argo: ArgoCd) -> None:
    argo.fault(Fault.STALE)
    it.becomes(it.new)
    told: list[str] = []
    delivery = it.delivery(argo)
    with pytest.raises(DependencyTimeout, match=it.new.revision[:12]):
        wait(delivery, it.new, told, seconds=5)
    assert told == [f"Argo CD is at {it.old.revision[:12]} and has not seen {it.new.revision[:12]} yet"]
    argo.fault(Fault.STALE, on=False)
    assert wait(delivery, it.new) == it.new
