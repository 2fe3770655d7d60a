"""The courier: nothing is lost, nothing is told twice, a channel that is down costs the others nothing."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from adapters.audit.memory import MemoryAudit
from adapters.notices.base import NewNotice, NoticeState
from adapters.notices.memory import MemoryNotices
from adapters.notify.base import Busy, Message, NotifyPort
from adapters.notify.memory import MemoryNotify
from domain.clock import FrozenClock
from domain.errors import DependencyTimeout, DependencyUnavailable, InvalidInput
from domain.permit import Permit, PermitOffice
from service.notices.courier import LONGEST, PAUSE, Courier, Round
from service.notify_sections import RateConfig


class Flaky(MemoryNotify):
    """A channel that raises what it is told to, so often."""

    def __init__(self, permits: PermitOffice) -> None:
        super().__init__(permits)
        self.problems: list[Exception] = []
        self.tries = 0

    def send(self, message: Message, *, key: str, permit: Permit | None) -> None:
        self.tries += 1
        if self.problems:
            raise self.problems.pop(0)
        super().send(message, key=key, permit=permit)


class Office:
    """A courier with its outbox and two channels."""

    def __init__(self, audit: MemoryAudit | None = None, **settings: Any) -> None:
        self.clock = FrozenClock()
        self.permits = PermitOffice(self.clock)
        self.outbox = MemoryNotices()
        self.slack, self.email = Flaky(self.permits), Flaky(self.permits)
        self.audit = MemoryAudit(self.clock) if audit is None else audit
        channels: dict[str, NotifyPort] = {"slack": self.slack, "email": self.email}
        told = {"rate": RateConfig(most=5, per=timedelta(minutes=10)), "attempts": 3, **settings}
        self.courier = Courier(self.outbox, channels, self.permits, self.audit, self.clock, **told)

    def put(self, *keys: str, channel: str = "slack", severity: str = "info") -> None:
        """Put a notice a key."""
        notices = [
            NewNotice(
                channel=channel,
                key=key,
                kind="outcome",
                severity=severity,
                title=f"title {key}",
                body="body",
                due_at=self.clock.now(),
            )
            for key in keys
        ]
        self.outbox.put(notices, now=self.clock.now())

    def after(self, duration: timedelta) -> Round:
        """Let time pass, and make a round."""
        self.clock.advance(duration)
        return self.courier.round()


@pytest.fixture
def office() -> Office:
    return Office()


DOWN = DependencyUnavailable("slack", "refused")


def titles(channel: MemoryNotify) -> list[str]:
    return [message.title for message in channel.sent.values()]


def test_what_is_due_is_sent_once_and_is_on_record_before(office: Office) -> None:
    office.put("a")
    assert office.courier.round() == Round(sent=1)
    assert office.courier.round() == Round()
    assert titles(office.slack) == ["title a"]
    (note,) = [r.entry for r in office.audit.records() if r.entry.status == "notice"]
    assert (note.body["channel"], note.body["keys"]) == ("slack", ["a"])


def test_without_a_record_nothing_is_sent_and_it_waits() -> None:
    audit = MemoryAudit(FrozenClock())
    audit.broken = True
    office = Office(audit)
    office.put("a")
    assert office.courier.round() == Round(again=1)
    assert office.slack.tries == 0
    audit.broken = False
    assert office.after(PAUSE) == Round(sent=1)


def test_a_channel_that_is_down_waits_longer_each_time_and_costs_the_others_nothing(office: Office) -> None:
    office.put("a", "b")
    office.put("a", channel="email")
    office.slack.problems = [DOWN, DOWN]
    assert office.courier.round() == Round(sent=1, again=1)
    assert titles(office.email) == ["title a"]
    assert office.slack.tries == 1  # the second was not even tried
    assert office.after(PAUSE) == Round(again=1)
    assert office.after(PAUSE).sent == 1  # the one that was never tried
    assert office.after(PAUSE) == Round(sent=1)
    assert sorted(titles(office.slack)) == ["title a", "title b"]


def test_the_pause_between_attempts_has_an_end() -> None:
    office = Office(attempts=50)
    office.put("a")
    office.slack.problems = [DOWN] * 20
    for _ in range(20):
        assert office.after(LONGEST) == Round(again=1)
    assert office.after(LONGEST) == Round(sent=1)


def test_after_the_last_attempt_it_is_a_dead_letter_that_can_be_sent_again(office: Office) -> None:
    office.put("a")
    office.slack.problems = [DOWN] * 3
    rounds = [office.after(timedelta(hours=1)) for _ in range(4)]
    assert rounds == [Round(again=1), Round(again=1), Round(dead=1), Round()]
    (dead,) = office.outbox.listed(state=NoticeState.DEAD)
    assert "refused" in dead.reason
    assert office.outbox.revive(dead.number, at=office.clock.now())
    assert office.courier.round() == Round(sent=1)


def test_a_message_that_is_never_taken_is_dead_at_once_and_those_behind_it_go_on(office: Office) -> None:
    office.put("bad", "good")
    office.slack.problems = [InvalidInput("message.title", "is no title", "Mend it")]
    assert office.courier.round() == Round(sent=1, dead=1)
    assert titles(office.slack) == ["title good"]


def test_a_channel_that_asks_for_rest_gets_it_and_that_is_no_attempt(office: Office) -> None:
    office.put("a")
    office.slack.problems = [Busy("slack", "429", "wait", timedelta(minutes=5))] * 5
    for _ in range(5):
        assert office.after(timedelta(minutes=5)) == Round(again=1)
    assert office.after(timedelta(minutes=4)) == Round()
    assert office.after(timedelta(minutes=1)) == Round(sent=1)
    assert [r.entry.status for r in office.audit.records()] == ["notice"]


def test_a_late_answer_is_tried_again(office: Office) -> None:
    office.put("a")
    office.slack.problems = [DependencyTimeout("slack", "late")]
    assert office.courier.round() == Round(again=1)
    assert office.after(PAUSE) == Round(sent=1)


def test_more_than_the_rate_allows_becomes_one_message_that_lists_the_rest(office: Office) -> None:
    office.put(*(f"n{n}" for n in range(12)))
    office.put("worst", severity="critical")
    assert office.courier.round() == Round(sent=5)
    said = list(office.slack.sent.values())
    assert [m.title for m in said[:4]] == ["title worst", "title n0", "title n1", "title n2"]
    assert said[4].title == "title n3, and 8 more"
    assert said[4].kind == "digest"
    assert all(f"title n{n}" in said[4].body for n in range(3, 12))
    assert office.courier.round() == Round()
    assert office.outbox.counts("slack").waiting == 0


def test_a_long_digest_says_how_many_it_does_not_name(office: Office) -> None:
    office.put(*(f"n{n}" for n in range(30)))
    office.courier.round()
    assert list(office.slack.sent.values())[-1].body.splitlines()[-1] == "and 14 more"


def test_the_rate_is_that_of_the_window_and_what_is_beyond_waits(office: Office) -> None:
    office.put(*(f"n{n}" for n in range(5)))
    assert office.courier.round() == Round(sent=5)
    office.put("late")
    assert office.after(timedelta(minutes=9)) == Round()
    assert office.after(timedelta(minutes=1, seconds=1)) == Round(sent=1)


def test_a_digest_that_fails_gives_everything_in_it_back(office: Office) -> None:
    office.put(*(f"n{n}" for n in range(6)))
    office.slack.problems = [DependencyTimeout("slack", "late")]
    assert office.courier.round().again == 1
    assert office.after(PAUSE * 2).sent == 5
    assert office.outbox.counts("slack").waiting == 0
    told = "\n".join(f"{m.title}\n{m.body}" for m in office.slack.sent.values())
    assert all(f"title n{n}" in told for n in range(6))


def test_asked_to_stop_it_hands_back_what_it_has_not_sent() -> None:
    sends: list[int] = []
    office = Office(stop=lambda: len(sends) >= 2)
    send: Callable[..., None] = office.slack.send

    def counted(message: Message, *, key: str, permit: Permit | None) -> None:
        send(message, key=key, permit=permit)
        sends.append(1)

    office.slack.send = counted  # type: ignore[method-assign]  # counts what it passes on
    office.put(*(f"n{n}" for n in range(4)))
    assert office.courier.round() == Round(sent=2)
    assert [n.key for n in office.outbox.take("slack", now=office.clock.now(), lease=PAUSE, most=9)] == ["n2", "n3"]
