"""What every outbox has to hold to."""

from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from adapters.notices.base import NewNotice, NoticesPort, NoticeState, Progress

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
LEASE = timedelta(minutes=2)


def notice(key: str = "k1", **fields: Any) -> NewNotice:
    """Return a notice that is due now."""
    told = {
        "channel": "slack",
        "kind": "outcome",
        "severity": "info",
        "title": key,
        "body": "a body\n\u2713",
        "due_at": NOW,
    }
    return NewNotice(key=key, **{**told, **fields})


class NoticesContract:
    """A vendor gives `notices`."""

    @pytest.fixture
    def notices(self) -> NoticesPort:
        raise NotImplementedError

    def taken(self, notices: NoticesPort, after: timedelta = timedelta(), channel: str = "slack") -> list[str]:
        """Take what is due, and return the keys."""
        return [n.key for n in notices.take(channel, now=NOW + after, lease=LEASE, most=10)]

    def test_what_is_put_is_taken_whole(self, notices: NoticesPort) -> None:
        wanted = notice(
            facts=(("signal", "nDCG@10"),), link="https://evercrew.example/c", cycle_id="c1", environment="dev"
        )
        assert notices.put([wanted], now=NOW) == 1
        (taken,) = notices.take("slack", now=NOW, lease=LEASE, most=10)
        assert NewNotice(**taken.model_dump(include=set(NewNotice.model_fields))) == wanted
        assert (taken.put_at, taken.state, taken.attempts) == (NOW, NoticeState.WAITING, 0)

    def test_a_channel_is_told_of_a_key_once(self, notices: NoticesPort) -> None:
        assert notices.put([notice(), notice(title="again")], now=NOW) == 1
        assert notices.put([notice(title="and again"), notice(channel="email")], now=NOW) == 1
        assert [n.title for n in notices.listed() if n.channel == "slack"] == ["k1"]

    def test_what_is_not_due_waits(self, notices: NoticesPort) -> None:
        notices.put([notice(due_at=NOW + timedelta(hours=1))], now=NOW)
        assert self.taken(notices) == []
        assert self.taken(notices, timedelta(hours=1)) == ["k1"]

    def test_the_most_severe_is_taken_first_then_the_oldest(self, notices: NoticesPort) -> None:
        notices.put(
            [notice("a"), notice("b", severity="warning"), notice("c", severity="critical"), notice("d")], now=NOW
        )
        assert self.taken(notices) == ["c", "b", "a", "d"]

    def test_what_is_taken_is_lent_until_the_lease_is_over(self, notices: NoticesPort) -> None:
        notices.put([notice()], now=NOW)
        assert self.taken(notices) == ["k1"]
        assert self.taken(notices, LEASE - timedelta(seconds=1)) == []
        assert self.taken(notices, LEASE) == ["k1"]

    def test_no_more_is_taken_than_was_asked_for(self, notices: NoticesPort) -> None:
        notices.put([notice(str(n)) for n in range(5)], now=NOW)
        assert len(notices.take("slack", now=NOW, lease=LEASE, most=2)) == 2
        assert len(self.taken(notices)) == 3

    def test_what_was_sent_is_over(self, notices: NoticesPort) -> None:
        notices.put([notice()], now=NOW)
        (taken,) = notices.take("slack", now=NOW, lease=LEASE, most=1)
        notices.sent([taken.number], at=NOW)
        notices.again(taken.number, due=NOW, reason="late")
        notices.dead(taken.number, at=NOW, reason="late")
        assert self.taken(notices, timedelta(days=1)) == []
        (kept,) = notices.listed(state=NoticeState.SENT)
        assert (kept.settled_at, kept.reason) == (NOW, "")

    def test_an_attempt_that_failed_is_counted_and_tried_again_later(self, notices: NoticesPort) -> None:
        notices.put([notice()], now=NOW)
        (taken,) = notices.take("slack", now=NOW, lease=LEASE, most=1)
        notices.again(taken.number, due=NOW + timedelta(minutes=1), reason="refused")
        notices.again(taken.number, due=NOW + timedelta(minutes=1), reason="busy", counted=False)
        assert self.taken(notices, timedelta(seconds=59)) == []
        (again,) = notices.take("slack", now=NOW + timedelta(minutes=1), lease=LEASE, most=1)
        assert (again.attempts, again.reason) == (1, "busy")

    def test_a_dead_letter_is_kept_and_can_be_revived_once(self, notices: NoticesPort) -> None:
        notices.put([notice()], now=NOW)
        (taken,) = notices.take("slack", now=NOW, lease=LEASE, most=1)
        notices.dead(taken.number, at=NOW, reason="no such channel")
        assert self.taken(notices, timedelta(days=1)) == []
        assert [n.reason for n in notices.listed(state=NoticeState.DEAD)] == ["no such channel"]
        assert notices.prune(NOW + timedelta(days=365)) == 0
        assert notices.revive(taken.number, at=NOW)
        assert not notices.revive(taken.number, at=NOW)
        assert not notices.revive(taken.number + 1000, at=NOW)
        assert self.taken(notices) == ["k1"]

    def test_a_digest_is_one_message_however_much_it_tells(self, notices: NoticesPort) -> None:
        notices.put([notice(str(n)) for n in range(4)], now=NOW)
        numbers = [n.number for n in notices.take("slack", now=NOW, lease=LEASE, most=10)]
        notices.sent(numbers[:1], at=NOW)
        notices.folded(numbers[1:], "digest/1", at=NOW)
        assert notices.told_since("slack", NOW - timedelta(seconds=1)) == 2
        assert notices.told_since("slack", NOW) == 0
        assert notices.told_since("email", NOW - timedelta(days=1)) == 0
        assert notices.counts("slack").folded == 3

    def test_counts_say_how_long_the_oldest_has_been_due(self, notices: NoticesPort) -> None:
        assert notices.counts(now=NOW).model_dump() == {
            "waiting": 0,
            "sent": 0,
            "folded": 0,
            "dead": 0,
            "oldest_due": None,
        }
        notices.put(
            [notice("a", due_at=NOW - timedelta(hours=1)), notice("b", due_at=NOW + timedelta(hours=1))], now=NOW
        )
        counts = notices.counts(now=NOW)
        assert (counts.waiting, counts.oldest_due) == (2, NOW - timedelta(hours=1))
        assert notices.counts("email", now=NOW).waiting == 0

    def test_a_cursor_moves_from_where_it_stands_and_from_nowhere_else(self, notices: NoticesPort) -> None:
        assert notices.cursor("audit") is None
        assert notices.follow("audit", after=None, upto=5, notices=(), now=NOW)
        assert not notices.follow("audit", after=None, upto=9, notices=[notice("x")], now=NOW)
        assert not notices.follow("audit", after=4, upto=9, notices=[notice("x")], now=NOW)
        assert (notices.cursor("audit"), list(notices.listed())) == (5, [])
        assert notices.follow("audit", after=5, upto=9, notices=[notice("x")], now=NOW)
        assert (notices.cursor("audit"), [n.key for n in notices.listed()]) == (9, ["x"])
        assert notices.cursor("another") is None

    def test_of_many_that_follow_at_once_one_tells(self, notices: NoticesPort) -> None:
        notices.follow("audit", after=None, upto=0, notices=(), now=NOW)
        told: list[bool] = []

        def follow(number: int) -> None:
            told.append(notices.follow("audit", after=0, upto=1, notices=[notice(str(number))], now=NOW))

        threads = [threading.Thread(target=follow, args=(n,)) for n in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert told.count(True) == 1
        assert len(notices.listed()) == 1

    def test_of_many_that_take_at_once_each_notice_goes_to_one(self, notices: NoticesPort) -> None:
        notices.put([notice(str(n)) for n in range(30)], now=NOW)
        taken: list[str] = []

        def take() -> None:
            taken.extend(n.key for n in notices.take("slack", now=NOW, lease=LEASE, most=10))

        threads = [threading.Thread(target=take) for _ in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(taken) == len(set(taken))

    def test_the_register_knows_what_was_begun_and_what_was_sent(self, notices: NoticesPort) -> None:
        assert notices.progress("slack", "k") is Progress.NONE
        assert notices.begin("slack", "k") is Progress.NONE
        assert notices.begin("slack", "k") is Progress.BEGUN
        assert notices.progress("slack", "k") is Progress.BEGUN
        notices.settle("slack", "k")
        assert notices.begin("slack", "k") is Progress.SENT
        assert notices.progress("slack", "k") is Progress.SENT
        assert notices.progress("email", "k") is Progress.NONE

    def test_the_register_forgets_what_was_not_sent_and_nothing_else(self, notices: NoticesPort) -> None:
        notices.begin("slack", "k")
        notices.forget("slack", "k")
        assert notices.progress("slack", "k") is Progress.NONE
        notices.settle("slack", "k")
        notices.forget("slack", "k")
        assert notices.progress("slack", "k") is Progress.SENT

    def test_what_is_old_and_told_is_forgotten_with_its_register(self, notices: NoticesPort) -> None:
        notices.put([notice("old"), notice("new"), notice("waits")], now=NOW)
        old, new, _ = notices.take("slack", now=NOW, lease=LEASE, most=10)
        notices.settle("slack", "old")
        notices.sent([old.number], at=NOW)
        notices.sent([new.number], at=NOW + timedelta(days=2))
        assert notices.prune(NOW + timedelta(days=1)) == 1
        assert sorted(n.key for n in notices.listed()) == ["new", "waits"]
        assert notices.progress("slack", "old") is Progress.NONE

    def test_check_says_what_it_is(self, notices: NoticesPort) -> None:
        assert notices.check().startswith("notices: ")
