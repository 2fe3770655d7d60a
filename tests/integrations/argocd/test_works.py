"""Delivery by Argo CD: the contract of the port, and of the one effect."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from adapters.delivery.argocd import ArgoCdDelivery
from adapters.delivery.base import EFFECT_SYNC, DeliveryPort, NotSynced, Superseded
from domain.actor import Actor, Role
from domain.candidate import LiveState
from domain.clock import FrozenClock
from domain.errors import ConflictError, PermitMissing
from domain.observation import Seen
from domain.permit import PermitOffice
from testbed.argocd import ArgoCd, Fault
from tests.contract.delivery_contract import Becomes, DeliveryContract
from tests.contract.permits import Effect, EffectContract, permit_for
from tests.integrations.argocd.bench import PASSWORD, SECOND, Bench, endpoint
from tools.deliver.live import SyncArgs, SyncLive, SyncView
from tools.tool import Call, Scope

pytestmark = pytest.mark.integration("argocd", "works")


class TestContract(DeliveryContract):
    @pytest.fixture
    def clock(self, it: Bench) -> FrozenClock:
        return it.clock

    @pytest.fixture
    def old(self, it: Bench) -> LiveState:
        return it.old

    @pytest.fixture
    def new(self, it: Bench) -> LiveState:
        return it.new

    @pytest.fixture
    def other(self, it: Bench) -> LiveState:
        return it.other

    @pytest.fixture
    def delivery(self, it: Bench, argo: ArgoCd) -> DeliveryPort:
        return it.delivery(argo)

    @pytest.fixture
    def becomes(self, it: Bench) -> Becomes:
        return it.becomes


class TestEffects(EffectContract):
    @pytest.fixture
    def office_clock(self, it: Bench) -> FrozenClock:
        return it.clock

    @pytest.fixture
    def office(self, it: Bench) -> PermitOffice:
        return it.office

    @pytest.fixture
    def effects(self, it: Bench) -> list[Effect]:
        argo = it.argo(automated=False)
        delivery = it.delivery(argo)
        it.push(it.new)

        def count() -> int:
            return len(delivery.application().status.history)

        return [Effect(EFFECT_SYNC, lambda key, permit: delivery.sync(it.new.revision, key=key, permit=permit), count)]


def wait(delivery: ArgoCdDelivery, state: LiveState, told: list[str] | None = None, seconds: int = 30) -> LiveState:
    """Wait for a state with its digest."""
    tell = (told if told is not None else []).append
    timeout = timedelta(seconds=seconds)
    return delivery.wait_until(state.revision, digest=state.digest, timeout=timeout, poll=SECOND, tell=tell)


def test_a_commit_is_applied_by_argo_cd_itself_and_the_reasons_of_the_wait_are_told(it: Bench, argo: ArgoCd) -> None:
    told: list[str] = []
    it.becomes(it.new, 3 * SECOND)
    assert wait(it.delivery(argo), it.new, told) == it.new
    assert it.applied() == it.new.revision
    assert told == [
        f"it is Progressing: Deployment/search-staging: the platform serves {it.old.revision[:12]}, "
        f"{it.new.revision[:12]} is on its way; Pod/search-staging-0: the platform serves {it.old.revision[:12]}, "
        f"{it.new.revision[:12]} is on its way"
    ]


def test_without_automated_sync_exactly_the_newest_commit_is_applied_on_request(it: Bench) -> None:
    delivery = it.delivery(it.argo(automated=False))
    it.becomes(it.new)
    with pytest.raises(NotSynced, match="automated sync is off"):
        wait(delivery, it.new, seconds=2)
    assert it.applied() == it.old.revision
    assert delivery.sync(it.new.revision, key="k1", permit=permit_for(it.office, EFFECT_SYNC, "k1"))
    assert it.applied() == it.new.revision
    assert wait(delivery, it.new) == it.new
    assert delivery.observe("k1").outcome["revision"] == it.new.revision
    assert delivery.observe("k2").seen is Seen.ABSENT


def test_with_automated_sync_nothing_is_asked_for(it: Bench, argo: ArgoCd) -> None:
    delivery = it.delivery(argo)
    it.becomes(it.new)
    assert not delivery.sync(it.new.revision, key="k1", permit=permit_for(it.office, EFFECT_SYNC, "k1"))
    assert wait(delivery, it.new) == it.new
    assert not any(exchange.method == "POST" for exchange in it.recorder.exchanges)


def test_a_commit_that_is_not_seen_yet_is_asked_for_again_and_is_not_called_superseded(it: Bench) -> None:
    argo = it.argo(automated=False)
    delivery = it.delivery(argo)
    argo.fault(Fault.STALE)
    it.push(it.new)
    with pytest.raises(ConflictError, match="has not seen") as caught:
        delivery.sync(it.new.revision, key="k1", permit=permit_for(it.office, EFFECT_SYNC, "k1"))
    assert not isinstance(caught.value, Superseded)
    argo.fault(Fault.STALE, on=False)
    assert delivery.sync(it.new.revision, key="k1", permit=permit_for(it.office, EFFECT_SYNC, "k1"))


def test_an_old_copy_is_nothing_to_ask_about_where_commits_are_applied_by_themselves(it: Bench, argo: ArgoCd) -> None:
    argo.fault(Fault.STALE)
    it.push(it.new)
    assert not it.delivery(argo).sync(it.new.revision, key="k1", permit=permit_for(it.office, EFFECT_SYNC, "k1"))


def test_the_tool_syncs_with_its_permit_and_finds_it_again(it: Bench) -> None:
    tool = SyncLive(it.delivery(it.argo(automated=False)))
    it.push(it.new)
    scope = Scope("si_2026_01_01_001", "promote", "search", "staging", it.clock.now(), it.clock.now())
    call = Call(scope=scope, actor=Actor(role=Role.DEVOPS_ENGINEER), key="k1", place="promote/sync_live/0")
    args = SyncArgs(revision=it.new.revision)
    assert tool.observe(args, call).seen is Seen.ABSENT
    with pytest.raises(PermitMissing):
        tool.run(args, call)
    assert it.applied() == it.old.revision
    done = tool.run(args, replace(call, permit=permit_for(it.office, EFFECT_SYNC, "k1")))
    assert done == SyncView(revision=it.new.revision, asked=True)
    assert SyncView.model_validate(tool.observe(args, call).outcome) == done


def test_a_commit_that_is_not_the_newest_is_never_applied(it: Bench) -> None:
    delivery = it.delivery(it.argo(automated=False))
    it.push(it.other)
    with pytest.raises(Superseded, match=it.other.revision[:12]):
        delivery.sync(it.new.revision, key="k1", permit=permit_for(it.office, EFFECT_SYNC, "k1"))
    assert it.applied() == it.old.revision


def test_a_sync_meets_another_one_that_runs(it: Bench) -> None:
    argo = it.argo(automated=False)
    delivery = it.delivery(argo)
    argo.fault(Fault.HOOK_WAITING)
    it.push(it.new)
    assert delivery.sync(it.new.revision, key="k1", permit=permit_for(it.office, EFFECT_SYNC, "k1"))
    assert delivery.observe("k1").outcome["phase"] == "Running"
    with pytest.raises(ConflictError, match="another operation"):
        delivery.sync(it.new.revision, key="k2", permit=permit_for(it.office, EFFECT_SYNC, "k2"))
    argo.fault(Fault.HOOK_WAITING, on=False)
    assert it.applied() == it.new.revision


def test_a_session_is_opened_with_a_password_and_anew_when_it_ended(it: Bench, argo: ArgoCd) -> None:
    account = endpoint(argo.url, None, username="evercrew", password=PASSWORD)
    delivery = it.delivery(argo, endpoint=account)
    assert delivery.application().status.sync.status == "Synced"
    argo.expire_sessions()
    assert delivery.application().status.sync.status == "Synced"
    opened = [exchange for exchange in it.recorder.exchanges if exchange.path == "/api/v1/session"]
    assert len(opened) == 2


def test_what_argo_cd_tells_can_be_read(it: Bench, argo: ArgoCd) -> None:
    delivery = it.delivery(argo, project="default", app_namespace="argocd")
    it.becomes(it.new)
    assert wait(delivery, it.new) == it.new
    app = delivery.application()
    assert [entry.at(0) for entry in app.status.history] == [it.new.revision]
    assert (app.status.state.phase, app.automated) == ("Succeeded", True)
    assert str(delivery.resources()[0]) == "Deployment/search-staging"
    assert delivery.metadata(it.new.revision).author == "Somebody <s@search.example>"


def test_the_doctor_is_told_what_answers(it: Bench, argo: ArgoCd) -> None:
    delivery = it.delivery(argo, repository=str(it.remote), branch="main", path=".")
    assert delivery.check() == (
        "argocd: v3.1.0+testbed, search-staging is Synced and Healthy, automated sync is on; "
        f"revision {it.old.revision[:12]} is live"
    )
