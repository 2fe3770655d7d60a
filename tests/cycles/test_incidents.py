"""Bodies to letters, letters to incidents, incidents to cycles: one for each, in whatever order they are told of."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.inbox.base import Fate, InboxFull
from adapters.inbox.memory import MemoryInbox
from adapters.store.memory import MemoryStore
from cycles.incidents import LINGER, WINDOW
from cycles.intake import MOST_ALERTS, accept, take_turn
from domain.clock import FrozenClock
from domain.stage import Stage
from tests.cycles.test_intake import ROUTING, alert, body

NOON = datetime(2026, 1, 31, 12, tzinfo=UTC)
LANE = "dev/search"


def at(seconds: float) -> str:
    """A moment as Alertmanager writes it."""
    return (NOON + timedelta(seconds=seconds)).isoformat()


def firing(start: float = 0, name: str = "f1") -> dict[str, Any]:
    return alert(fingerprint=name, startsAt=at(start))


def resolved(start: float = 0, end: float = 60, name: str = "f1") -> dict[str, Any]:
    return alert(status="resolved", fingerprint=name, startsAt=at(start), endsAt=at(end))


class Desk:
    """An inbox in memory, and what becomes of letters in it."""

    def __init__(self, limit: int = 10_000) -> None:
        self.clock = FrozenClock(NOON)
        self.store = MemoryStore()
        self.inbox = MemoryInbox(self.store, self.clock, limit=limit)

    def told(self, *alerts: dict[str, Any]) -> list[Fate]:
        """Tell of alerts one after the other, each handled before the next; return what became of those settled."""
        fates: list[Fate] = []
        for one in alerts:
            accept(json.dumps(body(one)), ROUTING, self.inbox)
            fates += self.taken()
        return fates

    def taken(self) -> list[Fate]:
        """Take turns until nothing is due."""
        fates: list[Fate] = []
        while turn := take_turn(self.inbox, self.clock):
            fates += [fate for fate, count in turn.fates.items() for _ in range(count)]
        return fates

    def end(self) -> None:
        """End all open cycles."""
        for cycle in self.store.cycles(open_only=True):
            self.store.save(cycle.model_copy(update={"stage": Stage.STOPPED}))


@pytest.fixture
def desk() -> Desk:
    return Desk()


def test_the_first_firing_opens_a_cycle_and_the_same_again_is_a_duplicate_even_after_its_end(desk: Desk) -> None:
    assert desk.told(firing(), firing(), firing()) == [Fate.OPENED, Fate.DUPLICATE, Fate.DUPLICATE]
    desk.end()
    assert desk.told(firing()) == [Fate.DUPLICATE]
    assert len(desk.store.cycles()) == 1
    known = desk.inbox.incident(LANE, "f1")
    assert known is not None
    assert known.letters == 4


def test_another_alert_of_the_target_joins_the_open_cycle(desk: Desk) -> None:
    assert desk.told(firing(), firing(name="f2")) == [Fate.OPENED, Fate.JOINED]
    assert len(desk.store.cycles()) == 1


def test_what_flaps_while_its_cycle_is_open_stays_one_incident(desk: Desk) -> None:
    fates = desk.told(firing(0), resolved(0, 30), firing(60), resolved(60, 90), firing(120))
    assert fates == [Fate.OPENED, Fate.RESOLVED, Fate.FLAPPING, Fate.RESOLVED, Fate.FLAPPING]
    assert len(desk.store.cycles()) == 1
    known = desk.inbox.incident(LANE, "f1")
    assert known is not None
    assert known.flaps == 2


def test_what_flaps_after_its_cycle_ended_opens_none_when_it_is_over_again_within_the_window(desk: Desk) -> None:
    desk.told(firing(0), resolved(0, 30))
    desk.end()
    assert desk.told(firing(60)) == []
    assert desk.inbox.counts().waiting == 1
    assert desk.told(resolved(60, 90)) == [Fate.RESOLVED]
    desk.clock.advance(WINDOW)
    assert desk.taken() == [Fate.FLAPPING]
    assert len(desk.store.cycles()) == 1


def test_what_comes_back_to_stay_leads_to_a_cycle_of_its_own_after_the_window(desk: Desk) -> None:
    desk.told(firing(0), resolved(0, 30))
    desk.end()
    assert desk.told(firing(60), firing(60)) == [Fate.DUPLICATE]
    desk.clock.advance(WINDOW)
    assert desk.taken() == [Fate.OPENED]
    assert len(desk.store.cycles()) == 2
    assert desk.inbox.counts().waiting == 0


def test_what_fires_again_long_after_is_another_incident(desk: Desk) -> None:
    desk.told(firing(0), resolved(0, 30))
    desk.end()
    assert desk.told(firing(30 + WINDOW.total_seconds() + 1)) == [Fate.OPENED]
    assert len(desk.store.cycles()) == 2


def test_what_was_resolved_before_it_was_heard_of_opens_nothing(desk: Desk) -> None:
    assert desk.told(resolved(0, 60), firing(0)) == [Fate.RESOLVED, Fate.STALE]
    assert desk.store.cycles() == []


def test_what_fires_anew_after_it_was_resolved_unheard_opens_a_cycle_at_once(desk: Desk) -> None:
    assert desk.told(resolved(0, 60), firing(90)) == [Fate.RESOLVED, Fate.OPENED]


def test_older_news_after_newer_change_nothing(desk: Desk) -> None:
    desk.clock.advance(timedelta(seconds=600))
    assert desk.told(firing(600), firing(0), resolved(0, 60)) == [Fate.OPENED, Fate.STALE, Fate.STALE]
    known = desk.inbox.incident(LANE, "f1")
    assert known is not None
    assert (known.status.value, known.starts_at) == ("firing", NOON + timedelta(seconds=600))


def test_a_resolution_told_twice_is_a_duplicate(desk: Desk) -> None:
    assert desk.told(firing(), resolved(), resolved()) == [Fate.OPENED, Fate.RESOLVED, Fate.DUPLICATE]


def test_a_start_far_ahead_of_our_clock_silences_no_alert_that_comes_after_it(desk: Desk) -> None:
    assert desk.told(firing(86_400), resolved(86_400, 86_460)) == [Fate.OPENED, Fate.RESOLVED]
    assert desk.told(firing(-5)) == [Fate.FLAPPING]
    known = desk.inbox.incident(LANE, "f1")
    assert known is not None
    assert (known.status.value, known.starts_at) == ("firing", NOON + timedelta(seconds=-5))


def test_what_fires_by_a_wrong_clock_and_then_by_a_right_one_is_one_incident(desk: Desk) -> None:
    assert desk.told(firing(86_400), firing(-5), resolved(-5, 30)) == [Fate.OPENED, Fate.DUPLICATE, Fate.RESOLVED]
    assert len(desk.store.cycles()) == 1


def test_no_cycle_is_told_that_its_alert_begins_in_the_future(desk: Desk) -> None:
    desk.told(firing(200))
    [cycle] = desk.store.cycles()
    assert cycle.alert.starts_at == NOON
    known = desk.inbox.incident(LANE, "f1")
    assert known is not None
    assert known.starts_at == NOON + timedelta(seconds=200)


@pytest.mark.parametrize("how", ["learns", "released"])
def test_nothing_joins_a_cycle_that_is_about_to_end_and_it_is_not_lost(desk: Desk, how: str) -> None:
    desk.told(firing())
    [first] = desk.store.cycles()
    if how == "learns":
        desk.store.save(first.model_copy(update={"stage": Stage.LEARN}))
    else:
        desk.told(resolved())
        assert desk.inbox.release(LANE, first.id)
    assert desk.told(firing(name="f2")) == []
    assert desk.inbox.counts().waiting == 1
    desk.end()
    desk.clock.advance(LINGER)
    assert desk.taken() == [Fate.OPENED]
    assert len(desk.store.cycles()) == 2


def test_what_fires_again_while_its_released_cycle_ends_leads_to_another_one_after_the_window(desk: Desk) -> None:
    desk.told(firing(0), resolved(0, 30))
    [first] = desk.store.cycles()
    assert desk.inbox.release(LANE, first.id)
    assert desk.told(firing(60)) == []
    desk.end()
    desk.clock.advance(WINDOW)
    assert desk.taken() == [Fate.OPENED]
    known = desk.inbox.incident(LANE, "f1")
    assert known is not None
    assert known.cycle_id != first.id


def test_a_cycle_is_released_only_when_none_of_its_alerts_fires(desk: Desk) -> None:
    desk.told(firing(), firing(name="f2"), resolved())
    [cycle] = desk.store.cycles()
    assert desk.inbox.fires(LANE, cycle.id) is True
    assert not desk.inbox.release(LANE, cycle.id)
    desk.told(resolved(name="f2"))
    assert desk.inbox.fires(LANE, cycle.id) is False
    assert desk.inbox.release(LANE, cycle.id)
    assert desk.inbox.release(LANE, cycle.id)
    assert desk.inbox.fires(LANE, "si_2020_01_01_001") is None


@given(st.permutations([firing(0), firing(0), resolved(0, 30), firing(60), resolved(60, 90), firing(120)]))
def test_in_any_order_an_incident_leads_to_one_cycle(alerts: list[dict[str, Any]]) -> None:
    desk = Desk()
    fates = desk.told(*alerts)
    assert len(fates) == 6
    assert len(desk.store.cycles()) == 1
    assert desk.inbox.counts().waiting == 0


def test_a_grouped_body_up_to_the_limit_is_accepted_whole(desk: Desk) -> None:
    group = [firing(name=f"f{number}") for number in range(MOST_ALERTS)]
    receipt = accept(json.dumps(body(*group, truncatedAlerts=7)), ROUTING, desk.inbox)
    assert (receipt.accepted, receipt.ignored, receipt.malformed, receipt.truncated) == (MOST_ALERTS, (), (), 7)
    over = accept(json.dumps(body(*group, firing(name="more"))), ROUTING, desk.inbox)
    assert over.accepted == 0
    assert "alerts" in over.malformed[0]


def test_of_a_group_what_does_not_fit_is_kept_with_the_reason_and_the_rest_is_accepted(desk: Desk) -> None:
    odd = {**firing(name="odd"), "status": "on fire"}
    foreign = {**firing(name="f9"), "labels": {"alertname": "Unheard"}}
    receipt = accept(json.dumps(body(firing(), odd, foreign)), ROUTING, desk.inbox)
    assert receipt.accepted == 1
    assert receipt.ignored[0].startswith("f9: no signal")
    [told] = receipt.malformed
    assert told.startswith("alerts.1.status: ")
    [kept] = desk.inbox.aside()
    assert f"kept as number {kept.number}" in told
    assert "on fire" in kept.text


@pytest.mark.parametrize(
    ("raw", "named"),
    [
        ("{", "body: is not JSON"),
        (b"\xff\xfe", "body: is not JSON"),
        ("[" * 100_000, "body: is not JSON"),
        ("[]", "body"),
        ('{"version": "9", "receiver": "x", "alerts": []}', "version"),
        (json.dumps(body(alert(fingerprint="x" * 201))), "alerts.0.fingerprint"),
        (json.dumps(body(alert(labels={"signal": "ndcg_at_10", "pod": "\ud800"}))), "alerts.0: holds what is no text"),
    ],
)
def test_what_is_no_body_is_named_and_kept(desk: Desk, raw: str | bytes, named: str) -> None:
    receipt = accept(raw, ROUTING, desk.inbox)
    assert receipt.accepted == 0
    assert receipt.malformed[0].startswith(named)
    assert len(desk.inbox.aside()) == 1


def test_a_full_inbox_refuses_and_keeps_nothing_of_the_body() -> None:
    desk = Desk(limit=1)
    with pytest.raises(InboxFull):
        accept(json.dumps(body(firing(), firing(name="f2"))), ROUTING, desk.inbox)
    assert desk.inbox.counts().waiting == 0
