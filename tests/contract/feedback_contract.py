"""What every source of feedback has to hold to."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from adapters.feedback.base import FeedbackEvent, FeedbackPort, Kind
from domain.errors import InvalidInput

START = datetime(2026, 1, 1, 12, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
NOW = START + timedelta(hours=1)


def told(minute: float, kind: Kind, value: float = 1.0, **changes: object) -> FeedbackEvent:
    """Return an event some minutes after START."""
    fields: dict[str, object] = {
        "ts": START + minute * MINUTE,
        "user_id": "ann",
        "query": "sort a list",
        "doc_id": "d1",
        "kind": kind,
        "value": value,
        "user_agent": "Mozilla/5.0",
        "event_id": "",
    }
    return FeedbackEvent.model_validate({**fields, **changes})


EVENTS = [
    told(0, Kind.CLICK, event_id="e0"),
    told(1, Kind.THUMB, -1.0, query="what's “this”?\u2028", user_agent=""),
    told(1.5, Kind.RATING, 4.0, doc_id=None),
    told(3, Kind.CLICK, user_id="bob", query="'; DROP TABLE feedback; --", user_agent="curl/8.0"),
]


class FeedbackContract:
    """A vendor gives `feedback` over EVENTS, asked at NOW."""

    @pytest.fixture
    def feedback(self) -> FeedbackPort:
        raise NotImplementedError

    def test_events_come_oldest_first_as_they_were_told(self, feedback: FeedbackPort) -> None:
        assert feedback.events(START, NOW) == EVENTS

    def test_a_span_is_half_open(self, feedback: FeedbackPort) -> None:
        assert feedback.events(EVENTS[1].ts, EVENTS[3].ts) == EVENTS[1:3]
        assert feedback.events(START - MINUTE, START) == []

    def test_a_limit_keeps_the_newest(self, feedback: FeedbackPort) -> None:
        assert feedback.events(START, NOW, 2) == EVENTS[2:]

    def test_a_span_or_limit_that_cannot_be_is_refused(self, feedback: FeedbackPort) -> None:
        for until in (START, START - MINUTE):
            with pytest.raises(InvalidInput, match="until"):
                feedback.events(START, until)
        for limit in (0, 200_001):
            with pytest.raises(InvalidInput, match="limit"):
                feedback.events(START, NOW, limit)

    def test_the_check_answers_in_one_line(self, feedback: FeedbackPort) -> None:
        assert feedback.check()
        assert "\n" not in feedback.check()
