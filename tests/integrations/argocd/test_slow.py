"""Argo CD, or what it delivers, takes too long."""

from __future__ import annotations

from datetime import timedelta

import pytest

from adapters.delivery.base import EFFECT_SYNC, StillProgressing
from domain.errors import DependencyTimeout
from testbed.argocd import ArgoCd, Fault
from tests.contract.permits import permit_for
from tests.integrations.argocd.bench import Bench, endpoint
from tests.integrations.argocd.test_works import wait

pytestmark = pytest.mark.integration("argocd", "slow")


def test_an_answer_that_does_not_come_in_time_is_named(it: Bench) -> None:
    argo = it.argo(slow_seconds=60)
    hasty = it.delivery(argo, endpoint=endpoint(argo.url, timeout=timedelta(seconds=1), attempts=1))
    argo.fault(Fault.SLOW)
    with pytest.raises(DependencyTimeout, match="did not answer in time"):
        hasty.check()
    with pytest.raises(DependencyTimeout, match="Argo CD cannot be asked"):
        wait(hasty, it.old, seconds=1)
    argo.fault(Fault.SLOW, on=False)
    assert wait(hasty, it.old) == it.old


def test_a_sync_whose_answer_was_late_is_found_and_not_asked_for_twice(it: Bench) -> None:
    argo = it.argo(automated=False, slow_seconds=60)
    delivery = it.delivery(argo)
    it.push(it.new)
    hasty = it.delivery(argo, endpoint=endpoint(argo.url, timeout=timedelta(seconds=1), attempts=5))
    assert delivery.sync(it.new.revision, key="k1", permit=permit_for(it.office, EFFECT_SYNC, "k1"))
    argo.fault(Fault.SLOW)
    with pytest.raises(DependencyTimeout):
        hasty.sync(it.new.revision, key="k1", permit=permit_for(it.office, EFFECT_SYNC, "k1"))
    argo.fault(Fault.SLOW, on=False)
    assert delivery.observe("k1").outcome == {"revision": it.new.revision, "phase": "Succeeded"}
    assert delivery.sync(it.new.revision, key="k1", permit=permit_for(it.office, EFFECT_SYNC, "k1"))
    assert len(delivery.application().status.history) == 1


def test_what_progresses_for_ever_ends_with_the_resource_it_waits_for(it: Bench, argo: ArgoCd) -> None:
    argo.fault(Fault.PROGRESSING)
    it.becomes(it.new)
    begun = it.clock.now()
    with pytest.raises(StillProgressing, match=r"Deployment/search-staging: Waiting for rollout to finish"):
        wait(it.delivery(argo), it.new, seconds=30)
    assert it.clock.now() - begun == timedelta(seconds=30)


def test_argo_cd_is_not_made_to_look_at_the_repository_at_every_look(it: Bench, argo: ArgoCd) -> None:
    argo.fault(Fault.PROGRESSING)
    it.becomes(it.new)
    with pytest.raises(StillProgressing):
        wait(it.delivery(argo, refresh=timedelta(seconds=5)), it.new, seconds=20)
    looks = [exchange for exchange in it.recorder.exchanges if exchange.path.endswith("/search-staging")]
    assert (len(looks), len([look for look in looks if look.query])) == (21, 5)


def test_a_hook_that_does_not_end_is_named(it: Bench, argo: ArgoCd) -> None:
    argo.fault(Fault.HOOK_WAITING)
    it.becomes(it.new)
    with pytest.raises(StillProgressing, match="the sync runs: waiting for completion of hook batch/Job/warm-up"):
        wait(it.delivery(argo), it.new, seconds=3)
    assert it.applied() == it.old.revision
