"""Feedback of the platform: what the testbed tells, over HTTP."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import pytest

from adapters.feedback.base import FeedbackEvent, FeedbackPort
from adapters.feedback.platform import PlatformFeedback
from domain.clock import FrozenClock
from domain.errors import ConfigurationError, DependencyLied, DependencyTimeout, DependencyUnavailable
from testbed.events import FeedbackEvent as Event
from testbed.events import Told
from testbed.judged import SearchRecord
from tests.contract.feedback_contract import EVENTS, NOW, START, FeedbackContract
from tests.stubs.small_server import NOBODY, Asked, Said, SmallServer, endpoint, said
from tests.support.waiting import until


def line(event: FeedbackEvent, **changes: Any) -> str:
    """Return an event as a platform tells it."""
    row = {**event.model_dump(mode="json"), "ts": event.ts.timestamp(), **changes}
    return json.dumps(row, ensure_ascii=False) + "\n"


def api(request: Asked) -> Said:
    """Answer as a platform's data API does."""
    if request.path != "/data/feedback":
        return said({"detail": "not found"}, 404)
    since, until = float(request.query["since"]), float(request.query["until"])
    found = [event for event in EVENTS if since <= event.ts.timestamp() < until][-int(request.query["limit"]) :]
    return lines(*map(line, found))


def lines(*rows: str) -> Said:
    return Said(200, "".join(rows).encode(), "application/x-ndjson")


@contextmanager
def client(server: SmallServer, path: str = "/data/feedback", **fields: Any) -> Iterator[PlatformFeedback]:
    feedback = PlatformFeedback(endpoint=endpoint(**{"url": server.url, **fields}), clock=FrozenClock(NOW), path=path)
    try:
        yield feedback
    finally:
        feedback.close()


@pytest.fixture
def server() -> Iterator[SmallServer]:
    with SmallServer(api) as running:
        yield running


@pytest.mark.integration("feedback", "works")
class TestPlatformFeedback(FeedbackContract):
    @pytest.fixture
    def feedback(self, server: SmallServer) -> Iterator[FeedbackPort]:
        with client(server) as feedback:
            yield feedback


@pytest.mark.integration("feedback", "works")
def test_what_the_testbed_tells_is_understood(server: SmallServer) -> None:
    record = SearchRecord(
        request_id="r",
        ts=START.timestamp(),
        user_id="ann",
        query="sort a list",
        variant="champion",
        digest="d",
        mode="balanced",
        shown=("d1",),
        retrieved=("d1",),
    )
    testbed = Told()
    for kind, doc, value in (("click", "d1", None), ("rating", None, 4), ("thumb", "d1", -1)):
        event = Event.model_validate({"request_id": "r", "user_id": "ann", "kind": kind, "doc_id": doc, "value": value})
        testbed.keep(event, record, "Mozilla/5.0", START.timestamp())
    rows = list(testbed.rows(0, None, None))
    assert rows, "the query is one of the sealed set: choose another"
    server.lie = lines(*(json.dumps(row) + "\n" for row in rows))
    with client(server) as feedback:
        found = feedback.events(START, NOW)
    assert [(event.kind.value, event.doc_id, event.value) for event in found] == [
        ("click", "d1", 1.0),
        ("rating", None, 4.0),
        ("thumb", "d1", -1.0),
    ]


@pytest.mark.integration("feedback", "refused")
def test_without_the_token_it_says_which_credentials(server: SmallServer) -> None:
    server.header = ("Authorization", "Bearer right")
    with client(server, token="right") as feedback:
        assert feedback.check()
    with (
        client(server, token="wrong") as feedback,
        pytest.raises(DependencyUnavailable, match="credentials of platform"),
    ):
        feedback.check()
    with client(server, url=NOBODY) as feedback, pytest.raises(DependencyUnavailable, match=r"platform\.url"):
        feedback.check()


@pytest.mark.integration("feedback", "slow")
def test_a_late_answer_is_asked_for_again_and_then_given_up(server: SmallServer) -> None:
    server.delay = 30
    with (
        client(server, timeout=timedelta(milliseconds=300), attempts=2) as feedback,
        pytest.raises(DependencyTimeout, match="in time"),
    ):
        feedback.events(START, NOW)
    until(lambda: len(server.seen) >= 2)
    assert len(server.seen) == 2


@pytest.mark.integration("feedback", "lying")
@pytest.mark.parametrize(
    ("row", "problem"),
    [
        (line(EVENTS[0], value=7), "line 2, field .*: .*7.0 is no click"),
        (line(EVENTS[2], value=9), "no rating"),
        (line(EVENTS[0], kind="purchase"), "field kind"),
        (line(EVENTS[0], ts="noon"), "field ts"),
        (line(EVENTS[0], user_id=None), "field user_id"),
        (line(EVENTS[0], ts=START.timestamp() - 10), "not asked for"),
        ('{"half', r"line 2.*platform\.url"),
    ],
)
def test_a_row_that_breaks_the_form_is_told_by_its_line(server: SmallServer, row: str, problem: str) -> None:
    server.lie = lines(line(EVENTS[1]), row)
    with client(server) as feedback, pytest.raises(DependencyLied, match=problem):
        feedback.events(START, NOW)


@pytest.mark.integration("feedback", "lying")
def test_more_events_than_were_asked_for_are_not_taken(server: SmallServer) -> None:
    server.lie = lines(*map(line, EVENTS))
    with client(server) as feedback, pytest.raises(DependencyLied, match="4 events came, 2 were asked for"):
        feedback.events(START, NOW, 2)


@pytest.mark.integration("feedback", "misconfigured")
def test_each_way_of_misconfiguring_the_address_has_its_own_remedy(server: SmallServer) -> None:
    with (
        client(server, path="/data/opinions") as feedback,
        pytest.raises(ConfigurationError, match="or use kind table"),
    ):
        feedback.check()
    with pytest.raises(ConfigurationError, match=r"feedback\.path: 'data' is not a path"), client(server, path="data"):
        pass
    server.lie = Said(200, b"<html>", "text/html")
    with client(server) as feedback, pytest.raises(DependencyLied, match=r"platform\.url and feedback\.path"):
        feedback.check()
