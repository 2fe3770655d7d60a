"""Why a release is still waited for reaches whoever looks on, and the record."""

from __future__ import annotations

from datetime import timedelta

import pytest

from adapters.delivery.memory import MemoryDelivery
from domain.actor import Actor, Role
from domain.clock import FrozenClock
from domain.errors import DependencyTimeout
from domain.events import Event
from tests.contract.delivery_contract import NEW, OLD
from tools.deliver.live import AwaitArgs, AwaitLive
from tools.tool import Call, Scope

SECOND = timedelta(seconds=1)


def call(clock: FrozenClock) -> Call:
    scope = Scope("si_2026_01_01_001", "promote", "search", "staging", alert_at=clock.now(), opened_at=clock.now())
    return Call(scope=scope, actor=Actor(role=Role.DEVOPS_ENGINEER), key="k1", place="promote/await_live/0")


def test_the_reasons_of_a_wait_are_told_and_kept() -> None:
    clock, events = FrozenClock(), list[Event]()

    def look_on(event: Event) -> None:
        events.append(event)

    delivery = MemoryDelivery(state=OLD, clock=clock)
    delivery.becomes(NEW, 5 * SECOND)
    view = AwaitLive(delivery, poll=SECOND, observer=look_on).run(AwaitArgs(revision=NEW.revision), call(clock))
    assert view.live == NEW
    assert view.reasons == (f"live is revision {OLD.revision[:12]} with {OLD.digest[:19]}",)
    assert [event.what for event in events] == [f"waiting for {NEW.revision[:12]}: {view.reasons[0]}"]
    assert (events[0].kind, events[0].cycle_id, events[0].stage) == ("note", "si_2026_01_01_001", "promote")


def test_without_anybody_looking_on_the_wait_is_the_same() -> None:
    clock = FrozenClock()
    delivery = MemoryDelivery(state=OLD, clock=clock)
    with pytest.raises(DependencyTimeout, match=OLD.revision[:12]):
        AwaitLive(delivery, poll=SECOND).run(AwaitArgs(revision=NEW.revision, timeout_s=3), call(clock))
